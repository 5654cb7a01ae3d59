package workers

import (
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/workers/queue"
)

func TestRoomForUrgentJobs(t *testing.T) {
	depth := func(clockIn, reverify, bulk int) queue.Depth {
		return queue.Depth{queue.Again: clockIn / 2, queue.ClockIn: clockIn - clockIn/2, queue.Reverify: reverify, queue.Bulk: bulk}
	}
	for _, c := range []struct {
		depth queue.Depth
		room  int
		last  results.Priority
	}{
		{depth(0, 0, 0), 64, results.PriorityBulk},
		{depth(10, 0, 20), 34, results.PriorityBulk},
		{depth(0, 0, 64), 64, results.PriorityReverify},
		{depth(5, 59, 64), 59, results.PriorityClockIn},
		{depth(64, 0, 64), 0, results.PriorityClockIn},
	} {
		room, last := roomFor(c.depth, 64)
		require.Equal(t, c.room, room, "%v", c.depth)
		require.Equal(t, c.last, last, "%v", c.depth)
	}
}
