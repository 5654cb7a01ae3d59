package reuse

/*
#cgo CFLAGS: -O3
#include "warp.h"
*/
import "C"

import (
	"slices"
	"unsafe"
)

var (
	_ = [1]struct{}{}[unsafe.Sizeof(pixelTap{})-C.sizeof_struct_reuse_tap] // the taps of a map are read in C
	_ = [1]struct{}{}[cells%4+coarseCells%4]                               // cells are written eight at a time
)

// newWarp makes the map for a query track of w x h pixels. back takes library positions (fractions 0..1) to query positions (fractions).
// A cell is the mean of 4 x 4 bilinear samples (128 x 128 in all, the prototype's registered size); it is left empty where more than 2 % of them lie outside the picture.
func newWarp(back Transform, w, h, side int) warpMap {
	m := warpMap{side: side, from: make([]int32, side*side+1)}
	if w < 1 || h < 1 { // no picture
		return m
	}
	most := side * side * C.reuse_taps_of_cell
	sums, work := spare(w*h), spare(most*int(unsafe.Sizeof(pixelTap{})/unsafe.Sizeof(float32(0))))
	defer sums.free()
	defer work.free()
	clear(sums.v)
	taps := unsafe.Slice((*pixelTap)(unsafe.Pointer(unsafe.SliceData(work.v))), most)
	n := C.reuse_map((*C.double)(&back[0]), C.int(w), C.int(h), C.int(side), (*C.float)(unsafe.SliceData(sums.v)), (*C.int32_t)(unsafe.SliceData(m.from)),
		(*C.struct_reuse_tap)(unsafe.Pointer(unsafe.SliceData(taps))))
	m.taps = slices.Clone(taps[:n])
	return m
}

// woven is a track with the values of one pixel in several frames side by side, as laying all frames over a grid wants them.
type woven struct {
	of *track
	v  []float32
}

func weave(t *track) *woven {
	w := &woven{of: t, v: t.mem.floats((t.n + C.reuse_woven - 1) / C.reuse_woven * C.reuse_woven * t.w * t.h)}
	if len(w.v) > 0 {
		_ = t.v[:t.n*t.w*t.h] // what C reads
		C.reuse_weave((*C.float)(unsafe.SliceData(t.v)), C.int(t.n), C.int(t.w*t.h), (*C.float)(unsafe.SliceData(w.v)))
	}
	return w
}

// layIn is apply to all frames of a track that was woven; the result lies in mem.
func (m *warpMap) layIn(mem *memory, w *woven) track {
	t := w.of
	out := track{start: t.start, n: t.n, w: m.side, h: m.side, valid: t.valid, v: mem.floats(t.n * m.side * m.side), mem: mem}
	if len(m.taps) == 0 || len(w.v) == 0 {
		clear(out.v)
		return out
	}
	_ = m.from[m.side*m.side] // what C reads: where each cell's taps begin, and where the last one's end
	C.reuse_warp((*C.float)(unsafe.SliceData(w.v)), C.int(t.n), C.int(t.w*t.h), (*C.int32_t)(unsafe.SliceData(m.from)), (*C.struct_reuse_tap)(unsafe.Pointer(unsafe.SliceData(m.taps))),
		C.int(m.side*m.side), (*C.float)(unsafe.SliceData(out.v)))
	for i, ok := range out.valid {
		if !ok {
			clear(out.frame(i))
		}
	}
	return out
}
