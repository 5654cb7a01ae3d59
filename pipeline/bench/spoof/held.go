package spoof

import (
	"math"
	"math/rand/v2"
)

// object is a flat thing that shows a film, in front of a background, before a camera that a hand may hold.
type object struct {
	show       func(t float64) picture // what is on it
	behind     func(t float64) picture // the background, of any size: it fills the canvas
	drift      bool                    // the background is a room that is larger than the canvas, and the camera moves over it
	w, h       int                     // of the canvas
	cx, cy     float64                 // its middle, pixels
	ow, oh     float64                 // its size, pixels, rim included
	rim        [4]float64              // left, top, right, bottom of the rim, parts of the size
	rimColour  [3]float32
	round      float64 // radius of the corners, part of the width
	tilt, roll float64 // radians: how it is held
	shake      float64 // pixels: how much the hand moves it against the camera
	sway       float64 // pixels: how much the camera moves
	bend       float64 // how far the paper bulges, part of its size
	grid       float64 // cycles of the pixel grid over the object's width; 0: none
	gridDepth  float64
	band       float64 // depth of the bars that run over a screen
	glare      float64 // grey levels added where a lamp is mirrored
	gamma      float64
	black      float64    // grey levels that black has
	white      float64    // that white has
	tint       [3]float32 // factors of blue, green, red
	sat        float32    // colour left, 0..1
	blur       float32
	noise      float64
	panel      *panel   // the stripes of a screen as a sensor sees them; nil: none
	fingers    *fingers // that hold it; nil: none
}

// render gives the pictures of the object. The movement is chosen by r.
func (o *object) render(r *rand.Rand, fps float64) func(i int) picture {
	var move [6]wave
	for i, a := range [6]float64{o.shake, o.shake, o.shake * 0.6, o.shake * 0.004, o.shake * 0.006, o.shake * 0.006} {
		move[i] = newWave(r, a, 4)
	}
	camX, camY := newWave(r, o.sway, 3), newWave(r, o.sway, 3)
	bend := newWave(r, o.bend*0.5, 1.5)
	tiltYaw, tiltPitch := (r.Float64()*2-1)*o.tilt, (r.Float64()*2-1)*o.tilt
	gx, gy, gs := 0.2+0.6*r.Float64(), 0.2+0.6*r.Float64(), 0.08+0.14*r.Float64()
	bandRate, bandCount := 0.3+r.Float64()*2, 1+r.Float64()*3
	gridAngle := (r.Float64() - 0.5) * 0.1
	tone := o.tone()
	dirt := newGrain(r, o.noise, o.w*o.h*3)
	out, tmp := newPicture(o.w, o.h), make([]byte, o.w*o.h*3)
	fx, fy := float64(o.w), float64(o.h)
	focal := 1.2 * math.Max(fx, fy)
	return func(i int) picture {
		t := float64(i) / fps
		dx, dy := camX.at(t), camY.at(t)
		scale := 1 + move[2].at(t)/math.Max(o.ow, 1)
		p := place(o.cx+dx+move[0].at(t), o.cy+dy+move[1].at(t), o.ow*scale, o.oh*scale, o.roll+move[3].at(t), tiltYaw+move[4].at(t), tiltPitch+move[5].at(t), focal, fx/2, fy/2)
		show, behind, bulge := o.show(t), o.behind(t), o.bend+bend.at(t)
		if o.bend == 0 {
			bulge = 0
		}
		for y := range o.h {
			for x := range o.w {
				at := (y*o.w + x) * 3
				u, v := p.uv(float64(x)+0.5, float64(y)+0.5)
				if bulge != 0 {
					v += bulge * (1 - 4*(u-0.5)*(u-0.5))
					u += bulge * 0.5 * (u - 0.5) * (1 - 4*(u-0.5)*(u-0.5))
				}
				if u < 0 || v < 0 || u >= 1 || v >= 1 || o.corner(u, v) {
					o.back(behind, out.pix[at:at+3], x, y, dx, dy)
					continue
				}
				if o.fingers != nil {
					if c, ok := o.fingers.cover(u, v); ok {
						out.pix[at], out.pix[at+1], out.pix[at+2] = clip(c[0]), clip(c[1]), clip(c[2])
						continue
					}
				}
				iu, iv := (u-o.rim[0])/(1-o.rim[0]-o.rim[2]), (v-o.rim[1])/(1-o.rim[1]-o.rim[3])
				add := float32(0)
				if o.glare > 0 {
					d := ((u-gx)*(u-gx) + (v-gy)*(v-gy)*1.7) / (gs * gs)
					if d < 9 {
						add = float32(o.glare * math.Exp(-d))
					}
				}
				c := o.rimColour
				if iu >= 0 && iv >= 0 && iu < 1 && iv < 1 {
					b, g, red := show.sample(iu, iv)
					grey := 0.114*b + 0.587*g + 0.299*red
					c = [3]float32{grey + (b-grey)*o.sat, grey + (g-grey)*o.sat, grey + (red-grey)*o.sat}
					for k := range c {
						c[k] = tone[int(min(max(c[k], 0), 255))] * o.tint[k]
					}
					if o.grid > 0 {
						a := u*o.grid + v*o.grid*gridAngle
						b := v*o.grid*o.oh/o.ow - u*o.grid*gridAngle
						m := float32(o.gridDepth)
						c[0] *= 1 + m*sine(a+0.33) + m*0.5*sine(b)
						c[1] *= 1 + m*sine(a) + m*0.5*sine(b)
						c[2] *= 1 + m*sine(a-0.33) + m*0.5*sine(b)
					}
					if o.panel != nil {
						for k := range c {
							su, sv := p.uv(site(k, x, y))
							c[k] *= o.panel.stripes(k, su, sv)
						}
					}
					if o.band > 0 {
						k := 1 + float32(o.band)*sine(v*bandCount-t*bandRate)
						c[0], c[1], c[2] = c[0]*k, c[1]*k, c[2]*k
					}
					if bulge != 0 { // the lamp is to one side
						k := 1 + float32(bulge*3*(u-0.5))
						c[0], c[1], c[2] = c[0]*k, c[1]*k, c[2]*k
					}
				}
				for k := range c {
					out.pix[at+k] = clip(c[k] + add)
				}
			}
		}
		out.soften(o.blur, tmp)
		dirt.add(out, i)
		return out
	}
}

// tone is what the object makes of the 256 grey levels.
func (o *object) tone() (t [256]float32) {
	for i := range t {
		t[i] = float32(o.black + (o.white-o.black)*math.Pow(float64(i)/255, o.gamma))
	}
	return t
}

// corner tells whether a point lies outside the rounded corners.
func (o *object) corner(u, v float64) bool {
	if o.round == 0 || u > 0.2 && u < 0.8 || v > 0.2 && v < 0.8 {
		return false
	}
	x, y := math.Min(u, 1-u)*o.ow, math.Min(v, 1-v)*o.oh
	rad := o.round * o.ow
	return x < rad && y < rad && math.Hypot(rad-x, rad-y) > rad
}

// back paints a pixel of the background.
func (o *object) back(p picture, dst []byte, x, y int, dx, dy float64) {
	if !o.drift {
		b, g, r := p.sample((float64(x)+0.5)/float64(o.w), (float64(y)+0.5)/float64(o.h))
		dst[0], dst[1], dst[2] = clip(b), clip(g), clip(r)
		return
	}
	px, py := float64(x)-dx+float64(p.w-o.w)/2, float64(y)-dy+float64(p.h-o.h)/2
	b, g, r := p.sample((px+0.5)/float64(p.w), (py+0.5)/float64(p.h))
	dst[0], dst[1], dst[2] = clip(b), clip(g), clip(r)
}

// plain is an object that changes nothing: the film fills the canvas.
func plain(f *film) *object {
	return &object{
		show: f.at, behind: f.at, w: f.w, h: f.h, cx: float64(f.w) / 2, cy: float64(f.h) / 2, ow: float64(f.w), oh: float64(f.h),
		gamma: 1, white: 255, tint: [3]float32{1, 1, 1}, sat: 1,
	}
}
