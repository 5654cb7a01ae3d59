package spoof

import (
	"math"
	"math/rand/v2"
)

// take is what an attack is made of.
type take struct {
	r      *rand.Rand
	film   *film // the person who is imitated
	second *film // another part of the same take, or the same; for splices
	other  *film // somebody else, for a live person beside the phone; nil: there is nobody else
}

// shot is an attack, or an honest clip, ready to be drawn.
type shot struct {
	w, h   int
	fps    float64
	n      int
	crf    int
	motion func(i int) picture
	codec  codec
}

// species is one way to attack.
type species struct {
	name  string
	group string // species of one group are left out together when a detector is fitted
	make  func(t take) shot
}

// all lists the species. The names are those of the folders.
var all = []species{
	{"still", "still", still},
	{"still_moved", "still", stillMoved},
	{"print_held", "print", printHeld},
	{"print_close", "print", printClose},
	{"phone_held", "screen", phoneHeld},
	{"phone_close", "screen", phoneClose},
	{"phone_beside", "screen", phoneBeside},
	{"monitor", "screen", monitor},
	{"monitor_close", "screen", monitorClose},
	{"webcam_phone", "screen", webcamPhone},
	{"webcam_beside", "screen", webcamBeside},
	{"webcam_close", "screen", webcamClose},
	{"loop", "loop", loop},
	{"loop_back", "loop", loopBack},
	{"loop_long", "loop", loopLong},
	{"freeze", "freeze", freeze},
	{"splice", "splice", splice},
	{"splice_insert", "splice", spliceInsert},
	{"vcam_loop", "virtual_camera", vcamLoop},
	{"vcam_stall", "virtual_camera", vcamStall},
	{"vcam_still", "virtual_camera", vcamStill},
}

// honest lists what is made of the clips that are no attack.
var honest = []species{
	{"plain", "", honestPlain},
	{"shaken", "", honestShaken},
	{"noisy", "", honestNoisy},
	{"webcam", "", honestWebcam},
}

func between(r *rand.Rand, lo, hi float64) float64 { return lo + (hi-lo)*r.Float64() }

// drawn shows an object for as long as the film lasts.
func drawn(t take, o *object, crf int) shot {
	fps := math.Min(t.film.fps, 20) // drawing is slow, and nobody looks at more
	n := int(t.film.seconds() * fps)
	return shot{w: o.w, h: o.h, fps: fps, n: n, crf: crf, motion: o.render(t.r, fps)}
}

// played shows frames of the film in another order.
func played(t take, fps float64, order []picture) shot {
	crf := 23 + t.r.IntN(8)
	return shot{w: t.film.w, h: t.film.h, fps: fps, n: len(order), crf: crf, motion: func(i int) picture { return order[i] }}
}

// one is a single picture of the film, for ever.
func one(t take) func(float64) picture {
	p := t.film.frames[t.r.IntN(len(t.film.frames))]
	return func(float64) picture { return p }
}

func honestPlain(t take) shot { return played(t, t.film.fps, t.film.frames) }

// honestShaken is the clip as a shakier hand would have taken it: the whole picture moves, nothing in it moves against the rest.
func honestShaken(t take) shot {
	o := plain(t.film)
	o.ow, o.oh = o.ow*1.12, o.oh*1.12
	o.shake = between(t.r, 1.5, 4)
	o.noise, o.blur = between(t.r, 0.5, 2.5), float32(between(t.r, 0, 0.5))
	return drawn(t, o, 23+t.r.IntN(8))
}

func honestNoisy(t take) shot {
	o := plain(t.film)
	o.noise, o.blur = between(t.r, 2, 6), float32(between(t.r, 0.2, 0.8))
	o.gamma, o.white, o.black = between(t.r, 0.8, 1.4), between(t.r, 170, 255), between(t.r, 0, 15)
	o.tint = [3]float32{float32(between(t.r, 0.85, 1.1)), 1, float32(between(t.r, 0.9, 1.15))}
	o.sat = float32(between(t.r, 0.7, 1.1))
	return drawn(t, o, 24+t.r.IntN(10))
}

func still(t take) shot {
	o := plain(t.film)
	o.show = one(t)
	o.noise = between(t.r, 0, 2.5)
	return drawn(t, o, 20+t.r.IntN(14))
}

// stillMoved zooms into a still and shakes it, so that it looks filmed.
func stillMoved(t take) shot {
	o := plain(t.film)
	o.show, o.behind = one(t), one(t)
	k := between(t.r, 1.1, 1.4)
	o.ow, o.oh = o.ow*k, o.oh*k
	o.shake = between(t.r, 2, 6)
	o.noise = between(t.r, 0, 2)
	return drawn(t, o, 20+t.r.IntN(12))
}

// canvas chooses the picture that the attacker's camera takes: as the film, or upright like a phone.
func canvas(t take) (w, h int) {
	if t.r.IntN(3) == 0 {
		return 384, 512
	}
	return t.film.w, t.film.h
}

// print is a photo on paper.
func paper(t take, o *object) {
	o.show = one(t)
	m := between(t.r, 0, 0.06)
	o.rim = [4]float64{m, m, m, m}
	o.rimColour = [3]float32{float32(between(t.r, 190, 240)), 232, 235}
	o.tilt, o.roll = between(t.r, 0, 0.25), between(t.r, -0.12, 0.12)
	o.shake, o.sway = between(t.r, 1.5, 6), between(t.r, 0, 3)
	o.bend = between(t.r, 0, 0.05)
	o.gamma, o.black, o.white = between(t.r, 0.8, 1.3), between(t.r, 15, 45), between(t.r, 190, 240)
	o.tint = [3]float32{float32(between(t.r, 0.8, 1.05)), 1, float32(between(t.r, 0.95, 1.1))}
	o.sat = float32(between(t.r, 0.6, 0.95))
	o.blur, o.noise = float32(between(t.r, 0.3, 0.9)), between(t.r, 1, 4)
	if t.r.IntN(3) == 0 {
		o.glare = between(t.r, 20, 90)
	}
}

func background(t take, o *object) {
	p := room(t.r, o.w, o.h)
	o.behind, o.drift = func(float64) picture { return p }, true
}

// sized makes the object share of the canvas high or wide, in the film's proportions.
func (o *object) sized(t take, share float64) {
	k := math.Min(float64(o.w)/float64(t.film.w), float64(o.h)/float64(t.film.h)) * share
	o.ow, o.oh = float64(t.film.w)*k, float64(t.film.h)*k
	o.cx = float64(o.w)/2 + between(t.r, -0.06, 0.06)*float64(o.w)
	o.cy = float64(o.h)/2 + between(t.r, -0.06, 0.06)*float64(o.h)
}

func printHeld(t take) shot {
	o := plain(t.film)
	o.w, o.h = canvas(t)
	o.sized(t, between(t.r, 0.6, 0.9))
	paper(t, o)
	background(t, o)
	return drawn(t, o, 22+t.r.IntN(10))
}

// printClose fills the picture: no edge of the paper is seen.
func printClose(t take) shot {
	o := plain(t.film)
	k := between(t.r, 1.15, 1.4)
	o.ow, o.oh = o.ow*k, o.oh*k
	paper(t, o)
	o.rim = [4]float64{}
	o.tilt, o.roll = o.tilt/3, o.roll/3
	return drawn(t, o, 22+t.r.IntN(10))
}

// screen is a phone or a monitor that plays the film.
func screen(t take, o *object) {
	o.rimColour = [3]float32{float32(between(t.r, 5, 40)), float32(between(t.r, 5, 40)), float32(between(t.r, 5, 40))}
	if t.r.IntN(4) == 0 {
		o.rimColour = [3]float32{215, 215, 220}
	}
	o.gamma, o.black, o.white = between(t.r, 0.7, 1.4), between(t.r, 4, 30), between(t.r, 205, 255)
	o.tint = [3]float32{float32(between(t.r, 0.95, 1.15)), 1, float32(between(t.r, 0.85, 1.05))}
	o.sat = float32(between(t.r, 0.75, 1.15))
	o.grid, o.gridDepth = o.ow*between(t.r, 0.6, 3.2), between(t.r, 0.02, 0.1)
	o.band = between(t.r, 0, 0.05)
	if t.r.IntN(2) == 0 {
		o.glare = between(t.r, 20, 120)
	}
	o.blur, o.noise = float32(between(t.r, 0.2, 0.8)), between(t.r, 1, 4)
}

func phone(t take, o *object) {
	o.tilt, o.roll = between(t.r, 0, 0.2), between(t.r, -0.1, 0.1)
	o.shake, o.sway = between(t.r, 1, 5), between(t.r, 0, 3)
	o.round = between(t.r, 0.02, 0.1)
	side, end := between(t.r, 0.02, 0.05), between(t.r, 0.03, 0.12)
	o.rim = [4]float64{side, end, side, end}
	if o.ow > o.oh {
		o.rim = [4]float64{end, side, end, side}
	}
}

func phoneHeld(t take) shot {
	o := plain(t.film)
	o.w, o.h = canvas(t)
	o.sized(t, between(t.r, 0.6, 0.95))
	phone(t, o)
	screen(t, o)
	background(t, o)
	return drawn(t, o, 22+t.r.IntN(10))
}

// phoneClose shows an edge or two of the phone.
func phoneClose(t take) shot {
	o := plain(t.film)
	o.w, o.h = canvas(t)
	o.sized(t, between(t.r, 1, 1.25))
	phone(t, o)
	screen(t, o)
	background(t, o)
	return drawn(t, o, 22+t.r.IntN(10))
}

// phoneBeside is held by a live person, who is in view.
func phoneBeside(t take) shot {
	o := plain(t.film)
	if t.other == nil {
		return phoneHeld(t)
	}
	o.w, o.h = t.other.w, t.other.h
	o.sized(t, between(t.r, 0.5, 0.75))
	o.cx = float64(o.w) * between(t.r, 0.3, 0.7)
	phone(t, o)
	screen(t, o)
	o.behind, o.sway = t.other.at, 0
	return drawn(t, o, 22+t.r.IntN(10))
}

func monitor(t take) shot {
	o := plain(t.film)
	o.sized(t, between(t.r, 0.75, 1.05))
	screen(t, o)
	m := between(t.r, 0.015, 0.05)
	o.rim = [4]float64{m, m, m, m * between(t.r, 1, 2)}
	o.tilt, o.roll = between(t.r, 0, 0.25), between(t.r, -0.03, 0.03)
	o.shake, o.sway = 0, between(t.r, 0, 2.5)
	background(t, o)
	return drawn(t, o, 22+t.r.IntN(10))
}

// monitorClose fills the picture: no edge of the screen is seen.
func monitorClose(t take) shot {
	o := plain(t.film)
	o.sized(t, between(t.r, 1.15, 1.4))
	screen(t, o)
	o.tilt, o.roll = between(t.r, 0, 0.08), between(t.r, -0.03, 0.03)
	o.sway = between(t.r, 0, 2.5)
	return drawn(t, o, 22+t.r.IntN(10))
}

// repeated shows the first seconds of the film over and over, for as long as at least twice them.
func repeated(t take, seconds, total float64) []picture {
	f := t.film.frames
	k := min(max(int(seconds*t.film.fps), 4), len(f))
	var out []picture
	for len(out) < int(total*t.film.fps) {
		out = append(out, f[len(out)%k])
	}
	return out
}

func loop(t take) shot {
	return played(t, t.film.fps, repeated(t, between(t.r, 1.5, math.Min(4, t.film.seconds()/2)), math.Max(t.film.seconds(), 7)))
}

// loopBack plays forwards and backwards, so that nothing jumps.
func loopBack(t take) shot {
	k := min(int(between(t.r, 1.5, 3)*t.film.fps), len(t.film.frames))
	var out []picture
	for i := range int(7 * t.film.fps) {
		at := i % (2*k - 2)
		if at >= k {
			at = 2*k - 2 - at
		}
		out = append(out, t.film.frames[at])
	}
	return played(t, t.film.fps, out)
}

// loopLong shows all of the film twice, the second time not to its end.
func loopLong(t take) shot {
	return played(t, t.film.fps, repeated(t, t.film.seconds(), t.film.seconds()*between(t.r, 1.6, 2)))
}

func freeze(t take) shot {
	f := t.film.frames
	from := int(float64(len(f)) * between(t.r, 0.2, 0.5))
	hold := int(between(t.r, 2, 4) * t.film.fps)
	out := append([]picture(nil), f[:from]...)
	for range hold {
		out = append(out, f[from])
	}
	return played(t, t.film.fps, append(out, f[from:]...))
}

// splice joins two parts of a take of one person.
func splice(t take) shot {
	f, g := t.film.frames, t.second.frames
	a := int(float64(len(f)) * between(t.r, 0.35, 0.6))
	b := int(float64(len(g)) * between(t.r, 0.3, 0.5))
	if t.second == t.film { // a short take: leave out a third of it
		a = int(float64(len(f)) * between(t.r, 0.25, 0.35))
		b = a + len(f)/3
	}
	out := append([]picture(nil), f[:a]...)
	for _, p := range g[b:] {
		out = append(out, resized(p, t.film.w, t.film.h))
	}
	return played(t, t.film.fps, out)
}

// spliceInsert shows another person for the middle of the clip.
func spliceInsert(t take) shot {
	f := t.film.frames
	host := t.second
	if t.other != nil {
		host = t.other
	}
	out := append([]picture(nil), f[:len(f)/3]...)
	for i := range len(f) / 3 {
		out = append(out, resized(host.frames[i%len(host.frames)], t.film.w, t.film.h))
	}
	return played(t, t.film.fps, append(out, f[2*len(f)/3:]...))
}

// vcamLoop is a loop at a third of the frames, every one shown several times: a file played into a virtual camera of another rate.
func vcamLoop(t take) shot {
	in := repeated(t, between(t.r, 2, math.Min(5, t.film.seconds()*0.7)), 8)
	rate := between(t.r, 10, 16)
	var out []picture
	for i := range 8 * 30 {
		k := int(math.Floor(float64(i)/30*rate) / rate * t.film.fps)
		out = append(out, in[min(k, len(in)-1)])
	}
	return played(t, 30, out)
}

// vcamStall stands still again and again, and catches up.
func vcamStall(t take) shot {
	f := t.film.frames
	out := append([]picture(nil), f...)
	for at := 0; ; {
		at += int(between(t.r, 1, 2) * t.film.fps)
		hold := int(between(t.r, 0.5, 1.2) * t.film.fps)
		if at+hold >= len(out) {
			break
		}
		for i := at; i < at+hold; i++ {
			out[i] = f[at]
		}
		at += hold
	}
	return played(t, t.film.fps, out)
}

// vcamStill is a photo with a slow zoom, as presentation software shows it.
func vcamStill(t take) shot {
	o := plain(t.film)
	o.show, o.behind = one(t), one(t)
	fps := 30.0
	n := int(7 * fps)
	to := between(t.r, 1.1, 1.4)
	w, h := o.ow, o.oh
	return shot{w: o.w, h: o.h, fps: fps, n: n, crf: 22 + t.r.IntN(8), motion: func(i int) picture {
		k := 1 + (to-1)*float64(i)/float64(n)
		o.ow, o.oh = w*k, h*k
		return o.render(rand.New(rand.NewPCG(1, 1)), fps)(0) //nolint:gosec // G404: nothing is chosen, the object does not move
	}}
}

// resized stretches a picture.
func resized(p picture, w, h int) picture {
	if p.w == w && p.h == h {
		return p
	}
	out := newPicture(w, h)
	for y := range h {
		for x := range w {
			b, g, r := p.sample((float64(x)+0.5)/float64(w), (float64(y)+0.5)/float64(h))
			i := (y*w + x) * 3
			out.pix[i], out.pix[i+1], out.pix[i+2] = clip(b), clip(g), clip(r)
		}
	}
	return out
}
