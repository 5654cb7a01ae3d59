// The C library keeps the memory that OpenCV and ONNX Runtime free: they ask for the same sizes again for the next picture, and pages that were given
// back have to be cleared anew each time. One arena for two processors instead of eight for each, so that what one thread freed is there for the
// others. What the operator set in the environment (MALLOC_ARENA_MAX and so on) holds.
#define _GNU_SOURCE
#include <malloc.h>
#include <sched.h>
#include <stdlib.h>

// Before main, because a thread keeps the arena that it got, and Go starts threads before its own main.
__attribute__((constructor)) static void keep_heap(void) {
  cpu_set_t set;
  int processors = sched_getaffinity(0, sizeof set, &set) ? 2 : CPU_COUNT(&set);
  const struct {
    const char *name;
    int param, value;
  } s[] = {
      {"MALLOC_MMAP_THRESHOLD_", M_MMAP_THRESHOLD, 32 << 20},  // from here on a piece is mapped by itself and given back; glibc takes no more
      {"MALLOC_TRIM_THRESHOLD_", M_TRIM_THRESHOLD, 128 << 20}, // kept at the end of an arena; glibc's own limit is twice the largest piece that was freed
      {"MALLOC_ARENA_MAX", M_ARENA_MAX, processors < 4 ? 1 : processors / 2},
  };
  if (getenv("GLIBC_TUNABLES")) return;
  for (size_t i = 0; i < sizeof s / sizeof *s; i++)
    if (!getenv(s[i].name)) mallopt(s[i].param, s[i].value); // what is refused only costs time
}
