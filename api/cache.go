package api

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// cacheSize bounds a cache; when it is full everything goes, since entries live for seconds anyway.
const cacheSize = 10_000

// cache remembers what the store said for a short time. Errors are not remembered: what was just made must be found at once.
type cache[V any] struct {
	ttl    time.Duration
	clock  func() time.Time
	mu     sync.Mutex
	seen   map[string]cached[V]
	flight singleflight.Group
}

type cached[V any] struct {
	v     V
	until time.Time
}

func newCache[V any](ttl time.Duration, clock func() time.Time) *cache[V] {
	return &cache[V]{ttl: ttl, clock: clock, seen: map[string]cached[V]{}}
}

// get gives the remembered value or loads it; of many callers at once, one loads.
func (c *cache[V]) get(ctx context.Context, key string, load func(context.Context) (V, error)) (V, error) {
	now := c.clock()
	c.mu.Lock()
	e, ok := c.seen[key]
	c.mu.Unlock()
	if ok && now.Before(e.until) {
		return e.v, nil
	}
	// The caller who loads may go away; the others still want the answer.
	ch := c.flight.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		v, err := load(ctx)
		if err == nil {
			c.put(key, v)
		}
		return v, err
	})
	select {
	case r := <-ch:
		v, _ := r.Val.(V)
		return v, r.Err
	case <-ctx.Done():
		var zero V
		return zero, ctx.Err()
	}
}

// loadTimeout ends a look-up whose callers may all be gone.
const loadTimeout = 5 * time.Second

func (c *cache[V]) put(key string, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seen) >= cacheSize {
		clear(c.seen)
	}
	c.seen[key] = cached[V]{v: v, until: c.clock().Add(c.ttl)}
}

// forget drops an entry, after this process changed what it is about.
func (c *cache[V]) forget(key string) {
	c.mu.Lock()
	delete(c.seen, key)
	c.mu.Unlock()
	c.flight.Forget(key)
}
