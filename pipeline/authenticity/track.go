package authenticity

import (
	"onsite/pipeline/media"
)

// series is the motion track as this package compares it: small pictures with their times in seconds and their mutual distances.
type series struct {
	t     []float64 // seconds, ascending
	dist  []float32 // n x n: mean squared difference of two pictures, grey levels squared
	ref   []float64 // per picture: mean squared difference to its neighbours 0.2 to 0.4 s away, on the calmer side: how much moves here
	step  float64   // seconds between pictures, the usual value
	pix   []float32 // the small pictures, cells numbers each
	cells int
}

func (s *series) n() int                  { return len(s.t) }
func (s *series) d(i, j int) float64      { return float64(s.dist[i*len(s.t)+j]) }
func (s *series) dur() float64            { return s.t[len(s.t)-1] - s.t[0] }
func (s *series) picture(i int) []float32 { return s.pix[i*s.cells : (i+1)*s.cells] }
func (s *series) gap(i int) bool          { return s.t[i+1]-s.t[i] > maxGap*s.step }

const (
	// maxPictures bounds the n x n table: 15 s at up to 25 pictures per second, or a minute at 10; beyond that pictures are thinned out.
	maxPictures = 400
	// cellWork bounds the multiplications of the distance table; pictures get coarser when there are many of them.
	cellWork = 24_000_000
	// maxGap, in usual steps, is the longest distance over which two neighbouring pictures are interpolated.
	maxGap = 2.5
)

// newSeries shrinks the motion track (long side 160) to cells of 4 x 4 pixels, 8 x 8 when there are many pictures, and fills the table.
func newSeries(m *media.Motion) *series {
	frames := m.Frames
	stride := 1
	for len(frames)/stride > maxPictures {
		stride++
	}
	n := (len(frames) + stride - 1) / stride
	cell := 4
	if m.W < 80 && m.H < 80 {
		cell = 2
	}
	for cell < 16 && n*n/2*(m.W/cell)*(m.H/cell) > cellWork {
		cell *= 2
	}
	cw, ch := max(m.W/cell, 1), max(m.H/cell, 1)
	s := &series{t: make([]float64, n), dist: make([]float32, n*n), ref: make([]float64, n), pix: make([]float32, n*cw*ch), cells: cw * ch}
	tmp := make([]float32, cw*ch)
	for k := range n {
		f := &frames[k*stride]
		s.t[k] = f.PTS.Seconds()
		part := s.picture(k)
		shrink(f.Gray, m.W, cell, part, cw, ch)
		blur3(part, tmp, cw, ch)
	}
	for i := range n {
		a := s.picture(i)
		for j := i + 1; j < n; j++ {
			v := meanSquare(a, s.picture(j))
			s.dist[i*n+j], s.dist[j*n+i] = v, v
		}
	}
	s.step = usualStep(s.t)
	for i := range s.ref {
		s.ref[i] = s.motionAt(i)
	}
	return s
}

// shrink averages cells of c x c pixels of a picture w pixels wide into cw x ch values.
func shrink(gray []byte, w, c int, dst []float32, cw, ch int) {
	scale := 1 / float32(c*c)
	for y := range ch {
		for x := range cw {
			sum := 0
			for dy := range c {
				row := gray[(y*c+dy)*w+x*c:]
				for _, v := range row[:c] {
					sum += int(v)
				}
			}
			dst[y*cw+x] = float32(sum) * scale
		}
	}
}

func meanSquare(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(a); i += 4 {
		d0, d1, d2, d3 := a[i]-b[i], a[i+1]-b[i+1], a[i+2]-b[i+2], a[i+3]-b[i+3]
		s0 += d0 * d0
		s1 += d1 * d1
		s2 += d2 * d2
		s3 += d3 * d3
	}
	for ; i < len(a); i++ {
		d := a[i] - b[i]
		s0 += d * d
	}
	return (s0 + s1 + s2 + s3) / float32(len(a))
}

// usualStep is the median distance of neighbouring times.
func usualStep(t []float64) float64 {
	if len(t) < 2 {
		return 0
	}
	steps := make([]float64, len(t)-1)
	for i := range steps {
		steps[i] = t[i+1] - t[i]
	}
	return quantile(steps, 0.5)
}

// motionAt is the mean squared change between picture i and those 0.2 to 0.4 s before, or after, whichever is smaller: so that a cut in
// the footage does not pass for motion.
func (s *series) motionAt(i int) float64 {
	side := func(dir int) (float64, bool) {
		sum, n := 0.0, 0
		for j := i + dir; j >= 0 && j < s.n(); j += dir {
			gap := (s.t[j] - s.t[i]) * float64(dir)
			if gap > 0.4+s.step/2 {
				break
			}
			if gap >= 0.2-s.step/2 {
				sum += s.d(i, j)
				n++
			}
		}
		return sum / float64(max(n, 1)), n > 0
	}
	before, okBefore := side(-1)
	after, okAfter := side(1)
	switch {
	case okBefore && okAfter:
		return min(before, after)
	case okBefore:
		return before
	case okAfter:
		return after
	}
	return 0
}

// at is the squared distance between picture i and the clip at time x, interpolated linearly between the pictures j and j+1 around x. It
// needs the table alone: |a-(1-l)b-lc|^2 = (1-l)|a-b|^2 + l|a-c|^2 - l(1-l)|b-c|^2.
func (s *series) at(i, j int, x float64) float64 {
	l := (x - s.t[j]) / (s.t[j+1] - s.t[j])
	return max((1-l)*s.d(i, j)+l*s.d(i, j+1)-l*(1-l)*s.d(j, j+1), 0)
}
