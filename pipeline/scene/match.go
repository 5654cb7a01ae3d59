package scene

import (
	"math"
	"slices"
	"sort"

	"gocv.io/x/gocv"

	"onsite/pipeline"
)

// Numbers of the planar matcher. measure_test.go prints the tables they were chosen from.
const (
	// ratioTest is Lowe's ratio between the best and the second best distance (Lowe 2004 uses 0.8; 0.75 is OpenCV's tutorial value).
	ratioTest = 0.75
	// reprojectionPixels is RANSAC's tolerance at the size at which frames are matched.
	reprojectionPixels = 4.0
	ransacRounds       = 2000
	ransacConfidence   = 0.995
	// fewestMatches is where a homography (8 unknowns, 4 pairs) becomes worth trying.
	fewestMatches = 5
	// scaleTolerance is how much a keypoint's size may differ from what the homography makes of it: two neighbouring octaves.
	scaleTolerance = 2.0

	// A plane seen from a usable direction keeps opposite sides within sideRatio of each other and no corner flatter or sharper than
	// these angles; beyond that no text or logo could be made out either.
	sideRatio      = 4.0
	smallestCorner = 25.0 // degrees
	largestCorner  = 155.0
	// The outline's area against the reference's: from a logo of 20 pixels to a reference 30 times smaller than what is in view.
	smallestArea = 0.002
	largestArea  = 30.0
)

// match is one reference found, or not, in one frame.
type match struct {
	Inliers  int     // distinct places of the reference that agree on one plausible plane; 0 when none is plausible
	Coverage float64 // share of the reference's area that the inliers span, 0..1
	Outline  []pipeline.Point
	Mirrored bool
	hom      [9]float64 // from the reference, as it was matched (flipped for a mirrored clip), to the frame
}

// pair is one keypoint of the reference (q) with its partner in the frame (t).
type pair struct {
	q, t     int
	distance float64
}

// pairsOf finds for every keypoint of the reference its nearest one in the frame, and keeps it when the second nearest is clearly farther.
// Several keypoints of the reference may want the same one of the frame; the nearest gets it.
func pairsOf(ref, frame *keypoints) []pair {
	if len(ref.at) == 0 || len(frame.at) < 2 {
		return nil
	}
	matcher := gocv.NewBFMatcher() // L2
	defer matcher.Close()
	taken := make(map[int]pair, len(ref.at)/4)
	for _, two := range matcher.KnnMatch(ref.desc, frame.desc, 2) {
		if len(two) < 2 || two[0].Distance >= ratioTest*two[1].Distance {
			continue
		}
		p := pair{q: two[0].QueryIdx, t: two[0].TrainIdx, distance: two[0].Distance}
		if old, ok := taken[p.t]; !ok || p.distance < old.distance || (p.distance == old.distance && p.q < old.q) {
			taken[p.t] = p
		}
	}
	out := make([]pair, 0, len(taken))
	for _, p := range taken {
		out = append(out, p)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].q < out[j].q })
	return out
}

// matchPlane looks for a flat reference of w x h (pixels of its keypoints) in a frame. tolerance is in pixels of the frame's keypoints.
func matchPlane(ref, frame *keypoints, w, h, tolerance float64) match {
	return matchPairs(ref, frame, pairsOf(ref, frame), w, h, tolerance)
}

// matchPairs is matchPlane for pairs that were made before.
func matchPairs(ref, frame *keypoints, pairs []pair, w, h, tolerance float64) match {
	if len(pairs) < fewestMatches {
		return match{}
	}
	hom, inlier, ok := homography(ref, frame, pairs, tolerance)
	if !ok {
		return match{}
	}
	outline, ok := plausible(hom, w, h)
	if !ok {
		return match{}
	}
	seen := make(map[[4]int]bool, len(pairs))
	var kept []gocv.Point2f
	for i, p := range pairs {
		if !inlier[i] {
			continue
		}
		a, b := ref.at[p.q], frame.at[p.t]
		if !scaleAgrees(hom, a, float64(ref.size[p.q]), float64(frame.size[p.t])) {
			continue
		}
		// One corner can give several keypoints (directions, octaves): it counts once, here and there.
		key := [4]int{int(a.X * 96 / float32(max(w, h))), int(a.Y * 96 / float32(max(w, h)))}
		there := [4]int{int(b.X / float32(tolerance)), int(b.Y / float32(tolerance)), 1, 0}
		if seen[key] || seen[there] {
			continue
		}
		seen[key], seen[there] = true, true
		kept = append(kept, a)
	}
	return match{Inliers: len(kept), Coverage: hullArea(kept) / (w * h), Outline: outline, hom: hom}
}

// homography is the plane's 3 x 3 map from the reference to the frame, with the pairs that agree with it.
func homography(ref, frame *keypoints, pairs []pair, tolerance float64) ([9]float64, []bool, bool) {
	a, b := make([]gocv.Point2f, len(pairs)), make([]gocv.Point2f, len(pairs))
	for i, p := range pairs {
		a[i], b[i] = ref.at[p.q], frame.at[p.t]
	}
	return planeThrough(a, b, tolerance)
}

// planeThrough is the homography that most of the points agree with.
func planeThrough(a, b []gocv.Point2f, tolerance float64) ([9]float64, []bool, bool) {
	from, to := gocv.NewMatWithSize(len(a), 1, gocv.MatTypeCV32FC2), gocv.NewMatWithSize(len(b), 1, gocv.MatTypeCV32FC2)
	defer from.Close()
	defer to.Close()
	for i := range a {
		from.SetFloatAt(i, 0, a[i].X)
		from.SetFloatAt(i, 1, a[i].Y)
		to.SetFloatAt(i, 0, b[i].X)
		to.SetFloatAt(i, 1, b[i].Y)
	}
	mask := gocv.NewMat()
	defer mask.Close()
	// OpenCV's RANSAC starts from a fixed seed: the same pairs give the same plane.
	m := gocv.FindHomography(from, to, gocv.HomographyMethodRANSAC, tolerance, &mask, ransacRounds, ransacConfidence)
	defer m.Close()
	var h [9]float64
	if m.Empty() || m.Rows() != 3 || m.Cols() != 3 || mask.Rows() != len(a) {
		return h, nil, false
	}
	for i := range h {
		h[i] = m.GetDoubleAt(i/3, i%3)
		if math.IsNaN(h[i]) || math.IsInf(h[i], 0) {
			return h, nil, false
		}
	}
	in := make([]bool, len(a))
	for i := range in {
		in[i] = mask.GetUCharAt(i, 0) != 0
	}
	return h, in, true
}

// project maps a point; the third value is the denominator, whose sign tells whether the point lies before the camera.
func project(h [9]float64, x, y float64) (float64, float64, float64) {
	d := h[6]*x + h[7]*y + h[8]
	return (h[0]*x + h[1]*y + h[2]) / d, (h[3]*x + h[4]*y + h[5]) / d, d
}

// plausible gives the outline of the reference (w x h) in the frame if a camera could see the plane so: all corners before the camera,
// not mirrored, convex, neither too small nor too large nor squeezed to a line.
func plausible(h [9]float64, w, hgt float64) ([]pipeline.Point, bool) {
	corners := [4][2]float64{{0, 0}, {w, 0}, {w, hgt}, {0, hgt}}
	out := make([]pipeline.Point, 4)
	var sign float64
	for i, c := range corners {
		x, y, d := project(h, c[0], c[1])
		if math.Abs(d) < 1e-9 || (i > 0 && d*sign <= 0) {
			return nil, false
		}
		sign = d
		out[i] = pipeline.Point{X: x, Y: y}
	}
	var area float64
	var side [4]float64
	for i := range out {
		a, b, c := out[i], out[(i+1)%4], out[(i+2)%4]
		ux, uy, vx, vy := b.X-a.X, b.Y-a.Y, c.X-b.X, c.Y-b.Y
		side[i] = math.Hypot(ux, uy)
		// Clockwise on the screen (y down), as the reference itself: every turn is positive.
		cross := ux*vy - uy*vx
		if cross <= 0 {
			return nil, false
		}
		angle := 180 - math.Atan2(cross, ux*vx+uy*vy)*180/math.Pi
		if angle < smallestCorner || angle > largestCorner {
			return nil, false
		}
		area += (a.X*b.Y - b.X*a.Y) / 2
	}
	if r := area / (w * hgt); r < smallestArea || r > largestArea {
		return nil, false
	}
	for i := range 2 {
		if r := side[i] / side[i+2]; r > sideRatio || r < 1/sideRatio {
			return nil, false
		}
	}
	return out, true
}

// scaleAgrees tells whether a keypoint of size a at p becomes one of about size b under the homography.
func scaleAgrees(h [9]float64, p gocv.Point2f, a, b float64) bool {
	x, y := float64(p.X), float64(p.Y)
	px, py, d := project(h, x, y)
	// Determinant of the map's derivative at p.
	j11, j12 := (h[0]-px*h[6])/d, (h[1]-px*h[7])/d
	j21, j22 := (h[3]-py*h[6])/d, (h[4]-py*h[7])/d
	det := j11*j22 - j12*j21
	if det <= 0 || a <= 0 {
		return false
	}
	r := b / (a * math.Sqrt(det))
	return r > 1/scaleTolerance && r < scaleTolerance
}

// hullArea is the area of the convex hull of the points (monotone chain).
func hullArea(in []gocv.Point2f) float64 {
	if len(in) < 3 {
		return 0
	}
	p := append([]gocv.Point2f(nil), in...)
	sort.Slice(p, func(i, j int) bool {
		if p[i].X != p[j].X {
			return p[i].X < p[j].X
		}
		return p[i].Y < p[j].Y
	})
	half := func(p []gocv.Point2f) []gocv.Point2f {
		var h []gocv.Point2f
		for _, c := range p {
			for len(h) >= 2 {
				a, b := h[len(h)-2], h[len(h)-1]
				if float64(b.X-a.X)*float64(c.Y-a.Y)-float64(b.Y-a.Y)*float64(c.X-a.X) > 0 {
					break
				}
				h = h[:len(h)-1]
			}
			h = append(h, c)
		}
		return h
	}
	lower := half(p)
	back := make([]gocv.Point2f, len(p))
	for i, c := range p {
		back[len(p)-1-i] = c
	}
	hull := slices.Concat(lower[:len(lower)-1], half(back))
	var area float64
	for i := range hull {
		a, b := hull[i], hull[(i+1)%len(hull)]
		area += float64(a.X)*float64(b.Y) - float64(b.X)*float64(a.Y)
	}
	return math.Abs(area) / 2
}
