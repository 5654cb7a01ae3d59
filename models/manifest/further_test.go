package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The further models stand beside the built-in ones in one folder and under one list of names.
func TestFurther(t *testing.T) {
	further, err := Further()
	require.NoError(t, err)
	base, err := Builtin()
	require.NoError(t, err)
	names, files := map[string]bool{}, map[string]bool{}
	for _, m := range append(base, further...) {
		require.False(t, names[m.Name], m.Name)
		require.False(t, files[m.File.Name], m.File.Name)
		names[m.Name], files[m.File.Name] = true, true
		require.Empty(t, m.Conflicts(base), m.Name)
	}
	for _, m := range further {
		if m.Source.NPM == "" {
			require.Contains(t, m.Source.Note, "was not run by this project", "%s: what nobody ran is said to be so", m.Name)
			continue
		}
		require.NotEmpty(t, m.Golden, m.Name)
		require.True(t, m.Calibrated(), m.Name)
		text, err := m.Text()
		require.NoError(t, err)
		require.Contains(t, string(text), m.File.SHA256)
	}
	for _, want := range []string{"blazeface", "faceres", "silero-vad-v6", "yunet", "sface"} {
		require.True(t, names[want], want)
	}
}

func TestEdit(t *testing.T) {
	text := "# top\n" + strings.Replace(sample(t, "liveness"), "golden:", "# about what follows\n\ngolden:", 1) + "# bottom\n"
	m, err := Parse("mine.yaml", []byte(text))
	require.NoError(t, err)
	m.Thresholds = append(m.Thresholds, Threshold{Name: "more", Value: 1.25e-7, Calibrated: "on a \"day\": # like this"})
	m.Golden = nil
	out, err := Edit("mine.yaml", []byte(text), m)
	require.NoError(t, err)
	got, err := Parse("mine.yaml", out)
	require.NoError(t, err)
	require.Equal(t, m.Thresholds, got.Thresholds)
	require.Empty(t, got.Golden)
	for _, w := range []string{"# top\n", "# about what follows\n", "# bottom\n"} {
		require.Contains(t, string(out), w)
	}

	m.Golden = []Golden{{Name: "g", Seed: 1, Tolerance: 1e-4, Expect: []GoldenOutput{{Output: "output", First: []float64{-0.5, 1e-9}, Norm: 2}}}}
	again, err := Edit("mine.yaml", out, m)
	require.NoError(t, err)
	got, err = Parse("mine.yaml", again)
	require.NoError(t, err)
	require.Equal(t, m.Digest(), got.Digest())

	// What else differs, or is written so that lines do not tell the parts, is not changed.
	other := m
	other.Name = "another"
	_, err = Edit("mine.yaml", again, other)
	require.ErrorIs(t, err, ErrByHand)
	_, err = Edit("mine.yaml", []byte("{task: liveness}"), m)
	require.ErrorIs(t, err, ErrByHand)

	path := filepath.Join(t.TempDir(), "mine.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	require.NoError(t, Rewrite(path, m))
	require.ErrorIs(t, Rewrite(path, other), ErrByHand)
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	want, err := Edit(path, []byte(text), m)
	require.NoError(t, err)
	require.Equal(t, string(want), string(written), "a refused change leaves the file alone")
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1)
}

func TestAlignAndDetectorsRefuse(t *testing.T) {
	further := func(name string) string {
		data, err := os.ReadFile(filepath.Join("further", name+".yaml"))
		require.NoError(t, err)
		return string(data)
	}
	for _, c := range []struct{ name, text, from, to, want string }{
		{"align points", further("faceres"), "align: [[", "align: [[1, 1], [", "has 6 points"},
		{"align of others", further("blazeface"), "  std: [1, 1, 1]", "  std: [1, 1, 1]\n  align: [[1, 2]]", "belongs to task face_embed"},
		{"align numbers", further("faceres"), "align: [[", "align: [[.nan, ", "point 1 is"},
		{"blazeface square", further("blazeface"), "width: 128", "width: 120", "needs a square"},
		{"blazeface tall", further("blazeface"), "tall: 1.18", "tall: 0", "decoder.params.tall"},
		{"blazeface down", further("blazeface"), "down: -0.09", "down: -9", "decoder.params.down"},
		{"yunet places", further("yunet"), "shape: [1, 1600, 4]", "shape: [1, 1601, 4]", "bbox_16 must have 1600 places"},
		{"yunet side", further("yunet"), "width: 640", "width: 600", "multiples of 32"},
		{"score", sample(t, "face_detect"), "score: 0.65", "score: 1", "decoder.params.score"},
		{"iou", sample(t, "face_detect"), "iou: 0.4", "iou: 0", "decoder.params.iou"},
		{"gigabytes", sample(t, "scene_embed"), "shape: [1, 80, 128, 128]", "shape: [1, 1048576, 1048576, 1048576]", "more than 16777216 numbers"},
		{"golden number", further("faceres"), "norm: ", "norm: .nan #", "is not a number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Contains(t, c.text, c.from)
			_, err := Parse("here.yaml", []byte(strings.Replace(c.text, c.from, c.to, 1)))
			require.ErrorContains(t, err, c.want)
		})
	}
}

func FuzzEdit(f *testing.F) {
	f.Add([]byte(sample(f, "face_embed")))
	f.Add([]byte("thresholds:\n- {name: a}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Parse("fuzz.yaml", text)
		if err != nil {
			return
		}
		m.Thresholds, m.Golden = nil, nil
		out, err := Edit("fuzz.yaml", text, m)
		if err != nil {
			require.ErrorIs(t, err, ErrByHand)
			return
		}
		got, err := Parse("fuzz.yaml", out)
		require.NoError(t, err)
		require.Equal(t, m.Digest(), got.Digest())
	})
}
