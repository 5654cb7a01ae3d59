package service

import (
	"runtime"
	gauge "runtime/metrics"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// The collector waits for as much as the ballast holds.
func TestBallast(t *testing.T) {
	goal := func() uint64 {
		runtime.GC()
		s := []gauge.Sample{{Name: "/gc/heap/goal:bytes"}}
		gauge.Read(s)
		return s[0].Value.Uint64()
	}
	t.Cleanup(func() { ballast, ballastOnce = nil, sync.Once{} })
	size := ballastPerCore * runtime.GOMAXPROCS(0)
	for name, set := range map[string]bool{"GOGC": true, "GOMEMLIMIT": true, "": false} {
		ballast, ballastOnce = nil, sync.Once{}
		t.Setenv("GOGC", "")
		t.Setenv("GOMEMLIMIT", "")
		if name != "" {
			t.Setenv(name, "100")
		}
		before := goal()
		Ballast()
		Ballast()
		if set {
			require.Nil(t, ballast)
			continue
		}
		require.Len(t, ballast, size)
		require.GreaterOrEqual(t, goal(), before+uint64(size))
	}
}
