package workers_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/workers"
	"onsite/workers/queue"
)

func TestFlushInTheMiddle(t *testing.T) {
	s := newStand(t)
	began := make(chan struct{}, 1000)
	s.core.does(func(_ context.Context, l results.Lease) (results.Finish, error) {
		began <- struct{}{}
		return pass(l), nil
	})
	jobs := s.accept(s.tenant("a"), many, results.PriorityClockIn)
	s.service()
	for n := range many / 2 {
		<-began
		if n%(many/10) == 0 {
			s.redis.Flush()
		}
	}
	s.done(jobs...)
}

func TestRedisKilledAndRestartedInTheMiddle(t *testing.T) {
	s := newStand(t)
	began := make(chan struct{}, 1000)
	s.core.does(func(_ context.Context, l results.Lease) (results.Finish, error) {
		began <- struct{}{}
		return pass(l), nil
	})
	jobs := s.accept(s.tenant("a"), 100, results.PriorityClockIn)
	s.service()
	for range 30 {
		<-began
	}
	s.redis.Kill()
	for range 30 {
		<-began
	}
	s.redis.Down()
	s.redis.Up()
	s.done(jobs...)
}

// TestRedisHangs: leases and the end of jobs do not need Redis.
func TestRedisHangs(t *testing.T) {
	s := newStand(t)
	began, release := make(chan struct{}, 10), make(chan struct{})
	s.core.does(func(ctx context.Context, l results.Lease) (results.Finish, error) {
		began <- struct{}{}
		select {
		case <-release:
			return pass(l), nil
		case <-ctx.Done():
			return results.Finish{}, ctx.Err()
		}
	})
	s.worker(func(w *workers.Worker) { w.Lease, w.RenewEvery = 2*time.Second, 100*time.Millisecond }) // a busy machine may halt us for a second
	s.dispatcher()
	s.reconciler()
	jobs := s.accept(s.tenant("a"), 4, results.PriorityClockIn)
	for range jobs {
		<-began
	}
	s.redis.Pause()
	time.Sleep(5 * time.Second) // several leases long; there is no signal for "nothing happened"
	close(release)
	s.done(jobs...)
	s.redis.Resume()
	for _, j := range jobs {
		require.Equal(t, 1, s.core.ran(j))
	}
}

// TestOldTasks: what an old dump of Redis brings back claims nothing.
func TestOldTasks(t *testing.T) {
	s := newStand(t)
	s.service()
	jobs := s.accept(s.tenant("a"), 5, results.PriorityClockIn)
	s.done(jobs...)
	var old []results.Job
	for _, id := range jobs {
		for attempt := 1; attempt < 4; attempt++ {
			old = append(old, results.Job{ID: id, Attempt: attempt})
		}
	}
	old = append(old, results.Job{ID: "01JD0000000000000000000000", Attempt: 1})
	_, err := s.queue.Enqueue(t.Context(), old)
	require.NoError(t, err)
	require.Eventually(t, func() bool { // the tasks are consumed; nothing else happens
		states, err := s.queue.States(t.Context(), old)
		return err == nil && !slices.ContainsFunc(states, func(s queue.State) bool { return s != queue.Missing })
	}, soon, 20*time.Millisecond)
	for _, j := range jobs {
		require.Equal(t, 1, s.core.ran(j))
		require.Equal(t, 1, s.store.count(j))
	}
}

// TestDispatcherDies between marking a job as queued and writing its task.
func TestDispatcherDies(t *testing.T) {
	s := newStand(t)
	jobs := s.accept(s.tenant("a"), 10, results.PriorityClockIn)
	queued, err := s.store.Dispatch(t.Context(), 10, results.PriorityBulk)
	require.NoError(t, err)
	require.Len(t, queued, 10)
	s.service()
	s.done(jobs...)
	for _, j := range jobs {
		require.Equal(t, 2, s.job(j).Attempt)
	}
}

// TestTaskTakenByTheDead: a worker dies after it took a task and before it claimed the job.
func TestTaskTakenByTheDead(t *testing.T) {
	s := newStand(t)
	took, release := make(chan struct{}), make(chan struct{})
	dead, err := s.queue.Serve(1, func(context.Context, queue.Task) { close(took); <-release })
	require.NoError(t, err)
	defer dead.Close()
	defer close(release)
	s.dispatcher()
	job := s.accept(s.tenant("a"), 1, results.PriorityClockIn)[0]
	<-took
	s.worker()
	s.reconciler()
	s.done(job)
}

// TestTaskOffTheList: Redis has the task and will never give it to anybody.
func TestTaskOffTheList(t *testing.T) {
	s := newStand(t)
	d := s.dispatcher()
	job := s.accept(s.tenant("a"), 1, results.PriorityClockIn)[0]
	require.Eventually(t, func() bool {
		n, err := s.redis.Client().Del(t.Context(), "asynq:{clockin}:pending").Result()
		return err == nil && n == 1
	}, soon, 5*time.Millisecond)
	require.NoError(t, d.stop(t))
	there, err := s.queue.Exists(t.Context(), results.Job{ID: job, Attempt: 1, Priority: results.PriorityClockIn})
	require.NoError(t, err)
	require.True(t, there)
	s.service()
	s.done(job)
}

// TestRestartWithABacklog: everything stops with jobs waiting, and goes on.
func TestRestartWithABacklog(t *testing.T) {
	s := newStand(t)
	began := make(chan struct{}, 1000)
	s.core.does(func(_ context.Context, l results.Lease) (results.Finish, error) {
		began <- struct{}{}
		return pass(l), nil
	})
	jobs := s.accept(s.tenant("a"), many, results.PriorityBulk)
	w, d, r := s.worker(), s.dispatcher(), s.reconciler()
	for range many / 5 {
		<-began
	}
	for _, part := range []*running{w, d, r} {
		require.NoError(t, part.stop(t))
	}
	s.redis.Down()
	s.redis.Up()
	s.service()
	s.done(jobs...)
}

// TestDispatcherWaitsForRedis: while Redis is away no attempts are spent.
func TestDispatcherWaitsForRedis(t *testing.T) {
	s := newStand(t)
	s.redis.Down()
	s.dispatcher()
	s.reconciler()
	jobs := s.accept(s.tenant("a"), 20, results.PriorityClockIn)
	time.Sleep(time.Second) // there is no signal for "nothing happened"
	for _, id := range jobs {
		require.Equal(t, results.Accepted, s.job(id).State)
		require.Zero(t, s.job(id).Attempt)
	}
	s.worker()
	s.redis.Up()
	s.done(jobs...)
}

// TestWindow: Redis holds a window, not the backlog.
func TestWindow(t *testing.T) {
	s := newStand(t)
	s.dispatcher(func(d *workers.Dispatcher) { d.Window = 30 })
	jobs := s.accept(s.tenant("a"), 100, results.PriorityBulk)
	require.Eventually(t, func() bool {
		d, err := s.queue.Depth(t.Context())
		return err == nil && d[queue.Bulk] == 30
	}, soon, 10*time.Millisecond)
	counts, err := s.store.Counts(t.Context(), "")
	require.NoError(t, err)
	require.LessOrEqual(t, counts.ByState[results.Queued], int64(30))
	s.worker()
	s.done(jobs...)
}
