package reuse

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline/media"
)

func TestResampleMotionInterpolatesIrregularTimes(t *testing.T) {
	// The picture's brightness is its time in units of 10 ms; whatever the times of the frames are, the track must say the same.
	m := media.Motion{W: 2, H: 1}
	for _, ms := range []int{20, 90, 150, 260, 310, 480, 500, 1100, 1180, 1300} {
		m.Frames = append(m.Frames, media.MotionFrame{PTS: time.Duration(ms) * time.Millisecond, Gray: []byte{byte(ms / 10), 7}})
	}
	tr := resampleMotion(m)
	require.Equal(t, 13, tr.n)
	for i := range tr.n {
		ms := 20 + 100*i
		if ms > 500 && ms < 1100 {
			require.False(t, tr.valid[i], "nothing was decoded at %d ms", ms)
			continue
		}
		require.True(t, tr.valid[i], "%d ms", ms)
		require.InDelta(t, float64(ms)/10, tr.frame(i)[0], 0.01)
		require.InDelta(t, 7, tr.frame(i)[1], 0)
	}
}

func TestResampleMotionBoundsLongClips(t *testing.T) {
	m := media.Motion{W: 1, H: 1}
	for i := range 1200 {
		m.Frames = append(m.Frames, media.MotionFrame{PTS: time.Duration(i) * step, Gray: []byte{1}})
	}
	require.Equal(t, maxTrackFrames, resampleMotion(m).n)
	require.Zero(t, resampleMotion(media.Motion{W: 1, H: 1}).n)
}

// A gradient of x+y laid over itself, mirrored, or cropped must keep its values where they belong.
func TestWarpPutsPixelsWhereTheyBelong(t *testing.T) {
	const w, h = 160, 120
	tr := track{n: 1, w: w, h: h, valid: []bool{true}, v: make([]float32, w*h)}
	for i := range tr.v {
		tr.v[i] = float32(i%w)/w*100 + float32(i/w)/h*50
	}
	value := func(x, y float64) float64 { return 100*x + 50*y }
	for name, turn := range map[string]Transform{
		"as it is": identity, "mirrored": forms[FlipY], "quarter turn": forms[Rotate90],
		"half as large, inside": {0.5, 0, 0.25, 0, 0.5, 0.25, 0, 0, 1}, "twice as large": {2, 0, -0.5, 0, 2, -0.5, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			back, ok := turn.inverse()
			require.True(t, ok)
			m := newWarp(back, w, h, cells)
			got, covered := m.apply(&tr, 1), m.covered()
			n := 0
			for c, in := range covered {
				x, y := back.apply((float64(c%cells)+0.5)/cells, (float64(c/cells)+0.5)/cells)
				if !in {
					require.Zero(t, got.v[c])
					continue
				}
				n++
				require.InDelta(t, value(x-0.5/w, y-0.5/h), got.v[c], 0.6)
			}
			area, ok := turn.sane()
			require.True(t, ok)
			require.InDelta(t, min(1, area), float64(n)/gridSize, 0.05)
		})
	}
}

func TestTransformNames(t *testing.T) {
	crop := Transform{0.8, 0, 0.1, 0, 0.8, 0.1, 0, 0, 1}
	pad := Transform{1, 0, 0, 0, 1.4, -0.2, 0, 0, 1}
	for _, c := range []struct {
		want string
		t    Transform
	}{
		{"none", identity}, {"mirrored", forms[FlipY]}, {"rotated_180", forms[Rotate180]}, {"mirrored+rotated_180", forms[FlipX]}, {"cropped", crop}, {"padded", pad},
		{"mirrored+cropped", crop.times(forms[FlipY])},
	} {
		require.Equal(t, c.want, c.t.name(400, 300, 400, 300))
	}
	// A picture turned a quarter clockwise is laid back by a quarter against the clock.
	require.Equal(t, "rotated_90", forms[Rotate90].name(300, 400, 400, 300))
	require.Equal(t, "rotated_270", forms[Rotate270].name(300, 400, 400, 300))
}

func TestTransformInverse(t *testing.T) {
	h := Transform{0.9, 0.1, 0.05, -0.2, 1.1, 0.1, 0.05, -0.1, 1}
	back, ok := h.inverse()
	require.True(t, ok)
	x, y := back.apply(h.apply(0.3, 0.7))
	require.InDelta(t, 0.3, x, 1e-9)
	require.InDelta(t, 0.7, y, 1e-9)
	_, ok = Transform{}.inverse()
	require.False(t, ok)
	for _, bad := range []Transform{{}, {0.01, 0, 0, 0, 0.01, 0, 0, 0, 1}, {1, 0, 0, 0, 1, 0, -2, 0, 1}, {math.NaN(), 0, 0, 0, 1, 0, 0, 0, 1}} {
		_, ok := bad.sane()
		require.False(t, ok)
	}
}

// noise makes n vectors that change smoothly, as gradients of real motion do.
func noise(seed uint64, n, dim int) gradients {
	r := rand.New(rand.NewPCG(seed, 3))
	g := gradients{n: n, dim: dim, v: make([]float32, n*dim), energy: make([]float32, n), valid: make([]bool, n)}
	last := make([]float32, dim)
	for i := range n {
		g.valid[i] = true
		for k := range last {
			last[k] = 0.6*last[k] + float32(r.NormFloat64())
			g.v[i*dim+k] = last[k]
		}
		g.energy[i] = dot(g.row(i), g.row(i))
	}
	return g
}

func TestSearchFindsSpeedOffsetAndDirection(t *testing.T) {
	o := noise(1, 240, 60)
	for _, want := range []line{{1, 1, 40}, {1, 0.8, 10}, {1, 1.25, 20}, {-1, 1, 200}} {
		q := gradients{n: 70, dim: 60, v: make([]float32, 70*60), energy: make([]float32, 70), valid: make([]bool, 70)}
		for i := range q.n {
			j := want.at(i, 2)
			q.valid[i] = true
			copy(q.row(i), o.row(j))
			for k := range q.row(i) {
				q.row(i)[k] *= float32(want.dir) // time backwards turns a gradient around
			}
			q.energy[i] = o.energy[j]
		}
		f := search(productsIn(make([]float32, q.n*o.n), &q, &o), &q, &o, fullPlan(0))
		require.Equal(t, want.dir, f.line.dir)
		require.InDelta(t, want.speed, f.line.speed, 1e-9)
		require.InDelta(t, want.offset, f.line.offset, 1) // offsets are tried in steps of 0.1 s, which is 2 samples
		require.Greater(t, f.best[1], 0.7)
		other := noise(2, 70, 60)
		g := search(productsIn(make([]float32, other.n*o.n), &other, &o), &other, &o, fullPlan(0))
		require.Less(t, g.best[1], 0.5)
	}
}

func TestMedianSelects(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for n := 1; n < 40; n++ {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.IntN(10))
		}
		f := make([]float64, n)
		for i := range v {
			f[i] = float64(v[i])
		}
		require.InDelta(t, percentile(f, 0.5), median(v), 1e-6)
	}
	require.Zero(t, median(nil))
}
