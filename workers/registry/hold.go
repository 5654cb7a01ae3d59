package registry

import (
	"context"
	"sync"
	"time"
)

// hold renews the term of who was elected for a role until it is released. The context ends when another was elected all the same.
func hold(ctx context.Context, s Store, role, name string) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() {
		tick := time.NewTicker(keeperTerm / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if mine, err := s.Elect(ctx, role, name, keeperTerm); err == nil && !mine {
				cancel()
			}
		}
	})
	return ctx, func() {
		cancel()
		wait.Wait()
	}
}
