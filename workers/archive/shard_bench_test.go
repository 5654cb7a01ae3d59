package archive

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"onsite/pipeline/reuse/index"
)

// benchTenant is the tenant whose index is measured.
const benchTenant = "bench"

// standing is a store whose feed stands at one position.
type standing struct {
	Store
	at int64
}

func (s standing) Position(context.Context, string) (int64, error) { return s.at, nil }

// holding makes an archive over one shard of n made-up hashes, from a snapshot that was just opened.
func holding(b testing.TB, n int, shard index.Shard, change func(*Options)) *Archive {
	dir := b.TempDir()
	x, err := index.Open(dir, index.Options{Shard: shard})
	require.NoError(b, err)
	var batch []index.Clip
	add := func() {
		if len(batch) > 0 {
			require.NoError(b, x.Add(b.Context(), benchTenant, batch, batch[len(batch)-1].Seq))
			batch = batch[:0]
		}
	}
	var last int64
	for c := range index.Synthetic(7, n) {
		last = c.Seq
		if batch = append(batch, c); len(batch) == 4096 {
			add()
		}
	}
	add()
	require.NoError(b, x.Snapshot(b.Context(), benchTenant))
	require.NoError(b, x.Close())
	batch = nil
	x, err = index.Open(dir, index.Options{Shard: shard})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, x.Close()) })
	o := Options{Store: standing{at: last}, Index: x, Token: token, Timeout: soon}
	if change != nil {
		change(&o)
	}
	a := New(o)
	close(*a.tenant(benchTenant).filled.Load())
	at, err := x.UpTo(benchTenant)
	require.NoError(b, err)
	require.NoError(b, x.Add(b.Context(), benchTenant, nil, last)) // the last clips may be others'
	require.LessOrEqual(b, at, last)
	debug.FreeOSMemory()
	return a
}

// TestShardProcess is no test: it is the other process of BenchmarkShards, and answers until its input ends.
func TestShardProcess(t *testing.T) {
	text := os.Getenv("ONSITE_TEST_SHARD")
	if text == "" {
		t.Skip("BenchmarkShards starts it")
	}
	shard, err := index.ParseShard(text)
	require.NoError(t, err)
	n, err := strconv.Atoi(os.Getenv("ONSITE_TEST_HASHES"))
	require.NoError(t, err)
	h, err := holding(t, n, shard, nil).Handler()
	require.NoError(t, err)
	s := httptest.NewServer(h)
	defer s.Close()
	fmt.Println("listens " + s.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// counting counts the bytes of connections.
type counting struct {
	net.Conn
	sent, got *atomic.Int64
}

func (c counting) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.got.Add(int64(n))
	return n, err
}

func (c counting) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

// BenchmarkShards asks for whole clips of 8 pictures in two forms, re-encoded, where the index is held by one process or by several that are
// asked over HTTP on this machine. ONSITE_TEST_HASHES and ONSITE_TEST_SHARDS ("1 3") choose other sizes.
func BenchmarkShards(b *testing.B) {
	n, shards := 100_000, []int{1, 3}
	if s := os.Getenv("ONSITE_TEST_HASHES"); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(b, err)
	}
	if s := os.Getenv("ONSITE_TEST_SHARDS"); s != "" {
		shards = nil
		for f := range strings.FieldsSeq(s) {
			k, err := strconv.Atoi(f)
			require.NoError(b, err)
			shards = append(shards, k)
		}
	}
	for _, of := range shards {
		b.Run(fmt.Sprintf("%d/%d", n, of), func(b *testing.B) {
			var sent, got atomic.Int64
			pids := []int{os.Getpid()}
			urls := []string{"http://own"}
			for k := 2; k <= of; k++ { // one after the other: building needs memory
				url, pid := process(b, n, index.Shard{K: k, N: of})
				urls, pids = append(urls, url), append(pids, pid)
			}
			a := holding(b, n, index.Shard{K: 1, N: of}, func(o *Options) { o.Peers = urls })
			transport := a.client.Transport.(*http.Transport)
			dial := transport.DialContext
			transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := dial(ctx, network, address)
				return counting{c, &sent, &got}, err
			}
			defer a.client.CloseIdleConnections()
			queries := again(n, 300)
			for i := range queries[:20] { // connections, pages
				_, err := a.Find(b.Context(), queries[i])
				require.NoError(b, err)
			}
			sent.Store(0)
			got.Store(0)
			before := make([]time.Duration, of)
			for k, pid := range pids {
				before[k] = cpuOf(b, pid)
			}
			var took []time.Duration
			found, flooded := 0, 0
			rounds := max(b.N, 600)
			b.ResetTimer()
			for i := range rounds {
				began := time.Now()
				res, err := a.Find(b.Context(), queries[i%len(queries)])
				took = append(took, time.Since(began))
				require.NoError(b, err)
				found += len(res.Matches)
				flooded += len(res.Flooded)
			}
			b.StopTimer()
			for _, p := range a.peers {
				require.False(b, p.away.Load())
			}
			var own, others time.Duration
			resident := 0
			for k, pid := range pids {
				used := cpuOf(b, pid) - before[k]
				if resident = max(resident, residentOf(b, pid)); k == 0 {
					own = used
				} else {
					others += used
				}
			}
			slices.Sort(took)
			each := float64(rounds)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
			b.ReportMetric(float64(own.Microseconds())/each, "cpu-µs-asking")
			b.ReportMetric(float64(others.Microseconds())/each, "cpu-µs-others")
			b.ReportMetric(float64(sent.Load())/each, "B-sent")
			b.ReportMetric(float64(got.Load())/each, "B-got")
			b.ReportMetric(float64(resident)/(1<<20), "MB-resident-most")
			b.ReportMetric(float64(found)/each, "clips-found")
			b.ReportMetric(float64(flooded)/each, "pictures-flooded")
		})
	}
}

// again asks for made-up clips as they come back, re-encoded, in two forms.
func again(n, count int) (all []index.Query) {
	r := rand.New(rand.NewPCG(9, 9))
	var last int64
	for c := range index.Synthetic(7, n) {
		last = c.Seq
		if r.IntN(n/8) >= 2*count || len(all) == count {
			continue
		}
		q := index.Query{Tenant: benchTenant, Radius: index.MaxRadius}
		for _, f := range c.Frames {
			h := f.Hash
			for range 12 {
				bit := r.IntN(256)
				h[bit/64] ^= 1 << (bit % 64)
			}
			q.Frames = append(q.Frames, index.Asked{AtMS: f.AtMS, Forms: []index.Hash{h, {r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}}})
		}
		all = append(all, q)
	}
	for i := range all {
		all[i].AsOf = last
	}
	return all
}

// process starts another process that holds a shard.
func process(b *testing.B, n int, s index.Shard) (url string, pid int) {
	ctx := context.WithoutCancel(b.Context()) // it ends with its input, and clears up: the context ends before Cleanup
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestShardProcess$", "-test.timeout", "1h")
	cmd.Env = append(os.Environ(), "ONSITE_TEST_SHARD="+s.String(), "ONSITE_TEST_HASHES="+strconv.Itoa(n))
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		require.NoError(b, in.Close())
		_ = cmd.Wait() // the pipe of its output is closed by then
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "listens "); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return url, cmd.Process.Pid
		}
	}
	b.Fatal("the other process does not listen")
	return "", 0
}

// cpuOf is what a process has used, to 10 ms.
func cpuOf(b *testing.B, pid int) time.Duration {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(b, err)
	f := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	user, err := strconv.Atoi(f[11])
	require.NoError(b, err)
	system, err := strconv.Atoi(f[12])
	require.NoError(b, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// residentOf is the memory of a process in bytes, mapped pages as well.
func residentOf(b *testing.B, pid int) int {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	require.NoError(b, err)
	var size, resident int
	_, err = fmt.Sscan(string(raw), &size, &resident)
	require.NoError(b, err)
	return resident * unix.Getpagesize()
}
