package models

import (
	"context"
	"fmt"

	ort "github.com/yalue/onnxruntime_go"
)

// maxPCM bounds one call's sound: ten minutes at 16 kHz.
const maxPCM = 10 * 60 * 16000

// VoiceActivity gives the probability (0..1) of speech for each full window of 32 ms (512 samples) of 16 kHz mono sound, -1..1. The
// model's memory begins empty and lives for this call; a last, shorter window is left out.
func (s *Set) VoiceActivity(ctx context.Context, pcm []float32) ([]float32, error) {
	m, err := s.model(VoiceActivity)
	if err != nil {
		return nil, err
	}
	if len(pcm) > maxPCM {
		return nil, &InputError{Task: m.task, Why: fmt.Sprintf("%d samples, the limit is %d", len(pcm), maxPCM)}
	}
	in := m.man.Input
	slot, err := m.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer m.release(slot)
	if err := slot.voice(m); err != nil {
		return nil, err
	}
	state := slot.state()
	clear(state)
	clear(slot.in)
	out := make([]float32, 0, len(pcm)/in.Window)
	for ; len(pcm) >= in.Window; pcm = pcm[in.Window:] {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("run model %s: %w", m.task, err)
		}
		watch := start()
		copy(slot.in, slot.in[in.Window:]) // the end of the window before is the context of this one
		copy(slot.in[in.Context:], pcm[:in.Window])
		watch.lap(&m.count.pre)
		if err := m.run(slot); err != nil {
			return nil, err
		}
		watch.lap(&m.count.run)
		out = append(out, slot.out[0][0])
		copy(state, slot.out[1])
		watch.lap(&m.count.decode)
		m.count.calls.Add(1)
		m.used.Store(true)
	}
	return out, nil
}

// voice makes the tensors of the voice model: the window with its context, and the two inputs that are not sound.
func (s *slot) voice(m *model) error {
	if s.input != nil {
		return nil
	}
	in := m.man.Input
	if err := s.shape(m.man, []int64{1, int64(in.Context + in.Window)}, m.outputShapes(0, 0)); err != nil {
		return fmt.Errorf("run model %s: make tensors: %w", m.task, err)
	}
	state, err := ort.NewTensor(s.outputs[1].GetShape(), make([]float32, len(s.out[1])))
	if err != nil {
		return fmt.Errorf("run model %s: make the state: %w", m.task, err)
	}
	s.extra = append(s.extra, state)
	rate, err := ort.NewScalar(int64(in.Rate))
	if err != nil {
		return fmt.Errorf("run model %s: make the sampling rate: %w", m.task, err)
	}
	s.extra = append(s.extra, rate)
	return nil
}

// state is the memory of the voice model between two windows.
func (s *slot) state() []float32 {
	t, _ := s.extra[0].(*ort.Tensor[float32]) // voice made it
	return t.GetData()
}
