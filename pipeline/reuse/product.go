package reuse

/*
#cgo CFLAGS: -O3
#include "product.h"
*/
import "C"

import "unsafe"

// productsIn is the matrix of scalar products of a's and b's rows, in memory of a.n x b.n values; rows that are not valid are zero, and so are their
// products.
func productsIn(x []float32, a, b *gradients) []float32 {
	if a.n == 0 || b.n == 0 || a.dim == 0 {
		clear(x)
		return x
	}
	_, _, _ = a.v[:a.n*a.dim], b.v[:b.n*b.dim], x[:a.n*b.n] // what C reads and writes
	C.reuse_products((*C.float)(unsafe.SliceData(a.v)), C.int(a.n), (*C.float)(unsafe.SliceData(b.v)), C.int(b.n), C.int(a.dim), (*C.float)(unsafe.SliceData(x)))
	return x
}
