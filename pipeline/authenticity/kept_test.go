package authenticity

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

// calm is a track of a blob that sways slowly by two pixels, in noise, 12 pictures a second; from picture joint on it is shift pixels aside.
// There is a packet for each picture, all alike; the first and number key are complete ones.
func calm(n, joint, key int, shift float64) *media.Clip {
	r := rand.New(rand.NewPCG(3, 7))
	clip := swayed(n, func(i int) float64 {
		at := 80 + 2*math.Sin(float64(i)*0.13)
		if i >= joint {
			at += shift
		}
		return at
	})
	clip.Info.Codec = "vp9" // its packets say nothing
	for i := range clip.Motion.Frames {
		f := &clip.Motion.Frames[i]
		f.PTS = time.Duration(i) * time.Second / 12
		for k := range f.Gray {
			f.Gray[k] = byte(float64(f.Gray[k]) + 3*r.NormFloat64())
		}
		clip.Packets = append(clip.Packets, media.Packet{PTS: f.PTS, Bytes: 900, Key: i == 0 || i == key})
	}
	return clip
}

func TestWhatChangesForGoodUnraced(t *testing.T) {
	score := func(clip *media.Clip) jump {
		s := newSeries(&clip.Motion)
		return s.keptJump(newBlockTrack(&clip.Motion, s.every), clip.Packets)
	}
	require.Less(t, score(calm(60, 99, 0, 0)).score, 0.5, "one take")
	j := score(calm(60, 31, 0, 4))
	require.GreaterOrEqual(t, j.score, 1.0)
	require.InDelta(t, 31.0/12, j.at, 1e-6)
	require.Less(t, score(calm(60, 31, 31, 4)).score, 1.0, "a complete picture just there codes all of it anew")
}

func TestACalmPersonWhoIsElsewhereAtOnceUnraced(t *testing.T) {
	check := Check(calm(60, 31, 0, 4), DefaultConfig())
	require.Contains(t, codes(check), pipeline.StreamAltered, "%v", check.Detail)
	require.Equal(t, pipeline.Uncertain, check.Outcome)
	require.Empty(t, Check(calm(60, 99, 0, 0), DefaultConfig()).Findings)
}

// Pictures between two others that are found on both sides, but for one.
func TestAPictureThatIsFoundOnOneSideOnly(t *testing.T) {
	groups := func() []group {
		var g []group
		for i := range 10 {
			g = append(g, group{from: float64(i) / 8, to: float64(i+1) / 8, fresh: 0.6 + float64(i%3)/50, weak: 0.4 + float64(i%4)/50, side: 0.6, between: true, bytes: 4000 + i%3*100})
		}
		g[5].weak, g[5].fresh, g[5].bytes = 0.05, 0.85, 4800
		return g
	}
	g := groups()
	require.Greater(t, weaknessOf(g, 5), weakLimit)
	for i := range g {
		if i != 5 {
			require.Zero(t, weaknessOf(g, i))
		}
	}
	for name, spoil := range map[string]func(g []group){
		"its packet is none of the largest": func(g []group) { g[5].bytes = 4100 },
		"no more is taken from nowhere":     func(g []group) { g[5].fresh = 0.6 },
		"another is found on one side, too": func(g []group) { g[7].weak = 0.06 },
		"nothing between was decoded":       func(g []group) { g[5].weak = 1 },
		"too near to the end":               func(g []group) { copy(g[4:], g[:4]); g[8], g[9] = g[5], g[5] },
		"what is compared is too far in time": func(g []group) {
			for i := range g {
				g[i].from, g[i].to = g[i].from*20, g[i].to*20
			}
		},
	} {
		g := groups()
		spoil(g)
		require.Zero(t, weaknessOf(g, 5), name)
	}
}

func BenchmarkKeptJump(b *testing.B) {
	clip := calm(180, 99, 0, 0)
	s := newSeries(&clip.Motion)
	for b.Loop() {
		s.keptJump(newBlockTrack(&clip.Motion, s.every), clip.Packets)
	}
}

// Automatic exposure that swings around what it seeks: brighter and darker by 4 % every 1.64 s, which comes back again and again.
func TestExposureThatSwingsIsNoLoopUnraced(t *testing.T) {
	nearlyStill := func(t float64) (x, y float64) {
		return 80 + 0.1*t*t + 0.5*math.Sin(0.5*t*t), 60 + 0.5*math.Sin(0.33*t*t+1)
	} // never again the same
	clip := &media.Clip{Info: media.Info{Kind: media.Video}, Motion: made{w: 160, h: 120, seconds: 6, rate: 12, disc: nearlyStill, noise: 1, seed: 5}.motion()}
	for i := range clip.Motion.Frames {
		f := &clip.Motion.Frames[i]
		gain := 1 + 0.04*math.Sin(2*math.Pi*f.PTS.Seconds()/1.64)
		for k, v := range f.Gray {
			f.Gray[k] = byte(math.Min(float64(v)*gain, 255))
		}
	}
	s := newSeries(&clip.Motion)
	_, swinging := s.findRepeat()
	require.GreaterOrEqual(t, swinging, DefaultConfig().RepeatUncertain, "or the test shows nothing")
	_, without := s.evened().findRepeat()
	require.Less(t, without, 0.5)
	require.NotContains(t, codes(Check(clip, DefaultConfig())), pipeline.ReplayedWithinClip)
}
