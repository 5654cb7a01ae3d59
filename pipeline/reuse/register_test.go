package reuse

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// Where the query shows the scene larger or smaller, how exactly it registers is measured in the picture that shows it smaller; what a
// near-duplicate is stays measured in the earlier one.
func TestResidualOfTheSmallerPicture(t *testing.T) {
	const w, h = 400, 300
	for name, c := range map[string]struct{ zoom, share float64 }{"query smaller": {2, .5}, "query larger": {.5, 1}, "alike": {1, 1}} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(7, 7))
			var q, o []Point
			for range 120 {
				p := Point{X: r.Float32() * w, Y: r.Float32() * h, Size: 4}
				for i := range p.Desc {
					p.Desc[i] = byte(r.IntN(90))
				}
				q = append(q, p)
				p.X, p.Y = p.X*float32(c.zoom)+2*r.Float32(), p.Y*float32(c.zoom)+2*r.Float32()
				o = append(o, p)
			}
			found := register(querySides([]pointStill{{points: q}}, w), append([]side(nil), newSide(o, false)), func(flip bool) bool { return flip }, w, h, w, h)
			require.NotEmpty(t, found)
			require.Positive(t, found[0].residual)
			require.InDelta(t, c.share*found[0].residual, found[0].smaller, 0.02*found[0].residual)
		})
	}
	near := Match{Distance: 2 * nearDistance, Inliers: nearInliers, matches: nearInliers, residual: nearResidual, smaller: nearResidual}
	require.True(t, nearDuplicate(&near))
	near.residual = 2 * nearResidual
	require.False(t, nearDuplicate(&near))
	m := Match{Inliers: minInliers, matches: 4 * minInliers, smaller: exactResidual, Distance: alikeBits}
	require.InDelta(t, 1, m.forRegistration(1), 0)
	m.smaller = 1.1 * exactResidual
	require.InDelta(t, 1-looseCost, m.forRegistration(1), 1e-9)
	// Coded so hard that points move, but the same picture: most of them still agree.
	m.Inliers, m.matches = 4*minInliers, 5*minInliers
	require.InDelta(t, 1, m.forRegistration(1), 0)
	m.Distance = alikeBits + 1
	require.InDelta(t, 1-looseCost, m.forRegistration(1), 1e-9)
}

// A short stretch leads to a question where it needs something unusual, and to no more.
func TestForBrief(t *testing.T) {
	c := DefaultConfig()
	exact := Match{Inliers: 90, matches: 100, smaller: 0.3}
	loose := Match{Inliers: 40, matches: 100, smaller: 2}
	still := Match{Inliers: 65, matches: 100, smaller: 0.7, Level: 3, QueryLevel: 0.9 * c.LowMotion}
	fine := Match{Inliers: 65, matches: 100, smaller: 0.4, Level: 3, QueryLevel: 4}
	moves := Match{Inliers: 65, matches: 100, smaller: 0.7, Level: 3, QueryLevel: 4}
	usual := line{speed: 1, dir: 1}
	for name, x := range map[string]struct {
		m    *Match
		l    line
		to   int // of 50 samples
		kept bool
	}{
		"short, as it is":                   {&exact, usual, 15, true},
		"short, backwards":                  {&exact, line{speed: 1, dir: -1}, 20, false},
		"short, faster":                     {&exact, line{speed: 1.25, dir: 1}, 15, false},
		"most of a faster one":              {&exact, line{speed: 1.25, dir: 1}, 31, true}, // of 40: a clip of 50 is played in that
		"half of it, backwards":             {&exact, line{speed: 1, dir: -1}, 30, false},
		"short, one hardly moves":           {&still, usual, 15, true},
		"short, both move, points disagree": {&moves, usual, 15, false},
		"short, both move, to a fraction":   {&fine, usual, 15, true},
		"all of it, both move":              {&moves, usual, 48, true},
		"all of it, backwards":              {&exact, line{speed: 1, dir: -1}, 48, true},
		"short, pictures hardly agree":      {&loose, usual, 15, false},
		"all of it, pictures hardly agree":  {&loose, usual, 48, true},
		"short, no points at all":           {&Match{}, usual, 15, false},
		"short, by another speed and loose": {&loose, line{speed: 0.75, dir: -1}, 24, false},
	} {
		t.Run(name, func(t *testing.T) {
			require.InDelta(t, briefMost, c.forBrief(briefMost, x.m, &stretch{line: x.l, to: x.to}, 50, 50), 0) // no lean comes that far
			s := c.forBrief(1.8, x.m, &stretch{line: x.l, to: x.to}, 50, 50)
			if x.kept {
				require.InDelta(t, 1.8, s, 0)
				return
			}
			require.Less(t, Score(s), c.Threshold)
			require.Greater(t, Score(s), c.CannotTell)
			require.InDelta(t, 1, c.forBrief(1, x.m, &stretch{line: x.l, to: x.to}, 50, 50), 0) // what is lower stays
			for _, low := range []float64{0.5, 0.42, 0.3} {                                     // of a policy, which takes the bands along
				strict := c
				strict.Threshold, strict.CannotTell, strict.Weak = low, min(low, c.CannotTell), min(low, c.Weak)
				m := *x.m
				m.Score = Score(strict.forBrief(1.8, x.m, &stretch{line: x.l, to: x.to}, 50, 50))
				require.NotEqual(t, Different, strict.judge(&m), "threshold %g", low)
			}
		})
	}
}
