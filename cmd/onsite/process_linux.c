// How the process is set up before Go starts.

// The C library keeps the memory that OpenCV and ONNX Runtime free: they ask for the same sizes again for the next picture, and pages that were given
// back have to be cleared anew each time. One arena for two processors instead of eight for each, so that what one thread freed is there for the
// others; processors are those that the process may run on, a container's share of their time is not looked at. What the operator set in the
// environment (MALLOC_ARENA_MAX and so on) holds, and with any GLIBC_TUNABLES all of it is the operator's.
#define _GNU_SOURCE
#include <malloc.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>

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

// Go's monitor thread sleeps 20 us at a time while a goroutine is inside C code, which is most of the time here, and the kernel wakes a sleeper
// up to 50 us late: some ten thousand times a second. Half a millisecond of lateness costs no timer of ours anything and saves a third of that thread's time.
// Threads inherit it, so it is set before Go starts any. What a unit file says (TimerSlackNSec) holds.
__attribute__((constructor)) static void sleep_long(void) {
  const int usual = 50000, ns = 500000;
  if (prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == usual) prctl(PR_SET_TIMERSLACK, ns, 0, 0, 0); // what is refused only costs time
}
