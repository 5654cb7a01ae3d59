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

// YuNet: one face whose middle lies half a stride into place (row 2, column 3) of stride 16, of e x 1 strides; a second reading of it
// beside it, which overlaps, and one that is too faint.
func TestYuNet(t *testing.T) {
	const side = 64
	out := make([][]float32, 9)
	for i, stride := range []int{8, 16, 32} {
		n := (side / stride) * (side / stride)
		out[i], out[3+i], out[6+i] = make([]float32, n), make([]float32, n), make([]float32, 4*n)
	}
	put := func(layer, place int, class, object float32, box ...float32) {
		out[layer][place], out[3+layer][place] = class, object
		copy(out[6+layer][4*place:], box)
	}
	put(1, 2*4+3, 1.2, 0.81, 0.5, 0.5, 1, 0) // a score above 1 counts as 1
	put(1, 2*4+2, 0.64, 1, 1.45, 0.5, 1, 0)
	put(0, 0, 0.3, 0.3, 0, 0, 0, 0)
	put(2, 0, float32(math.NaN()), 1, 0, 0, 0, 0)
	put(2, 1, 1, 1, float32(math.NaN()), 0, 0, 0) // a middle that is nowhere
	put(2, 2, 1, 1, 0, 0, 99, 0)                  // wider than any number
	boxes := yunet(out, side, side, 0.6, 0.3)
	require.Len(t, boxes, 1)
	b, w := boxes[0], float32(math.E*16/2)
	require.InDelta(t, 0.9, b.Score, 1e-6)
	require.InDeltaSlice(t, []float32{(56 - w) / 64, (40 - 8) / 64., 1, (40 + 8) / 64.}, []float32{b.X1, b.Y1, b.X2, b.Y2}, 1e-6)
}

// BlazeFace: two anchors of one place see one face; their boxes are blended by score.
func TestBlazeFace(t *testing.T) {
	out := [][]float32{make([]float32, 512), make([]float32, 384), make([]float32, 512*16), make([]float32, 384*16)}
	for i := range out[0] {
		out[0][i] = -9
	}
	for i := range out[1] {
		out[1][i] = -9
	}
	place := 4*8 + 2 // of the 8 x 8 layer: row 4, column 2
	for k, box := range [][]float32{{0, 0, 32, 32}, {4, 0, 32, 32}} {
		out[1][place*6+k] = 2
		copy(out[3][(place*6+k)*16:], box)
	}
	out[0][7] = 3 // a box without a size is none
	out[1][place*6+2] = 2
	copy(out[3][(place*6+2)*16:], []float32{float32(math.NaN()), 0, 32, 32}) // nor is one that is nowhere
	boxes := blazeface(out, 128, 0.75, 0.3)
	require.Len(t, boxes, 1)
	x, y := (2.5*16+2)/128, 4.5*16/128
	require.InDeltaSlice(t, []float64{x - .125, y - .125, x + .125, y + .125}, []float64{float64(boxes[0].X1), float64(boxes[0].Y1), float64(boxes[0].X2), float64(boxes[0].Y2)}, 1e-6)
	require.InDelta(t, sigmoid(2), boxes[0].Score, 1e-6)
	grown := reframe(boxes, map[string]float64{"tall": 2, "wide": 2, "down": 0.1})[0]
	require.InDeltaSlice(t, []float64{x - .25, y + .025 - .25, x + .25, y + .025 + .25}, []float64{float64(grown.X1), float64(grown.Y1), float64(grown.X2), float64(grown.Y2)}, 1e-6)
}

// Pixels first, then channels: every byte lands where its place and colour say.
func TestFillPixels(t *testing.T) {
	img := Image{W: 2, H: 1, C: 3, Pix: []byte{1, 2, 3, 4, 5, 6}}
	for colour, want := range map[string][]float32{manifest.BGR: {1, 2, 3, 4, 5, 6}, manifest.RGB: {3, 2, 1, 6, 5, 4}} {
		in := manifest.Input{Layout: manifest.NHWC, Colour: colour, Scale: 1, Mean: []float64{0, 0, 0}, Std: []float64{1, 1, 1}, Width: 2, Height: 1}
		m := &model{man: manifest.Manifest{Input: in}, lut: tables(in)}
		dst := make([]float32, 6)
		m.fill(dst, img, 2)
		require.Equal(t, want, dst)
		require.Equal(t, []int64{1, 1, 2, 3}, m.inputShape(2, 1))
	}
}
