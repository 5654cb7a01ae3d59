package scene

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"

	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

// Text on a circle: oval signs, arches, badges. The detector sees such a line as one bent piece or as several, often without its ends, and
// a rectangle around it holds more background than letters. The pieces that lie on one circle are put together and read along it.
const (
	bentPiece   = 0.35 // mean probability of a piece: the ends of a bent line are weak
	bentBow     = 0.25 // of its thickness that a line must bow to be worth it: less, a rectangle reads as well
	bentFit     = 0.25 // of the thickness that the middle may lie from the circle (root mean square)
	bentGap     = 3.2  // thicknesses between two pieces of one line
	bentThin    = 0.33 // of the largest piece's thickness that a further one has at least: other lines of a sign are smaller
	bentReach   = 1.3  // heights by which the strip goes on past both ends
	bentLargest = 1.6  // of the longer side of the picture: beyond this radius nothing is bent
	bentPieces  = 24   // the largest that are looked at
	bentLines   = 2    // strips read per picture
)

// bend is a line of text along a circle, in pixels of the map or of the frame. from and to are the angles of its ends in the order of reading.
type bend struct {
	cx, cy, r, from, to, height float64
	outward                     bool // letters stand with their heads away from the centre
	n                           int  // pieces
}

// piece is a connected part of the map.
type piece struct {
	points []image.Point // its edge
	area   float64
	spine  [][2]float64
	thick  float64
}

// bendsOf finds lines of text along circles in a map, the largest first.
func bendsOf(p models.ProbMap) ([]bend, error) {
	mask, err := maskOf(p)
	if err != nil {
		return nil, err
	}
	defer mask.Close()
	contours := gocv.FindContours(mask, gocv.RetrievalExternal, gocv.ChainApproxNone)
	defer contours.Close()
	var pieces []piece
	for i := range contours.Size() {
		c := contours.At(i)
		if c.Size() < 8 {
			continue
		}
		area := gocv.ContourArea(c)
		if area < 4*textShort*textShort || meanOn(p, c) < bentPiece {
			continue
		}
		q := piece{points: c.ToPoints(), area: area}
		q.spine, q.thick = spine(q.points)
		pieces = append(pieces, q)
	}
	slices.SortStableFunc(pieces, func(a, b piece) int { return int(math.Copysign(1, b.area-a.area)) })
	pieces = pieces[:min(len(pieces), bentPieces)]
	used := make([]bool, len(pieces))
	var out []bend
	for i, seed := range pieces {
		if used[i] || len(out) == bentLines {
			continue
		}
		best, found := circle(p, []piece{seed})
		members := []int{i}
		group := []piece{seed}
		for {
			next, at := bend{}, -1
			for j, q := range pieces {
				if used[j] || slices.Contains(members, j) || q.thick > 2*seed.thick || q.thick < bentThin*seed.thick || !near(group, q, bentGap*seed.thick) {
					continue
				}
				if b, ok := circle(p, append(slices.Clone(group), q)); ok && (at < 0 || b.r < next.r) {
					next, at = b, j
				}
			}
			if at < 0 {
				break
			}
			best, found = next, true
			members, group = append(members, at), append(group, pieces[at])
		}
		if !found {
			continue
		}
		for _, m := range members {
			used[m] = true
		}
		out = append(out, best)
	}
	return out, nil
}

// near tells whether a piece lies within a distance of one of a group.
func near(group []piece, q piece, within float64) bool {
	for _, g := range group {
		for i := 0; i < len(g.points); i += 1 + len(g.points)/24 {
			for j := 0; j < len(q.points); j += 1 + len(q.points)/24 {
				d := g.points[i].Sub(q.points[j])
				if math.Hypot(float64(d.X), float64(d.Y)) <= within {
					return true
				}
			}
		}
	}
	return false
}

// spine puts points along the middle of a connected part: halfway between its edges, in steps along its longer axis, with its thickness there.
func spine(edge []image.Point) (middle [][2]float64, thick float64) {
	var n, sx, sy, sxx, syy, sxy float64
	for _, q := range edge {
		x, y := float64(q.X), float64(q.Y)
		n, sx, sy, sxx, syy, sxy = n+1, sx+x, sy+y, sxx+x*x, syy+y*y, sxy+x*y
	}
	mx, my := sx/n, sy/n
	a := .5 * math.Atan2(2*(sxy/n-mx*my), sxx/n-mx*mx-syy/n+my*my)
	c, s := math.Cos(a), math.Sin(a)
	lo, hi, vlo, vhi := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, q := range edge {
		x, y := float64(q.X)-mx, float64(q.Y)-my
		u, v := x*c+y*s, y*c-x*s
		lo, hi, vlo, vhi = math.Min(lo, u), math.Max(hi, u), math.Min(vlo, v), math.Max(vhi, v)
	}
	steps := min(24, max(1, int(2*(hi-lo)/math.Max(1, vhi-vlo))))
	if steps < 3 {
		return [][2]float64{{mx, my}}, vhi - vlo + 1
	}
	low, high := make([]float64, steps), make([]float64, steps)
	for i := range steps {
		low[i], high[i] = math.Inf(1), math.Inf(-1)
	}
	for _, q := range edge {
		x, y := float64(q.X)-mx, float64(q.Y)-my
		u, v := x*c+y*s, y*c-x*s
		i := min(steps-1, int(float64(steps)*(u-lo)/(hi-lo)))
		low[i], high[i] = math.Min(low[i], v), math.Max(high[i], v)
	}
	var thicks []float64
	for i := range steps {
		if high[i] < low[i] {
			continue
		}
		u, v := lo+(hi-lo)*(float64(i)+.5)/float64(steps), (low[i]+high[i])/2
		middle = append(middle, [2]float64{mx + u*c - v*s, my + u*s + v*c})
		thicks = append(thicks, high[i]-low[i]+1)
	}
	slices.Sort(thicks)
	return middle, thicks[len(thicks)/2]
}

// circle fits a circle to the middle of pieces (Kasa 1976: least squares of x2 + y2 + ax + by + c); ok is false where they do not lie along
// one, or along a straight line.
func circle(p models.ProbMap, pieces []piece) (bend, bool) {
	var thick float64
	var points [][2]float64
	for _, q := range pieces {
		points = append(points, q.spine...)
		thick = math.Max(thick, q.thick)
	}
	if len(points) < 4 {
		return bend{}, false
	}
	b, ok := fitted(points)
	if !ok {
		return bend{}, false
	}
	// Once more with the middle taken along the radius: along a chord it lies too far in.
	if finer := polar(b, pieces, thick); len(finer) >= 4 {
		if again, ok := fitted(finer); ok {
			b, points = again, finer
		}
	}
	b.n = len(pieces)
	n := float64(len(points))
	var sx, sy float64
	for _, q := range points {
		sx, sy = sx+q[0], sy+q[1]
	}
	if b.r > bentLargest*float64(max(p.W, p.H)) {
		return bend{}, false
	}
	var off float64
	middleAngle := math.Atan2(sy/n-b.cy, sx/n-b.cx)
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, q := range points {
		d := math.Hypot(q[0]-b.cx, q[1]-b.cy) - b.r
		off += d * d / n
		a := math.Remainder(math.Atan2(q[1]-b.cy, q[0]-b.cx)-middleAngle, 2*math.Pi)
		lo, hi = math.Min(lo, a), math.Max(hi, a)
	}
	lo, hi = lo-thick/4/b.r, hi+thick/4/b.r // the steps of a spine are half a thickness long
	length := (hi - lo) * b.r
	bow := b.r * (1 - math.Cos(math.Min(math.Pi, (hi-lo)/2)))
	// Nearly a whole ring: where it starts cannot be told.
	if hi-lo > 5 || math.Sqrt(off) > bentFit*thick || bow < bentBow*thick || length < 1.5*thick || b.r < thick {
		return bend{}, false
	}
	b.height = thick + thick*length/(length+thick)*textUnclip
	// Read from left to right: along the top of a circle clockwise, heads outward; along its bottom the other way round.
	b.outward = sy/n <= b.cy
	b.from, b.to = middleAngle+lo, middleAngle+hi
	if !b.outward {
		b.from, b.to = b.to, b.from
	}
	return b, true
}

// fitted is the circle through points.
func fitted(points [][2]float64) (bend, bool) {
	var n, sx, sy, sxx, syy, sxy, sxz, syz, sz float64
	for _, q := range points {
		x, y := q[0], q[1]
		z := x*x + y*y
		n, sx, sy, sxx, syy, sxy = n+1, sx+x, sy+y, sxx+x*x, syy+y*y, sxy+x*y
		sxz, syz, sz = sxz+x*z, syz+y*z, sz+z
	}
	// Centred normal equations.
	cxx, cyy, cxy := sxx-sx*sx/n, syy-sy*sy/n, sxy-sx*sy/n
	cxz, cyz := sxz-sx*sz/n, syz-sy*sz/n
	det := cxx*cyy - cxy*cxy
	if math.Abs(det) < 1e-6 {
		return bend{}, false
	}
	b := bend{cx: (cxz*cyy - cyz*cxy) / det / 2, cy: (cyz*cxx - cxz*cxy) / det / 2}
	for _, q := range points {
		b.r += math.Hypot(q[0]-b.cx, q[1]-b.cy) / n
	}
	return b, true
}

// polar puts points halfway between the inner and the outer edge of pieces, in steps of half a thickness along the circle.
func polar(b bend, pieces []piece, thick float64) [][2]float64 {
	var out [][2]float64
	step := math.Max(2, thick/2) / b.r
	for _, q := range pieces {
		type edge struct{ lo, hi float64 }
		at := map[int]edge{}
		var order []int
		for _, p := range q.points {
			dx, dy := float64(p.X)-b.cx, float64(p.Y)-b.cy
			i, r := int(math.Floor(math.Atan2(dy, dx)/step)), math.Hypot(dx, dy)
			e, ok := at[i]
			if !ok {
				e, order = edge{r, r}, append(order, i)
			}
			at[i] = edge{math.Min(e.lo, r), math.Max(e.hi, r)}
		}
		for _, i := range order {
			if e := at[i]; e.hi-e.lo > q.thick/2 { // the caps of a line have one edge
				a, r := (float64(i)+.5)*step, (e.lo+e.hi)/2
				out = append(out, [2]float64{b.cx + r*math.Cos(a), b.cy + r*math.Sin(a)})
			}
		}
	}
	return out
}

// meanOn is the mean probability of the map inside a contour's upright box where the map counts as text.
func meanOn(p models.ProbMap, c gocv.PointVector) float64 {
	r := gocv.BoundingRect(c).Intersect(image.Rect(0, 0, p.W, p.H))
	var sum float64
	n := 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if v := p.P[y*p.W+x]; v > textPixel {
				sum += float64(v)
				n++
			}
		}
	}
	return sum / math.Max(1, float64(n))
}

// scaled brings a bend from the map to a frame that is stretched by k.
func (b bend) scaled(kx, ky float64) bend {
	k := (kx + ky) / 2
	b.cx, b.cy, b.r, b.height = b.cx*kx, b.cy*ky, b.r*k, b.height*k
	return b
}

// reach lets the strip go on past its ends, for the letters that the detector did not see.
func (b bend) reach() bend {
	d := bentReach * b.height / b.r
	if b.to < b.from {
		d = -d
	}
	if over := math.Abs(b.to-b.from) + 2*math.Abs(d) - 6; over > 0 { // no letter twice
		d -= math.Copysign(over/2, d)
	}
	b.from, b.to = b.from-d, b.to+d
	return b
}

// at gives the point of a share of the line's length, at a height between the feet (0) and the heads (1) of the letters.
func (b bend) at(share, up float64) pipeline.Point {
	a := b.from + (b.to-b.from)*share
	r := b.r + (up-.5)*b.height
	if !b.outward {
		r = b.r - (up-.5)*b.height
	}
	return pipeline.Point{X: b.cx + r*math.Cos(a), Y: b.cy + r*math.Sin(a)}
}

// outline goes around the strip.
func (b bend) outline() []pipeline.Point {
	const steps = 8
	var out []pipeline.Point
	for i := range steps + 1 {
		out = append(out, b.at(float64(i)/steps, 1))
	}
	for i := steps; i >= 0; i-- {
		out = append(out, b.at(float64(i)/steps, 0))
	}
	return out
}

// line is the rectangle about the strip, for what asks for a word's place.
func (b bend) line() line {
	m := b.at(.5, .5)
	return line{cx: m.X, cy: m.Y, w: math.Abs(b.to-b.from) * b.r, h: b.height}
}

// straight cuts the strip out of a frame (BGR) and bends it straight: 48 pixels high, at most readWidth wide.
func (b bend) straight(frame gocv.Mat, mirrored bool) (models.Image, error) {
	w := widthFor(int(math.Abs(b.to-b.from)*b.r), max(1, int(b.height)))
	src, k := frame, 1.0
	if shrink := b.height / (1.5 * readHeight); shrink > 1 { // skipping pixels would make letters ragged
		small := gocv.NewMat()
		defer small.Close()
		size := image.Pt(max(1, int(float64(frame.Cols())/shrink)), max(1, int(float64(frame.Rows())/shrink)))
		if err := gocv.Resize(frame, &small, size, 0, 0, gocv.InterpolationArea); err != nil {
			return models.Image{}, fmt.Errorf("shrink a frame for a bent line: %w", err)
		}
		src, k = small, 1/shrink
	}
	mx, my := gocv.NewMatWithSize(readHeight, w, gocv.MatTypeCV32FC1), gocv.NewMatWithSize(readHeight, w, gocv.MatTypeCV32FC1)
	defer mx.Close()
	defer my.Close()
	for y := range readHeight {
		for x := range w {
			share := (float64(x) + .5) / float64(w)
			if mirrored {
				share = 1 - share
			}
			p := b.at(share, 1-(float64(y)+.5)/readHeight)
			mx.SetFloatAt(y, x, float32(p.X*k-.5))
			my.SetFloatAt(y, x, float32(p.Y*k-.5))
		}
	}
	out := gocv.NewMat()
	defer out.Close()
	if err := gocv.Remap(src, &out, &mx, &my, gocv.InterpolationLinear, gocv.BorderReplicate, color.RGBA{}); err != nil {
		return models.Image{}, fmt.Errorf("straighten a bent line: %w", err)
	}
	return media.View(out)
}
