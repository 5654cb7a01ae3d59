package index

import (
	"sort"
	"unsafe"
)

// segment is a block of clips that does not change, but for which of them are dead.
type segment struct {
	head
	raw  []byte
	file *file // raw is mapped from it; nil: memory of our own

	hash                []Hash
	clipOf, at, first   []uint32
	seq                 []int64
	subject, site       []uint32
	jobAt               []uint32
	jobs                []byte
	nameAt              []uint32
	name                []byte
	bucket, posting     [][]uint32 // of each chunk
	dead                []uint64   // a bit for each clip
	deadClips, deadHash int

	// Of a tail alone, whose clips and names are in no order: the newest clip of each job, and the numbers of the names.
	newest  map[string]int
	numbers map[string]uint32
}

// job gives the id of a clip; it lives as long as the segment.
func (s *segment) job(c int) string { return text(s.jobs, s.jobAt, c) }

// named gives a name by its number; number 0 stands for none, and for the tenant where the names lie.
func (s *segment) named(k uint32) string {
	if k == 0 {
		return ""
	}
	return text(s.name, s.nameAt, int(k))
}

func (s *segment) tenant() string { return text(s.name, s.nameAt, 0) }

func text(b []byte, at []uint32, i int) string {
	part := b[at[i]:at[i+1]]
	return unsafe.String(unsafe.SliceData(part), len(part)) //nolint:gosec // part is not written to
}

func (s *segment) isDead(c uint32) bool { return s.dead[c>>6]>>(c&63)&1 == 1 }

// bury marks a clip as dead; false: it was.
func (s *segment) bury(c int) bool {
	if s.isDead(uint32(c)) {
		return false
	}
	s.dead[c>>6] |= 1 << (c & 63)
	s.deadClips++
	s.deadHash += int(s.first[c+1] - s.first[c])
	return true
}

// find gives the clip of a job that is not dead.
func (s *segment) find(job string) (int, bool) {
	if s.newest != nil {
		c, ok := s.newest[job]
		return c, ok && !s.isDead(uint32(c))
	}
	c := sort.Search(s.clips, func(i int) bool { return s.job(i) >= job })
	return c, c < s.clips && s.job(c) == job && !s.isDead(uint32(c))
}

// nameNumber finds a name; false: no clip has it.
func (s *segment) nameNumber(name string) (uint32, bool) {
	if s.newest != nil {
		k, ok := s.numbers[name]
		return k, ok
	}
	k := 1 + sort.Search(s.names-1, func(i int) bool { return s.named(uint32(i+1)) >= name })
	return uint32(k), name != "" && k < s.names && s.named(uint32(k)) == name
}

// wanted says which clips of one segment a query asks for.
type wanted struct {
	s             *segment
	all           bool
	subject, site uint32
	hasSub        bool
	hasSite       bool
	from, to      uint32 // clips in the order of their ids
	since, asOf   int64
	before, after string // of a tail
	unsorted      bool
}

func (s *segment) wanted(q *Query) wanted {
	w := wanted{s: s, all: q.Subject == "" && q.Site == "", to: uint32(s.clips), since: q.Since, asOf: q.AsOf}
	if !w.all {
		w.subject, w.hasSub = s.nameNumber(q.Subject)
		w.site, w.hasSite = s.nameNumber(q.Site)
	}
	if s.newest != nil {
		w.before, w.after, w.unsorted = q.Before, q.From, true
		return w
	}
	if q.Before != "" {
		w.to = uint32(sort.Search(s.clips, func(i int) bool { return s.job(i) >= q.Before }))
	}
	if q.From != "" {
		w.from = uint32(sort.Search(s.clips, func(i int) bool { return s.job(i) >= q.From }))
	}
	return w
}

func (w *wanted) none() bool { return w.from >= w.to || !w.all && !w.hasSub && !w.hasSite }

func (w *wanted) clip(c uint32) bool {
	if w.unsorted {
		if job := w.s.job(int(c)); w.before != "" && job >= w.before || job < w.after {
			return false
		}
	}
	return c >= w.from && c < w.to && w.s.seq[c] > w.since && w.s.seq[c] <= w.asOf && !w.s.isDead(c) &&
		(w.all || w.hasSub && w.s.subject[c] == w.subject || w.hasSite && w.s.site[c] == w.site)
}

// span is a bucket: postings from..to-1.
type span struct{ from, to uint32 }

// scratch is what a lookup needs besides; one is used by one goroutine at a time.
type scratch struct {
	spans []span
	ids   [idsAtOnce]uint32
}

// idsAtOnce bounds how many hashes are fetched before they are compared.
const idsAtOnce = 2048

// near calls found for every hash within r bits of q, once. It goes in steps (all buckets of a chunk, all their postings, all their
// hashes), so that the misses of one step do not wait for each other: that is most of the time that a lookup takes.
func (s *segment) near(q *Hash, r int, x *scratch, found func(id uint32, d int) bool) bool {
	if s.chunks == 0 {
		for i := range s.hash {
			if d := q.Distance(&s.hash[i]); d <= r && !found(uint32(i), d) {
				return false
			}
		}
		return true
	}
	for t := range s.chunks {
		look := patterns[s.width].within(s.reach(r, t))
		if len(x.spans) < len(look) {
			x.spans = make([]span, len(look))
		}
		key, bucket, spans := s.chunk(q, t), s.bucket[t], x.spans
		n := 0
		for _, m := range look {
			k := key ^ m
			from, to := bucket[k], bucket[k+1]
			spans[n] = span{from, to}
			n += int((from - to) >> 31) // one when it is not empty: no branch that has to wait for memory
		}
		if !s.compare(q, r, t, spans[:n], x, found) {
			return false
		}
	}
	return true
}

// compare looks at the hashes in some buckets of table t.
func (s *segment) compare(q *Hash, r, t int, spans []span, x *scratch, found func(id uint32, d int) bool) bool {
	posting := s.posting[t]
	n := 0
	flush := func() bool {
		for _, id := range x.ids[:n] {
			h := &s.hash[id]
			if d := q.Distance(h); d <= r && s.newIn(q, h, r, t) && !found(id, d) {
				return false
			}
		}
		n = 0
		return true
	}
	for _, p := range spans {
		for part := posting[p.from:p.to]; len(part) > 0; {
			took := copy(x.ids[n:], part)
			part = part[took:]
			if n += took; n == len(x.ids) && !flush() {
				return false
			}
		}
	}
	return flush()
}

// newIn says that a hash was not found in a table before t already.
func (s *segment) newIn(q, h *Hash, r, t int) bool {
	for e := range t {
		if popcount(s.chunk(q, e)^s.chunk(h, e)) <= s.reach(r, e) {
			return false
		}
	}
	return true
}
