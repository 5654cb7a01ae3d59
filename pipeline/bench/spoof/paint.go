package spoof

import (
	"math"
	"math/rand/v2"
)

// wave is a smooth random movement: a sum of sines, as a hand or a swaying body makes.
type wave struct{ a, f, p [4]float64 }

// newWave has the given amplitude (about the standard deviation) at 0.2 to rate Hz.
func newWave(r *rand.Rand, amplitude, rate float64) wave {
	var w wave
	for i := range w.a {
		w.f[i] = 0.2 * math.Pow(rate/0.2, r.Float64())
		w.a[i] = amplitude * 1.2 / (1 + w.f[i]/2) * (0.5 + r.Float64())
		w.p[i] = r.Float64() * 2 * math.Pi
	}
	return w
}

func (w *wave) at(t float64) float64 {
	s := 0.0
	for i := range w.a {
		s += w.a[i] * math.Sin(2*math.Pi*w.f[i]*t+w.p[i])
	}
	return s
}

// plane maps a pixel of the canvas to the object: u = (a0 x + a1 y + a2) / (a6 x + a7 y + 1) and so on, 0..1 on the object.
type plane [8]float64

// place is the plane of a rectangle object with the given centre and size (pixels), turned by roll and tilted by yaw and pitch (radians), as a
// pinhole camera sees it whose focal length is f pixels.
func place(cx, cy, w, h, roll, yaw, pitch, f, mx, my float64) plane {
	// Corners in space, the object at distance f, so that one unit is one pixel.
	var quad [4][2]float64
	for i, c := range [4][2]float64{{-1, -1}, {1, -1}, {1, 1}, {-1, 1}} {
		x, y, z := c[0]*w/2, c[1]*h/2, 0.0
		x, z = x*math.Cos(yaw)+z*math.Sin(yaw), -x*math.Sin(yaw)+z*math.Cos(yaw)
		y, z = y*math.Cos(pitch)-z*math.Sin(pitch), y*math.Sin(pitch)+z*math.Cos(pitch)
		x, y = x*math.Cos(roll)-y*math.Sin(roll), x*math.Sin(roll)+y*math.Cos(roll)
		x, y = x+cx-mx, y+cy-my
		k := f / (f + z)
		quad[i] = [2]float64{x*k + mx, y*k + my}
	}
	return fromQuad(quad)
}

// fromQuad solves the homography that takes the quad's corners (from the upper left, clockwise) to those of the unit square.
func fromQuad(q [4][2]float64) plane {
	var m [8][9]float64
	for i, uv := range [4][2]float64{{0, 0}, {1, 0}, {1, 1}, {0, 1}} {
		x, y := q[i][0], q[i][1]
		m[2*i] = [9]float64{x, y, 1, 0, 0, 0, -uv[0] * x, -uv[0] * y, uv[0]}
		m[2*i+1] = [9]float64{0, 0, 0, x, y, 1, -uv[1] * x, -uv[1] * y, uv[1]}
	}
	for c := range 8 {
		p := c
		for r := c + 1; r < 8; r++ {
			if math.Abs(m[r][c]) > math.Abs(m[p][c]) {
				p = r
			}
		}
		m[c], m[p] = m[p], m[c]
		for r := range 8 {
			if r == c || m[c][c] == 0 {
				continue
			}
			k := m[r][c] / m[c][c]
			for j := c; j < 9; j++ {
				m[r][j] -= k * m[c][j]
			}
		}
	}
	var out plane
	for i := range out {
		out[i] = m[i][8] / m[i][i]
	}
	return out
}

func (p *plane) uv(x, y float64) (u, v float64) {
	d := 1 / (p[6]*x + p[7]*y + 1)
	return (p[0]*x + p[1]*y + p[2]) * d, (p[3]*x + p[4]*y + p[5]) * d
}

// sines is one turn of a sine.
var sines = func() (t [1024]float32) {
	for i := range t {
		t[i] = float32(math.Sin(2 * math.Pi * float64(i) / 1024))
	}
	return t
}()

func sine(turns float64) float32 { return sines[int64(math.Floor(turns*1024))&1023] }

// sample reads a picture at a position of 0..1 by bilinear interpolation in 256ths of a pixel.
func (p picture) sample(u, v float64) (b, g, r float32) {
	x := min(max(int(u*float64(p.w)*256)-128, 0), (p.w-1)*256-1)
	y := min(max(int(v*float64(p.h)*256)-128, 0), (p.h-1)*256-1)
	fx, fy := int32(x&255), int32(y&255)
	i := ((y>>8)*p.w + x>>8) * 3
	top, low := p.pix[i:i+6:i+6], p.pix[i+p.w*3:i+p.w*3+6:i+p.w*3+6]
	w00, w10, w01, w11 := (256-fx)*(256-fy), fx*(256-fy), (256-fx)*fy, fx*fy
	const k = 1.0 / 65536
	b = float32(int32(top[0])*w00+int32(top[3])*w10+int32(low[0])*w01+int32(low[3])*w11) * k
	g = float32(int32(top[1])*w00+int32(top[4])*w10+int32(low[1])*w01+int32(low[4])*w11) * k
	r = float32(int32(top[2])*w00+int32(top[5])*w10+int32(low[2])*w01+int32(low[5])*w11) * k
	return b, g, r
}

// soften blends every pixel with the mean of its neighbours: the lens, and what the camera does against noise. share is 0 to 1.
func (p picture) soften(share float32, tmp []byte) {
	copy(tmp, p.pix)
	part := int(share * 256)
	stride := p.w * 3
	for y := 1; y < p.h-1; y++ {
		for i := y*stride + 3; i < (y+1)*stride-3; i++ {
			n := int(tmp[i-3]) + int(tmp[i+3]) + int(tmp[i-stride]) + int(tmp[i+stride])
			p.pix[i] = byte((int(tmp[i])*(256-part)*4 + n*part + 512) >> 10)
		}
	}
}

// grain is sensor noise: three pictures of it that take turns.
type grain struct {
	n   int
	val []int8
}

func newGrain(r *rand.Rand, sigma float64, n int) grain {
	g := grain{n: n, val: make([]int8, 3*n+997)}
	for i := range g.val {
		g.val[i] = int8(min(max(r.NormFloat64()*sigma, -100), 100))
	}
	return g
}

func (g *grain) add(p picture, frame int) {
	val := g.val[frame%3*g.n+frame*131%997:][:len(p.pix)]
	for i, v := range val {
		p.pix[i] = byte(min(max(int(p.pix[i])+int(v), 0), 255))
	}
}

func clip(v float32) byte { return byte(min(max(v, 0), 255)) }

// room is something to be seen behind an object: walls, a few flat things and their edges, and texture. It is larger than the canvas by a
// quarter, for the camera to move about.
func room(r *rand.Rand, w, h int) picture {
	p := newPicture(w*5/4, h*5/4)
	tint := func(lo, hi float64) [3]float32 {
		grey := lo + r.Float64()*(hi-lo)
		return [3]float32{float32(grey + r.Float64()*30 - 15), float32(grey + r.Float64()*16 - 8), float32(grey + r.Float64()*30 - 15)}
	}
	wall, slope := tint(70, 200), r.Float64()*60-30
	type thing struct {
		x0, y0, x1, y1 int
		c              [3]float32
	}
	var things []thing
	for range 3 + r.IntN(6) {
		x, y := r.IntN(p.w), r.IntN(p.h)
		things = append(things, thing{x, y, x + 20 + r.IntN(p.w/2), y + 20 + r.IntN(p.h/2), tint(20, 230)})
	}
	f1, f2 := 0.01+r.Float64()*0.05, 0.01+r.Float64()*0.05
	for y := range p.h {
		for x := range p.w {
			c := wall
			for _, t := range things {
				if x >= t.x0 && x < t.x1 && y >= t.y0 && y < t.y1 {
					c = t.c
				}
			}
			shade := float32(slope)*(float32(x)/float32(p.w)-0.5) + 4*sine(float64(x)*f1)*sine(float64(y)*f2) + float32(r.NormFloat64()*2)
			i := (y*p.w + x) * 3
			p.pix[i], p.pix[i+1], p.pix[i+2] = clip(c[0]+shade), clip(c[1]+shade), clip(c[2]+shade)
		}
	}
	tmp := make([]byte, len(p.pix))
	for range 2 {
		p.soften(0.8, tmp)
	}
	return p
}
