package workers

import (
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

func TestRoomForUrgentJobs(t *testing.T) {
	depth := func(clockIn, reverify, bulk int) map[results.Priority]int {
		return map[results.Priority]int{results.PriorityClockIn: clockIn, results.PriorityReverify: reverify, results.PriorityBulk: bulk}
	}
	for _, c := range []struct {
		depth map[results.Priority]int
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
