// Scalar products of all rows of one matrix with all rows of another, eight pairs at once, so that a row that was read serves several. Each product
// is added up in eight lanes, whatever the processor: it is the same to the last bit as one that is made alone.
#include "exact.h"
#include "product.h"

typedef float lanes __attribute__((vector_size(32), aligned(4)));

enum { tall = 4, broad = 2, wide = 8 };

// The lanes' sums in pairs, and the values behind the last full lanes one after the other.
static inline __attribute__((always_inline)) float total(const lanes *s, const float *p, const float *q, int rest) {
  float f[4];
  for (int i = 0; i < 4; i++) f[i] = (*s)[i] + (*s)[i + 4];
  for (; rest >= 4; rest -= 4, p += 4, q += 4)
    for (int i = 0; i < 4; i++) f[i] += p[i] * q[i];
  for (int i = 0; i < rest; i++) f[0] += p[i] * q[i];
  return (f[0] + f[1]) + (f[2] + f[3]);
}

static inline __attribute__((always_inline)) void block(const float *a, int na, const float *b, int nb, int dim, long stride, float *out) {
  const int full = dim / wide * wide;
  lanes sum[tall][broad] = {0};
  for (int k = 0; k < full; k += wide)
    for (int j = 0; j < nb; j++) {
      const lanes q = *(const lanes *)(b + (long)j * dim + k);
      for (int i = 0; i < na; i++) sum[i][j] += *(const lanes *)(a + (long)i * dim + k) * q;
    }
  for (int i = 0; i < na; i++)
    for (int j = 0; j < nb; j++) out[i * stride + j] = total(&sum[i][j], a + (long)i * dim + full, b + (long)j * dim + full, dim - full);
}

static inline __attribute__((always_inline)) void products(const float *a, int na, const float *b, int nb, int dim, float *out) {
  for (int i = 0; i < na; i += tall)
    for (int j = 0; j < nb; j += broad) {
      const float *p = a + (long)i * dim, *q = b + (long)j * dim;
      float *to = out + (long)i * nb + j;
      if (na - i >= tall && nb - j >= broad) block(p, tall, q, broad, dim, nb, to); // sizes that are known stay in registers
      else block(p, na - i < tall ? na - i : tall, q, nb - j < broad ? nb - j : broad, dim, nb, to);
    }
}

#if defined(__x86_64__)
static __attribute__((target("avx2"))) void eight(const float *a, int na, const float *b, int nb, int dim, float *out) { products(a, na, b, nb, dim, out); }
#endif

void reuse_products(const float *a, int na, const float *b, int nb, int dim, float *out) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) {
    eight(a, na, b, nb, dim, out);
    return;
  }
#endif
  products(a, na, b, nb, dim, out);
}
