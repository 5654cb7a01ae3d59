package reuse

import (
	"math"
	"strconv"
)

// Photos have no time, so the question is another one: was this photo handed in before, or is it a second photo of the same person and
// place? Laid over each other as a plane, the points of one photo lie on each other to a fraction of a pixel, however it was coded, cut or
// turned. In a second photo those of whoever moved do not, and neighbours among them moved together. The reuse method displaces tiles of
// 16 pixels; a fingerprint keeps no picture but 32 x 32 grey cells, so its points take their place.
//
// Three things are asked: how well the points that both photos have lie on each other; what became of the earlier photo's points in the
// submitted picture (file refind.go); and how many grey cells differ (file changed.go). No one of them decides: a few cells that differ are
// nothing beside a sticker, and somebody who moved beside a background that lies exactly where it did. The weights of the sum are a logistic
// regression on half of 23 families (people and places) of 897 copies of 13 kinds and 2,496 look-alikes, from which the other half chose
// nothing; docs/benchmarks.md has both. It is for review, never for a verdict.
const (
	samePhoto     = 0.35
	perhapsPhoto  = 0.2  // from here on the earlier photo's points are looked for again
	photoMoved    = 0.01 // of them, the share that may be found elsewhere, where the cells say nothing
	photoLost     = 0.5  // and that may not be found, likewise
	photoExact    = 0.4  // pixels at pictureSide that a point may lie off its place
	photoBySize   = 0.1  // and as much more of its diameter: large points are found less exactly
	photoLoose    = 0.35 // pixels more, beyond which a point has moved
	photoReach    = 30.0 // pixels; farther off it is no partner at all
	photoGroup    = 40.0 // pixels; neighbours
	photoAlike    = 0.3  // of a displacement: neighbours that differ by less moved together
	photoTogether = 2.0  // weight of points that moved together
	photoPoints   = 10   // matched pairs of points without which only the hashes are asked
)

// The weights of what speaks for and against a copy; the sum is above 0 where it is one.
const (
	weightNone  = 2.64
	weightScore = 6.31  // of photoMatch.score
	weightCells = -0.79 // of the logarithm of 1 + the cells that changed
	weightMoved = -1.47 // of the logarithm of 1 + the percent of points that moved
	weightLost  = -3.04 // of the share of points that were not found
)

// weightElsewhere is of refound.elsewhere.
var weightElsewhere = [len(elsewhereAt)]float64{-5.69, -2.05}

// photoMatch is how well the points of two pictures lie on each other.
type photoMatch struct {
	pairs    int     // matched points
	exact    int     // of them, those on their place
	agree    float64 // their share of all matched points
	together float64 // share of matched points that moved, and a neighbour with them
	again    refound // of the earlier photo's points, where they were looked for again
	changed  changed // cells, of two photos whose points say that they are the same
}

// score is above samePhoto where the picture itself was seen before; at most 1.
func (p photoMatch) score() float64 { return p.agree - photoTogether*p.together }

// inPlace is the share of points that lie where they did: of the earlier photo's, where these were looked for again, else of those that were
// found in both.
func (p photoMatch) inPlace() float64 {
	if p.again.enough() {
		return 1 - p.again.moved - p.again.lost
	}
	return p.agree
}

// enough says that there are points enough to decide by.
func (p photoMatch) enough() bool { return p.pairs >= photoPoints }

// copied is above 0 where everything together says that the picture itself was seen before; it needs points that were looked for again.
// Without cells it is what it would be if none had changed.
func (p photoMatch) copied() float64 {
	sum := weightNone + weightScore*p.score() + weightCells*math.Log1p(float64(p.changed.found)) + weightMoved*math.Log1p(100*p.again.moved) + weightLost*p.again.lost
	for i, w := range weightElsewhere {
		sum += w * p.again.elsewhere[i]
	}
	return sum
}

// open says whether the cells could change the answer.
func (p photoMatch) open() bool {
	return p.enough() && (p.same(0) || p.again.enough() && p.copied() > 0)
}

// same says whether the picture itself seems to have been seen before. distance is the smallest PDQ distance of whole pictures or parts,
// for pictures with hardly any points.
func (p photoMatch) same(distance int) bool {
	switch {
	case !p.enough():
		return distance <= nearDistance
	case p.changed.enough() && p.changed.found > changedEver:
		return false
	case p.again.enough() && p.changed.enough():
		whole := p.again.moved == 0 && p.again.lost == 0 && p.changed.found <= changedFew
		return p.score() >= perhapsPhoto && (whole || p.copied() > 0)
	case p.again.enough():
		return p.score() >= perhapsPhoto && p.again.moved <= photoMoved && p.again.lost <= photoLost
	case p.changed.enough() && p.changed.found > changedMost:
		return false
	default:
		return p.score() >= samePhoto
	}
}

// photoMatch measures the points from which a registration was made.
func (r *registered) photoMatch() photoMatch {
	type seen struct{ x, y, dx, dy, off float64 }
	var moved []seen
	p := photoMatch{pairs: len(r.pairs)}
	for _, m := range r.pairs {
		a, b := &r.q.points[m.q], &r.o.points[m.o]
		x, y := r.pixels.apply(float64(a.X), float64(a.Y))
		s := seen{x: float64(b.X), y: float64(b.Y), dx: x - float64(b.X), dy: y - float64(b.Y)}
		s.off = math.Hypot(s.dx, s.dy)
		limit := photoExact + photoBySize*float64(b.Size)
		switch {
		case s.off < limit:
			p.exact++
		case s.off > limit+photoLoose && s.off <= photoReach:
			moved = append(moved, s)
		}
	}
	if len(r.pairs) == 0 {
		return p
	}
	together := 0
	for i, s := range moved {
		for j, o := range moved {
			if i != j && math.Hypot(s.x-o.x, s.y-o.y) < photoGroup && math.Hypot(s.dx-o.dx, s.dy-o.dy) < photoAlike*s.off {
				together++
				break
			}
		}
	}
	p.agree, p.together = float64(p.exact)/float64(len(r.pairs)), float64(together)/float64(len(r.pairs))
	return p
}

// still scores a comparison without time, photos above all: what is the same picture lies in the band in which nothing is claimed, rising
// with how well its points agree, everything else below all bands.
func (c Config) still(m *Match, p photoMatch) float64 {
	if !m.Near || m.QueryLevel >= frozenLevel {
		if !p.enough() {
			return c.Weak * 0.5 * m.Content
		}
		return c.Weak * 0.9 * min(max(p.score()/samePhoto, 0), 1)
	}
	sure := max(0, (p.score()-samePhoto)/(1-samePhoto))
	if !p.enough() {
		sure = 0
	}
	return c.CannotTell + (c.Threshold-c.CannotTell)*0.9*sure
}

// words adds what a reader should know about a photo that seems to have been handed in before, and about footage that was handed in for
// another person.
func (m *Match) words(args map[string]string) {
	if m.OtherSubject {
		args["earlier"] = "other_subject"
		if m.Verdict == CannotTell && m.Backdrop >= backdropSame {
			args["still"] = "backdrop"
		}
	}
	if m.Photo > 0 {
		args["agree"] = strconv.Itoa(int(math.Round(100*m.Photo))) + " %"
	}
}
