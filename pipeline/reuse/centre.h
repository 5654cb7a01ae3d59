// For centre.go.
#include <stdint.h>

enum { reuse_centre_most = 1024 }; // cells of a frame

void reuse_centre(const float *changes, const uint8_t *valid, int n, int size, const int64_t *wanted, int count, float clip, float *out);
