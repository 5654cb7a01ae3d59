package workers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"onsite/results"
	"onsite/workers/queue"
)

// Core is the verification core with what the store and the vault hold. Package core implements it; all methods may be called from many
// goroutines.
type Core interface {
	// Run verifies the job of a lease and gives what to write; Job and Token are the worker's to fill in. It ends soon after ctx does.
	// With an error, Media, Keep and Deadline of the Finish are used all the same when the job ends there: a copy of its own that the
	// attempt made. Judge says what an error means.
	Run(ctx context.Context, l results.Lease) (results.Finish, error)
	// Recheck compares finished jobs with a print that they did not see, and writes revisions where that changes something.
	Recheck(ctx context.Context, l results.Late) error
}

// Bell wakes others; see results.Bell.
type Bell = results.Bell

// WorkerStore is what a worker needs of the results store.
type WorkerStore interface {
	results.Work
	Tenant(ctx context.Context, id string) (results.Tenant, error)
	Now() time.Time
}

// ErrHung says that an attempt did not end at its deadline: it hangs in a call that cannot be stopped. The process has to exit, so that its
// supervisor starts a new one; the job runs again by itself.
var ErrHung = errors.New("an attempt hangs and cannot be stopped; the process must end")

// Worker takes tasks and runs their jobs. Fields are set before Run and not changed; zero numbers mean the default beside them.
type Worker struct {
	Store WorkerStore
	Queue *queue.Queue
	Core  Core
	Bell  Bell   // nil: nobody is woken, everybody polls
	Name  string // of the machine or the process, for people; Run makes it unique

	Concurrency    int             // jobs at once; one a processor
	Lease          time.Duration   // how long a dead worker keeps its jobs; 5 s
	RenewEvery     time.Duration   // a quarter of it
	AttemptTimeout time.Duration   // how long the core may take; 2 min
	Grace          time.Duration   // from the end of the context to the conclusion that a call hangs; 5 s
	DrainTimeout   time.Duration   // how long running jobs may go on after Run's context ended; 30 s
	Backoff        []time.Duration // waits after failures; DefaultBackoff
	RescueAfter    time.Duration   // how long a job whose worker died may wait for its task; 1 s
	RescueEvery    time.Duration   // how often such jobs are looked for; 0.5 s

	Logger  *slog.Logger
	Metrics *Metrics
}

func (w Worker) filled() Worker {
	if w.Concurrency <= 0 {
		w.Concurrency = runtime.GOMAXPROCS(0)
	}
	fill(&w.Lease, 5*time.Second)
	fill(&w.RenewEvery, w.Lease/4)
	fill(&w.AttemptTimeout, 2*time.Minute)
	fill(&w.Grace, 5*time.Second)
	fill(&w.DrainTimeout, 30*time.Second)
	fill(&w.RescueAfter, time.Second)
	fill(&w.RescueEvery, 500*time.Millisecond)
	if w.Backoff == nil {
		w.Backoff = DefaultBackoff
	}
	if w.Bell == nil {
		w.Bell = &queue.LocalBell{}
	}
	w.Logger = logger(w.Logger)
	return w
}

// Run serves until ctx ends, then drains: it takes no more tasks, lets running jobs finish for DrainTimeout, and gives the others back.
// ErrHung means that the process has to exit. A stuck Redis or store does not end it: it waits for them.
func (w *Worker) Run(ctx context.Context) error {
	own := w.filled()
	s := &shift{
		Worker: own,
		// A worker that was started again under the same name must not renew the leases of the one before.
		owner:  strings.TrimPrefix(own.Name+"-", "-") + ulid.Make().String()[16:],
		slots:  make(chan struct{}, own.Concurrency),
		stop:   make(chan struct{}),
		left:   make(chan struct{}, 1),
		hung:   make(chan struct{}, 1),
		open:   map[*attempt]struct{}{},
		commit: newCommitter(own.Store),
	}
	// Attempts outlive ctx: draining lets them finish.
	s.base, s.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	defer s.cancel(context.Canceled)
	s.last, s.abort = context.WithCancel(context.WithoutCancel(ctx))
	defer s.abort()
	steady, rest := context.WithCancel(context.WithoutCancel(ctx))
	var owned sync.WaitGroup
	defer owned.Wait()
	defer rest()
	owned.Go(func() { s.renew(steady) })
	owned.Go(func() { s.commit.run(steady) })
	owned.Go(func() { s.rescue(steady) })

	server, err := own.Queue.Serve(own.Concurrency, s.handle)
	if err != nil {
		return err
	}
	s.Logger.Info("worker started", "worker", s.owner, "concurrency", own.Concurrency)
	select {
	case <-ctx.Done():
	case <-s.hung:
	}
	close(s.stop)
	server.Stop()
	left := s.drain()
	server.Close()
	s.Logger.Info("worker stopped", "worker", s.owner, "left_behind", len(left))
	if len(left) > 0 {
		return fmt.Errorf("%w: jobs %s", ErrHung, strings.Join(left, ", "))
	}
	return nil
}

// shift is one Run of a worker.
type shift struct {
	Worker
	owner  string // who holds the leases
	base   context.Context
	cancel context.CancelCauseFunc
	last   context.Context // ends when draining gives up even writing what attempts brought
	abort  context.CancelFunc
	slots  chan struct{} // asynq forgets handlers that it gave up, we do not
	stop   chan struct{} // closed: no new claims
	left   chan struct{} // an attempt ended
	hung   chan struct{} // an attempt does not end
	commit *committer
	ill    breaker

	mu      sync.Mutex
	open    map[*attempt]struct{}
	suspect bool // a claim may have been written whose answer was lost
}

// enter notes a handler of a task, until it is left.
func (s *shift) enter(a *attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[a] = struct{}{}
}

func (s *shift) leave(a *attempt) {
	s.mu.Lock()
	delete(s.open, a)
	s.mu.Unlock()
	select {
	case s.left <- struct{}{}:
	default:
	}
}

// waiting counts the attempts that may still end.
func (s *shift) waiting() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for a := range s.open {
		if !a.stuck {
			n++
		}
	}
	return n
}

// drain waits for the attempts that run, then cuts them off, and gives back those that do not even notice that. It names the jobs whose
// calls it leaves behind.
func (s *shift) drain() (left []string) {
	if !s.ended(s.DrainTimeout) {
		s.cancel(errDrained)
		if !s.ended(s.Grace) {
			s.abort()
			s.ended(s.Grace)
		}
	}
	s.mu.Lock()
	behind := slices.Collect(maps.Keys(s.open))
	s.mu.Unlock()
	for _, a := range behind {
		left = append(left, a.job)
		s.abandon(a)
	}
	return left
}

// ended waits until no attempt runs any more, for so long.
func (s *shift) ended(within time.Duration) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for s.waiting() > 0 {
		select {
		case <-s.left:
		case <-timer.C:
			return s.waiting() == 0
		}
	}
	return true
}

// abandon gives back the job of a call that is left behind. What the call still brings is stale then. A call that outlived its deadline is
// left to the reconciler, which counts it as a crash: a job that hangs every worker must be given up some day.
func (s *shift) abandon(a *attempt) {
	s.mu.Lock()
	token, stuck := a.token, a.stuck
	s.mu.Unlock()
	if token == 0 || stuck {
		return
	}
	s.Logger.Error("an attempt does not end; its job is given back and the process must exit", "job", a.job, "attempt", a.number)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.base), patience)
	defer cancel()
	err := s.Store.Release(ctx, results.Release{Job: a.job, Token: token, RunAt: s.Store.Now(), Error: results.JobError{Rule: RuleDrained, Text: texts[RuleDrained]}})
	if err == nil {
		s.Bell.Ring(ctx, results.BellWork)
	}
}

// patience bounds one call to the store where waiting longer would serve nobody.
const patience = 3 * time.Second

// renew keeps the leases of this shift alive, and ends attempts whose lease was lost.
func (s *shift) renew(ctx context.Context) {
	tick := time.NewTicker(s.RenewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.renewOnce(ctx)
		}
	}
}

func (s *shift) renewOnce(ctx context.Context) {
	s.mu.Lock()
	var before []*attempt
	for a := range s.open {
		if a.token != 0 {
			before = append(before, a)
		}
	}
	idle := len(before) == 0 && !s.suspect
	s.mu.Unlock()
	if idle {
		return
	}
	limited, cancel := context.WithTimeout(ctx, s.Lease/2)
	jobs, err := s.Store.Renew(limited, s.owner, s.Lease)
	cancel()
	if err != nil {
		if ctx.Err() == nil {
			s.Logger.Warn("leases were not renewed; trying again", "worker", s.owner, "error", err)
		}
		return
	}
	stray := map[string]bool{}
	for _, job := range jobs {
		stray[job] = true
	}
	s.mu.Lock()
	for _, a := range before {
		if _, open := s.open[a]; open && !stray[a.job] && !a.recording {
			a.cancel(errLost)
		}
	}
	for _, a := range before {
		delete(stray, a.job)
	}
	s.suspect = false
	for a := range s.open {
		delete(stray, a.job)
		s.suspect = s.suspect || a.token == 0 // it may turn out to have been claimed
	}
	s.mu.Unlock()
	for job := range stray {
		s.returnStray(ctx, job)
	}
}

// returnStray gives back a job that the store thinks we run: its claim was written, but the answer never came. Renewing it until its
// deadline would keep it from everybody.
func (s *shift) returnStray(ctx context.Context, job string) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	j, err := s.Store.Job(ctx, "", job)
	if err == nil && (j.State != results.Running || j.Worker != s.owner) {
		return // it has just ended
	}
	if err == nil {
		err = s.Store.Release(ctx, results.Release{Job: job, Token: j.Token, RunAt: s.Store.Now(), Error: results.JobError{Rule: RuleStore, Text: texts[RuleStore]}})
	}
	switch {
	case err == nil:
		s.Metrics.action("returned", 1)
		s.Logger.Warn("a claim whose answer was lost is given back", "job", job)
		s.Bell.Ring(ctx, results.BellWork)
	case !errors.Is(err, results.ErrStale):
		s.mu.Lock()
		s.suspect = true
		s.mu.Unlock()
	}
}

func fill(d *time.Duration, usual time.Duration) {
	if *d <= 0 {
		*d = usual
	}
}

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
