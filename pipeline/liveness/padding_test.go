package liveness

import (
	"context"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

// textured fills a part of a picture with a pattern that leaves no line of one colour.
func textured(t *testing.T, m *gocv.Mat, r image.Rectangle) {
	t.Helper()
	pix, err := m.DataPtrUint8()
	require.NoError(t, err)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			at := y*m.Step() + 3*x
			v := 40*math.Sin(float64(x)*0.09) + 30*math.Sin(float64(y)*0.07+float64(x)*0.02)
			pix[at], pix[at+1], pix[at+2] = byte(120+v), byte(110+v), byte(130+v)
		}
	}
}

func TestBordersOfOneColour(t *testing.T) {
	const w, h = 320, 240
	white := func(m *gocv.Mat, r image.Rectangle) {
		require.NoError(t, gocv.Rectangle(m, r, color.RGBA{R: 250, G: 250, B: 250}, -1))
	}
	for name, c := range map[string]struct {
		paint func(m *gocv.Mat, frame int)
		want  image.Rectangle // empty: no border
	}{
		"none":        {func(m *gocv.Mat, _ int) { textured(t, m, image.Rect(0, 0, w, h)) }, image.Rectangle{}},
		"pillars":     {func(m *gocv.Mat, _ int) { textured(t, m, image.Rect(80, 0, 240, h)) }, image.Rect(82, 0, 238, h)},
		"all around":  {func(m *gocv.Mat, _ int) { textured(t, m, image.Rect(40, 20, 290, 200)) }, image.Rect(42, 21, 288, 199)},
		"letterbox":   {func(m *gocv.Mat, _ int) { white(m, image.Rect(0, 0, w, h)); textured(t, m, image.Rect(0, 30, w, 210)) }, image.Rect(0, 31, w, 209)},
		"one colour":  {func(m *gocv.Mat, _ int) { white(m, image.Rect(0, 0, w, h)) }, image.Rectangle{}},
		"a few lines": {func(m *gocv.Mat, _ int) { textured(t, m, image.Rect(0, 3, w, h)) }, image.Rectangle{}},
		"a head before a white wall": {func(m *gocv.Mat, _ int) {
			white(m, image.Rect(0, 0, w, h))
			textured(t, m, image.Rect(130, 60, 190, 140))
			textured(t, m, image.Rect(90, 140, 230, h))
		}, image.Rectangle{}},
		"a phone that a hand holds": {func(m *gocv.Mat, frame int) {
			textured(t, m, image.Rect(0, 0, w, h))
			white(m, image.Rect(60+4*frame, 30, 260+4*frame, 220))
		}, image.Rectangle{}},
	} {
		t.Run(name, func(t *testing.T) {
			clip := &media.Clip{Info: media.Info{Kind: media.Video}}
			defer clip.Close()
			for i := range 4 {
				m := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(0, 0, 0, 0), h, w, gocv.MatTypeCV8UC3)
				c.paint(&m, i)
				clip.Frames = append(clip.Frames, media.Frame{Index: i, Image: m})
			}
			got, ok, err := contentOf(clip)
			require.NoError(t, err)
			require.Equal(t, !c.want.Empty(), ok, "%v", got)
			if ok {
				require.Equal(t, c.want, got)
			}
		})
	}
}

// A clip in a frame is judged as the clip is, and what it shows is told where it lies in the frame.
func TestAFrameAroundAClipChangesNothing(t *testing.T) {
	bare, found := painted(t, media.Video, 6, person{live: same(0.1, 6), size: 120, x: 240, light: 120})
	for i := range bare.Frames {
		full := bare.Frames[i].Image
		inner := image.Rect(60, 50, 580, 430)
		in := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(0, 0, 0, 0), 480, 640, gocv.MatTypeCV8UC3)
		textured(t, &in, inner)
		box := found.Frames[i].Faces[0].Box
		from, to := full.Region(box), in.Region(box)
		require.NoError(t, from.CopyTo(&to))
		require.NoError(t, from.Close())
		require.NoError(t, to.Close())
		require.NoError(t, full.Close())
		bare.Frames[i].Image = in
	}
	got, err := Check(context.Background(), &grey{}, bare, found, &Track{}, DefaultConfig())
	require.NoError(t, err)
	require.Equal(t, pipeline.Fail, got.Outcome)
	require.Equal(t, [4]int{64, 53, 512, 374}, got.Detail["without_border"])
	require.NotContains(t, got.Detail["signs"], "outline")
	require.Equal(t, &pipeline.Box{X: 240, Y: 150, W: 120, H: 120}, got.Findings[0].Evidence[0].Box)
}

// What noise makes the model say fails nobody.
func TestNoiseFailsNobody(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for sigma, want := range map[float64]pipeline.Outcome{0: pipeline.Fail, 6: pipeline.Uncertain} {
		clip, found := painted(t, media.Video, 6, person{live: same(0.1, 6), size: 160, x: 200, light: 120})
		for i := range clip.Frames {
			pix, err := clip.Frames[i].Image.DataPtrUint8()
			require.NoError(t, err)
			for k := range pix {
				pix[k] = byte(min(max(float64(pix[k])+sigma*r.NormFloat64(), 0), 255))
			}
		}
		got, err := Check(context.Background(), &grey{}, clip, found, &Track{}, DefaultConfig())
		require.NoError(t, err)
		require.Equal(t, want, got.Outcome, "%v", got.Detail)
		if want == pipeline.Uncertain {
			require.Equal(t, LackClean, got.Detail["lacking"])
			require.InDelta(t, sigma*0.62, got.Detail["noise"], 1.2) // of the grey picture, whose weights add up to 0.67 of a channel's
		}
	}
}
