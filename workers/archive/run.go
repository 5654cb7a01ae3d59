package archive

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"onsite/pipeline/reuse/index"
	"onsite/results"
)

// Run keeps the index level with the store until ctx ends.
func (a *Archive) Run(ctx context.Context) error {
	if a.Index == nil {
		<-ctx.Done()
		return nil
	}
	var all sync.WaitGroup
	defer all.Wait()
	fill := make(chan *tenant)
	all.Go(func() { a.fills(ctx, fill) })
	all.Go(func() { a.tidies(ctx) })
	var ear <-chan struct{}
	if a.Bell != nil {
		ear = a.Bell.Listen(ctx, results.BellFeed)
	}
	asked := map[string]bool{}
	var queue []*tenant
	since := a.Store.Now()
	failing := false
	for {
		positions, err := a.step(ctx, &since)
		for _, id := range slices.Sorted(maps.Keys(positions)) {
			if !asked[id] {
				asked[id] = true
				queue = append(queue, a.tenant(id))
			}
		}
		if err != nil && !failing && ctx.Err() == nil {
			a.Logger.Warn("the reuse index does not follow the store; trying again", "error", err)
		}
		failing = err != nil
		if !a.wait(ctx, failing, ear, fill, &queue) {
			return nil
		}
	}
}

// wait waits for a ring or the poll's time, and hands over tenants to be filled meanwhile.
func (a *Archive) wait(ctx context.Context, failing bool, ear <-chan struct{}, fill chan<- *tenant, queue *[]*tenant) bool {
	timer := time.NewTimer(a.Poll)
	defer timer.Stop()
	if failing {
		ear = nil
	}
	for {
		var to chan<- *tenant
		var next *tenant
		if len(*queue) > 0 {
			to, next = fill, (*queue)[0]
		}
		select {
		case to <- next:
			*queue = (*queue)[1:]
		case <-timer.C:
			return true
		case <-ear:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// lookBack is how much later than its time a deletion may show.
const lookBack = 30 * time.Second

// step follows the feeds of filled tenants, and takes out what was deleted. since is how far deletions were read.
func (a *Archive) step(ctx context.Context, since *time.Time) (map[string]int64, error) {
	began := a.Store.Now()
	positions, err := a.Store.Positions(ctx)
	if err != nil {
		return nil, err
	}
	for id, position := range positions {
		if t := a.tenant(id); t.isFilled() {
			err = errors.Join(err, a.forward(ctx, t, position))
		}
	}
	after := results.FramesGone{At: since.Add(-lookBack)}
	for {
		gone, e := a.Store.FramesGone(ctx, after, a.Page)
		if e != nil {
			return positions, errors.Join(err, e)
		}
		jobs := map[string][]string{}
		for _, g := range gone {
			jobs[g.Tenant] = append(jobs[g.Tenant], g.Job)
		}
		for id, list := range jobs {
			if _, e := a.Index.Remove(id, list...); e != nil {
				return positions, errors.Join(err, e)
			}
		}
		if len(gone) < a.Page {
			break
		}
		after = gone[len(gone)-1]
	}
	*since = began
	return positions, err
}

// fills fills the indexes of tenants, one after the other; what fails is tried again.
func (a *Archive) fills(ctx context.Context, queue <-chan *tenant) {
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-queue:
			for wait := a.Poll; ; wait = min(2*wait, time.Minute) {
				err := a.fill(ctx, t)
				if err == nil {
					break
				}
				if ctx.Err() == nil {
					a.Logger.Warn("the reuse index could not be filled; trying again", "tenant", t.id, "error", err)
				}
				select {
				case <-ctx.Done():
					return
				case <-time.After(wait):
				}
			}
		}
	}
}

// fill brings a tenant's index level with the store. With a snapshot it can be used as soon as it has followed the feed; then all of it is
// held against the store, since nobody told it what was deleted while it lay there.
func (a *Archive) fill(ctx context.Context, t *tenant) error {
	began := time.Now()
	position, err := a.Store.Position(ctx, t.id)
	if err != nil {
		return err
	}
	if err := a.resume(ctx, t, position); err != nil {
		return err
	}
	var there []string
	err = a.each(ctx, t.id, results.FrameFilter{UpTo: position}, func(rows []results.JobFrames) error {
		for i := range rows {
			there = append(there, rows[i].Job)
		}
		if err := a.Index.Add(ctx, t.id, clips(rows), 0); err != nil {
			return err
		}
		// What is written lies in the page cache, what is not in our own memory.
		if s, err := a.Index.Stats(t.id); err != nil || s.Since < fillMost || s.Since < s.Hashes/2 {
			return err
		}
		return a.Index.Snapshot(ctx, t.id)
	})
	if err != nil {
		return err
	}
	removed, err := a.Index.RemoveIf(t.id, func(job string, seq int64) bool {
		_, ok := slices.BinarySearch(there, job)
		return !ok && seq <= position
	})
	if err != nil {
		return err
	}
	if err := a.Index.Add(ctx, t.id, nil, position); err != nil {
		return err
	}
	s, err := a.Index.Stats(t.id)
	if err != nil {
		return err
	}
	t.stale.Store(s.DeadClips > 0)
	if !t.isFilled() {
		close(t.filled)
	}
	a.Logger.Info("the reuse index is filled", "tenant", t.id, "jobs", len(there), "removed", removed, "took_ms", time.Since(began).Milliseconds())
	return nil
}

// fillMost is how many hashes are filled in before they are written.
const fillMost = 1 << 20

// resume takes up a snapshot where it ends.
func (a *Archive) resume(ctx context.Context, t *tenant, position int64) error {
	t.one.Lock()
	defer t.one.Unlock()
	at, err := a.Index.UpTo(t.id)
	switch {
	case err != nil || at == 0 || t.isFilled():
		return err
	case at > position: // of another store, or of one that was restored from a backup
		return a.Index.Drop(t.id)
	}
	if err := a.follow(ctx, t, position); err != nil {
		return err
	}
	close(t.filled)
	return nil
}

// tidies writes snapshots.
func (a *Archive) tidies(ctx context.Context) {
	tick := time.NewTicker(a.Tidy)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, id := range a.Index.Tenants() {
			t := a.tenant(id)
			s, err := a.Index.Stats(id)
			if err == nil && t.isFilled() && a.due(t, s) {
				began := time.Now()
				if err = a.Index.Snapshot(ctx, id); err == nil {
					t.snapped = began
					t.stale.Store(false)
					a.Logger.Info("the reuse index was written", "tenant", id, "hashes", s.Hashes, "took_ms", time.Since(began).Milliseconds())
				}
			}
			if err != nil && ctx.Err() == nil {
				a.Logger.Warn("the reuse index could not be written; trying again", "tenant", id, "error", err)
			}
		}
	}
}

// due says that a tenant's snapshot is to be written: much is new, or something in it must go.
func (a *Archive) due(t *tenant, s index.Stats) bool {
	return s.Since >= a.Fresh && s.Since >= s.Hashes/4 || s.DeadClips > 0 && (t.stale.Load() || time.Since(t.snapped) >= a.Keep)
}
