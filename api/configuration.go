package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"onsite/results"
)

// accessConfiguration is the part of the access table about configuration: settings, subjects, consents, sites, policies, keys, webhooks,
// buckets, models. Whoever audits may read what is configured; a person's own pictures and data need more than that.
var accessConfiguration = map[string][]results.Role{
	"get-tenant": {admin, audit},
	"put-tenant": {admin},

	"create-subject": {admin},
	"list-subjects":  {admin, audit},
	"get-subject":    {admin, audit, investigate},
	"put-subject":    {admin},
	"erase-subject":  {admin},
	"export-subject": {admin},
	"bulk-subjects":  {admin},

	"give-consent":     {admin},
	"list-consents":    {admin, audit},
	"withdraw-consent": {admin},

	"enrol-photos":  {admin},
	"list-photos":   {admin, audit, investigate},
	"get-photo":     {admin, investigate},
	"delete-photo":  {admin},
	"put-site":      {admin},
	"list-sites":    {admin, audit, investigate},
	"get-site":      {admin, audit, investigate},
	opTrySite:       {admin, investigate},
	"delete-site":   {admin},
	"put-policy":    {admin},
	"list-policies": {admin, audit, investigate, read},
	"get-policy":    {admin, audit, investigate, read},
	"delete-policy": {admin},

	"create-key": {admin},
	"list-keys":  {admin, audit},
	"revoke-key": {admin},

	"create-webhook":  {admin},
	"list-webhooks":   {admin, audit},
	"get-webhook":     {admin, audit},
	"put-webhook":     {admin},
	"delete-webhook":  {admin},
	"rotate-webhook":  {admin},
	"enable-webhook":  {admin},
	"test-webhook":    {admin},
	"list-deliveries": {admin, audit},
	"list-tries":      {admin, audit},
	"replay-delivery": {admin},

	"put-bucket":         {admin},
	"list-buckets":       {admin, audit},
	"delete-bucket":      {admin},
	"list-intake-events": {admin, audit},

	"list-models": {modelsRole, read, audit},
	"list-audit":  {audit},

	"get-checkpoint":        {audit, investigate},
	"get-audit-proof":       {audit},
	"get-audit-consistency": {audit, investigate},
}

// configurationRoutes registers those operations.
func (s *Server) configurationRoutes() {
	s.looking = make(chan struct{}, enrolAtOnce)
	s.remaking = make(chan struct{}, 1)
	s.tenantRoutes()
	s.subjectRoutes()
	s.consentRoutes()
	s.photoRoutes()
	s.bulkRoutes()
	s.siteRoutes()
	s.policyRoutes()
	s.keyRoutes()
	s.webhookRoutes()
	s.bucketRoutes()
	s.insightRoutes()
	s.auditRoutes()
	s.evidenceRoutes()
	s.reverifyRoutes()
	s.markRoutes()
	s.registryRoutes()
}

// entry is what the audit log will say of a change that the caller makes now, with the digest of what it is about.
func (s *Server) entry(ctx context.Context, action, subject, target, digest string) results.AuditEntry {
	a := s.auditOf(ctx, action, subject, target)
	a.Digest = digest
	return a
}

// stamp is the time as the store keeps it, so that what is answered at once is what is read later.
func (s *Server) stamp() time.Time { return s.now().Truncate(time.Millisecond) }

// put gives the revision that a PUT means: as rev, but that nothing said means "must be new", with asked = false.
func (c Condition) put() (rev int, asked bool, err error) {
	if c.IfMatch == "" && c.IfNoneMatch == "" {
		return 0, false, nil
	}
	rev, err = c.rev()
	return rev, true, err
}

// removal gives the revision that a DELETE means: without a condition the one that is there.
func (c Condition) removal(there int) (int, error) {
	rev, asked, err := c.put()
	switch {
	case err != nil:
		return 0, err
	case !asked, rev < 0:
		return there, nil
	case rev != there: // also If-None-Match: *, which no deletion can meet
		return 0, problem(codeChanged)
	}
	return rev, nil
}

// conflict turns the store's answer to a PUT without a condition into the problem that it is: there is one already, and the caller has
// not said which.
func conflict(err error, asked bool) error {
	if err != nil && !asked && errors.Is(err, results.ErrConflict) {
		return problem(codeIfMatch).because(err)
	}
	return err
}

// describe makes an operation. tag groups it in the description.
func describe(method, path, id, tag, summary string, more ...func(*huma.Operation)) huma.Operation {
	op := huma.Operation{Method: method, Path: path, OperationID: id, Tags: []string{tag}, Summary: summary}
	for _, m := range more {
		m(&op)
	}
	return op
}

func answers(status int) func(*huma.Operation) {
	return func(op *huma.Operation) { op.DefaultStatus = status }
}

func explained(text string) func(*huma.Operation) {
	return func(op *huma.Operation) { op.Description = text }
}

// takes documents a body that the operation reads by itself, because it streams.
func takes(contents map[string]*huma.MediaType) func(*huma.Operation) {
	return func(op *huma.Operation) { op.RequestBody = &huma.RequestBody{Required: true, Content: contents} }
}

// binary is the schema of bytes.
func binary(doc string) *huma.Schema {
	return &huma.Schema{Type: "string", Format: "binary", Description: doc}
}

// The inputs that most operations share. They are exported because huma looks into no others.
type (
	// SubjectPath names a subject.
	SubjectPath struct {
		ID string `path:"id" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" doc:"id of the subject"`
	}
	// SitePath names a site.
	SitePath struct {
		ID string `path:"id" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" doc:"id of the site"`
	}
	// ULIDPath names what has an id of ours.
	ULIDPath struct {
		ID string `path:"id" minLength:"26" maxLength:"26" pattern:"^[0-9A-Z]{26}$" doc:"id"`
	}
	nothing struct{}
)

const (
	get  = http.MethodGet
	put  = http.MethodPut
	post = http.MethodPost
	del  = http.MethodDelete
)
