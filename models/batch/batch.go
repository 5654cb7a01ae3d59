package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Batcher.
type Options[I, O any] struct {
	// Max is how many items one batch holds at most; at least 1.
	Max int
	// Delay is how long the first item of a batch waits for others at most; 0: it takes along what is waiting already and leaves.
	Delay time.Duration
	// Runners is how many batches run at once; 0: one. With two the next batch is filled and copied while one computes.
	Runners int
	// Run works on the items of one batch, in order, and gives as many answers. An error fails them all: then each is run again by itself, so
	// that one item that cannot be worked on takes nobody along. It is called from Runners goroutines, never after Close returned.
	Run func(items []I) ([]O, error)
}

// ErrClosed is the answer to calls that a closed Batcher no longer takes.
var ErrClosed = errors.New("the batcher is closed")

// A Batcher runs items in batches. It owns Options.Runners goroutines until Close.
type Batcher[I, O any] struct {
	o       Options[I, O]
	calls   chan *call[I, O]
	filling chan struct{} // a token: one runner at a time fills its batch
	gone    chan struct{}
	closer  sync.Once
	wait    sync.WaitGroup
	count   counters
}

// The states of a call.
const (
	waiting int32 = iota
	taken         // in a batch: its item is being read
	left          // its caller has gone; nobody looks at its item any more
)

type call[I, O any] struct {
	item  I
	out   O
	err   error
	came  time.Time
	state atomic.Int32
	done  chan struct{}
}

// New starts a Batcher. It panics on options that no Batcher can have: they are the program's, never the input's.
func New[I, O any](o Options[I, O]) *Batcher[I, O] {
	if o.Max < 1 || o.Delay < 0 || o.Run == nil {
		panic(fmt.Sprintf("batch: max %d, delay %v: want at least 1 and 0, and a function", o.Max, o.Delay))
	}
	o.Runners = max(o.Runners, 1)
	b := &Batcher[I, O]{o: o, calls: make(chan *call[I, O]), filling: make(chan struct{}, 1), gone: make(chan struct{})}
	for range o.Runners {
		b.wait.Go(b.loop)
	}
	return b
}

// Do runs one item in some batch and gives its answer. When ctx ends while the item waits, it leaves; once the item is in a batch, Do waits for
// that batch, because the item is being read: that takes as long as one run.
func (b *Batcher[I, O]) Do(ctx context.Context, item I) (out O, err error) {
	if err := ctx.Err(); err != nil {
		return out, err
	}
	c := &call[I, O]{item: item, came: time.Now(), done: make(chan struct{})}
	b.count.waiting.Add(1)
	select {
	case b.calls <- c:
	case <-b.gone:
		b.count.waiting.Add(-1)
		return out, ErrClosed
	case <-ctx.Done():
		b.count.leave()
		return out, ctx.Err()
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		if c.state.CompareAndSwap(waiting, left) {
			b.count.leave()
			return out, ctx.Err()
		}
		<-c.done
	}
	return c.out, c.err
}

// Close lets the batches that are filled run to their end and stops the goroutines. Further calls get ErrClosed.
func (b *Batcher[I, O]) Close() {
	b.closer.Do(func() { close(b.gone) })
	b.wait.Wait()
}

func (b *Batcher[I, O]) loop() {
	for {
		got := b.fill()
		if got == nil {
			return
		}
		if now := take(got); len(now) > 0 {
			b.run(now)
		}
	}
}

// fill gathers one batch; nil when the Batcher is closed. A call that was handed over is always answered.
func (b *Batcher[I, O]) fill() []*call[I, O] {
	select {
	case b.filling <- struct{}{}:
		defer func() { <-b.filling }()
	case <-b.gone:
		return nil
	}
	var got []*call[I, O]
	select {
	case c := <-b.calls:
		got = append(got, c)
	case <-b.gone:
		return nil
	}
	timer := time.NewTimer(b.o.Delay - time.Since(got[0].came))
	defer timer.Stop()
	for {
		if len(got) == b.o.Max { // who has gone makes room
			if got = slices.DeleteFunc(got, func(c *call[I, O]) bool { return c.state.Load() == left }); len(got) == b.o.Max {
				return got
			}
		}
		select { // what is there already goes along, however late it is
		case c := <-b.calls:
			got = append(got, c)
			continue
		default:
		}
		select {
		case c := <-b.calls:
			got = append(got, c)
		case <-timer.C:
			return got
		case <-b.gone:
			return got
		}
	}
}

// take leaves out the calls whose callers have gone.
func take[I, O any](got []*call[I, O]) []*call[I, O] {
	kept := got[:0]
	for _, c := range got {
		if c.state.CompareAndSwap(waiting, taken) {
			kept = append(kept, c)
		}
	}
	return kept
}

func (b *Batcher[I, O]) run(calls []*call[I, O]) {
	items, began := make([]I, len(calls)), time.Now()
	b.count.waiting.Add(-int64(len(calls)))
	for i, c := range calls {
		items[i] = c.item
		b.count.waitNS.Add(int64(began.Sub(c.came)))
	}
	outs, err := b.try(items)
	b.count.batch(len(calls), time.Since(began))
	for i, c := range calls {
		switch {
		case err == nil:
			c.out = outs[i]
		case len(calls) == 1:
			c.err = err
		default:
			b.alone(c)
		}
		if c.err != nil {
			b.count.failed.Add(1)
		}
		close(c.done)
	}
}

// alone runs an item of a batch that failed by itself.
func (b *Batcher[I, O]) alone(c *call[I, O]) {
	b.count.alone.Add(1)
	outs, err := b.try([]I{c.item})
	if c.err = err; err == nil {
		c.out = outs[0]
	}
}

func (b *Batcher[I, O]) try(items []I) ([]O, error) {
	outs, err := b.o.Run(items)
	if err == nil && len(outs) != len(items) {
		err = fmt.Errorf("batch: %d answers to %d items", len(outs), len(items))
	}
	return outs, err
}
