package queue

import (
	"context"
	"sync"

	"onsite/results"
)

var (
	_ results.Bell = (*LocalBell)(nil)
	_ results.Bell = (*RedisBell)(nil)
)

// LocalBell rings within this process. The zero value is ready.
type LocalBell struct {
	mu      sync.Mutex
	ears    map[string]map[chan struct{}]struct{}
	changed func() // told when a topic got its first or lost its last listener; may be nil
}

// Ring wakes the listeners of a topic.
func (b *LocalBell) Ring(_ context.Context, topic string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for ear := range b.ears[topic] {
		select {
		case ear <- struct{}{}:
		default: // one ring waits already
		}
	}
}

// Listen gives a channel that gets a value after rings of the topic, until ctx ends.
func (b *LocalBell) Listen(ctx context.Context, topic string) <-chan struct{} {
	ear := make(chan struct{}, 1)
	if ctx.Err() != nil {
		return ear
	}
	b.mu.Lock()
	if b.ears == nil {
		b.ears = map[string]map[chan struct{}]struct{}{}
	}
	first := b.ears[topic] == nil
	if first {
		b.ears[topic] = map[chan struct{}]struct{}{}
	}
	b.ears[topic][ear] = struct{}{}
	b.mu.Unlock()
	if first && b.changed != nil {
		b.changed()
	}
	context.AfterFunc(ctx, func() {
		b.mu.Lock()
		delete(b.ears[topic], ear)
		last := len(b.ears[topic]) == 0
		if last {
			delete(b.ears, topic)
		}
		b.mu.Unlock()
		if last && b.changed != nil {
			b.changed()
		}
	})
	return ear
}

// topics lists what is listened to.
func (b *LocalBell) topics() map[string]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make(map[string]bool, len(b.ears))
	for t := range b.ears {
		out[t] = true
	}
	return out
}
