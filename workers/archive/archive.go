package archive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"onsite/pipeline/reuse/index"
	"onsite/results"
)

// Store is what an Archive needs of the results store.
type Store interface {
	Frames(ctx context.Context, tenant string, f results.FrameFilter, n int) ([]results.JobFrames, error)
	NewFrames(ctx context.Context, tenant string, after int64, n int) ([]results.JobFrames, error)
	Position(ctx context.Context, tenant string) (int64, error)
	Positions(ctx context.Context) (map[string]int64, error)
	FramesGone(ctx context.Context, after results.FramesGone, n int) ([]results.FramesGone, error)
	Now() time.Time
}

// Options are what an Archive needs. Zero numbers mean the default beside them.
type Options struct {
	Store  Store
	Index  *index.Index // nil: the store's rows are read for every question; the caller closes it after Run
	Bell   results.Bell // nil: poll only
	Logger *slog.Logger

	// Of an Index that holds one shard of all clips. Whoever runs several gives each the same list.
	Peers   []string      // URL of each shard, in their order; the own one is not asked
	Token   string        // what workers show each other, MinToken bytes or more
	Timeout time.Duration // how long another shard may take to answer; 5 s
	Metrics *Metrics

	Poll     time.Duration // between two looks at the feed without a ring; 500 ms
	Patience time.Duration // how long a question waits for the index to be filled before it reads the store; 20 s
	Tidy     time.Duration // between two looks for snapshots to write; 1 min
	Keep     time.Duration // how long deleted hashes may lie in a snapshot; 6 h
	Fresh    int           // hashes beyond a snapshot from which a new one is written, if they are a quarter of all; 50,000
	Page     int           // jobs that are read at a time; 1,000
}

// Archive is made by New and used from many goroutines.
type Archive struct {
	Options
	mu      sync.Mutex
	tenants map[string]*tenant
	unread  sync.Map // jobs whose hashes cannot be read, as the log says once
	peers   []*peer
	client  *http.Client
}

// tenant is how far the index of one tenant is.
type tenant struct {
	id     string
	filled atomic.Pointer[chan struct{}] // closed once it has all of the store at some position; another one when it must be filled anew

	scans chan struct{} // one entry: who reads all of its rows since the index is not there yet
	one   chan struct{} // one entry: who brings it forward, or empties it
	use   sync.RWMutex  // read-locked by searches; locked by who empties it

	snapped time.Time // when its snapshot was written last, since the start

	stale atomic.Bool // its snapshot held what was deleted while nobody looked: it is written again at once
}

// New makes an archive.
func New(o Options) *Archive {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for d, v := range map[*time.Duration]time.Duration{&o.Poll: 500 * time.Millisecond, &o.Patience: 20 * time.Second, &o.Tidy: time.Minute, &o.Keep: 6 * time.Hour, &o.Timeout: 5 * time.Second} {
		if *d <= 0 {
			*d = v
		}
	}
	if o.Fresh <= 0 {
		o.Fresh = 50_000
	}
	if o.Page <= 0 {
		o.Page = 1000
	}
	return &Archive{Options: o, tenants: map[string]*tenant{}, peers: others(o), client: newClient()}
}

func (a *Archive) tenant(id string) *tenant {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.tenants[id]
	if t == nil {
		t = &tenant{id: id, scans: make(chan struct{}, 1), one: make(chan struct{}, 1), snapped: time.Now()}
		t.unfill()
		a.tenants[id] = t
	}
	return t
}

// unfill says that it must be filled. Whoever waits for that goes on waiting.
func (t *tenant) unfill() {
	if t.filled.Load() == nil || t.isFilled() {
		filled := make(chan struct{})
		t.filled.Store(&filled)
	}
}

// whenFilled is closed once the index is filled.
func (t *tenant) whenFilled() <-chan struct{} { return *t.filled.Load() }

func (t *tenant) isFilled() bool {
	select {
	case <-t.whenFilled():
		return true
	default:
		return false
	}
}

// lock waits for one's turn to bring the index forward or to empty it.
func (t *tenant) lock(ctx context.Context) (unlock func(), err error) {
	select {
	case t.one <- struct{}{}:
		return func() { <-t.one }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the index: %w", ctx.Err())
	}
}

// Find answers a query: which jobs, among those that it asks for, show pictures like these. The query's AsOf must be a position that the
// tenant's feed has reached. A job that was deleted a moment ago may be among them; whoever reads it from the store finds that it is gone.
func (a *Archive) Find(ctx context.Context, q index.Query) (index.Result, error) {
	if a.Index == nil || q.AsOf == 0 { // before the feed has begun there are no rows
		return a.scan(ctx, q)
	}
	if len(a.peers) > 0 {
		return a.gathered(ctx, q)
	}
	var found index.Result
	search := func() (err error) {
		found, err = a.Index.Search(ctx, q)
		return err
	}
	err := a.level(ctx, q, a.Patience, search)
	if !errors.Is(err, errUnfilled) {
		return found, err
	}
	t := a.tenant(q.Tenant)
	err = a.instead(ctx, t, t.whenFilled(), func(ctx context.Context) (err error) {
		found, err = a.scan(ctx, q)
		return err
	})
	if errors.Is(err, errFilled) {
		err = a.level(ctx, q, a.Patience, search)
	}
	return found, err
}

var (
	// errUnfilled says that the index is not filled yet, and was waited for.
	errUnfilled = errors.New("the index is being filled")
	// errFilled says that the index was filled while something else was waited for.
	errFilled = errors.New("the index is filled")
)

// level waits for the index to be filled, no longer than it has patience, brings it to the query's position and searches it.
func (a *Archive) level(ctx context.Context, q index.Query, patience time.Duration, search func() error) error {
	t := a.tenant(q.Tenant)
	if !t.isFilled() {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-t.whenFilled():
		case <-timer.C:
			return errUnfilled
		case <-ctx.Done():
			return fmt.Errorf("wait for the index: %w", ctx.Err())
		}
	}
	if err := a.forward(ctx, t, q.AsOf); err != nil {
		return err
	}
	t.use.RLock()
	defer t.use.RUnlock()
	if !t.isFilled() { // emptied since
		return errUnfilled
	}
	return search()
}

// instead reads the store instead of the index; *AwayError when that takes longer than there is time, errFilled when it need not be done any
// more.
func (a *Archive) instead(ctx context.Context, t *tenant, filled <-chan struct{}, read func(context.Context) error) (err error) {
	whole := ctx
	if end, ok := ctx.Deadline(); ok { // what is left then is for the error to be told
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)*3/4)
		defer cancel()
	}
	defer func() {
		if errors.Is(err, context.DeadlineExceeded) && whole.Err() == nil {
			err = &AwayError{err}
		}
	}()
	done, err := a.turn(ctx, t, filled)
	if err != nil {
		return err
	}
	defer done()
	return read(ctx)
}

// turn waits until it is one's turn to read all rows of a tenant: many at once would read all of them each, when the store has the fill to
// serve, too.
func (a *Archive) turn(ctx context.Context, t *tenant, filled <-chan struct{}) (done func(), err error) {
	select {
	case <-filled:
		return nil, errFilled
	case t.scans <- struct{}{}:
		return func() { <-t.scans }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the index: %w", ctx.Err())
	}
}

// scan answers from the store's rows.
func (a *Archive) scan(ctx context.Context, q index.Query) (index.Result, error) {
	s, err := index.NewScan(q)
	if err != nil {
		return index.Result{}, err
	}
	err = a.each(ctx, q.Tenant, rowsOf(q), func(rows []results.JobFrames) error {
		for _, c := range a.clips(rows) {
			s.Clip(&c)
		}
		return nil
	})
	if err != nil {
		return index.Result{}, err
	}
	return s.Result(), nil
}

// rowsOf are the rows that a query asks for.
func rowsOf(q index.Query) results.FrameFilter {
	return results.FrameFilter{From: q.From, Before: q.Before, Since: q.Since, UpTo: q.AsOf, Subject: q.Subject, Site: q.Site}
}

// each reads the rows of a tenant page by page.
func (a *Archive) each(ctx context.Context, tenant string, f results.FrameFilter, fn func([]results.JobFrames) error) error {
	for {
		rows, err := a.Store.Frames(ctx, tenant, f, a.Page)
		if err != nil {
			return err
		}
		if err := fn(rows); err != nil || len(rows) < a.Page {
			return err
		}
		f.After = rows[len(rows)-1].Job
	}
}

func clip(f *results.JobFrames) index.Clip {
	c := index.Clip{Job: f.Job, Subject: f.Subject, Site: f.Site, Seq: f.Seq, Frames: make([]index.Frame, len(f.Frames))}
	for i, h := range f.Frames {
		c.Frames[i] = index.Frame{AtMS: h.AtMS, Hash: h.Hash}
	}
	return c
}

// held are the rows of the clips that the index holds.
func (a *Archive) held(rows []results.JobFrames) []results.JobFrames {
	s := a.Index.Shard()
	if s.Whole() {
		return rows
	}
	return slices.DeleteFunc(slices.Clone(rows), func(r results.JobFrames) bool { return !s.Holds(r.Job) })
}

// clips are the rows that can be read. One that cannot is left out, and the log says so: it must not take the others with it.
func (a *Archive) clips(rows []results.JobFrames) []index.Clip {
	out := make([]index.Clip, 0, len(rows))
	for i := range rows {
		if err := rows[i].Unread; err != nil {
			if _, known := a.unread.LoadOrStore(rows[i].Job, true); !known {
				a.Logger.Error("the frame hashes of a job cannot be read: the reuse index does without them", "job", rows[i].Job, "error", err)
			}
			continue
		}
		out = append(out, clip(&rows[i]))
	}
	return out
}

// forward brings the index of a tenant to a position of its feed.
func (a *Archive) forward(ctx context.Context, t *tenant, to int64) error {
	if at, err := a.Index.UpTo(t.id); err != nil || at >= to {
		return err
	}
	unlock, err := t.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if !t.isFilled() { // emptied since
		return errUnfilled
	}
	return a.follow(ctx, t, to)
}

// restart empties an index that is ahead of the store: what came since under the numbers that it has seen it would pass over. A standby
// that took over, or a backup that was restored, has a feed that ends earlier.
func (a *Archive) restart(ctx context.Context, t *tenant) error {
	unlock, err := t.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return a.empty(t)
}

// empty has the index filled anew; the caller holds t.one.
func (a *Archive) empty(t *tenant) error {
	t.use.Lock()
	defer t.use.Unlock()
	t.unfill()
	return a.Index.Drop(t.id)
}

// follow adds what the store has after the index's position; the caller holds t.one.
func (a *Archive) follow(ctx context.Context, t *tenant, to int64) error {
	for {
		at, err := a.Index.UpTo(t.id)
		if err != nil || at >= to {
			return err
		}
		rows, err := a.Store.NewFrames(ctx, t.id, at, a.Page)
		if err != nil {
			return err
		}
		upTo := to
		if len(rows) == a.Page {
			upTo = rows[len(rows)-1].Seq
		}
		if err := a.Index.Add(ctx, t.id, a.clips(a.held(rows)), upTo); err != nil {
			return err
		}
	}
}
