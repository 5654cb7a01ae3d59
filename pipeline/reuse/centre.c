// The changes of the wanted cells of all frames, minus their median in the frame, clipped. The median is found by halving the range in which it lies:
// counting how many values are above a limit takes no branches that depend on them, and eight are looked at at once.
#include "centre.h"

#include <string.h>

// Whole numbers that have the order of the values.
static inline __attribute__((always_inline)) int32_t key_of(float v) {
  int32_t i;
  memcpy(&i, &v, sizeof i);
  return i ^ (i >> 31 & INT32_MAX);
}

static inline __attribute__((always_inline)) float value_of(int32_t key) {
  int32_t i = key ^ (key >> 31 & INT32_MAX);
  float v;
  memcpy(&v, &i, sizeof v);
  return v;
}

static inline __attribute__((always_inline)) int above(const int32_t *keys, int n, int32_t limit) {
  typedef int32_t lanes __attribute__((vector_size(32), aligned(4)));
  lanes some[4] = {0};
  int i = 0, count = 0;
  for (; i + 32 <= n; i += 32)
    for (int k = 0; k < 4; k++) some[k] += *(const lanes *)(keys + i + 8 * k) > limit; // minus one where it is so
  some[0] += some[1] + some[2] + some[3];
  for (int k = 0; k < 8; k++) count -= some[0][k];
  for (; i < n; i++) count += keys[i] > limit;
  return count;
}

// The middle value; the mean of the two middle ones of an even number.
static inline __attribute__((always_inline)) float median(const int32_t *keys, int n) {
  int32_t low = INT32_MAX, high = INT32_MIN;
  for (int i = 0; i < n; i++) low = keys[i] < low ? keys[i] : low, high = keys[i] > high ? keys[i] : high;
  while (low < high) { // the least value that more than half of n do not exceed
    int32_t mid = (int32_t)(((int64_t)low + high) >> 1);
    if (n - above(keys, n, mid) > n / 2) high = mid;
    else low = mid + 1;
  }
  if (n % 2) return value_of(low);
  int32_t below = INT32_MIN, fewer = 0;
  for (int i = 0; i < n; i++) {
    fewer += keys[i] < low;
    below = keys[i] < low && keys[i] > below ? keys[i] : below;
  }
  return (value_of(fewer == n / 2 ? below : low) + value_of(low)) / 2;
}

static inline __attribute__((always_inline)) void centre(const float *changes, const uint8_t *valid, int n, int size, const int64_t *wanted, int count, float clip, float *out) {
  int32_t keys[reuse_centre_most];
  for (int f = 0; f < n; f++, changes += size, out += count) {
    if (!valid[f]) {
      memset(out, 0, sizeof *out * (size_t)count);
      continue;
    }
    for (int k = 0; k < count; k++) out[k] = changes[wanted[k]];
    for (int k = 0; k < count; k++) keys[k] = key_of(out[k]);
    const float mid = median(keys, count);
    for (int k = 0; k < count; k++) {
      const float v = out[k] - mid, w = v > -clip ? v : -clip;
      out[k] = w < clip ? w : clip;
    }
  }
}

#if defined(__x86_64__)
static __attribute__((target("avx2"))) void eight(const float *changes, const uint8_t *valid, int n, int size, const int64_t *wanted, int count, float clip, float *out) {
  centre(changes, valid, n, size, wanted, count, clip, out);
}
#endif

void reuse_centre(const float *changes, const uint8_t *valid, int n, int size, const int64_t *wanted, int count, float clip, float *out) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) {
    eight(changes, valid, n, size, wanted, count, clip, out);
    return;
  }
#endif
  centre(changes, valid, n, size, wanted, count, clip, out);
}
