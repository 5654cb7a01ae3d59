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

// coarseScore correlates the query's motion with an earlier clip's coarse motion, laid over it as the first look suggests.
func coarseScore(grid *track, o *Fingerprint, g *glance) float64 {
	if grid.n < 2*minOnLine || o.coarse.n < minOnLine {
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
	if g.votes < fewVotes || g.distance <= likelyHash && g.form != AsIs {
		turns = append(turns, forms[g.form])
	}
	best := 0.0
	for _, t := range turns {
		back, ok := t.inverse()
		if !ok {
			continue
		}
		m := newWarp(back, grid.w, grid.h, coarseCells)
		var wanted []int
		var sum float32
		for c, ok := range m.covered() {
			if ok {
				wanted = append(wanted, c)
				sum += weight[c]
			}
		}
		if len(wanted) < minGradient {
			continue
		}
		small := m.apply(grid, coarseStride)
		d, v := differences(&small, 1)
		a, b := shape(d, v, size, wanted, weight[:]), shape(diff, valid, size, wanted, weight[:])
		f := search(products(&a, &b), &a, &b, coarsePlan(epsShare*sum))
		if !math.IsInf(f.z, -1) {
			best = max(best, f.z)
		}
	}
	return best
}
