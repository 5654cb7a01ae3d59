package paint

import (
	"image"
	"image/color"
	"image/draw"
)

// Names and distances of signs over a road, which are no shop's.
var ways = []string{"市中心 2km", "机场高速", "G45 北京方向", "人民路", "出口 800m", "火车站", "AIRPORT 5", "CITY CENTRE", "EXIT 12 A", "Hospital", "NORTH RING", "Station 1.2 km"}

// entrance draws a shop that is open to its front, as in a shopping street or a mall: its name over a wide opening or a glass wall, behind
// which the whole room is seen, and a floor that mirrors a little of it.
func (c *canvas) entrance(photos []image.Image) error {
	b := c.Bounds()
	wall := mix(pick(c, walls), pick(c, strong), c.between(0, 0.8))
	c.shade(b, mix(wall, color.RGBA{255, 255, 255, 255}, c.between(0, 0.25)), wall)
	lintel, sill := c.between(0.14, 0.34), c.between(0.84, 0.97)
	left, right := c.between(0, 0.1), c.between(0.9, 1)
	open := box(b, left, lintel, right, sill)
	if c.chance(0.3) {
		if err := c.goods(open); err != nil {
			return err
		}
		for _, f := range []float64{0.12, 0.88} { // light from the ceiling, a dark floor
			c.dim(box(open, 0, f-0.12, 1, f+0.12), c.between(0.5, 1.3))
		}
	} else {
		c.photo(open, pick(c, photos))
		c.dim(open, c.between(0.7, 1.2))
	}
	metal := pick(c, []color.RGBA{{40, 40, 42, 255}, {200, 200, 198, 255}, {120, 110, 90, 255}, wall})
	if c.chance(0.7) { // glass between posts, and a way in
		n, gap := 2+c.r.IntN(4), 1+c.r.IntN(3)
		w := max(2, b.Dx()/120)
		for i := 1; i <= n; i++ {
			x := open.Min.X + open.Dx()*i/(n+1)
			c.fill(image.Rect(x-w, open.Min.Y, x+w, open.Max.Y), metal)
			if i != gap && c.chance(0.5) {
				c.gleam(image.Rect(x, open.Min.Y, x+open.Dx()/(n+1), open.Max.Y))
			}
		}
		c.frame(open, 2*w, metal)
	}
	floor := image.Rect(b.Min.X, open.Max.Y, b.Max.X, b.Max.Y)
	tone := uint8(110 + c.r.IntN(110))
	c.shade(floor, color.RGBA{tone, tone, tone, 255}, color.RGBA{tone / 2, tone / 2, tone / 2, 255})
	c.board = box(b, c.between(0, 0.2), lintel*c.between(0.1, 0.3), c.between(0.8, 1), lintel*c.between(0.8, 0.97))
	if c.chance(0.5) {
		return c.sign(c.board)
	}
	if err := c.line(c.board, pick(c, names), c.contrast(wall), false); err != nil { // letters on the wall itself
		return err
	}
	if c.chance(0.4) { // the name once more, on the glass
		at := box(open, c.between(0, 0.5), c.between(0.2, 0.6), 1, 1)
		return c.line(box(at, 0, 0, 0.45, 0.2), pick(c, names), color.RGBA{245, 245, 240, 255}, false)
	}
	return nil
}

// post draws a sign on posts in front of the sky or a street: a shop's, round, oval or square, or one over a road.
func (c *canvas) post(shop bool, photos []image.Image) error {
	b := c.Bounds()
	if c.chance(0.6) {
		c.shade(b, color.RGBA{90, 150, 220, 255}, color.RGBA{225, 235, 245, 255})
	} else {
		c.photo(b, pick(c, photos))
	}
	r := box(b, c.between(0.08, 0.25), c.between(0.03, 0.2), c.between(0.72, 0.95), c.between(0.55, 0.8))
	steel := color.RGBA{uint8(60 + c.r.IntN(120)), uint8(60 + c.r.IntN(120)), uint8(60 + c.r.IntN(120)), 255}
	for _, x := range [][]float64{{0.48}, {0.2, 0.76}}[c.r.IntN(2)] {
		c.fill(image.Rect(r.Min.X+int(x*float64(r.Dx())), r.Max.Y-r.Dy()/4, r.Min.X+int((x+0.05)*float64(r.Dx())), b.Max.Y), steel)
	}
	face := newCanvas(r.Dx(), r.Dy(), c.r, c.fonts)
	if shop {
		if err := face.sign(face.Bounds()); err != nil {
			return err
		}
	} else {
		ground := pick(c, []color.RGBA{{0, 90, 60, 255}, {20, 70, 150, 255}, {240, 240, 236, 255}})
		face.fill(face.Bounds(), ground)
		face.frame(box(face.Bounds(), 0.02, 0.03, 0.98, 0.97), max(2, r.Dx()/80), face.contrast(ground))
		for i := range 2 + c.r.IntN(3) {
			if err := face.line(box(face.Bounds(), 0.08, 0.08+0.22*float64(i), 0.92, 0.26+0.22*float64(i)), pick(c, ways), face.contrast(ground), c.chance(0.5)); err != nil {
				return err
			}
		}
	}
	round := shop && c.chance(0.5)
	for y := range r.Dy() {
		for x := range r.Dx() {
			u, v := 2*float64(x)/float64(r.Dx())-1, 2*float64(y)/float64(r.Dy())-1
			if !round || u*u+v*v <= 1 {
				c.SetRGBA(r.Min.X+x, r.Min.Y+y, face.RGBAAt(x, y))
			}
		}
	}
	return nil
}

// row draws shops side by side, half of them with goods in the window, with floors of windows above; without shops it is a row of houses.
func (c *canvas) row(shops bool, photos []image.Image) error {
	n := 2 + c.r.IntN(2)
	for i := range n {
		part := box(c.Bounds(), float64(i)/float64(n), 0, float64(i+1)/float64(n), 1)
		one := newCanvas(part.Dx(), part.Dy(), c.r, c.fonts)
		var err error
		if shops && c.chance(0.5) {
			err = one.stocked()
		} else {
			err = one.front(shops, photos)
		}
		if err != nil {
			return err
		}
		draw.Draw(c, part, one, image.Point{}, draw.Src)
	}
	return nil
}
