package paint

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
	"math/rand/v2"

	xdraw "golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// canvas is one drawing in the making, with its random numbers.
type canvas struct {
	*image.RGBA
	r     *rand.Rand
	fonts []*opentype.Font
	board image.Rectangle // of a front: where its sign is
}

func newCanvas(w, h int, r *rand.Rand, fonts []*opentype.Font) *canvas {
	return &canvas{RGBA: image.NewRGBA(image.Rect(0, 0, w, h)), r: r, fonts: fonts}
}

// between gives a number from a up to b.
func (c *canvas) between(a, b float64) float64 { return a + c.r.Float64()*(b-a) }

func (c *canvas) chance(p float64) bool { return c.r.Float64() < p }

// box is a rectangle in fractions of another one.
func box(r image.Rectangle, x1, y1, x2, y2 float64) image.Rectangle {
	at := func(a, b int, f float64) int { return a + int(math.Round(float64(b-a)*f)) }
	return image.Rect(at(r.Min.X, r.Max.X, x1), at(r.Min.Y, r.Max.Y, y1), at(r.Min.X, r.Max.X, x2), at(r.Min.Y, r.Max.Y, y2))
}

func (c *canvas) fill(r image.Rectangle, col color.RGBA) {
	draw.Draw(c, r, image.NewUniform(col), image.Point{}, draw.Over)
}

// shade fills with a colour that changes from top to bottom.
func (c *canvas) shade(r image.Rectangle, top, bottom color.RGBA) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		c.fill(image.Rect(r.Min.X, y, r.Max.X, y+1), mix(top, bottom, float64(y-r.Min.Y)/float64(max(r.Dy()-1, 1))))
	}
}

func mix(a, b color.RGBA, t float64) color.RGBA {
	f := func(x, y uint8) uint8 { return uint8(math.Round(float64(x) + (float64(y)-float64(x))*t)) }
	return color.RGBA{f(a.R, b.R), f(a.G, b.G), f(a.B, b.B), 255}
}

// photo fills the rectangle with a part of a photo, keeping its proportions.
func (c *canvas) photo(r image.Rectangle, p image.Image) {
	b := p.Bounds()
	if r.Empty() || b.Empty() {
		return
	}
	zoom := c.between(0.55, 1) // share of the photo that is seen
	w, h := float64(b.Dx()), float64(b.Dy())
	if w/h > float64(r.Dx())/float64(r.Dy()) {
		w = h * float64(r.Dx()) / float64(r.Dy())
	} else {
		h = w * float64(r.Dy()) / float64(r.Dx())
	}
	w, h = max(w*zoom, 1), max(h*zoom, 1)
	x, y := float64(b.Min.X)+c.r.Float64()*(float64(b.Dx())-w), float64(b.Min.Y)+c.r.Float64()*(float64(b.Dy())-h)
	xdraw.ApproxBiLinear.Scale(c, r, p, image.Rect(int(x), int(y), int(x+w), int(y+h)), draw.Src, nil)
}

// dim darkens (f < 1) or brightens a part.
func (c *canvas) dim(r image.Rectangle, f float64) {
	r = r.Intersect(c.Bounds())
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			i := c.PixOffset(x, y)
			for k := range 3 {
				c.Pix[i+k] = clamp(float64(c.Pix[i+k]) * f)
			}
		}
	}
}

func clamp(v float64) uint8 { return uint8(max(0, min(255, math.Round(v)))) }

// frame draws the outline of a rectangle.
func (c *canvas) frame(r image.Rectangle, width int, col color.RGBA) {
	c.fill(image.Rect(r.Min.X, r.Min.Y, r.Max.X, r.Min.Y+width), col)
	c.fill(image.Rect(r.Min.X, r.Max.Y-width, r.Max.X, r.Max.Y), col)
	c.fill(image.Rect(r.Min.X, r.Min.Y, r.Min.X+width, r.Max.Y), col)
	c.fill(image.Rect(r.Max.X-width, r.Min.Y, r.Max.X, r.Max.Y), col)
}

// bricks gives a wall a texture: rows of stones in slightly different tones.
func (c *canvas) bricks(r image.Rectangle, base color.RGBA, size int) {
	c.fill(r, mix(base, color.RGBA{190, 185, 180, 255}, 0.5))
	for row, y := 0, r.Min.Y; y < r.Max.Y; row, y = row+1, y+size {
		for x := r.Min.X - (row%2)*size; x < r.Max.X; x += 2 * size {
			t := c.between(-0.12, 0.12)
			tone := mix(base, color.RGBA{0, 0, 0, 255}, max(t, 0))
			tone = mix(tone, color.RGBA{255, 255, 255, 255}, max(-t, 0))
			c.fill(image.Rect(x+1, y+1, x+2*size-1, y+size-1).Intersect(r), tone)
		}
	}
}

// write puts a line of text into the rectangle: as large as it fits, centred or from the left. It gives the height of the line.
func (c *canvas) write(r image.Rectangle, text string, f *opentype.Font, col color.RGBA, left bool) (int, error) {
	if r.Dx() < 4 || r.Dy() < 4 || text == "" {
		return 0, nil
	}
	size := float64(r.Dy()) * 0.8
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: 72})
	if err != nil {
		return 0, fmt.Errorf("draw text: %w", err)
	}
	if w := font.MeasureString(face, text).Ceil(); w > r.Dx() {
		size *= float64(r.Dx()) / float64(w)
		if face, err = opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: 72}); err != nil {
			return 0, fmt.Errorf("draw text: %w", err)
		}
	}
	x := r.Min.X
	if !left {
		x += (r.Dx() - font.MeasureString(face, text).Ceil()) / 2
	}
	y := r.Min.Y + (r.Dy()+int(size*0.7))/2
	d := font.Drawer{Dst: c, Src: image.NewUniform(col), Face: face, Dot: fixed.P(x, y)}
	d.DrawString(text)
	return int(size), nil
}

// warp draws a picture into the quadrilateral (top left, top right, bottom right, bottom left) of the canvas, as a camera sees a flat
// thing from the side.
func (c *canvas) warp(src *image.RGBA, quad [4][2]float64) {
	h := square(quad)
	b := c.Bounds()
	x1, y1, x2, y2 := quad[0][0], quad[0][1], quad[0][0], quad[0][1]
	for _, p := range quad {
		x1, y1, x2, y2 = min(x1, p[0]), min(y1, p[1]), max(x2, p[0]), max(y2, p[1])
	}
	area := image.Rect(int(x1), int(y1), int(x2)+1, int(y2)+1).Intersect(b)
	w, ht := float64(src.Rect.Dx()-1), float64(src.Rect.Dy()-1)
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			u, v := h.inverse(float64(x), float64(y))
			if u < 0 || v < 0 || u > 1 || v > 1 {
				continue
			}
			fx, fy := u*w, v*ht
			px, py := int(fx), int(fy)
			ax, ay := fx-float64(px), fy-float64(py)
			i := c.PixOffset(x, y)
			for k := range 3 {
				at := func(dx, dy int) float64 {
					return float64(src.Pix[src.PixOffset(src.Rect.Min.X+min(px+dx, int(w)), src.Rect.Min.Y+min(py+dy, int(ht)))+k])
				}
				c.Pix[i+k] = clamp((at(0, 0)*(1-ax)+at(1, 0)*ax)*(1-ay) + (at(0, 1)*(1-ax)+at(1, 1)*ax)*ay)
			}
			c.Pix[i+3] = 255
		}
	}
}

// projection maps the unit square onto a quadrilateral (Heckbert 1989).
type projection struct{ a, b, c, d, e, f, g, h float64 }

func square(q [4][2]float64) projection {
	dx1, dy1 := q[1][0]-q[2][0], q[1][1]-q[2][1]
	dx2, dy2 := q[3][0]-q[2][0], q[3][1]-q[2][1]
	sx, sy := q[0][0]-q[1][0]+q[2][0]-q[3][0], q[0][1]-q[1][1]+q[2][1]-q[3][1]
	det := dx1*dy2 - dx2*dy1
	g, h := (sx*dy2-dx2*sy)/det, (dx1*sy-sx*dy1)/det
	return projection{
		q[1][0] - q[0][0] + g*q[1][0], q[3][0] - q[0][0] + h*q[3][0], q[0][0],
		q[1][1] - q[0][1] + g*q[1][1], q[3][1] - q[0][1] + h*q[3][1], q[0][1], g, h,
	}
}

func (p projection) inverse(x, y float64) (u, v float64) {
	a, b := p.a-p.g*x, p.b-p.h*x
	d, e := p.d-p.g*y, p.e-p.h*y
	det := a*e - b*d
	return ((x-p.c)*e - b*(y-p.f)) / det, (a*(y-p.f) - (x-p.c)*d) / det
}
