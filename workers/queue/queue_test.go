package queue_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/workers/queue"
	"onsite/workers/queue/queuetest"
)

// soon bounds waits for what does come.
const soon = time.Minute

func jobs(n int, p results.Priority) []results.Job {
	out := make([]results.Job, n)
	for i := range out {
		out[i] = results.Job{ID: ulid.Make().String(), Attempt: 1, Priority: p}
	}
	return out
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(soon):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

func TestTasksGoThrough(t *testing.T) {
	q := queuetest.Start(t).Queue()
	require.NoError(t, q.Check(t.Context()))
	want := jobs(100, results.PriorityClockIn)
	want[7].TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	lost, err := q.Enqueue(t.Context(), want)
	require.NoError(t, err)
	require.Empty(t, lost)
	// The same again is no error and no second task.
	lost, err = q.Enqueue(t.Context(), want)
	require.NoError(t, err)
	require.Empty(t, lost)
	depth, err := q.Depth(t.Context())
	require.NoError(t, err)
	require.Equal(t, queue.Depth{queue.Again: 0, queue.ClockIn: 100, queue.Reverify: 0, queue.Bulk: 0}, depth)

	got := make(chan queue.Task)
	s, err := q.Serve(4, func(_ context.Context, task queue.Task) { got <- task })
	require.NoError(t, err)
	defer s.Close()
	seen := map[string]queue.Task{}
	for range want {
		task := receive(t, got)
		require.NotContains(t, seen, task.Job)
		seen[task.Job] = task
	}
	require.Equal(t, want[7].TraceParent, seen[want[7].ID].TraceParent)
	s.Close()
	depth, err = q.Depth(t.Context())
	require.NoError(t, err)
	require.Zero(t, depth[queue.ClockIn])
	states, err := q.States(t.Context(), want)
	require.NoError(t, err)
	require.Equal(t, make([]queue.State, len(want)), states, "nothing is kept")
}

func TestPriorityIsStrict(t *testing.T) {
	q := queuetest.Start(t).Queue()
	var all []results.Job
	for _, p := range []results.Priority{results.PriorityBulk, results.PriorityReverify, results.PriorityClockIn} {
		all = append(all, jobs(5, p)...)
	}
	again := jobs(5, results.PriorityClockIn)
	for i := range again {
		again[i].Error = &results.JobError{Rule: results.RuleCrashed}
	}
	all = append(all, again...)
	_, err := q.Enqueue(t.Context(), all)
	require.NoError(t, err)
	of := map[string]string{}
	for _, j := range all {
		of[j.ID] = queue.Name(j)
	}
	got := make(chan string, len(all))
	s, err := q.Serve(1, func(_ context.Context, task queue.Task) { got <- task.Job })
	require.NoError(t, err)
	defer s.Close()
	order := []string{queue.Again, queue.ClockIn, queue.Reverify, queue.Bulk}
	for i := range all {
		require.Equal(t, order[i/5], of[receive(t, got)], i)
	}
}

// TestStatesAreAsynqs holds our reading of asynq's keys against its own.
func TestStatesAreAsynqs(t *testing.T) {
	srv := queuetest.Start(t)
	q := srv.Queue()
	inspector := asynq.NewInspector(srv.Options())
	defer inspector.Close()
	all := jobs(3, results.PriorityReverify)
	_, err := q.Enqueue(t.Context(), all[:2])
	require.NoError(t, err)

	taken, release := make(chan string, len(all)), make(chan struct{}) // the second job may begin before the server is closed
	s, err := q.Serve(1, func(_ context.Context, task queue.Task) { taken <- task.Job; <-release })
	require.NoError(t, err)
	defer s.Close()
	defer close(release)
	first := receive(t, taken)
	states, err := q.States(t.Context(), all)
	require.NoError(t, err)
	for i, j := range all {
		info, err := inspector.GetTaskInfo(queue.Reverify, j.ID+".1")
		if errors.Is(err, asynq.ErrTaskNotFound) {
			require.Equal(t, queue.Missing, states[i])
			continue
		}
		require.NoError(t, err)
		require.Equal(t, info.State.String(), string(states[i]))
		require.Equal(t, j.ID == first, states[i] == queue.Active)
		there, err := q.Exists(t.Context(), j)
		require.NoError(t, err)
		require.True(t, there)
		require.Equal(t, 10*time.Minute, info.Timeout)
		require.Zero(t, info.MaxRetry)
		require.Zero(t, info.Retention)
		require.WithinDuration(t, time.Now().Add(24*time.Hour), info.Deadline, time.Minute)
	}
	next := all[0]
	next.Attempt = 2
	there, err := q.Exists(t.Context(), next)
	require.NoError(t, err)
	require.False(t, there, "another attempt is another task")
}

func TestAfterFlush(t *testing.T) {
	srv := queuetest.Start(t)
	q := srv.Queue()
	all := jobs(2, results.PriorityBulk)
	_, err := q.Enqueue(t.Context(), all)
	require.NoError(t, err)
	srv.Flush()
	states, err := q.States(t.Context(), all)
	require.NoError(t, err)
	require.Equal(t, []queue.State{queue.Missing, queue.Missing}, states)
	// asynq's client does not register the queue again; what is written now is seen all the same.
	_, err = q.Enqueue(t.Context(), all)
	require.NoError(t, err)
	states, err = q.States(t.Context(), all)
	require.NoError(t, err)
	require.Equal(t, []queue.State{queue.Waiting, queue.Waiting}, states)
	_, err = q.Depth(t.Context())
	require.NoError(t, err)
	inspector := asynq.NewInspector(srv.Options())
	defer inspector.Close()
	_, err = inspector.GetTaskInfo(queue.Bulk, all[0].ID+".1")
	require.NoError(t, err, "tools see the queue again")
}

func TestTidyDeletesWhatAsynqGaveUp(t *testing.T) {
	srv := queuetest.Start(t)
	q := srv.Queue()
	all := jobs(2, results.PriorityBulk)
	_, err := q.Enqueue(t.Context(), all)
	require.NoError(t, err)
	inspector := asynq.NewInspector(srv.Options())
	defer inspector.Close()
	require.NoError(t, inspector.ArchiveTask(queue.Bulk, all[0].ID+".1"))
	there, err := q.Exists(t.Context(), all[0])
	require.NoError(t, err)
	require.False(t, there, "nobody will take an archived task")
	n, err := q.Tidy(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	states, err := q.States(t.Context(), all)
	require.NoError(t, err)
	require.Equal(t, []queue.State{queue.Missing, queue.Waiting}, states)
}

func TestForeignTasksAreDropped(t *testing.T) {
	srv := queuetest.Start(t)
	q := srv.Queue()
	client := asynq.NewClient(srv.Options())
	defer client.Close()
	_, err := client.Enqueue(asynq.NewTask("mail", []byte("{}")), asynq.Queue(queue.ClockIn), asynq.MaxRetry(0))
	require.NoError(t, err)
	_, err = client.Enqueue(asynq.NewTask(queue.TaskType, []byte("\x00\xff")), asynq.Queue(queue.ClockIn), asynq.MaxRetry(0))
	require.NoError(t, err)
	good := jobs(1, results.PriorityClockIn)
	_, err = q.Enqueue(t.Context(), good)
	require.NoError(t, err)
	got := make(chan string, 3)
	s, err := q.Serve(1, func(_ context.Context, task queue.Task) { got <- task.Job })
	require.NoError(t, err)
	defer s.Close()
	require.Equal(t, good[0].ID, receive(t, got))
	s.Close()
	require.Empty(t, got)
	archived, err := srv.Client().ZCard(t.Context(), "asynq:{clockin}:archived").Result()
	require.NoError(t, err)
	require.Zero(t, archived)
}

func TestRedisAway(t *testing.T) {
	t.Parallel()
	srv := queuetest.Start(t)
	q := srv.Queue()
	srv.Down()
	all := jobs(200, results.PriorityBulk)
	began := time.Now()
	lost, err := q.Enqueue(t.Context(), all)
	require.ErrorIs(t, err, queue.ErrAway)
	require.Len(t, lost, len(all))
	require.ErrorIs(t, q.Check(t.Context()), queue.ErrAway)
	require.ErrorIs(t, q.Ping(t.Context()), queue.ErrAway)
	_, err = q.Depth(t.Context())
	require.ErrorIs(t, err, queue.ErrAway)
	_, err = q.States(t.Context(), all)
	require.ErrorIs(t, err, queue.ErrAway)
	_, err = q.Exists(t.Context(), all[0])
	require.ErrorIs(t, err, queue.ErrAway)
	_, err = q.Tidy(t.Context())
	require.ErrorIs(t, err, queue.ErrAway)
	_, err = q.Concurrency()
	require.ErrorIs(t, err, queue.ErrAway)
	require.Less(t, time.Since(began), 10*time.Second, "nobody hangs on a Redis that is away")

	// A server starts without it and serves when it is there.
	got := make(chan string, len(all))
	s, err := q.Serve(4, func(_ context.Context, task queue.Task) { got <- task.Job })
	require.NoError(t, err)
	defer s.Close()
	srv.Up()
	require.Eventually(t, func() bool { // the client dials again within a second
		lost, err = q.Enqueue(t.Context(), lost)
		return err == nil
	}, soon, 50*time.Millisecond)
	for range all {
		receive(t, got)
	}
}

func TestServerEndsWhileRedisHangs(t *testing.T) {
	t.Parallel()
	srv := queuetest.Start(t)
	o := srv.Options()
	o.Timeout = 500 * time.Millisecond
	q, err := queue.Open(o, nil)
	require.NoError(t, err)
	defer q.Close()
	_, err = q.Enqueue(t.Context(), jobs(1, results.PriorityBulk))
	require.NoError(t, err)
	taken := make(chan struct{})
	release := make(chan struct{})
	s, err := q.Serve(2, func(context.Context, queue.Task) { close(taken); <-release })
	require.NoError(t, err)
	receive(t, taken)
	srv.Pause()
	lost, err := q.Enqueue(t.Context(), jobs(50, results.PriorityBulk))
	require.ErrorIs(t, err, queue.ErrAway)
	require.Len(t, lost, 50)
	began := time.Now()
	s.Stop()
	s.Close() // with a handler that hangs, too
	require.Less(t, time.Since(began), 15*time.Second)
	close(release)
	srv.Resume()
}

func TestConcurrencyOfAllServers(t *testing.T) {
	q := queuetest.Start(t).Queue()
	for _, n := range []int{3, 4} {
		s, err := q.Serve(n, func(context.Context, queue.Task) {})
		require.NoError(t, err)
		defer s.Close()
	}
	require.Eventually(t, func() bool { // asynq tells Redis by itself; there is no signal
		n, err := q.Concurrency()
		return err == nil && n == 7
	}, soon, 20*time.Millisecond)
}

func TestServerStartStop(t *testing.T) {
	q := queuetest.Start(t).Queue()
	for range 5 {
		_, err := q.Enqueue(t.Context(), jobs(20, results.PriorityClockIn))
		require.NoError(t, err)
		var running sync.WaitGroup
		s, err := q.Serve(8, func(context.Context, queue.Task) { running.Add(1); running.Done() })
		require.NoError(t, err)
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(s.Stop)
			closers.Go(s.Close)
		}
		closers.Wait()
		running.Wait()
	}
}

func TestCheckRefusesEviction(t *testing.T) {
	srv := queuetest.Start(t)
	q := srv.Queue()
	require.NoError(t, srv.Client().ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err())
	var p *queue.Problem
	require.ErrorAs(t, q.Check(t.Context()), &p)
	require.Contains(t, p.Text.EN, "CONFIG SET maxmemory-policy noeviction")
	require.Contains(t, p.Text.ZH, "noeviction")
	require.NoError(t, srv.Client().ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
	require.NoError(t, q.Check(t.Context()))
}

// TestRedisOutOfMemory: a full Redis takes no task, says so, and takes them again when there is room.
func TestRedisOutOfMemory(t *testing.T) {
	srv := queuetest.Start(t)
	q := srv.Queue()
	require.NoError(t, srv.Client().ConfigSet(t.Context(), "maxmemory", "1mb").Err())
	all := jobs(3, results.PriorityBulk)
	lost, err := q.Enqueue(t.Context(), all)
	require.ErrorIs(t, err, queue.ErrAway)
	require.ErrorContains(t, err, "OOM")
	require.Len(t, lost, 3)
	require.NoError(t, srv.Client().ConfigSet(t.Context(), "maxmemory", "0").Err())
	lost, err = q.Enqueue(t.Context(), all)
	require.NoError(t, err)
	require.Empty(t, lost)
}
