package face

import (
	"context"
	"image"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline/media"
)

// The fake models see people as rectangles: green 200, blue 20 x the person's number, red a chequered texture (so that they are sharp).
// What the real models must get right is tested in real_test.go; this is for the decisions on top of them.
const (
	fakeGreen = 200
	fakeBlue  = 20
	fakeModel = "fake"
)

type fakeModels struct {
	vectors map[int][]float32 // by person; none: a unit vector of its own
	model   string
	embeds  int
	points  func(int) models.Point // of the landmarks; nil: those of a good face
}

// InputSize is that of the real models.
func (f *fakeModels) InputSize(task models.Task) (int, int) {
	switch task {
	case models.FaceDetect:
		return 320, 240
	case models.FaceLandmark:
		return 64, 64
	default:
		return alignedSize, alignedSize
	}
}

// DetectFaces finds each person once, when at least 12 pixels high: a small face in a large frame is lost.
func (f *fakeModels) DetectFaces(_ context.Context, im models.Image) ([]models.Box, error) {
	found := map[int]image.Rectangle{}
	for y := range im.H {
		for x := range im.W {
			if who := personAt(im, x, y); who > 0 {
				found[who] = found[who].Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	var out []models.Box
	for who := 1; who <= 12; who++ {
		r := found[who]
		if r.Dy() < 12 {
			continue
		}
		out = append(out, models.Box{
			X1: float32(r.Min.X) / float32(im.W), Y1: float32(r.Min.Y) / float32(im.H),
			X2: float32(r.Max.X) / float32(im.W), Y2: float32(r.Max.Y) / float32(im.H), Score: 0.99,
		})
	}
	return out, nil
}

// Landmarks are those of a face that fills the square as the template fills its own.
func (f *fakeModels) Landmarks(context.Context, models.Image) ([68]models.Point, error) {
	var out [68]models.Point
	for i := range out {
		out[i] = models.Point{X: 0.5, Y: 0.5}
		if f.points != nil {
			out[i] = f.points(i)
		}
	}
	if f.points != nil {
		return out, nil
	}
	for i, at := range [5][]int{{37, 38, 40, 41}, {43, 44, 46, 47}, {30}, {48, 60}, {54, 64}} {
		for _, k := range at {
			out[k] = models.Point{X: template[i].X / alignedSize, Y: template[i].Y / alignedSize}
		}
	}
	return out, nil
}

func (f *fakeModels) Embed(_ context.Context, im models.Image) (models.Vector, error) {
	f.embeds++
	who := personAt(im, im.W/2, im.H/2)
	v := f.vectors[who]
	if v == nil {
		v = make([]float32, 16)
		v[who] = 1
	}
	model := f.model
	if model == "" {
		model = fakeModel
	}
	return models.Vector{Model: model, V: v}, nil
}

func personAt(im models.Image, x, y int) int {
	at := 3 * (y*im.W + x)
	b, g := int(im.Pix[at]), int(im.Pix[at+1])
	who := (b + fakeBlue/2) / fakeBlue
	if g < fakeGreen-8 || g > fakeGreen+8 || b < who*fakeBlue-4 || b > who*fakeBlue+4 {
		return 0
	}
	return who
}

// person is one rectangle of a frame.
type person struct {
	who     int
	at      image.Rectangle
	blurred bool
}

// at is a square face of the given side around a point.
func at(x, y, side int) image.Rectangle {
	return image.Rect(x-side/2, y-side/2, x+side/2, y+side/2)
}

// fakeClip draws frames of 640 x 480, one per second.
func fakeClip(t testing.TB, frames ...[]person) *media.Clip {
	t.Helper()
	return fakeClipOf(t, 640, 480, frames...)
}

func fakeClipOf(t testing.TB, w, h int, frames ...[]person) *media.Clip {
	t.Helper()
	clip := &media.Clip{Info: media.Info{Kind: media.Video, Width: w, Height: h}}
	if len(frames) == 1 {
		clip.Info.Kind = media.Photo
	}
	for i, people := range frames {
		pix := make([]byte, w*h*3)
		for _, p := range people {
			if p.blurred { // equally bright around, so that not even the edge is sharp
				fill(pix, w, h, p.at.Inset(-p.at.Dx()/4), func(int, int) [3]byte { return [3]byte{byte(p.who * fakeBlue), fakeGreen - 20, 159} })
			}
			fill(pix, w, h, p.at, func(x, y int) [3]byte {
				red := byte(120)
				if !p.blurred && (x/4+y/4)%2 == 0 {
					red = 255
				}
				return [3]byte{byte(p.who * fakeBlue), fakeGreen, red}
			})
		}
		m, err := gocv.NewMatFromBytes(h, w, gocv.MatTypeCV8UC3, pix)
		require.NoError(t, err)
		clip.Frames = append(clip.Frames, media.Frame{Index: i, PTS: time.Duration(i) * time.Second, Image: m})
	}
	t.Cleanup(clip.Close)
	return clip
}

func fill(pix []byte, w, h int, r image.Rectangle, colour func(x, y int) [3]byte) {
	r = r.Intersect(image.Rect(0, 0, w, h))
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			c := colour(x, y)
			copy(pix[3*(y*w+x):], c[:])
		}
	}
}

// still is the same frame n times.
func still(n int, people ...person) [][]person {
	out := make([][]person, n)
	for i := range out {
		out[i] = people
	}
	return out
}

// mixed is a unit vector with the given cosine to person 1's, and none to anybody else's but person 15's.
func mixed(cos float64) []float32 {
	v := make([]float32, 16)
	v[1], v[15] = float32(cos), float32(math.Sqrt(1-cos*cos))
	return v
}

func enrolled(t testing.TB, m *Matcher, who ...int) []Template {
	t.Helper()
	var out []Template
	for _, w := range who {
		tpl, err := m.Enroll(context.Background(), fakeClip(t, []person{{who: w, at: at(320, 240, 200)}}), "photo.jpg")
		require.NoError(t, err)
		out = append(out, tpl)
	}
	return out
}
