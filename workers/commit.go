package workers

import (
	"context"
	"time"

	"onsite/results"
)

// committer writes what several attempts finish at the same time in one go: the database syncs its disk once for all of them. It collects
// nothing on purpose: what comes while one batch is being written is the next one.
type committer struct {
	store interface {
		FinishMany(ctx context.Context, f []results.Finish) []error
	}
	in chan entry
}

type entry struct {
	f    results.Finish
	done chan error
}

const (
	maxBatch    = 128
	batchWithin = 15 * time.Second // then a database that hangs is taken for one that is away
)

func newCommitter(store interface {
	FinishMany(ctx context.Context, f []results.Finish) []error
}) *committer {
	return &committer{store: store, in: make(chan entry, maxBatch)}
}

// do writes one Finish and gives its own error.
func (c *committer) do(ctx context.Context, f results.Finish) error {
	e := entry{f: f, done: make(chan error, 1)}
	select {
	case c.in <- e:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-e.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run writes until ctx ends, which is when nobody waits for an answer any more.
func (c *committer) run(ctx context.Context) {
	for {
		var batch []entry
		select {
		case <-ctx.Done():
			return
		case e := <-c.in:
			batch = append(batch, e)
		}
		for more := true; more && len(batch) < maxBatch; {
			select {
			case e := <-c.in:
				batch = append(batch, e)
			default:
				more = false
			}
		}
		c.write(ctx, batch)
	}
}

func (c *committer) write(ctx context.Context, batch []entry) {
	fs := make([]results.Finish, len(batch))
	for i, e := range batch {
		fs[i] = e.f
	}
	ctx, cancel := context.WithTimeout(ctx, batchWithin)
	defer cancel()
	errs := c.store.FinishMany(ctx, fs)
	for i, e := range batch {
		e.done <- errs[i]
	}
}
