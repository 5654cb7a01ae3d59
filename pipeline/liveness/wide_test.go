package liveness

import (
	"context"
	"image"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

// room is a clip of noise with fine stripes, of the given depth in grey levels, within a part of it.
func room(t *testing.T, frames int, depth float64, striped image.Rectangle) *media.Clip {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 8))
	clip := &media.Clip{Info: media.Info{Kind: media.Video}}
	t.Cleanup(clip.Close)
	for i := range frames {
		m := gocv.NewMatWithSize(480, 640, gocv.MatTypeCV8UC3)
		pix, err := m.DataPtrUint8()
		require.NoError(t, err)
		for y := range 480 {
			for x := range 640 {
				v := 120 + 4*r.NormFloat64()
				if image.Pt(x, y).In(striped) {
					v += depth * math.Sin(2*math.Pi*(0.21*float64(x)+0.13*float64(y))+float64(i))
				}
				for k := range 3 {
					pix[(y*640+x)*3+k] = byte(v)
				}
			}
		}
		clip.Frames = append(clip.Frames, media.Frame{Index: i, Image: m})
	}
	return clip
}

// A screen's grid is everywhere; what hangs on a wall is in a few places, however strong it is.
func TestAPatternAllOverThePicture(t *testing.T) {
	all := image.Rect(0, 0, 640, 480)
	for name, c := range map[string]struct {
		depth    float64
		where    image.Rectangle
		lo, high float64
	}{
		"a weak grid everywhere": {1, all, 1.6, 9},
		"noise":                  {0, all, -9, 0.9},
		"a blind":                {30, image.Rect(400, 0, 640, 300), -9, 0.9},
	} {
		light, _, ok, err := widePattern(room(t, 4, c.depth, c.where))
		require.NoError(t, err)
		require.True(t, ok)
		require.Greater(t, light, c.lo, name)
		require.Less(t, light, c.high, name)
	}
	_, _, ok, err := widePattern(room(t, 2, 30, all))
	require.NoError(t, err)
	require.False(t, ok, "two frames show too little")
	require.Less(t, len(tiles(200, 100, 64)), wideLeast, "so does a small picture")
	require.Len(t, tiles(1920, 1080, 128), 12)
	for _, r := range tiles(640, 480, 128) {
		require.True(t, r.In(all))
	}
}

// warm is a fake model that takes every picture with a cast for an attack.
type warm struct{ grey }

func (*warm) LiveScore(_ context.Context, im models.Image) (float32, error) {
	var sum [3]float64
	for i, v := range im.Pix {
		sum[i%3] += float64(v)
	}
	if sum[2] > 1.2*sum[0] {
		return 0.05, nil
	}
	return 0.95, nil
}

// A lamp's colour fails nobody; what is wrong in balanced colours, too, does.
func TestALampFailsNobody(t *testing.T) {
	clip, found := painted(t, media.Video, 6, person{live: same(1, 6), size: 160, x: 200, light: 80})
	for i := range clip.Frames {
		pix, err := clip.Frames[i].Image.DataPtrUint8()
		require.NoError(t, err)
		for k := 2; k < len(pix); k += 3 {
			pix[k] = byte(min(float64(pix[k])*1.7, 255))
		}
	}
	got, err := Check(t.Context(), &warm{}, clip, found, &Track{}, DefaultConfig())
	require.NoError(t, err)
	require.Equal(t, pipeline.Uncertain, got.Outcome, "%v", got.Detail)
	require.Equal(t, LackColours, got.Detail["lacking"])
	require.InDelta(t, 0.95, got.Detail["balanced_score"], 1e-6)

	// Nor does that of somebody on a poster: only the place beside the subject has the cast here.
	clip, found = painted(t, media.Video, 6, person{live: same(1, 6), size: 160, x: 340, light: 250}, person{live: same(1, 6), size: 110, x: 40, light: 80})
	for i := range clip.Frames {
		pix, err := clip.Frames[i].Image.DataPtrUint8()
		require.NoError(t, err)
		for k := 2; k < len(pix); k += 3 {
			if k/3%clip.Frames[i].Image.Cols() < 250 {
				pix[k] = byte(min(float64(pix[k])*1.7, 255))
			}
		}
	}
	got, err = Check(t.Context(), &warm{}, clip, found, &Track{}, DefaultConfig())
	require.NoError(t, err)
	require.Equal(t, pipeline.Pass, got.Detail["votes"], "%v", got.Detail)
	require.InDelta(t, 0.05, got.Detail["others"].([]map[string]any)[0]["score"], 1e-6, "or the test shows nothing")

	im := models.Image{W: 4, H: 4, C: 3, Pix: make([]byte, 48)}
	for i := range im.Pix {
		im.Pix[i] = []byte{40, 60, 90}[i%3]
	}
	out := balance(&im)
	require.InDelta(t, balancedLight, light(&out), 10)
	require.InDelta(t, float64(out.Pix[0]), float64(out.Pix[2]), 1.5)
	require.Equal(t, byte(40), im.Pix[0], "the view itself stays")
}
