package attack

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"math/rand/v2"
)

// glyphs are 3 x 5 pixel characters, rows from the top, the most significant of three bits left. ffmpeg's own text filter needs fonts,
// which a machine may not have.
var glyphs = map[rune][5]uint8{
	'0': {7, 5, 5, 5, 7}, '1': {2, 6, 2, 2, 7}, '2': {7, 1, 7, 4, 7}, '3': {7, 1, 7, 1, 7}, '4': {5, 5, 7, 1, 1},
	'5': {7, 4, 7, 1, 7}, '6': {7, 4, 7, 5, 7}, '7': {7, 1, 1, 2, 2}, '8': {7, 5, 7, 5, 7}, '9': {7, 5, 7, 1, 7},
	':': {0, 2, 0, 2, 0}, '-': {0, 0, 7, 0, 0}, '.': {0, 0, 0, 0, 2}, ' ': {},
	'L': {4, 4, 4, 4, 7}, 'O': {7, 5, 5, 5, 7}, 'G': {7, 4, 5, 5, 7}, 'N': {5, 7, 7, 5, 5}, 'E': {7, 4, 6, 4, 7},
}

// write puts text into a picture, each pixel of a glyph size pixels wide.
func write(m draw.Image, x, y, size int, text string, c color.Color) {
	for _, r := range text {
		for row, bits := range glyphs[r] {
			for col := range 3 {
				if bits>>(2-col)&1 == 1 {
					draw.Draw(m, image.Rect(x+col*size, y+row*size, x+(col+1)*size, y+(row+1)*size), image.NewUniform(c), image.Point{}, draw.Src)
				}
			}
		}
		x += 4 * size
	}
}

// anyColour is a colour that is not dark.
func anyColour(r *rand.Rand) color.NRGBA {
	return color.NRGBA{uint8(40 + r.IntN(215)), uint8(40 + r.IntN(215)), uint8(40 + r.IntN(215)), 255}
}

// logo is a filled square of side n with a word in it.
func logo(r *rand.Rand, n int) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, n, n))
	draw.Draw(m, m.Bounds(), image.NewUniform(anyColour(r)), image.Point{}, draw.Src)
	s := max(1, n/20)
	write(m, (n-15*s)/2, n/2-2*s, s, "LOGO", color.White)
	return m
}

// sticker is a round face of diameter n on a clear ground.
func sticker(r *rand.Rand, n int) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, n, n))
	c, radius := anyColour(r), float64(n)/2
	in := func(x, y int, cx, cy, rad float64) bool {
		return math.Hypot(float64(x)-cx*float64(n), float64(y)-cy*float64(n)) <= rad*float64(n)
	}
	for y := range n {
		for x := range n {
			switch {
			case math.Hypot(float64(x)+0.5-radius, float64(y)+0.5-radius) > radius:
			case in(x, y, 0.33, 0.38, 0.07), in(x, y, 0.67, 0.38, 0.07), in(x, y, 0.5, 0.58, 0.22) && !in(x, y, 0.5, 0.5, 0.22):
				m.SetNRGBA(x, y, color.NRGBA{A: 255})
			default:
				m.SetNRGBA(x, y, c)
			}
		}
	}
	return m
}

// clouds is an unsharp background of the given size.
func clouds(r *rand.Rand, w, h int) image.Image {
	const gw, gh = 8, 6
	var grid [gh + 1][gw + 1][3]float64
	for y := range grid {
		for x := range grid[y] {
			for c := range 3 {
				grid[y][x][c] = 40 + 110*r.Float64()
			}
		}
	}
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		fy := float64(y) / float64(h) * gh
		y0 := int(fy)
		fy -= float64(y0)
		for x := range w {
			fx := float64(x) / float64(w) * gw
			x0 := int(fx)
			fx -= float64(x0)
			var v [3]uint8
			for c := range 3 {
				top := grid[y0][x0][c]*(1-fx) + grid[y0][x0+1][c]*fx
				low := grid[y0+1][x0][c]*(1-fx) + grid[y0+1][x0+1][c]*fx
				v[c] = uint8(top*(1-fy) + low*fy)
			}
			m.SetNRGBA(x, y, color.NRGBA{v[0], v[1], v[2], 255})
		}
	}
	return m
}

// moire is the beat of two pixel grids and the bands of a screen's refresh, as factors of at most 1; peak is what they were divided by.
func moire(r *rand.Rand, w, h int, strength float64) (m image.Image, peak float64) {
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	angle, period := r.Float64()*0.25, 2.6+2.4*r.Float64()
	peak = (1 + strength) * (1 + 0.6*strength)
	for y := range h {
		for x := range w {
			fx, fy := float64(x), float64(y)
			band := 1 + 0.6*strength*math.Sin(2*math.Pi*(fy+0.2*fx)/(float64(h)/5))
			var v [3]uint8
			for c := range 3 {
				a := angle + 0.02*float64(c)
				v[c] = uint8(255 / peak * band * (1 + strength*math.Sin(2*math.Pi*(fx*math.Cos(a)+fy*math.Sin(a))/period+float64(c))))
			}
			out.SetNRGBA(x, y, color.NRGBA{v[0], v[1], v[2], 255})
		}
	}
	return out, peak
}

// glare is the reflection of a lamp, to be added.
func glare(r *rand.Rand, w, h int, strength float64) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	cx, cy, s := r.Float64()*float64(w), r.Float64()*float64(h), 0.18*float64(max(w, h))
	for y := range h {
		for x := range w {
			dx, dy := (float64(x)-cx)/s, (float64(y)-cy)/(0.6*s)
			v := uint8(190 * strength * math.Exp(-dx*dx-dy*dy))
			m.SetNRGBA(x, y, color.NRGBA{v, v, v, 255})
		}
	}
	return m
}
