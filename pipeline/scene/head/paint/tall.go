package paint

import (
	"image"
	"image/color"
)

// tall draws a house of several storeys from across the street, with shops on its ground floor or without.
func (c *canvas) tall(shops bool, photos []image.Image) error {
	b := c.Bounds()
	sky := uint8(150 + c.r.IntN(100))
	c.shade(b, color.RGBA{sky - 30, sky - 10, sky, 255}, color.RGBA{sky, sky, sky, 255})
	roof, street, floor := c.between(0, 0.22), c.between(0.86, 0.96), c.between(0.55, 0.74)
	wall := pick(c, walls)
	c.bricks(box(b, c.between(0, 0.12), roof, c.between(0.88, 1), street), wall, 3+c.r.IntN(8))
	ground := uint8(80 + c.r.IntN(90))
	c.shade(box(b, 0, street, 1, 1), color.RGBA{ground / 2, ground / 2, ground / 2, 255}, color.RGBA{ground, ground, ground, 255})
	frame := pick(c, []color.RGBA{{40, 40, 42, 255}, {240, 240, 238, 255}, {90, 60, 40, 255}, mix(wall, color.RGBA{0, 0, 0, 255}, 0.5)})
	storeys, n := 2+c.r.IntN(3), 3+c.r.IntN(4)
	high := (floor - roof) / float64(storeys)
	for s := range storeys {
		y := roof + float64(s)*high
		if c.chance(0.4) { // a ledge between the storeys
			c.fill(box(b, 0.05, y, 0.95, y+0.01), mix(wall, color.RGBA{255, 255, 255, 255}, 0.4))
		}
		for i := range n {
			x := 0.1 + 0.8*(float64(i)+0.25)/float64(n)
			c.window(box(b, x, y+high*0.22, x+0.4/float64(n), y+high*0.86), frame, photos, c.between(0.2, 0.6), 1)
		}
	}
	if !shops {
		for i := range n {
			x := 0.1 + 0.8*(float64(i)+0.25)/float64(n)
			if i == n/2 {
				c.fill(box(b, x, floor+0.06, x+0.4/float64(n), street), mix(frame, pick(c, strong), 0.4))
				continue
			}
			c.window(box(b, x, floor+0.05, x+0.4/float64(n), street-0.08), frame, photos, c.between(0.2, 0.6), 1)
		}
		return nil
	}
	shop := 1 + c.r.IntN(3) // shops side by side
	for i := range shop {
		part := box(b, 0.08+0.84*float64(i)/float64(shop), floor, 0.08+0.84*float64(i+1)/float64(shop), street)
		c.fill(part, mix(pick(c, strong), color.RGBA{60, 55, 50, 255}, c.between(0, 0.8)))
		panes := 2 + c.r.IntN(3)
		for k := range panes {
			w := box(part, (float64(k)+0.08)/float64(panes), 0.34, (float64(k)+0.92)/float64(panes), c.between(0.9, 1))
			if c.chance(0.4) {
				if err := c.goods(w); err != nil {
					return err
				}
				c.dim(w, c.between(0.4, 0.9))
				continue
			}
			c.window(w, frame, photos, c.between(0.25, 0.9), 1)
		}
		if err := c.sign(box(part, 0.03, 0.03, 0.97, 0.28)); err != nil {
			return err
		}
		if c.chance(0.35) { // an awning
			a, cloth := box(part, 0, 0.28, 1, 0.46), pick(c, strong)
			for k := 0; k < 12; k += 2 {
				c.fill(box(a, float64(k)/12, 0, float64(k+1)/12, 1), cloth)
				c.fill(box(a, float64(k+1)/12, 0, float64(k+2)/12, 1), color.RGBA{240, 238, 230, 255})
			}
		}
	}
	return nil
}

// facing draws a tall house and looks at it from the front or from the side.
func (c *canvas) facing(outside []image.Image, shops bool, inside []image.Image) (*canvas, error) {
	if err := c.tall(shops, inside); err != nil {
		return nil, err
	}
	if c.chance(0.3) {
		return c.aslant(outside), nil
	}
	return c.seen(outside), nil
}
