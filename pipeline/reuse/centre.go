package reuse

/*
#cgo CFLAGS: -O3
#include "centre.h"
*/
import "C"

import "unsafe"

var (
	_ [C.reuse_centre_most - gridSize]struct{}                // the cells of a frame all fit
	_ = [1]struct{}{}[unsafe.Sizeof(int(0))-C.sizeof_int64_t] // wanted is read in C
)

// centred are the changes of the wanted cells, n x dim: minus the frame's median (a flash moves all cells), clipped.
type centred struct {
	wanted []int
	valid  []bool
	v      []float32
}

// centreIn makes them in memory of len(valid) x len(wanted) values, of changes d of size cells in each frame.
func centreIn(v, d []float32, valid []bool, size int, wanted []int) centred {
	c := centred{wanted: wanted, valid: valid, v: v}
	if len(v) > 0 {
		_, _ = d[:len(valid)*size], v[:len(valid)*len(wanted)] // what C reads and writes
		C.reuse_centre((*C.float)(unsafe.SliceData(d)), (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(valid))), C.int(len(valid)), C.int(size),
			(*C.int64_t)(unsafe.Pointer(unsafe.SliceData(wanted))), C.int(len(wanted)), clipGradient, (*C.float)(unsafe.SliceData(v)))
	}
	return c
}
