package workers

import (
	"context"
	"time"
)

// listen gives a bell's ear; without a bell one that never hears.
func listen(ctx context.Context, b Bell, topic string) <-chan struct{} {
	if b == nil {
		return nil
	}
	return b.Listen(ctx, topic)
}

// sleep waits for the time or a ring, and says false when ctx ended.
func sleep(ctx context.Context, d time.Duration, ear <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-ear:
	}
	return ctx.Err() == nil
}
