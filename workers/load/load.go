package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Service is what the morning is played against.
type Service interface {
	// Submit sends the n-th submission, once, and gives its job. A refusal is a *Refusal.
	Submit(ctx context.Context, n int) (job string, err error)
	// Finished gives the jobs that ended with a verdict since a position, and the next position. It waits up to a second for one.
	Finished(ctx context.Context, after int64) (jobs []string, next int64, err error)
	// Final asks for one job: whether it is over, and how ("" while it is not).
	Final(ctx context.Context, job string) (state string, err error)
}

// Refusal is an answer other than "accepted".
type Refusal struct {
	Code string // short: a status, "unreachable", ...
	Err  error
}

func (r *Refusal) Error() string { return fmt.Sprintf("not accepted (%s): %v", r.Code, r.Err) }

// Unwrap gives the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// Options of a run; zero values mean what is written beside them.
type Options struct {
	Times    []time.Duration // when each submission is due, sorted (Curve.Times)
	Flying   int             // submissions on their way at a time at most; 2,000. More is an error of the load, not of the service
	Every    time.Duration   // between two samples; a hundredth of the morning, 200 ms at least
	Patience time.Duration   // how long no job may end, after the last submission; 2 min
	Ask      time.Duration   // how long no verdict may come before the jobs themselves are asked; 3 s
	Old      time.Duration   // age of the oldest waiting job from which the service counts as late; 5 s
	Progress func(done, total int)
}

func (o Options) filled() Options {
	if o.Flying == 0 {
		o.Flying = 2000
	}
	if o.Every == 0 {
		o.Every = 200 * time.Millisecond
		if n := len(o.Times); n > 0 {
			o.Every = max(o.Every, o.Times[n-1]/100)
		}
	}
	if o.Patience == 0 {
		o.Patience = 2 * time.Minute
	}
	if o.Ask == 0 {
		o.Ask = 3 * time.Second
	}
	if o.Old == 0 {
		o.Old = 5 * time.Second
	}
	if o.Progress == nil {
		o.Progress = func(int, int) {}
	}
	return o
}

// ErrFull is a load that cannot be offered any more: the service answers so late that too many submissions are on their way.
var ErrFull = errors.New("too many submissions are on their way; the service does not answer: offer less, or allow more (--flying)")

// morning is a run.
type morning struct {
	o       Options
	service Service
	began   time.Time
	accept  *hdrhistogram.Histogram // from due to accepted, microseconds
	whole   *hdrhistogram.Histogram // from due to verdict, microseconds

	flying atomic.Int64

	mu       sync.Mutex
	due      map[string]time.Time // accepted jobs without a verdict -> when they were due
	taken    map[string]time.Time // the same -> when they were accepted
	early    map[string]time.Time // verdicts that were seen before the answer to their submission
	offered  int
	accepted int
	finished int
	refused  map[string]int
	ended    map[string]int // without a verdict, by state
	late     time.Duration  // the most that the load itself was late
	last     time.Time      // a verdict came
	err      error
}

// Run plays a morning and reports. An error means that the load could not be played; what the service did badly is in the result.
func Run(ctx context.Context, s Service, o Options) (Result, error) {
	if len(o.Times) == 0 {
		return Result{}, errors.New("load: nobody comes: there is no submission to make")
	}
	const hour = int64(time.Hour / time.Microsecond)
	m := &morning{
		o: o.filled(), service: s, accept: hdrhistogram.New(1, hour, 3), whole: hdrhistogram.New(1, hour, 3), refused: map[string]int{}, ended: map[string]int{},
		due: map[string]time.Time{}, taken: map[string]time.Time{}, early: map[string]time.Time{},
	}
	position, err := m.skip(ctx)
	if err != nil {
		return Result{}, err
	}
	parent := ctx
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	m.began = time.Now()
	m.last = m.began
	var wait sync.WaitGroup
	wait.Go(func() { m.watch(ctx, position) })
	var series []Sample
	sampled := make(chan struct{})
	go func() {
		defer close(sampled)
		series = m.sample(ctx)
	}()
	m.offer(ctx)
	m.drain(ctx)
	took := time.Since(m.began)
	stop()
	wait.Wait()
	<-sampled
	if m.err != nil {
		return Result{}, m.err
	}
	return m.result(series, took), parent.Err()
}

// skip finds the end of the feed: what was finished before is not ours.
func (m *morning) skip(ctx context.Context) (int64, error) {
	position := int64(0)
	for {
		jobs, next, err := m.service.Finished(ctx, position)
		if err != nil {
			return 0, fmt.Errorf("load: read the feed of verdicts: %w", err)
		}
		if len(jobs) == 0 {
			return next, nil
		}
		position = next
	}
}

// offer sends each submission when it is due, whatever became of those before.
func (m *morning) offer(ctx context.Context) {
	var wait sync.WaitGroup
	defer wait.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n, at := range m.o.Times {
		due := m.began.Add(at)
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if m.flying.Load() >= int64(m.o.Flying) {
			m.fail(ErrFull)
			return
		}
		m.flying.Add(1)
		m.mu.Lock()
		m.offered++
		m.late = max(m.late, time.Since(due))
		m.mu.Unlock()
		wait.Go(func() {
			defer m.flying.Add(-1)
			job, err := m.service.Submit(ctx, n)
			m.submitted(job, err, due)
		})
	}
}

func (m *morning) submitted(job string, err error, due time.Time) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		m.refused[refusal.Code]++
		return
	case err != nil:
		m.refused["error"]++
		return
	}
	m.accepted++
	_ = m.accept.RecordValue(now.Sub(due).Microseconds()) // within an hour
	if at, ok := m.early[job]; ok {
		delete(m.early, job)
		m.over(due, at)
		return
	}
	m.due[job], m.taken[job] = due, now
}

// over notes a job with a verdict; the caller holds the lock.
func (m *morning) over(due, at time.Time) {
	m.finished++
	m.last = at
	_ = m.whole.RecordValue(at.Sub(due).Microseconds()) // within an hour
}

// watch follows the feed of verdicts.
func (m *morning) watch(ctx context.Context, position int64) {
	for ctx.Err() == nil {
		jobs, next, err := m.service.Finished(ctx, position)
		if err != nil {
			if ctx.Err() == nil && pause(ctx, 200*time.Millisecond) == nil {
				continue // the service is away for a moment: the morning goes on
			}
			return
		}
		position = next
		now := time.Now()
		m.mu.Lock()
		for _, job := range jobs {
			due, ours := m.due[job]
			if !ours {
				if m.flying.Load() > 0 {
					m.early[job] = now
				}
				continue
			}
			delete(m.due, job)
			delete(m.taken, job)
			m.over(due, now)
		}
		m.mu.Unlock()
	}
}

// drain waits until all that was accepted is over, as long as verdicts come.
func (m *morning) drain(ctx context.Context) {
	asked := time.Now()
	for pause(ctx, 20*time.Millisecond) == nil {
		m.mu.Lock()
		left, quiet, failed := len(m.due), time.Since(m.last), m.err != nil
		m.mu.Unlock()
		if left == 0 || failed {
			return
		}
		if quiet > m.o.Patience || time.Since(asked) > m.o.Ask && quiet > m.o.Ask {
			asked = time.Now()
			if m.askLeft(ctx) == 0 || quiet > m.o.Patience {
				return
			}
		}
	}
}

// askLeft asks for the jobs that have no verdict: a refused or given up one never gets one. It gives how many are still to be waited for.
func (m *morning) askLeft(ctx context.Context) int {
	m.mu.Lock()
	var left []string
	for job := range m.due {
		if left = append(left, job); len(left) == 100 {
			break
		}
	}
	m.mu.Unlock()
	for _, job := range left {
		state, err := m.service.Final(ctx, job)
		if err != nil || state == "" || state == "done" { // done: the feed is about to say so
			continue
		}
		m.mu.Lock()
		if _, ok := m.due[job]; ok {
			delete(m.due, job)
			delete(m.taken, job)
			m.ended[state]++
		}
		m.mu.Unlock()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.due)
}

func (m *morning) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// sample writes down how things stand, again and again until ctx ends.
func (m *morning) sample(ctx context.Context) []Sample {
	var out []Sample
	tick := time.NewTicker(m.o.Every)
	defer tick.Stop()
	var offered, finished int
	before := m.began
	for {
		var now time.Time
		select {
		case <-ctx.Done():
			return out
		case now = <-tick.C:
		}
		m.mu.Lock()
		s := Sample{AtS: now.Sub(m.began).Seconds(), Offered: m.offered, Accepted: m.accepted, Finished: m.finished, Waiting: len(m.due)}
		for _, at := range m.taken {
			s.AgeS = max(s.AgeS, now.Sub(at).Seconds())
		}
		m.o.Progress(m.finished, len(m.o.Times))
		m.mu.Unlock()
		seconds := now.Sub(before).Seconds()
		s.OfferedPerS, s.FinishedPerS = float64(s.Offered-offered)/seconds, float64(s.Finished-finished)/seconds
		before, offered, finished = now, s.Offered, s.Finished
		out = append(out, s)
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
