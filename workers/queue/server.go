package queue

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// pickUp is how long asynq sleeps when it found no task; its own default of 1 s would be most of a job's latency.
const pickUp = 100 * time.Millisecond

// Server takes tasks and gives them to a handler.
type Server struct {
	rdb   redis.UniversalClient
	srv   *asynq.Server
	stop  sync.Once
	close sync.Once
}

// Handler deals with one task and records the outcome in the store; whatever it does, the task is over for Redis. The context ends when
// asynq gives the task up, which is no reason to stop working: Redis may be away while the store is not.
type Handler func(ctx context.Context, t Task)

// Serve starts to take tasks, at most so many at once. Redis may be away: tasks are taken once it is there.
func (q *Queue) Serve(concurrency int, h Handler) (*Server, error) {
	// A pool of its own: while a Redis hangs, closing it is what makes asynq's own goroutines end.
	rdb, err := q.opts.client(2*concurrency + 8)
	if err != nil {
		return nil, err
	}
	srv := asynq.NewServerFromRedisClient(rdb, asynq.Config{
		Concurrency:              concurrency,
		Queues:                   map[string]int{Again: 4, ClockIn: 3, Reverify: 2, Bulk: 1},
		StrictPriority:           true,
		TaskCheckInterval:        pickUp,
		ShutdownTimeout:          500 * time.Millisecond, // the worker has drained before: what still runs then is hung
		DelayedTaskCheckInterval: time.Minute,            // nothing is delayed in Redis
		Logger:                   asynqLog{q.log},
		LogLevel:                 asynq.WarnLevel,
	})
	err = srv.Start(asynq.HandlerFunc(func(ctx context.Context, at *asynq.Task) error {
		t, err := Decode(at.Payload())
		if at.Type() != TaskType || err != nil {
			q.log.Warn("a task that is not ours was dropped", "type", at.Type(), "error", err)
			return nil
		}
		t.TraceParent = at.Headers()[traceHeader]
		h(ctx, t)
		return nil
	}))
	if err != nil {
		_ = rdb.Close()
		return nil, fmt.Errorf("start to take tasks: %w", err)
	}
	return &Server{rdb: rdb, srv: srv}, nil
}

// Stop ends the taking of tasks and returns when no further one will come. Handlers go on.
func (s *Server) Stop() { s.stop.Do(func() { s.within(s.srv.Stop) }) }

// Close ends everything that asynq started. Handlers that still run are left behind, with their tasks back in Redis.
func (s *Server) Close() {
	s.Stop()
	s.close.Do(func() {
		s.within(s.srv.Shutdown)
		_ = s.rdb.Close()
	})
}

// patience is how long a shutdown may wait for Redis.
const patience = 3 * time.Second

// within runs one of asynq's waits. They wait for commands that are under way; when Redis hangs, the connections are cut under them.
func (s *Server) within(wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		wait()
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		_ = s.rdb.Close()
		<-done
	}
}
