package models

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/models/manifest"
)

func TestSSD(t *testing.T) {
	m := &model{man: manifest.Manifest{Labels: []string{"background", "desk", "chair"}}, anchors: []manifest.Anchor{
		{X: .5, Y: .5, W: .4, H: .2}, {X: .52, Y: .5, W: .4, H: .2}, {X: .2, Y: .2, W: .2, H: .2},
	}}
	logits := []float32{9, 2, -3, 0, 3, -4, 0, -5, 0} // the second box of a desk is better; a chair at .5
	boxes := make([]float32, 12)
	boxes[9], boxes[10] = 5, float32(5*math.Log(2)) // of the third: half a width to the right, twice as high
	found, best := m.ssd(logits, boxes, .3, .5)
	require.Len(t, found, 2)
	require.Equal(t, []int{1, 2}, []int{found[0].Class, found[1].Class})
	require.InDeltaSlice(t, []float32{.32, .4, .72, .6, .9525741}, []float32{found[0].X1, found[0].Y1, found[0].X2, found[0].Y2, found[0].Score}, 1e-6)
	require.InDeltaSlice(t, []float32{.2, 0, .4, .4, .5}, []float32{found[1].X1, found[1].Y1, found[1].X2, found[1].Y2, found[1].Score}, 1e-6)
	require.InDeltaSlice(t, []float32{0, .9525741, .5}, best, 1e-6)

	logits[1] = float32(math.NaN())
	_, best = m.ssd(logits, boxes, .3, .5)
	require.Error(t, finite(ObjectDetect, best...), "what is no number must not look like a low score")
}

func TestCenterNet(t *testing.T) {
	const w, h = 4, 3
	heat := make([]float32, 2*w*h)
	heat[1*w+1], heat[1*w+2] = .8, .7 // neighbours: one peak
	heat[w*h+2*w+3] = .5              // another class, in the corner
	heat[w*h] = .2                    // too weak
	sizes := make([]float32, 4*w*h)
	for k, v := range []float32{10, 20, 30, 40} {
		sizes[k*w*h+w+1], sizes[k*w*h+2*w+3] = v, v
	}
	found, best := centernet(heat, sizes, w, h, 400, 300, .3)
	require.Equal(t, []Detection{
		{Box: Box{X1: .225, Y1: .26666668, X2: .325, Y2: .46666667, Score: .8}},
		{Box: Box{X1: .725, Y1: .6, X2: .825, Y2: .8, Score: .5}, Class: 1},
	}, found)
	require.Equal(t, []float32{.8, .5}, best)
	require.True(t, peak([]float32{1, 1}, 0, 2, 1), "equal neighbours are both peaks")
}
