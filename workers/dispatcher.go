package workers

import (
	"context"
	"log/slog"
	"time"

	"onsite/results"
	"onsite/workers/queue"
)

// DispatcherStore is what the dispatcher needs of the results store.
type DispatcherStore interface {
	Elector
	Dispatch(ctx context.Context, n int, last results.Priority) ([]results.Job, error)
	Unqueue(ctx context.Context, jobs []results.Job) (int, error)
}

// Dispatcher keeps a bounded window of tasks in Redis, filled from the store by priority and round-robin over tenants. So Redis never holds
// a morning's backlog, and a clock-in that comes late waits for clock-ins only. One process at a time plays it.
type Dispatcher struct {
	Store DispatcherStore
	Queue *queue.Queue
	Bell  Bell // nil: poll only
	Name  string

	Window int           // tasks that wait in Redis; 4 for each job that all workers run at once, at least 16
	Poll   time.Duration // how often the store is asked without a bell; 250 ms
	Gap    time.Duration // between two fillings, so that one takes many jobs; 20 ms
	TTL    time.Duration // of the role; 2 s

	Logger  *slog.Logger
	Metrics *Metrics
}

const (
	minWindow = 16
	perWorker = 4
	// maxFill bounds one transaction and the writes to Redis that follow it.
	maxFill = 256
)

// Run dispatches until ctx ends.
func (d *Dispatcher) Run(ctx context.Context) error {
	own := *d
	fill(&own.Poll, 250*time.Millisecond)
	fill(&own.Gap, 20*time.Millisecond)
	own.Logger = logger(own.Logger)
	r := &dispatching{Dispatcher: own, role: NewRole(own.Store, "dispatcher", own.Name, own.TTL, own.Logger)}
	defer r.role.Resign()
	work := listen(ctx, own.Bell, results.BellWork)
	for {
		began := time.Now()
		wait := own.Poll
		if r.role.Play(ctx) {
			wait = r.fill(ctx)
		}
		// The gap counts from the beginning: what came meanwhile is taken together.
		if !pause(ctx, own.Gap-time.Since(began)) {
			return nil
		}
		if wait > own.Gap && !sleep(ctx, wait-own.Gap, work) {
			return nil
		}
	}
}

// dispatching is one Run of a dispatcher.
type dispatching struct {
	Dispatcher
	role *Role

	window  int // as found out; 0: not yet
	counted time.Time
	filled  time.Time // when the window was filled last
	away    bool      // Redis was, or the store
}

// fill tops the window up once and says how long nothing more is to be expected.
func (d *dispatching) fill(ctx context.Context) time.Duration {
	limited, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	// While Redis is away, nothing is marked as queued: the attempts would only be taken back again.
	depth, err := d.Queue.Depth(limited)
	if err != nil {
		d.complain("redis", err)
		return d.Poll
	}
	d.Metrics.waits(depth)
	window := d.size()
	room, last := roomFor(depth, window)
	// A nearly full window is topped up with many jobs at once, or after a while.
	if room <= 0 || (room < window/4 && time.Since(d.filled) < 5*d.Gap) {
		return d.Gap
	}
	n := min(room, maxFill)
	jobs, err := d.Store.Dispatch(limited, n, last)
	if err != nil {
		d.complain("the store", err)
		return d.Poll
	}
	d.filled = time.Now()
	if len(jobs) == 0 {
		d.fine()
		if last < results.PriorityBulk {
			return 5 * d.Gap // what is less urgent waits for room, not for a bell
		}
		return d.Poll
	}
	lost, err := d.Queue.Enqueue(limited, jobs)
	if err == nil {
		d.fine()
		if len(jobs) < n {
			return d.Poll
		}
		return d.Gap
	}
	d.complain("redis", err)
	// Should this fail as well, or the process die here, the reconciler sees that the tasks are not there.
	undo, cancelUndo := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancelUndo()
	if _, err := d.Store.Unqueue(undo, lost); err != nil {
		d.complain("the store", err)
	}
	return d.Poll
}

// roomFor says how many more tasks Redis may hold, and how urgent they must be. Only tasks that are as urgent or more count: a window full
// of bulk keeps no clock-in waiting, which asynq then serves first.
func roomFor(depth queue.Depth, window int) (room int, last results.Priority) {
	for last = results.PriorityBulk; last >= results.PriorityClockIn; last-- {
		if room = window - depth.Before(last); room > 0 {
			return room, last
		}
	}
	return 0, results.PriorityClockIn
}

// size is the window: what was asked for, or what suits the workers that live.
func (d *dispatching) size() int {
	if d.Window > 0 {
		return d.Window
	}
	const often = 5 * time.Second
	if d.window == 0 || time.Since(d.counted) > often {
		d.counted = time.Now()
		n, err := d.Queue.Concurrency()
		if err == nil || d.window == 0 {
			d.window = max(minWindow, perWorker*n)
		}
	}
	return d.window
}

// complain says once that something is away, fine that it is back.
func (d *dispatching) complain(what string, err error) {
	if !d.away {
		d.away = true
		d.Logger.Warn("nothing is dispatched while "+what+" is away", "error", err)
	}
}

func (d *dispatching) fine() {
	if d.away {
		d.away = false
		d.Logger.Info("dispatching again")
	}
}
