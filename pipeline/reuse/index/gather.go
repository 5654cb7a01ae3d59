package index

import (
	"cmp"
	"slices"
)

// gather brings the matches of one query together, from segments or from a scan, in any order.
type gather struct {
	q      *Query
	frames []found
}

// found is what one picture of the query matched.
type found struct {
	hits    []hit
	count   [maxForms]int
	flooded bool
}

// hit is one hash within the radius.
type hit struct {
	clip     uint64 // whose: a number that the caller can turn into a clip
	atMS     uint32
	distance uint8
	form     uint8
}

func newGather(q *Query) *gather { return &gather{q: q, frames: make([]found, len(q.Frames))} }

// add takes one match of picture i; false: it has too many, and no more are wanted.
func (g *gather) add(i int, h hit) bool {
	f := &g.frames[i]
	if f.flooded {
		return false
	}
	if f.count[h.form]++; f.count[h.form] > g.q.Flood {
		f.flooded, f.hits = true, nil
		return false
	}
	f.hits = append(f.hits, h)
	return true
}

// result folds the matches into clips.
func (g *gather) result(whose func(id uint64) Clip) Result {
	res := Result{Asked: len(g.frames)}
	at := map[uint64]int{}
	last := []int{} // picture that was counted last for a clip
	for i := range g.frames {
		f := &g.frames[i]
		if f.flooded {
			res.Flooded = append(res.Flooded, g.q.Frames[i].AtMS)
			continue
		}
		for _, h := range f.hits {
			n, ok := at[h.clip]
			if !ok {
				n = len(res.Matches)
				at[h.clip] = n
				last = append(last, -1)
				c := whose(h.clip)
				res.Matches = append(res.Matches, Match{Job: c.Job, Subject: c.Subject, Site: c.Site, Seq: c.Seq, Distance: 257})
			}
			m := &res.Matches[n]
			if last[n] != i {
				last[n] = i
				m.Frames++
			}
			if p := (Match{Distance: int(h.distance), Form: int(h.form), AtMS: g.q.Frames[i].AtMS, TheirMS: h.atMS}); closer(&p, m) {
				m.Distance, m.Form, m.AtMS, m.TheirMS = p.Distance, p.Form, p.AtMS, p.TheirMS
			}
		}
	}
	slices.SortFunc(res.Matches, func(a, b Match) int {
		return cmp.Or(cmp.Compare(b.Frames, a.Frames), cmp.Compare(a.Distance, b.Distance), cmp.Compare(a.Job, b.Job))
	})
	if n := len(res.Matches); n > g.q.Most {
		res.More = n - g.q.Most
		res.Matches = res.Matches[:g.q.Most]
	}
	return res
}

// closer orders pairs of pictures, so that the result does not depend on the order in which they were found.
func closer(a, b *Match) bool {
	return cmp.Or(cmp.Compare(a.Distance, b.Distance), cmp.Compare(a.AtMS, b.AtMS), cmp.Compare(a.Form, b.Form), cmp.Compare(a.TheirMS, b.TheirMS)) < 0
}

// Scan answers a query from clips that are handed to it: the same result as Search gives where these are what the index holds.
type Scan struct {
	q     Query
	g     *gather
	clips []Clip // those that matched, without their frames
}

// NewScan begins a scan; the error says what is wrong with the query.
func NewScan(q Query) (*Scan, error) {
	q, err := q.filled()
	if err != nil {
		return nil, err
	}
	s := &Scan{q: q}
	s.g = newGather(&s.q)
	return s, nil
}

// Clip compares one clip of the tenant. Those that the query does not ask for are passed over; none may come twice.
func (s *Scan) Clip(c *Clip) {
	if !s.q.wants(c) {
		return
	}
	id := uint64(len(s.clips))
	matched := false
	for i := range s.q.Frames {
		for form := range s.q.Frames[i].Forms {
			want := &s.q.Frames[i].Forms[form]
			for j := range c.Frames {
				if d := want.Distance(&c.Frames[j].Hash); d <= s.q.Radius {
					matched = s.g.add(i, hit{id, c.Frames[j].AtMS, uint8(d), uint8(form)}) || matched
				}
			}
		}
	}
	if matched {
		s.clips = append(s.clips, Clip{Job: c.Job, Subject: c.Subject, Site: c.Site, Seq: c.Seq})
	}
}

// Result gives what was found.
func (s *Scan) Result() Result { return s.g.result(s.whose) }

func (s *Scan) whose(id uint64) Clip { return s.clips[id] }
