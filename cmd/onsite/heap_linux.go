package main

// #include <malloc.h>
import "C"

import (
	"os"
	"runtime"
)

// keepHeap lets the C library keep the memory that OpenCV and ONNX Runtime free: they ask for the same sizes again for the next picture, and
// pages that were given back have to be cleared anew each time. As many arenas as processors instead of eight for each, so that what one
// thread freed is there for the others. What the operator set in the environment (MALLOC_ARENA_MAX and so on) holds.
func keepHeap() {
	const (
		largest = 32 << 20  // from here on a piece is mapped by itself and given back; glibc takes no more
		kept    = 128 << 20 // at the end of an arena; glibc's own limit is twice the largest piece that was freed
	)
	for _, s := range []struct {
		name  string
		param C.int
		value int
	}{
		{"MALLOC_MMAP_THRESHOLD_", C.M_MMAP_THRESHOLD, largest},
		{"MALLOC_TRIM_THRESHOLD_", C.M_TRIM_THRESHOLD, kept},
		{"MALLOC_ARENA_MAX", C.M_ARENA_MAX, max(2, runtime.NumCPU())},
	} {
		if os.Getenv(s.name) == "" && os.Getenv("GLIBC_TUNABLES") == "" {
			C.mallopt(s.param, C.int(s.value)) // what is refused only costs time
		}
	}
}
