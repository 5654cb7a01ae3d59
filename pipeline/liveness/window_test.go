package liveness

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline/media"
)

// A clip that was followed for its 15 s is measured over the three seconds that a clip without a challenge is.
func TestWindows(t *testing.T) {
	clip, track := &media.Clip{Bursts: make([]media.Burst, 1)}, &Track{W: 512, H: 288, Frames: 151}
	for i := range 151 {
		at := time.Duration(i) * 100 * time.Millisecond
		clip.Bursts[0].Frames = append(clip.Bursts[0].Frames, media.Frame{PTS: at})
		if i%2 == 0 {
			track.Moments = append(track.Moments, Moment{PTS: at, Frame: i})
		}
	}
	view, some := Windows(clip, track, 3, time.Second)
	require.Len(t, view.Bursts, 3)
	require.Equal(t, 33, some.Frames)
	require.Equal(t, 512, some.W)
	require.Len(t, some.bursts(), 3)
	for i := range some.Moments {
		m := &some.Moments[i]
		require.Equal(t, m.PTS, view.Bursts[m.Burst].Frames[m.Frame].PTS, "a moment points to its frame")
		middle := 2500*time.Millisecond + time.Duration(m.Burst)*5*time.Second
		require.LessOrEqual(t, (m.PTS - middle).Abs(), 500*time.Millisecond)
	}
	require.Len(t, clip.Bursts, 1, "the clip stays as it is")
	require.Len(t, track.Moments, 76)

	clip.Bursts[0].Frames = clip.Bursts[0].Frames[:20]
	whole, same := Windows(clip, track, 3, time.Second)
	require.Same(t, clip, whole)
	require.Same(t, track, same)
	whole, _ = Windows(&media.Clip{}, &Track{}, 3, time.Second)
	require.Empty(t, whole.Bursts)
}
