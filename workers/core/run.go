package core

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/pipeline/verify"
	"onsite/results"
)

// errNoBuckets says that a submission waits for an object of a bucket and nobody can fetch it.
var errNoBuckets = errors.New("the submission's media lies in a bucket, and this process has no buckets configured")

// attempt is one run of a job.
type attempt struct {
	*Core
	results.Lease
	policy  policy.Policy
	history *history
	media   results.Media
	own     *results.Media // our copy of a bucket's object, when this attempt made one
	written []string       // objects that no row names yet
	pinned  *past          // a run that is made again: what the first one saw; nil: what there is now
	under   *pipeline.ModelSet
}

// Run verifies the job of a lease and gives what to write. With an error it gives our own copy of a bucket's object, if it made one, which the
// job keeps, whether it ends there or runs again.
func (c *Core) Run(ctx context.Context, l results.Lease) (results.Finish, error) {
	return c.RunUnder(ctx, l, nil)
}

// RunUnder is Run with the name of the set of models for the verdict; see verify.Job.
func (c *Core) RunUnder(ctx context.Context, l results.Lease, under *pipeline.ModelSet) (results.Finish, error) {
	a := &attempt{Core: c, Lease: l, media: l.Sub.Media, under: under}
	r, err := a.verify(ctx)
	if err == nil {
		var f results.Finish
		if f, err = a.finish(ctx, r); err == nil {
			return f, nil
		}
	}
	f := results.Finish{}
	if a.own != nil {
		f.Media, f.Keep = a.own, []string{a.own.Key}
	}
	return f, err
}

func (a *attempt) verify(ctx context.Context) (verify.Result, error) {
	if err := a.fetch(ctx); err != nil {
		return verify.Result{}, err
	}
	job, err := a.prepare(ctx)
	if err != nil {
		return verify.Result{}, err
	}
	run := a.Verifier.Run
	if a.measure {
		run = a.Verifier.Measure
	} else {
		release, err := a.person(ctx, &job)
		if err != nil {
			return verify.Result{}, err
		}
		defer release()
	}
	stages := newStages(ctx)
	defer stages.end()
	job.Progress = stages.tell
	r, err := run(ctx, job)
	if err != nil {
		return r, err
	}
	// A store that was away is no finding: the attempt ends, and the job is tried again.
	return r, a.history.ended()
}

// fetch makes sure that the media is our own sealed copy.
func (a *attempt) fetch(ctx context.Context) error {
	if a.media.Key != "" {
		return nil
	}
	if a.Fetch == nil {
		return errNoBuckets
	}
	s, err := a.Fetch(ctx, a.Sub)
	if err != nil {
		return fmt.Errorf("copy the submission's object: %w", err)
	}
	a.media.Key, a.media.SHA256, a.media.Bytes = s.Key, s.SHA256, s.Bytes
	own := a.media
	a.own = &own
	return nil
}

// prepare brings together what the verification core needs, but for the person and the place.
func (a *attempt) prepare(ctx context.Context) (verify.Job, error) {
	claim, err := a.Sub.CoreClaim()
	if err != nil {
		return verify.Job{}, err
	}
	if a.policy, err = a.rules(ctx, a.Sub); err != nil {
		return verify.Job{}, err
	}
	asOf, marks, err := a.asOf(ctx)
	if err != nil {
		return verify.Job{}, err
	}
	a.history = &history{Core: a.Core, job: a.Sub.Job, scope: scopeOf(a.Sub, a.policy), alike: alikeOf(a.policy), asOf: asOf, marks: marks}
	label := a.media.Name
	if label == "" {
		label = "upload"
	}
	return verify.Job{
		Claim: claim, Media: sealed{a.Vault, a.media.Key, label}, Policy: a.policy, History: a.history, Keyframes: true, Revisions: &verify.Revisions{},
		Trail: trail{a.history, a.Sub}, Received: a.Sub.ReceivedAt,
		Under: a.under,
	}, nil
}

// asOf gives the position of the history, and the marks, that the attempt goes by.
func (a *attempt) asOf(ctx context.Context) (position int64, m marks, err error) {
	if a.pinned != nil {
		m, err = a.marksAt(ctx, a.Sub, a.pinned.MarksAsOf)
		return a.pinned.HistoryAsOf, m, err
	}
	if position, err = a.Store.Position(ctx, a.Sub.Tenant); err != nil {
		return 0, m, fmt.Errorf("read the position of the history: %w", err)
	}
	m, err = a.marksFor(ctx, a.Sub)
	return position, m, err
}

// person adds the subject and the site to a job. release must be called when the job has run.
func (a *attempt) person(ctx context.Context, job *verify.Job) (release func(), err error) {
	release = func() {}
	if a.Sub.Site != "" {
		if job.Place, job.Site, job.Revisions.Site, release, err = a.site(ctx, a.Sub.Tenant, a.Sub.Site, a.pinned); err != nil {
			return nil, err
		}
	}
	faces := verify.WantsFace(a.policy, job.Place != nil)
	job.Subject, job.Consent, err = a.subject(ctx, a.Sub.Tenant, a.Sub.Subject, faces, a.pinned)
	if err == nil {
		err = a.recording(ctx, job)
	}
	if err != nil {
		release()
		return nil, err
	}
	if job.Subject != nil {
		job.Revisions.Enrolment = job.Subject.Revision
	}
	return release, nil
}

// stages makes a span of each stage of a job.
type stages struct {
	ctx  context.Context
	mu   sync.Mutex
	open map[verify.Stage]trace.Span
}

func newStages(ctx context.Context) *stages {
	return &stages{ctx: ctx, open: map[verify.Stage]trace.Span{}}
}

func (s *stages) tell(stage verify.Stage, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !done {
		_, s.open[stage] = otel.Tracer("onsite").Start(s.ctx, string(stage), trace.WithAttributes(attribute.String("onsite.stage", string(stage))))
		return
	}
	if span, ok := s.open[stage]; ok {
		span.End()
		delete(s.open, stage)
	}
}

// end ends the spans of stages that broke off.
func (s *stages) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.open {
		span.End()
	}
}
