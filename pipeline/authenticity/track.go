package authenticity

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"

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
	every int // one of so many pictures of the motion track is in it
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
	least := max(min(m.W, m.H), 1) // of a clip that is wide and hardly high
	cell = min(cell, least)
	for cell < 16 && 2*cell <= least && n*n/2*(m.W/cell)*(m.H/cell) > cellWork {
		cell *= 2
	}
	cw, ch := max(m.W/cell, 1), max(m.H/cell, 1)
	s := &series{t: make([]float64, n), dist: make([]float32, n*n), ref: make([]float64, n), pix: make([]float32, n*cw*ch), cells: cw * ch, every: stride}
	tmp := make([]float32, cw*ch)
	for k := range n {
		f := &frames[k*stride]
		s.t[k] = f.PTS.Seconds()
		part := s.picture(k)
		shrink(f.Gray, m.W, cell, part, cw, ch)
		blur3(part, tmp, cw, ch)
	}
	s.step = usualStep(s.t)
	s.measure()
	return s
}

// maxEvened is how many times the contrast of a picture is raised or lowered at most: a dark one is mostly noise.
const maxEvened = 2

// evened is the series with all pictures of one brightness and of the contrast that is usual in the clip.
func (s *series) evened() *series {
	n := s.n()
	means, devs := make([]float32, n), make([]float64, n)
	for i := range n {
		mean, dev := moments(s.picture(i))
		means[i], devs[i] = mean, float64(dev)
	}
	usual := quantile(devs, 0.5)
	e := &series{t: s.t, dist: make([]float32, n*n), ref: make([]float64, n), step: s.step, pix: make([]float32, len(s.pix)), cells: s.cells, every: s.every}
	for i := range n {
		gain := float32(1)
		if devs[i] > 1e-3 {
			gain = float32(min(max(usual/devs[i], 1.0/maxEvened), maxEvened))
		}
		p := e.picture(i)
		for c, v := range s.picture(i) {
			p[c] = (v - means[i]) * gain
		}
	}
	e.measure()
	return e
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

// measure fills the table of distances, the mean squared difference of every two pictures, as |a|² + |b|² - 2ab, whose products are one matrix
// product, and what moves at each picture. What all pictures have in common is taken away first, so that the differences are not lost in 32 bits.
func (s *series) measure() {
	n, k := s.n(), s.cells
	mean := make([]float32, k)
	for i := range n {
		for c, v := range s.picture(i) {
			mean[c] += v / float32(n)
		}
	}
	rest := make([]float32, n*k)
	for i := range n {
		p, r := s.picture(i), rest[i*k:(i+1)*k]
		for c := range r {
			r[c] = p[c] - mean[c]
		}
	}
	blas32.Syrk(blas.NoTrans, 1/float32(k), blas32.General{Rows: n, Cols: k, Stride: k, Data: rest}, 0, blas32.Symmetric{N: n, Stride: n, Data: s.dist, Uplo: blas.Upper})
	square := make([]float32, n)
	for i := range square {
		square[i] = s.dist[i*n+i]
	}
	for i := range n {
		s.dist[i*n+i] = 0
		for j := i + 1; j < n; j++ {
			v := max(square[i]+square[j]-2*s.dist[i*n+j], 0)
			s.dist[i*n+j], s.dist[j*n+i] = v, v
		}
	}
	for i := range s.ref {
		s.ref[i] = s.motionAt(i)
	}
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
