package authenticity

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

func mod(period float64) func(float64) float64 {
	return func(t float64) float64 { return math.Mod(t, period) }
}

func TestCheckUnraced(t *testing.T) {
	still := func(float64) (float64, float64) { return 48, 36 }
	zoom := func(t float64) warp {
		w := identity()
		w.a[0], w.a[4], w.a[2], w.a[5] = 1-0.02*t, 1-0.02*t, 0.01*math.Sin(3*t), 0.008*math.Sin(2*t)
		return w
	}
	cases := []struct {
		name    string
		edit    func(*made)
		outcome pipeline.Outcome
		code    pipeline.Code
		certain bool
	}{
		{"a moving scene", func(*made) {}, pipeline.Pass, "", false},
		{"a moving scene seen by a moving camera", func(m *made) { m.camera = zoom }, pipeline.Pass, "", false},
		{"a still", func(m *made) { m.disc, m.noise = still, 0 }, pipeline.Fail, pipeline.StaticImage, true},
		{"a still with grain", func(m *made) { m.disc, m.noise = still, 5 }, pipeline.Fail, pipeline.StaticImage, true},
		{"a still that is zoomed and shaken", func(m *made) { m.disc, m.camera = still, zoom }, pipeline.Fail, pipeline.StaticImage, false},
		{"a loop of 2.57 s", func(m *made) { m.clock = mod(2.57) }, pipeline.Fail, pipeline.ReplayedWithinClip, true},
		{"a loop of 1.33 s", func(m *made) { m.clock = mod(1.33) }, pipeline.Fail, pipeline.ReplayedWithinClip, true},
		{"one part of 1.2 s shown again", func(m *made) {
			m.clock = func(t float64) float64 {
				if t > 5 && t < 6.2 {
					return t - 3.87
				}
				return t
			}
		}, pipeline.Fail, pipeline.ReplayedWithinClip, true},
		{"forwards, then backwards", func(m *made) {
			m.clock = func(t float64) float64 { return 3.9 - math.Abs(3.9-t) }
		}, pipeline.Fail, pipeline.ReplayedWithinClip, true},
		{"frozen for 2.5 s", func(m *made) {
			m.noise = 0
			m.clock = func(t float64) float64 { return math.Min(t, math.Max(3, t-2.5)) }
		}, pipeline.Fail, pipeline.FrozenPart, true},
		{"four stills, one after another", func(m *made) {
			m.noise = 0
			m.clock = func(t float64) float64 { return 2 * math.Floor(t/2) }
		}, pipeline.Fail, pipeline.StaticImage, true},
		{"frozen for 1.4 s", func(m *made) {
			m.noise = 0
			m.clock = func(t float64) float64 { return math.Min(t, math.Max(3, t-1.4)) }
		}, pipeline.Uncertain, pipeline.FrozenPart, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := scene(1)
			c.edit(&m)
			got := Check(clipOf(m.motion()), DefaultConfig())
			require.Equal(t, c.outcome, got.Outcome, "%v", got.Detail)
			require.Equal(t, c.outcome == pipeline.Fail, *got.Score >= *got.Threshold, "score %v", *got.Score)
			if c.code == "" {
				require.Empty(t, got.Findings)
				return
			}
			require.Len(t, got.Findings, 1)
			require.Equal(t, c.code, got.Findings[0].Code)
			require.Equal(t, c.certain, got.Findings[0].Certain)
			require.NotEmpty(t, got.Findings[0].Evidence)
		})
	}
}

func TestLoopEvidencePointsToBothParts(t *testing.T) {
	m := scene(3)
	m.clock = func(t float64) float64 { // 1.5..3.0 is shown again at 5.5
		if t >= 5.5 && t < 7 {
			return t - 4
		}
		return t
	}
	got := Check(clipOf(m.motion()), DefaultConfig())
	require.Len(t, got.Findings, 1)
	ev := got.Findings[0].Evidence[0]
	require.Equal(t, "loop", ev.Kind)
	require.InDelta(t, 1500, *ev.FromMS, 250)
	require.InDelta(t, 2900, *ev.ToMS, 250)
	require.InDelta(t, 4000, *ev.TheirFromMS-*ev.FromMS, 30)
	require.InDelta(t, 4000, *ev.TheirToMS-*ev.ToMS, 30)
	require.NotEmpty(t, got.Findings[0].Args["from"])
}

func TestBackwardsEvidenceIsInOrder(t *testing.T) {
	m := scene(4)
	m.clock = func(t float64) float64 { return 4 - math.Abs(4-t) }
	got := Check(clipOf(m.motion()), DefaultConfig())
	require.Len(t, got.Findings, 1)
	ev := got.Findings[0].Evidence[0]
	require.Equal(t, "reversed", ev.Transform)
	require.Less(t, *ev.FromMS, *ev.ToMS)
	require.Less(t, *ev.TheirFromMS, *ev.TheirToMS)
}

func TestWithoutAPersonAStillIsAtMostUncertain(t *testing.T) {
	m := scene(1)
	m.disc, m.noise = nil, 0
	cfg := DefaultConfig()
	cfg.ExpectPerson = false
	got := Check(clipOf(m.motion()), cfg)
	require.Equal(t, pipeline.Uncertain, got.Outcome)
	require.Less(t, *got.Score, *got.Threshold)
	require.False(t, got.Findings[0].Certain)
}

func TestNotChecked(t *testing.T) {
	photo := Check(&media.Clip{Info: media.Info{Kind: media.Photo}}, DefaultConfig())
	require.Equal(t, pipeline.Pass, photo.Outcome, "its file says nothing that speaks against it")
	m := scene(1)
	m.seconds = 1
	short := Check(clipOf(m.motion()), DefaultConfig())
	require.Equal(t, pipeline.NotChecked, short.Outcome)
	require.Equal(t, "too_short", short.Why)
	require.Nil(t, short.Score)
}

// A track that covers only parts of the clip must not be read across its gaps.
func TestGapsAreNotInterpolated(t *testing.T) {
	m := scene(5)
	track := m.motion()
	var kept []media.MotionFrame
	for _, f := range track.Frames {
		if s := f.PTS.Seconds(); s < 3 || s > 5 {
			kept = append(kept, f)
		}
	}
	track.Frames = kept
	track.Windows = []media.Window{{From: 0, To: 3 * time.Second}, {From: 5 * time.Second, To: 8 * time.Second}}
	got := Check(clipOf(track), DefaultConfig())
	require.Equal(t, pipeline.Pass, got.Outcome, "%v", got.Detail)
	s := newSeries(&track)
	var l line
	s.fill(&l, 2, false)
	for _, i := range l.idx {
		their := s.t[i] + 2
		require.False(t, their > 3.05 && their < 4.95, "a picture was compared with a moment in the gap: %v", their)
	}
}

func TestSameInputSameAnswer(t *testing.T) {
	m := scene(6)
	m.clock = mod(2.4)
	track := m.motion()
	a, b := Check(clipOf(track), DefaultConfig()), Check(clipOf(track), DefaultConfig())
	require.Equal(t, a, b)
}

func TestConfigSaysAllThatIsWrong(t *testing.T) {
	cfg := DefaultConfig()
	require.NoError(t, cfg.Validate())
	cfg.StillLimit, cfg.FrozenUncertain, cfg.RepeatFail = 0, 9, 0.1
	err := cfg.Validate()
	require.ErrorContains(t, err, "still_limit")
	require.ErrorContains(t, err, "frozen_uncertain")
	require.ErrorContains(t, err, "repeat_uncertain")
	require.Equal(t, pipeline.Error, Check(&media.Clip{}, cfg).Outcome)
}

func TestFactsKeepNothingPersonal(t *testing.T) {
	m := scene(7)
	m.seconds = 1
	clip := clipOf(m.motion())
	clip.Info.Tags = map[string]string{"encoder": "Lavf59.27.100", "location": "+52.5+013.4/", "title": "secret", "software": string(make([]byte, 500))}
	clip.Motion.Frames[3].Gray = clip.Motion.Frames[2].Gray
	clip.Packets = []media.Packet{{Key: true}, {}, {}}
	got := facts(clip)
	require.Equal(t, map[string]string{"encoder": "Lavf59.27.100", "software": string(make([]byte, maxTag))}, got["tags"])
	require.InDelta(t, 0.1, got["duplicate_share"], 1e-9)
	require.Equal(t, 3, got["packets"])
	require.Equal(t, 1, got["key_packets"])
}

func BenchmarkCheck(b *testing.B) {
	m := scene(8)
	m.w, m.h, m.seconds, m.disc = 160, 90, 15, wander(160, 90, 7)
	clip := clipOf(m.motion())
	for b.Loop() {
		Check(clip, DefaultConfig())
	}
}
