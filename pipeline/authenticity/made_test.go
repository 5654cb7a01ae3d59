package authenticity

import (
	"math"
	"math/rand/v2"
	"time"

	"onsite/pipeline/media"
)

// made draws a scene for the tests: a wall with a soft texture in front of which a textured disc moves, seen by a camera that may move.
type made struct {
	w, h    int
	seconds float64
	rate    float64                        // pictures per second
	disc    func(t float64) (x, y float64) // centre, pixels; nil: it rests in the middle
	camera  func(t float64) warp           // nil: it rests
	noise   float64                        // standard deviation, grey levels
	clock   func(t float64) float64        // the time that the scene shows at time t; nil: t
	seed    uint64
}

const margin = 40 // pixels of texture around what an unmoved camera sees

// texture is a smooth random pattern, lo..hi, (w+2 margin) x (h+2 margin).
func texture(r *rand.Rand, w, h int, lo, hi float64) plane {
	p := newPlane(w+2*margin, h+2*margin)
	tmp := make([]float32, len(p.p))
	for i := range p.p {
		p.p[i] = float32(r.NormFloat64())
	}
	for range 6 {
		blur3(p.p, tmp, p.w, p.h)
	}
	sum := 0.0
	for _, v := range p.p {
		sum += float64(v) * float64(v)
	}
	scale := (hi - lo) / 4 / math.Sqrt(sum/float64(len(p.p))) // two standard deviations reach lo and hi
	for i, v := range p.p {
		p.p[i] = float32(math.Max(lo, math.Min(hi, (lo+hi)/2+scale*float64(v))))
	}
	return p
}

func (m made) motion() media.Motion {
	r := rand.New(rand.NewPCG(m.seed, 7))
	wall, skin := texture(r, m.w, m.h, 40, 160), texture(r, m.w, m.h, 90, 190)
	out := media.Motion{W: m.w, H: m.h}
	n := int(m.seconds*m.rate) + 1
	cx, cy, unit := frameOf(m.w, m.h)
	radius := float64(m.h) / 4
	for i := range n {
		at := float64(i) / m.rate
		t := at
		if m.clock != nil {
			t = m.clock(at)
		}
		dx, dy := cx, cy
		if m.disc != nil {
			dx, dy = m.disc(t)
		}
		view := identity()
		if m.camera != nil {
			view = m.camera(t)
		}
		g := make([]byte, m.w*m.h)
		for y := range m.h {
			for x := range m.w {
				u, v := (float64(x)-cx)/unit, (float64(y)-cy)/unit
				px := (view.a[0]*u+view.a[1]*v+view.a[2])*unit + cx
				py := (view.a[3]*u+view.a[4]*v+view.a[5])*unit + cy
				val, _, _, _ := wall.sample(px+margin, py+margin)
				if d := (math.Hypot(px-dx, py-dy) - radius) / 0.7; d < 6 {
					on, _, _, _ := skin.sample(px-dx+cx+margin, py-dy+cy+margin)
					val += (on - val) / (1 + math.Exp(d))
				}
				if m.noise > 0 {
					val += m.noise * r.NormFloat64()
				}
				g[y*m.w+x] = byte(math.Max(0, math.Min(255, math.Round(val))))
			}
		}
		out.Frames = append(out.Frames, media.MotionFrame{PTS: time.Duration(at * float64(time.Second)), Gray: g})
	}
	out.Windows = []media.Window{{From: 0, To: out.Frames[n-1].PTS}}
	return out
}

// wander is a path that never comes back to the same place in the same direction: frequencies without a common period.
func wander(w, h int, size float64) func(t float64) (float64, float64) {
	return func(t float64) (float64, float64) {
		return float64(w)/2 + size*(math.Sin(1.13*t)+0.6*math.Sin(2.71*t+1)+0.3*math.Sin(4.33*t)),
			float64(h)/2 + size*0.6*(math.Sin(0.77*t+2)+0.5*math.Sin(3.19*t))
	}
}

func scene(seed uint64) made {
	return made{w: 96, h: 72, seconds: 8, rate: 10, noise: 0.8, seed: seed, disc: wander(96, 72, 5)}
}

func clipOf(m media.Motion) *media.Clip {
	return &media.Clip{Info: media.Info{Kind: media.Video}, Motion: m}
}
