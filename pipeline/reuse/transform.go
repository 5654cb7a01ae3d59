package reuse

import (
	"math"
	"strconv"
	"strings"
)

// Transform takes positions of the query picture to positions of the earlier picture, both as fractions 0..1 (a 3 x 3 homography,
// row-major).
type Transform [9]float64

var identity = Transform{1, 0, 0, 0, 1, 0, 0, 0, 1}

// forms are the eight mirrored and rotated forms as transforms, in the order of PDQVariants.
var forms = [Forms]Transform{
	AsIs:      identity,
	Rotate90:  {0, 1, 0, -1, 0, 1, 0, 0, 1},
	Rotate180: {-1, 0, 1, 0, -1, 1, 0, 0, 1},
	Rotate270: {0, -1, 1, 1, 0, 0, 0, 0, 1},
	FlipX:     {1, 0, 0, 0, -1, 1, 0, 0, 1},
	FlipY:     {-1, 0, 1, 0, 1, 0, 0, 0, 1},
	FlipPlus:  {0, 1, 0, 1, 0, 0, 0, 0, 1},
	FlipMinus: {0, -1, 1, -1, 0, 1, 0, 0, 1},
}

func (t Transform) apply(x, y float64) (float64, float64) {
	w := t[6]*x + t[7]*y + t[8]
	return (t[0]*x + t[1]*y + t[2]) / w, (t[3]*x + t[4]*y + t[5]) / w
}

// times is the transform that first applies o, then t.
func (t Transform) times(o Transform) Transform {
	var r Transform
	for i := range 3 {
		for j := range 3 {
			for k := range 3 {
				r[3*i+j] += t[3*i+k] * o[3*k+j]
			}
		}
	}
	return r
}

// inverse is the way back; ok is false where there is none.
func (t Transform) inverse() (Transform, bool) {
	c0, c1, c2 := t[4]*t[8]-t[5]*t[7], t[5]*t[6]-t[3]*t[8], t[3]*t[7]-t[4]*t[6]
	det := t[0]*c0 + t[1]*c1 + t[2]*c2
	if math.Abs(det) < 1e-12 || math.IsNaN(det) {
		return Transform{}, false
	}
	return Transform{
		c0 / det, (t[2]*t[7] - t[1]*t[8]) / det, (t[1]*t[5] - t[2]*t[4]) / det,
		c1 / det, (t[0]*t[8] - t[2]*t[6]) / det, (t[2]*t[3] - t[0]*t[5]) / det,
		c2 / det, (t[1]*t[6] - t[0]*t[7]) / det, (t[0]*t[4] - t[1]*t[3]) / det,
	}, true
}

// scaled changes the units: from query pixels (qw x qh) to library pixels (ow x oh) where t is in fractions, or back with reciprocals.
func (t Transform) scaled(qw, qh, ow, oh float64) Transform {
	in := Transform{1 / qw, 0, 0, 0, 1 / qh, 0, 0, 0, 1}
	out := Transform{ow, 0, 0, 0, oh, 0, 0, 0, 1}
	return out.times(t).times(in)
}

// corners are where the query's corners lie in the earlier picture, in order around it.
func (t Transform) corners() [4][2]float64 {
	var c [4][2]float64
	for i, p := range [4][2]float64{{0, 0}, {1, 0}, {1, 1}, {0, 1}} {
		c[i][0], c[i][1] = t.apply(p[0], p[1])
	}
	return c
}

// far is how far apart two transforms put the query's corners at most, along one axis, as a share of the earlier picture.
func (t Transform) far(o Transform) float64 {
	d, c := 0.0, o.corners()
	for i, p := range t.corners() {
		d = max(d, math.Abs(p[0]-c[i][0]), math.Abs(p[1]-c[i][1]))
	}
	return d
}

// sane says whether the query's picture stays a convex quadrangle of 3 % to 3,000 % of the earlier picture (prototype's limits), and
// gives that area.
func (t Transform) sane() (area float64, ok bool) {
	c := t.corners()
	sign := 0.0
	for i := range 4 {
		a, b, d := c[i], c[(i+1)%4], c[(i+2)%4]
		cross := (b[0]-a[0])*(d[1]-b[1]) - (b[1]-a[1])*(d[0]-b[0])
		if cross == 0 || math.IsNaN(cross) || math.IsInf(cross, 0) || sign*cross < 0 {
			return 0, false
		}
		sign = cross
		area += (a[0]*b[1] - b[0]*a[1]) / 2
	}
	area = math.Abs(area)
	return area, area > 0.03 && area < 30
}

// nearTurn is how far, in degrees, an angle may lie from a quarter turn and still be named as one: registrations of moving people are off
// by a few degrees.
const nearTurn = 4

// name describes what was done to the earlier picture to get the query: none, or parts joined by "+": mirrored, rotated_90 (clockwise),
// cropped, padded. qw x qh and ow x oh are the pictures' sizes in one common unit.
func (t Transform) name(qw, qh, ow, oh float64) string {
	px := t.scaled(qw, qh, ow, oh)
	x0, y0 := px.apply(qw/2, qh/2)
	x1, y1 := px.apply(qw/2+1, qh/2)
	x2, y2 := px.apply(qw/2, qh/2+1)
	ax, ay, bx, by := x1-x0, y1-y0, x2-x0, y2-y0
	var parts []string
	if ax*by-ay*bx < 0 {
		parts = append(parts, "mirrored")
		ax, ay = -ax, -ay // undo the mirror of the query's x axis
	}
	// t turns the query back, so the query itself was turned the other way.
	angle := -math.Atan2(ay, ax) * 180 / math.Pi
	if angle < -nearTurn {
		angle += 360
	}
	if near := math.Round(angle/90) * 90; math.Abs(angle-near) <= nearTurn {
		angle = near
	}
	if r := int(math.Round(angle)) % 360; r != 0 {
		parts = append(parts, "rotated_"+strconv.Itoa(r))
	}
	switch area, _ := t.sane(); {
	case area < 0.93:
		parts = append(parts, "cropped")
	case area > 1.08:
		parts = append(parts, "padded")
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, "+")
}
