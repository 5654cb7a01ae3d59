package reuse

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// plainSearch tries one line after the other.
func plainSearch(x []float32, q, o *gradients, p plan) found {
	f := newFound(p)
	r := runner{x: x, q: q, o: o, sums: make([]sum, q.n+1), index: make([]int32, q.n), whole: !slices.Contains(q.valid, false) && !slices.Contains(o.valid, false)}
	whole, wholeNCC, rough := math.Inf(-1), 0.0, 0.0
	type tried struct {
		line
		i0, i1 int
		z      float64
	}
	var lines []tried
	p.each(func(base line, prior float64) {
		r.turn(base, p.unit)
		reach := int(float64(p.unit) * base.speed * float64(q.n))
		lo, hi := -reach, o.n
		if base.dir < 0 {
			lo, hi = 0, o.n+reach
		}
		for base.offset = lo; base.offset < hi; base.offset += p.unit {
			i0, i1 := onLine(r.index, base.offset, o.n)
			n := r.total(base.offset, i0, i1, float32(base.dir))
			if n < min(minOnLine, q.n-1) {
				continue
			}
			first, last := &r.sums[i0], &r.sums[i1]
			all := float64(last.x-first.x) / math.Sqrt(float64(last.q-first.q+p.eps*float32(n))*float64(last.o-first.o+p.eps*float32(n))+1e-9)
			z := all * math.Sqrt(float64(n)) * prior
			if z > whole {
				whole, wholeNCC = z, all
			}
			if z > f.z {
				f.z, f.line, f.from, f.length = z, base, 0, q.n
			}
			one := newFound(p)
			for k, w := range p.windows {
				one.best[k] = secondLook * rough / p.share(w)
			}
			one.windows(r.sums[i0:i1+1], i0, p, prior, base, q.n, quarter)
			if one.z > secondLook*rough {
				rough = max(rough, one.z)
				lines = append(lines, tried{base, i0, i1, one.z})
			}
		}
	})
	for _, l := range lines {
		if l.z < secondLook*rough {
			continue
		}
		r.turn(l.line, p.unit)
		r.total(l.offset, l.i0, l.i1, float32(l.dir))
		f.windows(r.sums[l.i0:l.i1+1], l.i0, p, l.prior(), l.line, q.n, every)
	}
	for k, w := range p.windows {
		if w >= q.n {
			f.best[k] = wholeNCC
		}
	}
	return f
}

// moments are n vectors of 12 numbers, a share of them not valid; some of them, backwards or not, are those of another clip.
func moments(r *rand.Rand, n int, gaps float64, of *gradients, forwards bool) gradients {
	const dim = 12
	g := gradients{n: n, dim: dim, v: make([]float32, n*dim), energy: make([]float32, n), valid: make([]bool, n)}
	for i := range n {
		if g.valid[i] = r.Float64() >= gaps; !g.valid[i] {
			continue
		}
		for k := range dim {
			x := float32(r.NormFloat64())
			if of != nil && of.n > 0 && i > n/3 {
				at, sign := 2*i%of.n, float32(1)
				if !forwards {
					at, sign = of.n-1-at, -1
				}
				x = sign*of.row(at)[k] + x/2
			}
			g.v[i*dim+k] = x
			g.energy[i] += x * x
		}
	}
	return g
}

func TestManyLinesAtOnceFindWhatOneAfterTheOtherFinds(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	for n := range 60 {
		gaps := []float64{0, 0.02, 0.3}[n%3]
		o := moments(r, 1+r.IntN(320), gaps, nil, true)
		var of *gradients
		if n%4 > 0 {
			of = &o
		}
		q := moments(r, 1+r.IntN(160), gaps, of, n%2 == 0)
		x := productsIn(make([]float32, q.n*o.n), &q, &o)
		for _, p := range []plan{fullPlan(0.3), coarsePlan(0.3), steadyPlan(0.3, line{dir: -1, speed: 1.18})} {
			require.Equal(t, plainSearch(x, &q, &o, p), search(x, &q, &o, p), "%d x %d moments, %g not valid", q.n, o.n, gaps)
		}
	}
}

func TestFramesLaidTogetherAreTheSameAsEachAlone(t *testing.T) {
	for _, n := range []int{1, 15, 16, 37} {
		in := track{n: n, w: 40, h: 24, valid: make([]bool, n), v: values(uint64(n), n*40*24)}
		for i := range in.valid {
			in.valid[i] = i%7 != 3
		}
		for _, turn := range []Transform{identity, forms[Rotate90], {0.5, 0.1, 0.2, -0.1, 0.6, 0.3, 0.05, 0, 1}, {3, 0, -1, 0, 3, -1, 0, 0, 1}, {1, 0, 5, 0, 1, 5, 0, 0, 1}} {
			m := newWarp(turn, in.w, in.h, cells)
			require.Equal(t, m.apply(&in, 1), m.layIn(nil, weave(&in)), "%d frames, %v", n, turn)
		}
	}
}
