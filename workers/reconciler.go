package workers

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"onsite/results"
	"onsite/workers/queue"
)

// ReconcilerStore is what the reconciler needs of the results store.
type ReconcilerStore interface {
	Elector
	Reclaim(ctx context.Context, maxLease time.Duration, maxCrashes int) ([]results.Job, error)
	Waiting(ctx context.Context, before time.Time, n int) ([]results.Job, error)
	Unqueue(ctx context.Context, jobs []results.Job) (int, error)
	Unhold(ctx context.Context, rule string) (int, error)
	Counts(ctx context.Context, tenant string) (results.Counts, error)
	Now() time.Time
}

// Reconciler starts a new attempt of what is not finished and nobody works on: jobs whose lease ran out, queued jobs whose task Redis lost,
// and held jobs once what they wait for is there. Every process runs one.
type Reconciler struct {
	Store ReconcilerStore
	Queue *queue.Queue
	Bell  Bell
	Name  string

	Every       time.Duration // 1 s
	MaxLease    time.Duration // a lease that ends later was written by a clock that was wrong; 30 s
	MaxCrashes  int           // leases that run out before a job is given up; 5
	TaskAge     time.Duration // how old a task is before it is missed; 2 s
	ActiveGrace time.Duration // how long a task may be taken from Redis and its job not claimed; 2 s
	StatsEvery  time.Duration // 5 s
	HoldEvery   time.Duration // how often jobs on hold are looked at; 10 s
	TTL         time.Duration // of the role; 2 s

	// Ready says whether this process could run the jobs that wait for a rule (models_missing) now; nil: never. Once it can, they go on.
	Ready func(ctx context.Context, rule string) error

	Logger  *slog.Logger
	Metrics *Metrics
}

// A healthy lease of 5 s has 3.75 s left at least, and a worker renews every 1.25 s.
const (
	longOutage  = 3500 * time.Millisecond
	renewalTime = 2 * time.Second
)

// maxLook bounds how many queued jobs are compared with Redis at once.
const maxLook = 2000

// heldRules are the rules that hold jobs and that Ready can end.
var heldRules = []string{RuleModels}

// Run reconciles until ctx ends.
func (r *Reconciler) Run(ctx context.Context) error {
	own := *r
	fill(&own.Every, time.Second)
	fill(&own.MaxLease, 30*time.Second)
	fill(&own.TaskAge, 2*time.Second)
	fill(&own.ActiveGrace, 2*time.Second)
	fill(&own.StatsEvery, 5*time.Second)
	fill(&own.HoldEvery, 10*time.Second)
	if own.MaxCrashes <= 0 {
		own.MaxCrashes = 5
	}
	if own.Bell == nil {
		own.Bell = &queue.LocalBell{}
	}
	own.Logger = logger(own.Logger)
	s := &reconciling{Reconciler: own, role: NewRole(own.Store, "reconciler", own.Name, own.TTL, own.Logger), active: map[string]time.Time{}}
	// A Redis that hangs must not keep leases from being looked at, so they have a goroutine of their own.
	var owned sync.WaitGroup
	owned.Go(func() { every(ctx, own.Every, s.reclaim) })
	owned.Go(func() {
		defer s.role.Resign()
		every(ctx, own.Every, s.compare)
	})
	owned.Go(func() { every(ctx, own.StatsEvery, s.count) })
	owned.Wait()
	return nil
}

// every calls f until ctx ends, with as much time between two calls.
func every(ctx context.Context, d time.Duration, f func(context.Context)) {
	for {
		f(ctx)
		if !pause(ctx, d) {
			return
		}
	}
}

// reconciling is one Run of a reconciler.
type reconciling struct {
	Reconciler
	role   *Role
	active map[string]time.Time // tasks that nobody can take any more while their job is still queued, since when
	tidied time.Time
	asked  time.Time // when held jobs were looked at
	seen   time.Time // when the store answered last
	grace  time.Time // until when workers may renew what ran out meanwhile
}

// mayReclaim says whether a lease that ran out means a dead worker now. Where the store could not be seen for about as long as a healthy
// lease has left, live workers lost theirs, too: they get some time to renew them first, else every running job of the installation would
// run again. A store that hangs and then answers is the same.
func (s *reconciling) mayReclaim(ctx context.Context) bool {
	if _, err := s.Store.Waiting(ctx, time.Time{}, 1); err != nil { // none is so old: it is a look, no more
		return false
	}
	now := time.Now()
	if !s.seen.IsZero() && now.Sub(s.seen) > longOutage {
		s.grace = now.Add(renewalTime)
	}
	s.seen = now
	return !now.Before(s.grace)
}

// reclaim puts jobs without a live lease back.
func (s *reconciling) reclaim(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, longOutage)
	defer cancel()
	if !s.mayReclaim(ctx) {
		return
	}
	jobs, err := s.Store.Reclaim(ctx, s.MaxLease, s.MaxCrashes)
	if err != nil {
		s.complain(ctx, "look for dead leases", err)
	}
	died := 0
	for _, j := range jobs {
		s.Logger.Warn("a job's worker is gone", "job", j.ID, "attempt", j.Attempt, "worker", j.Worker, "crashes", j.Crashes, "state", string(j.State))
		if j.State == results.Dead {
			died++
			s.Bell.Ring(ctx, results.BellJob(j.ID))
		}
	}
	s.Metrics.action("died", died)
	s.Metrics.action("reclaimed", len(jobs)-died)
	if died > 0 {
		s.Bell.Ring(ctx, results.BellOutbox)
	}
	if len(jobs) > died {
		s.Bell.Ring(ctx, results.BellWork)
	}
}

// compare looks for queued jobs whose task is not in Redis, or was taken by somebody who does not claim it. It may be wrong about either:
// the task of an attempt that was taken back claims nothing.
func (s *reconciling) compare(ctx context.Context) {
	if !s.role.Play(ctx) {
		clear(s.active)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	jobs, err := s.Store.Waiting(ctx, s.Store.Now().Add(-s.TaskAge), maxLook)
	if err != nil {
		s.complain(ctx, "look for waiting jobs", err)
		return
	}
	states, err := s.Queue.States(ctx, jobs)
	if err != nil {
		s.complain(ctx, "look for their tasks", err)
		return
	}
	var depth queue.Depth
	if len(jobs) > 0 {
		if depth, err = s.Queue.Depth(ctx); err != nil {
			s.complain(ctx, "count their tasks", err)
			return
		}
	}
	lost := s.lost(jobs, states, depth)
	if len(lost) > 0 {
		n, err := s.Store.Unqueue(ctx, lost)
		if err != nil {
			s.complain(ctx, "put lost jobs back", err)
			return
		}
		s.Metrics.action("unqueued", n)
		if n > 0 {
			s.Logger.Warn("tasks were lost; their jobs are dispatched again", "jobs", n)
			s.Bell.Ring(ctx, results.BellWork)
		}
	}
	const tidyEvery = time.Minute
	if time.Since(s.tidied) > tidyEvery {
		s.tidied = time.Now()
		if _, err := s.Queue.Tidy(ctx); err != nil {
			s.complain(ctx, "delete what asynq gave up", err)
		}
	}
}

// lost says which jobs nobody will claim.
func (s *reconciling) lost(jobs []results.Job, states []queue.State, depth queue.Depth) (lost []results.Job) {
	now := time.Now()
	seen := map[string]time.Time{}
	for i, j := range jobs {
		switch state := states[i]; {
		case state == queue.Waiting && depth[queue.Name(j)] > 0:
		case state == queue.Active, state == queue.Waiting:
			// The worker claims within milliseconds, or has died in between: asynq itself would notice after a minute. And a task that says
			// that it waits, while its queue is empty, has just been taken, or has fallen off the list.
			key := queue.ID(j.ID, j.Attempt)
			since, known := s.active[key]
			if !known {
				since = now
			}
			if seen[key] = since; now.Sub(since) >= s.ActiveGrace {
				lost = append(lost, j)
			}
		default:
			lost = append(lost, j)
		}
	}
	s.active = seen
	return lost
}

// count shows where the jobs are, and lets those on hold go on.
func (s *reconciling) count(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	c, err := s.Store.Counts(ctx, "")
	if err != nil {
		s.complain(ctx, "count jobs", err)
		return
	}
	s.Metrics.counted(c, s.Store.Now())
	if c.Held == 0 || s.Ready == nil || time.Since(s.asked) < s.HoldEvery {
		return
	}
	s.asked = time.Now()
	for _, rule := range heldRules {
		if err := s.Ready(ctx, rule); err != nil {
			s.Logger.Error("jobs are on hold", "jobs", c.Held, "rule", rule, "error", err)
			continue
		}
		n, err := s.Store.Unhold(ctx, rule)
		if err != nil {
			s.complain(ctx, "let held jobs go on", err)
			continue
		}
		s.Metrics.action("unheld", n)
		if n > 0 {
			s.Logger.Info("jobs that were on hold go on", "jobs", n, "rule", rule)
			s.Bell.Ring(ctx, results.BellWork)
		}
	}
}

func (s *reconciling) complain(ctx context.Context, what string, err error) {
	if ctx.Err() == nil || !away(err) {
		s.Logger.Warn("the reconciler could not "+what+"; trying again", "error", err)
	}
}
