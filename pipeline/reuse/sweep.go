package reuse

/*
#cgo CFLAGS: -O3
#include "sweep.h"
*/
import "C"

import "unsafe"

// sweepLanes is how many lines a sweep adds up at once; sweepWindows how many windows it can look for.
const (
	sweepLanes   = C.reuse_lanes
	sweepWindows = C.reuse_windows
)

var _ [sweepWindows - maxWindows]struct{} // a plan's windows all fit

// sweep is what running totals along many lines at once need: the products of all moments with the earlier clip's samples of one line's step
// side by side, and zeros around them for the samples that a line does not have.
type sweep struct {
	r       *runner
	unit    int
	width   int // of the samples of one remainder, with what is around them
	work    *floats
	x       []float32 // q.n rows of unit x width
	theirs  []float32 // unit x width: energies of the earlier clip
	ones    []float32 // unit x width: 1 where a sample is valid
	ours    []uint8   // 1 where a query sample is valid
	sums    []float32
	windows [sweepWindows]C.struct_reuse_window
	totals  [4 * sweepLanes]float32 // of each line: product, energy of the query, energy of the earlier clip, number of samples
}

func newSweep(r *runner, unit int) *sweep {
	s := &sweep{r: r, unit: unit, width: (r.o.n+unit-1)/unit + 2*sweepLanes}
	row := unit * s.width
	products, sums := r.q.n*row, 3*sweepLanes*(r.q.n+1)
	s.work, s.ours = spare(products+2*row+sums), make([]uint8, r.q.n)
	v := s.work.v
	clear(v[:products+2*row])
	s.x, s.theirs, s.ones, s.sums = v[:products], v[products:products+row], v[products+row:products+2*row], v[products+2*row:]
	for from := range unit {
		at := from*s.width + sweepLanes
		for j := from; j < r.o.n; j, at = j+unit, at+1 {
			if s.theirs[at] = r.o.energy[j]; r.o.valid[j] {
				s.ones[at] = 1
			}
		}
	}
	for i := range r.q.n {
		if !r.q.valid[i] {
			continue
		}
		s.ours[i] = 1
		src, dst := r.x[i*r.o.n:(i+1)*r.o.n], s.x[i*row:(i+1)*row]
		for from := range unit {
			into := dst[from*s.width+sweepLanes:]
			for j, k := from, 0; j < len(src); j, k = j+unit, k+1 {
				into[k] = src[j]
			}
		}
	}
	return s
}

// free gives the work space back.
func (s *sweep) free() { s.work.free() }

// look adds up along sweepLanes lines, b being the offset of the first, in the speed and direction that the runner has in hand. It says, lowest bit
// first, which of them may have one of the plan's windows that counts more than least; it is never wrong in saying no.
func (s *sweep) look(p *plan, b int, least, prior float64, dir int) uint32 {
	r, n := s.r, 0
	for _, w := range p.windows {
		if w < r.q.n {
			s.windows[n] = C.struct_reuse_window{length: C.int(w), stride: C.int(quarter(w)), rest: C.float(p.eps * float32(w)), pass: C.float(passing(least/p.share(w), prior))}
			n++
		}
	}
	return uint32(C.reuse_sweep((*C.float)(unsafe.SliceData(s.x)), (*C.float)(unsafe.SliceData(s.theirs)), (*C.float)(unsafe.SliceData(s.ones)), C.int(s.width), C.int(r.o.n),
		(*C.int32_t)(unsafe.SliceData(r.index)), (*C.float)(unsafe.SliceData(r.q.energy)), (*C.uint8_t)(unsafe.SliceData(s.ours)), C.int(r.q.n), C.int(s.unit), C.int(b),
		C.float(dir), &s.windows[0], C.int(n), (*C.float)(unsafe.SliceData(s.sums)), (*C.float)(&s.totals[0])))
}

// total gives the products of one of the lines, the energies of both clips along it, and how many samples it has.
func (s *sweep) total(lane int) (x, q, o, n float32) {
	t := &s.totals
	return t[lane], t[sweepLanes+lane], t[2*sweepLanes+lane], t[3*sweepLanes+lane]
}
