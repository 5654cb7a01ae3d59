package models

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Recording keeps the tensors that models are given, so that a measurement can hand the very same ones to bare ONNX Runtime again. It holds copies
// of all of them in memory. Calls of models that hear (voices have further inputs, speech any length) and batches of several jobs are counted only.
type Recording struct {
	set *Set

	mu    sync.Mutex
	calls []call
	other map[Task]int
}

// call is one run of a session: the input's values and the shapes of the tensors.
type call struct {
	of    *model
	in    []float32
	shape []int64
	outs  [][]int64
}

// Record keeps the tensors of all calls until Stop. One Recording at a time; a second takes over from the first.
func (s *Set) Record() *Recording {
	r := &Recording{set: s, other: map[Task]int{}}
	for _, m := range s.models {
		m.tape.Store(r)
	}
	return r
}

// Stop ends the recording; calls that run meanwhile may still be in it.
func (r *Recording) Stop() {
	for _, m := range r.set.models {
		m.tape.CompareAndSwap(r, nil)
	}
}

// Other says how often each model ran that is not recorded.
func (r *Recording) Other() map[Task]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.other)
}

// Calls says how often each model ran that is recorded.
func (r *Recording) Calls() map[Task]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[Task]int{}
	for i := range r.calls {
		out[r.calls[i].of.task]++
	}
	return out
}

// miss counts a run of a model that is not recorded.
func (r *Recording) miss(m *model) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.other[m.task]++
}

// add copies what a session is about to be run on.
func (r *Recording) add(m *model, s *slot) {
	if len(s.extra) > 0 || m.group != nil {
		r.miss(m)
		return
	}
	c := call{of: m, in: slices.Clone(s.in), shape: slices.Clone(s.input.GetShape())}
	for _, o := range s.outputs {
		c.outs = append(c.outs, slices.Clone(o.GetShape()))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, c)
}

// Replay runs the recorded calls again, in their order, and gives the processor time of the runs alone: neither making pictures into tensors nor
// reading answers is in it. It counts this thread: a session on the processor works on the thread that calls it, one of another provider elsewhere.
// An error of the thread's clock is one of the replay.
func (r *Recording) Replay(ctx context.Context) (time.Duration, error) {
	r.mu.Lock()
	calls := slices.Clone(r.calls)
	r.mu.Unlock()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var spent time.Duration
	for i := range calls {
		took, err := calls[i].again(ctx)
		if err != nil {
			return 0, fmt.Errorf("replay call %d of %d: %w", i+1, len(calls), err)
		}
		spent += took
	}
	return spent, nil
}

func (c *call) again(ctx context.Context) (time.Duration, error) {
	s, err := c.of.acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer c.of.release(s)
	if err := s.shape(c.of.man, c.shape, c.outs); err != nil {
		return 0, err
	}
	copy(s.in, c.in)
	began, err := threadCPU()
	if err != nil {
		return 0, err
	}
	if err := c.of.run(s); err != nil {
		return 0, err
	}
	ended, err := threadCPU()
	return ended - began, err
}
