// For distance.go.
#include <stdint.h>

enum { reuse_descriptor = 128 };

void reuse_codes(const uint8_t *descriptors, long stride, int n, uint64_t *out);
void reuse_distances(const uint64_t *q, int nq, const uint64_t *o, int no, int stride, uint8_t *out);
