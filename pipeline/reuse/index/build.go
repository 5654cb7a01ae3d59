package index

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/bits"
	"slices"
	"unsafe"
)

func popcount(v uint32) int { return bits.OnesCount32(v) }

// place is one clip of one of several sources.
type place struct {
	from *segment
	clip uint32
}

// plan is a segment that is to be written: clips of other segments, without those that were dead when it was made.
type plan struct {
	head
	order   []place // by job id
	tenant  string
	numbers map[string]uint32 // of names
	list    []string          // of names
}

// newPlan puts the living clips of segments in order. The caller holds off changes meanwhile.
func newPlan(tenant string, upTo int64, from []*segment) *plan {
	p := &plan{tenant: tenant, numbers: map[string]uint32{}, list: []string{tenant}}
	p.upTo = upTo
	for _, s := range from {
		p.order = slices.Grow(p.order, s.clips-s.deadClips)
		for c := range s.clips {
			if !s.isDead(uint32(c)) {
				p.order = append(p.order, place{s, uint32(c)})
			}
		}
	}
	slices.SortFunc(p.order, func(a, b place) int { return cmp.Compare(a.job(), b.job()) })
	for _, o := range p.order {
		p.clips++
		p.hashes += len(o.hashes())
		p.jobBytes += len(o.job())
		p.name(o.from.named(o.from.subject[o.clip]))
		p.name(o.from.named(o.from.site[o.clip]))
	}
	slices.Sort(p.list[1:])
	for k, name := range p.list {
		p.nameBytes += len(name)
		if k > 0 {
			p.numbers[name] = uint32(k)
		}
	}
	p.names = len(p.list)
	p.scheme = schemeFor(p.hashes)
	return p
}

func (o place) job() string { return o.from.job(int(o.clip)) }

func (o place) hashes() []Hash { return o.from.hash[o.from.first[o.clip]:o.from.first[o.clip+1]] }

func (o place) times() []uint32 { return o.from.at[o.from.first[o.clip]:o.from.first[o.clip+1]] }

// name notes a name. The first is the tenant's, so that none of a clip's names has number 0, but for the empty one.
func (p *plan) name(name string) {
	if _, ok := p.numbers[name]; !ok && name != "" {
		p.numbers[name] = 0
		p.list = append(p.list, name)
	}
}

// writer writes sections and their checksums.
type writer struct {
	w    *bufio.Writer
	foot []byte
	crc  uint32
	n    int
	err  error
}

func (w *writer) write(b []byte) {
	if w.err == nil {
		_, w.err = w.w.Write(b)
		w.crc = crc32.Update(w.crc, castagnoli, b)
		w.n += len(b)
	}
}

// end ends a section.
func (w *writer) end() {
	if w.err == nil {
		_, w.err = w.w.Write(make([]byte, padded(w.n)-w.n))
	}
	w.foot = binary.LittleEndian.AppendUint32(w.foot, w.crc)
	w.crc, w.n = 0, 0
}

// write writes the segment. Besides the sources it needs memory for one table at a time.
func (p *plan) write(out io.Writer) error {
	w := &writer{w: bufio.NewWriterSize(out, 1<<20)}
	w.write(p.bytes())
	w.end()
	for _, o := range p.order {
		w.write(rawOf(o.hashes()))
	}
	w.end()
	for c, o := range p.order {
		for range o.hashes() {
			w.number(uint32(c))
		}
	}
	w.end()
	for _, o := range p.order {
		w.write(rawOf(o.times()))
	}
	w.end()
	p.writeOffsets(w, func(o place) int { return len(o.hashes()) })
	for _, o := range p.order {
		w.write(binary.LittleEndian.AppendUint64(nil, uint64(o.from.seq[o.clip])))
	}
	w.end()
	for _, of := range []func(o place) uint32{
		func(o place) uint32 { return o.from.subject[o.clip] }, func(o place) uint32 { return o.from.site[o.clip] },
	} {
		for _, o := range p.order {
			if k := of(o); k == 0 {
				w.number(0)
			} else {
				w.number(p.numbers[o.from.named(k)])
			}
		}
		w.end()
	}
	p.writeOffsets(w, func(o place) int { return len(o.job()) })
	for _, o := range p.order {
		w.write([]byte(o.job()))
	}
	w.end()
	sum := 0
	for _, name := range p.list {
		w.number(uint32(sum))
		sum += len(name)
	}
	w.number(uint32(sum))
	w.end()
	for _, name := range p.list {
		w.write([]byte(name))
	}
	w.end()
	p.writeTables(w)
	w.end()
	foot := binary.LittleEndian.AppendUint32(w.foot, crc32.Checksum(w.foot, castagnoli))
	if w.err == nil {
		_, w.err = w.w.Write(foot)
	}
	if w.err == nil {
		w.err = w.w.Flush()
	}
	return w.err
}

func (w *writer) number(v uint32) {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], v)
	w.write(b[:])
}

// writeOffsets writes where each clip's part of something begins.
func (p *plan) writeOffsets(w *writer, size func(place) int) {
	sum := 0
	for _, o := range p.order {
		w.number(uint32(sum))
		sum += size(o)
	}
	w.number(uint32(sum))
	w.end()
}

// writeTables sorts the hashes into the buckets of each chunk by counting.
func (p *plan) writeTables(w *writer) {
	if p.chunks == 0 {
		return
	}
	bucket, posting := make([]uint32, p.buckets()+1), make([]uint32, p.hashes)
	for t := range p.chunks {
		clear(bucket)
		for _, o := range p.order {
			for i := range o.hashes() {
				bucket[p.chunk(&o.hashes()[i], t)]++
			}
		}
		var sum uint32
		for k, n := range bucket {
			sum += n
			bucket[k] = sum // its end; filling from there leaves its beginning
		}
		id := uint32(p.hashes)
		for _, o := range slices.Backward(p.order) {
			hashes := o.hashes()
			for i := range slices.Backward(hashes) {
				k := p.chunk(&hashes[i], t)
				bucket[k]--
				id--
				posting[bucket[k]] = id
			}
		}
		w.write(rawOf(bucket))
		w.write(rawOf(posting))
	}
}

// block is memory for a segment of a known size, at a multiple of 8 bytes.
type block struct {
	b []byte
	n int
}

func newBlock(size int) *block {
	words := make([]uint64, (size+7)/8)
	if size == 0 {
		return &block{}
	}
	return &block{b: unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), size)} //nolint:gosec // size bytes lie in the words
}

func (b *block) Write(p []byte) (int, error) {
	n := copy(b.b[b.n:], p)
	b.n += n
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// inMemory writes a plan into memory.
func (p *plan) inMemory() (*segment, error) {
	b := newBlock(p.size())
	if err := p.write(b); err != nil {
		return nil, err
	}
	return parse(b.b, false)
}
