package models

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	ort "github.com/yalue/onnxruntime_go"

	"onsite/models/batch"
)

// batchRunners is how many batches of one model run at once: while one computes, the next is laid out and copied.
const batchRunners = 2

// group runs the calls of one model together.
type group = batch.Batcher[Image, *share]

// share is one picture's part of a batch's outputs. The slot goes back when all parts have been read.
type share struct {
	out  [][]float32
	slot *slot
	left *atomic.Int32 // parts that are not read yet
	back func(*slot)
}

func (p *share) release() {
	if p.left.Add(-1) == 0 {
		p.back(p.slot)
	}
}

// gather makes the group of a model.
func (m *model) gather() *group {
	return batch.New(batch.Options[Image, *share]{Max: m.how.batch, Delay: m.how.delay, Runners: batchRunners, Run: m.runTogether})
}

// together runs one picture in a batch with those of other calls.
func (m *model) together(ctx context.Context, img Image, decode func(out [][]float32, w, h int) error) error {
	if err := m.load(); err != nil {
		return err
	}
	part, err := m.group.Do(ctx, img)
	switch {
	case errors.Is(err, batch.ErrClosed):
		return ErrClosed
	case err != nil:
		return fmt.Errorf("run model %s: %w", m.task, err)
	}
	defer part.release()
	watch := start()
	w, h := m.tensorSize(img)
	err = decode(part.out, w, h)
	watch.lap(&m.count.decode)
	m.count.calls.Add(1)
	m.used.Store(true)
	return err
}

// runTogether runs the pictures of one batch: those of one size together. An error fails all.
func (m *model) runTogether(imgs []Image) ([]*share, error) {
	bySize := map[[2]int][]int{}
	var sizes [][2]int // in the order in which they came, so that a batch runs the same way each time
	for i, img := range imgs {
		w, h := m.tensorSize(img)
		at := [2]int{w, h}
		if bySize[at] == nil {
			sizes = append(sizes, at)
		}
		bySize[at] = append(bySize[at], i)
	}
	if len(sizes) > 1 && len(imgs) > 1 {
		// Each size needs a slot of its own until its answers are read; there may not be as many as sizes.
		return m.runSizes(imgs, sizes, bySize)
	}
	return m.runSame(imgs)
}

// runSizes runs the sizes one after the other and copies the answers, so that each slot is back before the next is asked for.
func (m *model) runSizes(imgs []Image, sizes [][2]int, bySize map[[2]int][]int) ([]*share, error) {
	out := make([]*share, len(imgs))
	for _, at := range sizes {
		same := make([]Image, len(bySize[at]))
		for k, i := range bySize[at] {
			same[k] = imgs[i]
		}
		parts, err := m.runSame(same)
		if err != nil {
			return nil, err
		}
		for k, i := range bySize[at] {
			kept := &share{out: make([][]float32, len(parts[k].out)), left: &atomic.Int32{}, back: func(*slot) {}}
			for j, v := range parts[k].out {
				kept.out[j] = append([]float32(nil), v...)
			}
			parts[k].release()
			out[i] = kept
		}
	}
	return out, nil
}

// runSame runs pictures of one size.
func (m *model) runSame(imgs []Image) ([]*share, error) {
	s := <-m.slots
	watch := start()
	if err := m.lay(s, imgs); err != nil {
		m.release(s)
		return nil, err
	}
	watch.lap(&m.count.pre)
	if err := m.run(s); err != nil {
		m.release(s)
		return nil, err
	}
	watch.lap(&m.count.run)
	left := &atomic.Int32{}
	left.Store(int32(len(imgs)))
	parts := make([]*share, len(imgs))
	for k := range imgs {
		p := &share{out: make([][]float32, len(s.out)), slot: s, left: left, back: m.release}
		for i, all := range s.out {
			n := len(all) / len(imgs)
			p.out[i] = all[k*n : (k+1)*n : (k+1)*n]
		}
		parts[k] = p
	}
	return parts, nil
}

// lay writes pictures of one size into a slot's input tensor, one after the other.
func (m *model) lay(s *slot, imgs []Image) error {
	w, h := m.tensorSize(imgs[0])
	in, outs := m.inputShape(w, h), m.outputShapes(w, h)
	for _, shape := range append(outs, in) {
		shape[0] *= int64(len(imgs))
	}
	if err := s.shape(m.man, in, outs); err != nil {
		return fmt.Errorf("make tensors for %d pictures of %d x %d pixels: %w", len(imgs), w, h, err)
	}
	n := len(s.in) / len(imgs)
	for k, img := range imgs {
		m.fill(s.in[k*n:(k+1)*n], img, w)
	}
	return nil
}

// runOn calls a session on the slot's tensors.
func (m *model) runOn(session *ort.DynamicAdvancedSession, s *slot) error {
	inputs := append([]ort.Value{s.input}, s.extra...)
	outputs := make([]ort.Value, len(s.outputs))
	for i, o := range s.outputs {
		outputs[i] = o
	}
	if err := withoutDenormals(func() error { return session.Run(inputs, outputs) }); err != nil {
		return fmt.Errorf("run model %s on %v: %w", m.task, s.input.GetShape(), err)
	}
	return nil
}

// Batches gives what the models that run in batches did since Open.
func (s *Set) Batches() map[Task]batch.Stats {
	out := map[Task]batch.Stats{}
	for t, m := range s.models {
		m.mu.Lock()
		if m.group != nil {
			out[t] = m.group.Stats()
		}
		m.mu.Unlock()
	}
	return out
}
