package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

var workCases = []Case{
	{Name: "every change from every state", Alone: true, Run: machine},
	{Name: "a job's way to its verdict", Run: way},
	{Name: "priorities first, tenants in turn", Alone: true, Run: turns},
	{Name: "many dispatchers give each job once", Alone: true, Run: dispatchers},
	{Name: "one of many claims wins", Run: claimers},
	{Name: "leases end at the deadline", Run: renewals},
	{Name: "released for later", Run: releases},
	{Name: "an end writes everything, a stale one nothing", Run: ends},
	{Name: "a group of ends, each for itself", Run: endMany},
	{Name: "ends that cannot be", Run: endsWrong},
	{Name: "two workers with one job", Run: endsRace},
	{Name: "an end and the subject's erasure at the same time", Run: endsErased},
	{Name: "lost workers", Run: reclaims},
	{Name: "a lease from a wrong clock", Run: wrongClock},
	{Name: "jobs of dead workers first", Alone: true, Run: crashedFirst},
	{Name: "jobs of dead workers that nobody takes", Alone: true, Run: rescued},
	{Name: "lost tasks", Run: waiting},
	{Name: "lists of jobs", Run: jobLists},
	{Name: "counts of jobs", Alone: true, Run: counts},
	{Name: "leases and ends at the same time", Run: renewWhileEnding},
}

func way(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	before := s.Now()
	id := Accept(t, s, tenant, "e1").ID
	j := Queue(t, s, id)
	require.Equal(t, 1, j.Attempt)
	require.False(t, j.QueuedAt.Before(before))
	l, err := s.Claim(ctx, id, 1, "worker-1", 8*time.Second, 2*time.Minute)
	require.NoError(t, err)
	require.EqualValues(t, 1, l.Token)
	require.Equal(t, results.Running, l.Job.State)
	require.Equal(t, "worker-1", l.Job.Worker)
	require.Equal(t, id, l.Sub.Job)
	require.JSONEq(t, `{"subject":"e1"}`, string(l.Sub.Claim))
	require.WithinDuration(t, s.Now().Add(8*time.Second), l.Job.LeaseUntil, time.Second)
	require.WithinDuration(t, s.Now().Add(2*time.Minute), l.Job.Deadline, time.Second)
	require.Equal(t, Read(t, s, id), l.Job)
	Finish(t, s, l)
	j = Read(t, s, id)
	require.Equal(t, results.Done, j.State)
	require.True(t, j.Final())
	require.Equal(t, 1, j.Revision)
	_, err = s.Job(ctx, NewTenant(t, s), id)
	require.ErrorIs(t, err, results.ErrNotFound)
	_, err = s.Claim(ctx, NewID(), 1, "worker-1", time.Second, time.Second)
	require.ErrorIs(t, err, results.ErrStale)
}

func turns(t *testing.T, s results.Store) {
	ctx := t.Context()
	big, small, third := NewTenant(t, s), NewTenant(t, s), NewTenant(t, s)
	at := func(p results.Priority) func(*results.NewSubmission) {
		return func(n *results.NewSubmission) { n.Sub.Priority = p }
	}
	list := make([]results.NewSubmission, 60)
	for i := range list {
		list[i] = NewSubmission(s, big, "e1")
	}
	for _, a := range s.AcceptMany(ctx, list) {
		require.NoError(t, a.Err)
	}
	bulk := Accept(t, s, third, "e1", at(results.PriorityBulk)).ID
	again := Accept(t, s, third, "e1", at(results.PriorityReverify)).ID
	var few []string
	for range 3 {
		few = append(few, Accept(t, s, small, "e1").ID)
	}
	// One at a time is the hardest: the second tenant must not wait for the first one's backlog.
	var got []results.Job
	for len(got) < 6 {
		some, err := s.Dispatch(ctx, 1, results.PriorityBulk)
		require.NoError(t, err)
		require.Len(t, some, 1)
		require.Equal(t, list[0].Sub.TraceParent, some[0].TraceParent)
		got = append(got, some...)
	}
	require.Equal(t, few, ids(of(small, got)), "in turn, and in the order of acceptance")
	require.Len(t, of(big, got), 3)
	for range 3 {
		Accept(t, s, third, "e1")
	}
	some, err := s.Dispatch(ctx, 7, results.PriorityBulk)
	require.NoError(t, err)
	require.Len(t, some, 7, "what one tenant leaves goes to the other")
	require.Len(t, of(third, some), 3)
	require.Len(t, of(big, some), 4)
	for range 2 { // in turn within one call, too
		require.NotEqual(t, some[0].Tenant, some[1].Tenant)
		some = some[2:]
	}
	rest, err := s.Dispatch(ctx, 500, results.PriorityBulk)
	require.NoError(t, err)
	require.Len(t, rest, len(list)-3-4+2)
	require.Equal(t, []string{again, bulk}, ids(rest)[len(rest)-2:], "lower priorities last")
	none, err := s.Dispatch(ctx, 500, results.PriorityBulk)
	require.NoError(t, err)
	require.Empty(t, none)
	none, err = s.Dispatch(ctx, 0, results.PriorityBulk)
	require.NoError(t, err)
	require.Empty(t, none)

	// More tenants than places: everybody's turn comes.
	var many []string
	for range 9 {
		tenant := NewTenant(t, s)
		many = append(many, tenant)
		for range 4 {
			Accept(t, s, tenant, "e1")
		}
	}
	served := map[string]int{}
	for range 9 {
		some, err := s.Dispatch(ctx, 2, results.PriorityBulk)
		require.NoError(t, err)
		for _, j := range some {
			served[j.Tenant]++
		}
	}
	for _, tenant := range many {
		require.Equal(t, 2, served[tenant], tenant)
	}
}

func dispatchers(t *testing.T, s results.Store) {
	tenants := []string{NewTenant(t, s), NewTenant(t, s), NewTenant(t, s)}
	list := make([]results.NewSubmission, 90)
	for i := range list {
		list[i] = NewSubmission(s, tenants[i%3], "e1")
	}
	for _, a := range s.AcceptMany(t.Context(), list) {
		require.NoError(t, a.Err)
	}
	var mu sync.Mutex
	got := map[string]int{}
	together(4, func(int) {
		for empty := 0; empty < 3; {
			some, err := s.Dispatch(t.Context(), 10, results.PriorityBulk)
			require.NoError(t, err)
			if len(some) == 0 {
				empty++
			}
			mu.Lock()
			for _, j := range some {
				got[j.ID]++
				require.Equal(t, 1, j.Attempt)
			}
			mu.Unlock()
		}
	})
	require.Len(t, got, len(list))
	for id, n := range got {
		require.Equal(t, 1, n, id)
	}
}

func claimers(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	for range 3 {
		j := Queue(t, s, Accept(t, s, tenant, "e1").ID)
		var won atomic.Int32
		together(12, func(i int) {
			l, err := s.Claim(t.Context(), j.ID, j.Attempt, fmt.Sprintf("worker-%d", i), time.Minute, time.Minute)
			if err == nil {
				won.Add(1)
				require.EqualValues(t, 1, l.Token)
			} else {
				require.ErrorIs(t, err, results.ErrStale)
			}
		})
		require.EqualValues(t, 1, won.Load())
	}
}

func renewals(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	worker := NewID()
	claim := func(deadline time.Duration) results.Job {
		j := Queue(t, s, Accept(t, s, tenant, "e1").ID)
		l, err := s.Claim(ctx, j.ID, j.Attempt, worker, time.Second, deadline)
		require.NoError(t, err)
		require.False(t, l.Job.LeaseUntil.After(l.Job.Deadline))
		return l.Job
	}
	long, short := claim(time.Hour), claim(20*time.Second)
	over := claim(20 * time.Millisecond)
	require.Eventually(t, func() bool { return s.Now().After(over.Deadline) }, time.Second, time.Millisecond)
	own, err := s.Renew(ctx, worker, 30*time.Second)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{long.ID, short.ID}, own, "a call that hangs loses its job at the deadline")
	require.WithinDuration(t, s.Now().Add(30*time.Second), Read(t, s, long.ID).LeaseUntil, time.Second)
	require.Equal(t, short.Deadline, Read(t, s, short.ID).LeaseUntil)
	require.Equal(t, over, Read(t, s, over.ID))
	own, err = s.Renew(ctx, NewID(), time.Minute)
	require.NoError(t, err)
	require.Empty(t, own)
}

func releases(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	id := Accept(t, s, tenant, "e1").ID
	l := Claim(t, s, id)
	require.NoError(t, s.Release(ctx, results.Release{Job: id, Token: l.Token, RunAt: s.Now().Add(300 * time.Millisecond), Error: modelMissing, Count: true}))
	j := Read(t, s, id)
	require.Equal(t, results.Accepted, j.State)
	require.Equal(t, 1, j.Failures)
	require.Equal(t, &modelMissing, j.Error)
	require.Empty(t, j.Worker)
	_, err := s.Dispatch(ctx, 500, results.PriorityBulk)
	require.NoError(t, err)
	if s.Now().Before(j.RunAt) {
		require.Equal(t, j, Read(t, s, id), "its time has not come")
	}
	require.Eventually(t, func() bool {
		_, err := s.Dispatch(ctx, 500, results.PriorityBulk)
		require.NoError(t, err)
		return Read(t, s, id).State == results.Queued
	}, 5*time.Second, 10*time.Millisecond)
	j = Read(t, s, id)
	require.False(t, s.Now().Before(j.RunAt))
	require.Equal(t, 2, j.Attempt)
	require.ErrorIs(t, s.Finish(ctx, Ending(s, l)), results.ErrStale, "the first attempt comes back")
	l, err = s.Claim(ctx, id, 2, "worker-1", time.Minute, time.Minute)
	require.NoError(t, err)
	require.EqualValues(t, 2, l.Token)
	require.NoError(t, s.Release(ctx, results.Release{Job: id, Token: 2, Error: results.JobError{Rule: "store_away"}, Hold: true}))
	j = Read(t, s, id)
	require.True(t, j.Held)
	require.Equal(t, 1, j.Failures, "not counted")
	_, err = s.Dispatch(ctx, 500, results.PriorityBulk)
	require.NoError(t, err)
	require.Equal(t, j, Read(t, s, id))
	n, err := s.Unhold(ctx, "store_away")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	Finish(t, s, Claim(t, s, id))
	require.Nil(t, Read(t, s, id).Error, "what went wrong before is over")
}

func reclaims(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	NewEndpoint(t, s, tenant, results.EventJobDead)
	id := Accept(t, s, tenant, "e1").ID
	for crash := 1; crash <= 3; crash++ {
		j := Queue(t, s, id)
		l, err := s.Claim(ctx, id, j.Attempt, "worker-1", time.Millisecond, time.Minute)
		require.NoError(t, err)
		var got []results.Job
		require.Eventually(t, func() bool {
			all, err := s.Reclaim(ctx, time.Hour, 3)
			require.NoError(t, err)
			got = of(tenant, all)
			return len(got) > 0
		}, 5*time.Second, time.Millisecond)
		require.Equal(t, []results.Job{Read(t, s, id)}, got)
		require.Equal(t, crash, got[0].Crashes)
		require.Zero(t, got[0].Failures)
		require.Equal(t, "crashed", got[0].Error.Rule)
		require.ErrorIs(t, s.Finish(ctx, Ending(s, l)), results.ErrStale)
		if crash < 3 {
			require.Equal(t, results.Accepted, got[0].State)
		} else {
			require.Equal(t, results.Dead, got[0].State)
		}
	}
	d, err := s.Deliveries(ctx, tenant, "", results.Page{})
	require.NoError(t, err)
	require.Len(t, d, 1)
	require.Equal(t, results.EventJobDead, d[0].Type)
	require.Contains(t, string(d[0].Payload), id)
	require.Contains(t, actions(t, s, tenant), results.EventJobDead)
	sub, err := s.Submission(ctx, id)
	require.NoError(t, err)
	gone, err := s.Expire(ctx, s.Now().Add(91*24*time.Hour), 500)
	require.NoError(t, err)
	require.Contains(t, gone, sub.Media.Key, "the media of a dead job is kept as long as any other")
	j, err := s.Requeue(ctx, tenant, id, Audit(s, tenant, "job.requeued"))
	require.NoError(t, err)
	require.Zero(t, j.Crashes)
	require.Contains(t, actions(t, s, tenant), "job.requeued")
}

func wrongClock(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	j := Queue(t, s, Accept(t, s, tenant, "e1").ID)
	_, err := s.Claim(ctx, j.ID, j.Attempt, "worker-1", time.Hour, 2*time.Hour)
	require.NoError(t, err)
	all, err := s.Reclaim(ctx, 2*time.Hour, 5)
	require.NoError(t, err)
	require.Empty(t, of(tenant, all))
	all, err = s.Reclaim(ctx, 10*time.Second, 5)
	require.NoError(t, err)
	require.Len(t, of(tenant, all), 1, "nobody has leases as long as this")
	require.Zero(t, Read(t, s, j.ID).Crashes, "a clock was wrong, nothing crashed")
}

// rescued: a job whose worker died and that nobody takes can be had without a task; one that never ran cannot.
func rescued(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	fresh := Accept(t, s, tenant, "e1").ID
	none := func(after time.Duration) {
		t.Helper()
		jobs, err := s.Rescue(ctx, results.PriorityClockIn, after, 500)
		require.NoError(t, err)
		require.Empty(t, of(tenant, jobs))
	}
	none(0)
	id := Accept(t, s, tenant, "e1").ID
	j := Queue(t, s, id)
	_, err := s.Claim(ctx, id, j.Attempt, "worker-1", time.Millisecond, time.Minute)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		all, err := s.Reclaim(ctx, time.Hour, 5)
		require.NoError(t, err)
		return len(of(tenant, all)) > 0
	}, 5*time.Second, time.Millisecond)
	require.Equal(t, results.Accepted, Read(t, s, id).State)
	none(time.Hour)
	rescue := func(attempt int) {
		t.Helper()
		jobs, err := s.Rescue(ctx, results.PriorityClockIn, 0, 500)
		require.NoError(t, err)
		require.Len(t, of(tenant, jobs), 1)
		got := of(tenant, jobs)[0]
		require.Equal(t, Read(t, s, id), got)
		require.Equal(t, results.Queued, got.State)
		require.Equal(t, attempt, got.Attempt)
	}
	rescue(2)
	none(time.Hour)
	rescue(3) // queued, and its task is lost
	_, err = s.Claim(ctx, id, 2, "worker-1", time.Minute, time.Minute)
	require.ErrorIs(t, err, results.ErrStale)
	_, err = s.Claim(ctx, id, 3, "worker-1", time.Minute, time.Minute)
	require.NoError(t, err)
	none(0)
	require.NotEqual(t, results.Running, Read(t, s, fresh).State)
}

// crashedFirst: a job whose worker died has waited for its lease; it goes before those that were accepted earlier.
func crashedFirst(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	early := Accept(t, s, tenant, "e1").ID
	late := Accept(t, s, tenant, "e1").ID
	j := Queue(t, s, late)
	_, err := s.Claim(ctx, late, j.Attempt, "worker-1", time.Millisecond, time.Minute)
	require.NoError(t, err)
	_, err = s.Unqueue(ctx, []results.Job{Read(t, s, early)}) // Queue may have queued it as well
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		all, err := s.Reclaim(ctx, time.Hour, 5)
		require.NoError(t, err)
		return len(of(tenant, all)) > 0
	}, 5*time.Second, time.Millisecond)
	var order []string
	for len(order) < 2 {
		jobs, err := s.Dispatch(ctx, 1, results.PriorityBulk)
		require.NoError(t, err)
		require.NotEmpty(t, jobs)
		for _, j := range of(tenant, jobs) {
			order = append(order, j.ID)
		}
	}
	require.Equal(t, []string{late, early}, order)
}

func waiting(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	var want []string
	for range 3 {
		want = append(want, Queue(t, s, Accept(t, s, tenant, "e1").ID).ID)
	}
	Claim(t, s, Accept(t, s, tenant, "e1").ID)
	none, err := s.Waiting(ctx, s.Now().Add(-time.Minute), 10_000)
	require.NoError(t, err)
	require.Empty(t, of(tenant, none))
	all, err := s.Waiting(ctx, s.Now().Add(time.Second), 10_000)
	require.NoError(t, err)
	require.True(t, slices.IsSortedFunc(all, func(a, b results.Job) int { return a.QueuedAt.Compare(b.QueuedAt) }), "oldest first")
	own := of(tenant, all)
	require.ElementsMatch(t, want, ids(own))
	one, err := s.Waiting(ctx, s.Now().Add(time.Second), 1)
	require.NoError(t, err)
	require.Len(t, one, 1)
	for _, j := range own[1:] { // the task of one is picked up just now
		if j.ID == want[2] {
			_, err = s.Claim(ctx, j.ID, j.Attempt, "worker-1", time.Minute, time.Minute)
			require.NoError(t, err)
		}
	}
	n, err := s.Unqueue(ctx, own)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	for _, id := range want[:2] {
		j := Queue(t, s, id)
		require.Equal(t, 2, j.Attempt)
		_, err := s.Claim(ctx, id, 1, "worker-1", time.Minute, time.Minute)
		require.ErrorIs(t, err, results.ErrStale, "the lost task turns up again")
	}
	n, err = s.Unqueue(ctx, nil)
	require.NoError(t, err)
	require.Zero(t, n)
}

func jobLists(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	var all []string // newest first
	for i := range 6 {
		j := Accept(t, s, tenant, fmt.Sprintf("e%d", i%2), func(n *results.NewSubmission) { n.Sub.Site = fmt.Sprintf("s%d", i%3) })
		all = append([]string{j.ID}, all...)
	}
	Accept(t, s, NewTenant(t, s), "e1")
	Finish(t, s, Claim(t, s, all[0]))
	l := Claim(t, s, all[1])
	require.NoError(t, s.Release(ctx, results.Release{Job: all[1], Token: l.Token, Error: modelMissing, Hold: true}))
	l = Claim(t, s, all[2])
	require.NoError(t, s.Finish(ctx, results.Finish{Job: all[2], Token: l.Token, State: results.Dead}))
	yes, no := true, false
	now := s.Now()
	for _, c := range []struct {
		name string
		f    results.JobFilter
		want []string
	}{
		{"all", results.JobFilter{}, all},
		{"of a subject", results.JobFilter{Subject: "e1"}, []string{all[0], all[2], all[4]}},
		{"of a site", results.JobFilter{Site: "s2"}, []string{all[0], all[3]}},
		{"of both", results.JobFilter{Subject: "e1", Site: "s2"}, []string{all[0]}},
		{"done", results.JobFilter{States: []results.JobState{results.Done}}, all[:1]},
		{"dead", results.JobFilter{States: []results.JobState{results.Dead}}, all[2:3]},
		{"done or dead", results.JobFilter{States: []results.JobState{results.Dead, results.Done}}, []string{all[0], all[2]}},
		{"dead of a subject", results.JobFilter{Subject: "e1", States: []results.JobState{results.Dead}}, all[2:3]},
		{"held", results.JobFilter{Held: &yes}, all[1:2]},
		{"held, accepted", results.JobFilter{Held: &yes, States: []results.JobState{results.Accepted}}, all[1:2]},
		{"not held", results.JobFilter{Held: &no}, append([]string{all[0]}, all[2:]...)},
		{"since", results.JobFilter{From: now.Add(-time.Minute)}, all},
		{"later", results.JobFilter{From: now.Add(time.Minute)}, []string{}},
		{"until", results.JobFilter{To: now.Add(time.Minute)}, all},
		{"earlier", results.JobFilter{To: now.Add(-time.Minute)}, []string{}},
	} {
		got, err := s.Jobs(ctx, tenant, c.f, results.Page{})
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, ids(got), c.name)
	}
	first, err := s.Jobs(ctx, tenant, results.JobFilter{}, results.Page{Limit: 4})
	require.NoError(t, err)
	rest, err := s.Jobs(ctx, tenant, results.JobFilter{}, results.Page{After: first[3].ID, Limit: 4})
	require.NoError(t, err)
	require.Equal(t, all, ids(append(first, rest...)))
	require.Equal(t, Read(t, s, all[0]), first[0])
}

func counts(t *testing.T, s results.Store) {
	ctx := t.Context()
	one, two := NewTenant(t, s), NewTenant(t, s)
	c, err := s.Counts(ctx, "")
	require.NoError(t, err)
	require.True(t, c.Oldest.IsZero())
	require.Zero(t, c.ByState[results.Accepted])
	Finish(t, s, Claim(t, s, Accept(t, s, one, "e1").ID))
	Sequenced(t, s)
	Finish(t, s, Claim(t, s, Accept(t, s, one, "e1").ID)) // has no position yet
	l := Claim(t, s, Accept(t, s, two, "e1").ID)
	require.NoError(t, s.Release(ctx, results.Release{Job: l.Job.ID, Token: l.Token, Error: modelMissing, Hold: true}))
	Claim(t, s, Accept(t, s, two, "e1").ID)
	Queue(t, s, Accept(t, s, two, "e1").ID)
	l = Claim(t, s, Accept(t, s, two, "e1").ID)
	require.NoError(t, s.Finish(ctx, results.Finish{Job: l.Job.ID, Token: l.Token, State: results.Refused}))
	first := Accept(t, s, two, "e1", func(n *results.NewSubmission) { n.Sub.Priority = results.PriorityBulk })
	Accept(t, s, one, "e1")
	c, err = s.Counts(ctx, "")
	require.NoError(t, err)
	require.Equal(t, map[results.JobState]int64{results.Done: 2, results.Accepted: 3, results.Running: 1, results.Queued: 1, results.Refused: 1}, c.ByState)
	require.EqualValues(t, 1, c.Held)
	require.Equal(t, first.CreatedAt, c.Oldest)
	c, err = s.Counts(ctx, one)
	require.NoError(t, err)
	require.Equal(t, map[results.JobState]int64{results.Done: 2, results.Accepted: 1}, c.ByState)
	require.Zero(t, c.Held)
}

// renewWhileEnding: leases of many jobs are renewed in one statement while groups of them end.
func renewWhileEnding(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	worker := NewID()
	var list []results.Finish
	for range 30 {
		j := Queue(t, s, Accept(t, s, tenant, "e1").ID)
		l, err := s.Claim(t.Context(), j.ID, j.Attempt, worker, time.Minute, time.Minute)
		require.NoError(t, err)
		list = append(list, Ending(s, l))
	}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	var left sync.WaitGroup
	for group := range slices.Chunk(list, 5) {
		left.Go(func() {
			slices.Reverse(group)
			for _, err := range s.FinishMany(ctx, group) {
				require.NoError(t, err)
			}
		})
	}
	ended := make(chan struct{})
	go func() { left.Wait(); close(ended) }()
	for going := true; going; {
		select {
		case <-ended:
			going = false
		default:
		}
		_, err := s.Renew(ctx, worker, time.Minute)
		require.NoError(t, err)
	}
	own, err := s.Renew(ctx, worker, time.Minute)
	require.NoError(t, err)
	require.Empty(t, own)
}
