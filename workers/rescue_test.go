package workers_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/workers"
)

// TestRescueWithoutRedis: the job of a worker that died runs again although Redis is away and nobody dispatches; one that never ran waits.
func TestRescueWithoutRedis(t *testing.T) {
	s := newStand(t)
	s.redis.Down()
	tenant := s.tenant("a")
	job := s.accept(tenant, 1, results.PriorityClockIn)[0]
	queued, err := s.store.Dispatch(t.Context(), 1, results.PriorityBulk)
	require.NoError(t, err)
	_, err = s.store.Claim(t.Context(), job, queued[0].Attempt, "dead", time.Millisecond, time.Minute)
	require.NoError(t, err)
	fresh := s.accept(tenant, 1, results.PriorityClockIn)[0]
	s.reconciler()
	w := s.worker(func(w *workers.Worker) { w.RescueAfter, w.RescueEvery = 50*time.Millisecond, 10*time.Millisecond })
	s.done(job)
	require.Equal(t, 1, s.job(job).Crashes)
	require.Equal(t, results.Accepted, s.job(fresh).State)
	require.NoError(t, w.stop(t))
}

// TestRescueInTheMiddle: a job whose task is lost again and again is run once, by whoever claims it first.
func TestRescueInTheMiddle(t *testing.T) {
	s := newStand(t)
	jobs := s.accept(s.tenant("a"), 20, results.PriorityClockIn)
	for range jobs { // all of them ran before
		queued, err := s.store.Dispatch(t.Context(), 1, results.PriorityBulk)
		require.NoError(t, err)
		l, err := s.store.Claim(t.Context(), queued[0].ID, queued[0].Attempt, "before", time.Minute, time.Minute)
		require.NoError(t, err)
		require.NoError(t, s.store.Release(t.Context(), results.Release{Job: l.Job.ID, Token: l.Token, Hold: true}))
	}
	for _, id := range jobs {
		_, err := s.store.Requeue(t.Context(), "a", id, s.audit("a", "job.requeued"))
		require.NoError(t, err)
	}
	s.dispatcher()
	for range 2 {
		s.worker(func(w *workers.Worker) { w.RescueAfter, w.RescueEvery = time.Nanosecond, time.Millisecond })
	}
	s.done(jobs...)
	for _, id := range jobs {
		require.Equal(t, 1, s.store.count(id), "one end")
	}
}
