// Hamming distances of binary codes, all against all: what looking through a history spends most on. Row i of out holds those of code i of q (pairs of
// 64 bits) to all codes of o, and 128, the largest there is, in the rest of the stride.
#include "distance.h"

static inline __attribute__((always_inline)) void rows(const uint64_t *q, int nq, const uint64_t *o, int no, int stride, uint8_t *restrict out) {
  for (int i = 0; i < nq; i++, out += stride) {
    uint64_t low = q[2 * i], high = q[2 * i + 1];
    for (int j = 0; j < no; j++) out[j] = (uint8_t)(__builtin_popcountll(low ^ o[2 * j]) + __builtin_popcountll(high ^ o[2 * j + 1]));
    for (int j = no; j < stride; j++) out[j] = 128;
  }
}

// Processors that count the bits of eight words at once do so, others those of one; the distances are the same.
#if defined(__x86_64__)
static __attribute__((target("avx512f,avx512bw,avx512vpopcntdq"))) void eight(const uint64_t *q, int nq, const uint64_t *o, int no, int stride, uint8_t *out) {
  rows(q, nq, o, no, stride, out);
}

static __attribute__((target("popcnt"))) void one(const uint64_t *q, int nq, const uint64_t *o, int no, int stride, uint8_t *out) {
  rows(q, nq, o, no, stride, out);
}
#endif

void reuse_distances(const uint64_t *q, int nq, const uint64_t *o, int no, int stride, uint8_t *out) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512bw")) {
    eight(q, nq, o, no, stride, out);
    return;
  }
  if (__builtin_cpu_supports("popcnt")) {
    one(q, nq, o, no, stride, out);
    return;
  }
#endif
  rows(q, nq, o, no, stride, out);
}
