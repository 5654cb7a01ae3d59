package spoof

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// webcam is a cheap camera on a desk: what its lens, its sensor and its own corrections make of a scene, and how a browser codes that. Honest
// clips (webcam) and attacks go through the same one, so that nothing can be told apart by it.
type webcam struct {
	gain, drift float64    // exposure; how far it hunts, part of the gain
	tint        [3]float32 // white balance, factors of blue, green, red
	gamma       float64
	veil        float64 // grey levels that stray light adds
	dim         float64 // part of the light that is lost in the corners
	blur        float32 // of the lens and against noise
	sharpen     float32
	noise       float64
	fps         float64
	codec       codec
}

// codec says how a shot is written.
type codec struct {
	ext  string   // of the file, with its dot; empty: .mp4
	args []string // of ffmpeg; none: H.264 as save writes it
}

// webcamW and webcamH are what browsers ask of a camera when they are not told otherwise.
const webcamW, webcamH = 640, 480

// newWebcam chooses one.
func newWebcam(r *rand.Rand) webcam {
	w := webcam{
		gain: between(r, 0.75, 1.25), drift: between(r, 0, 0.04), gamma: between(r, 0.85, 1.25), veil: between(r, 0, 10), dim: between(r, 0, 0.3),
		blur: float32(between(r, 0.2, 0.8)), sharpen: float32(between(r, 0, 0.7)), noise: between(r, 1.5, 5), fps: []float64{10, 12, 15}[r.IntN(3)],
		tint: [3]float32{float32(between(r, 0.88, 1.12)), 1, float32(between(r, 0.9, 1.12))},
	}
	if r.IntN(3) == 0 { // an evening at home
		w.gain, w.noise, w.fps = w.gain*between(r, 0.5, 0.75), between(r, 4, 9), 10
	}
	rate := fmt.Sprintf("%dk", 400+r.IntN(900))
	switch r.IntN(3) {
	case 0: // Chrome's MediaRecorder, with pictures that come when they come
		pick := fmt.Sprintf("select='gt(random(%d),0.15)'", r.IntN(1000))
		w.codec = codec{".webm", []string{"-vf", pick, "-fps_mode", "vfr", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "12", "-b:v", rate, "-live", "1"}}
	case 1: // a recorder that keeps 30 a second and shows pictures again
		w.codec = codec{".webm", []string{"-vf", "fps=30", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "12", "-b:v", rate}}
	case 2: // H.264 as browsers write it
		w.codec = codec{".mp4", []string{"-c:v", "libx264", "-profile:v", "baseline", "-preset", "superfast", "-tune", "zerolatency", "-g", "100", "-b:v", rate}}
	}
	return w
}

// film gives what the camera makes of a motion of webcamW x webcamH pictures.
func (w *webcam) film(r *rand.Rand, motion func(i int) picture, n int) shot {
	hunt := newWave(r, w.drift, 1)
	dirt := newGrain(r, w.noise, webcamW*webcamH*3)
	out, tmp := newPicture(webcamW, webcamH), make([]byte, webcamW*webcamH*3)
	corner := make([]float32, webcamW*webcamH)
	for i := range corner {
		x, y := float64(i%webcamW)/webcamW-0.5, float64(i/webcamW)/webcamH-0.5
		corner[i] = float32(1 - w.dim*2*(x*x+y*y))
	}
	return shot{w: webcamW, h: webcamH, fps: w.fps, n: n, codec: w.codec, motion: func(i int) picture {
		in := motion(i)
		gain := w.gain * (1 + hunt.at(float64(i)/w.fps))
		var tone [3][256]byte
		for k := range tone {
			for v := range tone[k] {
				light := math.Pow(float64(v)/255, w.gamma) * gain * float64(w.tint[k])
				tone[k][v] = clip(float32(w.veil + (255-w.veil)*light/math.Pow(1+math.Pow(light, 6), 1.0/6))) // highlights roll off
			}
		}
		for k, v := range in.pix {
			out.pix[k] = byte(float32(tone[k%3][v])*corner[k/3] + 0.5)
		}
		dirt.add(out, i)
		out.soften(w.blur, tmp)
		out.soften(-w.sharpen, tmp)
		return out
	}}
}

// panel are the coloured stripes of a screen as a sensor with a colour filter sees them: by how many of its columns lie before one pixel of the
// camera, its lens, and how much of its pitch a photosite takes in (little where the camera leaves out lines), they are moire or nothing.
type panel struct {
	columns, rows   float64 // of the screen, over the whole object
	across, upright float64 // depth of the stripes and of the gaps between rows, after lens and photosite, part of the light
}

// newPanel works the depths out: the first harmonic of stripes of a third of the pitch, and of rows of 0.85 of it, through a Gaussian lens and a
// box. ow and oh are the object's size in camera pixels.
func newPanel(r *rand.Rand, columns, ow, oh float64) *panel {
	p := &panel{columns: columns, rows: columns * oh / ow}
	blur, box := between(r, 0.2, 0.5), 1.0
	if r.IntN(2) == 0 {
		box = between(r, 0.4, 0.7)
	}
	through := func(f float64) float64 {
		x := math.Pi * f * box
		return math.Abs(math.Sin(x)/x) * math.Exp(-2*math.Pi*math.Pi*blur*blur*f*f)
	}
	p.across = 2 * math.Sin(math.Pi/3) / (math.Pi / 3) * through(p.columns/ow)
	p.upright = 2 * math.Sin(math.Pi*0.85) / (math.Pi * 0.85) * through(p.rows/oh)
	return p
}

// stripes is by what the panel multiplies one colour (0 blue, 1 green, 2 red) at a place of the object.
func (p *panel) stripes(k int, u, v float64) float32 {
	return 1 + float32(p.across)*sine(u*p.columns-float64(2-k)/3+0.25) + float32(p.upright)*sine(v*p.rows+0.25)
}

// site moves a pixel to the photosite that its colour comes from: red and blue have one in four, which their neighbours share.
func site(k, x, y int) (float64, float64) {
	switch k {
	case 0:
		x, y = x|1, y|1
	case 2:
		x, y = x&^1, y&^1
	}
	return float64(x) + 0.5, float64(y) + 0.5
}

// lit is a screen of the given columns before a webcam: its own tone, the room's light on its glass, and its stripes.
func lit(t take, o *object, columns float64) {
	screen(t, o)
	o.grid, o.blur, o.noise = 0, 0, 0
	o.black = between(t.r, 4, 40)
	o.panel = newPanel(t.r, columns, o.ow, o.oh)
	o.show = blended(t)
}

// blended shows the film as a sensor takes it that is open for up to a thirtieth of a second: the picture before and the present one, one over the
// other.
func blended(t take) func(float64) picture {
	f, phase, mix := t.film, t.r.Float64(), newPicture(t.film.w, t.film.h)
	return func(at float64) picture {
		now := at*f.fps + phase
		share := now - math.Floor(now)
		a, b := f.at(at), f.at(max(at-1/f.fps, 0))
		if share > 0.9 || &a.pix[0] == &b.pix[0] {
			return a
		}
		for i := range mix.pix {
			mix.pix[i] = byte(float64(a.pix[i])*share + float64(b.pix[i])*(1-share))
		}
		return mix
	}
}

// desk is an object on the canvas of a webcam.
func desk(t take, f *film, share float64) *object {
	o := plain(f)
	o.w, o.h = webcamW, webcamH
	o.sized(t, share)
	return o
}

// taken is the object before a webcam.
func taken(t take, o *object) shot {
	cam := newWebcam(t.r)
	return cam.film(t.r, o.render(t.r, cam.fps), int(t.film.seconds()*cam.fps))
}

// filling shows the film over the whole canvas, cropped as a camera crops.
func filling(f *film) *object {
	o := plain(f)
	o.w, o.h = webcamW, webcamH
	k := math.Max(float64(o.w)/float64(f.w), float64(o.h)/float64(f.h))
	o.ow, o.oh, o.cx, o.cy = float64(f.w)*k, float64(f.h)*k, float64(o.w)/2, float64(o.h)/2
	return o
}

// honestWebcam is the clip as a webcam would have taken it.
func honestWebcam(t take) shot { return taken(t, filling(t.film)) }

func phoneColumns(r *rand.Rand, o *object) float64 {
	columns := []float64{640, 720, 828, 1080, 1440}[r.IntN(5)]
	if o.ow > o.oh {
		return columns * o.ow / o.oh
	}
	return columns
}

// webcamPhone is a phone held to a webcam, in front of a room.
func webcamPhone(t take) shot {
	o := desk(t, t.film, between(t.r, 0.6, 0.95))
	phone(t, o)
	lit(t, o, phoneColumns(t.r, o))
	o.fingers = newFingers(t.r)
	background(t, o)
	o.sway = 0
	return taken(t, o)
}

// webcamBeside is held up by the person who is shown on it: the live face is in view, beside the phone.
func webcamBeside(t take) shot {
	o := desk(t, t.film, between(t.r, 0.4, 0.65))
	phone(t, o)
	lit(t, o, phoneColumns(t.r, o))
	o.fingers = newFingers(t.r)
	o.cx = webcamW * between(t.r, 0.16, 0.28)
	if t.r.IntN(2) == 0 {
		o.cx = webcamW - o.cx
	}
	self := t.second
	full := filling(self)
	still := full.render(rand.New(rand.NewPCG(1, 1)), self.fps) //nolint:gosec // G404: nothing is chosen, the room does not move
	o.behind = func(at float64) picture {
		full.show = func(float64) picture { return self.at(at) }
		return still(0)
	}
	return taken(t, o)
}

// webcamClose is a phone or a monitor so near that it fills the picture, out of focus a little.
func webcamClose(t take) shot {
	o := filling(t.film)
	k := between(t.r, 1.05, 1.3)
	o.ow, o.oh = o.ow*k, o.oh*k
	o.tilt, o.roll, o.shake = between(t.r, 0, 0.12), between(t.r, -0.06, 0.06), between(t.r, 0.5, 4)
	columns := phoneColumns(t.r, o)
	if t.r.IntN(2) == 0 {
		columns, o.shake, o.sway = []float64{1366, 1600, 1920, 2560}[t.r.IntN(4)], 0, between(t.r, 0, 2)
		if o.ow < o.oh {
			columns *= o.ow / o.oh
		}
	}
	lit(t, o, columns)
	o.rimColour, o.rim = [3]float32{}, [4]float64{}
	return taken(t, o)
}

// fingers cover parts of a phone's sides: one thumb and three others, ellipses in parts of the object's size.
type fingers struct {
	at     [4][4]float64 // middle and radii
	colour [3]float32
}

func newFingers(r *rand.Rand) *fingers {
	f := &fingers{colour: [3]float32{float32(between(r, 60, 130)), float32(between(r, 90, 160)), float32(between(r, 130, 215))}}
	side := float64(r.IntN(2))
	low := between(r, 0.5, 0.7)
	f.at[0] = [4]float64{side, low, between(r, 0.1, 0.2), 0.06}
	for i := 1; i < 4; i++ {
		f.at[i] = [4]float64{1 - side, low - 0.1 + 0.13*float64(i), between(r, 0.04, 0.1), 0.05}
	}
	return f
}

// cover tells whether a finger is at a place of the object, and how bright.
func (f *fingers) cover(u, v float64) (c [3]float32, ok bool) {
	for _, e := range f.at {
		x, y := (u-e[0])/e[2], (v-e[1])/e[3]
		if d := x*x + y*y; d < 1 {
			shade := float32(1 - 0.4*d)
			return [3]float32{f.colour[0] * shade, f.colour[1] * shade, f.colour[2] * shade}, true
		}
	}
	return c, false
}
