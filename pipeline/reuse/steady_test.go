package reuse

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// shaken is a track of a room that is filmed by an unsteady hand under a lamp that flickers, with a disc that moves in it by itself.
func shaken(shake, flicker float64, disc bool) track {
	t := track{n: 40, w: 64, h: 64, valid: make([]bool, 40), v: make([]float32, 40*64*64)}
	for i := range t.n {
		t.valid[i] = true
		at := float64(i)
		dx, dy := shake*math.Sin(at*0.7), shake*math.Cos(at*1.1)
		bright := 1 + flicker*math.Sin(at*2.3)
		f := t.frame(i)
		for y := range t.h {
			for x := range t.w {
				u, v := float64(x)+dx, float64(y)+dy
				g := 110 + 40*math.Sin(u/5)*math.Cos(v/7) + 20*math.Sin(u*v/300)
				if cx := 32 + 8*math.Sin(at/3); disc && math.Hypot(float64(x)-cx, float64(y)-32) < 6 {
					g = 20
				}
				f[y*t.w+x] = float32(bright * g)
			}
		}
	}
	return t
}

// moved is the root of the mean squared change of all cells.
func moved(t *track) float64 {
	d, valid := differences(t, 1)
	sum := 0.0
	for _, m := range cellMotion(d, valid, t.w*t.h) {
		sum += m * m
	}
	return math.Sqrt(sum / float64(t.w*t.h))
}

func TestSteadiedTakesOutWhatMovesAsAWhole(t *testing.T) {
	for name, c := range map[string]struct {
		shake, flicker float64
		disc           bool
		least, most    float64 // share of the motion that is left
	}{
		"a hand shakes":   {0.4, 0, false, 0, 0.15},
		"a lamp flickers": {0, 0.05, false, 0, 0.01},
		"both":            {0.4, 0.05, false, 0, 0.15},
		"something moves": {0, 0, true, 0.85, 1},
	} {
		t.Run(name, func(t *testing.T) {
			q := newLayered(shaken(c.shake, c.flicker, c.disc))
			l, ok := q.over(identity)
			require.True(t, ok)
			calm := l.steady()
			share := moved(&calm.grid) / moved(&l.grid)
			require.GreaterOrEqual(t, share, c.least)
			require.LessOrEqual(t, share, c.most)
			require.Same(t, calm, l.steady(), "it is made once")
			for i, a := range calm.moves {
				for k, b := range calm.moves {
					want := 0.0
					if i == k {
						want = 1
					}
					require.InDelta(t, want, dot(a, b), 2e-3, "%d %d", i, k)
				}
			}
		})
	}
}

// What moves by itself is found under the shaking of another hand.
func TestSecondLookFindsUnderShaking(t *testing.T) {
	still, other := shaken(0, 0, true), shaken(0.6, 0.05, true)
	m := newWarp(identity, still.w, still.h, cells)
	theirs := m.apply(&still, 1)
	e := prepareEarlier(&theirs, 1)
	q := newLayered(other)
	first, ok := lay(&q, &e, identity)
	require.True(t, ok)
	second, ok := first.steady(&theirs)
	require.True(t, ok)
	require.Equal(t, line{dir: 1, speed: 1}, second.best.line)
	require.Greater(t, second.best.best[1], first.best.best[1])
	require.Greater(t, second.best.best[1], 0.8)
}

func TestSteadyPlanTriesFewLines(t *testing.T) {
	for _, c := range []struct {
		first        line
		speeds, back []float64
	}{
		{line{dir: 1, speed: 1}, []float64{1}, nil},
		{line{dir: 1, speed: 1.25}, []float64{1, 1.25}, nil},
		{line{dir: -1, speed: 1}, []float64{1}, []float64{1}},
	} {
		p := steadyPlan(1, c.first)
		require.Equal(t, c.speeds, p.speeds)
		require.Equal(t, c.back, p.back)
	}
}

func TestManySamplesCountWhereLittleIsAlike(t *testing.T) {
	require.InDelta(t, 0.8*math.Sqrt(1.8), Parts{N15: 0.8, TTop: 0.9, G2: 0.7, Z: 1.8}.S(), 1e-9, "an honest sway: alike, over few samples")
	require.Less(t, Parts{N15: 0.25, TTop: 0.4, G2: 0.2, Z: 5}.S(), cannotTellS, "chance")
	require.Greater(t, Parts{N15: 0.28, TTop: 0.38, G2: 0.31, Z: 13}.S(), sameRecordingS, "a copy under noise")
	require.Zero(t, Parts{N15: -0.1, TTop: 0, G2: 0, Z: 20}.S())
	require.Zero(t, Parts{N15: 1, TTop: 1, G2: 1, Z: -1}.S())
}
