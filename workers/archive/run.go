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
	defer a.client.CloseIdleConnections()
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
	now := a.Store.Now()
	read := deletions{upTo: now, far: now}
	failing := false
	for {
		positions, err := a.step(ctx, &read, asked)
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

// deletions is how far they were read.
type deletions struct {
	upTo time.Time
	far  time.Time // when it was last looked far back
}

const (
	// lookBack is how much later than its time a deletion may show, as a rule: it has the time at which its transaction began.
	lookBack = 30 * time.Second
	// lookFar is longer than any transaction may last that deletes: one that waited for locks for minutes shows late, and what it deleted
	// would lie in the index until the next start. It may be many rows, so that they are not read with every ring.
	lookFar   = 5*time.Minute + lookAgain
	lookAgain = time.Minute // between two looks that far
)

// step follows the feeds of filled tenants, and takes out what was deleted. A tenant whose index must be filled anew is not asked any more.
func (a *Archive) step(ctx context.Context, read *deletions, asked map[string]bool) (map[string]int64, error) {
	began := a.Store.Now()
	before := map[string]int64{} // read first: a position that is read later is no lower, unless the store went back
	for _, id := range a.Index.Tenants() {
		at, err := a.Index.UpTo(id)
		if err != nil {
			return nil, err
		}
		before[id] = at
	}
	positions, err := a.Store.Positions(ctx)
	if err != nil {
		return nil, err
	}
	for id, at := range before {
		if t := a.tenant(id); at > positions[id] && t.isFilled() {
			a.Logger.Warn("the store's feed ends before what the reuse index has seen: another store, or an older one; the index is filled anew", "tenant", id, "index", at, "store", positions[id])
			err = errors.Join(err, a.restart(ctx, t))
			delete(asked, id)
		}
	}
	for id, position := range positions {
		if t := a.tenant(id); t.isFilled() {
			err = errors.Join(err, a.forward(ctx, t, position))
		}
	}
	far := began.Sub(read.far) >= lookAgain
	after := results.FramesGone{At: read.upTo.Add(-lookBack)}
	if far {
		after.At = read.upTo.Add(-lookFar)
	}
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
	read.upTo = began
	if far {
		read.far = began
	}
	return positions, err
}

// unfilled is a tenant whose index could not be filled.
type unfilled struct {
	t    *tenant
	wait time.Duration // after the next time that it fails
	at   time.Time     // when it is tried again
}

// fills fills the indexes of tenants, one after the other. What fails is tried again after a wait of its own, which keeps no other waiting.
func (a *Archive) fills(ctx context.Context, queue <-chan *tenant) {
	var again []unfilled
	for {
		next, timer := -1, make(<-chan time.Time)
		for i := range again {
			if next < 0 || again[i].at.Before(again[next].at) {
				next = i
			}
		}
		if next >= 0 {
			timer = time.After(time.Until(again[next].at))
		}
		u := unfilled{wait: a.Poll}
		select {
		case <-ctx.Done():
			return
		case u.t = <-queue:
		case <-timer:
			u = again[next]
			again = slices.Delete(again, next, next+1)
		}
		err := a.fill(ctx, u.t)
		if err == nil {
			continue
		}
		if ctx.Err() == nil {
			a.Logger.Warn("the reuse index could not be filled; trying again", "tenant", u.t.id, "in_ms", u.wait.Milliseconds(), "error", err)
		}
		again = append(again, unfilled{u.t, min(2*u.wait, time.Minute), time.Now().Add(u.wait)})
	}
}

// fill brings a tenant's index level with the store. With a snapshot it can be used as soon as it has followed the feed; then all of it is
// held against the store, since nobody told it what was deleted while it lay there.
func (a *Archive) fill(ctx context.Context, t *tenant) error {
	began := time.Now()
	filling := t.filled.Load()
	position, err := a.Store.Position(ctx, t.id)
	if err != nil {
		return err
	}
	if err := a.resume(ctx, t, position); err != nil {
		return err
	}
	var there []string
	written := true
	err = a.each(ctx, t.id, results.FrameFilter{UpTo: position}, func(rows []results.JobFrames) error {
		rows = a.held(rows)
		for i := range rows {
			there = append(there, rows[i].Job)
		}
		if err := a.Index.Add(ctx, t.id, a.clips(rows), 0); err != nil {
			return err
		}
		// What is written lies in the page cache, what is not in our own memory.
		if s, err := a.Index.Stats(t.id); err != nil || !written || s.Since < fillMost || s.Since < s.Hashes/2 {
			return err
		}
		// A full disk costs memory, not the index.
		if err := a.Index.Snapshot(ctx, t.id); err != nil && ctx.Err() == nil {
			written = false
			a.Logger.Warn("the reuse index could not be written while it was filled; it is filled in memory", "tenant", t.id, "error", err)
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	slices.Sort(there) // they come in the order of the database, whose language may have one of its own
	removed, err := a.Index.RemoveIf(t.id, func(job string, seq int64) bool {
		_, ok := slices.BinarySearch(there, job)
		return !ok && seq <= position
	})
	if err != nil {
		return err
	}
	unlock, err := t.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if t.filled.Load() != filling { // its rows may be of the store that was
		return errors.Join(errors.New("the store went back while the index was filled"), a.empty(t))
	}
	if err := a.Index.Add(ctx, t.id, nil, position); err != nil {
		return err
	}
	s, err := a.Index.Stats(t.id)
	if err != nil {
		return err
	}
	if s.DeadClips > 0 {
		t.stale.Store(true)
	}
	if !t.isFilled() {
		close(*filling)
	}
	a.Logger.Info("the reuse index is filled", "tenant", t.id, "jobs", len(there), "removed", removed, "took_ms", time.Since(began).Milliseconds())
	return nil
}

// fillMost is how many hashes are filled in before they are written.
const fillMost = 1 << 20

// resume takes up a snapshot where it ends.
func (a *Archive) resume(ctx context.Context, t *tenant, position int64) error {
	unlock, err := t.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	at, err := a.Index.UpTo(t.id)
	switch {
	case err != nil || at == 0 || t.isFilled():
		return err
	case at > position: // of another store, or of one that was restored from a backup
		return a.empty(t)
	}
	if err := a.follow(ctx, t, position); err != nil {
		return err
	}
	close(*t.filled.Load())
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
				stale := t.stale.Swap(false) // before: what is found stale meanwhile may come too late for this snapshot
				if err = a.Index.Snapshot(ctx, id); err != nil {
					t.stale.CompareAndSwap(false, stale)
				} else {
					t.snapped = began
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
