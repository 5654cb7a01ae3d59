package paint

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
)

func drawn(t *testing.T, p Plan) []Drawing {
	t.Helper()
	fonts, err := Fonts([][]byte{gobold.TTF, goregular.TTF, gobold.TTF, goregular.TTF})
	require.NoError(t, err)
	photos := []image.Image{plain(90, 60, 200), plain(60, 90, 60)}
	var out []Drawing
	require.NoError(t, Draw(p, photos[:1], photos[1:], fonts, func(d Drawing) error {
		out = append(out, d)
		return nil
	}))
	return out
}

func plain(w, h int, tone uint8) image.Image {
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range out.Pix {
		out.Pix[i] = tone
	}
	return out
}

func TestDrawRepeatsToTheBitUnraced(t *testing.T) {
	p := Plan{Posters: 1, Fronts: 1, Signs: 1, Houses: 1, Frames: 1, Boards: 1, Goods: 1, Rows: 1, Lanes: 1, Entrances: 1, Posts: 1, Ways: 1, Talls: 1, Blocks: 1, Seed: 5}
	a := drawn(t, p)
	require.Len(t, a, 14)
	classes := map[string]int{}
	for _, d := range a {
		classes[d.Class]++
		img, err := jpeg.Decode(bytes.NewReader(d.JPEG))
		require.NoError(t, err, d.Source)
		require.GreaterOrEqual(t, img.Bounds().Dx(), 32)
	}
	require.Equal(t, map[string]int{"poster": 1, "storefront": 7, "street": 4, "text": 1, "other": 1}, classes)
	some := Plan{Posters: 1, Signs: 1, Seed: 5}
	again := drawn(t, some)
	require.Equal(t, a[0], again[0])
	require.Contains(t, a, again[1])
	some.Seed = 6
	require.NotEqual(t, again, drawn(t, some))
	_, err := Fonts([][]byte{gobold.TTF})
	require.ErrorContains(t, err, "want 3 Latin ones")
	require.Error(t, Draw(p, nil, nil, nil, nil))
}

func TestWarpPutsCornersWhereTheyBelong(t *testing.T) {
	src := image.NewRGBA(image.Rect(0, 0, 100, 50))
	for y := range 50 {
		for x := range 100 {
			src.Set(x, y, color.RGBA{uint8(2 * x), uint8(4 * y), 0, 255})
		}
	}
	c := newCanvas(200, 200, nil, []*opentype.Font{})
	c.warp(src, [4][2]float64{{10, 20}, {180, 40}, {170, 150}, {20, 190}})
	for _, at := range []struct{ x, y, r, g int }{{11, 22, 0, 0}, {178, 41, 198, 0}, {168, 148, 198, 196}, {21, 187, 0, 196}} {
		got := c.RGBAAt(at.x, at.y)
		require.InDelta(t, at.r, int(got.R), 12, "at %d, %d", at.x, at.y)
		require.InDelta(t, at.g, int(got.G), 14, "at %d, %d", at.x, at.y)
	}
	require.Zero(t, c.RGBAAt(5, 5).A, "nothing is drawn outside")
}
