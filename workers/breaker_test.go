package workers

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestBreaker runs on a clock of its own: what it says about times is exact.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		began := time.Now()
		waits := func() time.Duration {
			from := time.Now()
			b.wait(t.Context(), nil)
			return time.Since(from)
		}
		require.Zero(t, waits(), "nothing failed")
		for _, want := range []time.Duration{100, 200, 400, 800, 1600, 2000, 2000} {
			b.failed()
			b.failed() // side by side
			require.Equal(t, want*time.Millisecond, waits())
		}
		require.Equal(t, 7100*time.Millisecond, time.Since(began), "an outage of 7 s costs each slot seven tries")

		b.failed()
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { require.Zero(t, waits(), "one that gets through ends the waiting of all") })
		}
		synctest.Wait()
		b.passed()
		all.Wait()
		require.Zero(t, waits())
		b.failed()
		require.Equal(t, firstBreak, waits(), "it begins anew")

		b.failed()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		stopped := make(chan struct{})
		close(stopped)
		from := time.Now()
		b.wait(ended, nil)
		b.wait(t.Context(), stopped)
		require.Zero(t, time.Since(from), "neither a lost lease nor a drain waits")
	})
}
