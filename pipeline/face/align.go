package face

import (
	"errors"
	"fmt"
	"image"
	"math"

	"gocv.io/x/gocv"

	"onsite/models"
)

// alignedSize is the side of an aligned face in pixels (ArcFace): quality is measured at it, whatever the embedder takes.
const alignedSize = 112

// frame is how an aligned face lies in its picture.
type frame struct {
	w, h   int
	points [5]Point
}

// arcFace is the frame that quality is measured in, and that the built-in embedder takes.
var arcFace = frame{alignedSize, alignedSize, template}

// frameOf is the frame that the embedder takes, as its manifest says; ArcFace's where the models do not tell.
func frameOf(m Models) frame {
	a, ok := m.(interface {
		FaceAlignment() (w, h int, points [5]models.Point)
	})
	if !ok {
		return arcFace
	}
	w, h, points := a.FaceAlignment()
	if w == 0 || h == 0 { // opened without an embedder: nothing will be embedded
		return arcFace
	}
	f := frame{w: w, h: h}
	for i, p := range points {
		f.points[i] = Point(p)
	}
	return f
}

// template is where ArcFace wants left eye, right eye, nose tip and mouth corners in a 112 x 112 picture (insightface, arcface_torch:
// the five points of the 112 x 96 alignment moved 8 pixels to the right).
var template = [5]Point{{38.2946, 51.6963}, {73.5318, 51.5014}, {56.0252, 71.7366}, {41.5493, 92.3655}, {70.7299, 92.2041}}

// five reduces the 68 points to the five of the template: eyes as means of the lid points (corners are less stable), nose tip, mouth
// corners as means of outer and inner corner.
func five(l *[68]Point) [5]Point {
	return [5]Point{
		middle(l, 37, 38, 40, 41),
		middle(l, 43, 44, 46, 47),
		l[30],
		middle(l, 48, 60),
		middle(l, 54, 64),
	}
}

func middle(l *[68]Point, at ...int) Point {
	var p Point
	for _, i := range at {
		p.X += l[i].X
		p.Y += l[i].Y
	}
	return Point{p.X / float32(len(at)), p.Y / float32(len(at))}
}

// alignedSquare is the upright square of the size that the aligned face has in the picture, around the middle of eyes and mouth; ok is false
// when the points make no face or the square lies outside the picture.
func alignedSquare(l *[68]Point, w, h int) (box, bool) {
	p := five(l)
	s, _ := fit(p, template)
	if !s.usable() {
		return box{}, false
	}
	side := alignedSize / s.scale()
	cx := float64(p[0].X+p[1].X+p[3].X+p[4].X) / 4
	cy := float64(p[0].Y+p[1].Y+p[3].Y+p[4].Y) / 4
	b := box{x1: cx - side/2, y1: cy - side/2, x2: cx + side/2, y2: cy + side/2}
	return b, side >= 8 && side < 4*float64(max(w, h)) && !b.rect(w, h).Empty()
}

// similarity maps (x, y) to (a*x - b*y + tx, b*x + a*y + ty): turn, scale and shift.
type similarity struct{ a, b, tx, ty float64 }

// fit is the similarity that brings src nearest to dst in the least-squares sense (closed form for two dimensions, without reflection),
// and the RMS distance that is left, in pixels of dst.
func fit(src, dst [5]Point) (similarity, float64) {
	const n = float64(len(src))
	var mx, my, ux, uy float64
	for i := range src {
		mx += float64(src[i].X) / n
		my += float64(src[i].Y) / n
		ux += float64(dst[i].X) / n
		uy += float64(dst[i].Y) / n
	}
	var a, b, d float64
	for i := range src {
		x, y := float64(src[i].X)-mx, float64(src[i].Y)-my
		u, v := float64(dst[i].X)-ux, float64(dst[i].Y)-uy
		a += x*u + y*v
		b += x*v - y*u
		d += x*x + y*y
	}
	if d == 0 {
		return similarity{}, math.Inf(1)
	}
	s := similarity{a: a / d, b: b / d}
	s.tx = ux - s.a*mx + s.b*my
	s.ty = uy - s.b*mx - s.a*my
	var sum float64
	for i := range src {
		x, y := s.apply(float64(src[i].X), float64(src[i].Y))
		sum += (x-float64(dst[i].X))*(x-float64(dst[i].X)) + (y-float64(dst[i].Y))*(y-float64(dst[i].Y))
	}
	return s, math.Sqrt(sum / n)
}

func (s similarity) apply(x, y float64) (float64, float64) {
	return s.a*x - s.b*y + s.tx, s.b*x + s.a*y + s.ty
}

// scale is how much larger the picture gets.
func (s similarity) scale() float64 { return math.Hypot(s.a, s.b) }

// usable tells whether the similarity turns points into points: it does not when the landmarks were one point, or no numbers.
func (s similarity) usable() bool {
	k := s.scale()
	return k > 0 && !math.IsInf(k, 0) && !math.IsNaN(s.tx+s.ty)
}

// errNotAFace says that landmarks cannot be brought to the template: whatever was detected is no face that could be compared.
var errNotAFace = errors.New("align a face")

// align brings the face with the given landmarks in a BGR picture to the frame's points: dst becomes w x h, BGR, uint8. A large face is first
// halved, so that few pixels are skipped; parts outside the picture are black.
func (f frame) align(p *pyramid, l *[68]Point, dst *gocv.Mat) error {
	points := five(l)
	s, _ := fit(points, f.points)
	if !s.usable() {
		return fmt.Errorf("%w: its five points are one", errNotAFace)
	}
	times := 0
	for s.scale()*float64(int(2)<<times) <= shrinkTo {
		times++
	}
	// The part of the picture that the frame needs, with a margin of a few pixels for the interpolation.
	part, ok, err := p.part(f.source(s), times)
	if err != nil {
		return fmt.Errorf("align a face: %w", err)
	}
	if !ok {
		return fmt.Errorf("%w: it lies outside the %d x %d picture", errNotAFace, p.picture.Cols(), p.picture.Rows())
	}
	defer part.pix.Close()
	for i := range points {
		x, y := part.at(float64(points[i].X), float64(points[i].Y))
		points[i] = Point{float32(x), float32(y)}
	}
	s, _ = fit(points, f.points)
	return f.warp(part.pix, s, dst)
}

// shrinkTo: bilinear sampling skips pixels when a picture gets smaller than one half, so a large face is first halved, as often as it stays
// at least 1/0.8 of the template's size.
const shrinkTo = 0.8

// source is the bounding box of the frame in the picture, with a margin.
func (f frame) source(s similarity) image.Rectangle {
	k := s.a*s.a + s.b*s.b
	var r image.Rectangle
	for i, c := range [4][2]float64{{0, 0}, {float64(f.w), 0}, {0, float64(f.h)}, {float64(f.w), float64(f.h)}} {
		u, v := c[0]-s.tx, c[1]-s.ty
		x, y := (s.a*u+s.b*v)/k, (-s.b*u+s.a*v)/k
		p := image.Rect(int(math.Floor(x)), int(math.Floor(y)), int(math.Ceil(x))+1, int(math.Ceil(y))+1)
		if i == 0 {
			r = p
		} else {
			r = r.Union(p)
		}
	}
	return r.Inset(-4)
}

func (f frame) warp(picture gocv.Mat, s similarity, dst *gocv.Mat) error {
	if err := warp(picture, [6]float64{s.a, -s.b, s.tx, s.b, s.a, s.ty}, image.Pt(f.w, f.h), gocv.InterpolationLinear, dst); err != nil {
		return fmt.Errorf("align a face: %w", err)
	}
	return nil
}
