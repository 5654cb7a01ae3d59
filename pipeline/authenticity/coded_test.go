package authenticity

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

// reordered gives a clip of 10 pictures a second the packets and shares of an encoder that codes every second picture between two others. at is
// the first picture behind a joint, as the encoder sees it; 0: none.
func reordered(clip *media.Clip, at int) {
	clip.Info.Codec = "h264"
	frames := clip.Motion.Frames
	for i := range frames {
		f, wobble := &frames[i], uint8(i%5*4)
		switch {
		case i == 0:
		case i%2 == 0:
			f.Earlier = 220 - wobble // the rest is nowhere
			if at == i || at == i-1 {
				f.Earlier = 120
			}
		default:
			f.Earlier, f.Later = 235-wobble, 225+wobble
			switch at {
			case i: // it is behind the joint
				f.Earlier = 60
			case i + 1:
				f.Later = 60
			}
		}
	}
	packet := func(i int) media.Packet {
		return media.Packet{PTS: frames[i].PTS, Bytes: 900 + i%7*30, Key: i == 0}
	}
	clip.Packets = []media.Packet{packet(0)}
	for i := 2; i < len(frames); i += 2 {
		clip.Packets = append(clip.Packets, packet(i), packet(i-1))
	}
}

func TestTheEncoderTellsAJoint(t *testing.T) {
	still := func(i int) float64 { return 80 + 8*math.Sin(float64(i)*0.37) + 3*math.Sin(float64(i)*0.83) }
	moved := func(from int) func(i int) float64 {
		return func(i int) float64 {
			if i >= from {
				return still(i) + 5
			}
			return still(i)
		}
	}
	for name, c := range map[string]struct {
		where func(i int) float64
		at    int
		found bool
	}{
		"both say it":                           {moved(30), 30, true},
		"both say it, before a picture between": {moved(31), 31, true},
		"the encoder alone, of an early key":    {still, 30, false},
		"the picture alone, a small step":       {moved(30), 0, false},
		"they say it of different places":       {moved(30), 46, false},
	} {
		t.Run(name, func(t *testing.T) {
			clip := swayed(60, c.where)
			reordered(clip, c.at)
			check := Check(clip, DefaultConfig())
			if !c.found {
				require.NotContains(t, codes(check), pipeline.StreamAltered, "%v", check.Detail)
				return
			}
			require.Contains(t, codes(check), pipeline.StreamAltered, "%v", check.Detail)
			require.Contains(t, check.Findings[0].Args["signs_en"], "jumps at")
			require.Equal(t, pipeline.Uncertain, check.Outcome)
		})
	}
}

func TestGroups(t *testing.T) {
	clip := swayed(12, func(i int) float64 { return 80 + float64(i) })
	require.Empty(t, groupsOf(&clip.Motion, nil))
	reordered(clip, 0)
	g := groupsOf(&clip.Motion, clip.Packets)
	require.Len(t, g, 5)
	require.InDelta(t, 0.2, g[1].from, 1e-9)
	require.InDelta(t, 0.4, g[1].to, 1e-9)
	require.True(t, g[1].between)
	require.InDelta(t, 1-(220-16)/255.0, g[1].fresh, 1e-9)
	require.InDelta(t, 14/255.0, g[1].side, 1e-9)
	require.InDelta(t, 223/255.0, g[1].weak, 1e-9)

	clip.Packets[3].Key = true // a complete picture is taken from nothing, and says nothing
	require.Len(t, groupsOf(&clip.Motion, clip.Packets), 4)
	for i := range clip.Motion.Frames {
		clip.Motion.Frames[i].Earlier, clip.Motion.Frames[i].Later = 0, 0
	}
	require.Empty(t, groupsOf(&clip.Motion, clip.Packets), "the decoder does not say it")
}

// Times and shares are the child's word: nothing in them may lead outside of the tables.
func FuzzGroups(f *testing.F) {
	f.Add([]byte{0, 200, 0, 4, 210, 0, 2, 180, 190, 6, 200, 0, 5, 100, 210})
	f.Add([]byte{9, 1, 1, 3, 1, 1, 3, 255, 255})
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := media.Motion{W: 8, H: 8}
		var p []media.Packet
		for i := 0; i+2 < len(raw) && i < 300; i += 3 {
			at := time.Duration(int8(raw[i])) * 10 * time.Millisecond
			p = append(p, media.Packet{PTS: at, Bytes: int(raw[i]), Key: raw[i+1] == 7})
			if raw[i+2] != 3 {
				m.Frames = append(m.Frames, media.MotionFrame{PTS: at, Gray: make([]byte, 64), Earlier: raw[i+1], Later: raw[i+2]})
			}
		}
		g := groupsOf(&m, p)
		for i := range g {
			require.LessOrEqual(t, g[i].from, g[i].to)
			if s := surpriseOf(g, i) + weaknessOf(g, i); math.IsNaN(s) || math.IsInf(s, 0) || s < 0 {
				t.Fatalf("surprise %v of %+v", s, g[i])
			}
		}
	})
}
