package reuse

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

// The same wall behind other moves is told, and is no finding: a fixed camera gives it as well as a picture behind the person.
func TestBackdropIsToldAndAccusesNobodyUnraced(t *testing.T) {
	monday := stored(t, fingerprint(t, film(t, newStage(1, 7, 320, 240), 4, from(0), asIs)))
	for name, c := range map[string]struct {
		room     uint64
		change   change
		min, max float64
	}{"same wall": {1, asIs, 0.9, 1}, "same wall, darker": {1, darker, 0.9, 1}, "another wall": {2, asIs, 0, 0.3}} {
		t.Run(name, func(t *testing.T) {
			f := fingerprint(t, film(t, newStage(c.room, 8, 320, 240), 4, from(0), c.change))
			check, res, err := Check(context.Background(), f, []Candidate{{Job: "monday", Fingerprint: monday}}, 0, DefaultConfig())
			require.NoError(t, err)
			require.Equal(t, pipeline.Pass, check.Outcome)
			require.Empty(t, check.Findings)
			got := res.Matches[0].Backdrop
			require.GreaterOrEqual(t, got, c.min)
			require.LessOrEqual(t, got, c.max)
			require.InDelta(t, got, check.Detail["closest"].(map[string]any)["backdrop"], 1e-3)
		})
	}
}

// Whose the earlier footage was is told; that the background is the same only where it is another person's and nothing more is known.
func TestWords(t *testing.T) {
	for name, c := range map[string]struct {
		m    Match
		want map[string]string
	}{
		"own":                       {Match{Verdict: CannotTell, Backdrop: 1}, map[string]string{}},
		"another's":                 {Match{OtherSubject: true, Verdict: Same, Backdrop: 1}, map[string]string{"earlier": "other_subject"}},
		"another's, same backdrop":  {Match{OtherSubject: true, Verdict: CannotTell, Backdrop: backdropSame}, map[string]string{"earlier": "other_subject", "still": "backdrop"}},
		"another's, other backdrop": {Match{OtherSubject: true, Verdict: CannotTell, Backdrop: 0.9 * backdropSame}, map[string]string{"earlier": "other_subject"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := map[string]string{}
			c.m.words(args)
			require.Equal(t, c.want, args)
		})
	}
}
