package workers

import (
	"context"
	"sync"
	"time"
)

// breaker keeps a backlog from being tried, job after job, against something that all of them need and that is away: each would fail in a
// millisecond and wait long for its next turn. After such a failure the attempts that follow wait, with their jobs claimed; the first one
// that gets through ends the waiting of all.
type breaker struct {
	mu     sync.Mutex
	fails  int
	until  time.Time
	passes chan struct{} // closed when one got through; nil: nobody waits
}

// How long attempts wait after the first failure, and at most.
const (
	firstBreak = 100 * time.Millisecond
	maxBreak   = 2 * time.Second
)

// wait returns when an attempt may try, at once where nothing failed. It returns early when ctx or stop end.
func (b *breaker) wait(ctx context.Context, stop <-chan struct{}) {
	b.mu.Lock()
	d := time.Until(b.until)
	if d <= 0 {
		b.mu.Unlock()
		return
	}
	if b.passes == nil {
		b.passes = make(chan struct{})
	}
	passes := b.passes
	b.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-passes:
	case <-ctx.Done():
	case <-stop:
	}
}

// failed says that what all need was away. Attempts that failed side by side count once.
func (b *breaker) failed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); !now.Before(b.until) {
		b.until = now.Add(min(firstBreak<<min(b.fails, 10), maxBreak))
		b.fails++
	}
}

// passed says that an attempt got through.
func (b *breaker) passed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fails, b.until = 0, time.Time{}
	if b.passes != nil {
		close(b.passes)
		b.passes = nil
	}
}
