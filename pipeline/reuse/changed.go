package reuse

import (
	"fmt"
	"image"
	"math"
	"slices"

	"gocv.io/x/gocv"
	"gonum.org/v1/gonum/mat"
)

// Points say nothing of people who have few of them: before a fixed camera a second photo has its background exactly where the first has it,
// and somebody in plain clothes who stands elsewhere now is just no point. So of a photo the 32 x 32 grey grid of a clip's motion is kept,
// as a track of one frame, and compared with the query's cells, laid over it. A copy differs by what smooth changes of light, tone,
// sharpness and place explain, and by noise, which the calmer half of its own cells tells; whoever moved leaves cells that differ by much
// more. An overlay does too, but it fills a box; one such box is left out.
//
// How many of them changed is one of the things that file photo.go weighs; where no points could be looked for again, changedMost decides
// alone, and more than changedEver are always another photo. Where half of the cells are off by more than unlikeGrey, noise would be taken from what changed, and nothing stood out: nothing is
// said then. (Of 280 blurred, dark, noisy, hard compressed and inverted copies of 56 photos none is off by more than 5; of those with clipped
// lights one in twenty by more than 8; of 168 pairs of strangers 19 in 20.) In the grid's outermost cells a picture has its frame, a line or
// bars: they are not compared.
const (
	changedSide  = 160 // long side, pixels, at which the query is laid over, as a clip's motion is
	changedLeast = 60  // cells without which nothing is said
	changedTimes = 4.0 // times what noise predicts from which a cell has changed
	changedGrey  = 5.0 // and grey levels
	changedMost  = 32  // cells that may have changed where no points could be looked for again
	changedEver  = 150 // and where they could: somebody in plain clothes has no points, and takes a seventh of the picture
	changedFew   = 10  // cells up to which it is a copy where all points are found in their places, however fine its texture is
	unlikeGrey   = 8.0 // grey levels by which the middle one of the cells may be off
	noiseLeast   = 1.0 // grey levels
	edgeLeast    = 0.05
	edgeSteep    = 3.0    // grey levels per cell from which a cell lies on an edge
	halfNormal   = 0.6745 // median of a normal distribution's absolute values
	boxCells     = 12     // cells that an overlay has at least
	boxFilled    = 0.6    // share of its box that has changed
)

// changed are the cells in which two photos differ; the zero value says nothing.
type changed struct {
	cells int // that were compared
	found int // of them, those that differ
}

func (c changed) enough() bool { return c.cells >= changedLeast }

// frame is a picture as a motion track of one frame.
func (g *grey) frame() (track, error) {
	t, err := g.moments()
	if err != nil {
		return track{}, err
	}
	t.n, t.valid, t.v = 1, t.valid[:1], t.v[:t.w*t.h]
	return t, nil
}

// moments is the picture and the squares of its grey levels by 255, as a track of two frames: means of its pixels.
func (g *grey) moments() (track, error) {
	src, err := gocv.NewMatFromBytes(g.h, g.w, gocv.MatTypeCV8UC1, g.pix)
	if err != nil {
		return track{}, fmt.Errorf("shrink a photo of %d x %d: %w", g.w, g.h, err)
	}
	defer src.Close()
	all, squares := gocv.NewMat(), gocv.NewMat()
	defer all.Close()
	defer squares.Close()
	w, h := pictureSize(g.w, g.h)
	w, h = max(1, w*changedSide/pictureSide), max(1, h*changedSide/pictureSide)
	t := track{n: 2, w: w, h: h, valid: []bool{true, true}}
	err = src.ConvertTo(&all, gocv.MatTypeCV32FC1)
	if err == nil {
		err = gocv.Multiply(all, all, &squares)
	}
	for _, m := range []*gocv.Mat{&all, &squares} {
		if err == nil {
			err = gocv.Resize(*m, m, image.Pt(w, h), 0, 0, gocv.InterpolationArea)
		}
		if err == nil {
			var v []float32
			v, err = m.DataPtrFloat32()
			t.v = append(t.v, v...)
		}
	}
	if err != nil {
		return track{}, fmt.Errorf("shrink a photo of %d x %d to %d x %d: %w", g.w, g.h, w, h, err)
	}
	for i := w * h; i < len(t.v); i++ {
		t.v[i] /= 255
	}
	return t, nil
}

// changes compares the query's picture, which turn lays over the earlier photo, with that photo's grid.
func (g *grey) changes(theirs *track, turn Transform) (changed, error) {
	back, ok := turn.inverse()
	if !ok || g.w == 0 || theirs.n != 1 || !theirs.valid[0] {
		return changed{}, nil
	}
	t, err := g.moments()
	if err != nil {
		return changed{}, err
	}
	m := newWarp(back, t.w, t.h, cells)
	ours, use := m.apply(&t, 1), m.covered()
	n := 0
	for i := range use {
		x, y := i%cells, i/cells
		use[i] = use[i] && x > 0 && y > 0 && x < cells-1 && y < cells-1
		if use[i] {
			n++
		}
	}
	if n < changedLeast {
		return changed{}, nil
	}
	off, typical, ok := unexplained(ours.frame(0), ours.frame(1), theirs.v, use)
	if !ok || typical > unlikeGrey {
		return changed{}, nil
	}
	slope := slopes(theirs.v)
	is := outliers(off, slope, use)
	if box, ok := filledBox(is); ok {
		for i := range use {
			if image.Pt(i%cells, i/cells).In(box) {
				use[i] = false
			}
		}
		is = outliers(off, slope, use)
	}
	out := changed{}
	for i, ok := range use {
		if ok {
			out.cells++
		}
		if is[i] {
			out.found++
		}
	}
	return out, nil
}

// lightTerms are the numbers by which one photo's cells may follow from the other's: the tone (with its root and powers up to four; and how much
// the cell's own pixels differ, because the mean of changed tones is not the changed tone of the mean), light that changes over the picture, a
// plane's small moves, sharpness.
const lightTerms = 23

// lightRow gives them for cell i of a grid of means and one of mean squares by 255.
func lightRow(v, squares []float32, use []bool, i int) [lightTerms]float64 {
	cx, cy := i%cells, i/cells
	at := func(x, y int) float64 {
		x, y = min(max(x, 0), cells-1), min(max(y, 0), cells-1)
		if k := y*cells + x; use[k] {
			return float64(v[k])
		}
		return float64(v[i])
	}
	here := float64(v[i])
	gx, gy := (at(cx+1, cy)-at(cx-1, cy))/20, (at(cx, cy+1)-at(cx, cy-1))/20
	bend := (at(cx+1, cy) + at(cx-1, cy) + at(cx, cy+1) + at(cx, cy-1) - 4*here) / 10
	spread := max(0, float64(squares[i])*255-here*here) / 1000
	x, y, t := float64(cx)/cells-0.5, float64(cy)/cells-0.5, here/128-1
	return [lightTerms]float64{1, x, y, x * x, x * y, y * y, t, t * t, t * t * t, t * x, t * y, math.Sqrt(here / 255), t * t * t * t, spread, spread * t, spread * t * t,
		gx, gy, x * gx, y * gx, x * gy, y * gy, bend}
}

// unexplained is what is left of the earlier photo's cells, in grey levels, when all that the query's explain is taken away: least squares
// made anew, each time with less weight for cells that are far off. A lamp's reflection is local: the median of nine by nine cells is
// taken off, too. typical is the median of what is left before that, in grey levels; ok is false where the least squares have no solution.
func unexplained(ours, squares, theirs []float32, use []bool) (left []float64, typical float64, ok bool) {
	const again, reach = 7, 4
	var at []int
	var rows [][lightTerms]float64
	for i, ok := range use {
		if ok {
			at, rows = append(at, i), append(rows, lightRow(ours, squares, use, i))
		}
	}
	weight, far := make([]float64, len(rows)), make([]float64, len(rows))
	for i := range weight {
		weight[i] = 1
	}
	off := make([]float64, len(use))
	for n := range again {
		a, b := mat.NewDense(lightTerms, lightTerms, nil), mat.NewDense(lightTerms, 1, nil)
		sums, right := a.RawMatrix().Data, b.RawMatrix().Data
		for k := range lightTerms {
			sums[k*lightTerms+k] = 0.01 // makes it solvable
		}
		for k := range rows {
			r := &rows[k]
			for i, v := range r {
				v *= weight[k]
				for j, u := range r {
					sums[i*lightTerms+j] += v * u
				}
				right[i] += v * float64(theirs[at[k]])
			}
		}
		var fit mat.Dense
		if err := fit.Solve(a, b); err != nil {
			return nil, 0, false
		}
		for k := range rows {
			s := 0.0
			for i, v := range rows[k] {
				s += v * fit.At(i, 0)
			}
			off[at[k]] = float64(theirs[at[k]]) - s
			far[k] = math.Abs(off[at[k]])
		}
		typical = percentile(far, 0.5)
		scale := max(1, 2*typical)
		if n < 4 {
			scale = max(2, 3*typical)
		}
		for k, d := range far {
			g := 1 / (1 + d/scale*d/scale)
			weight[k] = g * g
		}
	}
	out := make([]float64, len(use))
	for _, i := range at {
		var near []float64
		for y := max(0, i/cells-reach); y <= min(cells-1, i/cells+reach); y++ {
			for x := max(0, i%cells-reach); x <= min(cells-1, i%cells+reach); x++ {
				if use[y*cells+x] {
					near = append(near, off[y*cells+x])
				}
			}
		}
		slices.Sort(near)
		out[i] = off[i] - near[len(near)/2]
	}
	return out, typical, true
}

// slopes is how steep a grid is, in grey levels per cell.
func slopes(v []float32) []float64 {
	out := make([]float64, len(v))
	for i := range v {
		x, y := i%cells, i/cells
		dx := v[y*cells+min(x+1, cells-1)] - v[y*cells+max(x-1, 0)]
		dy := v[min(y+1, cells-1)*cells+x] - v[max(y-1, 0)*cells+x]
		out[i] = math.Hypot(float64(dx), float64(dy)) / 2
	}
	return out
}

// outliers are the cells that are off by more than noise predicts. Noise is what the flatter half of the cells has, and on edges a share of
// the slope more, as the others have it: edges lie nowhere exactly.
func outliers(off, slope []float64, use []bool) []bool {
	var all []float64
	for i, ok := range use {
		if ok {
			all = append(all, slope[i])
		}
	}
	is := make([]bool, len(use))
	if len(all) == 0 {
		return is
	}
	slices.Sort(all)
	middle := all[len(all)/2]
	var flat, steep []float64
	for i, ok := range use {
		if ok && slope[i] <= middle {
			flat = append(flat, math.Abs(off[i]))
		}
	}
	slices.Sort(flat)
	noise, edge := max(noiseLeast, flat[len(flat)/2]/halfNormal), edgeLeast
	for i, ok := range use {
		if ok && slope[i] > middle && slope[i] > edgeSteep {
			steep = append(steep, max(0, math.Abs(off[i])-halfNormal*noise)/slope[i])
		}
	}
	if len(steep) > 10 {
		slices.Sort(steep)
		edge = max(edge, steep[len(steep)/2]/halfNormal)
	}
	for i, ok := range use {
		d := math.Abs(off[i])
		is[i] = ok && d > changedGrey && d > changedTimes*math.Hypot(noise, edge*slope[i])
	}
	return is
}

// filledBox is the box, a cell wider to all sides, around the largest group of neighbours among the cells, where they fill it as an
// overlay does.
func filledBox(is []bool) (image.Rectangle, bool) {
	seen := make([]bool, len(is))
	var box image.Rectangle
	most := 0
	for i := range is {
		if !is[i] || seen[i] {
			continue
		}
		seen[i] = true
		todo, n := []int{i}, 0
		var around image.Rectangle
		for len(todo) > 0 {
			k := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			n++
			x, y := k%cells, k/cells
			around = around.Union(image.Rect(x, y, x+1, y+1))
			for b := max(0, y-1); b <= min(cells-1, y+1); b++ {
				for a := max(0, x-1); a <= min(cells-1, x+1); a++ {
					if j := b*cells + a; is[j] && !seen[j] {
						seen[j] = true
						todo = append(todo, j)
					}
				}
			}
		}
		if n > most {
			most, box = n, around
		}
	}
	if most < boxCells || float64(most) < boxFilled*float64(box.Dx()*box.Dy()) {
		return image.Rectangle{}, false
	}
	return box.Inset(-1), true
}
