package reuse

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// grained is a track with noise of its own.
func grained(t track, level float64, seed uint64) track {
	out := t
	out.v = slices.Clone(t.v)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range out.v {
		out.v[i] += float32(level * r.NormFloat64())
	}
	return out
}

// backwards is the track played backwards.
func backwards(t track) track {
	out := t
	out.v = nil
	for i := range t.n {
		out.v = append(out.v, t.frame(t.n-1-i)...)
	}
	return out
}

// Where a disc moves slowly under noise, means show what single changes do not, forwards and backwards; how many samples agree stays.
func TestMeansShowSlowMotionUnderNoise(t *testing.T) {
	room := shaken(0, 0, true)
	earlier := grained(room, 4, 1)
	m := newWarp(identity, earlier.w, earlier.h, cells)
	theirs := m.apply(&earlier, 1)
	for name, c := range map[string]struct {
		query track
		dir   int
	}{
		"as it was": {grained(room, 25, 2), 1},
		"backwards": {grained(backwards(room), 25, 3), -1},
	} {
		t.Run(name, func(t *testing.T) {
			e := prepareEarlier(&theirs, 1)
			q := newLayered(c.query)
			v, ok := lay(&q, &e, identity)
			require.True(t, ok)
			require.Equal(t, c.dir, v.best.line.dir)
			require.InDelta(t, 1, v.best.line.speed, 1e-9)
			s := v.stretch(v.best.best[1])
			p := v.inMeans(&theirs, averageFirst, s.parts)
			require.Greater(t, p.N15, s.parts.N15+0.05)
			require.Greater(t, p.TTop, s.parts.TTop)
			require.Greater(t, p.G2, s.parts.G2+0.05)
			require.InDelta(t, s.parts.Z, p.Z, 0)
			wrong := v
			wrong.best.line.offset += 10
			require.Less(t, wrong.inMeans(&theirs, averageFirst, s.parts).N15, p.N15-0.1, "half a second beside the line")
		})
	}
}

func TestMeansOfATrack(t *testing.T) {
	a := track{n: 5, w: 1, h: 1, valid: []bool{true, true, true, false, true}, v: []float32{1, 2, 6, 9, 3}}
	m := a.averaged(2)
	require.Equal(t, []bool{true, true, false, false}, m.valid)
	require.InDeltaSlice(t, []float32{1.5, 4, 0, 0}, m.v, 1e-6)
	require.Zero(t, func() int { b := a.averaged(6); return b.n }(), "shorter than one mean")
	parts := Parts{N15: .1, TTop: .2, G2: .3, Z: 4}
	v := overlay{grid: a, e: &earlierMotion{}}
	require.Equal(t, parts, v.inMeans(&a, 3, parts), "too short to say anything")
}
