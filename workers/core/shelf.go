package core

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// shelf keeps values that are dear to make, by key: the least recently used go when it is full, and what nobody asked for in a while goes
// too. A value is made once, however many ask for it at the same time, and put away only when nobody uses it any more.
type shelf[V any] struct {
	max  int64         // sum of the costs of what is kept; 0: nothing is kept beyond its use
	idle time.Duration // how long a value is kept that nobody asks for; 0: as long as there is room
	drop func(V)       // frees a value; nil: nothing to do
	now  func() time.Time

	mu    sync.Mutex
	slots map[string]*slot[V]
	order list.List // *slot[V], the most recently used in front
	cost  int64
	hits  int64
	made  int64
}

// slot is one value, or the making of it.
type slot[V any] struct {
	key   string
	ready chan struct{} // closed once value or err is there
	value V
	err   error
	cost  int64
	users int
	out   bool // no longer on the shelf
	at    time.Time
	place *list.Element
}

func newShelf[V any](most int64, idle time.Duration, drop func(V)) *shelf[V] {
	return &shelf[V]{max: most, idle: idle, drop: drop, now: time.Now, slots: map[string]*slot[V]{}}
}

// errUnmade is what waiters get of a value whose making ended in a panic.
var errUnmade = errors.New("a shared value could not be made")

// take gives the value of a key, made by the first who asks for it. release must be called when it is no longer used.
func (s *shelf[V]) take(ctx context.Context, key string, build func(context.Context) (value V, cost int64, err error)) (V, func(), error) {
	for {
		t, mine := s.reach(key)
		if mine {
			s.fill(ctx, t, build)
		} else {
			select {
			case <-t.ready:
			case <-ctx.Done():
				s.release(t)
				var none V
				return none, nil, ctx.Err()
			}
		}
		if t.err == nil {
			return t.value, sync.OnceFunc(func() { s.release(t) }), nil
		}
		s.release(t)
		ended := errors.Is(t.err, context.Canceled) || errors.Is(t.err, context.DeadlineExceeded)
		if mine || !ended || ctx.Err() != nil {
			var none V
			return none, nil, t.err
		}
		// Whoever was making it went away; we did not.
	}
}

// reach finds the slot of a key, or makes an empty one that the caller must fill.
func (s *shelf[V]) reach(key string) (t *slot[V], mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	if t = s.slots[key]; t != nil {
		s.hits++
		t.users++
		t.at = s.now()
		s.order.MoveToFront(t.place)
		return t, false
	}
	s.made++
	t = &slot[V]{key: key, ready: make(chan struct{}), users: 1, at: s.now()}
	t.place = s.order.PushFront(t)
	s.slots[key] = t
	return t, true
}

func (s *shelf[V]) fill(ctx context.Context, t *slot[V], build func(context.Context) (V, int64, error)) {
	t.err = errUnmade // unless build returns
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		close(t.ready)
		if t.err != nil {
			s.remove(t)
			return
		}
		if !t.out { // forgotten while it was made
			s.cost += t.cost
			s.sweep()
		}
	}()
	t.value, t.cost, t.err = build(ctx)
}

// release ends one use.
func (s *shelf[V]) release(t *slot[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.users--
	if t.users == 0 && t.out {
		s.free(t)
	}
}

// forget takes all values away whose key matches.
func (s *shelf[V]) forget(match func(key string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, t := range s.slots {
		if match(key) {
			s.remove(t)
		}
	}
}

// sweep takes away what is too much and what is too old. It holds the lock.
func (s *shelf[V]) sweep() {
	limit := s.now().Add(-s.idle)
	for e := s.order.Back(); e != nil; {
		t := e.Value.(*slot[V])
		e = e.Prev()
		select {
		case <-t.ready:
		default:
			continue // it is being made
		}
		if s.cost <= s.max && (s.idle == 0 || t.at.After(limit)) {
			return
		}
		s.remove(t)
	}
}

// remove takes a slot off the shelf. It holds the lock.
func (s *shelf[V]) remove(t *slot[V]) {
	if t.out {
		return
	}
	t.out = true
	delete(s.slots, t.key)
	s.order.Remove(t.place)
	select {
	case <-t.ready:
		if t.err == nil {
			s.cost -= t.cost
		}
	default:
	}
	if t.users == 0 {
		s.free(t)
	}
}

func (s *shelf[V]) free(t *slot[V]) {
	if s.drop != nil && t.err == nil {
		s.drop(t.value)
	}
}
