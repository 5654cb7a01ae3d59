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
	require.InDelta(t, 1, forRegistration(1, minInliers, 4*minInliers, exactResidual), 0)
	require.InDelta(t, 1-looseCost, forRegistration(1, minInliers, 4*minInliers, 1.1*exactResidual), 1e-9)
}
