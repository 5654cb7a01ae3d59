package scene

import (
	"context"
	"fmt"
	"image"
	"math"
	"sort"

	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

// Models is what the scene check needs from outside: package models gives it, tests give a fake.
type Models interface {
	// TextMap takes a BGR picture whose sides are multiples of 32 and gives a map of the same size: how likely each pixel belongs to
	// the core of a line of text.
	TextMap(ctx context.Context, img models.Image) (models.ProbMap, error)
	// ReadText reads one upright line of text, BGR, 48 pixels high.
	ReadText(ctx context.Context, img models.Image) (models.Reading, error)
}

// Post-processing of the text detector: values of PP-OCRv4's own configuration (DBPostProcess), verified in the first trials.
const (
	textPixel  = 0.3 // a pixel belongs to a line
	textMean   = 0.6 // mean probability inside a line's rectangle
	textUnclip = 1.5 // the model marks the shrunk core of a line: grow by area * unclip / perimeter
	textShort  = 3.0 // pixels of the map; shorter sides are noise
	textGrid   = 32  // sides of the detector's input
)

// line is one rectangle that may hold a line of text, in pixels of the frame. The reading direction is (cos, sin) of angle.
type line struct {
	cx, cy, w, h float64
	angle        float64 // radians, -pi/4..pi/4
	score        float64
}

// outline is the rectangle's corners, clockwise from the upper left one.
func (l line) outline() []pipeline.Point {
	c, s := math.Cos(l.angle), math.Sin(l.angle)
	at := func(x, y float64) pipeline.Point {
		return pipeline.Point{X: l.cx + x*c - y*s, Y: l.cy + x*s + y*c}
	}
	return []pipeline.Point{at(-l.w/2, -l.h/2), at(l.w/2, -l.h/2), at(l.w/2, l.h/2), at(-l.w/2, l.h/2)}
}

// enlarge bounds how much a small picture is blown up for the detector: it misses letters that nearly fill it.
const enlarge = 2.0

// smallestLine is the height in pixels of the frame below which a line cannot be read.
const smallestLine = 8.0

// findLines looks for lines of text in a frame (BGR), scaled to a long side of side pixels; largest first. Those that are bent come as
// rectangles, too: around what the detector saw of them. With small, only places are looked at where small text can be.
func findLines(ctx context.Context, m Models, frame gocv.Mat, side int, small bool) ([]line, []bend, error) {
	w, h := frame.Cols(), frame.Rows()
	k := math.Min(enlarge, float64(side)/float64(max(w, h)))
	grid := func(v int) int { return max(textGrid, int(math.Round(float64(v)*k/textGrid))*textGrid) }
	in, err := media.Resized(frame, grid(w), grid(h))
	if err != nil {
		return nil, nil, fmt.Errorf("find text: %w", err)
	}
	textMap := m.TextMap
	if small {
		textMap = func(ctx context.Context, in models.Image) (models.ProbMap, error) { return busyMap(ctx, m, in) }
	}
	p, err := textMap(ctx, in)
	if err != nil {
		return nil, nil, fmt.Errorf("find text in a %d x %d picture: %w", in.W, in.H, err)
	}
	if p.W < 1 || p.H < 1 || len(p.P) != p.W*p.H {
		return nil, nil, fmt.Errorf("find text: the map has %d values for %d x %d", len(p.P), p.W, p.H)
	}
	lines, err := linesOf(p)
	if err != nil {
		return nil, nil, fmt.Errorf("find text: %w", err)
	}
	bends, err := bendsOf(p)
	if err != nil {
		return nil, nil, fmt.Errorf("find bent text: %w", err)
	}
	sx, sy := float64(w)/float64(p.W), float64(h)/float64(p.H)
	all := lines
	lines = lines[:0]
	for _, l := range all {
		if l = l.scaled(sx, sy); min(l.w, l.h) >= smallestLine {
			lines = append(lines, l)
		}
	}
	sort.SliceStable(lines, func(i, j int) bool { return lines[i].w*lines[i].h > lines[j].w*lines[j].h })
	for i := range bends {
		bends[i] = bends[i].scaled(sx, sy)
	}
	return lines, bends, nil
}

// scaled moves a rectangle to a picture stretched by sx, sy (nearly equal: rounding to the grid).
func (l line) scaled(sx, sy float64) line {
	c, s := math.Cos(l.angle), math.Sin(l.angle)
	fu, fv := math.Hypot(c*sx, s*sy), math.Hypot(s*sx, c*sy)
	l.angle = math.Atan2(s*sy, c*sx)
	l.cx, l.cy, l.w, l.h = l.cx*sx, l.cy*sy, l.w*fu, l.h*fv
	return l
}

// maskOf marks the pixels of a map that belong to a line. The result must be closed.
func maskOf(p models.ProbMap) (gocv.Mat, error) {
	bits := make([]byte, len(p.P))
	for i, v := range p.P {
		if v > textPixel {
			bits[i] = 255
		}
	}
	mask, err := gocv.NewMatFromBytes(p.H, p.W, gocv.MatTypeCV8UC1, bits)
	if err != nil {
		return gocv.Mat{}, fmt.Errorf("make a mask of %d x %d: %w", p.W, p.H, err)
	}
	return mask, nil
}

// linesOf turns the probability map into rectangles, in pixels of the map.
func linesOf(p models.ProbMap) ([]line, error) {
	mask, err := maskOf(p)
	if err != nil {
		return nil, err
	}
	defer mask.Close()
	contours := gocv.FindContours(mask, gocv.RetrievalExternal, gocv.ChainApproxSimple)
	defer contours.Close()
	var out []line
	for i := range contours.Size() {
		if l, ok := lineOf(p, contours.At(i)); ok {
			out = append(out, l)
		}
	}
	return out, nil
}

// lineOf makes a rectangle of one contour of the map, if it is a line of text.
func lineOf(p models.ProbMap, contour gocv.PointVector) (line, bool) {
	if contour.Size() < 4 {
		return line{}, false
	}
	r := gocv.MinAreaRect2f(contour)
	l := line{cx: float64(r.Center.X), cy: float64(r.Center.Y), w: float64(r.Width), h: float64(r.Height), angle: r.Angle * math.Pi / 180}
	// OpenCV 4.6 gives 0..90 degrees; turn it so that the width runs nearly level.
	for l.angle > math.Pi/4 {
		l.angle -= math.Pi / 2
		l.w, l.h = l.h, l.w
	}
	for l.angle < -math.Pi/4 {
		l.angle += math.Pi / 2
		l.w, l.h = l.h, l.w
	}
	if min(l.w, l.h) < textShort {
		return line{}, false
	}
	if l.score = meanInside(p, l); l.score < textMean {
		return line{}, false
	}
	grow := l.w * l.h * textUnclip / (2 * (l.w + l.h))
	l.w, l.h = l.w+2*grow, l.h+2*grow
	return l, true
}

// meanInside is the mean probability of the map inside the rectangle.
func meanInside(p models.ProbMap, l line) float64 {
	c, s := math.Cos(l.angle), math.Sin(l.angle)
	dx, dy := (math.Abs(c)*l.w+math.Abs(s)*l.h)/2, (math.Abs(s)*l.w+math.Abs(c)*l.h)/2
	var sum float64
	var n int
	for y := max(0, int(l.cy-dy)); y <= min(p.H-1, int(l.cy+dy)); y++ {
		for x := max(0, int(l.cx-dx)); x <= min(p.W-1, int(l.cx+dx)); x++ {
			u := (float64(x)-l.cx)*c + (float64(y)-l.cy)*s
			v := -(float64(x)-l.cx)*s + (float64(y)-l.cy)*c
			if math.Abs(u) <= l.w/2+.5 && math.Abs(v) <= l.h/2+.5 {
				sum += float64(p.P[y*p.W+x])
				n++
			}
		}
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

// boundsOf is the upright rectangle around an outline, inside a picture of w x h.
func boundsOf(outline []pipeline.Point, w, h int) pipeline.Box {
	x1, y1, x2, y2 := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, p := range outline {
		x1, y1, x2, y2 = math.Min(x1, p.X), math.Min(y1, p.Y), math.Max(x2, p.X), math.Max(y2, p.Y)
	}
	r := image.Rect(int(math.Floor(x1)), int(math.Floor(y1)), int(math.Ceil(x2)), int(math.Ceil(y2))).Intersect(image.Rect(0, 0, w, h))
	return pipeline.Box{X: r.Min.X, Y: r.Min.Y, W: r.Dx(), H: r.Dy()}
}
