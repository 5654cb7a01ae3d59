package scene

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"math/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

// drawn is a picture of w x h full of random shapes and letters: as much texture as a busy poster. The test closes it.
func drawn(t testing.TB, w, h int, seed int64) gocv.Mat {
	t.Helper()
	r := rand.New(rand.NewSource(seed))
	m := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(200, 190, 180, 0), h, w, gocv.MatTypeCV8UC3)
	t.Cleanup(func() { _ = m.Close() })
	some := func() color.RGBA {
		return color.RGBA{R: uint8(r.Intn(256)), G: uint8(r.Intn(256)), B: uint8(r.Intn(256)), A: 255}
	}
	for range 28 {
		p, q := image.Pt(r.Intn(w), r.Intn(h)), image.Pt(r.Intn(w), r.Intn(h))
		switch r.Intn(3) {
		case 0:
			require.NoError(t, gocv.Rectangle(&m, image.Rectangle{Min: p, Max: p.Add(image.Pt(8+r.Intn(w/4), 8+r.Intn(h/4)))}, some(), -1))
		case 1:
			require.NoError(t, gocv.Circle(&m, p, 4+r.Intn(h/6), some(), -1))
		default:
			require.NoError(t, gocv.Line(&m, p, q, some(), 2))
		}
		require.NoError(t, gocv.PutText(&m, fmt.Sprintf("%c%c%c", 'A'+r.Intn(26), 'a'+r.Intn(26), '0'+r.Intn(10)), q, gocv.FontHersheySimplex, .5+r.Float64(), some(), 2))
	}
	return m
}

// blank is an empty picture.
func blank(t testing.TB, w, h int) gocv.Mat {
	t.Helper()
	m := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(120, 130, 125, 0), h, w, gocv.MatTypeCV8UC3)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// hang shows the picture on a wall, its corners at the given places.
func hang(t testing.TB, wall, picture gocv.Mat, corners [4]gocv.Point2f) {
	t.Helper()
	w, h := float32(picture.Cols()), float32(picture.Rows())
	src := gocv.NewPoint2fVectorFromPoints([]gocv.Point2f{{}, {X: w}, {X: w, Y: h}, {Y: h}})
	defer src.Close()
	dst := gocv.NewPoint2fVectorFromPoints(corners[:])
	defer dst.Close()
	p := gocv.GetPerspectiveTransform2f(src, dst)
	defer p.Close()
	require.NoError(t, gocv.WarpPerspectiveWithParams(picture, &wall, p, image.Pt(wall.Cols(), wall.Rows()), gocv.InterpolationArea, gocv.BorderTransparent, color.RGBA{}))
}

// aslant is a view from aside of a picture of 3:2.
var aslant = [4]gocv.Point2f{{X: 700, Y: 150}, {X: 1010, Y: 190}, {X: 1000, Y: 370}, {X: 705, Y: 380}}

// clipOf makes a clip of pictures, one a second.
func clipOf(pictures ...gocv.Mat) *media.Clip {
	c := &media.Clip{Info: media.Info{Kind: media.Video}}
	for i, m := range pictures {
		c.Frames = append(c.Frames, media.Frame{Index: i, PTS: time.Duration(i) * time.Second, Image: m})
	}
	return c
}

// album is media that is already decoded.
type album map[string]gocv.Mat

// decode gives a copy of the named picture as a photo.
func (a album) decode(_ context.Context, m pipeline.Media) (*media.Clip, error) {
	p, ok := a[m.Name()]
	if !ok {
		return nil, &media.Refusal{Rule: "media_damaged", Text: pipeline.Text{EN: "the file is damaged.", ZH: "文件已损坏。"}}
	}
	return &media.Clip{Info: media.Info{Kind: media.Photo, Width: p.Cols(), Height: p.Rows()}, Frames: []media.Frame{{Image: p.Clone()}}}, nil
}

// prepared makes a site of the album.
func prepared(t testing.TB, a album, s *pipeline.Site) *Site {
	t.Helper()
	out, err := Prepare(context.Background(), s, a.decode)
	require.NoError(t, err)
	t.Cleanup(out.Close)
	return out
}

// fakeText says that there is one line of text in a fixed place of every picture, and reads it in the same way.
type fakeText struct {
	text       string
	confidence float32
	mirrored   bool // only a mirrored crop reads well: the left of the line is dark
	maps, read int
	err        error
}

func (f *fakeText) TextMap(_ context.Context, img models.Image) (models.ProbMap, error) {
	f.maps++
	p := models.ProbMap{P: make([]float32, img.W*img.H), W: img.W, H: img.H}
	for y := img.H / 8; y < img.H/4; y++ {
		for x := img.W / 8; x < img.W/2; x++ {
			p.P[y*img.W+x] = .9
		}
	}
	return p, f.err
}

func (f *fakeText) ReadText(_ context.Context, img models.Image) (models.Reading, error) {
	f.read++
	if f.mirrored {
		side := func(x int) int { return int(img.Pix[(img.H/2*img.W+x)*3]) }
		if side(img.W/4) < side(3*img.W/4) {
			return models.Reading{Text: "il", Confidence: .3}, nil
		}
	}
	return models.Reading{Text: f.text, Confidence: f.confidence}, nil
}
