package index

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
)

// Options of an index.
type Options struct {
	Logger *slog.Logger // nil: none
	// Tail is how many hashes are looked through one by one before they get tables; 0: 8,192.
	Tail int
	// Shard is which clips the index holds; others that are added are passed over. Its snapshots lie in a folder of their own.
	Shard Shard
}

// Index holds the hashes of many tenants. Its methods may be called from many goroutines.
type Index struct {
	dir  string
	lock *os.File // of the directory; nil: there is none
	o    Options
	pool sync.Pool // *scratch

	mu     sync.Mutex
	parts  map[string]*slot
	closed bool
}

// slot is a partition, or the opening of it.
type slot struct {
	once sync.Once
	p    *partition
}

var (
	// ErrClosed says that the index was closed.
	ErrClosed = errors.New("the index is closed")
	// ErrBusy says that another index uses the directory.
	ErrBusy = errors.New("another process uses the directory")
	// ErrDropped says that a tenant is being forgotten, or that its snapshot could not be deleted: Drop it again.
	ErrDropped = errors.New("the tenant's index is dropped")
)

// Open makes an index whose snapshots lie in a directory, which is made; "": it is in memory only. A partition is opened when it is first
// asked for. ErrBusy says that another process has the directory.
func Open(dir string, o Options) (*Index, error) {
	if !littleEndian {
		return nil, errors.New("open the index: this machine keeps numbers the other way round; use the database alone")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Tail <= 0 {
		o.Tail = scanMost
	}
	if err := o.Shard.check(); err != nil {
		return nil, fmt.Errorf("open the index: %w", err)
	}
	if o.Shard.Whole() {
		o.Shard = Shard{}
	}
	if dir != "" {
		top := dir
		dir = o.Shard.folder(top)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("open the index: %w", err)
		}
		if err := clearOthers(top, dir); err != nil {
			return nil, fmt.Errorf("open the index: remove snapshots of other shards: %w", err)
		}
	}
	x := &Index{dir: dir, o: o, parts: map[string]*slot{}}
	if dir != "" {
		var err error
		if x.lock, err = lockDir(dir); err != nil {
			return nil, fmt.Errorf("open the index in %s: %w", dir, err)
		}
		if err := sweepParts(dir); err != nil {
			return nil, errors.Join(fmt.Errorf("open the index: %w", err), x.lock.Close())
		}
	}
	x.pool.New = func() any { return new(scratch) }
	return x, nil
}

// part gives a tenant's partition, opened.
func (x *Index) part(tenant string) (*partition, error) {
	if tenant == "" || len(tenant) > maxName {
		return nil, fmt.Errorf("index: a tenant's id has 1 to %d bytes", maxName)
	}
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return nil, ErrClosed
	}
	s := x.parts[tenant]
	if s == nil {
		s = new(slot)
		x.parts[tenant] = s
	}
	x.mu.Unlock()
	s.once.Do(func() { s.p = x.open(tenant) })
	return s.p, nil
}

// open maps a tenant's snapshot, if there is a good one. A bad one is no error: the index is only a copy, and is filled again.
func (x *Index) open(tenant string) *partition {
	if x.dir == "" {
		return newPartition(tenant, "", x.o.Tail)
	}
	p := newPartition(tenant, pathOf(x.dir, tenant), x.o.Tail)
	base, err := openFile(p.path, tenant)
	switch {
	case err == nil:
		p.base, p.upTo = base, base.upTo
	case !errors.Is(err, fs.ErrNotExist):
		x.o.Logger.Warn("a snapshot of the reuse index cannot be used; it is made again", "error", err)
	}
	return p
}

// Add adds clips of a tenant; those whose job is there already are passed over. upTo says that with them the index has all clips up to
// that position of the tenant's feed.
func (x *Index) Add(ctx context.Context, tenant string, clips []Clip, upTo int64) error {
	for i := range clips {
		if err := clips[i].check(); err != nil {
			return err
		}
	}
	if !x.o.Shard.Whole() {
		clips = slices.DeleteFunc(slices.Clone(clips), func(c Clip) bool { return !x.o.Shard.Holds(c.Job) })
	}
	p, err := x.part(tenant)
	if err != nil {
		return err
	}
	return p.add(ctx, clips, upTo)
}

// UpTo is the position of the tenant's feed up to which the index has all clips.
func (x *Index) UpTo(tenant string) (int64, error) {
	p, err := x.part(tenant)
	if err != nil {
		return 0, err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.upTo, nil
}

// Remove takes clips out of results at once, and gives how many there were.
func (x *Index) Remove(tenant string, jobs ...string) (int, error) {
	p, err := x.part(tenant)
	if err != nil {
		return 0, err
	}
	return p.remove(jobs), nil
}

// RemoveIf takes the clips out of results that a function says. It is called with everybody else kept waiting; what it is given must not
// be kept.
func (x *Index) RemoveIf(tenant string, gone func(job string, seq int64) bool) (int, error) {
	p, err := x.part(tenant)
	if err != nil {
		return 0, err
	}
	return p.removeIf(gone), nil
}

// Shard is which clips the index holds.
func (x *Index) Shard() Shard { return x.o.Shard }

// Search finds all clips with a picture within the radius of one that is asked for. The zero AsOf asks for nothing.
func (x *Index) Search(ctx context.Context, q Query) (Result, error) {
	var res Result
	err := x.look(ctx, q, func(g *gather, whose func(id uint64) Clip) { res = g.result(whose) })
	return res, err
}

func (x *Index) look(ctx context.Context, q Query, done func(g *gather, whose func(id uint64) Clip)) error {
	q, err := q.filled()
	if err != nil {
		return err
	}
	p, err := x.part(q.Tenant)
	if err != nil {
		return err
	}
	s := x.pool.Get().(*scratch)
	defer x.pool.Put(s)
	return p.look(ctx, &q, s, done)
}

// Snapshot brings a tenant's segments into one, without what was removed, and writes it to the directory. Beside the mapped file it needs
// memory for one table, 8 bytes per hash, and CPU: about 3 s for a million hashes.
func (x *Index) Snapshot(ctx context.Context, tenant string) error {
	p, err := x.part(tenant)
	if err != nil {
		return err
	}
	return p.snapshot(ctx)
}

// Drop forgets a tenant, and deletes its snapshot. Until that is gone nobody opens it anew: whoever adds, looks or writes a snapshot
// meanwhile gets ErrDropped. After an error the tenant stays so; Drop may be called again.
func (x *Index) Drop(tenant string) error {
	p, err := x.part(tenant)
	if err != nil {
		return err
	}
	if err := p.drop(); err != nil {
		return fmt.Errorf("drop a tenant's index: %w", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if s := x.parts[tenant]; s != nil && s.p == p { // else somebody dropped it too, or closed the index
		delete(x.parts, tenant)
	}
	return nil
}

// Tenants are those whose partitions were opened.
func (x *Index) Tenants() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var all []string
	for t := range x.parts {
		all = append(all, t)
	}
	slices.Sort(all)
	return all
}

// Stats is the size of a partition.
type Stats struct {
	Clips, Hashes         int // that are found
	DeadClips, DeadHashes int // removed, and still there
	Since                 int // hashes that are not in the snapshot
	Segments              int
	Bytes                 int64 // of all segments, mapped ones as well
	UpTo                  int64
}

// Stats gives the size of a tenant's partition.
func (x *Index) Stats(tenant string) (Stats, error) {
	p, err := x.part(tenant)
	if err != nil {
		return Stats{}, err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	s := Stats{UpTo: p.upTo}
	for _, g := range p.segments() {
		if g.clips == 0 {
			continue
		}
		s.Segments++
		s.Clips += g.clips - g.deadClips
		s.Hashes += g.hashes - g.deadHash
		s.DeadClips += g.deadClips
		s.DeadHashes += g.deadHash
		s.Bytes += int64(g.size())
		if g != p.base {
			s.Since += g.hashes
		}
	}
	return s, nil
}

// Close unmaps the snapshots. What was added since the last ones is not written: the store has it.
func (x *Index) Close() error {
	x.mu.Lock()
	parts := x.parts
	x.parts, x.closed = nil, true
	x.mu.Unlock()
	var err error
	for tenant, s := range parts {
		s.once.Do(func() { s.p = newPartition(tenant, "", x.o.Tail) })
		err = errors.Join(err, s.p.close())
	}
	if x.lock != nil {
		err = errors.Join(err, x.lock.Close())
		x.lock = nil
	}
	return err
}

// close unmaps a partition and leaves it empty.
func (p *partition) close() error {
	p.making.Lock()
	defer p.making.Unlock()
	p.write.Lock()
	defer p.write.Unlock()
	return p.empty()
}

// drop leaves a partition empty for good, and deletes its snapshot.
func (p *partition) drop() error {
	p.making.Lock()
	defer p.making.Unlock()
	p.write.Lock()
	defer p.write.Unlock()
	p.mu.Lock()
	p.dropped = true
	p.mu.Unlock()
	err := p.empty()
	if p.path != "" {
		if e := os.Remove(p.path); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// empty unmaps what there is; the caller holds making and write.
func (p *partition) empty() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	base := p.base
	p.base, p.newer, p.tail, p.upTo = nil, nil, newTail(p.tenant), 0
	if base != nil && base.file != nil {
		return base.file.close()
	}
	return nil
}
