package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"unsafe"
)

// The form of a segment, in memory and in a file: a head, sections, a foot. All numbers are little-endian; every section begins at a
// multiple of 64 bytes, and what is between them is zero.
//
//	head      128 bytes: magic "ONSITEIX", then u64: version, chunks, width, hashes n, clips c, names k, bytes of the job ids,
//	          bytes of the names, position of the feed up to which the clips are complete; the rest is zero
//	hashes    n x 4 u64, clip by clip, clips in the order of their job ids
//	clipOf    n x u32   the clip of each hash
//	at        n x u32   its time in the clip, milliseconds
//	first     c+1 x u32 the first hash of each clip, and n
//	seq       c x u64   position of the clip in the feed
//	subject   c x u32   a name
//	site      c x u32   a name
//	jobAt     c+1 x u32 where each job id begins in
//	jobs                the job ids, one after the other
//	nameAt    k+1 x u32 where each name begins in
//	names               the names; the first is the tenant, the others are in order
//	buckets   chunks x (2^width+1 x u32)  where each bucket begins in its table's
//	postings  chunks x (n x u32)          numbers of hashes, bucket by bucket
//	foot      u32 CRC-32C of the head and of each section, then of the foot itself

const (
	magic       = "ONSITEIX"
	version     = 1
	headSize    = 128
	align       = 64
	maxHashes   = 1 << 30 // of a segment, so that sums of sizes stay far from overflowing
	sections    = 12      // without the head
	footSize    = 4 * (sections + 2)
	headNumbers = 9
)

// ErrFormat says that bytes are no segment, or a damaged one.
var ErrFormat = errors.New("no index segment")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// head is what the sizes of all sections follow from.
type head struct {
	scheme
	hashes, clips, names int
	jobBytes, nameBytes  int
	upTo                 int64
}

// sizes are the bytes of each section.
func (h *head) sizes() [sections]int {
	n, c := h.hashes, h.clips
	return [sections]int{
		32 * n, 4 * n, 4 * n, 4 * (c + 1), 8 * c, 4 * c, 4 * c, 4 * (c + 1), h.jobBytes, 4 * (h.names + 1), h.nameBytes,
		h.chunks * (4*(h.buckets()+1) + 4*n),
	}
}

func padded(n int) int { return (n + align - 1) &^ (align - 1) }

// size is that of the whole.
func (h *head) size() int {
	total := headSize + footSize
	for _, n := range h.sizes() {
		total += padded(n)
	}
	return total
}

func (h *head) bytes() []byte {
	b := make([]byte, 0, headSize)
	b = append(b, magic...)
	for _, v := range [headNumbers]int64{version, int64(h.chunks), int64(h.width), int64(h.hashes), int64(h.clips), int64(h.names), int64(h.jobBytes), int64(h.nameBytes), h.upTo} {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return append(b, make([]byte, headSize-len(b))...)
}

func readHead(b []byte) (h head, err error) {
	if len(b) < headSize || string(b[:len(magic)]) != magic {
		return h, fmt.Errorf("%w: it does not begin as one", ErrFormat)
	}
	var v [headNumbers]int64
	for i := range v {
		v[i] = int64(binary.LittleEndian.Uint64(b[len(magic)+8*i:]))
	}
	if v[0] != version {
		return h, fmt.Errorf("%w: version %d, want %d", ErrFormat, v[0], version)
	}
	for _, n := range v[1:8] {
		if n < 0 || n > maxHashes {
			return h, fmt.Errorf("%w: a size of %d", ErrFormat, n)
		}
	}
	h = head{scheme{int(v[1]), int(v[2])}, int(v[3]), int(v[4]), int(v[5]), int(v[6]), int(v[7]), v[8]}
	if !h.valid() || h.upTo < 0 || h.size() != len(b) {
		return h, fmt.Errorf("%w: %d bytes, its head speaks of %d", ErrFormat, len(b), h.size())
	}
	return h, nil
}

// parse makes a segment of its bytes, which must not change while it is used. It looks at all of them: whatever they are, no later use of
// the segment reads beyond them. sums is whether the checksums are tested, too.
func parse(b []byte, sums bool) (*segment, error) {
	h, err := readHead(b)
	if err != nil {
		return nil, err
	}
	if uintptr(unsafe.Pointer(unsafe.SliceData(b)))%8 != 0 { //nolint:gosec // an address is looked at, not used
		return nil, fmt.Errorf("%w: it does not lie at a multiple of 8 bytes", ErrFormat)
	}
	s := &segment{head: h, raw: b}
	var part [sections][]byte
	at := headSize
	for i, n := range h.sizes() {
		part[i] = b[at : at+n : at+n]
		at += padded(n)
	}
	if sums {
		if err := checkSums(b[:headSize], part[:], b[at:]); err != nil {
			return nil, err
		}
	}
	s.hash = view[Hash](part[0])
	s.clipOf, s.at, s.first = view[uint32](part[1]), view[uint32](part[2]), view[uint32](part[3])
	s.seq, s.subject, s.site = view[int64](part[4]), view[uint32](part[5]), view[uint32](part[6])
	s.jobAt, s.jobs, s.nameAt, s.name = view[uint32](part[7]), part[8], view[uint32](part[9]), part[10]
	table := view[uint32](part[11])
	for range h.chunks {
		n := h.buckets() + 1
		s.bucket, s.posting = append(s.bucket, table[:n:n]), append(s.posting, table[n:n+h.hashes:n+h.hashes])
		table = table[n+h.hashes:]
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	s.dead = make([]uint64, (h.clips+63)/64)
	return s, nil
}

func checkSums(head []byte, part [][]byte, foot []byte) error {
	if binary.LittleEndian.Uint32(foot[footSize-4:]) != crc32.Checksum(foot[:footSize-4], castagnoli) {
		return fmt.Errorf("%w: its foot is damaged", ErrFormat)
	}
	for i, p := range append([][]byte{head}, part...) {
		if binary.LittleEndian.Uint32(foot[4*i:]) != crc32.Checksum(p, castagnoli) {
			return fmt.Errorf("%w: section %d is damaged", ErrFormat, i)
		}
	}
	return nil
}

// validate holds the numbers in the sections against each other.
func (s *segment) validate() error {
	wrong := func(what string) error { return fmt.Errorf("%w: %s do not fit", ErrFormat, what) }
	switch {
	case s.names == 0 || s.upTo < 0:
		return wrong("names")
	case !ascending(s.first, s.hashes) || !ascending(s.jobAt, s.jobBytes) || !ascending(s.nameAt, s.nameBytes):
		return wrong("offsets")
	case !below(s.clipOf, s.clips) || !below(s.subject, s.names) || !below(s.site, s.names):
		return wrong("clips or names")
	}
	for k := 2; k < s.names; k++ {
		if s.named(uint32(k-1)) >= s.named(uint32(k)) {
			return wrong("names")
		}
	}
	for t := range s.bucket {
		if !ascending(s.bucket[t], s.hashes) || !below(s.posting[t], s.hashes) {
			return wrong("tables")
		}
	}
	for c := range s.clips {
		for _, of := range s.clipOf[s.first[c]:s.first[c+1]] {
			if int(of) != c {
				return wrong("hashes and clips")
			}
		}
		if c > 0 && s.job(c-1) >= s.job(c) {
			return wrong("job ids")
		}
	}
	return nil
}

// ascending says that offsets begin at 0, never fall, and end at end.
func ascending(v []uint32, end int) bool {
	return v[0] == 0 && int(v[len(v)-1]) == end && slices.IsSorted(v)
}

func below(v []uint32, n int) bool {
	var most uint32
	for _, x := range v {
		most = max(most, x)
	}
	return len(v) == 0 || int(most) < n
}

// view sees bytes as numbers, without a copy.
func view[T Hash | uint32 | int64](b []byte) []T {
	var one T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(one))) //nolint:gosec // as many as fit
}

// rawOf sees numbers as bytes.
func rawOf[T Hash | uint32 | int64](v []T) []byte {
	var one T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(one))) //nolint:gosec // all of v
}

// littleEndian says that this machine's numbers lie in memory as they do in the form above.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1
