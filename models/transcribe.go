package models

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	ort "github.com/yalue/onnxruntime_go"

	"onsite/models/manifest"
)

// maxSpoken bounds one call's sound: a minute at 16 kHz. The cost of most speech models rises with the square of it.
const maxSpoken = 60 * 16000

// Transcript is what a speech model understood.
type Transcript struct {
	Text       string
	Confidence float32 // mean probability (0..1) of what was written; 0 for nothing
}

// HasTranscriber says whether a speech model is installed: none is built in.
func (s *Set) HasTranscriber() bool {
	_, ok := s.models[Transcribe]
	return ok
}

// Transcribe writes down what is said in 16 kHz mono sound, -1..1, with the speech model that a manifest of the task transcribe describes:
// its input is the wave itself or Kaldi's log-mel filter bank, its output one row of classes per step, which is read greedily (best class of
// each step, repeats and blanks fall away). Silence gives an empty Transcript.
func (s *Set) Transcribe(ctx context.Context, pcm []float32) (Transcript, error) {
	m, err := s.model(Transcribe)
	if err != nil {
		return Transcript{}, err
	}
	if len(pcm) > maxSpoken {
		return Transcript{}, &InputError{Task: m.task, Why: fmt.Sprintf("%d samples, the limit is %d", len(pcm), maxSpoken)}
	}
	slot, err := m.acquire(ctx)
	if err != nil {
		return Transcript{}, err
	}
	defer m.release(slot)
	watch := start()
	in, shape := m.hear(pcm)
	watch.lap(&m.count.pre)
	if len(in) == 0 {
		return Transcript{}, nil
	}
	out, steps, err := m.say(in, shape)
	if err != nil {
		return Transcript{}, err
	}
	watch.lap(&m.count.run)
	if len(out) != steps*len(m.keys) {
		return Transcript{}, fmt.Errorf("run model %s: it gave %d values for %d steps, but its token table has %d classes", m.task, len(out), steps, len(m.keys))
	}
	if err := finite(m.task, out...); err != nil {
		return Transcript{}, err
	}
	got := spell(out, m.keys, int(m.man.Decoder.Params["blank"]))
	watch.lap(&m.count.decode)
	m.count.calls.Add(1)
	m.used.Store(true)
	return got, nil
}

// hear makes the input tensor of a sound.
func (m *model) hear(pcm []float32) ([]float32, []int64) {
	in := m.man.Input
	if in.Layout == manifest.FBank {
		bank, frames := fbank(pcm, in)
		return bank, []int64{1, int64(frames), int64(in.Bins)}
	}
	wave := make([]float32, len(pcm))
	scale, shift := in.Scale, 0.0
	if in.Normalise { // to mean 0 and variance 1, as wav2vec 2.0 was trained
		var sum, squares float64
		for _, v := range pcm {
			sum += float64(v)
			squares += float64(v) * float64(v)
		}
		n := float64(max(len(pcm), 1))
		shift = sum / n
		scale = 1 / math.Sqrt(max(squares/n-shift*shift, 0)+1e-7)
	}
	for i, v := range pcm {
		wave[i] = float32((float64(v) - shift) * scale)
	}
	return wave, []int64{1, int64(len(wave))}
}

// say runs the session on an input of any length and gives its first output [1, steps, classes].
func (m *model) say(in []float32, shape []int64) (out []float32, steps int, err error) {
	input, err := ort.NewTensor(shape, in)
	if err != nil {
		return nil, 0, fmt.Errorf("run model %s: make tensors: %w", m.task, err)
	}
	defer func() { err = errors.Join(err, input.Destroy()) }()
	inputs := []ort.Value{input}
	if m.man.Input.Length != "" {
		n, err := ort.NewTensor([]int64{1}, []int64{shape[1]})
		if err != nil {
			return nil, 0, fmt.Errorf("run model %s: make tensors: %w", m.task, err)
		}
		defer n.Destroy() //nolint:errcheck // it was only read
		inputs = append(inputs, n)
	}
	if r := m.tape.Load(); r != nil {
		r.miss(m)
	}
	outputs := []ort.Value{nil} // ONNX Runtime makes it: how many steps there are the model alone knows
	if err := withoutDenormals(func() error { return m.session.Run(inputs, outputs) }); err != nil {
		return nil, 0, fmt.Errorf("run model %s on %v: %w", m.task, shape, err)
	}
	defer func() { err = errors.Join(err, outputs[0].Destroy()) }()
	t, ok := outputs[0].(*ort.Tensor[float32])
	if !ok {
		return nil, 0, fmt.Errorf("run model %s: its output is no tensor of float32", m.task)
	}
	got := t.GetShape()
	if len(got) != 3 || got[0] != 1 {
		return nil, 0, fmt.Errorf("run model %s: its output has the shape %v, want [1, steps, classes]", m.task, got)
	}
	return append([]float32(nil), t.GetData()...), int(got[1]), nil
}

// spell reads logits or log-probabilities [steps, classes] greedily, as ctc does, and puts the tokens together.
func spell(p []float32, tokens []string, blank int) Transcript {
	var text []byte
	last, n, sum := -1, 0, 0.0
	for step := range len(p) / len(tokens) {
		row := p[step*len(tokens) : (step+1)*len(tokens)]
		best := 0
		for i, v := range row {
			if v > row[best] {
				best = i
			}
		}
		if best != blank && best != last && tokens[best] != "" {
			text = append(text, tokens[best]...)
			n++
			sum += softmax(row)[best]
		}
		last = best
	}
	if n == 0 {
		return Transcript{}
	}
	return Transcript{Text: strings.TrimSpace(strings.ToValidUTF8(string(text), "")), Confidence: float32(sum / float64(n))}
}

// tokens reads a token table: one token per line, by its number where the line ends with one ("▁HE 5", as icefall and sherpa write it), else by
// the line's place. "▁" begins a word, "<0xE4>" is a byte, and any other <token> or [token] says nothing.
func tokens(data []byte, man manifest.Manifest) ([]string, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("the token table is not UTF-8")
	}
	lines := strings.Split(strings.TrimRight(string(data), "\r\n"), "\n")
	if len(lines) != man.Dimension() {
		return nil, fmt.Errorf("the token table gives %d classes, the model has %d", len(lines), man.Dimension())
	}
	out, seen := make([]string, len(lines)), make([]bool, len(lines))
	for i, line := range lines {
		line = strings.TrimRight(line, "\r")
		at, token := i, line
		if k := strings.LastIndexAny(line, " \t"); k > 0 {
			if n, err := strconv.Atoi(line[k+1:]); err == nil {
				at, token = n, line[:k]
			}
		}
		if at < 0 || at >= len(out) || seen[at] {
			return nil, fmt.Errorf("line %d of the token table: %d is no class of its own below %d", i+1, at, len(out))
		}
		seen[at], out[at] = true, tokenText(token)
	}
	return out, nil
}

func tokenText(token string) string {
	var b byte
	switch n := len(token); {
	case n == 6 && strings.HasPrefix(token, "<0x"):
		if _, err := fmt.Sscanf(token, "<0x%02X>", &b); err == nil {
			return string([]byte{b})
		}
		return ""
	case n > 2 && (token[0] == '<' && token[n-1] == '>' || token[0] == '[' && token[n-1] == ']'):
		return ""
	}
	return strings.ReplaceAll(token, "▁", " ")
}
