package copies

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"onsite/pipeline/reuse/index"
)

// Sizes of the index that are measured, in frame hashes; LargeSize only when it is asked for: it takes minutes and a gigabyte.
var (
	Sizes     = []int{10_000, 100_000, 1_000_000}
	LargeSize = 10_000_000
)

// Lookup is what the frame index costs at one size. Times are CPU time of one core. The hashes are made up (index.Synthetic), so nothing
// here is about recall on pictures.
type Lookup struct {
	Hashes   int      `json:"hashes"`
	Clips    int      `json:"clips"`
	AddS     float64  `json:"add_s"`       // to take all clips in
	BuildS   float64  `json:"snapshot_s"`  // to write the snapshot
	OpenMS   float64  `json:"open_ms"`     // to map it after a restart
	Bytes    int64    `json:"bytes"`       // of the index
	PerHash  float64  `json:"bytes_each"`  // per hash
	P50MS    float64  `json:"p50_ms"`      // a whole clip: 8 pictures in two forms each
	P99MS    float64  `json:"p99_ms"`      //
	Longer   []Longer `json:"longer"`      // the same for clips with more pictures
	BruteMS  float64  `json:"brute_ms"`    // the same clip against every hash: one pass measured, times the hashes asked
	Faster   float64  `json:"times_brute"` // brute force over the median
	Found    float64  `json:"found"`       // clips in the answers, mean
	Flooded  float64  `json:"flooded"`     // pictures that match too much to say anything, mean
	Checked  int      `json:"checked"`     // answers that were compared with those of a scan of all clips
	Mistaken int      `json:"mistaken"`    // of them: other than the scan's
}

// Longer is what a clip with more pictures costs: 15 s give 16, the longest clips 64. Its pictures are those of several made-up clips, as if
// the scene changed again and again.
type Longer struct {
	Stills int     `json:"stills"`
	P50MS  float64 `json:"p50_ms"`
	P99MS  float64 `json:"p99_ms"`
}

// longer are the numbers of pictures that are measured besides those of a made-up clip.
var longer = []int{16, 64}

// Lookup measurements: clips that are asked, answers compared with a scan, clips given to the index at once, bits that re-encoding flips.
const (
	asked        = 200
	checkedMost  = 5
	batch        = 4096
	reencodeBits = 12
	bitsOfHash   = 256
)

// measured is the tenant whose index is measured.
const measured = "bench"

// MeasureIndex builds the index at each size in a folder of its own below the system's temporary one, and asks it. progress may be nil.
func MeasureIndex(ctx context.Context, sizes []int, seed uint64, progress func(done, total int)) ([]Lookup, error) {
	out := make([]Lookup, 0, len(sizes))
	for i, n := range sizes {
		l, err := measureIndex(ctx, n, seed)
		if err != nil {
			return nil, fmt.Errorf("measure the index at %d hashes: %w", n, err)
		}
		out = append(out, l)
		if progress != nil {
			progress(i+1, len(sizes))
		}
	}
	return out, nil
}

func measureIndex(ctx context.Context, n int, seed uint64) (l Lookup, err error) {
	dir, err := os.MkdirTemp("", "onsite-index-")
	if err != nil {
		return l, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var clips []index.Clip
	var flat []index.Hash
	for c := range index.Synthetic(seed, n) {
		clips = append(clips, c)
		for _, f := range c.Frames {
			flat = append(flat, f.Hash)
		}
	}
	l.Hashes, l.Clips = len(flat), len(clips)

	x, err := index.Open(dir, index.Options{})
	if err != nil {
		return l, err
	}
	began := cpuTime(unix.CLOCK_PROCESS_CPUTIME_ID)
	for part := range slices.Chunk(clips, batch) {
		if err := x.Add(ctx, measured, part, part[len(part)-1].Seq); err != nil {
			_ = x.Close()
			return l, err
		}
	}
	l.AddS = (cpuTime(unix.CLOCK_PROCESS_CPUTIME_ID) - began).Seconds()
	began = cpuTime(unix.CLOCK_PROCESS_CPUTIME_ID)
	if err := x.Snapshot(ctx, measured); err != nil {
		_ = x.Close()
		return l, err
	}
	l.BuildS = (cpuTime(unix.CLOCK_PROCESS_CPUTIME_ID) - began).Seconds()
	if err := x.Close(); err != nil {
		return l, err
	}
	began = cpuTime(unix.CLOCK_PROCESS_CPUTIME_ID)
	if x, err = index.Open(dir, index.Options{}); err != nil {
		return l, err
	}
	defer func() {
		if e := x.Close(); err == nil {
			err = e
		}
	}()
	s, err := x.Stats(measured)
	if err != nil {
		return l, err
	}
	l.OpenMS = (cpuTime(unix.CLOCK_PROCESS_CPUTIME_ID) - began).Seconds() * 1000
	l.Bytes, l.PerHash = s.Bytes, float64(s.Bytes)/float64(max(1, s.Hashes))
	return l, l.ask(ctx, x, seed, clips, flat)
}

// ask looks for clips as they come back: re-encoded, in two forms.
func (l *Lookup) ask(ctx context.Context, x *index.Index, seed uint64, clips []index.Clip, flat []index.Hash) error {
	r := rand.New(rand.NewPCG(seed, 9)) //nolint:gosec // G404: made-up data
	runtime.LockOSThread()              // the clock below is the thread's
	defer runtime.UnlockOSThread()
	var took []time.Duration
	var hashes int
	for i := range asked {
		q := again(r, clips, 1)
		hashes += 2 * len(q.Frames)
		res, d, err := timed(ctx, x, &q)
		if err != nil {
			return err
		}
		took = append(took, d)
		l.Found += float64(len(res.Matches)) / asked
		l.Flooded += float64(len(res.Flooded)) / asked
		if i >= checkedMost {
			continue
		}
		scan, err := index.NewScan(q)
		if err != nil {
			return err
		}
		for k := range clips {
			scan.Clip(&clips[k])
		}
		l.Checked++
		l.Mistaken += one(!reflect.DeepEqual(scan.Result(), res))
	}
	slices.Sort(took)
	l.P50MS, l.P99MS = inMS(took[asked/2]), inMS(took[asked*99/100])
	for _, n := range longer {
		for i := range took {
			q := again(r, clips, n)
			var err error
			if _, took[i], err = timed(ctx, x, &q); err != nil {
				return err
			}
		}
		slices.Sort(took)
		l.Longer = append(l.Longer, Longer{n, inMS(took[asked/2]), inMS(took[asked*99/100])})
	}
	near := 0
	began := cpuTime(unix.CLOCK_THREAD_CPUTIME_ID)
	for i := range flat {
		near += one(flat[0].Distance(&flat[i]) <= index.MaxRadius)
	}
	pass := cpuTime(unix.CLOCK_THREAD_CPUTIME_ID) - began
	if near == 0 {
		return fmt.Errorf("brute force did not find a hash that is there")
	}
	l.BruteMS = inMS(pass) * float64(hashes) / asked
	l.Faster = l.BruteMS / max(l.P50MS, 1e-3)
	return nil
}

func inMS(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// timed searches and gives the CPU time of this thread.
func timed(ctx context.Context, x *index.Index, q *index.Query) (index.Result, time.Duration, error) {
	began := cpuTime(unix.CLOCK_THREAD_CPUTIME_ID)
	res, err := x.Search(ctx, *q)
	return res, cpuTime(unix.CLOCK_THREAD_CPUTIME_ID) - began, err
}

// again asks about clips as they come back, re-encoded, in two forms: about one, or about as many as it takes to come to so many pictures.
func again(r *rand.Rand, clips []index.Clip, stills int) index.Query {
	q := index.Query{Tenant: measured, Radius: index.MaxRadius, AsOf: index.Newest}
	for len(q.Frames) < stills {
		for _, f := range clips[r.IntN(len(clips))].Frames {
			h := f.Hash
			for range reencodeBits {
				b := r.IntN(bitsOfHash)
				h[b/64] ^= 1 << (b % 64)
			}
			q.Frames = append(q.Frames, index.Asked{AtMS: f.AtMS, Forms: []index.Hash{h, {r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}}})
		}
	}
	return q
}

// cpuTime is what this thread or process has used: other work of the machine does not count.
func cpuTime(clock int32) time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(clock, &t) // both clocks are always there
	return time.Duration(t.Nano())
}
