package service

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"onsite/results"
)

// The fault harness (workers/chaos) runs this program itself, and reaches into it through two variables that are read only where the
// configuration says measure: a clock that jumps, and a process that dies between any two steps of a job.

// jumpingClock adds what a file says to the machine's clock. nil: nobody asked for one.
func jumpingClock() func() time.Time {
	path := os.Getenv("ONSITE_CHAOS_CLOCK")
	if path == "" {
		return nil
	}
	var mu sync.Mutex
	var read time.Time
	var jump time.Duration
	return func() time.Time {
		now := time.Now()
		mu.Lock()
		defer mu.Unlock()
		if now.Sub(read) > 50*time.Millisecond {
			read = now
			if raw, err := os.ReadFile(path); err == nil { //nolint:gosec // the harness names its own file
				if d, err := time.ParseDuration(strings.TrimSpace(string(raw))); err == nil {
					jump = d
				}
			}
		}
		return now.Add(jump)
	}
}

// mortal is a store that kills its process now and then, before or after a step was written.
type mortal struct {
	results.Store
	chance float64
}

// steps gives the store that the parts work on.
func steps(s results.Store, measure bool) results.Store {
	chance, err := strconv.ParseFloat(os.Getenv("ONSITE_CHAOS_KILL"), 64)
	if !measure || err != nil || chance <= 0 {
		return s
	}
	return &mortal{s, chance}
}

func (m *mortal) die() {
	if rand.Float64() < m.chance { //nolint:gosec // a fault, not a secret
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // it arrives before the next step
	}
}

func (m *mortal) AcceptMany(ctx context.Context, n []results.NewSubmission) []results.Acceptance {
	m.die()
	defer m.die()
	return m.Store.AcceptMany(ctx, n)
}

func (m *mortal) Dispatch(ctx context.Context, n int, last results.Priority) ([]results.Job, error) {
	jobs, err := m.Store.Dispatch(ctx, n, last)
	if len(jobs) > 0 { // an idle dispatcher asks all the time
		m.die()
	}
	return jobs, err
}

func (m *mortal) Claim(ctx context.Context, job string, attempt int, worker string, lease, deadline time.Duration) (results.Lease, error) {
	m.die()
	defer m.die()
	return m.Store.Claim(ctx, job, attempt, worker, lease, deadline)
}

func (m *mortal) FinishMany(ctx context.Context, f []results.Finish) []error {
	m.die()
	defer m.die()
	return m.Store.FinishMany(ctx, f)
}

func (m *mortal) Release(ctx context.Context, r results.Release) error {
	m.die()
	defer m.die()
	return m.Store.Release(ctx, r)
}

func (m *mortal) Settle(ctx context.Context, d results.Delivery, try results.DeliveryTry) error {
	m.die()
	defer m.die()
	return m.Store.Settle(ctx, d, try)
}
