// For warp.go.
#include <stdint.h>

enum { reuse_woven = 16 }; // frames whose values of one pixel lie side by side

struct reuse_tap {
  int32_t at;
  float w;
};

void reuse_weave(const float *frames, int n, int pixels, float *out);
void reuse_warp(const float *woven, int n, int pixels, const int32_t *from, const struct reuse_tap *taps, int cells, float *out);
