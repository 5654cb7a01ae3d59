package reuse

import "math"

// Limits of backdrop, in grey levels.
const (
	backdropStill = 0.6 // rms change per 0.1 s below which a cell stands still
	backdropCells = 100 // still cells without which nothing is said
	backdropSame  = 0.8 // correlation from which a reader is told, where the earlier footage is another person's; it decides nothing
)

// backdrop is the correlation, 0..1, of the mean grey levels of the cells that stand still in both clips; 0 where too little does. A virtual background or a printed wall behind different people gives nearly
// 1, and so does a tablet that is screwed to a wall: nothing in a fingerprint tells these apart. So it is told in the check's detail and,
// of another person's footage, in words, for whoever looks into several people before one wall, and is never a finding by itself.
func (v *overlay) backdrop(e *earlierMotion) float64 {
	ours, theirs := cellMeans(&v.grid), cellMeans(&e.up)
	our, their := changes(&v.grid, 1), e.motion
	var still []int
	for c, ok := range v.covered {
		if ok && our[c] < backdropStill && their[c] < backdropStill {
			still = append(still, c)
		}
	}
	if len(still) < backdropCells {
		return 0
	}
	var mx, my, xx, yy, xy float64
	n := float64(len(still))
	for _, c := range still {
		mx, my = mx+ours[c]/n, my+theirs[c]/n
	}
	for _, c := range still {
		x, y := ours[c]-mx, theirs[c]-my
		xx, yy, xy = xx+x*x, yy+y*y, xy+x*y
	}
	return max(0, xy/math.Sqrt(xx*yy+1e-9))
}

// cellMeans is the mean of every cell over the valid frames.
func cellMeans(t *track) []float64 {
	m, n := make([]float64, t.w*t.h), 0
	for i, ok := range t.valid {
		if !ok {
			continue
		}
		n++
		for c, x := range t.frame(i) {
			m[c] += float64(x)
		}
	}
	for c := range m {
		m[c] /= float64(max(1, n))
	}
	return m
}
