package authenticity

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRegisterFindsAKnownWarp(t *testing.T) {
	for _, geo := range []int{6, 8} {
		m := scene(11)
		m.disc, m.noise, m.seconds = nil, 0, 0.1
		want := identity()
		want.a = [8]float64{1.02, 0.015, 0.03, -0.02, 0.99, -0.02, 0, 0}
		m.camera = func(t float64) warp {
			if t > 0.05 {
				return want
			}
			return identity()
		}
		track := m.motion()
		tmp := make([]float32, m.w*m.h)
		// The second picture shows at p what the first shows at want(p): template = second, image = first.
		first, second := smooth(track.Frames[0].Gray, m.w, m.h, tmp), smooth(track.Frames[1].Gray, m.w, m.h, tmp)
		got := register(half(second), half(first), identity(), geo, 12, 1, 10)
		got = register(second, first, got, geo, 8, 1, 6)
		_, _, unit := frameOf(m.w, m.h)
		for i := range want.a {
			require.InDelta(t, want.a[i], got.a[i], 0.15/unit, "parameter %d of %d: a sixth of a pixel at the border", i, geo)
		}
		require.InDelta(t, 1, got.gain, 0.02)
	}
}

func TestWarpAfterComposes(t *testing.T) {
	a, b := identity(), identity()
	a.a = [8]float64{1.1, 0.05, 0.1, -0.03, 0.95, 0.02, 0.04, -0.02}
	b.a = [8]float64{0.9, -0.02, -0.05, 0.06, 1.04, 0.07, -0.03, 0.01}
	a.gain, a.offset, b.gain, b.offset = 1.2, 3, 0.8, -5
	at := func(w warp, x, y float64) (float64, float64) {
		d := 1 + w.a[6]*x + w.a[7]*y
		return (w.a[0]*x + w.a[1]*y + w.a[2]) / d, (w.a[3]*x + w.a[4]*y + w.a[5]) / d
	}
	both := a.after(&b)
	x, y := at(b, 0.3, -0.4)
	x, y = at(a, x, y)
	gx, gy := at(both, 0.3, -0.4)
	require.InDelta(t, x, gx, 1e-12)
	require.InDelta(t, y, gy, 1e-12)
}

func TestSolveRefusesASingularSystem(t *testing.T) {
	var m [10][10]float64
	m[0][0] = -1
	var rhs [10]float64
	_, ok := solve(&m, &rhs, 2)
	require.False(t, ok)
}
