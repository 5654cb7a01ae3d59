// For distance.go.
#include <stdint.h>

enum { reuse_descriptor = 128 };

void reuse_codes(const uint8_t *descriptors, long stride, int n, uint64_t *out);
int reuse_nearest(const uint64_t *a, long a_stride, int na, const uint64_t *b, long b_stride, int nb, int limit, int at[2]);
void reuse_distances(const uint64_t *q, int nq, const uint64_t *o, int no, int stride, uint8_t *out);
