package liveness

import (
	"image"
	"image/color"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

// shown is a grey picture of 320 x 240 pixels: a scene, and where out says so something else.
func shownOn(out func(x, y float64) (grey float64, ok bool)) (g []byte, upright, level *steps) {
	const w, h = 320, 240
	g = make([]byte, w*h)
	for y := range h {
		for x := range w {
			v, ok := out(float64(x), float64(y))
			if !ok {
				v = 130 + 30*math.Sin(float64(x)*0.05)*math.Cos(float64(y)*0.04)
			}
			g[y*w+x] = byte(v)
		}
	}
	upright, level = stepsOf(g, w, h)
	return g, upright, level
}

func TestSidesOfAScreen(t *testing.T) {
	box := image.Rect(120, 70, 210, 160)
	find := func(out func(x, y float64) (float64, bool)) float64 {
		g, upright, level := shownOn(out)
		return strips(g, upright, level, 320, 240, box)
	}
	turned := func(x, y, a float64) (u, v float64) { return x - a*(y-120), y + a*(x-160) } // of a small angle
	require.Zero(t, find(func(float64, float64) (float64, bool) { return 0, false }), "a room")
	require.Greater(t, find(func(x, y float64) (float64, bool) {
		u, v := turned(x, y, -0.06)
		return 20, u < 22 || v < 20
	}), 0.8, "the left and the upper side of a phone")
	require.Greater(t, find(func(x, y float64) (float64, bool) { return 225, y-0.04*x < 18 || y-0.04*x > 208 }), 0.8, "both ends of a white phone")
	require.Zero(t, find(func(x, y float64) (float64, bool) { return 225, y < 24 || y > 214 }), "borders that an app drew")
	require.Zero(t, find(func(x, y float64) (float64, bool) {
		u, _ := turned(x, y, 0.06)
		return 20, u < 22
	}), "a door frame")
	require.Zero(t, find(func(x, y float64) (float64, bool) {
		if y < 30 {
			return 235, true
		}
		return 20, x > 290
	}), "a white ceiling and a dark door")
	require.Zero(t, find(func(x, y float64) (float64, bool) {
		return 20, x-0.12*(y-120) < 30 || y-0.12*(x-160) < 26
	}), "two slanted lines that meet at no right angle")
	require.Zero(t, find(func(x, y float64) (float64, bool) {
		if x < 24 || y < 24 {
			return 60 + 50*math.Sin(x*0.2+y*0.3), true
		}
		return 0, false
	}), "beyond them a room")
	require.Zero(t, find(func(x, y float64) (float64, bool) { return 20, x < 20 && y > 150 || y < 20 && x > 240 }), "short ones")
}

// Two sides alone are a question, however clear the rest is.
func TestSidesAloneAreAQuestion(t *testing.T) {
	cfg := DefaultConfig()
	require.NotZero(t, fitted.Signs["screen_sides"])
	c := cues{cueSides: 0.95, cueDeform: 3, cueFlat: 3, cueMouth: 0.2, cueEyes: 0.1, cueBlinks: 1}
	require.EqualValues(t, "uncertain", bySigns(&fitted, c, false, &cfg))
	c[cueRim], c[cueBezel] = 0.9, 0.9
	require.EqualValues(t, "uncertain", bySigns(&fitted, c, false, &cfg), "an outline is the same thing")
	c[cuePattern] = 3
	require.EqualValues(t, "fail", bySigns(&fitted, c, false, &cfg))
}

// The cue is the median over the frames in which the face is.
func TestSidesAreMeasured(t *testing.T) {
	clip := &media.Clip{}
	defer clip.Close()
	found := &face.Found{Tracks: make([]face.Track, 1)}
	for i := range 3 {
		m := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(150, 150, 150, 0), 480, 640, gocv.MatTypeCV8UC3)
		dark := color.RGBA{R: 15, G: 15, B: 15}
		require.NoError(t, gocv.FillPoly(&m, gocv.NewPointsVectorFromPoints([][]image.Point{
			{{0, 0}, {639, 0}, {639, 76 + 4*i}, {0, 36 + 4*i}}, {{0, 0}, {62, 0}, {32, 479}, {0, 479}},
		}), dark))
		clip.Frames = append(clip.Frames, media.Frame{Index: i, Image: m})
		found.Frames = append(found.Frames, face.FrameFaces{Index: i, W: 640, H: 480, Faces: []face.Face{{Box: image.Rect(250, 150, 400, 300)}}})
		found.Tracks[0].Spots = append(found.Tracks[0].Spots, face.Spot{Frame: i})
	}
	cfg := DefaultConfig()
	r, ok, err := rimOf(clip, found, 0, &cfg)
	require.NoError(t, err)
	require.True(t, ok)
	require.Greater(t, r.sides, 0.85)
}
