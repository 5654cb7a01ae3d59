package workers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/results/object"
	"onsite/workers"
)

func TestEndToEnd(t *testing.T) {
	s := newStand(t)
	a, b := s.tenant("a"), s.tenant("b")
	s.service()
	feed := s.bell.Listen(t.Context(), results.BellFeed)
	s.run((&workers.Sequencer{Store: s.store, Bell: s.bell, Name: "s", Logger: s.log}).Run)
	jobs := slices.Concat(s.accept(a, 3*many/5, results.PriorityClockIn), s.accept(b, many/5, results.PriorityBulk), s.accept(b, many/5, results.PriorityReverify))
	s.done(jobs...)
	for tenant, want := range map[string]int64{a: 3 * many / 5, b: 2 * many / 5} {
		for position := int64(0); position < want; {
			var err error
			position, err = s.store.Position(t.Context(), tenant)
			require.NoError(t, err)
			if position < want {
				<-feed
			}
		}
		changes, err := s.store.Changes(t.Context(), tenant, 0, 500)
		require.NoError(t, err)
		require.Len(t, changes, int(want), "a reader misses none")
	}
	for _, j := range jobs {
		require.Equal(t, 1, s.core.ran(j))
	}
	n, err := s.redis.Client().DBSize(t.Context()).Result()
	require.NoError(t, err)
	require.Less(t, n, int64(30), "tasks leave nothing in Redis")
}

// TestDeadWorker: a worker that is cut off from the store loses its job to another one; what it brings later is stale.
func TestDeadWorker(t *testing.T) {
	s := newStand(t)
	began, release := make(chan struct{}, 10), make(chan struct{})
	cut := errors.New("cut off")
	dead := &core{runs: map[string]int{}, run: func(_ context.Context, l results.Lease) (results.Finish, error) {
		began <- struct{}{}
		<-release // it does not hear that its lease was lost
		return pass(l), nil
	}}
	isolated := &store{Store: s.store.Store, verdicts: map[string]int{}, events: map[string][]string{}}
	isolated.faults(func(call string) error {
		if call == "renew" {
			return fmt.Errorf("%w: %w", results.ErrAway, cut)
		}
		return nil
	}, nil)
	first := s.worker(func(w *workers.Worker) {
		w.Store, w.Core, w.Name, w.Concurrency, w.Lease = isolated, dead, "first", 1, 500*time.Millisecond
	})
	s.dispatcher()
	s.reconciler()
	job := s.accept(s.tenant("a"), 1, results.PriorityClockIn)[0]
	<-began
	lost := time.Now()
	s.worker(func(w *workers.Worker) { w.Name = "second" })
	s.done(job)
	require.Less(t, time.Since(lost), 15*time.Second)
	j := s.job(job)
	require.Equal(t, 1, j.Crashes)
	require.Zero(t, j.Failures)
	close(release)
	require.NoError(t, first.stop(t))
	require.Zero(t, isolated.count(job), "the late commit is stale")
	require.Equal(t, j, s.job(job))
}

// TestLeaseLost: a worker that hears that its lease is gone ends the attempt silently.
func TestLeaseLost(t *testing.T) {
	s := newStand(t)
	causes := make(chan error, 1)
	began := make(chan struct{}, 2)
	var once atomic.Bool
	s.core.does(func(ctx context.Context, l results.Lease) (results.Finish, error) {
		began <- struct{}{}
		if once.Swap(true) {
			return pass(l), nil
		}
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return results.Finish{}, ctx.Err()
	})
	s.worker()
	s.dispatcher()
	job := s.accept(s.tenant("a"), 1, results.PriorityClockIn)[0]
	<-began
	// Somebody whose clock is wrong takes the job away.
	taken, err := s.store.Reclaim(t.Context(), time.Millisecond, 5)
	require.NoError(t, err)
	require.Len(t, taken, 1)
	require.ErrorContains(t, <-causes, "lease was lost")
	s.bell.Ring(t.Context(), results.BellWork)
	s.done(job)
	require.Equal(t, 2, s.core.ran(job))
	require.Zero(t, s.job(job).Failures)
}

func TestHungCore(t *testing.T) {
	s := newStand(t)
	release := make(chan struct{})
	began := make(chan string, 10)
	var hang atomic.Value
	s.core.does(func(_ context.Context, l results.Lease) (results.Finish, error) {
		began <- l.Job.ID
		if hang.CompareAndSwap(nil, l.Job.ID) {
			<-release // in a call that nothing can end
			return pass(l), nil
		}
		return pass(l), nil
	})
	w := s.worker(func(w *workers.Worker) { w.AttemptTimeout, w.Grace = 500*time.Millisecond, 200*time.Millisecond })
	s.dispatcher()
	s.reconciler()
	job := s.accept(s.tenant("a"), 1, results.PriorityClockIn)[0]
	<-began
	require.ErrorIs(t, w.wait(t), workers.ErrHung)
	s.worker() // what the supervisor starts
	s.done(job)
	require.Equal(t, 1, s.job(job).Crashes)
	close(release)
	s.becomes(job, func(j results.Job) bool { return j.Revision == 1 })
}

// TestSlowCore: a core that heeds its deadline costs the job a failure, and the worker nothing.
func TestSlowCore(t *testing.T) {
	s := newStand(t)
	s.core.does(func(ctx context.Context, l results.Lease) (results.Finish, error) {
		<-ctx.Done()
		return results.Finish{}, ctx.Err()
	})
	s.worker(func(w *workers.Worker) {
		w.AttemptTimeout, w.Backoff = 100*time.Millisecond, []time.Duration{time.Millisecond}
	})
	s.dispatcher()
	s.reconciler()
	job := s.accept(s.tenant("a"), 1, results.PriorityClockIn)[0]
	s.ends(job)
	j := s.job(job)
	require.Equal(t, results.Dead, j.State)
	require.Equal(t, workers.RuleTimeout, j.Error.Rule)
	require.Zero(t, j.Crashes)
	require.Equal(t, 2, s.core.ran(job))
}

func TestDrainLetsJobsFinish(t *testing.T) {
	s := newStand(t)
	began, release := make(chan struct{}, 10), make(chan struct{})
	s.core.does(func(_ context.Context, l results.Lease) (results.Finish, error) {
		began <- struct{}{}
		<-release
		return pass(l), nil
	})
	w := s.worker(func(w *workers.Worker) { w.Concurrency = 2 })
	s.dispatcher()
	jobs := s.accept(s.tenant("a"), 6, results.PriorityClockIn)
	<-began
	<-began
	w.cancel()
	close(release)
	require.NoError(t, w.wait(t))
	counts, err := s.store.Counts(t.Context(), "")
	require.NoError(t, err)
	require.Zero(t, counts.ByState[results.Running])
	require.Equal(t, int64(2), counts.ByState[results.Done])
	s.worker()
	s.reconciler()
	s.done(jobs...)
}

func TestDrainGivesTheRestBack(t *testing.T) {
	s := newStand(t)
	began := make(chan struct{}, 10)
	var second atomic.Bool
	s.core.does(func(ctx context.Context, l results.Lease) (results.Finish, error) {
		if second.Load() {
			return pass(l), nil
		}
		began <- struct{}{}
		<-ctx.Done()
		return results.Finish{}, fmt.Errorf("decode: %w", ctx.Err())
	})
	w := s.worker(func(w *workers.Worker) { w.DrainTimeout = 50 * time.Millisecond })
	s.dispatcher()
	job := s.accept(s.tenant("a"), 1, results.PriorityClockIn)[0]
	<-began
	second.Store(true)
	require.NoError(t, w.stop(t))
	j := s.job(job)
	require.Contains(t, []results.JobState{results.Accepted, results.Queued}, j.State)
	require.Zero(t, j.Failures)
	require.Zero(t, j.Crashes)
	s.worker()
	s.done(job)
}

func TestDrainLeavesAHungCallBehind(t *testing.T) {
	s := newStand(t)
	began, release := make(chan struct{}, 10), make(chan struct{})
	var second atomic.Bool
	s.core.does(func(_ context.Context, l results.Lease) (results.Finish, error) {
		if !second.Swap(true) {
			began <- struct{}{}
			<-release
		}
		return pass(l), nil
	})
	w := s.worker(func(w *workers.Worker) { w.DrainTimeout, w.Grace = 50*time.Millisecond, 100*time.Millisecond })
	s.dispatcher()
	job := s.accept(s.tenant("a"), 1, results.PriorityClockIn)[0]
	<-began
	require.ErrorIs(t, w.stop(t), workers.ErrHung)
	require.Zero(t, s.job(job).Crashes, "it was given back, not left to its lease")
	s.worker()
	s.done(job)
	close(release)
}

func TestTwoOfEach(t *testing.T) {
	s := newStand(t)
	for range 2 {
		s.service()
	}
	jobs := slices.Concat(s.accept(s.tenant("a"), 50, results.PriorityClockIn), s.accept(s.tenant("b"), 50, results.PriorityBulk))
	s.done(jobs...)
	for _, j := range jobs {
		require.Equal(t, 1, s.core.ran(j))
	}
}

// TestFairness: tenants take turns, and a clock-in that comes late goes before the bulk that waits.
func TestFairness(t *testing.T) {
	s := newStand(t)
	began, step := make(chan string), make(chan struct{})
	s.core.does(func(_ context.Context, l results.Lease) (results.Finish, error) {
		began <- l.Sub.Tenant
		<-step
		return pass(l), nil
	})
	big, small := s.tenant("big"), s.tenant("small")
	jobs := slices.Concat(s.accept(big, 40, results.PriorityBulk), s.accept(small, 5, results.PriorityBulk))
	s.worker(func(w *workers.Worker) { w.Concurrency = 1 })
	s.dispatcher(func(d *workers.Dispatcher) { d.Window = 4 })
	first := map[string]int{}
	for range 10 {
		first[<-began]++
		step <- struct{}{}
	}
	require.GreaterOrEqual(t, first["small"], 4, "tenants take turns, whatever their backlog")

	late := s.tenant("late")
	<-began // one runs, so the clock-in has to wait for it only
	jobs = append(jobs, s.accept(late, 1, results.PriorityClockIn)...)
	place := 0
	step <- struct{}{}
	for who := ""; who != late; place++ {
		who = <-began
		step <- struct{}{}
	}
	require.LessOrEqual(t, place, 5, "it waits for the window at most")
	go func() {
		for range began {
			step <- struct{}{}
		}
	}()
	s.done(jobs...)
	close(began)
}

func TestFailuresAndBackoff(t *testing.T) {
	s := newStand(t)
	waits := []time.Duration{50 * time.Millisecond, 100 * time.Millisecond}
	var at []time.Time
	var fixed atomic.Bool
	s.core.does(func(_ context.Context, l results.Lease) (results.Finish, error) {
		if fixed.Load() {
			return pass(l), nil
		}
		at = append(at, time.Now())
		return results.Finish{}, errors.New("the moon is in the wrong phase")
	})
	s.worker(func(w *workers.Worker) { w.Backoff = waits })
	s.dispatcher()
	job := s.accept(s.tenant("a"), 1, results.PriorityClockIn)[0]
	s.ends(job)
	j := s.job(job)
	require.Equal(t, results.Dead, j.State)
	require.Equal(t, len(waits)+1, j.Failures)
	require.Equal(t, workers.RuleFailed, j.Error.Rule)
	require.NotContains(t, j.Error.Text.EN+j.Error.Text.ZH, "moon")
	require.Len(t, at, len(waits)+1)
	for i, w := range waits {
		require.GreaterOrEqual(t, at[i+1].Sub(at[i]), w*4/5)
	}
	require.Equal(t, []string{"job.dead"}, s.store.told(job))

	fixed.Store(true)
	_, err := s.store.Requeue(t.Context(), "a", job, s.audit("a", "job.requeued"))
	require.NoError(t, err)
	s.bell.Ring(t.Context(), results.BellWork)
	s.done(job)
}

func TestPanic(t *testing.T) {
	s := newStand(t)
	s.core.does(func(context.Context, results.Lease) (results.Finish, error) { panic("a bug with e1's name in it") })
	s.service()
	job := s.accept(s.tenant("a"), 1, results.PriorityClockIn)[0]
	s.ends(job)
	j := s.job(job)
	require.Equal(t, results.Dead, j.State)
	require.Equal(t, workers.RuleCrashed, j.Error.Rule)
	require.NotContains(t, j.Error.Text.EN, "e1")
	require.Equal(t, 4, s.core.ran(job))
}

// TestCoreWithoutAVerdict: a core that breaks its word costs a failure, not the job's truth.
func TestCoreWithoutAVerdict(t *testing.T) {
	s := newStand(t)
	var good atomic.Bool
	s.core.does(func(_ context.Context, l results.Lease) (results.Finish, error) {
		if good.Swap(true) {
			return pass(l), nil
		}
		return results.Finish{State: results.Done}, nil
	})
	s.service()
	job := s.accept(s.tenant("a"), 1, results.PriorityClockIn)[0]
	s.done(job)
	require.Equal(t, 1, s.job(job).Failures)
}

// TestDeadAfterCrashes: a job that takes its worker with it, again and again, is given up.
func TestDeadAfterCrashes(t *testing.T) {
	s := newStand(t)
	isolated := &store{Store: s.store.Store, verdicts: map[string]int{}, events: map[string][]string{}}
	isolated.faults(func(call string) error {
		if call == "renew" || call == "finish" || call == "release" {
			return results.ErrAway
		}
		return nil
	}, nil)
	w := s.worker(func(w *workers.Worker) {
		w.Store, w.Lease, w.AttemptTimeout, w.Grace = isolated, 100*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
	})
	s.dispatcher()
	s.reconciler(func(r *workers.Reconciler) { r.MaxCrashes = 3 })
	job := s.accept(s.tenant("a"), 1, results.PriorityClockIn)[0]
	s.ends(job)
	j := s.job(job)
	require.Equal(t, results.Dead, j.State)
	require.Equal(t, 3, j.Crashes)
	require.NotNil(t, j.Error)
	require.NotEmpty(t, j.Error.Text.ZH)
	w.cancel()
	_ = w.wait(t)
}

func TestStoreAwayWhileFinishing(t *testing.T) {
	s := newStand(t)
	var tries atomic.Int32
	s.store.faults(func(call string) error {
		if call == "finish" && tries.Add(1) <= 3 {
			return fmt.Errorf("finish: %w", results.ErrAway)
		}
		return nil
	}, nil)
	s.service()
	job := s.accept(s.tenant("a"), 1, results.PriorityClockIn)[0]
	s.done(job)
	require.Equal(t, 1, s.core.ran(job), "the work is not lost")
}

// TestFinishAnswerLost: the connection breaks after the commit; the job has one verdict and everybody hears of it.
func TestFinishAnswerLost(t *testing.T) {
	s := newStand(t)
	var lost atomic.Bool
	s.store.faults(nil, func(call string) error {
		if call == "finish" && !lost.Swap(true) {
			return fmt.Errorf("finish: %w", results.ErrAway)
		}
		return nil
	})
	tenant := s.tenant("a")
	heard := s.bell.Listen(t.Context(), results.BellVerdict)
	s.service()
	job := s.accept(tenant, 1, results.PriorityClockIn)[0]
	s.done(job)
	require.Equal(t, 1, s.core.ran(job))
	select {
	case <-heard:
	case <-time.After(soon):
		require.FailNow(t, "nobody was told")
	}
}

// TestClaimAnswerLost: the store thinks that the job runs here, and nobody else may have it; it is given back at once.
func TestClaimAnswerLost(t *testing.T) {
	s := newStand(t)
	var lost atomic.Bool
	s.store.faults(nil, func(call string) error {
		if call == "claim" && !lost.Swap(true) {
			return fmt.Errorf("claim: %w", results.ErrAway)
		}
		return nil
	})
	s.service()
	job := s.accept(s.tenant("a"), 1, results.PriorityClockIn)[0]
	s.done(job)
	require.Equal(t, 1, s.core.ran(job))
	require.Zero(t, s.job(job).Crashes, "it did not have to wait for its lease")
}

func TestStoreAwayWhileClaiming(t *testing.T) {
	s := newStand(t)
	var tries atomic.Int32
	s.store.faults(func(call string) error {
		if (call == "claim" || call == "dispatch") && tries.Add(1)%3 != 0 {
			return results.ErrAway
		}
		return nil
	}, nil)
	s.service()
	s.done(s.accept(s.tenant("a"), 12, results.PriorityClockIn)...)
}

func TestRefusedWithItsOwnCopy(t *testing.T) {
	s := newStand(t)
	tenant := s.tenant("a")
	s.core.does(func(_ context.Context, l results.Lease) (results.Finish, error) {
		key := tenant + "/e1/01JD0000000000000000000009"
		return results.Finish{Media: &results.Media{Key: key, SHA256: "aa", Bytes: 2, Name: "clip.mp4"}, Keep: []string{key}}, fmt.Errorf("copy: %w", object.ErrNotFound)
	})
	s.service()
	job := s.accept(tenant, 1, results.PriorityClockIn)[0]
	s.ends(job)
	j := s.job(job)
	require.Equal(t, results.Dead, j.State)
	require.Equal(t, workers.RuleGone, j.Error.Rule)
	require.Equal(t, 1, s.core.ran(job))
	sub, err := s.store.Submission(t.Context(), job)
	require.NoError(t, err)
	require.Equal(t, tenant+"/e1/01JD0000000000000000000009", sub.Media.Key)
	require.Len(t, s.store.ending().Deadline, 1, "what is kept has an end")
	require.WithinDuration(t, time.Now().AddDate(0, 0, 90), s.store.ending().Deadline[0].Due, time.Hour)
}

func TestTriedAgainWithItsOwnCopy(t *testing.T) {
	s := newStand(t)
	tenant := s.tenant("a")
	key := tenant + "/e1/01JD0000000000000000000008"
	require.NoError(t, s.store.Pend(t.Context(), []string{key}))
	var saw atomic.Value
	s.core.does(func(_ context.Context, l results.Lease) (results.Finish, error) {
		if l.Job.Attempt == 1 {
			return results.Finish{Media: &results.Media{Key: key, SHA256: "aa", Bytes: 2, Name: "clip.mp4"}, Keep: []string{key, tenant + "/e1/other"}}, errors.New("for now")
		}
		saw.Store(l.Sub.Media)
		return results.Finish{}, fmt.Errorf("copy: %w", object.ErrNotFound)
	})
	s.service()
	job := s.accept(tenant, 1, results.PriorityClockIn)[0]
	s.ends(job)
	require.Equal(t, results.Media{Key: key, SHA256: "aa", Bytes: 2, Name: "clip.mp4"}, saw.Load(), "the copy of the first attempt")
	left, err := s.store.Orphans(t.Context(), s.store.Now().Add(time.Hour), 100)
	require.NoError(t, err)
	require.NotContains(t, left, key)
}
