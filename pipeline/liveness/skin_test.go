package liveness

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

// skinSeries are colours over time: a beat of a given size (parts of the colour), a light that wanders, and noise.
func skinSeries(r *rand.Rand, seconds, beat, light, noise float64) []colour {
	var out []colour
	rate := 0.9 + r.Float64()*1.2
	for at := 0.0; at < seconds; at += 0.09 + r.Float64()*0.03 {
		s := math.Sin(2 * math.Pi * rate * at)
		k := 1 + light*math.Sin(2*math.Pi*0.3*at) + light*math.Sin(2*math.Pi*1.7*at)
		out = append(out, colour{
			at, 90*k*(1+0.5*beat*s) + noise*r.NormFloat64(), 110*k*(1+beat*s) + noise*r.NormFloat64(), 150*k*(1+0.3*beat*s) + noise*r.NormFloat64(),
		})
	}
	return out
}

func TestSkinFindsABeat(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		require.Equal(t, SkinChanges, rhythm(skinSeries(r, 12, 0.01, 0.02, 0.15)), "under a light that wanders, too")
	}
}

func TestSkinSaysNoToNoiseUnraced(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	yes := 0
	for i := range 200 {
		if rhythm(skinSeries(r, 6+float64(i%18), 0, 0.02, 0.3)) == SkinChanges {
			yes++
		}
	}
	require.LessOrEqual(t, yes, 6)
}

func TestSkinNeedsTime(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	require.Equal(t, SkinTooShort, rhythm(skinSeries(r, 5, 0.01, 0, 0)))
	require.Equal(t, SkinTooShort, rhythm(nil))
}

func TestSkinNeedsLight(t *testing.T) {
	for name, to := range map[string]func(colour) colour{
		"the same colour all the time": func(c colour) colour { return colour{c.at, 90, 110, 150} },
		"darkness":                     func(c colour) colour { return colour{at: c.at} },
		"dark for a second": func(c colour) colour {
			if c.at > 4 && c.at < 5 {
				return colour{at: c.at}
			}
			return c
		},
		"burnt out": func(c colour) colour { return colour{c.at, c.b, c.g, 255} },
	} {
		series := skinSeries(rand.New(rand.NewPCG(5, 6)), 12, 0.01, 0.02, 0.15)
		for i := range series {
			series[i] = to(series[i])
		}
		require.Equal(t, SkinTooShort, rhythm(series), name)
	}
}

// A painted face whose colour beats, seen through a track.
func TestSkinOfATrackUnraced(t *testing.T) {
	clip, track := &media.Clip{Bursts: []media.Burst{{}}}, turning(false, 100)
	defer func() {
		for i := range clip.Bursts[0].Frames {
			_ = clip.Bursts[0].Frames[i].Image.Close()
		}
	}()
	paint := func(beat float64) Skin {
		for i := range clip.Bursts[0].Frames {
			_ = clip.Bursts[0].Frames[i].Image.Close()
		}
		clip.Bursts[0].Frames = nil
		r := rand.New(rand.NewPCG(7, 8))
		noise := make([]float64, 1<<16) // drawn once: each frame begins elsewhere in it
		for i := range noise {
			noise[i] = r.Float64() * 4
		}
		for i := range track.Moments {
			m := &track.Moments[i]
			m.Frame = i
			from := r.IntN(len(noise))
			for k := range m.Landmarks { // in view wherever the made-up head has them
				m.Landmarks[k].X, m.Landmarks[k].Y = max(40, m.Landmarks[k].X), max(40, m.Landmarks[k].Y)
			}
			s := beat * math.Sin(2*math.Pi*1.3*float64(i)/10)
			picture := gocv.NewMatWithSize(480, 640, gocv.MatTypeCV8UC3)
			pix, err := picture.DataPtrUint8()
			require.NoError(t, err)
			for j := 0; j < len(pix); j += 3 {
				n := from + j
				pix[j], pix[j+1], pix[j+2] = byte(90+s*0.5+noise[n%len(noise)]), byte(110+s+noise[(n+1)%len(noise)]), byte(150+s*0.3+noise[(n+2)%len(noise)])
			}
			clip.Bursts[0].Frames = append(clip.Bursts[0].Frames, media.Frame{PTS: time.Duration(i) * 100 * time.Millisecond, Image: picture})
		}
		got, err := SkinOf(clip, track)
		require.NoError(t, err)
		return got
	}
	require.Equal(t, SkinChanges, paint(2))
	require.Equal(t, SkinDoesNot, paint(0))
	_, ok, err := skinColour(&clip.Bursts[0].Frames[0], &[68]face.Point{})
	require.NoError(t, err)
	require.False(t, ok, "a face of no size")
}
