package reuse

import "math"

// coarsePlan is the search on 8 x 8 gradients at 5 per second, to rank a history: few speeds, a window of 1.6 s and the
// whole line.
func coarsePlan(eps float32) plan {
	return plan{unit: 1, speeds: []float64{.82, 1, 1.2}, back: []float64{1}, windows: []int{8}, eps: eps}
}

// Evidence of stage A at which a way to lay the query over an earlier clip is worth trying.
const (
	fewVotes    = 4  // index points that agree; unlike pictures reach 3
	likelyHash  = 90 // PDQ distance; unlike pictures lie about 128 apart
	strongTurns = 25 // inliers from which mirrored and rotated forms of the whole picture need no trial (prototype)
)

// coarseTrack is the query's motion in the coarse cells of an earlier clip.
type coarseTrack struct {
	made    bool
	changes centred // of the cells that it covers
}

// coarseOver lays the query's motion over coarse cells; ok is false where there is no way.
func (q *query) coarseOver(t Transform) (c coarseTrack, ok bool) {
	back, ok := t.inverse()
	if !ok {
		return coarseTrack{}, false
	}
	m := newWarp(back, q.grid.w, q.grid.h, coarseCells)
	var covered []int
	for at, in := range m.covered() {
		if in {
			covered = append(covered, at)
		}
	}
	small := m.apply(&q.grid, coarseStride)
	d, valid := differences(&small, 1)
	return coarseTrack{made: true, changes: centre(d, valid, coarseCells*coarseCells, covered)}, true
}

// nearForm is how near, as a share of the picture, the corners of a transform must lie to those of a form of the whole picture to be taken
// for it in the first look: a fifth of a coarse cell.
const nearForm = 0.025

// coarseBy is coarseOver; the eight forms of the whole picture, which a fixed camera gives again and again, are made once.
func (q *query) coarseBy(t Transform) (coarseTrack, bool) {
	for k, f := range forms {
		if t.far(f) > nearForm {
			continue
		}
		if !q.small[k].made {
			q.small[k], _ = q.coarseOver(f)
		}
		return q.small[k], true
	}
	return q.coarseOver(t)
}

// coarse correlates the query's motion with an earlier clip's coarse motion, laid over it as the first look suggests.
func (q *query) coarse(o *Fingerprint, g *glance) float64 {
	if q.grid.n < 2*minOnLine || o.coarse.n < minOnLine {
		return 0
	}
	size := coarseCells * coarseCells
	diff, valid := differences(&o.coarse, 1)
	var weight [coarseCells * coarseCells]float32
	weigh(weight[:], cellMotion(diff, valid, size))
	var turns []Transform
	if g.votes >= fewVotes {
		turns = append(turns, g.turn)
	}
	if g.votes < fewVotes || g.whole <= likelyHash && g.form != AsIs {
		turns = append(turns, forms[g.form])
	}
	if g.inPart() {
		turns = append(turns, g.over)
	}
	best := 0.0
	for _, t := range turns {
		c, ok := q.coarseBy(t)
		if !ok || len(c.changes.wanted) < minGradient {
			continue
		}
		var sum float32
		for _, at := range c.changes.wanted {
			sum += weight[at]
		}
		theirs := centre(diff, valid, size, c.changes.wanted)
		a, b := c.changes.shape(weight[:]), theirs.shape(weight[:])
		f := search(products(&a, &b), &a, &b, coarsePlan(epsShare*sum))
		if !math.IsInf(f.z, -1) {
			best = max(best, f.z)
		}
	}
	return best
}
