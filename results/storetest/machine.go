package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/results"
)

// The states in which a job can be, told apart as far as a change may depend on it.
const (
	ready   = "ready"  // accepted
	asleep  = "asleep" // accepted, for later
	held    = "held"   // accepted, waits for a person or a model
	queued  = "queued"
	running = "running"
	lapsed  = "lapsed" // running, and the lease is over
	done    = "done"
	refused = "refused"
	dead    = "dead"
)

var states = []string{ready, asleep, held, queued, running, lapsed, done, refused, dead}

var modelMissing = results.JobError{Rule: "models_missing", Text: pipeline.Text{EN: "a model is missing", ZH: "缺少模型"}}

// bring makes a job in a state.
func bring(t *testing.T, s results.Store, tenant, state string) results.Job {
	t.Helper()
	ctx := t.Context()
	subject := NewID()
	NewSubject(t, s, tenant, subject)
	id := Accept(t, s, tenant, subject).ID
	if state == ready {
		return Read(t, s, id)
	}
	j := Queue(t, s, id)
	if state == queued {
		return j
	}
	lease := time.Minute
	if state == lapsed {
		lease = time.Millisecond
	}
	l, err := s.Claim(ctx, id, j.Attempt, "worker-"+id, lease, 2*time.Minute)
	require.NoError(t, err)
	switch state {
	case running:
	case lapsed:
		require.Eventually(t, func() bool { return s.Now().After(l.Job.LeaseUntil) }, time.Second, time.Millisecond)
	case asleep:
		require.NoError(t, s.Release(ctx, results.Release{Job: id, Token: l.Token, RunAt: s.Now().Add(time.Hour), Error: modelMissing, Count: true}))
	case held:
		require.NoError(t, s.Release(ctx, results.Release{Job: id, Token: l.Token, Error: modelMissing, Hold: true}))
	case done:
		Finish(t, s, l)
	case refused, dead:
		require.NoError(t, s.Finish(ctx, results.Finish{Job: id, Token: l.Token, State: results.JobState(state), Error: &modelMissing,
			Audit: Audit(s, tenant, "job."+state)}))
	}
	return Read(t, s, id)
}

// change is a change of a job's state.
type change struct {
	name string
	do   func(t *testing.T, s results.Store, j results.Job) error
	to   map[string]string // from which states, to which; from any other nothing changes
	err  error             // what is given when it is not allowed
}

func finishAs(state results.JobState, token int64) func(*testing.T, results.Store, results.Job) error {
	return func(t *testing.T, s results.Store, j results.Job) error {
		sub, err := s.Submission(t.Context(), j.ID)
		require.NoError(t, err)
		f := Ending(s, results.Lease{Job: j, Sub: sub, Token: j.Token + token})
		if f.State = state; state != results.Done {
			f.Verdict, f.Print, f.Evidence, f.Error = nil, nil, nil, &modelMissing
		}
		return s.Finish(t.Context(), f)
	}
}

var changes = []change{
	{name: "dispatch", to: map[string]string{ready: queued}, do: func(t *testing.T, s results.Store, _ results.Job) error {
		_, err := s.Dispatch(t.Context(), 500, results.PriorityBulk)
		return err
	}},
	{name: "claim", to: map[string]string{queued: running}, err: results.ErrStale, do: func(t *testing.T, s results.Store, j results.Job) error {
		_, err := s.Claim(t.Context(), j.ID, j.Attempt, "worker-2", time.Minute, time.Minute)
		return err
	}},
	{name: "claim an earlier attempt", err: results.ErrStale, do: func(t *testing.T, s results.Store, j results.Job) error {
		_, err := s.Claim(t.Context(), j.ID, j.Attempt-1, "worker-2", time.Minute, time.Minute)
		return err
	}},
	{name: "claim a later attempt", err: results.ErrStale, do: func(t *testing.T, s results.Store, j results.Job) error {
		_, err := s.Claim(t.Context(), j.ID, j.Attempt+1, "worker-2", time.Minute, time.Minute)
		return err
	}},
	{name: "renew", to: map[string]string{running: running, lapsed: running}, do: func(t *testing.T, s results.Store, j results.Job) error {
		own, err := s.Renew(t.Context(), "worker-"+j.ID, 90*time.Second)
		if j.State == results.Running {
			require.Equal(t, []string{j.ID}, own)
		} else {
			require.Empty(t, own)
		}
		return err
	}},
	{name: "renew as another worker", do: func(t *testing.T, s results.Store, _ results.Job) error {
		own, err := s.Renew(t.Context(), "worker-3", time.Minute)
		require.Empty(t, own)
		return err
	}},
	{name: "release", to: map[string]string{running: ready, lapsed: ready}, err: results.ErrStale, do: func(t *testing.T, s results.Store, j results.Job) error {
		return s.Release(t.Context(), results.Release{Job: j.ID, Token: j.Token, Error: modelMissing})
	}},
	{name: "release with an earlier token", err: results.ErrStale, do: func(t *testing.T, s results.Store, j results.Job) error {
		return s.Release(t.Context(), results.Release{Job: j.ID, Token: j.Token - 1, Error: modelMissing})
	}},
	{name: "finish", to: map[string]string{running: done, lapsed: done}, err: results.ErrStale, do: finishAs(results.Done, 0)},
	{name: "refuse", to: map[string]string{running: refused, lapsed: refused}, err: results.ErrStale, do: finishAs(results.Refused, 0)},
	{name: "give up", to: map[string]string{running: dead, lapsed: dead}, err: results.ErrStale, do: finishAs(results.Dead, 0)},
	{name: "finish with an earlier token", err: results.ErrStale, do: finishAs(results.Done, -1)},
	{name: "finish with a later token", err: results.ErrStale, do: finishAs(results.Done, +1)},
	{name: "reclaim", to: map[string]string{lapsed: ready}, do: func(t *testing.T, s results.Store, _ results.Job) error {
		_, err := s.Reclaim(t.Context(), 2*time.Minute, 5)
		return err
	}},
	{name: "reclaim for the last time", to: map[string]string{lapsed: dead}, do: func(t *testing.T, s results.Store, _ results.Job) error {
		_, err := s.Reclaim(t.Context(), 2*time.Minute, 1)
		return err
	}},
	{name: "unqueue", to: map[string]string{queued: ready}, do: func(t *testing.T, s results.Store, j results.Job) error {
		_, err := s.Unqueue(t.Context(), []results.Job{j})
		return err
	}},
	{name: "unqueue an earlier attempt", do: func(t *testing.T, s results.Store, j results.Job) error {
		j.Attempt--
		n, err := s.Unqueue(t.Context(), []results.Job{j})
		require.Zero(t, n)
		return err
	}},
	{name: "requeue", to: map[string]string{held: ready, dead: ready}, err: results.ErrConflict, do: func(t *testing.T, s results.Store, j results.Job) error {
		got, err := s.Requeue(t.Context(), j.Tenant, j.ID, Audit(s, j.Tenant, "job.requeued"))
		if err == nil {
			require.Equal(t, Read(t, s, j.ID), got)
			require.Zero(t, got.Failures+got.Crashes)
		}
		return err
	}},
	{name: "requeue as another tenant", err: results.ErrNotFound, do: func(t *testing.T, s results.Store, j results.Job) error {
		_, err := s.Requeue(t.Context(), "nobody", j.ID, Audit(s, j.Tenant, "job.requeued"))
		return err
	}},
	{name: "unhold", to: map[string]string{held: ready}, do: func(t *testing.T, s results.Store, _ results.Job) error {
		_, err := s.Unhold(t.Context(), modelMissing.Rule)
		return err
	}},
	{name: "unhold another rule", do: func(t *testing.T, s results.Store, _ results.Job) error {
		n, err := s.Unhold(t.Context(), "store_away")
		require.Zero(t, n)
		return err
	}},
	{name: "revise", to: map[string]string{done: done}, err: results.ErrConflict, do: func(t *testing.T, s results.Store, j results.Job) error {
		return s.Revise(t.Context(), results.Verdict{Job: j.ID, Tenant: j.Tenant, Revision: 2, Decision: pipeline.DecisionReview, Body: []byte(`{}`)},
			Audit(s, j.Tenant, "verdict.revised"), results.EventVerdictRevised, NewID(), []byte(`{}`))
	}},
	{name: "erase the subject", to: map[string]string{ready: refused, asleep: refused, held: refused, queued: refused, running: refused, lapsed: refused},
		do: func(t *testing.T, s results.Store, j results.Job) error {
			_, err := s.EraseSubject(t.Context(), j.Tenant, j.Subject, s.Now(), Audit(s, j.Tenant, "subject.erased"))
			return err
		}},
}

// machine tries every change from every state. A change that is not allowed leaves the row as it was, to the last column: the next one is
// tried on the same job.
func machine(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	for _, from := range states {
		var before results.Job
		for _, c := range changes {
			if before.ID == "" {
				before = bring(t, s, tenant, from)
			}
			name := c.name + " a job that is " + from
			err := c.do(t, s, before)
			after := Read(t, s, before.ID)
			to, allowed := c.to[from]
			if !allowed {
				if c.err != nil {
					require.ErrorIs(t, err, c.err, name)
				} else {
					require.NoError(t, err, name)
				}
				require.Equal(t, before, after, name)
				continue
			}
			require.NoError(t, err, name)
			require.Equal(t, to, stateOf(s, after), name)
			checkRow(t, before, after, to, name)
			if to == ready {
				Queue(t, s, before.ID) // it really is
			}
			before = results.Job{}
		}
	}
}

func stateOf(s results.Store, j results.Job) string {
	switch {
	case j.State == results.Accepted && j.Held:
		return held
	case j.State == results.Accepted && j.RunAt.After(s.Now()):
		return asleep
	case j.State == results.Accepted:
		return ready
	case j.State == results.Running && !j.LeaseUntil.After(s.Now()):
		return lapsed
	}
	return string(j.State)
}

// checkRow looks at the columns that belong to a state.
func checkRow(t *testing.T, before, after results.Job, to, name string) {
	t.Helper()
	var err error
	is := func(what string, ok bool) {
		if !ok {
			err = errors.Join(err, errors.New(what))
		}
	}
	is("the job is another", before.ID == after.ID && before.Tenant == after.Tenant && before.Subject == after.Subject && before.CreatedAt.Equal(after.CreatedAt))
	is("a lease without running, or the other way round", after.LeaseUntil.IsZero() == (after.State != results.Running))
	is("a deadline without running, or the other way round", after.Deadline.IsZero() == (after.State != results.Running))
	is("a time of its end without one, or the other way round", after.FinishedAt.IsZero() == !after.Final())
	is("held without waiting", !after.Held || after.State == results.Accepted)
	is("the attempt", after.Attempt == before.Attempt || (to == queued && after.Attempt == before.Attempt+1))
	is("the token", after.Token == before.Token || (to == running && after.Token == before.Token+1) || (to == refused && after.Token == before.Token+1))
	is("the revision", (after.Revision > 0) == (after.State == results.Done))
	require.NoError(t, err, name)
}
