package database_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"onsite/pipeline"
	"onsite/results"
	"onsite/results/database"
	"onsite/results/storetest"
)

const (
	modelLease    = 8 * time.Second
	modelDeadline = 20 * time.Second
	modelCrashes  = 3
)

// model is what the store should hold, kept in the plainest way: the job's state machine in memory, without any database.
type model struct {
	t     *rapid.T
	s     *database.Store
	now   time.Time
	jobs  map[string]*results.Job
	ids   []string // in the order of acceptance
	ready map[string]bool
	fired map[string]int // ends of each job that was told to webhooks
	made  int            // verdicts
}

// TestModel lets chance choose what happens to jobs (workers that die, come back, finish what is no longer theirs; lost tasks; requeueing),
// and compares every row with the model after every step.
func TestModel(t *testing.T) {
	if raced { // SQLite in Go is about ten times slower under the race detector; chance finds as much in the runs without it
		require.NoError(t, flag.Set("rapid.checks", "10"))
		defer flag.Set("rapid.checks", "100") //nolint:errcheck // as above
	}
	file, err := empty()
	require.NoError(t, err)
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{t: rt, now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), jobs: map[string]*results.Job{}, ready: map[string]bool{}, fired: map[string]int{}}
		path := filepath.Join(t.TempDir(), "onsite.db")
		require.NoError(rt, os.WriteFile(path, file, 0o600))
		m.s, err = database.Open(rt.Context(), database.Options{SQLite: path, Clock: func() time.Time { return m.now }})
		require.NoError(rt, err)
		defer m.s.Close()
		for _, tenant := range []string{"a", "b"} {
			_, err := m.s.PutEndpoint(rt.Context(), results.Endpoint{ID: "hook-" + tenant, Tenant: tenant, Keys: []byte{}}, 0, results.AuditEntry{})
			require.NoError(rt, err)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"accept": m.accept, "dispatch": m.dispatch, "claim": m.claim, "renew": m.renew, "release": m.release, "finish": m.finish,
			"reclaim": m.reclaim, "unqueue": m.unqueue, "requeue": m.requeue, "unhold": m.unhold,
			"time passes": func(rt *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(1, 12).Draw(rt, "seconds")) * time.Second)
			},
			"": m.check,
		})
		m.end()
	})
}

func (m *model) any(rt *rapid.T) *results.Job {
	if len(m.ids) == 0 {
		rt.Skip("no job yet")
	}
	return m.jobs[rapid.SampledFrom(m.ids).Draw(rt, "job")]
}

func (m *model) accept(rt *rapid.T) {
	n := storetest.NewSubmission(m.s, rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "tenant"), "e1")
	n.Audit, n.Keep = results.AuditEntry{}, nil
	n.Sub.Priority = results.Priority(rapid.IntRange(0, 2).Draw(rt, "priority"))
	j, again, err := m.s.Accept(m.t.Context(), n)
	require.NoError(rt, err)
	require.False(rt, again)
	m.ids, m.jobs[j.ID], m.ready[j.ID] = append(m.ids, j.ID), &j, true
}

func (m *model) dispatch(rt *rapid.T) {
	n := rapid.IntRange(0, 4).Draw(rt, "n")
	var want []results.Priority
	for _, j := range m.jobs {
		if j.State == results.Accepted && !j.Held && !m.ready[j.ID] && !j.RunAt.After(m.now) {
			m.ready[j.ID], j.UpdatedAt = true, m.now
		}
		if m.ready[j.ID] {
			want = append(want, j.Priority)
		}
	}
	slices.Sort(want)
	got, err := m.s.Dispatch(m.t.Context(), n, results.PriorityBulk)
	require.NoError(rt, err)
	require.Len(rt, got, min(n, len(want)))
	for i, g := range got {
		j := m.jobs[g.ID]
		require.True(rt, m.ready[j.ID])
		require.Equal(rt, want[i], g.Priority, "higher priorities first")
		for _, other := range m.ids { // of a tenant's jobs those whose worker died go first, then the first accepted
			if o := m.jobs[other]; m.ready[other] && o.Tenant == j.Tenant && o.Priority == j.Priority {
				if o.Crashed() == j.Crashed() {
					require.GreaterOrEqual(rt, other, j.ID)
				} else {
					require.True(rt, j.Crashed())
				}
			}
		}
		m.ready[j.ID] = false
		j.State, j.QueuedAt, j.UpdatedAt = results.Queued, m.now, m.now
		j.Attempt++
	}
}

// near is a number that holds, or one beside it.
func near(rt *rapid.T, n int64) int64 {
	return n + rapid.SampledFrom([]int64{0, 0, 0, -1, 1}).Draw(rt, "beside")
}

func (m *model) claim(rt *rapid.T) {
	j := m.any(rt)
	attempt := int(near(rt, int64(j.Attempt)))
	worker := rapid.SampledFrom([]string{"w1", "w2"}).Draw(rt, "worker")
	l, err := m.s.Claim(m.t.Context(), j.ID, attempt, worker, modelLease, modelDeadline)
	if j.State != results.Queued || attempt != j.Attempt {
		require.ErrorIs(rt, err, results.ErrStale)
		return
	}
	require.NoError(rt, err)
	j.State, j.Worker, j.LeaseUntil, j.Deadline, j.UpdatedAt = results.Running, worker, m.now.Add(modelLease), m.now.Add(modelDeadline), m.now
	j.Token++
	require.Equal(rt, *j, l.Job)
	require.Equal(rt, j.ID, l.Sub.Job)
}

func (m *model) renew(rt *rapid.T) {
	worker := rapid.SampledFrom([]string{"w1", "w2"}).Draw(rt, "worker")
	own, err := m.s.Renew(m.t.Context(), worker, modelLease)
	require.NoError(rt, err)
	var want []string
	for _, id := range m.ids {
		if j := m.jobs[id]; j.State == results.Running && j.Worker == worker && j.Deadline.After(m.now) {
			want = append(want, id)
			j.LeaseUntil = m.now.Add(modelLease)
			if j.LeaseUntil.After(j.Deadline) {
				j.LeaseUntil = j.Deadline
			}
		}
	}
	require.ElementsMatch(rt, want, own)
}

func (m *model) release(rt *rapid.T) {
	j := m.any(rt)
	r := results.Release{Job: j.ID, Token: near(rt, j.Token), Error: results.JobError{Rule: "models_missing"},
		Count: rapid.Bool().Draw(rt, "count"), Hold: rapid.Bool().Draw(rt, "hold")}
	if rapid.Bool().Draw(rt, "later") {
		r.RunAt = m.now.Add(time.Duration(rapid.IntRange(0, 30).Draw(rt, "wait")) * time.Second)
	}
	err := m.s.Release(m.t.Context(), r)
	if j.State != results.Running || r.Token != j.Token {
		require.ErrorIs(rt, err, results.ErrStale)
		return
	}
	require.NoError(rt, err)
	m.put(j, results.Accepted)
	j.Held, j.Error, j.RunAt = r.Hold, &r.Error, r.RunAt
	j.Worker = ""
	if r.RunAt.IsZero() {
		j.RunAt = m.now
	}
	if r.Count {
		j.Failures++
	}
	m.ready[j.ID] = !r.Hold && !j.RunAt.After(m.now)
}

// put is what all ways out of running have in common.
func (m *model) put(j *results.Job, state results.JobState) {
	j.State, j.LeaseUntil, j.Deadline, j.UpdatedAt = state, time.Time{}, time.Time{}, m.now
	if j.Final() {
		j.FinishedAt = m.now
		m.fired[j.ID]++
	}
}

func (m *model) finish(rt *rapid.T) {
	var list []results.Finish
	for range rapid.IntRange(1, 4).Draw(rt, "group") {
		j := m.any(rt)
		sub := results.Submission{Job: j.ID, Tenant: j.Tenant, Subject: j.Subject, ReceivedAt: m.now}
		f := storetest.Ending(m.s, results.Lease{Job: *j, Sub: sub, Token: near(rt, j.Token)})
		f.Audit, f.Keep = results.AuditEntry{}, nil
		f.State = rapid.SampledFrom([]results.JobState{results.Done, results.Done, results.Refused, results.Dead}).Draw(rt, "end")
		if f.State != results.Done {
			f.Verdict, f.Print, f.Evidence, f.Error = nil, nil, nil, &results.JobError{Rule: "media_truncated"}
		}
		list = append(list, f)
	}
	errs := m.s.FinishMany(m.t.Context(), list)
	// A group is ended in the order of the jobs' ids; of two for one job the first one wins.
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return slices.Compare([]string{list[a].Job}, []string{list[b].Job}) })
	for _, i := range order {
		f := list[i]
		j := m.jobs[f.Job]
		if j.State != results.Running || f.Token != j.Token {
			require.ErrorIs(rt, errs[i], results.ErrStale)
			continue
		}
		require.NoError(rt, errs[i])
		m.put(j, f.State)
		j.Error = f.Error
		switch f.State {
		case results.Done:
			j.Revision = 1
			m.made++
		case results.Dead:
			j.Failures++
		default:
		}
	}
}

func (m *model) reclaim(rt *rapid.T) {
	got, err := m.s.Reclaim(m.t.Context(), modelLease+time.Second, modelCrashes)
	require.NoError(rt, err)
	var want []string
	for _, id := range m.ids {
		j := m.jobs[id]
		if j.State != results.Running || j.LeaseUntil.After(m.now) {
			continue
		}
		want = append(want, id)
		j.Crashes++
		if j.Crashes >= modelCrashes {
			m.put(j, results.Dead)
		} else {
			m.put(j, results.Accepted)
			j.RunAt, m.ready[id] = m.now, true
		}
		now, err := m.s.Job(m.t.Context(), "", id)
		require.NoError(rt, err)
		require.Equal(rt, "crashed", now.Error.Rule)
		j.Error = now.Error
	}
	all := []string{}
	for _, j := range got {
		all = append(all, j.ID)
	}
	require.ElementsMatch(rt, want, all)
}

func (m *model) unqueue(rt *rapid.T) {
	j := *m.any(rt)
	j.Attempt = int(near(rt, int64(j.Attempt)))
	n, err := m.s.Unqueue(m.t.Context(), []results.Job{j})
	require.NoError(rt, err)
	own := m.jobs[j.ID]
	if own.State != results.Queued || own.Attempt != j.Attempt {
		require.Zero(rt, n)
		return
	}
	require.Equal(rt, 1, n)
	own.State, own.RunAt, own.UpdatedAt, m.ready[j.ID] = results.Accepted, m.now, m.now, true
}

func (m *model) requeue(rt *rapid.T) {
	j := m.any(rt)
	_, err := m.s.Requeue(m.t.Context(), j.Tenant, j.ID, results.AuditEntry{})
	if j.State != results.Dead && !j.Held {
		require.ErrorIs(rt, err, results.ErrConflict)
		return
	}
	require.NoError(rt, err)
	j.State, j.Held, j.Failures, j.Crashes, j.FinishedAt, j.RunAt, j.UpdatedAt = results.Accepted, false, 0, 0, time.Time{}, m.now, m.now
	m.ready[j.ID] = true
}

func (m *model) unhold(rt *rapid.T) {
	n, err := m.s.Unhold(m.t.Context(), "models_missing")
	require.NoError(rt, err)
	for _, j := range m.jobs {
		if j.Held {
			n--
			j.Held, j.RunAt, j.UpdatedAt, m.ready[j.ID] = false, m.now, m.now, true
		}
	}
	require.Zero(rt, n)
}

func (m *model) check(rt *rapid.T) {
	for _, id := range m.ids {
		j, err := m.s.Job(m.t.Context(), "", id)
		require.NoError(rt, err)
		require.Equal(rt, *m.jobs[id], j)
	}
}

// end: every done job has exactly one verdict, no other has one, and every end was told once.
func (m *model) end() {
	ctx := m.t.Context()
	for {
		got, err := m.s.Sequence(ctx, 5)
		require.NoError(m.t, err)
		if len(got) == 0 {
			break
		}
	}
	made := 0
	for _, tenant := range []string{"a", "b"} {
		changes, err := m.s.Changes(ctx, tenant, 0, 500)
		require.NoError(m.t, err)
		made += len(changes)
		for i, v := range changes {
			require.EqualValues(m.t, i+1, v.Seq)
			require.Equal(m.t, results.Done, m.jobs[v.Job].State)
			require.Equal(m.t, pipeline.DecisionAbnormal, v.Decision)
		}
		told, err := m.s.Deliveries(ctx, tenant, "", results.Page{Limit: 500})
		require.NoError(m.t, err)
		for _, d := range told {
			m.fired[d.Job]--
		}
		c, err := m.s.Counts(ctx, tenant)
		require.NoError(m.t, err)
		for _, j := range m.jobs {
			if j.Tenant == tenant {
				c.ByState[j.State]--
			}
		}
		for state, n := range c.ByState {
			require.Zero(m.t, n, state)
		}
	}
	require.Equal(m.t, m.made, made)
	for id, n := range m.fired {
		require.Zero(m.t, n, "ends of job %s that were not told, or told twice", id)
	}
}
