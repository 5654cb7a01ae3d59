package reuse

import (
	"time"

	"onsite/pipeline/media"
)

// rate is how many frames per second the motion track has.
const rate = 10

// step is the time from one frame of a track to the next.
const step = time.Second / rate

// maxTrackFrames bounds a track: 60 s. Later parts of longer clips are not compared (policies ask for 15 s).
const maxTrackFrames = 60 * rate

// maxGap is the longest distance of two decoded frames between which a frame of the track is interpolated. media.Motion promises frames
// at most 150 ms apart within a window; clips of a few frames per second are bridged as well.
const maxGap = 350 * time.Millisecond

// cells is the side of the motion grid that is kept and compared.
const cells = 32

// track is a grey picture track at 10 frames per second: n frames of h x w values 0..255, row-major, frame after frame.
type track struct {
	start time.Duration // of frame 0
	n     int
	w, h  int
	valid []bool // frames that lie in a part of the clip that was decoded
	v     []float32
	mem   *memory // where what is made of it lies
}

func (t *track) frame(i int) []float32 { return t.v[i*t.w*t.h : (i+1)*t.w*t.h] }

// resampleMotion makes a track of the decoder's motion frames, whose times are irregular, by interpolation between neighbours.
func resampleMotion(m media.Motion) track {
	if len(m.Frames) < 2 || m.W < 1 || m.H < 1 {
		return track{}
	}
	first, last := m.Frames[0].PTS, m.Frames[len(m.Frames)-1].PTS
	t := track{start: first, n: min(maxTrackFrames, int((last-first)/step)+1), w: m.W, h: m.H}
	t.valid = make([]bool, t.n)
	t.v = make([]float32, t.n*t.w*t.h)
	k := 0
	for i := range t.n {
		at := first + time.Duration(i)*step
		for k+2 < len(m.Frames) && m.Frames[k+1].PTS <= at {
			k++
		}
		a, b := m.Frames[k], m.Frames[k+1]
		gap := b.PTS - a.PTS
		if gap <= 0 || gap > maxGap || len(a.Gray) != t.w*t.h || len(b.Gray) != t.w*t.h {
			continue
		}
		t.valid[i] = true
		u := float32(min(1, max(0, float64(at-a.PTS)/float64(gap))))
		dst := t.frame(i)
		before, after := a.Gray[:len(dst)], b.Gray[:len(dst)]
		for j := range dst {
			x := int32(before[j])
			dst[j] = float32(x) + u*float32(int32(after[j])-x)
		}
	}
	return t
}

// pixelTap is one source pixel of a cell with its weight.
type pixelTap struct {
	at int32
	w  float32
}

// warpMap says how the cells of a side x side grid, laid over the library picture, are averaged from the query's pixels.
type warpMap struct {
	side int
	from []int32 // cell i uses taps[from[i]:from[i+1]]; none: outside the query's picture
	taps []pixelTap
}

// covered says which cells have pixels.
func (m warpMap) covered() []bool {
	out := make([]bool, m.side*m.side)
	for i := range out {
		out[i] = m.from[i+1] > m.from[i]
	}
	return out
}

// apply averages every frame of the track into the grid; empty cells are zero. stride 2 takes every second frame.
func (m warpMap) apply(t *track, stride int) track {
	out := track{start: t.start, n: (t.n + stride - 1) / stride, w: m.side, h: m.side}
	out.valid = make([]bool, out.n)
	out.v = make([]float32, out.n*m.side*m.side)
	for i := range out.n {
		out.valid[i] = t.valid[i*stride]
	}
	// Four frames at once: the taps are read once for them, and the four sums do not wait for each other.
	const batch = 4
	for i := 0; i < out.n; i += batch {
		var src, dst [batch][]float32
		for k := range batch {
			at := min(i+k, out.n-1) // the last frame is made again where there are no four left
			src[k], dst[k] = t.frame(at*stride), out.frame(at)
		}
		m.four(&src, &dst)
	}
	for i, ok := range out.valid {
		if !ok {
			clear(out.frame(i))
		}
	}
	return out
}

// four maps four frames. Slices of their own, of one length, stay in registers and need one check of bounds for the four.
func (m *warpMap) four(src, dst *[4][]float32) {
	a := src[0]
	b, c, d := src[1][:len(a)], src[2][:len(a)], src[3][:len(a)]
	for cell := range m.side * m.side {
		var s0, s1, s2, s3 float32
		for _, p := range m.taps[m.from[cell]:m.from[cell+1]] {
			s0 += p.w * a[p.at]
			s1 += p.w * b[p.at]
			s2 += p.w * c[p.at]
			s3 += p.w * d[p.at]
		}
		dst[0][cell], dst[1][cell], dst[2][cell], dst[3][cell] = s0, s1, s2, s3
	}
}

// halve averages 2 x 2 cells of every frame.
func (t *track) halve() track {
	out := track{start: t.start, n: t.n, w: t.w / 2, h: t.h / 2, valid: t.valid, mem: t.mem}
	out.v = t.mem.floats(t.n * out.w * out.h)
	for i := range t.n {
		src, dst := t.frame(i), out.frame(i)
		for y := range out.h {
			halveLines(dst[y*out.w:(y+1)*out.w], src[2*y*t.w:], src[(2*y+1)*t.w:])
		}
	}
	return out
}

// doubled is the track at twice the rate: a frame half-way between each two.
func (t *track) doubled() track {
	if t.n < 2 {
		return *t
	}
	out := track{start: t.start, n: 2*t.n - 1, w: t.w, h: t.h, mem: t.mem}
	out.valid = make([]bool, out.n)
	out.v = t.mem.floats(out.n * t.w * t.h)
	for i := range t.n {
		out.valid[2*i] = t.valid[i]
		copy(out.frame(2*i), t.frame(i))
		if i+1 == t.n {
			break
		}
		dst := out.frame(2*i + 1)
		if !t.valid[i] || !t.valid[i+1] {
			clear(dst)
			continue
		}
		out.valid[2*i+1] = true
		a, b := t.frame(i), t.frame(i+1)
		for j := range dst {
			dst[j] = (a[j] + b[j]) / 2
		}
	}
	return out
}

// halveLines averages 2 x 2 values of two rows.
func halveLines(dst, a, b []float32) {
	for x := range dst {
		p, q := a[2*x:2*x+2:2*x+2], b[2*x:2*x+2:2*x+2]
		dst[x] = (p[0] + p[1] + q[0] + q[1]) / 4
	}
}
