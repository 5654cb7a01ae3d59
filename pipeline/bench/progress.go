package bench

import "sync"

// told counts the runs of clips in all parts of the measurement for Options.Progress. Its zero value, and nil, tell nobody.
type told struct {
	mu          sync.Mutex
	done, total int
	to          func(done, total int)
}

// newTold adds up how often clips will be run.
func newTold(o Options, clips int) *told {
	steps := clips * o.Runs
	total := clips + 2*steps + len(o.Curve)*steps // to warm up; measured, with its recording; the throughput
	for _, more := range []bool{o.EarlyExit, o.Photos, o.Apart} {
		if more {
			total += steps
		}
	}
	if o.Load > 0 {
		total += max(o.Arrivals, 1)
	}
	return &told{total: total, to: o.Progress}
}

// one tells of one more run.
func (t *told) one() {
	if t == nil || t.to == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done++
	t.to(t.done, t.total)
}
