package core

import (
	"context"
	"errors"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/verify"
	"onsite/results"
)

// ErrNotMeasuring says that a core which verifies nobody was asked for in an installation that is not for measuring.
var ErrNotMeasuring = errors.New("this core verifies nobody and is for measurements only; allow it in the configuration, or use the real one")

// NewDecoding makes a core for measurements and fault tests: media is opened, decoded, fingerprinted and compared for real, and
// everything is stored, but no model runs. Its verdicts say so in their version and their reasons, and always lead to review.
func NewDecoding(o Options) (*Core, error) {
	if !o.MeasuringOnly {
		return nil, ErrNotMeasuring
	}
	return build(o, true)
}

// Noop is a core for measurements that looks at nothing: its verdicts have the form of real ones, say that nobody was verified, and
// always lead to review.
type Noop struct {
	now  func() time.Time
	wait time.Duration
}

// NewNoop makes one. Each job takes wait, without work: so many workers on one machine stand for as many machines, and what is measured is the
// service around them.
func NewNoop(o Options, wait time.Duration) (*Noop, error) {
	if !o.MeasuringOnly {
		return nil, ErrNotMeasuring
	}
	if o.Store == nil {
		return nil, errors.New("make the no-op core: no store was given")
	}
	return &Noop{now: o.Store.Now, wait: wait}, nil
}

// Run ends a job without looking at it.
func (n *Noop) Run(ctx context.Context, l results.Lease) (results.Finish, error) {
	if n.wait > 0 {
		t := time.NewTimer(n.wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return results.Finish{}, ctx.Err()
		}
	}
	now := n.now()
	v := pipeline.Verdict{
		Schema: pipeline.Schema, Job: l.Sub.Job, Tenant: l.Sub.Tenant, Subject: l.Sub.Subject, Site: l.Sub.Site,
		Media:   pipeline.MediaInfo{SHA256: l.Sub.Media.SHA256, Bytes: l.Sub.Media.Bytes, Keyframes: []pipeline.Keyframe{}},
		Reasons: []pipeline.Reason{}, Checks: map[pipeline.CheckName]pipeline.Check{}, Models: []pipeline.ModelRef{}, Onsite: verify.Version,
		Revision: 1, TimingsMS: map[string]float64{}, CreatedAt: now,
	}
	verify.Unverified(&v)
	row, err := verdictRow(v, l.Sub, l.Sub.Policy)
	if err != nil {
		return results.Finish{}, err
	}
	return results.Finish{
		Job: l.Sub.Job, Token: l.Token, State: results.Done, Verdict: &row, Audit: audit(row, results.EventVerdictCreated, l.Job.Worker, now),
		Event: results.EventVerdictCreated, Message: verify.NewJob(), Payload: payload(row, results.EventVerdictCreated, now),
		Deadline: deadlines(results.Settings{}, l.Sub, results.DeadlineMedia, results.DeadlineVerdict),
	}, nil
}

// Recheck has nothing to compare.
func (n *Noop) Recheck(context.Context, results.Late) error { return nil }
