package scene

import (
	"context"
	"image"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/models"
)

// strokes draws upright strokes like those of small letters.
func strokes(pix []byte, w int, r image.Rectangle, low, high byte) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			pix[y*w+x] = high
			if x/3%2 == 0 {
				pix[y*w+x] = low
			}
		}
	}
}

func plainPicture(w, h int) []byte {
	pix := make([]byte, w*h)
	for i := range pix {
		pix[i] = byte(60 + i%w/8) // a shaded wall
	}
	return pix
}

func TestBusyParts(t *testing.T) {
	const w, h = 960, 544
	require.Empty(t, busyParts(plainPicture(w, h), w, h), "a wall")
	door := plainPicture(w, h)
	for y := range h {
		for x := 300; x < 500; x++ {
			door[y*w+x] = 200
		}
	}
	require.Empty(t, busyParts(door, w, h), "an outline is no text")

	sign := plainPicture(w, h)
	at := image.Rect(611, 203, 680, 214)
	strokes(sign, w, at, 90, 150)
	parts := busyParts(sign, w, h)
	require.Len(t, parts, 1)
	require.True(t, at.Inset(-busyCell).In(parts[0]), "%v with what is around lies in %v", at, parts[0])
	require.Less(t, parts[0].Dx()*parts[0].Dy(), w*h/20)

	noise := make([]byte, w*h)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range noise {
		noise[i] = byte(r.IntN(256))
	}
	require.Equal(t, []image.Rectangle{image.Rect(0, 0, w, h)}, busyParts(noise, w, h))
}

func TestTilePartsCoverAndDoNotOverlap(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 200 {
		w, h := 1+r.IntN(30), 1+r.IntN(20)
		marked := make([]bool, w*h)
		for i := range marked {
			marked[i] = r.IntN(8) == 0
		}
		covered := make([]int, w*h)
		for _, p := range tileParts(marked, w, h) {
			for y := p.Min.Y; y < p.Max.Y; y++ {
				for x := p.Min.X; x < p.Max.X; x++ {
					covered[y*w+x]++
				}
			}
		}
		for i, m := range marked {
			require.LessOrEqual(t, covered[i], 1)
			require.False(t, m && covered[i] == 0)
		}
	}
}

// positions answers with a map that says where each pixel came from.
type positions struct{ Models }

func (positions) TextMap(_ context.Context, in models.Image) (models.ProbMap, error) {
	p := models.ProbMap{P: make([]float32, in.W*in.H), W: in.W, H: in.H}
	for i := range p.P {
		p.P[i] = float32(in.Pix[3*i])
	}
	return p, nil
}

func TestBusyMapPutsPartsBack(t *testing.T) {
	const w, h = 640, 384
	grey := plainPicture(w, h)
	strokes(grey, w, image.Rect(40, 40, 140, 60), 20, 220)
	strokes(grey, w, image.Rect(500, 300, 600, 320), 20, 220)
	in := models.Image{W: w, H: h, C: 3, Pix: make([]byte, 0, 3*w*h)}
	for _, v := range grey {
		in.Pix = append(in.Pix, v, v, v)
	}
	parts := busyParts(grey, w, h)
	require.Len(t, parts, 2)
	got, err := busyMap(context.Background(), positions{}, in)
	require.NoError(t, err)
	for i, v := range got.P {
		inside := image.Pt(i%w, i/w).In(parts[0]) || image.Pt(i%w, i/w).In(parts[1])
		want := float32(0)
		if inside {
			want = float32(grey[i])
		}
		require.InDelta(t, want, v, 0, "pixel %d", i)
	}
}

func BenchmarkBusyParts(b *testing.B) {
	const w, h = 960, 544
	pix := plainPicture(w, h)
	strokes(pix, w, image.Rect(100, 100, 500, 300), 20, 220)
	for b.Loop() {
		busyParts(pix, w, h)
	}
}
