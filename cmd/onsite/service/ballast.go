package service

import (
	"os"
	"runtime"
	"sync"
)

// ballastPerCore is about what one clip leaves behind.
const ballastPerCore = 64 << 20

var (
	ballastOnce sync.Once
	ballast     []byte
)

// Ballast has the garbage collector wait for more: it runs when as much has come as is alive, and ballast counts as alive. Nobody touches it, so that
// it is addresses and no memory. Without it the collector runs twice for a clip, empties the pools of work space, and what it gave back to the
// system is asked for again. A process that verifies calls it once; what the operator set (GOGC, GOMEMLIMIT) holds instead.
//
// The idea: Twitch, "Go memory ballast: How I learnt to stop worrying and love the heap", 2019.
func Ballast() {
	ballastOnce.Do(func() {
		if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
			ballast = make([]byte, ballastPerCore*runtime.GOMAXPROCS(0))
		}
	})
}
