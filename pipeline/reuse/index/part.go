package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

var (
	// ErrPart says that a part is none that answers the query, or that parts do not make a whole.
	ErrPart = errors.New("no answer to the question")
	// ErrAsk says that bytes are no question of this program's.
	ErrAsk = errors.New("no question to the index")
)

// Part is what one shard found for a query. Merge makes the answer of all parts. It has no hashes in it.
type Part struct {
	shard  Shard
	clips  []Clip // in the order of their jobs, without their frames
	frames []partFrame
}

// partFrame is what one picture of the query matched.
type partFrame struct {
	flooded bool
	count   []int     // matches of each form; not kept of a flooded picture
	best    []partHit // the closest match in each clip, in the order of the clips
}

// partHit is a match in a clip of the part.
type partHit struct {
	clip           int
	atMS           uint32
	distance, form uint8
}

// Shard is whose part it is.
func (p *Part) Shard() Shard { return p.shard }

// part keeps of the matches what the sum over all shards needs: how many there are of each form, for the guard against floods, and the
// closest of each clip, since no clip lies in two shards.
func (g *gather) part(shard Shard, whose func(id uint64) Clip) Part {
	p := Part{shard: shard, frames: make([]partFrame, len(g.frames))}
	number := map[uint64]int{}
	type owned struct {
		id uint64
		c  Clip
	}
	var all []owned
	for i := range g.frames {
		f := &g.frames[i]
		if f.flooded {
			continue
		}
		for _, h := range f.hits {
			if _, ok := number[h.clip]; !ok {
				number[h.clip] = 0
				all = append(all, owned{h.clip, whose(h.clip)})
			}
		}
	}
	slices.SortFunc(all, func(a, b owned) int { return cmp.Compare(a.c.Job, b.c.Job) })
	for n, o := range all {
		number[o.id] = n
		p.clips = append(p.clips, o.c)
	}
	for i := range g.frames {
		f, into := &g.frames[i], &p.frames[i]
		if into.flooded = f.flooded; f.flooded {
			continue
		}
		into.count = slices.Clone(f.count[:len(g.q.Frames[i].Forms)])
		for _, h := range f.hits {
			into.best = append(into.best, partHit{number[h.clip], h.atMS, h.distance, h.form})
		}
		slices.SortFunc(into.best, func(a, b partHit) int {
			return cmp.Or(cmp.Compare(a.clip, b.clip), cmp.Compare(a.distance, b.distance), cmp.Compare(a.form, b.form), cmp.Compare(a.atMS, b.atMS))
		})
		into.best = slices.CompactFunc(into.best, func(a, b partHit) bool { return a.clip == b.clip })
	}
	return p
}

// check holds a part against the query and the shard that were asked. Whatever it lets through, Merge gives an answer of.
func (p *Part) check(q *Query, shard Shard) error {
	if p.shard != shard || len(p.frames) != len(q.Frames) {
		return fmt.Errorf("%w: it is of shard %s and %d pictures, asked was %s about %d", ErrPart, p.shard, len(p.frames), shard, len(q.Frames))
	}
	for n := range p.clips {
		c := &p.clips[n]
		if c.check() != nil || !shard.Holds(c.Job) || !q.wants(c) || n > 0 && p.clips[n-1].Job >= c.Job {
			return fmt.Errorf("%w: a clip was not asked for", ErrPart)
		}
	}
	for i := range p.frames {
		f, forms := &p.frames[i], len(q.Frames[i].Forms)
		if f.flooded {
			if f.count != nil || f.best != nil {
				return fmt.Errorf("%w: a flooded picture has matches", ErrPart)
			}
			continue
		}
		sum := 0
		for _, n := range f.count {
			if n < 0 || n > q.Flood {
				return fmt.Errorf("%w: %d matches of a picture", ErrPart, n)
			}
			sum += n
		}
		if len(f.count) != forms || len(f.best) > sum || (len(f.best) == 0) != (sum == 0) {
			return fmt.Errorf("%w: the matches of a picture do not add up", ErrPart)
		}
		for n, h := range f.best {
			if h.clip < 0 || h.clip >= len(p.clips) || n > 0 && f.best[n-1].clip >= h.clip || int(h.distance) > q.Radius || int(h.form) >= forms || f.count[h.form] == 0 {
				return fmt.Errorf("%w: a match was not asked for", ErrPart)
			}
		}
	}
	return nil
}

// Merge gives the answer of all shards, one part of each, in any order: the same as one index gives that holds all their clips.
func Merge(q Query, parts ...Part) (Result, error) {
	q, err := q.filled()
	if err != nil {
		return Result{}, err
	}
	g := newGather(&q)
	seen := map[Shard]bool{}
	for n := range parts {
		p := &parts[n]
		if err := p.check(&q, p.shard); err != nil {
			return Result{}, err
		}
		if seen[p.shard] || p.shard.N != parts[0].shard.N {
			return Result{}, fmt.Errorf("merge: %w: a part of shard %s is one too many", ErrPart, p.shard)
		}
		seen[p.shard] = true
		for i := range p.frames {
			g.join(i, &p.frames[i], uint64(n)<<32)
		}
	}
	if len(parts) == 0 || len(parts) != max(1, parts[0].shard.N) {
		return Result{}, fmt.Errorf("merge: %w: %d parts are not all", ErrPart, len(parts))
	}
	return g.result(func(id uint64) Clip { return parts[id>>32].clips[uint32(id)] }), nil
}

// join adds what a shard found for picture i.
func (g *gather) join(i int, f *partFrame, from uint64) {
	into := &g.frames[i]
	into.flooded = into.flooded || f.flooded
	for form, n := range f.count {
		into.count[form] += n
		into.flooded = into.flooded || into.count[form] > g.q.Flood
	}
	if into.flooded {
		into.hits = nil
		return
	}
	for _, h := range f.best {
		into.hits = append(into.hits, hit{from | uint64(h.clip), h.atMS, h.distance, h.form})
	}
}

// Part finds what the index has for a query: its share of the answer, where it holds one shard of all clips.
func (x *Index) Part(ctx context.Context, q Query) (Part, error) {
	var out Part
	err := x.look(ctx, q, func(g *gather, whose func(id uint64) Clip) { out = g.part(x.o.Shard, whose) })
	return out, err
}

// Part gives what was found in the clips of one shard; the caller hands over no others.
func (s *Scan) Part(shard Shard) Part { return s.g.part(shard, s.whose) }

// whoseIn gives the clips of segments. Their bytes may be unmapped later: the names are copied.
func whoseIn(all []*segment) func(id uint64) Clip {
	return func(id uint64) Clip {
		s, c := all[id>>32], int(uint32(id))
		return Clip{
			Job: strings.Clone(s.job(c)), Subject: strings.Clone(s.named(s.subject[c])), Site: strings.Clone(s.named(s.site[c])), Seq: s.seq[c],
		}
	}
}
