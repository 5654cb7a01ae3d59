package reuse

import (
	"math"
	"slices"
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

// usual says that the clip is played as it was taken.
func (l line) usual() bool { return l.dir > 0 && l.speed == 1 }

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

	best [maxWindows]float64 // best correlation (prior included) by window of the plan; the whole line where the clip is shorter
}

// sum is a running total along one line, up to a query sample.
type sum struct {
	x, q, o float32
	n       int32
}

// A search has two passes: the first looks at windows a quarter of their length apart, the second at all windows of the lines on which the
// first found at least this share of its best.
const secondLook = 0.7

// search tries all lines of the plan. x holds the products of query and earlier gradients. Running totals along a line give every window.
func search(x []float32, q, o *gradients, p plan) found {
	f := newFound(p)
	if q.n == 0 || o.n == 0 {
		return f
	}
	r := runner{x: x, q: q, o: o, sums: make([]sum, q.n+1), index: make([]int32, q.n), whole: !slices.Contains(q.valid, false) && !slices.Contains(o.valid, false)}
	least := min(minOnLine, q.n-1)
	whole, wholeNCC, rough := math.Inf(-1), 0.0, 0.0
	type tried struct {
		line
		i0, i1 int
		z      float64
	}
	var lines []tried
	along := newSweep(&r, p.unit)
	defer along.free()
	p.each(func(base line, prior float64) {
		r.turn(base, p.unit)
		reach := int(float64(p.unit) * base.speed * float64(q.n))
		lo, hi := -reach, o.n
		if base.dir < 0 {
			lo, hi = 0, o.n+reach
		}
		for b := lo; b < hi; b += p.unit * sweepLanes {
			hits := along.look(&p, b, secondLook*rough, prior, base.dir)
			for lane := range min(sweepLanes, (hi-b+p.unit-1)/p.unit) {
				x, eq, eo, n := along.total(lane)
				if int(n) < least {
					continue
				}
				base.offset = b + lane*p.unit
				all := float64(x) / math.Sqrt(float64(eq+p.eps*n)*float64(eo+p.eps*n)+1e-9)
				z := all * math.Sqrt(float64(n)) * prior
				if z > whole {
					whole, wholeNCC = z, all
				}
				if z > f.z {
					f.z, f.line, f.from, f.length = z, base, 0, q.n
				}
				if hits>>lane&1 == 0 {
					continue
				}
				i0, i1 := onLine(r.index, base.offset, o.n)
				r.total(base.offset, i0, i1, float32(base.dir))
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
		}
	})
	var turned line
	for _, l := range lines {
		if l.z < secondLook*rough {
			continue
		}
		if l.dir != turned.dir || l.speed != turned.speed {
			r.turn(l.line, p.unit)
			turned = l.line
		}
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

// each goes through the directions and speeds of the plan.
func (p *plan) each(visit func(base line, prior float64)) {
	for d, list := range [2][]float64{p.speeds, p.back} {
		for _, speed := range list {
			l := line{dir: 1 - 2*d, speed: speed}
			visit(l, l.prior())
		}
	}
}

// prior is the factor by which a line counts less than the usual one.
func (l line) prior() float64 {
	if l.usual() {
		return 1
	}
	return otherPrior
}

// share is what a correlation of 1 in a window of length w counts.
func (p *plan) share(w int) float64 {
	if w == p.short {
		return math.Sqrt(float64(w)) * shortShare
	}
	return math.Sqrt(float64(w))
}

// maxWindows is how many windows a plan can have.
const maxWindows = 4

func newFound(p plan) found {
	f := found{z: math.Inf(-1)}
	for i := range p.windows {
		f.best[i] = -1
	}
	return f
}

// onLine gives the query samples i0..i1-1 whose partners lie inside the earlier clip; partners rise or fall all along a line.
func onLine(index []int32, b, n int) (i0, i1 int) {
	rises := len(index) > 0 && index[0] <= index[len(index)-1]
	from := func(j int) int { // the first sample at or behind moment j of the earlier clip, in the line's direction
		low, high := 0, len(index) // sort.Search without its calls: there are two for every line of a search
		for low < high {
			i := int(uint(low+high) >> 1)
			if (int(index[i])+b >= j) == rises {
				high = i
			} else {
				low = i + 1
			}
		}
		return low
	}
	if rises {
		i0, i1 = from(0), from(n)
	} else {
		i0, i1 = from(n), from(0)
	}
	if i0 >= i1 {
		return len(index), len(index)
	}
	return i0, i1
}

// runner adds up along lines.
type runner struct {
	x     []float32 // products, q.n x o.n
	q, o  *gradients
	index []int32 // partner of each query sample at offset 0, for the speed in hand
	sums  []sum   // sums[i] is of the samples before i
	whole bool    // every sample is valid
}

// turn takes another direction and speed in hand.
func (r *runner) turn(l line, unit int) {
	l.offset = 0
	for i := range r.index {
		r.index[i] = int32(l.at(i, unit))
	}
}

// total fills the running totals of one line and gives the number of valid samples.
func (r *runner) total(b, i0, i1 int, dir float32) int {
	s := sum{}
	out, index, energy := r.sums[i0:i1+1], r.index[i0:i1], r.q.energy[i0:i1]
	out[0] = s
	out, energy = out[1:][:len(index)], energy[:len(index)]
	if r.whole { // nearly always: nothing to ask in the loop
		x, theirs := r.x[i0*r.o.n:], r.o.energy
		for k, at := range index {
			j := int(at) + b
			s.x += dir * x[k*r.o.n+j]
			s.q += energy[k]
			s.o += theirs[j]
			s.n++
			out[k] = s
		}
		return int(s.n)
	}
	for k, at := range index {
		j := int(at) + b
		if r.q.valid[i0+k] && r.o.valid[j] {
			s.x += dir * r.x[(i0+k)*r.o.n+j]
			s.q += energy[k]
			s.o += r.o.energy[j]
			s.n++
		}
		out[k] = s
	}
	return int(s.n)
}

// How far apart the windows of a search lie.
func quarter(length int) int { return max(1, length/4) }
func every(int) int          { return 1 }

// passing is the square that a correlation must exceed to be more than limit, which is at least 0, in single precision and a little too lenient.
func passing(limit, prior float64) float32 {
	const lenient = 1 - 1e-4
	return float32(limit * limit / (prior * prior) * lenient)
}

// windows updates the best windows with those of one line, whose totals s begin at query sample i0. Squares are compared, so that roots
// are taken of winners only; the first comparison, in single precision and a little too lenient, throws nearly all of them out.
func (f *found) windows(s []sum, i0 int, p plan, prior float64, l line, nq int, apart func(length int) int) {
	for k, w := range p.windows {
		if w >= nq || w >= len(s) {
			continue
		}
		share := p.share(w)
		e := p.eps * float32(w)
		limit := max(0, f.best[k])
		pass := passing(limit, prior)
		begin, end, stride := s[:len(s)-w], s[w:], apart(w)
		for i := 0; i < len(begin); i += stride {
			a, b := &begin[i], &end[i]
			x := b.x - a.x
			if x*x <= pass*((b.q-a.q+e)*(b.o-a.o+e)) || x <= 0 || int(b.n-a.n) < w {
				continue
			}
			c := float64(x) * prior
			norm := float64(b.q-a.q+e) * float64(b.o-a.o+e)
			if c*c <= limit*limit*norm {
				continue
			}
			c /= math.Sqrt(norm)
			f.best[k], limit = c, c
			pass = passing(limit, prior)
			if c*share > f.z {
				f.z, f.line, f.from, f.length = c*share, l, i0+i, w
			}
		}
	}
}
