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
func TestSoundIsASecondWitnessUnraced(t *testing.T) {
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
		agrees bool
		heard  bool
		offset int64
	}{
		"its own sound":       {at(song, 2, 5), true, true, 2000},
		"dubbed, shifted":     {at(song, 0, 5), false, true, 0},
		"dubbed, another":     {at(other, 2, 5), false, false, 0},
		"sound of one second": {at(song, 2, 1), false, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := silent
			f.Audio = c.audio
			got, m := check(f)
			require.Equal(t, pipeline.Fail, got.Outcome)
			require.InDelta(t, plain.S, m.S, 1e-9, "at the threshold and above nothing is added")
			require.Equal(t, c.heard, m.Sound != nil)
			if m.Sound != nil {
				require.Equal(t, c.agrees, m.Sound.Agrees)
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

// An honest pair near the band (a person who is prompted by the same sound on two days) is raised into it, and never out of it.
func TestSoundAloneNeverMakesTheSameRecording(t *testing.T) {
	agrees := &Sound{Agrees: true}
	for _, threshold := range []float64{DefaultConfig().Threshold, 0.6, 1} {
		c := DefaultConfig()
		c.Threshold = threshold
		for s := 0.5; s < min(sAt(threshold), 3); s += 0.001 {
			m := Match{silent: s, S: c.forSound(s, agrees), Sound: agrees, Level: 3, QueryLevel: 3}
			m.Score = Score(m.S)
			require.GreaterOrEqual(t, m.S, s)
			require.Less(t, m.Score, threshold)
			require.NotEqual(t, Same, c.judge(&m), "S %.3f", s)
		}
	}
	c := DefaultConfig()
	for s, want := range map[float64]float64{1.05: 1.2, 1.2: 1.29, 1.295: 1.295, 1.4: 1.4} {
		require.InDelta(t, want, c.forSound(s, agrees), 1e-9)
		require.InDelta(t, s, c.forSound(s, &Sound{}), 0)
		require.InDelta(t, s, c.forSound(s, nil), 0)
	}
	m := Match{S: c.forSound(1.05, agrees), Sound: agrees, Level: 3, QueryLevel: 3}
	m.Score = Score(m.S)
	require.Equal(t, CannotTell, c.judge(&m))
}

// With hardly any motion, motion and sound together are a question; neither alone is.
func TestSoundAsksWhereMotionCannotTell(t *testing.T) {
	c := DefaultConfig()
	m := Match{silent: 0.8, S: 0.95, Score: Score(0.95), Level: 0.5, QueryLevel: 0.5, Sound: &Sound{Agrees: true}}
	require.Equal(t, CannotTell, c.judge(&m))
	for _, spoil := range []func(*Match){
		func(m *Match) { m.Sound = nil }, func(m *Match) { m.Sound = &Sound{} }, func(m *Match) { m.silent, m.S, m.Score = 0.4, 0.55, Score(0.55) },
		func(m *Match) { m.Level, m.QueryLevel = 2, 2 },
	} {
		n := m
		spoil(&n)
		require.Equal(t, Different, c.judge(&n))
	}
}
