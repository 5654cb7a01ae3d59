// Averaging the pixels of every frame into cells, sixteen frames at once. Each sum is made in the order of its taps, so it is the same to the
// last bit as one that is made alone.
#include "warp.h"

typedef float lanes __attribute__((vector_size(32), aligned(4)));

void reuse_weave(const float *frames, int n, int pixels, float *out) {
  for (int first = 0; first < n; first += reuse_woven) {
    const float *src[reuse_woven]; // the last frame fills the last block
    for (int f = 0; f < reuse_woven; f++) src[f] = frames + (long)(first + f < n ? first + f : n - 1) * pixels;
    for (int p = 0; p < pixels; p++, out += reuse_woven)
      for (int f = 0; f < reuse_woven; f++) out[f] = src[f][p];
  }
}

static inline __attribute__((always_inline)) void warp(const float *woven, int n, int pixels, const int32_t *from, const struct reuse_tap *taps, int cells, float *out) {
  for (int first = 0; first < n; first += reuse_woven, woven += (long)pixels * reuse_woven) {
    const int count = n - first < reuse_woven ? n - first : reuse_woven;
    for (int cell = 0; cell < cells; cell++) {
      lanes sum[2] = {{0}, {0}};
      for (int i = from[cell]; i < from[cell + 1]; i++) {
        const lanes *v = (const lanes *)(woven + (long)taps[i].at * reuse_woven);
        sum[0] += taps[i].w * v[0];
        sum[1] += taps[i].w * v[1];
      }
      float *to = out + (long)first * cells + cell;
      for (int f = 0; f < count; f++, to += cells) *to = sum[f / 8][f % 8];
    }
  }
}

#if defined(__x86_64__)
static __attribute__((target("avx2"))) void wide(const float *woven, int n, int pixels, const int32_t *from, const struct reuse_tap *taps, int cells, float *out) {
  warp(woven, n, pixels, from, taps, cells, out);
}
#endif

void reuse_warp(const float *woven, int n, int pixels, const int32_t *from, const struct reuse_tap *taps, int cells, float *out) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) {
    wide(woven, n, pixels, from, taps, cells, out);
    return;
  }
#endif
  warp(woven, n, pixels, from, taps, cells, out);
}
