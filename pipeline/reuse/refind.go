package reuse

import (
	"errors"
	"fmt"
	"image"
	"math"

	"gocv.io/x/gocv"
	"gonum.org/v1/gonum/mat"
)

// Points that were found in both photos say little about what lies between them: a second photo by a fixed camera has its background exactly
// where the first has it, and whoever moved has just no matched points. So every point of the earlier photo is looked for again in the
// query's picture, laid over it: its descriptor is computed where it must lie and a little around. In a copy, however coded, lit or cut, it
// is most alike there. In a second photo those on whoever moved are clearly more alike a pixel or more away, all others notwithstanding,
// or nowhere. Nothing more need be stored for it than the points; the query's own picture is at hand while it is checked.
//
// Chosen on half of 23 families of clips' frames and portraits; how many points may be lost also by stickers and logos of all of them.
// docs/benchmarks.md has the other half.
const (
	refindStep   = 1.25 // pixels at pictureSide between the places that are tried
	refindReach  = 2    // steps to each side
	refindSide   = 2*refindReach + 1
	refindSize   = 14.0 // diameter of the largest points that are looked for: larger ones lie less exactly
	refindLeast  = 20   // points without which nothing is said
	refindMost   = 100  // points that are looked for: half a millisecond each
	refindAlike  = 0.8  // cosine from which a point is found at all
	refindFar    = 1.2  // pixels off its place from which a point has moved
	refindBetter = 2.0  // times as alike: how much nearer 1 the cosine must be there
	refindSlack  = 0.01 // what cosines miss of 1 by rounding and interpolation
)

// refound is what became of the earlier photo's points in the query; the zero value says nothing.
type refound struct {
	points    int     // that were looked for
	moved     float64 // share that is found, and clearly elsewhere
	lost      float64 // share that is not found
	elsewhere [2]float64
}

// elsewhereAt are the shares of the points that refound.elsewhere goes by: of those that are found, so many are less better placed off their
// place. How much better is the logarithm of what the cosine misses of 1 on the point's place, by what it misses where it is most alike.
var elsewhereAt = [2]float64{0.9, 0.97}

// enough says that there were points enough to decide by.
func (r refound) enough() bool { return r.points >= refindLeast }

// grey is a picture at about its own size.
type grey struct {
	w, h int
	pix  []byte
}

// toGrey copies a picture (H x W x 3 BGR or H x W x 1, uint8) as brightness.
func toGrey(m gocv.Mat) (grey, error) {
	g := grey{w: m.Cols(), h: m.Rows()}
	if m.Channels() == 1 {
		g.pix = m.ToBytes()
		return g, nil
	}
	out := gocv.NewMat()
	defer out.Close()
	if err := gocv.CvtColor(m, &out, gocv.ColorBGRToGray); err != nil {
		return grey{}, fmt.Errorf("keep a photo while it is checked: %w", err)
	}
	g.pix = out.ToBytes()
	return g, nil
}

// refind looks for points of an earlier photo, whose picture is w x h pixels at pictureSide, in the query's picture, which turn lays over it.
func refind(picture *grey, points []Point, turn Transform, w, h int) (refound, error) {
	back, ok := turn.inverse()
	if !ok || picture.w == 0 {
		return refound{}, nil
	}
	var wanted []Point
	for i := range points {
		if p := &points[i]; p.Size <= refindSize && p.inView(back, w, h) {
			wanted = append(wanted, *p)
		}
	}
	if len(wanted) < refindLeast {
		return refound{}, nil
	}
	some := evenly(len(wanted), refindMost)
	for i, k := range some {
		wanted[i] = wanted[k]
	}
	wanted = wanted[:len(some)]
	laid, err := picture.laid(turn, w, h)
	if err != nil {
		return refound{}, err
	}
	defer laid.Close()
	d := newDetector(photoLook)
	defer d.Close()
	around, err := d.around(laid, wanted)
	if err != nil {
		return refound{}, err
	}
	found := make([]placed, len(wanted))
	for i := range wanted {
		found[i] = newPlaced(&wanted[i], &around[i])
	}
	at := smoothField(found, float64(w), float64(h))
	out := refound{points: len(found)}
	moved, lost := 0, 0
	var better []float64
	for i := range found {
		p := &found[i]
		if p.best < refindAlike {
			lost++
			continue
		}
		dx, dy := at(p.x, p.y)
		times := (1 - p.alike(dx, dy) + refindSlack) / (1 - p.best + refindSlack)
		if math.Hypot(p.dx-dx, p.dy-dy) > refindFar && times > refindBetter {
			moved++
		}
		better = append(better, math.Log(times))
	}
	if len(better) > 0 {
		for i, share := range elsewhereAt {
			out.elsewhere[i] = percentile(better, share)
		}
	}
	out.moved, out.lost = float64(moved)/float64(len(found)), float64(lost)/float64(len(found))
	return out, nil
}

// inView says whether the query shows the whole surroundings of a point. back takes fractions of the earlier picture to fractions of the query.
func (p *Point) inView(back Transform, w, h int) bool {
	const edge = 0.004
	r := 2 * p.Size
	for _, c := range [4][2]float32{{-r, -r}, {r, -r}, {-r, r}, {r, r}} {
		x, y := float64(p.X+c[0])/float64(w), float64(p.Y+c[1])/float64(h)
		if !(x >= 0 && y >= 0 && x < 1 && y < 1) {
			return false
		}
		if x, y = back.apply(x, y); !(x > edge && y > edge && x < 1-edge && y < 1-edge) {
			return false
		}
	}
	return true
}

// laid is the picture as turn lays it over one of w x h pixels. Where it is larger than that it is made smaller first, so that what lies
// between the pixels is not left out.
func (g *grey) laid(turn Transform, w, h int) (gocv.Mat, error) {
	src, err := gocv.NewMatFromBytes(g.h, g.w, gocv.MatTypeCV8UC1, g.pix)
	if err != nil {
		return gocv.Mat{}, fmt.Errorf("lay a photo over an earlier one: %w", err)
	}
	defer src.Close()
	area, _ := turn.sane() // share of the earlier picture that the query takes
	if s := math.Sqrt(float64(g.w*g.h) / max(1, area*float64(w*h))); s > 1.2 {
		small := image.Pt(max(1, int(math.Round(float64(g.w)/s))), max(1, int(math.Round(float64(g.h)/s))))
		if err := gocv.Resize(src, &src, small, 0, 0, gocv.InterpolationArea); err != nil {
			return gocv.Mat{}, fmt.Errorf("lay a photo over an earlier one: shrink it: %w", err)
		}
	}
	m := gocv.NewMatWithSize(3, 3, gocv.MatTypeCV64FC1)
	defer m.Close()
	for i, v := range turn.scaled(float64(src.Cols()), float64(src.Rows()), float64(w), float64(h)) {
		m.SetDoubleAt(i/3, i%3, v)
	}
	out := gocv.NewMat()
	if err := gocv.WarpPerspective(src, &out, m, image.Pt(w, h)); err != nil {
		return gocv.Mat{}, errors.Join(fmt.Errorf("lay a photo over an earlier one: %w", err), out.Close())
	}
	return out, nil
}

// surface is how alike a point is at the places that are tried, row by row.
type surface [refindSide * refindSide]float64

// around computes the descriptors of points in a grey picture at their places and around them, and how alike they are.
func (d *detector) around(m gocv.Mat, points []Point) ([]surface, error) {
	keys := make([]gocv.KeyPoint, 0, len(points)*len(surface{}))
	for i := range points {
		p := &points[i]
		for k := range len(surface{}) {
			dx, dy := float64(k%refindSide-refindReach)*refindStep, float64(k/refindSide-refindReach)*refindStep
			keys = append(keys, gocv.KeyPoint{X: float64(p.X) + dx, Y: float64(p.Y) + dy, Size: float64(p.Size), Angle: float64(p.Angle), Octave: siftOctave(float64(p.Size))})
		}
	}
	got, desc := d.sift.Compute(m, d.mask, keys)
	defer desc.Close()
	values, err := desc.DataPtrFloat32()
	if err != nil {
		return nil, fmt.Errorf("look for points again: read the descriptors: %w", err)
	}
	if len(got) != len(keys) || len(values) != len(keys)*128 {
		return nil, fmt.Errorf("look for points again: SIFT gave %d values for %d places", len(values), len(keys))
	}
	out := make([]surface, len(points))
	var desc8 [128]uint8
	for i := range out {
		for k := range out[i] {
			rootSIFT(&desc8, values[:128])
			values = values[128:]
			out[i][k] = float64(cosine(&points[i].Desc, &desc8))
		}
	}
	return out, nil
}

// siftOctave is octave and layer of a point by its diameter, packed as OpenCV's SIFT wants them: a diameter of 1.6 * 2^(octave + layer/3), layers
// 1 to 3, octave -1 the picture at twice its size.
func siftOctave(size float64) int {
	const sigma, layers = 1.6, 3
	l := max(1, int(math.Round(layers*math.Log2(size/sigma))))
	octave := (l - 1) / layers
	return (octave-1)&0xff | (l-layers*octave)<<8
}

// placed is a point that was looked for.
type placed struct {
	x, y   float64 // in the earlier picture
	on     *surface
	best   float64 // cosine where it is most alike
	dx, dy float64 // how far that is off, pixels
}

func newPlaced(p *Point, on *surface) placed {
	top := 0
	for k, v := range on {
		if v > on[top] {
			top = k
		}
	}
	row, col := top/refindSide, top%refindSide
	out := placed{x: float64(p.X), y: float64(p.Y), on: on, best: on[top]}
	fx, fy := float64(col-refindReach), float64(row-refindReach)
	if col > 0 && col < refindSide-1 {
		off, gain := vertex(on[top-1], on[top], on[top+1])
		fx, out.best = fx+off, out.best+gain
	}
	if row > 0 && row < refindSide-1 {
		off, gain := vertex(on[top-refindSide], on[top], on[top+refindSide])
		fy, out.best = fy+off, out.best+gain
	}
	out.best = min(out.best, 1)
	out.dx, out.dy = fx*refindStep, fy*refindStep
	return out
}

// vertex is where the parabola through three values, the middle one the largest, has its vertex: its place, -0.5..0.5, and what it is more.
func vertex(a, b, c float64) (at, gain float64) {
	bend := a - 2*b + c
	if bend > -1e-6 {
		return 0, 0
	}
	at = (a - c) / 2 / bend
	return at, max(0, -(a-c)*at/4)
}

// alike is the cosine at a displacement in pixels, between the places that were tried.
func (p *placed) alike(dx, dy float64) float64 {
	const last = refindSide - 1
	x, y := min(max(dx/refindStep+refindReach, 0), last), min(max(dy/refindStep+refindReach, 0), last)
	i, j := min(int(x), last-1), min(int(y), last-1)
	u, v := x-float64(i), y-float64(j)
	at := p.on[j*refindSide+i:]
	return (1-v)*((1-u)*at[0]+u*at[1]) + v*((1-u)*at[refindSide]+u*at[refindSide+1])
}

// fieldTerms are the numbers of a field: constant, linear and quadratic.
const fieldTerms = 6

func fieldRow(x, y, w, h float64) [fieldTerms]float64 {
	u, v := x/w-.5, y/h-.5
	return [fieldTerms]float64{1, u, v, u * u, u * v, v * v}
}

// smoothField is the displacement, over a picture of w x h, that most points share: what the registration left over, and a lens or a screen
// bent. Least squares made anew, each time with less weight for points that are far off.
func smoothField(found []placed, w, h float64) func(x, y float64) (dx, dy float64) {
	const again = 10
	ridge := [fieldTerms]float64{.1, 1, 1, 20, 20, 20} // keeps bends near zero that few points speak for
	sure, weight := make([]float64, len(found)), make([]float64, len(found))
	for i, p := range found {
		if p.best > .5 {
			sure[i] = p.best * p.best / (1.02 - p.best*p.best)
		}
		weight[i] = sure[i]
	}
	var fit mat.Dense
	field := func(x, y float64) (dx, dy float64) {
		for k, v := range fieldRow(x, y, w, h) {
			dx, dy = dx+v*fit.At(k, 0), dy+v*fit.At(k, 1)
		}
		return dx, dy
	}
	for n := range again {
		a, b := mat.NewDense(fieldTerms, fieldTerms, nil), mat.NewDense(fieldTerms, 2, nil)
		for k, r := range ridge {
			a.Set(k, k, r)
		}
		for i, p := range found {
			row := fieldRow(p.x, p.y, w, h)
			for j, v := range row {
				for k, u := range row {
					a.Set(j, k, a.At(j, k)+weight[i]*v*u)
				}
				b.Set(j, 0, b.At(j, 0)+weight[i]*v*p.dx)
				b.Set(j, 1, b.At(j, 1)+weight[i]*v*p.dy)
			}
		}
		if err := fit.Solve(a, b); err != nil { // the ridge makes it solvable
			return func(float64, float64) (float64, float64) { return 0, 0 }
		}
		scale := max(.3, 2-.3*float64(n))
		for i, p := range found {
			dx, dy := field(p.x, p.y)
			far := math.Hypot(p.dx-dx, p.dy-dy) / scale
			g := 1 / (1 + far*far)
			weight[i] = sure[i] * g * g
		}
	}
	return field
}
