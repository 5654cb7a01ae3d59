package reuse

import (
	"math/bits"
	"sync"
)

// floats is work space that is used again: hashing a clip would make 50 MB of rubbish without it, and comparing it 100 MB.
type floats struct{ v []float32 }

// spares are kept by size: those at k hold 2^k values.
var spares [bits.UintSize]sync.Pool

// spare gives n values of whatever content.
func spare(n int) *floats {
	k := bits.Len(uint(max(n, 1) - 1))
	f, ok := spares[k].Get().(*floats)
	if !ok {
		f = &floats{make([]float32, 1<<k)}
	}
	f.v = f.v[:n]
	return f
}

func (f *floats) free() { spares[bits.Len(uint(cap(f.v)-1))].Put(f) }

// memory is the work space of one comparison, given back all at once: nothing of what was made in it may be used then. It is not safe for concurrent use.
type memory struct{ taken []*floats }

// floats gives n values of whatever content; without a memory they are the collector's.
func (m *memory) floats(n int) []float32 {
	if m == nil {
		return make([]float32, n)
	}
	f := spare(n)
	m.taken = append(m.taken, f)
	return f.v
}

// free may be called again after more was taken.
func (m *memory) free() {
	for _, f := range m.taken {
		f.free()
	}
	clear(m.taken)
	m.taken = m.taken[:0]
}
