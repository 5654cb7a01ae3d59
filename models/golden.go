package models

import (
	"context"
	"fmt"
	"math"

	"onsite/models/manifest"
)

// Pattern is the generated picture of the golden samples: w x h x c bytes that depend on nothing but their position and the seed, so
// that any program can make the same. Waves of three lengths with a little noise: smooth enough to look like a picture to a model.
func Pattern(w, h, c int, seed uint32) Image {
	img := Image{Pix: make([]byte, w*h*c), W: w, H: h, C: c}
	i := 0
	for y := range h {
		for x := range w {
			for k := range c {
				n := (uint32(i)+seed)*2654435761 ^ seed // wraps on purpose
				n ^= n >> 15
				wave := triangle(x*3+k*40+int(seed)%97) + triangle(y*5+k*70) + triangle(x*7+y*2+int(seed)%53)
				img.Pix[i] = byte((wave*7 + int(n%256)*3) / 10)
				i++
			}
		}
	}
	return img
}

// triangle is a wave of length 170 between 0 and 85.
func triangle(v int) int {
	v %= 170
	if v > 85 {
		return 170 - v
	}
	return v
}

// PatternSound is the generated sound of the golden samples: n samples of a 125 Hz pulse train through two resonances that move (like a
// vowel), loud for half a second, silent for a quarter, and so on.
func PatternSound(n int, seed uint32) []float32 {
	out := make([]float32, n)
	var a1, a2, b1, b2 float64
	for i := range out {
		t := float64(i) / 16000
		x := 0.0
		if i%128 == 0 && math.Mod(t+float64(seed%7)*0.03, 0.75) < 0.5 {
			x = 1
		}
		f1, f2 := 500+250*math.Sin(2*math.Pi*3*t), 1500+500*math.Cos(2*math.Pi*2*t)
		a := x + 2*0.97*math.Cos(2*math.Pi*f1/16000)*a1 - 0.97*0.97*a2
		a2, a1 = a1, a
		b := a + 2*0.96*math.Cos(2*math.Pi*f2/16000)*b1 - 0.96*0.96*b2
		b2, b1 = b1, b
		out[i] = float32(math.Round(b*200) / 32768)
	}
	return out
}

// PatternVector is the generated feature vector of the golden samples: n values 0..1 that depend on their position and the seed.
func PatternVector(n int, seed uint32) []float32 {
	out := make([]float32, n)
	for i := range out {
		h := (uint32(i)+seed)*2654435761 ^ seed // wraps on purpose
		h ^= h >> 15
		out[i] = float32(h%256) / 256
	}
	return out
}

// goldenSize is the size of a generated picture; dynamic sides take the sample's, or a small default.
func (m *model) goldenSize(g manifest.Golden) (w, h int) {
	w, h = m.man.Input.Width, m.man.Input.Height
	if w == 0 {
		w = g.Width
	}
	if h == 0 {
		h = g.Height
	}
	small := max(64/max(m.man.Input.Multiple, 1), 1) * max(m.man.Input.Multiple, 1)
	if w == 0 {
		w = small
	}
	if h == 0 {
		h = small
	}
	return w, h
}

// Check runs the golden samples of a task and reports the first value that is not what the manifest says. A task without samples is an
// error: nothing was checked.
func (s *Set) Check(ctx context.Context, task Task) error {
	m, err := s.model(task)
	if err != nil {
		return err
	}
	if len(m.man.Golden) == 0 {
		return fmt.Errorf("check model %s: its manifest has no golden samples", task)
	}
	for _, g := range m.man.Golden {
		out, err := s.raw(ctx, m, g)
		if err != nil {
			return fmt.Errorf("check model %s: golden sample %s: %w", task, g.Name, err)
		}
		for _, e := range g.Expect {
			if err := compare(e, out[e.Output], g.Tolerance); err != nil {
				return fmt.Errorf("check model %s: golden sample %s: %w", task, g.Name, err)
			}
		}
	}
	return nil
}

// raw gives the outputs of the model for a golden sample. The voice model hears one window, a speech model a second.
func (s *Set) raw(ctx context.Context, m *model, g manifest.Golden) (map[string][]float32, error) {
	slot, err := m.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer m.release(slot)
	if m.task == Transcribe {
		in, shape := m.hear(PatternSound(manifest.SpeechRate, g.Seed))
		out, _, err := m.say(in, shape)
		return map[string][]float32{m.man.Outputs[0].Name: out}, err
	}
	switch m.man.Input.Layout {
	case manifest.Vec:
		if err := slot.vector(m); err != nil {
			return nil, err
		}
		copy(slot.in, PatternVector(len(slot.in), g.Seed))
	case manifest.PCM:
		if err := slot.voice(m); err != nil {
			return nil, err
		}
		clear(slot.state())
		copy(slot.in, PatternSound(len(slot.in), g.Seed))
	default:
		w, h := m.goldenSize(g)
		img := Pattern(w, h, 3, g.Seed)
		if err := m.checkImage(img); err != nil {
			return nil, err
		}
		tw, th := m.tensorSize(img)
		if err := slot.shape(m.man, m.inputShape(tw, th), m.outputShapes(tw, th)); err != nil {
			return nil, err
		}
		m.fill(slot.in, img, tw)
	}
	if err := m.run(slot); err != nil {
		return nil, err
	}
	out := map[string][]float32{}
	for i, o := range m.man.Outputs {
		out[o.Name] = append([]float32(nil), slot.out[i]...)
	}
	return out, nil
}

func compare(want manifest.GoldenOutput, got []float32, tolerance float64) error {
	if len(got) < len(want.First) {
		return fmt.Errorf("output %s has %d values, want at least %d", want.Output, len(got), len(want.First))
	}
	near := func(a, b float64) bool { return math.Abs(a-b) <= tolerance*max(1, math.Abs(b)) }
	for i, v := range want.First {
		if !near(float64(got[i]), v) {
			return fmt.Errorf("output %s[%d] is %.7g, want %.7g within %g", want.Output, i, got[i], v, tolerance)
		}
	}
	norm := 0.0
	for _, v := range got {
		norm += float64(v) * float64(v)
	}
	if norm = math.Sqrt(norm); !near(norm, want.Norm) {
		return fmt.Errorf("output %s has the norm %.7g, want %.7g within %g", want.Output, norm, want.Norm, tolerance)
	}
	return nil
}
