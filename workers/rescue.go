package workers

import (
	"context"
	"time"

	"onsite/results"
	"onsite/workers/queue"
)

// rescue takes clock-ins whose worker died, and that nobody took for a while, straight from the store: Redis may have lost their task, or
// whoever dispatches died as well. So a job runs again while the store and one worker live, whatever becomes of the rest. One at a time: it
// is no second way for a backlog.
func (s *shift) rescue(ctx context.Context) {
	free := make(chan struct{}, 1)
	tick := time.NewTicker(s.RescueEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.stop:
			return
		case <-tick.C:
		}
		select {
		case free <- struct{}{}:
		default:
			continue // the one before still waits or runs
		}
		a, t, ok := s.rescueOne(ctx)
		if !ok {
			<-free
			continue
		}
		// As for asynq's handlers, nobody waits for this goroutine but the drain, which sees the attempt.
		go func() {
			defer func() { <-free }()
			s.work(context.WithoutCancel(ctx), a, t)
		}()
	}
}

// rescueOne finds a job and enters its attempt.
func (s *shift) rescueOne(ctx context.Context) (*attempt, queue.Task, bool) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	jobs, err := s.Store.Rescue(limited, results.PriorityClockIn, s.RescueAfter, 1)
	if err != nil || len(jobs) == 0 {
		return nil, queue.Task{}, false // renewing says that the store is away
	}
	t := queue.Task{Job: jobs[0].ID, Attempt: jobs[0].Attempt, TraceParent: jobs[0].TraceParent}
	s.Metrics.action("rescued", 1)
	s.Logger.Warn("a job that nobody took is run without its task", "job", t.Job, "attempt", t.Attempt)
	a := &attempt{job: t.Job, number: t.Attempt}
	s.enter(a) // once the worker stops, claiming gives it back
	return a, t, true
}
