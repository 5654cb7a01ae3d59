package authenticity

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

// swayed is a motion track of a bright blob before a striped wall; where gives its place in pixels for each of n pictures, 10 a second.
func swayed(n int, where func(i int) float64) *media.Clip {
	clip := &media.Clip{Info: media.Info{Kind: media.Video}, Motion: media.Motion{W: 160, H: 120}}
	for i := range n {
		g := make([]byte, 160*120)
		at := where(i)
		for y := range 120 {
			for x := range 160 {
				v := 90 + 30*math.Sin(float64(x)*0.4)*math.Sin(float64(y)*0.3)
				if d := math.Hypot(float64(x)-at, float64(y)-60); d < 34 {
					v = 170 + 40*math.Sin(d*0.5+float64(i)*0.1)
				}
				g[y*160+x] = byte(v)
			}
		}
		clip.Motion.Frames = append(clip.Motion.Frames, media.MotionFrame{PTS: time.Duration(i) * 100 * time.Millisecond, Gray: g})
	}
	return clip
}

func TestWhereFootageWasJoinedUnraced(t *testing.T) {
	sway := func(i int) float64 { return 80 + 8*math.Sin(float64(i)*0.37) + 3*math.Sin(float64(i)*0.83) }
	for name, c := range map[string]struct {
		where func(i int) float64
		sign  string
	}{
		"one take": {sway, ""},
		"a fast step aside takes several pictures": {func(i int) float64 {
			return sway(i) - 14*math.Tanh((float64(i)-30)/2.5)
		}, ""},
		"two parts joined": {func(i int) float64 {
			if i >= 30 {
				return sway(i) - 28
			}
			return sway(i)
		}, "jumps at 3.0 s"},
	} {
		t.Run(name, func(t *testing.T) {
			clip := swayed(60, c.where)
			for i := range 6 {
				clip.Frames = append(clip.Frames, media.Frame{Index: i, PTS: time.Duration(i) * time.Second})
			}
			check := Check(clip, DefaultConfig())
			if c.sign == "" {
				require.NotContains(t, codes(check), pipeline.StreamAltered, "%v", check.Detail)
				return
			}
			require.Equal(t, pipeline.Uncertain, check.Outcome, "%v", check.Detail)
			require.Contains(t, codes(check), pipeline.StreamAltered)
			require.Contains(t, check.Findings[0].Args["signs_en"], c.sign)
			shown := check.Findings[0].Evidence
			require.Len(t, shown, 3, "a person must see what lies before and behind it")
			require.Equal(t, []any{2, pipeline.LabelBefore, 3, pipeline.LabelBehind}, []any{*shown[1].Keyframe, shown[1].Label, *shown[2].Keyframe, shown[2].Label})
			require.NotEmpty(t, check.Findings[0].Args["signs_zh"])
			require.False(t, check.Findings[0].Certain)
			require.Less(t, *check.Score, 1.0, "a person looks at it")
		})
	}
}

// A jump that the picture alone does not tell for sure counts where the encoder was surprised, too.
func TestAFaintJumpNeedsALargePacketUnraced(t *testing.T) {
	sway := func(i int) float64 { return 80 + 8*math.Sin(float64(i)*0.37) + 3*math.Sin(float64(i)*0.83) }
	try := func(codec string, bytes, where int) (jump float64, found bool) {
		clip := swayed(60, func(i int) float64 {
			if i >= 30 {
				return sway(i) - 21.5
			}
			return sway(i)
		})
		clip.Info.Codec = codec
		for i := range 180 { // 30 a second
			p := media.Packet{PTS: time.Duration(i) * time.Second / 30, Bytes: 900 + i%7*30, Key: i == 0}
			if i == where {
				p.Bytes = bytes
			}
			clip.Packets = append(clip.Packets, p)
		}
		check := Check(clip, DefaultConfig())
		d, _ := check.Detail["jump"].(map[string]any)
		score, _ := d["score"].(float64)
		return score, slices.Contains(codes(check), pipeline.StreamAltered)
	}
	score, found := try("h264", 1000, 88)
	require.Greater(t, score, jumpFaint)
	require.Less(t, score, 1.0)
	require.False(t, found)
	_, found = try("h264", 2200, 88)
	require.True(t, found, "the packet of 2.93 s lies between the pictures of 2.9 and 3.0 s")
	_, found = try("h264", 2200, 100)
	require.False(t, found, "a large packet elsewhere")
	_, found = try("vp8", 2200, 88)
	require.False(t, found, "an encoder with hidden pictures")
}

// The packet behind a complete picture is larger in any recording: where it would be the step's, the packets say nothing.
func TestThePacketBehindACompletePictureIsNoWitness(t *testing.T) {
	sway := func(i int) float64 { return 80 + 8*math.Sin(float64(i)*0.37) + 3*math.Sin(float64(i)*0.83) }
	clip := swayed(60, func(i int) float64 {
		if i >= 30 {
			return sway(i) - 21.5
		}
		return sway(i)
	})
	clip.Info.Codec = "h264"
	packet := func(i, bytes int) media.Packet {
		return media.Packet{PTS: time.Duration(i) * time.Second / 30, Bytes: bytes}
	}
	// 30 pictures a second, every fourth of which others build on: none lies between those of 2.9 and 3.0 s (87 and 90), and 91 is the next.
	try := func(key, large int) (spike float64, found bool) {
		clip.Packets = []media.Packet{packet(0, 9000)}
		clip.Packets[0].Key = true
		for i := 3; i < 180; i += 4 {
			p := packet(i, 900+i%7*30)
			switch i {
			case key:
				p.Key, p.Bytes = true, 9000
			case large:
				p.Bytes = 1700
			}
			clip.Packets = append(clip.Packets, p, packet(i-2, 200), packet(i-1, 150))
		}
		check := Check(clip, DefaultConfig())
		require.Greater(t, check.Detail["jump"].(map[string]any)["score"], jumpFaint)
		spike, _ = check.Detail["jump"].(map[string]any)["packet"].(float64)
		return spike, slices.Contains(codes(check), pipeline.StreamAltered)
	}
	for name, c := range map[string]struct {
		key, large int
		found      bool
	}{
		"the step's own packet is large":         {0, 91, true},
		"the next one is":                        {0, 95, false},
		"complete behind the step, large behind": {91, 95, false},
		"complete before the step, large behind": {87, 91, false},
		"complete long before, the step's large": {71, 91, true},
	} {
		spike, found := try(c.key, c.large)
		require.Equal(t, c.found, found, "%s: %v", name, spike)
		if c.key == 91 || c.key == 87 {
			require.Zero(t, spike, name)
		}
	}
}

func TestStallsMakeAPattern(t *testing.T) {
	clip := swayed(80, func(i int) float64 { return 80 + 12*math.Sin(float64(i)*0.37) + 5*math.Sin(float64(i)*0.83) })
	for _, from := range []int{12, 30, 52} {
		for i := from + 1; i <= from+5; i++ {
			clip.Motion.Frames[i].Gray = clip.Motion.Frames[from].Gray
		}
	}
	count, time, first := newSeries(&clip.Motion).findStalls()
	require.Equal(t, 3, count)
	require.InDelta(t, 1.5, time, 1e-6)
	require.InDelta(t, 1.2, first.from, 1e-6)
	check := Check(clip, DefaultConfig())
	require.Contains(t, codes(check), pipeline.StreamAltered, "%v", check.Detail)
}

func TestALampIsNoJump(t *testing.T) {
	clip := swayed(60, func(i int) float64 { return 80 + 8*math.Sin(float64(i)*0.37) })
	for i := 30; i < 60; i++ {
		for k, v := range clip.Motion.Frames[i].Gray {
			clip.Motion.Frames[i].Gray[k] = byte(float64(v)*0.6 + 20)
		}
	}
	s := newSeries(&clip.Motion)
	require.Less(t, s.findJump(newBlockTrack(&clip.Motion, s.every)).score, 1.0)
}

func codes(c pipeline.Check) []pipeline.Code {
	var out []pipeline.Code
	for _, f := range c.Findings {
		out = append(out, f.Code)
	}
	return out
}

// Half a turn of stripes further is no movement that a block can make: what is left tells a cut from a fast turn.
func TestBlocksThatJump(t *testing.T) {
	wall := func(n int, shift func(i int) (x, y float64)) *media.Clip {
		clip := &media.Clip{Info: media.Info{Kind: media.Video}, Motion: media.Motion{W: 160, H: 120}}
		for i := range n {
			g := make([]byte, 160*120)
			dx, dy := shift(i)
			for y := range 120 {
				for x := range 160 {
					u, v := float64(x)+dx, float64(y)+dy
					g[y*160+x] = byte(120 + 40*math.Sin(u*0.11+1.3*math.Sin(v*0.07)) + 40*math.Sin(v*0.13+1.7*math.Sin(u*0.05)))
				}
			}
			clip.Motion.Frames = append(clip.Motion.Frames, media.MotionFrame{PTS: time.Duration(i) * 100 * time.Millisecond, Gray: g})
		}
		return clip
	}
	try := func(shift func(i int) (x, y float64)) float64 {
		clip := wall(40, shift)
		s := newSeries(&clip.Motion)
		b := newBlockTrack(&clip.Motion, 1)
		return b.jumped(19, s.n()-1)
	}
	require.Less(t, try(func(i int) (float64, float64) { return 2 * float64(i), float64(i) }), 0.1, "the camera is turned")
	require.Greater(t, try(func(i int) (float64, float64) {
		if i >= 20 {
			return 61 + 2*float64(i), 47
		}
		return 2 * float64(i), 0
	}), blockClear, "another place")
}

func TestAPacketThatSurprises(t *testing.T) {
	clip := swayed(60, func(i int) float64 {
		if i >= 30 {
			return 72 + 16*math.Sin(float64(i)*0.7) // calm before, moving after
		}
		return 80 + 0.5*math.Sin(float64(i)*0.37)
	})
	clip.Info.Codec = "h264"
	packets := func(at, bytes int, order bool) []media.Packet {
		var out []media.Packet
		for i := range 180 {
			p := media.Packet{PTS: time.Duration(i) * time.Second / 30, Bytes: 900 + i%7*30, Key: i == 0}
			if i == at {
				p.Bytes = bytes
			}
			out = append(out, p)
		}
		if !order {
			out[100], out[101] = out[101], out[100]
		}
		return out
	}
	s := newSeries(&clip.Motion)
	got := s.surprise(&clip.Info, packets(88, 2000, true))
	require.InDelta(t, 3.0, got.at, 0.01)
	require.InDelta(t, 1.85, got.spike, 0.05)
	require.Zero(t, s.surprise(&clip.Info, packets(88, 1600, true)).score, "an honest recording reaches that")
	require.Zero(t, s.surprise(&clip.Info, packets(70, 2000, true)).score, "elsewhere")
	require.Zero(t, s.surprise(&clip.Info, packets(88, 2000, false)).score, "coded in another order")
}

func TestHowManyStallsAreTooMany(t *testing.T) {
	for seconds, most := range map[float64]int{3: 1, 6: 1, 8: 2, 15: 2, 40: 2, 60: 3} {
		require.True(t, tooMany(most, seconds), "%g s", seconds)
		require.False(t, tooMany(most-1, seconds), "%g s", seconds)
	}
}

// What repeats or stands still is shown by two pictures, for a person to compare.
func TestPicturesThatShowTheSame(t *testing.T) {
	c := &checker{clip: &media.Clip{}}
	for i := range 8 {
		c.clip.Frames = append(c.clip.Frames, media.Frame{Index: i, PTS: time.Duration(i) * time.Second})
	}
	shown := c.again(&repeat{lag: 2.96}, 0.2, 3.1)
	require.Len(t, shown, 2)
	require.Equal(t, []any{1, pipeline.LabelShown, 4, pipeline.LabelAgain, int64(3960)},
		[]any{*shown[0].Keyframe, shown[0].Label, *shown[1].Keyframe, shown[1].Label, *shown[1].FromMS})
	require.Empty(t, c.again(&repeat{lag: 2.96}, 0.2, 0.9), "no keyframe within it")

	shown = c.stands(2.96, 4.8)
	require.Len(t, shown, 2)
	require.Equal(t, []any{3, pipeline.LabelStands, 4, pipeline.LabelStill}, []any{*shown[0].Keyframe, shown[0].Label, *shown[1].Keyframe, shown[1].Label})
	require.Len(t, c.stands(2.5, 3.5), 1)
	require.Empty(t, c.stands(2.2, 2.8))
}
