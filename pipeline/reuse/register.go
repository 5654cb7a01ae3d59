package reuse

import (
	"math"
	"math/bits"
	"sort"

	"gocv.io/x/gocv"
)

// Registration by points (prototype: mutual nearest, cosine over 0.82, ratio 0.9, MAGSAC with 3 px, at least 7 inliers).
const (
	minCosine     = 0.82
	ratioSquared  = 0.81
	magsac        = gocv.HomographyMethod(38) // cv::USAC_MAGSAC, which gocv does not name
	reprojection  = 3.0                       // pixels at pictureSide
	magsacIters   = 1000
	confidence    = 0.995
	minInliers    = 7
	queryStills   = 4 // stills of the query that are matched
	tryPairs      = 6 // pairs of stills with the most matches that MAGSAC sees
	keepTransform = 3 // different transforms that go on to the temporal comparison
)

// registered is one way to lay the query over the earlier picture.
type registered struct {
	t        Transform
	inliers  int
	matches  int     // mutual matches it was chosen from
	residual float64 // median distance of the inliers, pixels of the earlier picture at pictureSide
	smaller  float64 // the same, in pixels of whichever of both pictures shows the scene smaller

	// What it was made from: points and their matches, and the way in pixels at pictureSide.
	q, o   *side
	pairs  []match
	pixels Transform
}

// side is one picture's points ready for matching.
type side struct {
	points []Point
	codes  []code
	flip   bool
}

func newSide(points []Point, flip bool) side {
	return side{points: points, codes: codesOf(points), flip: flip}
}

// querySides prepares stills of the query, each plain and mirrored left to right.
func querySides(stills []pointStill, w float32) []side {
	var out []side
	for _, i := range middle(len(stills), queryStills) {
		p := stills[i].points
		m := make([]Point, len(p))
		for j := range p {
			m[j] = p[j].mirrored(w)
		}
		out = append(out, newSide(p, false), newSide(m, true))
	}
	return out
}

type match struct{ q, o int }

// matchSides pairs points: for each query point the three nearest by code are compared by descriptor; kept are pairs that are each
// other's best, similar enough and clearly better than the query point's second.
func matchSides(q, o *side) []match {
	bestQ := make([]float32, len(o.points)) // best cosine that any query point has with this point
	whoQ := make([]int, len(o.points))
	type choice struct {
		o    int
		c, d float32
	}
	chosen := make([]choice, len(q.points))
	all, done := distancesOf(q.codes, o.codes)
	defer done()
	for i := range q.points {
		ch := choice{o: -1}
		for _, d := range nearestThree(all.row(i), all.n) {
			if d == math.MaxInt32 {
				break
			}
			j := int(d & 0xffff)
			v := cosine(&q.points[i].Desc, &o.points[j].Desc)
			if v > bestQ[j] {
				bestQ[j], whoQ[j] = v, i
			}
			if v > ch.c {
				ch.o, ch.c, ch.d = j, v, ch.c
			} else {
				ch.d = max(ch.d, v)
			}
		}
		chosen[i] = ch
	}
	var out []match
	for i, ch := range chosen {
		if ch.o >= 0 && whoQ[ch.o] == i && ch.c > minCosine && 2-2*ch.c < ratioSquared*(2-2*ch.d) {
			out = append(out, match{i, ch.o})
		}
	}
	return out
}

// nearestThree gives distance<<16 | position of the three nearest of a row's n codes, of equal ones the first; math.MaxInt32 where there are fewer.
func nearestThree(row []uint8, n int) [3]int32 {
	n0, n1, n2 := int32(math.MaxInt32), int32(math.MaxInt32), int32(math.MaxInt32)
	take := func(j int) {
		if int32(row[j]) >= n2>>16 {
			return
		}
		d := int32(row[j])<<16 | int32(j)
		n2 = max(n1, d)
		n1 = max(n0, min(n1, d))
		n0 = min(n0, d)
	}
	j := 0
	for ; j < n && j < 8; j++ { // the first eight, which also gives a limit
		take(j)
	}
	for ; j < n && n2>>16 > 0; j += 8 {
		for near := below(row[j:], int(n2>>16)); near != 0; near &= near - 1 {
			take(j + bits.TrailingZeros64(near)/8)
		}
	}
	return [3]int32{n0, n1, n2}
}

// register finds up to keepTransform different ways to lay the query over the earlier clip, best first. qw x qh and ow x oh are the
// pictures' sizes at pictureSide. Mirrored queries are estimated in the mirrored picture and mirrored back, because MAGSAC finds no
// reflections (reuse method, trap). skip says which of the two need not be tried.
func register(q, o []side, skip func(flip bool) bool, qw, qh, ow, oh float64) []registered {
	type job struct {
		q, o *side
		m    []match
	}
	var jobs []job
	for i := range q {
		if skip(q[i].flip) {
			continue
		}
		for j := range o {
			if m := matchSides(&q[i], &o[j]); len(m) >= minInliers {
				jobs = append(jobs, job{&q[i], &o[j], m})
			}
		}
	}
	sort.SliceStable(jobs, func(a, b int) bool { return len(jobs[a].m) > len(jobs[b].m) })
	var found []registered
	for _, j := range jobs[:min(tryPairs, len(jobs))] {
		h, inliers, residual := homography(j.q, j.o, j.m)
		if inliers < minInliers {
			continue
		}
		t := h.scaled(1/qw, 1/qh, 1/ow, 1/oh)
		if j.q.flip {
			t = t.times(forms[FlipY])
		}
		if area, ok := t.sane(); ok {
			// Points of a small picture in the query are as exact as any there; laid over the earlier clip they lie as far off as they are enlarged.
			smaller := residual / max(1, math.Sqrt(area*ow*oh/(qw*qh)))
			found = append(found, registered{t, inliers, len(j.m), residual, smaller, j.q, j.o, j.m, h})
		}
	}
	sort.SliceStable(found, func(a, b int) bool { return found[a].inliers > found[b].inliers })
	var out []registered
	for _, f := range found {
		if len(out) < keepTransform && !similarTo(out, f.t) {
			out = append(out, f)
		}
	}
	return out
}

// similarTo says whether a transform puts the corners within 2 % of where another one puts them.
func similarTo(have []registered, t Transform) bool {
	for _, h := range have {
		if h.t.far(t) < 0.02 {
			return true
		}
	}
	return false
}

// homography runs MAGSAC on matched points, in pixels at pictureSide; residual is the median distance of its inliers in pixels.
func homography(q, o *side, m []match) (Transform, int, float64) {
	src := gocv.NewMatWithSize(len(m), 1, gocv.MatTypeCV32FC2)
	dst := gocv.NewMatWithSize(len(m), 1, gocv.MatTypeCV32FC2)
	mask := gocv.NewMat()
	defer src.Close()
	defer dst.Close()
	defer mask.Close()
	a, errA := src.DataPtrFloat32()
	b, errB := dst.DataPtrFloat32()
	if errA != nil || errB != nil {
		return Transform{}, 0, 0
	}
	for i, p := range m {
		a[2*i], a[2*i+1] = q.points[p.q].X, q.points[p.q].Y
		b[2*i], b[2*i+1] = o.points[p.o].X, o.points[p.o].Y
	}
	res := gocv.FindHomography(src, dst, magsac, reprojection, &mask, magsacIters, confidence)
	defer res.Close()
	if res.Empty() || res.Rows() != 3 || res.Cols() != 3 {
		return Transform{}, 0, 0
	}
	var t Transform
	for i := range t {
		t[i] = res.GetDoubleAt(i/3, i%3)
	}
	in, err := mask.DataPtrUint8()
	if err != nil {
		return Transform{}, 0, 0
	}
	var errs []float64
	for i, p := range m {
		if in[i] == 0 {
			continue
		}
		x, y := t.apply(float64(q.points[p.q].X), float64(q.points[p.q].Y))
		errs = append(errs, math.Hypot(x-float64(o.points[p.o].X), y-float64(o.points[p.o].Y)))
	}
	if len(errs) == 0 {
		return Transform{}, 0, 0
	}
	sort.Float64s(errs)
	return t, len(errs), errs[len(errs)/2]
}
