package models

/*
#include <stdint.h>

// FPCR: bit 24 flushes denormals to zero (FZ).
static uint64_t flush(void) {
	uint64_t old;
	__asm__ volatile("mrs %0, fpcr" : "=r"(old));
	__asm__ volatile("msr fpcr, %0" : : "r"(old | (1ULL << 24)));
	return old;
}

static void restore(uint64_t old) { __asm__ volatile("msr fpcr, %0" : : "r"(old)); }
*/
import "C"

func flushDenormals() uint64 { return uint64(C.flush()) }

func restoreDenormals(old uint64) { C.restore(C.uint64_t(old)) }
