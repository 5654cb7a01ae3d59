package bench

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPeakOfMemoryCanBeForgotten(t *testing.T) {
	const size = 256 << 20
	debug.FreeOSMemory() // of the tests before
	require.NoError(t, forgetPeak())
	before, err := peakRSS()
	require.NoError(t, err)
	large := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		large[i] = 1
	}
	with, err := peakRSS()
	require.NoError(t, err)
	require.Greater(t, with, before)
	require.Greater(t, with, int64(size))
	large = nil
	debug.FreeOSMemory()
	still, err := peakRSS()
	require.NoError(t, err)
	require.Greater(t, still, with-size/4, "it is a high-water mark, give or take what the kernel has not counted yet")
	require.NoError(t, forgetPeak())
	after, err := peakRSS()
	require.NoError(t, err)
	require.Less(t, after, with-size/2, "the large part is gone, and so is its mark; %v", large)
}

func FuzzPeakOf(f *testing.F) {
	f.Add([]byte("Name:\tonsite\nVmHWM:\t    2188 kB\nVmRSS:\t 5 kB\n"))
	f.Add([]byte("VmHWM:\t-1 kB\n"))
	f.Add([]byte("VmHWM: 99999999999999999999 kB"))
	f.Fuzz(func(t *testing.T, status []byte) {
		got, err := peakOf(status)
		if err != nil {
			require.ErrorIs(t, err, errMemory)
		}
		require.GreaterOrEqual(t, got, int64(0))
	})
}
