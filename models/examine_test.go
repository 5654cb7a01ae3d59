package models

import (
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

// strangeEmbedder is a model that this program has never seen: pixels first, then channels, 40 x 48, and 32 numbers out. With poison one
// weight is no number; with deaf all weights are zero and a constant is added.
func strangeEmbedder(poison, deaf bool) []byte {
	weights := make([]float32, 90*32)
	for i := range weights {
		weights[i] = float32(math.Sin(float64(i*i%997))) / 64
		if deaf {
			weights[i] = 0
		}
	}
	if poison {
		weights[5] = float32(math.NaN())
	}
	bias := make([]float32, 32)
	for i := range bias {
		bias[i] = .01 * float32(i%3)
	}
	return onnx([][]byte{
		node("Transpose", []string{"pixels"}, []string{"planes"}, map[string]any{"perm": []int{0, 3, 1, 2}}),
		node("AveragePool", []string{"planes"}, []string{"pooled"}, map[string]any{"kernel_shape": []int{8, 8}, "strides": []int{8, 8}}),
		node("Flatten", []string{"pooled"}, []string{"flat"}, map[string]any{"axis": 1}),
		node("MatMul", []string{"flat", "weights"}, []string{"product"}, nil),
		node("Add", []string{"product", "bias"}, []string{"vector"}, nil),
	}, [][]byte{floats("weights", []int64{90, 32}, weights), floats("bias", []int64{32}, bias)},
		[][]byte{port("pixels", 1, "n", 48, 40, 3)}, [][]byte{port("vector", 1, "n", 32)})
}

const strangeManifest = `# a comment that stays
task: face_embed
name: strange
version: "1"
file:
  name: strange.onnx
  bytes: BYTES
  sha256: SHA256
source:
  note: made by a test
licence: {spdx: MIT}
input:
  name: pixels
  layout: nhwc
  colour: rgb
  width: 40
  height: 48
  scale: 0.00392156862745098
  mean: [0.5, 0.5, 0.5]
  std: [0.5, 0.5, 0.5]
  align: [[13, 20], [27, 20], [20, 28], [15, 36], [25, 36]]
outputs:
  - {name: vector, shape: [1, 32]}
decoder:
  name: embedding
thresholds:
  - {name: accept, value: 0.6, calibrated: invented}
  - {name: reject, value: 0.4, calibrated: invented}
# the end
`

// strange writes the model with its manifest into a folder and gives the manifest; change edits its text.
func strange(t *testing.T, data []byte, change ...string) manifest.Manifest {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "strange.onnx"), data, 0o600))
	sum := sha256.Sum256(data)
	text := strings.NewReplacer("BYTES", fmt.Sprint(len(data)), "SHA256", hex.EncodeToString(sum[:])).Replace(strangeManifest)
	for i := 0; i+1 < len(change); i += 2 {
		require.Contains(t, text, change[i])
		text = strings.Replace(text, change[i], change[i+1], 1)
	}
	path := filepath.Join(dir, ManifestFile)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	m, err := manifest.Read(path)
	require.NoError(t, err)
	return m
}

func codes(x Examination) (out []string) {
	for _, f := range x.Faults {
		out = append(out, f.Code)
	}
	return out
}

// A never-seen embedder with another layout and size works with a manifest alone: examined, recorded, used.
func TestStrangeEmbedder(t *testing.T) {
	library := DefaultOptions().Library
	man := strange(t, strangeEmbedder(false, false))
	x, err := Examine(t.Context(), man, ExamineOptions{Library: library})
	require.NoError(t, err)
	require.Equal(t, []string{"no_golden"}, codes(x))

	g, err := Record(t.Context(), man, ExamineOptions{Library: library})
	require.NoError(t, err)
	man.Golden = []manifest.Golden{g}
	require.NoError(t, manifest.Rewrite(man.Origin(), man))
	text, err := os.ReadFile(man.Origin())
	require.NoError(t, err)
	require.Contains(t, string(text), "# a comment that stays")
	require.Contains(t, string(text), "# the end")
	again, err := manifest.Read(man.Origin())
	require.NoError(t, err)
	require.Equal(t, man.Digest(), again.Digest())

	x, err = Examine(t.Context(), again, ExamineOptions{Library: library})
	require.NoError(t, err)
	require.True(t, x.Passed, x.Faults)
	require.Equal(t, 1, x.Golden)
	require.Positive(t, x.LatencyMS)
	require.Equal(t, []int64{-1, 48, 40, 3}, x.Inputs[0].Shape)

	s, err := OpenManifests(Options{Library: library}, again)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	w, h, points := s.FaceAlignment()
	require.Equal(t, []int{40, 48}, []int{w, h})
	require.Equal(t, Point{13, 20}, points[0])
	img := Pattern(40, 48, 3, 3)
	v, err := s.Embed(t.Context(), img)
	require.NoError(t, err)
	require.Len(t, v.V, 32)
	require.Equal(t, again.File.SHA256, v.Model)
	require.InDeltaSlice(t, byHand(img), v.V, 1e-5)
}

// byHand is what the strange embedder must say, written down once more from its description.
func byHand(img Image) []float32 {
	var pooled [90]float64
	for c := range 3 { // red, green, blue
		for y := range img.H {
			for x := range img.W {
				v := float64(img.Pix[(y*img.W+x)*3+2-c])
				pooled[c*30+(y/8)*5+x/8] += (v/255 - .5) / .5 / 64
			}
		}
	}
	out := make([]float32, 32)
	for o := range out {
		sum := float64(float32(.01) * float32(o%3))
		for i, v := range pooled {
			sum += v * float64(float32(math.Sin(float64((i*32+o)*(i*32+o)%997)))/64)
		}
		out[o] = float32(sum)
	}
	unit, _ := normalise(out)
	return unit
}

func TestExamineRefuses(t *testing.T) {
	good := strangeEmbedder(false, false)
	cases := []struct {
		name   string
		data   []byte
		change []string
		want   []string
	}{
		{"wrong sha256", append(strangeEmbedder(false, false), 0), []string{"# the end", ""}, nil},
		{"no thresholds", good, []string{"name: accept", "name: other"}, []string{"not_calibrated"}},
		{"thresholds upside down", good, []string{"value: 0.4", "value: 0.7"}, []string{"not_calibrated"}},
		{"layout", good, []string{"layout: nhwc", "layout: nchw"}, []string{"input"}},
		{"size", good, []string{"width: 40", "width: 48"}, []string{"input"}},
		{"input name", good, []string{"name: pixels", "name: image"}, []string{"input"}},
		{"output name", good, []string{"name: vector", "name: embedding"}, []string{"output"}},
		{"dimension", good, []string{"shape: [1, 32]", "shape: [1, 64]"}, []string{"output"}},
		{"no numbers", strangeEmbedder(true, false), nil, []string{"not_a_number"}},
		{"deaf", strangeEmbedder(false, true), nil, []string{"constant"}},
		{"no model", []byte("this is no model"), nil, []string{"not_onnx"}},
		{"golden", good, []string{"# the end", "golden: [{name: g, seed: 7, tolerance: 1e-4, expect: [{output: vector, first: [9], norm: 9}]}]"}, []string{"golden_differs"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			man := strange(t, c.data, c.change...)
			if c.want == nil { // the file is changed after the manifest was written
				require.NoError(t, os.WriteFile(man.Path(man.File, ""), good, 0o600))
				c.want = []string{"file_differs"}
			}
			x, err := Examine(t.Context(), man, ExamineOptions{Library: DefaultOptions().Library, NoGolden: true})
			require.NoError(t, err)
			require.Equal(t, c.want, codes(x))
			require.False(t, x.Passed)
			for _, f := range x.Faults {
				require.NotEmpty(t, f.Text.ZH)
				require.NotContains(t, f.Text.EN+f.Text.ZH, "%!")
			}
		})
	}
	man := strange(t, good)
	require.NoError(t, os.Remove(man.Path(man.File, "")))
	x, err := Examine(t.Context(), man, ExamineOptions{Library: DefaultOptions().Library, NoGolden: true})
	require.NoError(t, err)
	require.Equal(t, []string{"file_missing"}, codes(x))

	// One file in two ways: what they make could not be told apart.
	man, other := strange(t, good), strange(t, good, "colour: rgb", "colour: bgr", "name: strange", "name: other")
	x, err = Examine(t.Context(), man, ExamineOptions{Library: DefaultOptions().Library, NoGolden: true, Known: []manifest.Manifest{other, man}})
	require.NoError(t, err)
	require.Equal(t, []string{"same_file"}, codes(x))

	_, err = OpenManifests(DefaultOptions(), strange(t, good, "name: accept", "name: other"))
	var bare *CalibrationError
	require.ErrorAs(t, err, &bare)
	require.ErrorContains(t, err, "onsite models calibrate --manifest")
}

func TestChoose(t *testing.T) {
	added := t.TempDir()
	man := strange(t, strangeEmbedder(false, false))
	require.NoError(t, os.Rename(filepath.Dir(man.Origin()), filepath.Join(added, "strange")))
	for word, want := range map[string]string{
		"blazeface": "blazeface", "face_detect=blazeface": "blazeface", "strange": "strange", "face_embed=strange": "strange",
		filepath.Join(added, "strange", ManifestFile): "strange", "face_embed=" + filepath.Join(added, "strange", ManifestFile): "strange",
	} {
		m, err := Choose(word, added)
		require.NoError(t, err, word)
		require.Equal(t, want, m.Name)
	}
	for _, word := range []string{"nothing", "face_embed=blazeface", "strange", "face_detect=" + filepath.Join(added, "strange", ManifestFile), "missing.yaml"} {
		dir := added
		if word == "strange" {
			dir = t.TempDir()
		}
		_, err := Choose(word, dir)
		require.Error(t, err, word)
	}
	_, err := Choose("face_embed=blazeface", added)
	var name *NameError
	require.ErrorAs(t, err, &name)
	require.Contains(t, name.Known, "strange")
	require.NotContains(t, name.Known, "blazeface")

	// One that cannot be read is named, and hides no other.
	broken := filepath.Join(added, "broken")
	require.NoError(t, os.Mkdir(broken, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(broken, ManifestFile), []byte("task: ["), 0o600))
	all, err := Choices(added)
	require.NoError(t, err)
	var unread []string
	for _, c := range all {
		if c.Broken != nil {
			unread = append(unread, c.Origin+" "+c.Name)
		}
	}
	require.Equal(t, []string{"added broken"}, unread)
	_, err = Choose("strange", added)
	require.NoError(t, err)
	var why *BrokenError
	_, err = Choose("broken", added)
	require.ErrorAs(t, err, &why)
	require.ErrorContains(t, err, broken)

	// A name that two tasks know needs the task.
	twin := strange(t, strangeEmbedder(false, false), "name: strange", "name: blazeface")
	require.NoError(t, os.Rename(filepath.Dir(twin.Origin()), filepath.Join(added, "blazeface")))
	_, err = Choose("blazeface", added)
	require.ErrorAs(t, err, &name)
	require.Equal(t, []string{"face_detect", "face_embed"}, name.Tasks)
	for _, task := range name.Tasks {
		m, err := Choose(task+"=blazeface", added)
		require.NoError(t, err)
		require.Equal(t, task, m.Task)
	}
}
