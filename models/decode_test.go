package models

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/models/manifest"
)

func TestUltraface(t *testing.T) {
	nan := float32(math.NaN())
	scores := []float32{.1, .9, .1, .95, .9, .1, .2, .8, 0, .99, 0, nan, .35, .65}
	boxes := []float32{
		.1, .1, .3, .3, // overlaps the next, worse
		.11, .1, .31, .3,
		.5, .5, .6, .6, // score too low
		-.2, .7, .2, 1.4, // clipped
		.8, .8, .7, .9, // turned inside out
		.4, .4, .5, .5, // no number
		.6, .1, .7, .2, // not above the threshold
	}
	got := ultraface(scores, boxes, 0.65, 0.4)
	require.Equal(t, []Box{{.11, .1, .31, .3, .95}, {0, .7, .2, 1, .8}}, got)
	require.Empty(t, ultraface(nil, nil, 0.5, 0.5))
	require.Zero(t, overlap(Box{X2: 1, Y2: 1}, Box{X1: 1, X2: 2, Y2: 1}))
	require.InDelta(t, 1.0/3, overlap(Box{X2: 2, Y2: 1}, Box{X1: 1, X2: 3, Y2: 1}), 1e-6)
}

func TestCTC(t *testing.T) {
	keys := []string{"", "a", "b", " "}
	steps := func(s string) []float32 { // one letter per step, each with probability 0.7
		var p []float32
		for _, c := range s {
			row := []float32{.1, .1, .1, .1}
			row[strings.IndexRune("-ab_", c)] = .7
			p = append(p, row...)
		}
		return p
	}
	r := ctc(steps("-aa-ab_b-"), keys, 0)
	require.Equal(t, "aab b", r.Text)
	require.InDelta(t, .7, r.Confidence, 1e-6)
	require.Zero(t, ctc(steps("---"), keys, 0))
	require.Zero(t, ctc(nil, keys, 0))
}

func TestSoftmaxAndPose(t *testing.T) {
	p := softmax([]float32{1000, 1000, -1000})
	require.InDeltaSlice(t, []float64{.5, .5, 0}, p, 1e-12)
	require.InDelta(t, .5, expected(p), 1e-12)
	require.NoError(t, finite(Liveness, 1, 2))
	require.ErrorContains(t, finite(Liveness, float32(math.NaN())), "liveness")
	require.Error(t, finite(Liveness, float32(math.Inf(1))))
}

func TestNormalise(t *testing.T) {
	v, ok := normalise([]float32{3, 4})
	require.True(t, ok)
	require.Equal(t, []float32{.6, .8}, v)
	for _, bad := range [][]float32{{0, 0}, {float32(math.NaN()), 1}, {float32(math.Inf(1)), 1}} {
		_, ok = normalise(bad)
		require.False(t, ok)
	}
}

func TestFillLaysOutPlanes(t *testing.T) {
	in := manifest.Input{Layout: manifest.NCHW, Colour: manifest.BGR, Scale: 1, Mean: []float64{0, 100, 200}, Std: []float64{1, 2, 4}}
	img := Image{Pix: []byte{10, 20, 30, 40, 50, 60}, W: 2, H: 1, C: 3} // B G R, B G R
	m := &model{man: manifest.Manifest{Input: in}, lut: tables(in)}
	dst := []float32{9, 9, 9, 9, 9, 9, 9, 9, 9}
	m.fill(dst, img, 3)
	require.Equal(t, []float32{10, 40, 0, -40, -25, 0, -42.5, -35, 0}, dst, "blue, green, red; zeros right of the picture")
	m.man.Input.Colour = manifest.RGB
	m.fill(dst[:6], img, 2)
	require.Equal(t, []float32{30, 60, -40, -25, -47.5, -40}, dst[:6], "red, green, blue; mean and std follow the planes")
}

func TestClasses(t *testing.T) {
	man := manifest.Manifest{Outputs: []manifest.Output{{Name: "p", Shape: []int{1, -1, 4}}}}
	got, err := classes([]byte("a\r\n幸\n"), man)
	require.NoError(t, err)
	require.Equal(t, []string{"", "a", "幸", " "}, got)
	_, err = classes([]byte("a\n"), man)
	require.ErrorContains(t, err, "3 classes, the model has 4")
	_, err = classes([]byte{0xff, '\n', 'b'}, man)
	require.ErrorContains(t, err, "UTF-8")
}

func FuzzClasses(f *testing.F) {
	f.Add([]byte("a\n幸\n"))
	f.Add([]byte{0xff})
	man := manifest.Manifest{Outputs: []manifest.Output{{Name: "p", Shape: []int{1, -1, 4}}}}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := classes(data, man)
		if err == nil {
			require.Len(t, got, 4)
			require.Empty(t, got[0])
		}
	})
}
