package index

import "math/bits"

// scheme is how hashes are cut into chunks. Chunk t is bits t*width to t*width+width-1; bits after the last chunk are in none, which costs
// nothing in exactness: distances over fewer bits are no larger.
type scheme struct {
	chunks int // 0: no tables, the segment is looked through
	width  int // bits of a chunk, at most 23
}

// Sizes from which a segment gets tables. The cost of a lookup is about its buckets and what lies in them, each a cache miss. At radius 31,
// 16 chunks of 16 bits need buckets within 1 bit: 16 x 17 = 272, with n/65,536 hashes in each; 11 chunks of 23 bits need those within 2
// (one chunk: 1): 10 x 277 + 24 = 2,794, with n/8,388,608 in each. They break even near a million hashes; at 10 million it is 41,500 against
// 3,300 hashes. Looking through 8,192 hashes is as quick as either, and a table of 65,536 buckets is not worth having for them.
const (
	scanMost   = 8 << 10
	coarseMost = 1 << 20
	fineChunks = 11
	minWidth   = 20
	maxWidth   = 23
)

// schemeFor chooses for n hashes. Buckets hold about one hash, as the paper advises.
func schemeFor(n int) scheme {
	switch {
	case n <= scanMost:
		return scheme{}
	case n <= coarseMost:
		return scheme{16, 16}
	default:
		return scheme{fineChunks, max(minWidth, min(maxWidth, bits.Len(uint(n))-1))}
	}
}

func (s scheme) valid() bool {
	return s == scheme{} || s == scheme{16, 16} || s.chunks == fineChunks && s.width >= minWidth && s.width <= maxWidth
}

func (s scheme) buckets() int { return 1 << s.width }

// chunk gives chunk t of a hash; t*width+width is at most 256.
func (s scheme) chunk(h *Hash, t int) uint32 {
	at := t * s.width
	word, shift := at>>6, at&63
	v := h[word] >> shift
	if shift+s.width > 64 {
		v |= h[word+1] << (64 - shift)
	}
	return uint32(v) & (1<<s.width - 1)
}

// reach says within how many bits of a hash's chunk t the buckets must be looked at to find all hashes within r; -1: none. With
// r = m a + b, b < m: were b+1 chunks off by a+1 or more, and the others by a or more, that would be more than r in all.
func (s scheme) reach(r, t int) int {
	a, b := r/s.chunks, r%s.chunks
	if t <= b {
		return a
	}
	return a - 1
}

// masks are all patterns of width bits by number of ones: none, one, two. upTo[i] is how many have at most i.
type masks struct {
	all  []uint32
	upTo [3]int
}

func makeMasks(width int) masks {
	m := masks{all: []uint32{0}}
	m.upTo[0] = 1
	for i := range width {
		m.all = append(m.all, 1<<i)
	}
	m.upTo[1] = len(m.all)
	for i := range width {
		for j := range i {
			m.all = append(m.all, 1<<i|1<<j)
		}
	}
	m.upTo[2] = len(m.all)
	return m
}

// within gives the patterns of at most n ones; n is -1 to 2, which MaxRadius keeps for both schemes.
func (m *masks) within(n int) []uint32 {
	if n < 0 {
		return nil
	}
	return m.all[:m.upTo[n]]
}

// patterns are made once for every width.
var patterns = func() (p [maxWidth + 1]masks) {
	for w := 16; w <= maxWidth; w++ {
		p[w] = makeMasks(w)
	}
	return p
}()
