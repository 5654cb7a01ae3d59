package paint

import (
	"image"
	"image/color"
)

// goods fills a rectangle with shelves of things to sell: rows of boxes, bottles and fruit, as they fill the window of a shop.
func (c *canvas) goods(r image.Rectangle) error {
	back := mix(pick(c, walls), color.RGBA{20, 18, 15, 255}, c.between(0, 0.7))
	c.shade(r, mix(back, color.RGBA{255, 245, 220, 255}, c.between(0, 0.5)), back)
	rows := 2 + c.r.IntN(4)
	for row := range rows {
		s := box(r, 0, float64(row)/float64(rows), 1, float64(row+1)/float64(rows))
		h := max(s.Dy(), 6)
		board := image.Rect(s.Min.X, s.Max.Y-max(h/14, 1), s.Max.X, s.Max.Y)
		c.fill(board, mix(back, color.RGBA{230, 215, 190, 255}, 0.5))
		shape, tone, vary := c.r.IntN(4), pick(c, strong), c.between(0.1, 1)
		for x := s.Min.X + 2; x < s.Max.X-3; {
			w := max(int(float64(h)*c.between(0.12, 0.5)), 3)
			top := board.Min.Y - int(float64(h)*c.between(0.4, 0.88))
			thing := image.Rect(x, top, x+w, board.Min.Y).Intersect(s)
			col := mix(tone, pick(c, strong), vary*c.r.Float64())
			if err := c.thing(thing, shape, mix(col, color.RGBA{0, 0, 0, 255}, c.between(0, 0.4))); err != nil {
				return err
			}
			x += w + 1 + c.r.IntN(max(w/2, 1))
		}
	}
	return nil
}

// thing draws one of the goods: a box with a label, a bottle, something round, or something that hangs, like clothes.
func (c *canvas) thing(r image.Rectangle, shape int, col color.RGBA) error {
	switch shape {
	case 0:
		c.shade(r, mix(col, color.RGBA{255, 255, 255, 255}, 0.2), col)
		if c.chance(0.4) {
			label := box(r, 0.1, 0.3, 0.9, 0.6)
			c.fill(label, color.RGBA{240, 235, 225, 255})
			return c.line(label, pick(c, lines), color.RGBA{40, 30, 30, 255}, false)
		}
	case 1:
		c.shade(box(r, 0.35, 0, 0.65, 0.35), col, col)
		c.shade(box(r, 0.05, 0.3, 0.95, 1), mix(col, color.RGBA{255, 255, 255, 255}, 0.25), col)
		c.fill(box(r, 0.05, 0.55, 0.95, 0.75), color.RGBA{235, 230, 215, 255})
	case 2:
		for y := r.Max.Y; y > r.Min.Y; y -= max(r.Dx(), 1) {
			c.disc(image.Rect(r.Min.X, y-r.Dx(), r.Max.X, y).Intersect(c.Rect), col)
		}
	default:
		c.shade(box(r, 0.1, 0, 0.9, 0.3), mix(col, color.RGBA{255, 255, 255, 255}, 0.3), col)
		c.shade(box(r, 0.2, 0.2, 0.8, 1), col, mix(col, color.RGBA{0, 0, 0, 255}, 0.3))
	}
	return nil
}

// stocked draws a shop whose front is nearly all window, or open, with goods from side to side; the picture often ends at its edges.
func (c *canvas) stocked() error {
	b := c.Bounds()
	c.bricks(b, pick(c, walls), 6+c.r.IntN(12))
	ground := color.RGBA{uint8(90 + c.r.IntN(70)), uint8(90 + c.r.IntN(70)), uint8(90 + c.r.IntN(70)), 255}
	street, floor := c.between(0.84, 0.96), c.between(0.02, 0.3)
	c.shade(box(b, 0, street, 1, 1), mix(ground, color.RGBA{0, 0, 0, 255}, 0.3), ground)
	board := c.between(0.08, 0.16)
	c.board = box(b, c.between(0, 0.1), floor, c.between(0.88, 1), floor+board)
	if err := c.sign(c.board); err != nil {
		return err
	}
	frame := pick(c, []color.RGBA{{40, 40, 42, 255}, {240, 240, 238, 255}, {90, 60, 40, 255}, {120, 125, 130, 255}})
	door := c.between(0.2, 0.75)
	for _, p := range [][2]float64{{0.02, door - 0.01}, {door + 0.13, 0.98}} {
		w := box(b, p[0], floor+board, p[1], street-c.between(0, 0.06))
		if w.Dx() < 12 || w.Dy() < 12 {
			continue
		}
		if err := c.goods(w); err != nil {
			return err
		}
		c.dim(w, c.between(0.5, 1.1))
		if c.chance(0.6) { // what the glass mirrors
			c.gleam(w)
			c.frame(w, max(2, w.Dx()/50), frame)
		}
	}
	d := box(b, door, floor+board, door+0.12, street)
	c.shade(d, color.RGBA{25, 22, 20, 255}, color.RGBA{70, 60, 50, 255})
	c.frame(d, max(2, d.Dx()/20), frame)
	if c.chance(0.4) { // crates on the pavement
		if err := c.goods(box(b, c.between(0, 0.3), street-0.14, c.between(0.5, 0.95), street+0.03)); err != nil {
			return err
		}
	}
	return nil
}

// gleam brightens a few slanted stripes of a window.
func (c *canvas) gleam(r image.Rectangle) {
	r = r.Intersect(c.Rect)
	slant, wide := c.between(-0.6, 0.6), max(int(float64(r.Dx())*c.between(0.1, 0.4)), 2)
	from := c.r.IntN(max(r.Dx(), 1))
	light := c.between(15, 70)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			at := x - r.Min.X - from + int(slant*float64(y-r.Min.Y))
			if at < 0 || at > wide {
				continue
			}
			i := c.PixOffset(x, y)
			for k := range 3 {
				c.Pix[i+k] = clamp(float64(c.Pix[i+k]) + light)
			}
		}
	}
}

// aslant looks along a front as somebody on the pavement does: one side is near and the other far.
func (c *canvas) aslant(photos []image.Image) *canvas {
	out := newCanvas(c.Rect.Dx()*3/4, c.Rect.Dy(), c.r, c.fonts)
	out.photo(out.Bounds(), pick(c, photos))
	w, h := float64(out.Rect.Dx()), float64(out.Rect.Dy())
	near, far := c.between(-0.3, 0), c.between(0.1, 0.32)
	left, right := near, far
	if c.chance(0.5) {
		left, right = far, near
	}
	edge := c.between(-0.1, 0.12) * w
	eye := c.between(0.5, 0.9) // height of the horizon: what is below it rises towards the far side
	up, down := 2*eye*h, 2*(1-eye)*h
	x1, x2 := 0.0, w
	if left > right {
		x1 = edge
	} else {
		x2 = w - edge
	}
	out.warp(c.RGBA, [4][2]float64{{x1, left * up}, {x2, right * up}, {x2, h - right*down}, {x1, h - left*down}})
	return out
}
