package workers

import (
	"context"
	"sync"
	"time"
)

// breaker keeps a backlog from being tried, job after job, against something that all of them need and that is away: each would fail in a
// millisecond and wait long for its next turn. After such a failure the attempts that follow wait, with their jobs claimed; the first one
// that gets through ends it.
type breaker struct {
	mu     sync.Mutex
	failed int
	until  time.Time
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
	b.mu.Unlock()
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-stop:
	}
}

// note takes what an attempt found: that what all need was away, or not. Attempts that failed side by side count once.
func (b *breaker) note(away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	switch {
	case !away:
		b.failed, b.until = 0, time.Time{}
	case !now.Before(b.until):
		b.until = now.Add(min(firstBreak<<min(b.failed, 10), maxBreak))
		b.failed++
	}
}
