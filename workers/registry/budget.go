package registry

import (
	"context"
	"sync"
	"time"
)

// budget says when work beside the jobs may go on, so that its share of a processor is kept.
type budget struct {
	mu    sync.Mutex
	until time.Time // it rests until then
}

// spend notes processor time that was spent of which so many cores may be used: the rest that it asks for adds to what is still owed.
func (b *budget) spend(cpu time.Duration, cores float64) {
	if cores <= 0 || cpu <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); b.until.Before(now) {
		b.until = now
	}
	b.until = b.until.Add(max(0, time.Duration(float64(cpu)/cores)-cpu))
}

// rest has it rest at least so long from now.
func (b *budget) rest(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if until := time.Now().Add(d); b.until.Before(until) {
		b.until = until
	}
}

// rests says how long nothing more may be tried, here or on jobs of the past.
func (b *budget) rests() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Until(b.until)
}

// pause waits.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
