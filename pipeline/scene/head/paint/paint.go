package paint

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"math/rand/v2"

	xdraw "golang.org/x/image/draw"
	"golang.org/x/image/font/opentype"
)

// Drawing is one finished picture.
type Drawing struct {
	Class  string // the folder it belongs to
	Source string // drawings that are held out together
	JPEG   []byte
}

// Plan says how many pictures of each kind are drawn.
type Plan struct {
	Posters, Fronts, Signs, Houses, Frames, Boards int
	Goods, Rows, Lanes, Entrances, Posts, Ways     int
	Talls, Blocks                                  int
	Seed                                           uint64
}

// DefaultPlan is what the shipped heads were trained with.
func DefaultPlan() Plan {
	return Plan{Posters: 40, Fronts: 50, Signs: 30, Houses: 20, Frames: 14, Boards: 30, Goods: 20, Rows: 30, Lanes: 30, Entrances: 50, Posts: 20, Ways: 20, Talls: 40, Blocks: 30, Seed: 1}
}

// family is how many drawings of a kind are one source.
const family = 10

// Fonts parses font files; the first three must have Latin letters, all others Chinese ones, too.
func Fonts(files [][]byte) ([]*opentype.Font, error) {
	if len(files) <= latin {
		return nil, fmt.Errorf("read the fonts: %d files, want %d Latin ones and at least one with Chinese letters", len(files), latin)
	}
	out := make([]*opentype.Font, len(files))
	for i, b := range files {
		f, err := opentype.Parse(b)
		if err != nil {
			return nil, fmt.Errorf("read font %d: %w", i+1, err)
		}
		out[i] = f
	}
	return out, nil
}

// Draw makes all pictures of a plan and hands each to done. Inside are photos of rooms and things, walls and outside are what signs are
// put on. Photos are not changed; large ones are slow, a long side of 800 pixels is enough.
func Draw(p Plan, inside, outside []image.Image, fonts []*opentype.Font, done func(Drawing) error) error {
	if len(inside) == 0 || len(outside) == 0 || len(fonts) <= latin {
		return errors.New("draw pictures: photos of insides and outsides and fonts are needed")
	}
	kinds := []struct {
		name, class string
		n           int
		draw        func(c *canvas) (*canvas, error)
	}{
		{"poster", "poster", p.Posters, func(c *canvas) (*canvas, error) {
			if err := c.poster(append(inside, outside...)); err != nil {
				return nil, err
			}
			if c.chance(0.55) {
				return c, nil
			}
			return c.hung(append(inside, outside...)), nil
		}},
		{"front", "storefront", p.Fronts, func(c *canvas) (*canvas, error) {
			if err := c.front(true, inside); err != nil {
				return nil, err
			}
			return c.seen(outside), nil
		}},
		{"house", "street", p.Houses, func(c *canvas) (*canvas, error) {
			if err := c.front(false, inside); err != nil {
				return nil, err
			}
			return c.seen(outside), nil
		}},
		{"sign", "text", p.Signs, func(c *canvas) (*canvas, error) {
			if err := c.sign(c.Bounds()); err != nil {
				return nil, err
			}
			return c.hung(append(outside, inside...)), nil
		}},
		{"frame", "other", p.Frames, func(c *canvas) (*canvas, error) {
			c.photo(c.Bounds(), pick(c, append(inside, outside...)))
			c.frame(c.Bounds(), 8, pick(c, strong))
			return c.hung(append(inside, outside...)), nil
		}},
		{"board", "storefront", p.Boards, func(c *canvas) (*canvas, error) {
			if err := c.front(true, inside); err != nil {
				return nil, err
			}
			return c.closeUp().seen(outside), nil
		}},
		{"goods", "storefront", p.Goods, func(c *canvas) (*canvas, error) {
			if err := c.stocked(); err != nil {
				return nil, err
			}
			return c.seen(outside), nil
		}},
		{"row", "storefront", p.Rows, func(c *canvas) (*canvas, error) {
			if err := c.row(true, inside); err != nil {
				return nil, err
			}
			return c.aslant(outside), nil
		}},
		{"lane", "street", p.Lanes, func(c *canvas) (*canvas, error) {
			if err := c.row(false, inside); err != nil {
				return nil, err
			}
			return c.aslant(outside), nil
		}},
		{"entrance", "storefront", p.Entrances, func(c *canvas) (*canvas, error) {
			if err := c.entrance(inside); err != nil {
				return nil, err
			}
			if c.chance(0.4) {
				return c.aslant(outside), nil
			}
			return c.seen(append(outside, inside...)), nil
		}},
		{"post", "storefront", p.Posts, func(c *canvas) (*canvas, error) { return c, c.post(true, outside) }},
		{"way", "street", p.Ways, func(c *canvas) (*canvas, error) { return c, c.post(false, outside) }},
		{"tall", "storefront", p.Talls, func(c *canvas) (*canvas, error) { return c.facing(outside, true, inside) }},
		{"block", "street", p.Blocks, func(c *canvas) (*canvas, error) { return c.facing(outside, false, inside) }},
	}
	for k, kind := range kinds {
		for i := range kind.n {
			r := rand.New(rand.NewPCG(p.Seed, uint64(k)<<32|uint64(i))) //nolint:gosec // drawings that come out the same every time
			size := sizes(kind.name, r)
			c, err := kind.draw(newCanvas(size.X, size.Y, r, fonts))
			if err != nil {
				return fmt.Errorf("draw %s %d: %w", kind.name, i, err)
			}
			b, err := c.finish()
			if err != nil {
				return fmt.Errorf("draw %s %d: %w", kind.name, i, err)
			}
			if err := done(Drawing{Class: kind.class, Source: fmt.Sprintf("drawn-%s-%d", kind.name, i/family), JPEG: b}); err != nil {
				return err
			}
		}
	}
	return nil
}

func sizes(kind string, r *rand.Rand) image.Point {
	switch kind {
	case "poster":
		w := 420 + r.IntN(280)
		if r.IntN(4) == 0 {
			return image.Pt(w+200, w)
		}
		return image.Pt(w, w*4/3)
	case "sign":
		w := 500 + r.IntN(300)
		return image.Pt(w, w/(2+r.IntN(4)))
	}
	w := 560 + r.IntN(300)
	if kind == "board" { // a part of it remains
		w *= 2
	}
	return image.Pt(w, w*(2+r.IntN(3))/4)
}

// hung puts a drawing onto a photo, seen a little from the side.
func (c *canvas) hung(photos []image.Image) *canvas {
	out := newCanvas(640+c.r.IntN(200), 480+c.r.IntN(160), c.r, c.fonts)
	out.photo(out.Bounds(), pick(c, photos))
	w, h := float64(out.Rect.Dx()), float64(out.Rect.Dy())
	scale := c.between(0.45, 0.95) * min(w/float64(c.Rect.Dx()), h/float64(c.Rect.Dy()))
	dw, dh := float64(c.Rect.Dx())*scale, float64(c.Rect.Dy())*scale
	x, y := c.r.Float64()*(w-dw), c.r.Float64()*(h-dh)
	j := func(v float64) float64 { return v + c.between(-0.04, 0.04)*min(dw, dh) }
	out.warp(c.RGBA, [4][2]float64{{j(x), j(y)}, {j(x + dw), j(y)}, {j(x + dw), j(y + dh)}, {j(x), j(y + dh)}})
	return out
}

// seen looks at a front from a little to the side, so that its edges show what is next to it.
func (c *canvas) seen(photos []image.Image) *canvas {
	out := newCanvas(c.Rect.Dx(), c.Rect.Dy(), c.r, c.fonts)
	out.photo(out.Bounds(), pick(c, photos))
	w, h := float64(c.Rect.Dx()), float64(c.Rect.Dy())
	j := func(side float64) float64 { return c.between(-0.12, 0.06) * side }
	out.warp(c.RGBA, [4][2]float64{{-j(w), -j(h)}, {w + j(w), -j(h)}, {w + j(w), h + j(h)}, {-j(w), h + j(h)}})
	return out
}

// finish makes a photo of a drawing: another size, softness, light, noise, now and then grey, and JPEG.
func (c *canvas) finish() ([]byte, error) {
	long := 360 + c.r.IntN(560)
	f := float64(long) / float64(max(c.Rect.Dx(), c.Rect.Dy()))
	small := image.NewRGBA(image.Rect(0, 0, max(int(float64(c.Rect.Dx())*f*c.between(0.5, 1)), 32), 0))
	small.Rect.Max.Y = max(small.Rect.Dx()*c.Rect.Dy()/c.Rect.Dx(), 32)
	small = image.NewRGBA(small.Rect)
	xdraw.BiLinear.Scale(small, small.Rect, c.RGBA, c.Rect, draw.Src, nil)
	out := image.NewRGBA(image.Rect(0, 0, max(int(float64(c.Rect.Dx())*f), 32), max(int(float64(c.Rect.Dy())*f), 32)))
	xdraw.BiLinear.Scale(out, out.Rect, small, small.Rect, draw.Src, nil) // through a smaller one: soft as a photo
	gain, lift, noise, grey := c.between(0.7, 1.1), c.between(-15, 25), c.between(1, 7), c.chance(0.3)
	tint := [3]float64{c.between(0.92, 1.05), 1, c.between(0.9, 1.05)}
	for i := 0; i < len(out.Pix); i += 4 {
		n := c.r.NormFloat64() * noise
		v := [3]float64{}
		for k := range 3 {
			v[k] = float64(out.Pix[i+k])*gain*tint[k] + lift + n
		}
		if grey {
			y := 0.299*v[0] + 0.587*v[1] + 0.114*v[2]
			v = [3]float64{y, y, y}
		}
		out.Pix[i], out.Pix[i+1], out.Pix[i+2], out.Pix[i+3] = clamp(v[0]), clamp(v[1]), clamp(v[2]), 255
	}
	var b bytes.Buffer
	err := jpeg.Encode(&b, out, &jpeg.Options{Quality: 60 + c.r.IntN(33)})
	return b.Bytes(), err
}

// Small gives a photo with a long side of at most n pixels, as Draw wants it.
func Small(p image.Image, n int) image.Image {
	b := p.Bounds()
	f := float64(n) / float64(max(b.Dx(), b.Dy()))
	if f >= 1 {
		return p
	}
	out := image.NewRGBA(image.Rect(0, 0, max(int(float64(b.Dx())*f), 1), max(int(float64(b.Dy())*f), 1)))
	xdraw.ApproxBiLinear.Scale(out, out.Rect, p, b, draw.Src, nil)
	return out
}
