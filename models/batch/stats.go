package batch

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Sizes is how many classes of batch sizes Stats counts: 1, 2, 3-4, 5-8, 9-16, 17-32, more.
const Sizes = 7

// Stats is what a Batcher did since New.
type Stats struct {
	Batches int64        `json:"batches"`
	Items   int64        `json:"items"`
	Sizes   [Sizes]int64 `json:"sizes"`   // batches of 1, 2, 3-4, 5-8, 9-16, 17-32 and more items
	WaitNS  int64        `json:"wait_ns"` // all items together, until their batch began
	RunNS   int64        `json:"run_ns"`  // all batches together
	Failed  int64        `json:"failed"`  // items
	Alone   int64        `json:"alone"`   // items that were run again by themselves, after their batch failed
	Left    int64        `json:"left"`    // items whose callers did not wait
	Waiting int64        `json:"waiting"` // items whose batch has not begun, now
}

type counters struct {
	batches, items, waitNS, runNS, failed, alone, left, waiting atomic.Int64
	sizes                                                       [Sizes]atomic.Int64
}

func (c *counters) batch(n int, took time.Duration) {
	c.batches.Add(1)
	c.items.Add(int64(n))
	c.runNS.Add(int64(took))
	c.sizes[min(bits.Len(uint(n-1)), Sizes-1)].Add(1)
}

func (c *counters) leave() {
	c.left.Add(1)
	c.waiting.Add(-1)
}

// Stats gives the numbers so far.
func (b *Batcher[I, O]) Stats() Stats {
	c := &b.count
	s := Stats{
		Batches: c.batches.Load(), Items: c.items.Load(), WaitNS: c.waitNS.Load(), RunNS: c.runNS.Load(), Failed: c.failed.Load(),
		Alone: c.alone.Load(), Left: c.left.Load(), Waiting: c.waiting.Load(),
	}
	for i := range s.Sizes {
		s.Sizes[i] = c.sizes[i].Load()
	}
	return s
}
