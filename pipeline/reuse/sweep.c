// Running totals along lines in time, eight lines at once, and which of the lines have a window that correlates enough: what comparing two
// clips spends most on. The sums are made in the order in which one line after the other makes them, so they are the same to the last bit.
#include "exact.h"
#include "sweep.h"

typedef float lanes __attribute__((vector_size(4 * reuse_lanes), aligned(4)));
typedef int32_t marks __attribute__((vector_size(4 * reuse_lanes)));

static inline __attribute__((always_inline)) uint32_t sweep(const float *x, const float *theirs, const float *ones, int width, int n, const int32_t *index,
                                                            const float *ours, const uint8_t *valid, int nq, int unit, int b, float dir,
                                                            const struct reuse_window *windows, int nw, float *sums, float *totals) {
  // Query samples with a partner in any of the lines: partners rise or fall all along a line.
  const int span = (reuse_lanes - 1) * unit;
  int first = 0, last = nq;
  while (first < last && (index[first] + b + span < 0 || index[first] + b >= n)) first++;
  while (last > first && (index[last - 1] + b + span < 0 || index[last - 1] + b >= n)) last--;
  const int count = last - first;
  lanes sx = {0}, sq = {0}, so = {0}, sn = {0};
  lanes *X = (lanes *)sums, *Q = X + nq + 1, *O = Q + nq + 1;
  X[0] = sx, Q[0] = sq, O[0] = so;
  for (int k = 0; k < count; k++) {
    const unsigned j = (unsigned)(index[first + k] + b + reuse_lanes * unit); // of the padded row
    if (valid[first + k]) {
      const unsigned at = j % (unsigned)unit * (unsigned)width + j / (unsigned)unit;
      const lanes one = *(const lanes *)(ones + at);
      sx += dir * *(const lanes *)(x + (long)(first + k) * unit * width + at);
      sq += ours[first + k] * one;
      so += *(const lanes *)(theirs + at);
      sn += one;
    }
    X[k + 1] = sx, Q[k + 1] = sq, O[k + 1] = so;
  }
  lanes *out = (lanes *)totals;
  out[0] = sx, out[1] = sq, out[2] = so, out[3] = sn;
  // Lines that begin at different samples have their windows at different ones: then all are looked at.
  const int aligned = count > 0 && index[first] + b >= 0 && index[first] + b + span < n;
  marks hit = {0};
  for (int i = 0; i < nw; i++) {
    const int w = windows[i].length, stride = aligned ? windows[i].stride : 1;
    const float e = windows[i].rest, pass = windows[i].pass;
    for (int k = 0; k + w <= count; k += stride) {
      const lanes d = X[k + w] - X[k];
      hit |= (d * d > pass * ((Q[k + w] - Q[k] + e) * (O[k + w] - O[k] + e))) & (d > 0);
    }
  }
  uint32_t bits = 0;
  for (int l = 0; l < reuse_lanes; l++) bits |= (uint32_t)(hit[l] & 1) << l;
  return bits;
}

// How far apart the samples lie is known when each of these is compiled.
#define SWEEP(u) sweep(x, theirs, ones, width, n, index, ours, valid, nq, u, b, dir, windows, nw, sums, totals)
#define ANY (unit == 1 ? SWEEP(1) : unit == 2 ? SWEEP(2) : SWEEP(unit))

#if defined(__x86_64__)
static __attribute__((target("avx2"))) uint32_t wide(const float *x, const float *theirs, const float *ones, int width, int n, const int32_t *index, const float *ours,
                                                     const uint8_t *valid, int nq, int unit, int b, float dir, const struct reuse_window *windows, int nw,
                                                     float *sums, float *totals) {
  return ANY;
}
#endif

uint32_t reuse_sweep(const float *x, const float *theirs, const float *ones, int width, int n, const int32_t *index, const float *ours, const uint8_t *valid, int nq,
                     int unit, int b, float dir, const struct reuse_window *windows, int nw, float *sums, float *totals) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return wide(x, theirs, ones, width, n, index, ours, valid, nq, unit, b, dir, windows, nw, sums, totals);
#endif
  return ANY;
}
