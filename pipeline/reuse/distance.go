package reuse

/*
#cgo CFLAGS: -O3
#include "distance.h"
*/
import "C"

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"unsafe"
)

// farthest is the largest distance of two codes.
const farthest = 128

var _ = [1]struct{}{}[unsafe.Sizeof(Point{}.Desc)-C.reuse_descriptor]

// codesOf makes the codes of points.
func codesOf(points []Point) []code {
	out := make([]code, len(points))
	if len(points) > 0 {
		C.reuse_codes((*C.uint8_t)(&points[0].Desc[0]), C.long(unsafe.Sizeof(points[0])), C.int(len(points)), (*C.uint64_t)(&out[0][0]))
	}
	return out
}

// nearestPair gives the positions and the distance of the first of the nearest pairs of hashes that are nearer than limit; -1 for none.
func nearestPair(a, b []hashed, limit int) (i, j, distance int) {
	if len(a) == 0 || len(b) == 0 {
		return -1, -1, limit
	}
	at := [2]C.int{-1, -1}
	const stride = C.long(unsafe.Sizeof(hashed{}))
	d := C.reuse_nearest((*C.uint64_t)(&a[0].bits[0]), stride, C.int(len(a)), (*C.uint64_t)(&b[0].bits[0]), stride, C.int(len(b)), C.int(limit), &at[0])
	return int(at[0]), int(at[1]), int(d)
}

// distances are the Hamming distances of all codes of one list to all of another, 0..128.
type distances struct {
	d      []uint8 // rows of stride values, those behind the last code farthest
	n      int     // codes in a row
	stride int     // a multiple of 8
}

var distanceBuffers = sync.Pool{New: func() any { return new([]uint8) }}

// distancesOf compares all with all; done gives the memory back.
func distancesOf(q, o []code) (t distances, done func()) {
	t = distances{n: len(o), stride: (len(o) + 7) &^ 7}
	buf, ok := distanceBuffers.Get().(*[]uint8)
	if !ok || cap(*buf) < len(q)*t.stride {
		b := make([]uint8, len(q)*t.stride)
		buf = &b
	}
	t.d = (*buf)[:len(q)*t.stride]
	if len(t.d) > 0 {
		C.reuse_distances((*C.uint64_t)(unsafe.Pointer(unsafe.SliceData(q))), C.int(len(q)), (*C.uint64_t)(unsafe.Pointer(unsafe.SliceData(o))), C.int(len(o)),
			C.int(t.stride), (*C.uint8_t)(unsafe.SliceData(t.d)))
	}
	return t, func() { distanceBuffers.Put(buf) }
}

// row is the distances of code i.
func (t *distances) row(i int) []uint8 { return t.d[i*t.stride : (i+1)*t.stride] }

// below marks those of eight distances from the start of a row on that are less than limit (1..128), in the highest bit of each byte.
func below(row []uint8, limit int) uint64 {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	return ^(binary.LittleEndian.Uint64(row) + ones*uint64(farthest-limit)) & tops
}

// nearestCode gives the position of the nearest code of a row, the first of several; -1 where none is near enough to count as a likeness. It
// notes in away for which of the codes the one at position at of its own index, whose row this is, is the nearest so far.
func nearestCode(row []uint8, away []partner, at int16) int {
	best, found := codeLimit+1, -1
	for j := 0; j+8 <= len(row); j += 8 {
		for near := below(row[j:], codeLimit+1); near != 0; near &= near - 1 {
			k := j + bits.TrailingZeros64(near)/8
			d := int(row[k])
			if d < best {
				best, found = d, k
			}
			if int16(d) < away[k].distance {
				away[k] = partner{int16(d), at}
			}
		}
	}
	return found
}
