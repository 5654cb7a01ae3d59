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
	changes centred // of the cells that it covers
	ok      bool    // there is a way to lay it
}

// coarseOver lays the query's motion over coarse cells.
func (q *query) coarseOver(t Transform) coarseTrack {
	back, ok := t.inverse()
	if !ok {
		return coarseTrack{}
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
	return coarseTrack{centreIn(make([]float32, len(valid)*len(covered)), d, valid, coarseCells*coarseCells, covered), true}
}

// corners say where three corners of a picture lie in another one, in steps of a twentieth of its sides: 0.4 of a coarse cell.
type corners [6]int16

const cornerStep = 20

// keepCoarse is how many ways are kept, of about 50 KB each.
const keepCoarse = 64

// cornersOf rounds a transform that keeps parallels; ok is false where it lies absurdly far off.
func cornersOf(t Transform) (c corners, ok bool) {
	all := t.corners()
	for i, p := range [3][2]float64{all[0], all[1], all[3]} {
		for k, v := range p {
			v = math.Round(v * cornerStep)
			if !(math.Abs(v) < math.MaxInt16) {
				return corners{}, false
			}
			c[2*i+k] = int16(v)
		}
	}
	return c, true
}

func (c corners) transform() Transform {
	at := func(i int) float64 { return float64(c[i]) / cornerStep }
	return Transform{at(2) - at(0), at(4) - at(0), at(0), at(3) - at(1), at(5) - at(1), at(1), 0, 0, 1}
}

// coarseBy is coarseOver with rounded corners, each way made once: a fixed camera gives a few ways again and again.
func (q *query) coarseBy(t Transform) coarseTrack {
	c, ok := cornersOf(t)
	if !ok {
		return coarseTrack{}
	}
	made, ok := q.small[c]
	if !ok {
		made = q.coarseOver(c.transform())
		if q.small == nil {
			q.small = map[corners]coarseTrack{}
		}
		if len(q.small) < keepCoarse {
			q.small[c] = made
		}
	}
	return made
}

// coarse correlates the query's motion with an earlier clip's coarse motion, laid over it as the first look suggests.
func (q *query) coarse(o *Fingerprint, g *glance) float64 {
	if q.grid.n < 2*minOnLine || o.coarse.n < minOnLine {
		return 0
	}
	var mem memory // what each of some hundred earlier clips needs for a moment
	defer mem.free()
	size, earlier := coarseCells*coarseCells, o.coarse
	earlier.mem = &mem
	diff, valid := differences(&earlier, 1)
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
		c := q.coarseBy(t)
		if !c.ok || len(c.changes.wanted) < minGradient {
			continue
		}
		var sum float32
		for _, at := range c.changes.wanted {
			sum += weight[at]
		}
		theirs := centreIn(mem.floats(len(valid)*len(c.changes.wanted)), diff, valid, size, c.changes.wanted)
		a, b := c.changes.shapeIn(mem.floats(len(c.changes.v)), weight[:]), theirs.shapeIn(mem.floats(len(theirs.v)), weight[:])
		f := search(productsIn(mem.floats(a.n*b.n), &a, &b), &a, &b, coarsePlan(epsShare*sum))
		if !math.IsInf(f.z, -1) {
			best = max(best, f.z)
		}
	}
	return best
}
