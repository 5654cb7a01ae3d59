package api

import "onsite/results"

// accessConfiguration is the part of the access table about configuration: settings, subjects, consents, sites, policies, keys, webhooks,
// buckets, models.
var accessConfiguration = map[string][]results.Role{}

// configurationRoutes registers those operations.
func (s *Server) configurationRoutes() {
}
