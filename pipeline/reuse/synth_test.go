package reuse

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline/media"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is a made-up room: a textured background, the same for one seed, in front of which textured discs move, the same way for one seed.
type stage struct {
	w, h   int
	back   []byte
	discs  []disc
	moving bool
}

type disc struct {
	r          float64
	x, y       [4]float64 // amplitudes
	f, g, p, q [4]float64 // frequencies and phases
	tone       []byte
}

// newStage makes one. Watching every byte that it draws for races takes ten times as long and finds nothing: so with grey and shrink.
//
//go:norace
func newStage(room, motion uint64, w, h int) *stage {
	r := rand.New(rand.NewPCG(room, 1))
	s := &stage{w: w, h: h, back: make([]byte, w*h), moving: motion != 0}
	for i := range s.back {
		x, y := float64(i%w), float64(i/w)
		s.back[i] = byte(110 + 40*math.Sin(x/17+float64(room))*math.Cos(y/23) + 10*math.Sin(x*y/900))
	}
	for range 90 {
		x, y, bw, bh, v := r.IntN(w), r.IntN(h), 4+r.IntN(28), 4+r.IntN(28), byte(r.IntN(256))
		for yy := y; yy < min(h, y+bh); yy++ {
			for xx := x; xx < min(w, x+bw); xx++ {
				s.back[yy*w+xx] = v
			}
		}
	}
	// The people are the same in one room; how they move depends on the take.
	for range 3 {
		d := disc{r: float64(w)/14 + r.Float64()*float64(w)/14, tone: make([]byte, 64)}
		for i := range d.tone {
			d.tone[i] = byte(r.IntN(256))
		}
		s.discs = append(s.discs, d)
	}
	m := rand.New(rand.NewPCG(motion, 2))
	for i := range s.discs {
		d := &s.discs[i]
		for k := range 4 {
			d.x[k], d.y[k] = m.Float64()*float64(w)/16, m.Float64()*float64(h)/16
			d.f[k], d.g[k] = 0.5+m.Float64()*7, 0.5+m.Float64()*7
			d.p[k], d.q[k] = m.Float64()*6.28, m.Float64()*6.28
		}
	}
	return s
}

// grey draws the moment t.
//
//go:norace
func (s *stage) grey(t float64) []byte {
	out := append([]byte{}, s.back...)
	if !s.moving {
		return out
	}
	for i, d := range s.discs {
		cx, cy := float64(s.w)*(0.25+0.25*float64(i)), float64(s.h)*0.55
		for k := range 4 {
			cx += d.x[k] * math.Sin(d.f[k]*t+d.p[k])
			cy += d.y[k] * math.Sin(d.g[k]*t+d.q[k])
		}
		for y := max(0, int(cy-d.r)); y < min(s.h, int(cy+d.r)); y++ {
			for x := max(0, int(cx-d.r)); x < min(s.w, int(cx+d.r)); x++ {
				if u, v := float64(x)-cx, float64(y)-cy; u*u+v*v < d.r*d.r {
					out[y*s.w+x] = d.tone[(int((u/d.r+1)*4)%8)*8+int((v/d.r+1)*4)%8]
				}
			}
		}
	}
	return out
}

// change is what an attacker does to a moment: picture and size.
type change func(p []byte, w, h int) ([]byte, int, int)

func asIs(p []byte, w, h int) ([]byte, int, int) { return p, w, h }

//go:norace
func mirror(p []byte, w, h int) ([]byte, int, int) {
	out := make([]byte, len(p))
	for i := range p {
		out[i/w*w+w-1-i%w] = p[i]
	}
	return out, w, h
}

//go:norace
func turnHalf(p []byte, w, h int) ([]byte, int, int) {
	out := make([]byte, len(p))
	for i := range p {
		out[len(p)-1-i] = p[i]
	}
	return out, w, h
}

func cropped(p []byte, w, h int) ([]byte, int, int) {
	x0, y0 := w/10, h/10
	cw, ch := w-2*x0, h-2*y0
	out := make([]byte, 0, cw*ch)
	for y := y0; y < y0+ch; y++ {
		out = append(out, p[y*w+x0:y*w+x0+cw]...)
	}
	return out, cw, ch
}

//go:norace
func darker(p []byte, w, h int) ([]byte, int, int) {
	var dark [256]byte
	for v := range dark {
		dark[v] = byte(255 * math.Pow(float64(v)/255, 1.6))
	}
	out := make([]byte, len(p))
	for i, v := range p {
		out[i] = dark[v]
	}
	return out, w, h
}

// film makes a decoded clip of the stage: times of the clip go through when (time in the clip -> time on stage).
func film(t testing.TB, s *stage, seconds float64, when func(float64) float64, c change) *media.Clip {
	t.Helper()
	clip := &media.Clip{Info: media.Info{Kind: media.Video, Duration: time.Duration(seconds * float64(time.Second)), Container: "mp4", Codec: "h264"}}
	t.Cleanup(clip.Close)
	sum := sha256.New()
	for i := 0; ; i++ {
		at := float64(i)/12.5 + 0.004*float64(i%3) // irregular, as real clips are
		if at > seconds {
			break
		}
		p, w, h := c(s.grey(when(at)), s.w, s.h)
		sum.Write(p)
		clip.Info.Width, clip.Info.Height = w, h
		m := bgr(t, p, w, h)
		small := shrink(t, m, 160)
		clip.Motion.W, clip.Motion.H = small.W, small.H
		pts := time.Duration(at * float64(time.Second))
		clip.Motion.Frames = append(clip.Motion.Frames, media.MotionFrame{PTS: pts, Gray: small.Pix})
		if i%12 == 0 {
			clip.Frames = append(clip.Frames, media.Frame{Index: len(clip.Frames), PTS: pts, Image: m})
		} else {
			require.NoError(t, m.Close())
		}
	}
	fmt.Fprintf(sum, "%v", seconds)
	clip.Info.SHA256 = hex.EncodeToString(sum.Sum(nil))
	pk := sha256.Sum256([]byte(clip.Info.SHA256))
	clip.Info.PacketsSHA256 = hex.EncodeToString(pk[:])
	return clip
}

// photo makes a decoded photo of one moment.
func photo(t testing.TB, s *stage, at float64, c change) *media.Clip {
	t.Helper()
	p, w, h := c(s.grey(at), s.w, s.h)
	sum := sha256.Sum256(p)
	clip := &media.Clip{Info: media.Info{Kind: media.Photo, Width: w, Height: h, SHA256: hex.EncodeToString(sum[:])}, Frames: []media.Frame{{Image: bgr(t, p, w, h)}}}
	t.Cleanup(clip.Close)
	return clip
}

func bgr(t testing.TB, p []byte, w, h int) gocv.Mat {
	t.Helper()
	grey, err := gocv.NewMatFromBytes(h, w, gocv.MatTypeCV8UC1, p)
	require.NoError(t, err)
	defer grey.Close()
	m := gocv.NewMat()
	require.NoError(t, gocv.CvtColor(grey, &m, gocv.ColorGrayToBGR))
	return m
}

// shrink gives a grey byte view with the given long side at most.
//
//go:norace
func shrink(t testing.TB, m gocv.Mat, long int) models.Image {
	t.Helper()
	k := min(1, float64(long)/float64(max(m.Cols(), m.Rows())))
	v, err := media.Resized(m, int(float64(m.Cols())*k), int(float64(m.Rows())*k))
	require.NoError(t, err)
	out := models.Image{W: v.W, H: v.H, C: 1, Pix: make([]byte, v.W*v.H)}
	for i := range out.Pix {
		out.Pix[i] = v.Pix[3*i]
	}
	return out
}

func fingerprint(t testing.TB, c *media.Clip) Fingerprint {
	t.Helper()
	f, err := Compute(c)
	require.NoError(t, err)
	return f
}

// stored is a fingerprint as a history gives it back.
func stored(t testing.TB, f Fingerprint) Fingerprint {
	t.Helper()
	b, err := f.MarshalBinary()
	require.NoError(t, err)
	var g Fingerprint
	require.NoError(t, g.UnmarshalBinary(b))
	return g
}

func from(offset float64) func(float64) float64 {
	return func(t float64) float64 { return t + offset }
}
