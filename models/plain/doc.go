// Package plain reads YAML files that a person writes: model manifests, package lists, policies, sites. Only plain mappings, lists and
// scalars are accepted, and exactly one document. It may import a YAML reader and the standard library, nothing of Onsite.
package plain
