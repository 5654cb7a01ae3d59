package reuse

import (
	"math"
)

// line says which moment of the earlier clip a moment of the query shows: sample j = round(dir*unit*speed*i) + offset for query sample i.
// dir -1 is played backwards; speed is how fast the earlier clip runs in the query.
type line struct {
	dir    int
	speed  float64
	offset int
}

func (l line) at(i, unit int) int {
	return int(math.Round(float64(l.dir*unit)*l.speed*float64(i))) + l.offset
}

// plan is what a search tries.
type plan struct {
	unit    int       // samples of the earlier clip per sample of the query at normal speed
	speeds  []float64 // forwards
	back    []float64 // backwards
	windows []int     // lengths in query samples
	short   int       // a window of this length counts less, by shortShare (0: none)
	eps     float32   // energy per sample that both sides get for nothing: noise must not correlate
}

// speeds are those of the reuse method; a speed between two of them is still found, at a lower score.
var speeds = []float64{.75, .8, .85, .9, .95, 1, 1.06, 1.12, 1.18, 1.25, 1.33}

const (
	otherPrior = 0.9 // a speed other than 1, or backwards, must win by this factor
	shortShare = 0.8
	minOnLine  = 12 // samples that a line must have
)

// fullPlan is the search on 16 x 16 gradients: 10 per second of the query against 20 per second of the earlier clip; windows of 0.8, 1.5,
// 2.5 and 4 s.
func fullPlan(eps float32) plan {
	return plan{unit: 2, speeds: speeds, back: speeds, windows: []int{8, 15, 25, 40}, short: 8, eps: eps}
}

// found is the best of a search.
type found struct {
	z      float64 // correlation x root of length x prior
	line   line
	from   int // window in query samples
	length int
	best   []float64 // best correlation (prior included) by window of the plan; the whole line where the clip is shorter
}

// sums are running totals along one line.
type sums struct {
	x, q, o []float32
	n       []int32
}

func newSums(n int) sums {
	return sums{make([]float32, n+1), make([]float32, n+1), make([]float32, n+1), make([]int32, n+1)}
}

// search tries all lines of the plan. x holds the products of query and earlier gradients. Running totals along a line give every window.
func search(x []float32, q, o *gradients, p plan) found {
	f := found{z: math.Inf(-1), best: make([]float64, len(p.windows))}
	if q.n == 0 || o.n == 0 {
		return f
	}
	for i := range f.best {
		f.best[i] = -1
	}
	s := newSums(q.n)
	index := make([]int32, q.n)
	whole := math.Inf(-1)
	var wholeNCC float64
	for d, list := range [2][]float64{p.speeds, p.back} {
		dir := 1 - 2*d
		for _, speed := range list {
			prior := otherPrior
			if dir == 1 && speed == 1 {
				prior = 1
			}
			base := line{dir: dir, speed: speed}
			for i := range index {
				index[i] = int32(base.at(i, p.unit))
			}
			reach := int(float64(p.unit) * speed * float64(q.n))
			lo, hi := -reach, o.n
			if dir < 0 {
				lo, hi = 0, o.n+reach
			}
			for b := lo; b < hi; b += p.unit {
				i0, i1 := onLine(index, b, o.n)
				if i1-i0 < min(minOnLine, q.n-1) {
					continue
				}
				base.offset = b
				n := total(x, q, o, index, b, i0, i1, float32(dir), &s)
				if n < min(minOnLine, q.n-1) {
					continue
				}
				all := float64(s.x[i1]-s.x[i0]) / math.Sqrt(float64(s.q[i1]-s.q[i0]+p.eps*float32(n))*float64(s.o[i1]-s.o[i0]+p.eps*float32(n))+1e-9)
				if z := all * math.Sqrt(float64(n)) * prior; z > whole {
					whole, wholeNCC = z, all
				}
				if z := all * math.Sqrt(float64(n)) * prior; z > f.z {
					f.z, f.line, f.from, f.length = z, base, 0, q.n
				}
				f.windows(&s, i0, i1, p, prior, base, q.n)
			}
		}
	}
	for k, w := range p.windows {
		if w >= q.n {
			f.best[k] = wholeNCC
		}
	}
	return f
}

// onLine gives the query samples i0..i1-1 whose partners lie inside the earlier clip; partners rise or fall all along a line.
func onLine(index []int32, b, n int) (i0, i1 int) {
	i0, i1 = 0, len(index)
	out := func(i int) bool { j := int(index[i]) + b; return j < 0 || j >= n }
	for i0 < i1 && out(i0) {
		i0++
	}
	for i1 > i0 && out(i1-1) {
		i1--
	}
	return i0, i1
}

// total fills the running totals of one line and gives the number of valid samples.
func total(x []float32, q, o *gradients, index []int32, b, i0, i1 int, dir float32, s *sums) int {
	var sx, sq, so float32
	var n int32
	s.x[i0], s.q[i0], s.o[i0], s.n[i0] = 0, 0, 0, 0
	for i := i0; i < i1; i++ {
		j := int(index[i]) + b
		if q.valid[i] && o.valid[j] {
			sx += dir * x[i*o.n+j]
			sq += q.energy[i]
			so += o.energy[j]
			n++
		}
		s.x[i+1], s.q[i+1], s.o[i+1], s.n[i+1] = sx, sq, so, n
	}
	return int(n)
}

// windows updates the best windows with those of one line. Squares are compared, so that roots are taken of winners only.
func (f *found) windows(s *sums, i0, i1 int, p plan, prior float64, l line, nq int) {
	for k, w := range p.windows {
		if w >= nq {
			continue
		}
		share := math.Sqrt(float64(w))
		if w == p.short {
			share *= shortShare
		}
		e := p.eps * float32(w)
		for i := i0; i+w <= i1; i++ {
			if int(s.n[i+w]-s.n[i]) < w {
				continue
			}
			x := s.x[i+w] - s.x[i]
			if x <= 0 {
				continue
			}
			c := float64(x) * prior
			norm := float64(s.q[i+w]-s.q[i]+e) * float64(s.o[i+w]-s.o[i]+e)
			if limit := max(0, f.best[k]); c*c <= limit*limit*norm {
				continue
			}
			c /= math.Sqrt(norm)
			f.best[k] = c
			if c*share > f.z {
				f.z, f.line, f.from, f.length = c*share, l, i, w
			}
		}
	}
}
