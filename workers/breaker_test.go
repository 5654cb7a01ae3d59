package workers_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/results/object"
	"onsite/workers"
)

// TestBacklogIsNotTriedAgainstAnOutage: while the objects are away, a few jobs find that out; the others do not lose a turn.
func TestBacklogIsNotTriedAgainstAnOutage(t *testing.T) {
	s := newStand(t)
	var away atomic.Bool
	away.Store(true)
	tries := make(chan struct{}, 1000)
	s.core.does(func(_ context.Context, l results.Lease) (results.Finish, error) {
		if away.Load() {
			tries <- struct{}{}
			return results.Finish{}, object.ErrAway
		}
		return pass(l), nil
	})
	jobs := s.accept(s.tenant("a"), 60, results.PriorityClockIn)
	s.worker(func(w *workers.Worker) { w.Concurrency = 2 })
	s.dispatcher()
	const enough = 6 // breaks of 100, 200 and 400 ms at two jobs a time
	for range enough {
		<-tries
	}
	untouched := 0
	for _, id := range jobs {
		if s.core.ran(id) == 0 {
			untouched++
		}
	}
	require.GreaterOrEqual(t, untouched, len(jobs)-2*enough)
	away.Store(false)
	s.done(jobs...)
}
