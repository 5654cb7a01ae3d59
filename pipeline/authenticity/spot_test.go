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

// spotted is a track of a blob that swings fast, in some noise, 25 pictures a second, of which only those around picture joint are all there: elsewhere
// one of three. From joint on it is shift pixels aside. The packet of the last picture of the spot is packet times as large as the others.
func spotted(joint int, shift, packet float64) *media.Clip {
	const n, between = 120, 2 // pictures; and those between two others that no other is built on
	r := rand.New(rand.NewPCG(3, 7))
	clip := swayed(n, func(i int) float64 {
		at := 76 + 14*math.Sin(float64(i)*0.3) + 9*math.Sin(float64(i)*0.047)
		if i >= joint {
			at += shift
		}
		return at
	})
	clip.Info.Codec = "h264"
	all := clip.Motion.Frames
	clip.Motion.Frames = nil
	to := (joint + between) / (between + 1) * (between + 1)
	for i := range all {
		f := &all[i]
		f.PTS = time.Duration(i) * 40 * time.Millisecond
		for k := range f.Gray {
			f.Gray[k] = byte(float64(f.Gray[k]) + r.NormFloat64())
		}
		if i%(between+1) == 0 {
			clip.Motion.Frames = append(clip.Motion.Frames, *f)
			bytes := 900.0
			if i == to {
				bytes *= packet
			}
			clip.Packets = append(clip.Packets, media.Packet{PTS: f.PTS, Bytes: int(bytes), Key: i == 0})
			for o := max(i-between, 0); o < i; o++ {
				clip.Packets = append(clip.Packets, media.Packet{PTS: all[o].PTS, Bytes: 200})
			}
		} else if i >= to-between-1-spotBeside && i <= to+spotBeside {
			clip.Motion.Between = append(clip.Motion.Between, *f)
		}
	}
	clip.Motion.Spots = []media.Window{{From: all[to-between-1].PTS, To: all[to].PTS}}
	return clip
}

func TestASpotTellsAJointFromASwingUnraced(t *testing.T) {
	const joint = 58 // where it turns
	score := func(clip *media.Clip) jump { return spotJump(&clip.Motion, clip.Packets) }
	j := score(spotted(joint, 15, 1.5))
	require.GreaterOrEqual(t, j.score, 1.0)
	require.InDelta(t, joint*0.04, j.at, 1e-6, "the very picture")
	require.InDelta(t, (joint-1)*0.04, j.last, 1e-6)
	for _, seen := range []int{40, 52, 61, 70, 77} { // at whatever speed
		require.Less(t, score(spotted(seen, 0, 3)).score, 1.0, "one take, however large the packet, at %d", seen)
	}
	require.Less(t, score(spotted(joint, 15, 0.3)).score, j.score, "a packet that is no surprise is a witness against it")

	clip := spotted(joint, 15, 1.5)
	clip.Motion.Spots = nil
	require.Zero(t, score(clip).score)
}

func TestAJointInASpotIsForAPersonUnraced(t *testing.T) {
	check := Check(spotted(58, 15, 1.5), DefaultConfig())
	require.Contains(t, codes(check), pipeline.StreamAltered, "%v", check.Detail)
	require.Equal(t, pipeline.Uncertain, check.Outcome)
	require.Empty(t, Check(spotted(58, 0, 1.5), DefaultConfig()).Findings)
}

// A picture that is missing makes the step across it larger, and the packet: that is no joint.
func TestAMissingPictureInASpotUnraced(t *testing.T) {
	clip := spotted(61, 0, 2)
	clip.Motion.Between = append(clip.Motion.Between[:4:4], clip.Motion.Between[6:]...)
	require.Less(t, spotJump(&clip.Motion, clip.Packets).score, 1.0)
}

func TestHowLargeTheSpotsPacketIs(t *testing.T) {
	packets := func(here int, key int) []media.Packet {
		var out []media.Packet
		for i := range 30 {
			bytes := 1000 - spotSoft
			if i == 15 {
				bytes = here
			}
			if i == key {
				bytes = 9000
			}
			out = append(out, media.Packet{PTS: time.Duration(3*i) * 40 * time.Millisecond, Bytes: bytes, Key: i == 0 || i == key}, media.Packet{PTS: time.Duration(3*i-1) * 40 * time.Millisecond, Bytes: 5000})
		}
		return out
	}
	spot := media.Window{From: 14 * 120 * time.Millisecond, To: 15 * 120 * time.Millisecond}
	require.InDelta(t, 2, packetOver(packets(2000, 0), spot), 1e-9, "pictures between others are no measure")
	require.InDelta(t, 2, packetOver(packets(2000, 12), spot), 1e-9, "nor complete ones")
	require.InDelta(t, 1, packetOver(packets(2000, 14), spot), 1e-9, "behind a complete one it is no surprise")
	require.InDelta(t, spotPacketLeast, packetOver(packets(10, 0), spot), 1e-9)
	require.InDelta(t, spotPacketLeast, packetOver(nil, spot), 1e-9)
}
