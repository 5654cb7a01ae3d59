// Which pixels make a cell, and averaging those of every frame into cells, sixteen frames at once. Each sum is made in the order of its taps, so it is the same to the
// last bit as one that is made alone.
#include "exact.h"
#include "warp.h"

typedef float lanes __attribute__((vector_size(32), aligned(4)));

// Which pixels make the cells of a grid, and with which weights; sums has room for all pixels and is zero.
int reuse_map(const double *back, int w, int h, int side, float *sums, int32_t *from, struct reuse_tap *taps) {
  const double n = side * reuse_samples;
  int count = 0, cell = 0;
  from[cell++] = 0;
  for (int cy = 0; cy < side; cy++)
    for (int cx = 0; cx < side; cx++) {
      int32_t used[reuse_taps_of_cell];
      int touched = 0, inside = 0;
      for (int sy = 0; sy < reuse_samples; sy++)
        for (int sx = 0; sx < reuse_samples; sx++) {
          const double u = (cx * reuse_samples + sx + 0.5) / n, v = (cy * reuse_samples + sy + 0.5) / n;
          const double depth = back[6] * u + back[7] * v + back[8];
          double x = (back[0] * u + back[1] * v + back[2]) / depth, y = (back[3] * u + back[4] * v + back[5]) / depth;
          if (!(x >= 0 && y >= 0 && x <= 1 && y <= 1)) continue; // or no number
          inside++;
          x = x * w - 0.5, y = y * h - 0.5;
          x = x < 0 ? 0 : x > w - 1 ? w - 1 : x, y = y < 0 ? 0 : y > h - 1 ? h - 1 : y;
          const int x0 = (int)x, y0 = (int)y, x1 = x0 + 1 < w ? x0 + 1 : w - 1, y1 = y0 + 1 < h ? y0 + 1 : h - 1;
          const float right = (float)(x - x0), down = (float)(y - y0);
          const int32_t at[4] = {y0 * w + x0, y0 * w + x1, y1 * w + x0, y1 * w + x1};
          const float share[4] = {(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down};
          for (int i = 0; i < 4; i++) {
            if (share[i] == 0) continue;
            if (sums[at[i]] == 0) used[touched++] = at[i];
            sums[at[i]] += share[i];
          }
        }
      const int keep = inside * 50 >= reuse_samples * reuse_samples * 49;
      for (int i = 0; i < touched; i++) {
        if (keep) taps[count++] = (struct reuse_tap){used[i], sums[used[i]] / (float)inside};
        sums[used[i]] = 0;
      }
      from[cell++] = count;
    }
  return count;
}

void reuse_weave(const float *frames, int n, int pixels, float *out) {
  for (int first = 0; first < n; first += reuse_woven) {
    const float *src[reuse_woven]; // the last frame fills the last block
    for (int f = 0; f < reuse_woven; f++) src[f] = frames + (long)(first + f < n ? first + f : n - 1) * pixels;
    for (int p = 0; p < pixels; p++, out += reuse_woven)
      for (int f = 0; f < reuse_woven; f++) out[f] = src[f][p];
  }
}

// Row i of eight becomes column i.
static inline __attribute__((always_inline)) void transpose(lanes r[8]) {
  lanes t[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
    t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  }
  for (int i = 0; i < 8; i += 4)
    for (int k = 0; k < 2; k++) {
      r[i + k] = __builtin_shufflevector(t[i + k], t[i + k + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      r[i + k + 2] = __builtin_shufflevector(t[i + k], t[i + k + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int i = 0; i < 4; i++) {
    t[i] = __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    t[i + 4] = __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
  for (int i = 0; i < 8; i++) r[i] = t[i];
}

// One cell in sixteen frames.
static inline __attribute__((always_inline)) void average(const float *woven, const struct reuse_tap *tap, const struct reuse_tap *end, lanes *low, lanes *high) {
  lanes a = {0}, b = {0};
  for (; tap < end; tap++) {
    const lanes *v = (const lanes *)(woven + (long)tap->at * reuse_woven);
    a += tap->w * v[0];
    b += tap->w * v[1];
  }
  *low = a, *high = b;
}

static inline __attribute__((always_inline)) void warp(const float *woven, int n, int pixels, const int32_t *from, const struct reuse_tap *taps, int cells, float *out) {
  for (int first = 0; first < n; first += reuse_woven, woven += (long)pixels * reuse_woven, out += (long)cells * reuse_woven) {
    const int count = n - first < reuse_woven ? n - first : reuse_woven;
    for (int cell = 0; cell < cells; cell += 8) { // a frame's values of eight cells are written at once
      lanes sum[2][8];
      for (int c = 0; c < 8; c++) average(woven, taps + from[cell + c], taps + from[cell + c + 1], &sum[0][c], &sum[1][c]);
      transpose(sum[0]), transpose(sum[1]);
      for (int f = 0; f < count; f++) *(lanes *)(out + (long)f * cells + cell) = sum[f / 8][f % 8];
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
