package reuse

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

// hiss is made-up sound at 16 kHz: noise whose loudness wanders, the same for one seed.
func hiss(seed uint64, seconds float64) []float32 {
	r := rand.New(rand.NewPCG(seed, 3))
	out := make([]float32, int(seconds*pcmRate))
	loud, low := 0.1, 0.0
	for i := range out {
		if i%1600 == 0 {
			loud = 0.02 + 0.2*r.Float64()
		}
		low += 0.3 * (loud*(2*r.Float64()-1) - low)
		out[i] = float32(low)
	}
	return out
}

// The sound counts where it lies at the same offset as the motion, and only beside it.
func TestSoundIsASecondWitness(t *testing.T) {
	first, second := newStage(1, 7, 320, 240), newStage(1, 8, 320, 240)
	song, other := hiss(1, 20), hiss(2, 20)
	at := func(pcm []float32, from, seconds float64) Audio {
		return hear(pcm[int(from*pcmRate):int((from+seconds)*pcmRate)])
	}
	earlier := fingerprint(t, film(t, first, 8, from(0), asIs))
	earlier.Audio = at(song, 0, 8)
	history := []Candidate{{Job: "monday", Fingerprint: stored(t, earlier)}}
	copied, honest := film(t, first, 5, from(2), darker), film(t, second, 5, from(2), asIs)
	check := func(f Fingerprint) (pipeline.Check, Match) {
		c, res, err := Check(context.Background(), f, history, 0, DefaultConfig())
		require.NoError(t, err)
		return c, res.Matches[0]
	}
	silent := fingerprint(t, copied)
	_, plain := check(silent)
	require.Nil(t, plain.Sound)
	for name, c := range map[string]struct {
		audio  Audio
		gain   float64
		heard  bool
		offset int64
	}{
		"its own sound":       {at(song, 2, 5), soundGain, true, 2000},
		"dubbed, shifted":     {at(song, 0, 5), 0, true, 0},
		"dubbed, another":     {at(other, 2, 5), 0, false, 0},
		"sound of one second": {at(song, 2, 1), 0, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := silent
			f.Audio = c.audio
			got, m := check(f)
			require.Equal(t, pipeline.Fail, got.Outcome)
			require.InDelta(t, plain.S+c.gain, m.S, 1e-9)
			require.Equal(t, c.heard, m.Sound != nil)
			if m.Sound != nil {
				require.Equal(t, c.gain > 0, m.Sound.Agrees)
				require.InDelta(t, c.offset, m.Sound.OffsetMS, 50)
			}
		})
	}
	f := fingerprint(t, honest)
	f.Audio = at(song, 2, 5)
	got, m := check(f)
	require.Equal(t, pipeline.Pass, got.Outcome, "the same song on another day: %+v", m)
	require.NotNil(t, m.Sound)
}

// With hardly any motion, motion and sound together are a question; neither alone is.
func TestSoundAsksWhereMotionCannotTell(t *testing.T) {
	c := DefaultConfig()
	m := Match{S: 0.8, Score: Score(0.8), Level: 0.5, QueryLevel: 0.5, Sound: &Sound{Agrees: true}}
	require.Equal(t, CannotTell, c.judge(&m))
	for _, spoil := range []func(*Match){
		func(m *Match) { m.Sound = nil }, func(m *Match) { m.Sound = &Sound{} }, func(m *Match) { m.S, m.Score = 0.3, Score(0.3) },
		func(m *Match) { m.Level, m.QueryLevel = 2, 2 },
	} {
		n := m
		spoil(&n)
		require.Equal(t, Different, c.judge(&n))
	}
}
