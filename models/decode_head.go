package models

import (
	"context"
	"fmt"
)

// SceneHeads gives the probability (0..1) of a yes for each question of the model, in the order of the manifest's outputs, from the
// concatenated features that the manifest's parts name.
func (s *Set) SceneHeads(ctx context.Context, features []float32) ([]float32, error) {
	m, err := s.model(SceneHead)
	if err != nil {
		return nil, err
	}
	if want := m.man.Input.Size(); len(features) != want {
		return nil, &InputError{Task: m.task, Why: fmt.Sprintf("%d features, want %d", len(features), want)}
	}
	slot, err := m.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer m.release(slot)
	watch := start()
	if err := slot.vector(m); err != nil {
		return nil, err
	}
	copy(slot.in, features)
	watch.lap(&m.count.pre)
	if err := m.run(slot); err != nil {
		return nil, err
	}
	watch.lap(&m.count.run)
	out := make([]float32, len(slot.out))
	for i, o := range slot.out {
		out[i] = o[0]
	}
	watch.lap(&m.count.decode)
	m.count.calls.Add(1)
	m.used.Store(true)
	return out, finite(m.task, out...)
}

// vector makes the tensors of a model that takes features.
func (s *slot) vector(m *model) error {
	if err := s.shape(m.man, []int64{1, int64(m.man.Input.Size())}, m.outputShapes(0, 0)); err != nil {
		return fmt.Errorf("run model %s: make tensors: %w", m.task, err)
	}
	return nil
}
