// Binary codes of descriptors: which of the 128 values are above their median. And the Hamming distances of codes, all against all: what looking through a history spends most on. Row i of out holds those of code i of q (pairs of
// 64 bits) to all codes of o, and 128, the largest there is, in the rest of the stride.
#include "distance.h"

#include <string.h>

typedef uint8_t bytes __attribute__((vector_size(32), aligned(1)));

enum { wide = sizeof(bytes), ones = reuse_descriptor / sizeof(bytes) };

// The median is the least value that half of all do not exceed; it is found by halving the range, counting 32 values at once.
static inline __attribute__((always_inline)) void codes(const uint8_t *d, long stride, int n, uint64_t *out) {
  for (; n > 0; n--, d += stride, out += 2) {
    int low = 0, high = 255;
    while (low < high) {
      const int mid = (low + high) / 2;
      bytes above = {0};
      for (int k = 0; k < ones; k++) above -= (bytes)(*(const bytes *)(d + k * wide) > (uint8_t)mid);
      uint64_t part[wide / 8], all = 0;
      memcpy(part, &above, sizeof part);
      for (int k = 0; k < wide / 8; k++) all += part[k];
      if (reuse_descriptor - (int)(all * 0x0101010101010101 >> 56) >= reuse_descriptor / 2) high = mid;
      else low = mid + 1;
    }
    out[0] = out[1] = 0;
    for (int i = 0; i < reuse_descriptor; i++) out[i / 64] |= (uint64_t)(d[i] > low) << i % 64;
  }
}

// The first of the nearest pairs of two lists of hashes of 256 bits that are nearer than limit; at stays as it is where there is none.
static inline __attribute__((always_inline)) int nearest(const uint64_t *a, long a_stride, int na, const uint64_t *b, long b_stride, int nb, int limit, int at[2]) {
  for (int i = 0; i < na; i++, a = (const uint64_t *)((const char *)a + a_stride)) {
    const uint64_t *o = b;
    for (int j = 0; j < nb; j++, o = (const uint64_t *)((const char *)o + b_stride)) {
      const int d = __builtin_popcountll(a[0] ^ o[0]) + __builtin_popcountll(a[1] ^ o[1]) + __builtin_popcountll(a[2] ^ o[2]) + __builtin_popcountll(a[3] ^ o[3]);
      if (d < limit) limit = d, at[0] = i, at[1] = j;
    }
  }
  return limit;
}

static inline __attribute__((always_inline)) void rows(const uint64_t *q, int nq, const uint64_t *o, int no, int stride, uint8_t *restrict out) {
  for (int i = 0; i < nq; i++, out += stride) {
    uint64_t low = q[2 * i], high = q[2 * i + 1];
    for (int j = 0; j < no; j++) out[j] = (uint8_t)(__builtin_popcountll(low ^ o[2 * j]) + __builtin_popcountll(high ^ o[2 * j + 1]));
    for (int j = no; j < stride; j++) out[j] = 128;
  }
}

#if defined(__x86_64__)
static __attribute__((target("avx2"))) void many(const uint8_t *d, long stride, int n, uint64_t *out) { codes(d, stride, n, out); }

// Processors that count the bits of eight words at once do so, others those of one; the distances are the same.
static __attribute__((target("avx512f,avx512bw,avx512vpopcntdq"))) void eight(const uint64_t *q, int nq, const uint64_t *o, int no, int stride, uint8_t *out) {
  rows(q, nq, o, no, stride, out);
}

static __attribute__((target("popcnt"))) int pairs(const uint64_t *a, long a_stride, int na, const uint64_t *b, long b_stride, int nb, int limit, int at[2]) {
  return nearest(a, a_stride, na, b, b_stride, nb, limit, at);
}

static __attribute__((target("popcnt"))) void one(const uint64_t *q, int nq, const uint64_t *o, int no, int stride, uint8_t *out) {
  rows(q, nq, o, no, stride, out);
}
#endif

void reuse_codes(const uint8_t *descriptors, long stride, int n, uint64_t *out) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) {
    many(descriptors, stride, n, out);
    return;
  }
#endif
  codes(descriptors, stride, n, out);
}

int reuse_nearest(const uint64_t *a, long a_stride, int na, const uint64_t *b, long b_stride, int nb, int limit, int at[2]) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("popcnt")) return pairs(a, a_stride, na, b, b_stride, nb, limit, at);
#endif
  return nearest(a, a_stride, na, b, b_stride, nb, limit, at);
}

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
