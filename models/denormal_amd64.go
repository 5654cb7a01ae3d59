package models

/*
#include <xmmintrin.h>

// MXCSR: bit 15 flushes denormal results to zero (FTZ), bit 6 takes denormal operands as zero (DAZ).
static unsigned int flush(void) {
	unsigned int old = _mm_getcsr();
	_mm_setcsr(old | 0x8040);
	return old;
}

static void restore(unsigned int old) { _mm_setcsr(old); }
*/
import "C"

func flushDenormals() uint64 { return uint64(C.flush()) }

func restoreDenormals(old uint64) { C.restore(C.uint(old)) }
