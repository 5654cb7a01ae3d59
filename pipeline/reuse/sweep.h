// For sweep.go.
#include <stdint.h>

enum { reuse_lanes = 8, reuse_windows = 4 };

// reuse_sweep adds up along reuse_lanes lines at once, at offsets b, b + unit, ... of the earlier clip: sample index[k] + offset for query sample k.
struct reuse_window {
  int length, stride;
  float rest, pass; // energy that both sides get for nothing; the square that a correlation must exceed
};

uint32_t reuse_sweep(const float *x, const float *theirs, const float *ones, int width, int n, const int32_t *index, const float *ours, const uint8_t *valid, int nq,
                     int unit, int b, float dir, const struct reuse_window *windows, int nw, float *sums, float *totals);
