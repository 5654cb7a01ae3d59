package index

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// benchSizes are how many hashes are measured; ONSITE_INDEX_SIZES="10000 100000 1000000 10000000" for the figures of docs/scale.md.
func benchSizes(b *testing.B) []int {
	all := []int{10_000, 100_000}
	if s := os.Getenv("ONSITE_INDEX_SIZES"); s != "" {
		all = nil
		for f := range strings.FieldsSeq(s) {
			n, err := strconv.Atoi(f)
			require.NoError(b, err)
			all = append(all, n)
		}
	}
	return all
}

// BenchmarkSearch looks for whole clips of 8 pictures in two forms, re-encoded (up to 12 bits off), in a mapped snapshot.
func BenchmarkSearch(b *testing.B) {
	for _, n := range benchSizes(b) {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			x, err := Open(dir, Options{})
			require.NoError(b, err)
			r := rand.New(rand.NewPCG(9, 9))
			var kept []Clip
			start := cpu(b, unix.CLOCK_PROCESS_CPUTIME_ID)
			for part := range batches(n) {
				require.NoError(b, x.Add(b.Context(), tenant, part, part[len(part)-1].Seq))
				for i := range part {
					if r.IntN(n/8) < 300 {
						kept = append(kept, part[i])
					}
				}
			}
			added := cpu(b, unix.CLOCK_PROCESS_CPUTIME_ID) - start
			start = cpu(b, unix.CLOCK_PROCESS_CPUTIME_ID)
			require.NoError(b, x.Snapshot(b.Context(), tenant))
			snapped := cpu(b, unix.CLOCK_PROCESS_CPUTIME_ID) - start
			require.NoError(b, x.Close())
			debug.FreeOSMemory()
			before := residentKB()
			start = cpu(b, unix.CLOCK_PROCESS_CPUTIME_ID)
			x, err = Open(dir, Options{}) // as after a restart
			require.NoError(b, err)
			defer x.Close()
			s, err := x.Stats(tenant)
			require.NoError(b, err)
			opened := cpu(b, unix.CLOCK_PROCESS_CPUTIME_ID) - start
			var took []time.Duration // CPU time: other work of the machine does not count
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			flooded, found := 0, 0
			b.ResetTimer()
			for i := range max(b.N, 200) {
				c := &kept[i%len(kept)]
				q := Query{Tenant: tenant, Radius: MaxRadius, AsOf: Newest, Before: "9", Frames: like(r, c, 12)}
				start := cpu(b, unix.CLOCK_THREAD_CPUTIME_ID)
				res, err := x.Search(b.Context(), q)
				took = append(took, cpu(b, unix.CLOCK_THREAD_CPUTIME_ID)-start)
				require.NoError(b, err)
				flooded += len(res.Flooded)
				found += len(res.Matches)
				require.True(b, len(res.Flooded) > 0 || len(res.Matches) > 0)
			}
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs/clip-p50")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs/clip-p99")
			b.ReportMetric(float64(s.Bytes)/float64(s.Hashes), "B/hash")
			b.ReportMetric(added.Seconds(), "cpu-s-to-add")
			b.ReportMetric(snapped.Seconds(), "cpu-s-snapshot")
			b.ReportMetric(float64(found)/float64(len(took)), "clips-found")
			b.ReportMetric(float64(flooded)/float64(len(took)), "pictures-flooded")
			b.ReportMetric(opened.Seconds(), "cpu-s-open")
			b.ReportMetric(float64(residentKB()-before)/1024, "resident-MB")
		})
	}
}

// BenchmarkBrute is what Search is compared with: the same bytes, every hash looked at, for one picture in one form.
func BenchmarkBrute(b *testing.B) {
	for _, n := range benchSizes(b) {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			all := make([]Hash, 0, n)
			for c := range Synthetic(7, n) {
				for _, f := range c.Frames {
					all = append(all, f.Hash)
				}
			}
			q := all[n/2]
			near := 0
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			start := cpu(b, unix.CLOCK_THREAD_CPUTIME_ID)
			for b.Loop() {
				for i := range all {
					if q.Distance(&all[i]) <= MaxRadius {
						near++
					}
				}
			}
			b.ReportMetric(float64((cpu(b, unix.CLOCK_THREAD_CPUTIME_ID)-start).Microseconds())/float64(b.N), "cpu-µs/hash")
			require.Positive(b, near)
		})
	}
}

// batches gives the made-up clips of a benchmark, some thousand at a time.
func batches(n int) func(yield func([]Clip) bool) {
	return func(yield func([]Clip) bool) {
		var part []Clip
		for c := range Synthetic(7, n) {
			if part = append(part, c); len(part) == 4096 {
				if !yield(part) {
					return
				}
				part = part[:0]
			}
		}
		if len(part) > 0 {
			yield(part)
		}
	}
}

// cpu is what this thread or process has used.
func cpu(b *testing.B, clock int32) time.Duration {
	var t unix.Timespec
	require.NoError(b, unix.ClockGettime(clock, &t))
	return time.Duration(t.Nano())
}

// residentKB is this process's memory, mapped pages as well.
func residentKB() int {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		return 0
	}
	return resident * os.Getpagesize() / 1024
}
