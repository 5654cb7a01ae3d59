package storetest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/results"
)

// NewSubmission makes an upload of a subject.
func NewSubmission(s results.Store, tenant, subject string) results.NewSubmission {
	job := NewID()
	sub := results.Submission{
		Job: job, Tenant: tenant, Subject: subject, Site: "store-17", Policy: "video15", PolicyRev: 2, Claim: json.RawMessage(`{"subject":"` + subject + `"}`),
		Priority: results.PriorityClockIn, Source: results.Source{Kind: "api"},
		Media:       results.Media{Key: tenant + "/" + subject + "/" + NewID(), SHA256: Sum(job), Bytes: 123456, Name: "clip.mp4"},
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", ReceivedAt: s.Now(),
	}
	a := Audit(s, tenant, "submission.accepted")
	a.Subject, a.Target = subject, job
	return results.NewSubmission{Sub: sub, Keep: []string{sub.Media.Key}, Audit: a}
}

// Accept accepts an upload of a subject.
func Accept(t testing.TB, s results.Store, tenant, subject string, change ...func(*results.NewSubmission)) results.Job {
	t.Helper()
	n := NewSubmission(s, tenant, subject)
	for _, c := range change {
		c(&n)
	}
	j, again, err := s.Accept(t.Context(), n)
	require.NoError(t, err)
	require.False(t, again)
	return j
}

// Queue dispatches until the job is queued, and whatever else is ready with it.
func Queue(t testing.TB, s results.Store, job string) results.Job {
	t.Helper()
	for range 100 {
		j := Read(t, s, job)
		if j.State == results.Queued {
			return j
		}
		require.Equal(t, results.Accepted, j.State)
		_, err := s.Dispatch(t.Context(), 500, results.PriorityBulk)
		require.NoError(t, err)
	}
	require.Fail(t, "the job is never dispatched")
	return results.Job{}
}

// Claim queues and claims a job.
func Claim(t testing.TB, s results.Store, job string) results.Lease {
	t.Helper()
	j := Queue(t, s, job)
	l, err := s.Claim(t.Context(), job, j.Attempt, "worker-1", time.Minute, 2*time.Minute)
	require.NoError(t, err)
	return l
}

// Read reads a job.
func Read(t testing.TB, s results.Store, job string) results.Job {
	t.Helper()
	j, err := s.Job(t.Context(), "", job)
	require.NoError(t, err)
	return j
}

// Ending is the successful end of a claimed job, with everything that may belong to it.
func Ending(s results.Store, l results.Lease) results.Finish {
	sub := l.Sub
	a := Audit(s, sub.Tenant, "verdict.created")
	a.Subject, a.Target = sub.Subject, sub.Job
	frame := sub.Tenant + "/" + sub.Subject + "/" + NewID()
	print := sub.Tenant + "/" + sub.Subject + "/" + NewID()
	return results.Finish{
		Job: sub.Job, Token: l.Token, State: results.Done,
		Verdict: &results.Verdict{Job: sub.Job, Tenant: sub.Tenant, Subject: sub.Subject, Site: sub.Site, Revision: 1, Decision: pipeline.DecisionAbnormal,
			Codes: []pipeline.Code{"face_mismatch", "logo_missing"}, Policy: "video15", Body: []byte(`{"decision":"abnormal"}`),
			SubmittedAt: sub.ReceivedAt, CreatedAt: s.Now()},
		Evidence: []results.Evidence{{Job: sub.Job, Revision: 1, Tenant: sub.Tenant, Subject: sub.Subject, Kind: "keyframe", Index: 0, Key: frame,
			SHA256: Sum(frame), Bytes: 777}},
		Print: &results.Print{Job: sub.Job, Tenant: sub.Tenant, Subject: sub.Subject, Site: sub.Site, Scope: "site", Format: 1, SHA256: sub.Media.SHA256,
			Packets: Sum("packets of " + sub.Job), Key: print, Bytes: 999, AcceptedAt: sub.ReceivedAt},
		Keep: []string{frame, print}, Audit: a,
		Event: results.EventVerdictCreated, Message: NewID(), Payload: []byte(`{"type":"verdict.created"}`),
		Deadline: []results.Deadline{
			{Tenant: sub.Tenant, Subject: sub.Subject, Kind: results.DeadlineMedia, Job: sub.Job, Due: s.Now().Add(90 * 24 * time.Hour)},
			{Tenant: sub.Tenant, Subject: sub.Subject, Kind: results.DeadlineVerdict, Job: sub.Job, Due: s.Now().Add(1000 * 24 * time.Hour)},
		},
	}
}

// Finish ends a claimed job with a verdict.
func Finish(t testing.TB, s results.Store, l results.Lease, change ...func(*results.Finish)) results.Finish {
	t.Helper()
	f := Ending(s, l)
	for _, c := range change {
		c(&f)
	}
	require.NoError(t, s.Finish(t.Context(), f))
	return f
}

// Sequenced gives all verdicts their positions.
func Sequenced(t testing.TB, s results.Store) {
	t.Helper()
	for {
		positions, err := s.Sequence(t.Context(), 100)
		require.NoError(t, err)
		if len(positions) == 0 {
			return
		}
	}
}

// NewEndpoint makes a webhook endpoint.
func NewEndpoint(t testing.TB, s results.Store, tenant string, events ...string) results.Endpoint {
	t.Helper()
	e, err := s.PutEndpoint(t.Context(), results.Endpoint{ID: NewID(), Tenant: tenant, URL: "https://example.com/hook", Events: events,
		Keys: []byte("sealed"), CreatedAt: s.Now()}, 0, Audit(s, tenant, "webhook.created"))
	require.NoError(t, err)
	return e
}

// actions are those of a tenant's audit log.
func actions(t testing.TB, s results.Store, tenant string) []string {
	t.Helper()
	log, err := s.AuditLog(t.Context(), tenant, results.Page{Limit: 500})
	require.NoError(t, err)
	var all []string
	for _, a := range log {
		all = append(all, a.Action)
	}
	return all
}

// jobs gives the ids of jobs.
func ids(jobs []results.Job) []string {
	all := []string{}
	for _, j := range jobs {
		all = append(all, j.ID)
	}
	return all
}

// of leaves only a tenant's jobs.
func of(tenant string, jobs []results.Job) []results.Job {
	var own []results.Job
	for _, j := range jobs {
		if j.Tenant == tenant {
			own = append(own, j)
		}
	}
	return own
}
