// For distance.go.
#include <stdint.h>

void reuse_distances(const uint64_t *q, int nq, const uint64_t *o, int no, int stride, uint8_t *out);
