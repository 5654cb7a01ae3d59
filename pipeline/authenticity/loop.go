package authenticity

import "math"

// repeat is the best alignment of a clip with another part of itself: picture times t in from..to look like time lag+t (played again) or
// lag-t (played backwards).
type repeat struct {
	backwards bool
	lag       float64 // seconds; backwards: the sum of the two times
	from, to  float64 // seconds
	residual  float64 // squared distance along the line / squared change within 0.2 to 0.4 s; 0: identical, about 1: unrelated moments
	contrast  float64 // residual at the lags 0.2 to 0.6 s beside the best one, the smallest of them / residual at the best
	motion    float64 // mean squared change within 0.2 to 0.4 s in the window, grey levels squared
}

// their gives the matching time of t.
func (r *repeat) their(t float64) float64 {
	if r.backwards {
		return r.lag - t
	}
	return r.lag + t
}

const (
	lagStep     = 0.02 // seconds; half a frame of 25 fps
	minLag      = 0.8  // seconds: nearer moments look alike in any footage
	minMirror   = 0.5  // seconds between a moment and its mirrored one
	minMotionSq = 0.08 // grey levels squared, mean over the picture: below this a window holds no motion to compare
	// A picture shown twice and encoded anew differs by coding noise (0.02 to 0.5 grey levels squared at CRF 23 to 33, measured) and by the linear
	// interpolation between pictures 0.1 s apart (up to 0.014 of the motion, measured with lags half a step off).
	codingSq   = 0.5
	interpSq   = 0.02
	minOverlap = 4 // pictures that a window must hold
)

// rule says from which values on a window of a given length counts as repeated. Long windows may be noisier than short ones.
type rule struct {
	window    float64 // seconds
	backwards bool
	residual  float64 // at most
	contrast  float64 // at least
}

// rules, measured as DefaultConfig says. Backwards a short window proves nothing, since every nod returns the way it came.
var rules = []rule{
	{window: 0.8, residual: 0.15, contrast: 5},
	{window: 1.6, residual: 0.2, contrast: 4},
	{window: 3.2, residual: 0.25, contrast: 3},
	{window: 6, residual: 0.5, contrast: 3},
	{window: 1.6, backwards: true, residual: 0.2, contrast: 4},
	{window: 3.2, backwards: true, residual: 0.25, contrast: 3},
}

// cost is at most 1 when the residual of a window is small against the motion in it, and no larger than coding and interpolation explain.
func (r *rule) cost(residual, motion float64) float64 {
	return max(residual/r.residual, residual*motion/(codingSq+interpSq*motion))
}

// suspicion is at least 1 when a window fulfils the rule, and says by how much it does or fails to.
func (r *rule) suspicion(p *repeat) float64 {
	return min(1/max(r.cost(p.residual, p.motion), 0.01), p.contrast/r.contrast)
}

// candidate is the best window of one rule so far.
type candidate struct {
	repeat
	cost float64
}

// findRepeat gives the most suspicious repetition within the clip; the suspicion is 0 when no window can be compared at all.
func (s *series) findRepeat() (best repeat, suspicion float64) {
	found := s.candidates()
	for i := range rules {
		if math.IsInf(found[i].cost, 1) {
			continue
		}
		p := found[i].repeat
		p.contrast = s.contrast(&p)
		if sus := rules[i].suspicion(&p); sus > suspicion {
			best, suspicion = p, sus
		}
	}
	if suspicion >= 1 {
		s.extend(&best)
	}
	return best, suspicion
}

// candidates looks for the window and the lag at which the clip repeats itself best, for each rule.
func (s *series) candidates() []candidate {
	out := make([]candidate, len(rules))
	for i := range out {
		out[i].cost = math.Inf(1)
	}
	var l line
	for _, backwards := range []bool{false, true} {
		start, end := minLag, s.dur()
		if backwards {
			start, end = s.t[0]*2+minMirror, 2*s.t[s.n()-1]-minMirror
		}
		for lag := start; lag <= end; lag += lagStep {
			s.fill(&l, lag, backwards)
			for i := range rules {
				if rules[i].backwards == backwards {
					s.slide(&l, lag, &rules[i], &out[i])
				}
			}
		}
	}
	return out
}

// slide moves a rule's window along one lag and keeps the best.
func (s *series) slide(l *line, lag float64, ru *rule, best *candidate) {
	win := ru.window
	need := max(int(0.7*win/s.step), minOverlap)
	lo, sr, sf := 0, 0.0, 0.0
	for hi := range l.idx {
		sr += l.r[hi]
		sf += l.f[hi]
		for lo < hi && s.t[l.idx[hi]]-s.t[l.idx[lo+1]] >= win-s.step/2 {
			sr -= l.r[lo]
			sf -= l.f[lo]
			lo++
		}
		n := float64(hi - lo + 1)
		if hi-lo+1 < need || s.t[l.idx[hi]]-s.t[l.idx[lo]] < win-s.step || sf < minMotionSq*n {
			continue
		}
		residual, motion := sr/sf, sf/n
		if c := ru.cost(residual, motion); c < best.cost {
			*best = candidate{cost: c, repeat: repeat{
				backwards: ru.backwards, lag: lag, from: s.t[l.idx[lo]], to: s.t[l.idx[hi]], residual: residual, motion: motion,
			}}
		}
	}
}

// extend lengthens a found repetition as far as pictures keep matching, in both directions.
func (s *series) extend(p *repeat) {
	var l line
	s.fill(&l, p.lag, p.backwards)
	fits := func(k int) bool {
		lo, hi := max(k-1, 0), min(k+2, len(l.idx))
		sr, sf := 0.0, 0.0
		for _, v := range l.r[lo:hi] {
			sr += v
		}
		for _, v := range l.f[lo:hi] {
			sf += v
		}
		n := float64(hi - lo)
		return sr <= max(0.3*sf, 2*codingSq*n)
	}
	first, last := -1, -1
	for k, i := range l.idx {
		if s.t[i] >= p.from && first < 0 {
			first = k
		}
		if s.t[i] <= p.to {
			last = k
		}
	}
	if first < 0 || last < first {
		return
	}
	for first > 0 && s.t[l.idx[first]]-s.t[l.idx[first-1]] <= maxGap*s.step && fits(first-1) {
		first--
	}
	for last < len(l.idx)-1 && s.t[l.idx[last+1]]-s.t[l.idx[last]] <= maxGap*s.step && fits(last+1) {
		last++
	}
	p.from, p.to = s.t[l.idx[first]], s.t[l.idx[last]]
}

// line holds the residuals along one lag while windows slide over it.
type line struct {
	idx  []int
	r, f []float64
}

// fill computes the residual of every picture along one lag.
func (s *series) fill(l *line, lag float64, backwards bool) {
	l.idx, l.r, l.f = l.idx[:0], l.r[:0], l.f[:0]
	n := s.n()
	j := 0
	if backwards {
		j = n - 2
	}
	for i := range n {
		var x float64
		if backwards {
			x = lag - s.t[i]
			if math.Abs(x-s.t[i]) < minMirror {
				continue
			}
			for j > 0 && s.t[j] > x {
				j--
			}
		} else {
			x = lag + s.t[i]
			for j < n-2 && s.t[j+1] < x {
				j++
			}
		}
		if x < s.t[j] || x > s.t[j+1] || s.gap(j) {
			continue
		}
		l.idx = append(l.idx, i)
		l.r = append(l.r, s.at(i, j, x))
		l.f = append(l.f, s.ref[i])
	}
}

// contrast compares the residual of a window with that at neighbouring lags: footage that is played again fits at one lag alone, a person
// who moves slowly or nods fits nearly as well a little earlier or later.
func (s *series) contrast(b *repeat) float64 {
	least := math.Inf(1)
	var l line
	for _, off := range []float64{-0.6, -0.5, -0.4, -0.3, -0.2, 0.2, 0.3, 0.4, 0.5, 0.6} {
		s.fill(&l, b.lag+off, b.backwards)
		sr, sf, n := 0.0, 0.0, 0
		for k, i := range l.idx {
			if s.t[i] >= b.from && s.t[i] <= b.to {
				sr += l.r[k]
				sf += l.f[k]
				n++
			}
		}
		if n >= minOverlap && sf > 0 {
			least = min(least, sr/sf)
		}
	}
	if math.IsInf(least, 1) {
		return 1
	}
	return least / max(b.residual, 1e-4)
}
