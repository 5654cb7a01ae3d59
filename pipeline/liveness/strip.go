package liveness

import (
	"image"
	"math"
)

// A phone or a monitor that nearly fills the picture shows two or three of its sides near the picture's borders: straight lines from one end of the
// picture to the other, with a rim of one colour beyond them, the same colour on all sides. A room has such lines, too (a ceiling, a door, a
// table), but hardly two beside each other, at the same slant, with the same colour beyond.
const (
	stripZone    = 0.3  // part of the picture from its border in which a side is looked for
	stripSupport = 0.75 // the least part of the line that is an edge
	stripSame    = 9.0  // grey levels: mean deviation of the rim's colour along the line
	stripAlike   = 16.0 // grey levels between the colours of two sides
	stripSlant   = 0.08 // by which two sides may differ in slant: 4.5 degrees, what holding a screen tilted makes
	stripCoarse  = 18   // pixels between those that are looked at first
	stripKept    = 3    // lines that are kept of each side
	stripLeast   = 4    // pixels of the reduced picture: the least width of a rim beyond the line, where it is looked at
)

// strip is a line near a border with a rim of one colour beyond it.
type strip struct {
	line
	side   int     // left, top, right, bottom
	colour float64 // median grey of the rim
	plain  bool    // all that is beyond the line has that colour, and the line is parallel to the picture's side
}

// strips finds the best two sides of a screen that nearly fills the picture, or three: the least support of them; 0: none. box is the face, which must
// lie within.
func strips(g []byte, upright, level *steps, w, h int, box image.Rectangle) float64 {
	var all [4][]strip
	for side := range all {
		all[side] = stripsOf(g, upright, level, w, h, side, box)
	}
	best := 0.0
	for a := range all {
		for b := a + 1; b < 4; b++ {
			for i := range all[a] {
				for k := range all[b] {
					if p, q := &all[a][i], &all[b][k]; p.matches(q) {
						best = math.Max(best, math.Min(p.support, q.support))
					}
				}
			}
		}
	}
	return best
}

// matches says that two sides can be of one rectangle with one rim. Two that both look like a border that an app drew, and that unpadded left, are none.
func (s *strip) matches(o *strip) bool {
	if s.plain && o.plain {
		return false
	}
	slant := s.slant - o.slant // opposite sides are parallel,
	if (s.side+o.side)%2 == 1 {
		slant = s.slant + o.slant // and turning a rectangle moves its upright sides against the level ones
	}
	return math.Abs(s.colour-o.colour) <= stripAlike && math.Abs(slant) <= stripSlant
}

// stripsOf finds the lines of one side.
func stripsOf(g []byte, upright, level *steps, w, h, side int, box image.Rectangle) []strip {
	step, across, along1 := upright, w, h
	lo, hi := float64(box.Min.X), float64(box.Max.X)
	if side%2 == 1 {
		step, across, along1 = level, h, w
		lo, hi = float64(box.Min.Y), float64(box.Max.Y)
	}
	from, to := float64(stripLeast), math.Min(stripZone*float64(across), lo)
	sign := -1.0 // beyond the line
	if side >= 2 {
		from, to = math.Max((1-stripZone)*float64(across), hi), float64(across-1-stripLeast)
		sign = 1
	}
	if to <= from {
		return nil
	}
	end := float64(along1 - 1)
	var out []strip
	for _, l := range longest(step, from, to, 0, end) {
		s := strip{line: l, side: side}
		if s.rim(g, w, h, sign, end) {
			out = append(out, s)
		}
	}
	return out
}

// longest finds the best edges between lo and hi that run from t0 to t1.
func longest(step *steps, lo, hi, t0, t1 float64) []line {
	var out []line
	mid := (t0 + t1) / 2
	for p := lo; p <= hi; p++ {
		best := line{}
		for k := -6; k <= 6; k++ {
			l := line{at: p, slant: float64(k) / 6 * rimSlant, mid: mid}
			if sampled(step, &l, t0, t1, stripCoarse) < stripSupport-0.15 {
				continue // a tenth of the pixels tells most lines that are none
			}
			if l.support = along(step, &l, t0, t1); l.support > best.support {
				best = l
			}
		}
		if best.support >= stripSupport {
			out = append(out, best)
		}
	}
	return strongest(out, stripKept)
}

// rim measures the colour beyond the line and says whether it is one.
func (s *strip) rim(g []byte, w, h int, sign, end float64) bool {
	var v []float64
	for t := 2.0; t <= end-2; t += 3 {
		for _, d := range [2]float64{3, 4} {
			x, y := int(s.pos(t)+sign*d+0.5), int(t)
			if s.side%2 == 1 {
				x, y = y, x
			}
			if x >= 0 && y >= 0 && x < w && y < h {
				v = append(v, float64(g[y*w+x]))
			}
		}
	}
	if len(v) < int(end/3) { // half of the line at least has a rim in view
		return false
	}
	s.colour = quantile(v, 0.5)
	sum := 0.0
	for _, x := range v {
		sum += math.Min(math.Abs(x-s.colour), 3*stripSame)
	}
	if s.plain = s.slant == 0; s.plain {
		odd, n := 0, 0
		for t := 2.0; t <= end-2; t += 3 {
			for d := 3.0; ; d++ {
				x, y := int(s.at+sign*d+0.5), int(t)
				if s.side%2 == 1 {
					x, y = y, x
				}
				if x < 0 || y < 0 || x >= w || y >= h {
					break
				}
				if n++; math.Abs(float64(g[y*w+x])-s.colour) > stripSame {
					odd++
				}
			}
		}
		s.plain = odd*20 < n
	}
	return sum/float64(len(v)) <= stripSame
}
