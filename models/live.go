package models

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Live is the Set in use, and the way to change it while work goes on: whoever took the old Set finishes on it, whoever asks later gets the
// new one, and the old one is closed, and its memory freed, when its last user is done. It is safe for concurrent use.
type Live struct {
	mu  sync.Mutex
	now *tenure // nil: closed
}

// tenure is one Set's time in a Live.
type tenure struct {
	set   *Set
	users int
	over  bool          // replaced: closed when users is 0
	gone  chan struct{} // closed once the Set is
	err   error
}

// Retired is a Set that was replaced. It may still be in use.
type Retired struct{ t *tenure }

// NewLive begins with a Set, which it owns from here on.
func NewLive(s *Set) *Live {
	return &Live{now: &tenure{set: s, gone: make(chan struct{})}}
}

// Use gives the Set in use. It stays open until done is called, whatever is swapped in meanwhile: a job takes it once and uses it to its end,
// so that no job sees two. After Close the error is ErrClosed.
func (l *Live) Use() (set *Set, done func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.now
	if t == nil {
		return nil, nil, ErrClosed
	}
	t.users++
	return t.set, sync.OnceFunc(func() { l.leave(t) }), nil
}

func (l *Live) leave(t *tenure) {
	l.mu.Lock()
	t.users--
	last := t.over && t.users == 0
	l.mu.Unlock()
	if last {
		t.close()
	}
}

// Swap makes another Set the one in use, and owns it from here on. The new one should be warm. After Close the new Set is closed at once and
// the error is ErrClosed.
func (l *Live) Swap(s *Set) (Retired, error) {
	old, err := l.replace(&tenure{set: s, gone: make(chan struct{})})
	if err != nil {
		return Retired{}, errors.Join(err, s.Close())
	}
	return Retired{old}, nil
}

// replace sets what is in use and closes the old Set if nobody uses it.
func (l *Live) replace(next *tenure) (*tenure, error) {
	l.mu.Lock()
	old := l.now
	if old == nil {
		l.mu.Unlock()
		return nil, ErrClosed
	}
	l.now, old.over = next, true
	idle := old.users == 0
	l.mu.Unlock()
	if idle {
		old.close()
	}
	return old, nil
}

// close runs once: users is 0 and nobody can begin to use the Set any more.
func (t *tenure) close() {
	t.err = t.set.Close()
	close(t.gone)
}

// Wait returns once the Set is closed, with what closing said; earlier with the context's error.
func (r Retired) Wait(ctx context.Context) error {
	select {
	case <-r.t.gone:
		return r.t.err
	case <-ctx.Done():
		return fmt.Errorf("wait for the replaced models to be done: %w", ctx.Err())
	}
}

// Close ends it: Use fails from here on, and Close returns when the last user of the Set in use is done. Sets that were replaced before may
// still have users (Retired.Wait).
func (l *Live) Close() error {
	old, err := l.replace(nil)
	if err != nil { // closed before
		return nil
	}
	<-old.gone
	return old.err
}
