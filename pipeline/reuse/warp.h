// For warp.go.
#include <stdint.h>

enum { reuse_woven = 16 }; // frames whose values of one pixel lie side by side

enum { reuse_samples = 4, reuse_taps_of_cell = 4 * reuse_samples * reuse_samples }; // a cell is the mean of so many samples squared, each of four pixels

struct reuse_tap {
  int32_t at;
  float w;
};

void reuse_weave(const float *frames, int n, int pixels, float *out);
// cells is a multiple of eight.
void reuse_warp(const float *woven, int n, int pixels, const int32_t *from, const struct reuse_tap *taps, int cells, float *out);
int reuse_map(const double *back, int w, int h, int side, float *sums, int32_t *from, struct reuse_tap *taps);
