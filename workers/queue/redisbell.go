package queue

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"
)

// channel is what the names of the bells' Redis channels begin with.
const channel = "onsite:bell:"

// maxUnsent bounds the topics that wait to be published; a Redis that is away must not fill the memory.
const maxUnsent = 10_000

// RedisBell rings in all processes that share a Redis, and in this one even while Redis is away. It has one subscribed connection,
// whatever the number of listeners and topics. After a reconnection every listener gets a ring: it may have missed one.
type RedisBell struct {
	local  LocalBell
	queue  *Queue
	self   string // marks our own rings, which were heard already
	stop   context.CancelFunc
	owned  sync.WaitGroup
	listen chan struct{} // the topics that are listened to have changed
	send   chan struct{} // there is something to publish

	mu     sync.Mutex
	unsent map[string]struct{}
}

// NewBell makes a bell over the queue's Redis. Close ends it.
func (q *Queue) NewBell() *RedisBell {
	ctx, stop := context.WithCancel(context.Background())
	b := &RedisBell{
		queue: q, self: ulid.Make().String(), stop: stop,
		listen: make(chan struct{}, 1), send: make(chan struct{}, 1), unsent: map[string]struct{}{},
	}
	b.local.changed = func() { poke(b.listen) }
	b.owned.Go(func() { b.subscribe(ctx) })
	b.owned.Go(func() { b.publish(ctx) })
	return b
}

// Close ends the bell's goroutines and waits for them. Rings that were not sent yet are dropped.
func (b *RedisBell) Close() {
	b.stop()
	b.owned.Wait()
}

// Ring wakes the listeners of a topic here at once, and in other processes soon. It never waits for Redis.
func (b *RedisBell) Ring(ctx context.Context, topic string) {
	b.local.Ring(ctx, topic)
	b.mu.Lock()
	if len(b.unsent) < maxUnsent {
		b.unsent[topic] = struct{}{}
	}
	b.mu.Unlock()
	poke(b.send)
}

// Listen gives a channel that gets a value after rings of the topic, until ctx ends.
func (b *RedisBell) Listen(ctx context.Context, topic string) <-chan struct{} {
	return b.local.Listen(ctx, topic)
}

// publish sends what was rung: all of it in one round trip, a topic once.
func (b *RedisBell) publish(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.send:
		}
		b.mu.Lock()
		topics := b.unsent
		b.unsent = map[string]struct{}{}
		b.mu.Unlock()
		if len(topics) == 0 {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, b.queue.opts.Timeout)
		pipe := b.queue.rdb.Pipeline()
		for t := range topics {
			pipe.Publish(limited, channel+t, b.self)
		}
		_, err := pipe.Exec(limited)
		cancel()
		if err != nil && ctx.Err() == nil {
			b.queue.log.Debug("rings of the bell were not sent", "topics", len(topics), "error", err)
		}
	}
}

// subscribe keeps the subscriptions those of the listeners, and passes on what comes.
func (b *RedisBell) subscribe(ctx context.Context) {
	sub := b.queue.rdb.Subscribe(ctx)
	var heard sync.WaitGroup
	heard.Go(func() { b.hear(sub) })
	defer heard.Wait()
	defer sub.Close()
	have := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.listen:
		}
		want := b.local.topics()
		// An error needs no answer: the connection remembers what it should be subscribed to and makes up for it when it is back.
		if add := missing(want, have); len(add) > 0 {
			_ = sub.Subscribe(ctx, add...)
		}
		if drop := missing(have, want); len(drop) > 0 {
			_ = sub.Unsubscribe(ctx, drop...)
		}
		have = want
	}
}

// hear passes on what comes until the subscription is closed.
func (b *RedisBell) hear(sub *redis.PubSub) {
	for m := range sub.ChannelWithSubscriptions(redis.WithChannelSize(1024)) {
		switch m := m.(type) {
		case *redis.Message:
			if m.Payload != b.self {
				b.local.Ring(context.Background(), strings.TrimPrefix(m.Channel, channel))
			}
		case *redis.Subscription:
			// The first rings after this one are heard; those before it may have been missed.
			if m.Kind == "subscribe" {
				b.local.Ring(context.Background(), strings.TrimPrefix(m.Channel, channel))
			}
		}
	}
}

// missing gives the channels of the topics that are in a and not in b.
func missing(a, b map[string]bool) []string {
	var out []string
	for _, t := range slices.Sorted(maps.Keys(a)) {
		if !b[t] {
			out = append(out, channel+t)
		}
	}
	return out
}

// poke puts a value where one is waited for, unless one is there.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
