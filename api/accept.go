package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"onsite/results"
)

// collector commits submissions that come at the same time together. It has no goroutine: the first request in becomes the leader, takes
// all who wait, commits for them, and hands over to one of those who came meanwhile. A request that comes alone is committed at once.
type collector struct {
	store  results.Intake
	rung   func(ctx context.Context) // after a commit with new jobs
	mu     sync.Mutex
	queue  []*acceptCall
	active int // leaders at work
}

// acceptLeaders is how many commits may be under way at once: while one waits for the disk, the next is on its way there.
const acceptLeaders = 2

// acceptBatch bounds one commit.
const acceptBatch = 128

// acceptTimeout bounds one commit. After that its fate is not known: the clients are told to try again, with their Idempotency-Key.
const acceptTimeout = 15 * time.Second

type acceptCall struct {
	n     results.NewSubmission
	taken bool // by a leader: its end must be waited for
	lead  chan struct{}
	done  chan results.Acceptance
}

// accept commits one submission. When ctx ends before a leader took it, nothing was written.
func (c *collector) accept(ctx context.Context, n results.NewSubmission) results.Acceptance {
	call := &acceptCall{n: n, lead: make(chan struct{}, 1), done: make(chan results.Acceptance, 1)}
	c.mu.Lock()
	c.queue = append(c.queue, call)
	if c.active < acceptLeaders {
		c.active++
		call.lead <- struct{}{}
	}
	c.mu.Unlock()
	for {
		select {
		case a := <-call.done:
			c.pass(call)
			return a
		case <-call.lead:
			c.commit(ctx)
		case <-ctx.Done():
			if c.withdraw(call) {
				return results.Acceptance{Err: &withdrawn{ctx.Err()}}
			}
			ctx = context.WithoutCancel(ctx) // it is being written: its end counts, not the client
		}
	}
}

// pass gives away a lead that a call got before another leader took it.
func (c *collector) pass(call *acceptCall) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-call.lead:
		c.handOver()
	default:
	}
}

// withdraw takes a call out of the queue that no leader took; a lead that it was given goes to the next.
func (c *collector) withdraw(call *acceptCall) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if call.taken {
		return false
	}
	for i, q := range c.queue {
		if q == call {
			c.queue = append(c.queue[:i], c.queue[i+1:]...)
			break
		}
	}
	select {
	case <-call.lead:
		c.handOver()
	default:
	}
	return true
}

// commit is the leader's work: one batch, in which its own call is unless another leader took it.
func (c *collector) commit(ctx context.Context) {
	c.mu.Lock()
	n := min(len(c.queue), acceptBatch)
	batch := append([]*acceptCall(nil), c.queue[:n]...)
	c.queue = append(c.queue[:0], c.queue[n:]...)
	for _, call := range batch {
		call.taken = true
	}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.handOver()
		c.mu.Unlock()
	}()
	if len(batch) == 0 {
		return
	}
	answers := c.write(context.WithoutCancel(ctx), batch)
	for i, call := range batch {
		call.done <- answers[i]
	}
}

// handOver makes the first who waits the next leader; without anyone the leader's place is free.
func (c *collector) handOver() {
	for _, call := range c.queue {
		if len(call.lead) == 0 {
			call.lead <- struct{}{}
			return
		}
	}
	c.active--
}

// write commits a batch. A panic of the store must not leave the others waiting.
func (c *collector) write(ctx context.Context, batch []*acceptCall) (answers []results.Acceptance) {
	ctx, cancel := context.WithTimeout(ctx, acceptTimeout)
	defer cancel()
	rows := make([]results.NewSubmission, len(batch))
	for i, call := range batch {
		rows[i] = call.n
	}
	defer func() {
		if cause := recover(); cause != nil {
			answers = all(len(batch), fmt.Errorf("accept %d submissions: panic: %T", len(batch), cause))
		}
	}()
	answers = c.store.AcceptMany(ctx, rows)
	if len(answers) != len(batch) {
		return all(len(batch), fmt.Errorf("accept %d submissions: the store gave %d answers", len(batch), len(answers)))
	}
	for _, a := range answers {
		if a.Err == nil && !a.Again {
			c.rung(ctx)
			break
		}
	}
	return answers
}

// withdrawn says that the client went away before anything was written.
type withdrawn struct{ err error }

func (w *withdrawn) Error() string {
	return "the client went away before its submission was written: " + w.err.Error()
}
func (w *withdrawn) Unwrap() error { return w.err }

func all(n int, err error) []results.Acceptance {
	out := make([]results.Acceptance, n)
	for i := range out {
		out[i].Err = err
	}
	return out
}

// unwritten says that an error of Accept means for sure that no row names the media: the object may go at once. With any other error
// the commit may have happened, and the sweeper finds out.
func unwritten(err error) bool {
	var w *withdrawn
	if errors.As(err, &w) {
		return true
	}
	for _, e := range []error{results.ErrFull, results.ErrKeyReuse, results.ErrKeyBusy, results.ErrErased, results.ErrNotFound, results.ErrExists, results.ErrConflict} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// waiting remembers for a second how many jobs are unfinished, of a tenant or of everyone: an early word to those who would send a long
// upload for nothing. The store's own count at acceptance is what holds.
type waiting struct {
	store results.Work
	clock func() time.Time
	mu    sync.Mutex
	seen  map[string]*waitingCount
}

type waitingCount struct {
	mu   sync.Mutex // held by the one who counts
	n    int64
	at   time.Time
	done bool // counted once
}

const countTTL = time.Second

// jobs gives the number; while one request counts, the others take the last number.
func (w *waiting) jobs(ctx context.Context, tenant string) (int64, error) {
	w.mu.Lock()
	if w.seen == nil || len(w.seen) > cacheSize {
		w.seen = map[string]*waitingCount{}
	}
	c := w.seen[tenant]
	if c == nil {
		c = &waitingCount{}
		w.seen[tenant] = c
	}
	n, fresh, counted := c.n, w.clock().Sub(c.at) < countTTL, c.done
	w.mu.Unlock()
	if counted && (fresh || !c.mu.TryLock()) {
		return n, nil
	}
	if !counted { // the very first ones wait for a number
		c.mu.Lock()
		w.mu.Lock()
		n, counted = c.n, c.done
		w.mu.Unlock()
		if counted {
			c.mu.Unlock()
			return n, nil
		}
	}
	defer c.mu.Unlock()
	counts, err := w.store.Counts(ctx, tenant)
	if err != nil {
		return 0, fmt.Errorf("count the waiting jobs: %w", err)
	}
	n = counts.ByState[results.Accepted] + counts.ByState[results.Queued] + counts.ByState[results.Running]
	w.mu.Lock()
	c.n, c.at, c.done = n, w.clock(), true
	w.mu.Unlock()
	return n, nil
}

// room refuses early when the queue is full.
func (s *Server) room(ctx context.Context, tenant string, bound int) error {
	n, err := s.waiting.jobs(ctx, "")
	if err == nil && n >= int64(s.Limits.MaxQueue) {
		return problem(codeFull).with("%d jobs are waiting in the whole service, as many as it takes.", "全系统已有 %d 个任务等待，达到上限。", s.Limits.MaxQueue).retry(fullRetry)
	}
	if err != nil || tenant == "" {
		return err
	}
	n, err = s.waiting.jobs(ctx, tenant)
	if err == nil && n >= int64(bound) {
		return full(bound)
	}
	return err
}

func full(bound int) *Problem {
	return problem(codeFull).with("%d jobs of your tenant are waiting, as many as it may have. Nothing was accepted; send it again after the time in Retry-After.",
		"您的租户已有 %d 个任务等待，达到上限。请求未被接收；请在 Retry-After 指定的时间后重发。", bound).retry(fullRetry)
}
