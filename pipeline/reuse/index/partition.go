package index

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// partition is the index of one tenant.
type partition struct {
	tenant string
	path   string // of the snapshot; "": none
	tailN  int

	making sync.Mutex   // held while a snapshot is made: nothing that it reads is unmapped
	write  sync.Mutex   // held by who adds or removes, and not while a snapshot is made
	mu     sync.RWMutex // what is below; held shortly by who changes, by a lookup for its length
	base   *segment     // of the last Snapshot; nil: none
	newer  []*segment   // since, oldest first
	tail   *segment
	upTo   int64
	snap   *snapping // a Snapshot that is being made; nil: none

	dropped bool // written with write and mu held
}

// snapping remembers what died while a snapshot was written.
type snapping struct {
	from map[*segment]bool // the segments that go into it
	died []string          // jobs
}

func newPartition(tenant, path string, tailN int) *partition {
	return &partition{tenant: tenant, path: path, tailN: tailN, tail: newTail(tenant)}
}

// segments are all of them, the newest last. The caller holds mu or write.
func (p *partition) segments() []*segment {
	var all []*segment
	if p.base != nil {
		all = append(all, p.base)
	}
	return append(append(all, p.newer...), p.tail)
}

func (p *partition) find(job string) (*segment, int, bool) {
	for _, s := range p.segments() {
		if c, ok := s.find(job); ok {
			return s, c, true
		}
	}
	return nil, 0, false
}

// add adds clips that are not there yet. Those without hashes are kept as well: that they are there says that their job was seen.
func (p *partition) add(ctx context.Context, clips []Clip, upTo int64) error {
	p.write.Lock()
	defer p.write.Unlock()
	if p.dropped {
		return fmt.Errorf("index clips: %w", ErrDropped)
	}
	for part := range chunks(clips, inlineMost/2) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("index clips: %w", err)
		}
		p.mu.Lock()
		for i := range part {
			if _, _, there := p.find(part[i].Job); !there {
				p.tail.add(&part[i])
			}
		}
		p.mu.Unlock()
		if p.tail.hashes >= p.tailN || p.tail.clips >= p.tailN {
			if err := p.freeze(); err != nil {
				return err
			}
		}
	}
	p.mu.Lock()
	p.upTo = max(p.upTo, upTo)
	p.mu.Unlock()
	return nil
}

// chunks gives clips in parts of about n hashes.
func chunks(clips []Clip, n int) func(yield func([]Clip) bool) {
	return func(yield func([]Clip) bool) {
		for from := 0; from < len(clips); {
			to, sum := from, 0
			for to < len(clips) && sum < n && to-from < n {
				sum += len(clips[to].Frames)
				to++
			}
			if !yield(clips[from:to]) {
				return
			}
			from = to
		}
	}
}

// inlineMost bounds what is merged while somebody waits: some 100 ms.
const inlineMost = 1 << 18

// freeze gives the tail its tables, and merges it with segments of its size, as one adds one to a binary number. Larger ones wait for
// Snapshot. The caller holds write.
func (p *partition) freeze() error {
	from := []*segment{p.tail}
	if p.snap == nil {
		sum := p.tail.hashes
		for i := len(p.newer) - 1; i >= 0 && p.newer[i].hashes <= 2*sum && sum+p.newer[i].hashes <= inlineMost; i-- {
			from = append(from, p.newer[i])
			sum += p.newer[i].hashes
		}
	}
	p.mu.RLock()
	plan := newPlan(p.tenant, p.upTo, from)
	p.mu.RUnlock()
	made, err := plan.inMemory() // nobody removes meanwhile: that needs write, too
	if err != nil {
		return fmt.Errorf("index clips: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.newer = append(p.newer[:len(p.newer)-len(from)+1:len(p.newer)-len(from)+1], made)
	p.tail = newTail(p.tenant)
	return nil
}

// remove buries clips by job.
func (p *partition) remove(jobs []string) int {
	p.write.Lock()
	defer p.write.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, job := range jobs {
		if s, c, ok := p.find(job); ok {
			p.bury(s, c)
			n++
		}
	}
	return n
}

// bury marks a clip as dead; the caller holds both locks.
func (p *partition) bury(s *segment, c int) {
	if s.bury(c) && p.snap != nil && p.snap.from[s] {
		p.snap.died = append(p.snap.died, strings.Clone(s.job(c)))
	}
}

// removeIf buries the clips that a function says.
func (p *partition) removeIf(gone func(job string, seq int64) bool) int {
	p.write.Lock()
	defer p.write.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, s := range p.segments() {
		for c := range s.clips {
			if !s.isDead(uint32(c)) && gone(s.job(c), s.seq[c]) {
				p.bury(s, c)
				n++
			}
		}
	}
	return n
}

// snapshot brings all segments into one, without the dead, and writes it to the file, if there is one. Adding, removing and looking go on
// meanwhile.
func (p *partition) snapshot(ctx context.Context) error {
	p.making.Lock()
	defer p.making.Unlock()
	p.write.Lock()
	if p.dropped {
		p.write.Unlock()
		return fmt.Errorf("write snapshot: %w", ErrDropped)
	}
	if p.tail.clips > 0 {
		if err := p.freeze(); err != nil {
			p.write.Unlock()
			return err
		}
	}
	from := append([]*segment(nil), p.newer...)
	if p.base != nil {
		from = append(from, p.base)
	}
	p.snap = &snapping{from: map[*segment]bool{}}
	for _, s := range from {
		p.snap.from[s] = true
	}
	plan := newPlan(p.tenant, p.upTo, from)
	p.write.Unlock()

	made, err := plan.make(ctx, p.path)

	p.write.Lock()
	defer p.write.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	died := p.snap.died
	p.snap = nil
	if err != nil {
		return err
	}
	old := p.base
	p.base = made
	p.newer = slices.DeleteFunc(slices.Clone(p.newer), func(s *segment) bool { return slices.Contains(from, s) })
	for _, job := range died {
		if c, ok := made.find(job); ok {
			p.bury(made, c)
		}
	}
	if old != nil && old.file != nil {
		return old.file.close()
	}
	return nil
}

// make writes a plan to a path, or into memory where that is empty.
func (p *plan) make(ctx context.Context, path string) (*segment, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("write snapshot: %w", err)
	}
	if path == "" {
		return p.inMemory()
	}
	return p.toFile(path)
}

// look looks for a query that was filled, and hands over what it found while nothing of it can be unmapped.
func (p *partition) look(ctx context.Context, q *Query, x *scratch, done func(g *gather, whose func(id uint64) Clip)) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.dropped {
		return fmt.Errorf("look for hashes: %w", ErrDropped)
	}
	all := p.segments()
	var look []wanted
	var of []uint64 // segment of each
	for i, s := range all {
		if w := s.wanted(q); !w.none() {
			look, of = append(look, w), append(of, uint64(i)<<32)
		}
	}
	g := newGather(q)
	for i := range q.Frames {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("look for hashes: %w", err)
		}
		p.frame(q, g, i, look, of, x)
	}
	done(g, whoseIn(all))
	return nil
}

// frame looks for one picture in all its forms.
func (p *partition) frame(q *Query, g *gather, i int, look []wanted, of []uint64, x *scratch) {
	for form := range q.Frames[i].Forms {
		for n := range look {
			w := &look[n]
			more := w.s.near(&q.Frames[i].Forms[form], q.Radius, x, func(id uint32, d int) bool {
				c := w.s.clipOf[id]
				return !w.clip(c) || g.add(i, hit{of[n] | uint64(c), w.s.at[id], uint8(d), uint8(form)})
			})
			if !more {
				return
			}
		}
	}
}
