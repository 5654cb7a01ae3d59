package reuse

import "math"

// glance is what a first, cheap look at an earlier clip gives.
type glance struct {
	at int // position in the history
	sight
	votes    int // index points that agree on one similarity
	turn     Transform
	plain    int // votes as the picture stands, and mirrored left to right
	flipped  int
	temporal float64 // correlation of coarse motion over the best line and window, times the root of its length; 0: none
}

// weaker says that this first look is behind another in every respect: nothing but a part of the footage may still come from such a clip.
func (g *glance) weaker(than *glance) bool {
	return g.votes < than.votes && g.temporal <= than.temporal && g.distance >= than.distance
}

// Below both and beyond likelyHash, two recordings have nothing in common at first sight. Of 579 copies of 38 kinds three lie there; the full score
// can tell one of them (three changes combined), which is no better at first sight than any stranger and so not among the few of a long history that
// get the full score. 12 votes, 1.8 and a distance of 80 leave out the same three. Of 1,158 pairs of other scenes 1,138 lie there.
const (
	commonVotes  = 8
	commonMotion = 1.5
)

// nothing says that neither points nor hashes nor motion of two clips suggest that one comes of the other.
func (g *glance) nothing() bool {
	return g.votes < commonVotes && g.distance > likelyHash && g.temporal < commonMotion && !g.inPart()
}

// plainVotes are more than a mirrored picture gives without being mirrored back, faces and other symmetrical things among them.
const plainVotes = 64

// skip says that the index points decided clearly mine the picture as it stands (flip false) or mirrored (flip true).
func (g *glance) skip(flip bool) bool {
	other, mine := g.plain, g.flipped
	if !flip {
		other, mine = mine, other
	}
	return other >= 3*fewVotes && other >= 3*mine || other >= plainVotes && other >= 2*mine
}

// minQuality is the PDQ quality below which a still says nothing (the PDQ paper's advice: discard below 50).
const minQuality = 50

// queryIndex is the query's index, plain and mirrored left to right.
type queryIndex struct {
	w, h   float32 // picture at pictureSide
	plain  indexed
	flip   indexed
	hashes hashes
}

// indexed are the points of an index with their codes side by side, as comparing all with all wants them.
type indexed struct {
	points []indexPoint
	codes  []code
}

func newIndexed(points []indexPoint) indexed {
	x := indexed{points: points, codes: make([]code, len(points))}
	for i := range points {
		x.codes[i] = points[i].code
	}
	return x
}

// newQueryIndex takes the points of the query's stills; mirrored codes need the descriptors.
func newQueryIndex(f *Fingerprint, stills []pointStill) queryIndex {
	w, h := pictureSize(max(1, f.Width), max(1, f.Height))
	q := queryIndex{w: float32(w), h: float32(h), plain: newIndexed(f.index), hashes: newHashes(f, true)}
	flipped := make([]pointStill, len(stills))
	for _, i := range middle(len(stills), indexStills) {
		for _, p := range stills[i].points[:min(indexPoints, len(stills[i].points))] {
			flipped[i].points = append(flipped[i].points, p.mirrored(q.w))
		}
	}
	q.flip = newIndexed(makeIndex(flipped))
	return q
}

// codeLimit is the largest Hamming distance of 128-bit codes that counts as a likeness. Codes of unlike points lie about 64 apart.
const codeLimit = 34

type indexPair struct{ q, o *indexPoint }

// likeness pairs the points of two indexes that are each other's nearest and near enough; of equally near ones the first counts.
func likeness(q, o *indexed) []indexPair {
	var back [indexStills * indexPoints]partner // by the points of o
	away := back[:len(o.codes)]
	for j := range away {
		away[j] = partner{codeLimit + 1, -1}
	}
	var to [indexStills * indexPoints]int16
	all, done := distancesOf(q.codes, o.codes)
	defer done()
	for i := range q.codes {
		to[i] = int16(nearestCode(all.row(i), away, int16(i)))
	}
	var out []indexPair
	for i := range q.codes {
		if j := to[i]; j >= 0 && int(away[j].at) == i {
			out = append(out, indexPair{&q.points[i], &o.points[j]})
		}
	}
	return out
}

// partner is the nearest code so far: its distance and position.
type partner struct {
	distance int16
	at       int16
}

// maxProposals bounds how many pairs propose a similarity; one in four of them right is enough to miss it once in 10,000 times.
const maxProposals = 32

// agreement finds the largest group of pairs that one similarity explains (single pairs propose them by their sizes and angles), and the
// least-squares similarity of the group.
func agreement(pairs []indexPair) (votes int, m similarity) {
	const (
		sizeBand  = 1.57 // factor between sizes
		angleBand = 20   // degrees
		reach     = 24   // pixels of 400
	)
	var group []indexPair
	in := make([]indexPair, 0, len(pairs))
	for _, k := range evenly(len(pairs), maxProposals) {
		s := similarityOf(pairs[k])
		in = in[:0]
		for i, p := range pairs {
			if len(in)+len(pairs)-i <= len(group) {
				break // no larger group, whatever the rest says
			}
			x, y := s.apply(p.q.x, p.q.y)
			if abs32(x-p.o.x) > reach || abs32(y-p.o.y) > reach || abs32(turned(p.o.angle-p.q.angle-s.angle)) > angleBand {
				continue
			}
			if a, b := p.o.size, p.q.size*s.scale; a > b*sizeBand || b > a*sizeBand {
				continue
			}
			in = append(in, p)
		}
		if len(in) > len(group) {
			group, in = in, group
		}
	}
	if len(group) < 2 {
		return len(group), similarity{a: 1}
	}
	return len(group), fitSimilarity(group)
}

func abs32(x float32) float32 { return max(x, -x) }

// turned brings an angle into -180..180.
func turned(a float32) float32 {
	for a > 180 {
		a -= 360
	}
	for a < -180 {
		a += 360
	}
	return a
}

// similarity is x' = a x - b y + c, y' = b x + a y + d, in pixels at pictureSide.
type similarity struct {
	a, b, c, d   float32
	scale, angle float32
}

func (s similarity) apply(x, y float32) (float32, float32) {
	return s.a*x - s.b*y + s.c, s.b*x + s.a*y + s.d
}

// similarityOf is the similarity that takes one point onto its partner.
func similarityOf(p indexPair) similarity {
	s := similarity{scale: p.o.size / max(p.q.size, 1e-3), angle: turned(p.o.angle - p.q.angle)}
	sin, cos := math.Sincos(float64(s.angle) * math.Pi / 180)
	s.a, s.b = s.scale*float32(cos), s.scale*float32(sin)
	s.c = p.o.x - (s.a*p.q.x - s.b*p.q.y)
	s.d = p.o.y - (s.b*p.q.x + s.a*p.q.y)
	return s
}

// fitSimilarity is the least-squares similarity of the pairs.
func fitSimilarity(g []indexPair) similarity {
	var mx, my, nx, ny float32
	n := float32(len(g))
	for _, p := range g {
		mx, my, nx, ny = mx+p.q.x/n, my+p.q.y/n, nx+p.o.x/n, ny+p.o.y/n
	}
	var sa, sb, ss float32
	for _, p := range g {
		x, y, u, v := p.q.x-mx, p.q.y-my, p.o.x-nx, p.o.y-ny
		sa += x*u + y*v
		sb += x*v - y*u
		ss += x*x + y*y
	}
	s := similarity{a: sa / (ss + 1e-6), b: sb / (ss + 1e-6)}
	s.c = nx - (s.a*mx - s.b*my)
	s.d = ny - (s.b*mx + s.a*my)
	return s
}

// transform expresses the similarity in fractions of both pictures; mirrored when the query's points were.
func (s similarity) transform(qw, qh, ow, oh float64, mirrored bool) Transform {
	t := Transform{float64(s.a), -float64(s.b), float64(s.c), float64(s.b), float64(s.a), float64(s.d), 0, 0, 1}
	t = t.scaled(1/qw, 1/qh, 1/ow, 1/oh)
	if mirrored {
		t = t.times(forms[FlipY])
	}
	return t
}

// glanceAt looks at one earlier clip by hashes and index points. The mirrored picture is tried too unless the plain one has very many
// votes: a mirrored face alone gives up to 40.
func glanceAt(qi *queryIndex, o *Fingerprint, at int) glance {
	g := glance{at: at, turn: identity}
	g.sight = qi.hashes.nearest(newHashes(o, false))
	w, h := pictureSize(max(1, o.Width), max(1, o.Height))
	theirs := newIndexed(o.index)
	for _, mirrored := range []bool{false, true} {
		points := &qi.plain
		if mirrored && g.plain >= plainVotes {
			break
		}
		if mirrored {
			points = &qi.flip
		}
		votes, s := agreement(likeness(points, &theirs))
		if mirrored {
			g.flipped = votes
		} else {
			g.plain = votes
		}
		if votes <= g.votes {
			continue
		}
		if t := s.transform(float64(qi.w), float64(qi.h), float64(w), float64(h), mirrored); votes >= 2 {
			if _, ok := t.sane(); ok {
				g.votes, g.turn = votes, t
			}
		}
	}
	return g
}
