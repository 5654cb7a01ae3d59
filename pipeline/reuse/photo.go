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
// Chosen on 341 copies of 31 photos (11 kinds, noise, blur and a simulated re-capture among them) and 370 pairs of other photos: frames of
// other moments of the same person and place, and photos of the same person elsewhere. 93 % of the copies lie above samePhoto, 1.6 % of
// the others, all of these from one fixed camera that sees people small: its background lies exactly where it did whoever stands before it. On
// frames of 15 clips and 24 portraits, 897 copies of 13 kinds, it is 95 % and 14.5 % of the photos of the same person or place. Looking for the
// earlier photo's points again (file refind.go) makes it 95 and 7 %, and 96 and 1 % without the four clips of a fixed camera before which people
// keep still or are small. Of 552 strangers none. So it is for review, never for a verdict.
const (
	samePhoto     = 0.35
	perhapsPhoto  = 0.2  // from here on the earlier photo's points are looked for again
	photoMoved    = 0.01 // of them, the share that may be found elsewhere
	photoLost     = 0.5  // and that may not be found
	photoExact    = 0.4  // pixels at pictureSide that a point may lie off its place
	photoBySize   = 0.1  // and as much more of its diameter: large points are found less exactly
	photoLoose    = 0.35 // pixels more, beyond which a point has moved
	photoReach    = 30.0 // pixels; farther off it is no partner at all
	photoGroup    = 40.0 // pixels; neighbours
	photoAlike    = 0.3  // of a displacement: neighbours that differ by less moved together
	photoTogether = 2.0  // weight of points that moved together
	photoPoints   = 10   // matched pairs of points without which only the hashes are asked
)

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

// same says whether the picture itself seems to have been seen before. distance is the smallest PDQ distance of whole pictures or parts,
// for pictures with hardly any points.
func (p photoMatch) same(distance int) bool {
	if !p.enough() {
		return distance <= nearDistance
	}
	if p.changed.enough() && p.changed.found > changedMost {
		return false
	}
	if p.again.enough() {
		return p.score() >= perhapsPhoto && p.again.moved <= photoMoved && p.again.lost <= photoLost
	}
	return p.score() >= samePhoto
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
