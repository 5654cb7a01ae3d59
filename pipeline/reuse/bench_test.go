package reuse

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// cpu is the processor time of the process so far; wall time means little on a shared machine.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// reportCPU adds the processor milliseconds per operation to a benchmark's output.
func reportCPU(b *testing.B, since time.Duration) {
	b.Helper()
	b.ReportMetric(float64((cpu(b)-since).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// One 720p frame: all eight PDQ forms.
func BenchmarkPDQ720p(b *testing.B) {
	s := newStage(1, 7, 1280, 720)
	m := bgr(b, s.grey(0), 1280, 720)
	defer m.Close()
	v, err := borrow(m)
	require.NoError(b, err)
	began := cpu(b)
	for b.Loop() {
		if _, _, err := PDQVariants(v); err != nil {
			b.Fatal(err)
		}
	}
	reportCPU(b, began)
}

// A 15 s 720p clip (budget of design: 250 ms).
func BenchmarkCompute720p(b *testing.B) {
	clip := film(b, newStage(1, 7, 1280, 720), 15, from(0), asIs)
	began := cpu(b)
	for b.Loop() {
		if _, err := Compute(clip); err != nil {
			b.Fatal(err)
		}
	}
	reportCPU(b, began)
}

// A 15 s clip against 200 clips of the same room (budget: 600 ms), fingerprints parsed anew as a verdict does.
func BenchmarkCheck200(b *testing.B) {
	encoded := make([][]byte, 200)
	for i := range 8 {
		raw, err := fingerprint(b, film(b, newStage(1, uint64(20+i), 320, 240), 15, from(0), asIs)).MarshalBinary()
		require.NoError(b, err)
		for k := i; k < 200; k += 8 {
			encoded[k] = raw
		}
	}
	q := fingerprint(b, film(b, newStage(1, 99, 320, 240), 15, from(0), asIs))
	b.ReportMetric(float64(len(encoded[0])), "bytes/clip")
	began := cpu(b)
	for b.Loop() {
		history := make([]Candidate, len(encoded))
		for i, raw := range encoded {
			require.NoError(b, history[i].Fingerprint.UnmarshalBinary(raw))
		}
		if _, _, err := Check(context.Background(), q, history, 0, DefaultConfig()); err != nil {
			b.Fatal(err)
		}
	}
	reportCPU(b, began)
}
