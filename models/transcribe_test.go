package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/models/manifest"
)

// A model that hears tones: each of its tokens is a tone of its own. It is made here, so that the whole way is tested without a speech model:
// manifest, checksum, token table, input, a number of steps that only the model knows, CTC.
var tones = []struct {
	token string
	hz    float64
}{{"<blk>", 0}, {"四", 400}, {"二", 800}, {"七", 1200}, {"幺", 1600}, {"▁GO", 2200}, {"<0xE5>", 2800}, {"<0xBA>", 3400}, {"<0x97>", 4200}}

// tone plays tokens, a fifth of a second each, with as much silence between them.
func tone(at ...int) []float32 {
	const n = 3200
	out := make([]float32, n)
	for _, k := range at {
		for i := range n {
			out = append(out, float32(0.5*math.Sin(2*math.Pi*tones[k].hz*float64(i)/16000)))
		}
		out = append(out, make([]float32, n)...)
	}
	return out
}

// waveModel hears the wave: energy at each tone in windows of 40 ms.
func waveModel() []byte {
	const window = 640
	v := len(tones)
	kernels := make([]float32, 0, 2*v*window)
	sum := make([]float32, v*2*v)
	for k, t := range tones {
		for phase := range 2 {
			for i := range window {
				w := 2 * math.Pi * t.hz * float64(i) / 16000
				c := math.Sin(w)
				if phase == 1 {
					c = math.Cos(w)
				}
				if t.hz == 0 {
					c = 0
				}
				kernels = append(kernels, float32(c/100))
			}
			sum[k*2*v+2*k+phase] = 1
		}
	}
	bias := make([]float32, v)
	bias[0] = 0.2 // silence is the blank
	return onnx([][]byte{
		node("Unsqueeze", []string{"input_values", "axis"}, []string{"x"}, nil),
		node("Conv", []string{"x", "kernels"}, []string{"parts"}, map[string]any{"strides": []int{window}}),
		node("Mul", []string{"parts", "parts"}, []string{"energy"}, nil),
		node("Conv", []string{"energy", "sum", "bias"}, []string{"classes"}, nil),
		node("Transpose", []string{"classes"}, []string{"logits"}, map[string]any{"perm": []int{0, 2, 1}}),
	}, [][]byte{
		whole("axis", 1), floats("kernels", []int64{int64(2 * v), 1, window}, kernels),
		floats("sum", []int64{int64(v), int64(2 * v), 1}, sum), floats("bias", []int64{int64(v)}, bias),
	}, [][]byte{port("input_values", 1, "N", "T")}, [][]byte{port("logits", 1, "N", "S", v)})
}

// bankModel hears the filter bank: the bin of each tone against all others.
func bankModel(in manifest.Input) []byte {
	v := len(tones)
	w := make([]float32, in.Bins*v)
	for k, t := range tones {
		if t.hz == 0 {
			continue
		}
		bank, frames := fbank(tone(k), in)
		loud := bank[frames/2*in.Bins : (frames/2+1)*in.Bins]
		best := 0
		for b := range loud {
			if loud[b] > loud[best] {
				best = b
			}
		}
		w[best*v+k] = 1
	}
	bias := make([]float32, v)
	bias[0] = -2 // log energies of silence lie at -16
	for k := 1; k < v; k++ {
		bias[k] = -1
	}
	return onnx([][]byte{
		node("MatMul", []string{"x", "w"}, []string{"part"}, nil),
		node("Add", []string{"part", "bias"}, []string{"sum"}, nil),
		// The number of frames is asked for and changes nothing here.
		node("Cast", []string{"x_lens"}, []string{"n"}, map[string]any{"to": 1}), node("Mul", []string{"n", "zero"}, []string{"nothing"}, nil), node("Add", []string{"sum", "nothing"}, []string{"log_probs"}, nil),
	}, [][]byte{floats("w", []int64{int64(in.Bins), int64(v)}, w), floats("bias", []int64{int64(v)}, bias), floats("zero", []int64{1}, []float32{0})},
		[][]byte{port("x", 1, "N", "T", in.Bins), port("x_lens", 7, "N")}, [][]byte{port("log_probs", 1, "N", "S", v)})
}

// speechModel opens a model as a company would install it: a folder with manifest, model and token table.
func speechModel(t *testing.T, model []byte, table, input string, change ...string) *Set {
	t.Helper()
	dir := t.TempDir()
	sum := func(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
	require.NoError(t, os.WriteFile(filepath.Join(dir, "speech.onnx"), model, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tokens.txt"), []byte(table), 0o600))
	out := "logits"
	if strings.Contains(input, "fbank") {
		out = "log_probs"
	}
	text := fmt.Sprintf(`task: transcribe
name: tones
version: "1"
file: {name: speech.onnx, bytes: %d, sha256: %s}
keys: {name: tokens.txt, bytes: %d, sha256: %s}
source: {note: made by the test}
licence: {spdx: MIT}
input: %s
outputs: [{name: %s, shape: [1, -1, %d]}]
decoder: {name: ctc_speech, params: {blank: 0}}
`, len(model), sum(model), len(table), sum([]byte(table)), input, out, len(tones))
	for i := 0; i+1 < len(change); i += 2 {
		require.Contains(t, text, change[i])
		text = strings.Replace(text, change[i], change[i+1], 1)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "transcribe.yaml"), []byte(text), 0o600))
	o := DefaultOptions()
	o.Manifests, o.Tasks = dir, []Task{Transcribe}
	s, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func table() string {
	var b strings.Builder
	for i, t := range tones {
		fmt.Fprintf(&b, "%s %d\n", t.token, i)
	}
	return b.String()
}

const (
	waveInput  = `{name: input_values, layout: wave, rate: 16000, scale: 1}`
	fbankInput = `{name: x, layout: fbank, rate: 16000, bins: 80, low_hz: 20, high_hz: -400, scale: 1, length: x_lens}`
)

func TestTranscribe(t *testing.T) {
	ctx := context.Background()
	bank := manifest.Input{Layout: manifest.FBank, Rate: 16000, Bins: 80, LowHz: 20, HighHz: -400, Scale: 1}
	for name, s := range map[string]*Set{"wave": speechModel(t, waveModel(), table(), waveInput), "fbank": speechModel(t, bankModel(bank), table(), fbankInput)} {
		require.True(t, s.HasTranscriber())
		require.NoError(t, s.Warm(ctx), name)
		tape := s.Record()
		for _, c := range []struct {
			sound []float32
			want  string
		}{
			{tone(1, 2, 3, 4), "四二七幺"},
			{tone(4, 3, 3), "幺七七"}, // the same twice, with silence between
			{tone(5, 1, 5), "GO四 GO"},
			{tone(6, 7, 8), "店"}, // a character in bytes
			{tone(6), ""},        // a part of one is none
			{make([]float32, 16000), ""},
			{nil, ""},
		} {
			got, err := s.Transcribe(ctx, c.sound)
			require.NoError(t, err, name)
			require.Equal(t, c.want, got.Text, name)
			if c.want != "" {
				require.Greater(t, got.Confidence, float32(0.2))
			}
		}
		tape.Stop()
		require.Positive(t, tape.Other()[Transcribe], "a recording says that it holds none of it")
		require.Empty(t, tape.Calls())
		_, err := s.Transcribe(ctx, make([]float32, maxSpoken+1))
		require.ErrorContains(t, err, "the limit is")
		gone, cancel := context.WithCancel(ctx)
		cancel()
		_, err = s.Transcribe(gone, tone(1))
		require.ErrorIs(t, err, context.Canceled)
		require.Len(t, s.Refs(), 1)
	}
}

func TestTranscribeRefuses(t *testing.T) {
	ctx := context.Background()
	o := DefaultOptions()
	o.Tasks = []Task{VoiceActivity}
	none, err := Open(o)
	require.NoError(t, err)
	defer none.Close()
	require.False(t, none.HasTranscriber())
	_, err = none.Transcribe(ctx, tone(1))
	require.ErrorContains(t, err, "transcribe")

	short := strings.Join(strings.SplitAfter(table(), "\n")[:5], "")
	_, err = speechModel(t, waveModel(), short, waveInput).Transcribe(ctx, tone(1))
	require.ErrorContains(t, err, "gives 5 classes, the model has 9")
	twice := strings.Replace(table(), " 3\n", " 2\n", 1)
	_, err = speechModel(t, waveModel(), twice, waveInput).Transcribe(ctx, tone(1))
	require.ErrorContains(t, err, "no class of its own")
	_, err = speechModel(t, waveModel(), table(), waveInput, "name: logits", "name: other").Transcribe(ctx, tone(1))
	require.ErrorContains(t, err, "other")
	s := speechModel(t, waveModel(), table(), waveInput)
	require.ErrorContains(t, s.Check(ctx, Transcribe), "no golden samples")
}

func TestNormalisedWave(t *testing.T) {
	m := &model{man: manifest.Manifest{Input: manifest.Input{Layout: manifest.Wave, Normalise: true}}}
	wave, shape := m.hear(tone(1))
	require.Equal(t, []int64{1, int64(len(tone(1)))}, shape)
	var sum, squares float64
	for _, v := range wave {
		sum, squares = sum+float64(v), squares+float64(v)*float64(v)
	}
	require.InDelta(t, 0, sum/float64(len(wave)), 1e-4)
	require.InDelta(t, 1, squares/float64(len(wave)), 1e-3)
}

// TestFilterBank: the sum of the filters, the place of a tone and the log of silence are those of Kaldi's definition.
func TestFilterBank(t *testing.T) {
	in := manifest.Input{Rate: 16000, Bins: 80, LowHz: 20, Scale: 1}
	bank, frames := fbank(make([]float32, 16000), in)
	require.Equal(t, 100, frames)
	require.InDelta(t, math.Log(fbankFloor), bank[0], 1e-6)
	for _, hz := range []float64{300, 1000, 3000} {
		sound := make([]float32, 16000)
		for i := range sound {
			sound[i] = float32(math.Sin(2 * math.Pi * hz * float64(i) / 16000))
		}
		bank, _ = fbank(sound, in)
		row, best := bank[50*80:51*80], 0
		for b := range row {
			if row[b] > row[best] {
				best = b
			}
		}
		centre := mel(20) + float64(best+1)*(mel(8000)-mel(20))/81
		require.InDelta(t, mel(hz), centre, (mel(8000)-mel(20))/81, hz)
	}
	_, frames = fbank(make([]float32, 79), in)
	require.Zero(t, frames)
	_, frames = fbank(make([]float32, 80), in)
	require.Equal(t, 1, frames, "shorter than a frame: mirrored")
	require.Equal(t, 0, mirrored(-1, 5))
	require.Equal(t, 4, mirrored(5, 5))
}

func FuzzTokens(f *testing.F) {
	f.Add([]byte("<blk> 0\na 1\n▁b 2\n"))
	f.Add([]byte("a\nb\n<0xE5>\n"))
	man := manifest.Manifest{Outputs: []manifest.Output{{Shape: []int{1, -1, 3}}}}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := tokens(data, man)
		if err != nil {
			return
		}
		require.Len(t, got, 3)
		spell([]float32{1, 0, 0, 0, 1, 0, 0, 0, 1}, got, 0)
	})
}

func BenchmarkFilterBank(b *testing.B) {
	in := manifest.Input{Rate: 16000, Bins: 80, LowHz: 20, HighHz: -400, Scale: 1}
	sound := PatternSound(16000, 1)
	for b.Loop() {
		fbank(sound, in)
	}
}
