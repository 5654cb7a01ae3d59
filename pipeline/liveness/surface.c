// For surface.go: the loops over the pixels of a patch. Each value is rounded as in Go, one operation after the other.
#include "surface.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

static inline __attribute__((always_inline)) void fill(const uint8_t *bgr, int n, const double *hann, double *restrict y, double *restrict c, float *restrict out) {
  for (int i = 0; i < n * n; i++) {
    const double b = bgr[3 * i], g = bgr[3 * i + 1], r = bgr[3 * i + 2];
    y[i] = (29 * b + 150 * g + 77 * r) / 256, c[i] = g - (b + r) / 2;
  }
  for (int v = 0; v < n; v++) {
    const int at = v * n, up = (v > 0 ? v - 1 : 0) * n, down = (v < n - 1 ? v + 1 : n - 1) * n;
#define DIFFERENCE(p, x, left, right) (float)((4 * p[at + x] - p[up + x] - p[down + x] - p[at + left] - p[at + right]) * (hann[x] * hann[v]))
#define PIXEL(x, left, right) out[2 * (at + x)] = DIFFERENCE(y, x, left, right), out[2 * (at + x) + 1] = DIFFERENCE(c, x, left, right)
    PIXEL(0, 0, 1);
    for (int x = 1; x < n - 1; x++) PIXEL(x, x - 1, x + 1);
    PIXEL(n - 1, n - 2, n - 1);
#undef PIXEL
#undef DIFFERENCE
  }
}

static inline __attribute__((always_inline)) void power(const float *z, const float *w, double *restrict light, double *restrict colour) {
  const double zr = z[0], zi = z[1], wr = w[0], wi = w[1];
  const double re = zr + wr, im = zi - wi;
  *light += re * re + im * im;
  const double re2 = zi + wi, im2 = wr - zr;
  *colour += re2 * re2 + im2 * im2;
}

static inline __attribute__((always_inline)) void row(const float *z, const float *facing, int n, double *restrict light, double *restrict colour) {
  power(z, facing, light, colour);
  for (int x = 1; x < n; x++) power(z + 2 * x, facing + 2 * (n - x), light + x, colour + x);
}

#if defined(__x86_64__)
static __attribute__((target("avx2"))) void wide_fill(const uint8_t *bgr, int n, const double *hann, double *y, double *c, float *out) { fill(bgr, n, hann, y, c, out); }
static __attribute__((target("avx2"))) void wide_row(const float *z, const float *facing, int n, double *light, double *colour) { row(z, facing, n, light, colour); }
#endif

void liveness_fill(const uint8_t *bgr, int n, const double *hann, double *y, double *c, float *out) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) {
    wide_fill(bgr, n, hann, y, c, out);
    return;
  }
#endif
  fill(bgr, n, hann, y, c, out);
}

void liveness_power(const float *data, int n, int margin, double *light, double *colour) {
  for (int v = 0; v < n; v++) {
    if (v >= n / 2 + margin && v < n - margin) continue; // the same as on the other side, and nobody asks
    const float *z = data + 2 * v * n, *facing = data + 2 * ((n - v) % n) * n;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
      wide_row(z, facing, n, light + v * n, colour + v * n);
      continue;
    }
#endif
    row(z, facing, n, light + v * n, colour + v * n);
  }
}
