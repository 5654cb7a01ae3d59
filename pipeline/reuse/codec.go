package reuse

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

// FormatVersion is the version of the binary form; a change of the form or of what the numbers mean raises it, and cached fingerprints
// of another version are made again. Stored ones of the versions before are read, too, because they only lack something.
const FormatVersion = 4

// Earlier versions that are read: fingerprints of photos without the grid of grey cells, and all of those without views, too.
const (
	withoutCells = 3
	withoutViews = 2
)

// Reads says whether fingerprints of a version can be read, and so compared with new ones.
func Reads(version int) bool { return version >= withoutViews && version <= FormatVersion }

// versionOf is the version that the bytes of a fingerprint name; 0 where they are too short.
func versionOf(data []byte) int {
	if len(data) < len(magic)+2 {
		return 0
	}
	return int(order.Uint16(data[len(magic):]))
}

// maxEncoded bounds an encoded fingerprint: 8 stills of points, 60 s of motion, and room.
const maxEncoded = 4 << 20

var magic = [4]byte{'O', 'N', 'S', 'F'}

// The sections of the binary form, in this order.
const (
	sectionMeta   = 1
	sectionStills = 2
	sectionIndex  = 3
	sectionPoints = 4
	sectionCoarse = 5
	sectionMotion = 6
	sectionAreas  = 7
	sectionAudio  = 8
	sectionViews  = 9
	sections      = 9
)

// Units of rounded numbers: parts of a pixel, of a degree, of a grey level.
const (
	positionUnit = 64
	sizeUnit     = 64
	angleUnit    = 128
	coarseUnit   = 64
)

// ErrFormat is wrapped by every error about bytes that are no fingerprint of this version.
var ErrFormat = errors.New("not a fingerprint of this version")

var (
	_ encoding.BinaryMarshaler   = Fingerprint{}
	_ encoding.BinaryUnmarshaler = (*Fingerprint)(nil)
)

var order = binary.LittleEndian

// MarshalBinary writes the form of docs/fingerprint.md.
func (f Fingerprint) MarshalBinary() ([]byte, error) {
	file, err := pipeline.DigestBytes(f.SHA256)
	if err != nil {
		return nil, fmt.Errorf("encode a fingerprint: sha256 of the file: %w", err)
	}
	packets, err := pipeline.DigestBytes(f.PacketsSHA256)
	if err != nil {
		return nil, fmt.Errorf("encode a fingerprint: sha256 of the packets: %w", err)
	}
	kind, ok := map[media.Kind]byte{media.Video: 1, media.Photo: 2}[f.Kind]
	if !ok || len(f.Stills) > maxStills || f.Width < 0 || f.Height < 0 || f.Width > math.MaxUint16 || f.Height > math.MaxUint16 || f.Duration < 0 || f.Duration.Milliseconds() > math.MaxUint32 {
		return nil, fmt.Errorf("encode fingerprint %s: kind %q, %d stills, %d x %d, %v cannot be written", short(f.SHA256), f.Kind, len(f.Stills), f.Width, f.Height, f.Duration)
	}
	meta := append(append([]byte{kind}, file...), packets...)
	meta = order.AppendUint16(meta, uint16(f.Width))
	meta = order.AppendUint16(meta, uint16(f.Height))
	meta = order.AppendUint32(meta, uint32(f.Duration.Milliseconds()))
	if err := f.checkAreas(); err != nil {
		return nil, fmt.Errorf("encode fingerprint %s: %w", short(f.SHA256), err)
	}
	if err := f.Audio.check(); err != nil {
		return nil, fmt.Errorf("encode fingerprint %s: %w", short(f.SHA256), err)
	}
	views, err := encodeViews(&f.Views)
	if err != nil {
		return nil, fmt.Errorf("encode fingerprint %s: %w", short(f.SHA256), err)
	}
	out := append([]byte{}, magic[:]...)
	out = order.AppendUint16(out, FormatVersion)
	for id, body := range [][]byte{meta, encodeStills(f.Stills), encodeIndex(f.index), f.points, encodeCoarse(&f.coarse), f.motion, encodeAreas(f.Areas), encodeAudio(&f.Audio), views} {
		out = append(out, byte(id+1))
		out = order.AppendUint32(out, uint32(len(body)))
		out = append(out, body...)
	}
	return order.AppendUint32(out, crc32.ChecksumIEEE(out)), nil
}

// UnmarshalBinary reads what MarshalBinary wrote, as Read does. The result does not keep data.
func (f *Fingerprint) UnmarshalBinary(data []byte) error {
	g, err := Read(bytes.Clone(data))
	if err == nil {
		*f = g
	}
	return err
}

// Read reads what MarshalBinary wrote, also that of the versions before (see Reads), and refuses everything else with an error that wraps ErrFormat. The large sections (points, motion)
// are checked too; memory stays bounded whatever the bytes are. The result keeps data, which nobody may change afterwards: a history of
// some hundred fingerprints is not copied once more.
func Read(data []byte) (Fingerprint, error) {
	if len(data) < len(magic)+2+4 || len(data) > maxEncoded || !bytes.Equal(data[:4], magic[:]) {
		return Fingerprint{}, fmt.Errorf("%w: %d bytes without its mark, or too many", ErrFormat, len(data))
	}
	version := versionOf(data)
	if !Reads(version) {
		return Fingerprint{}, fmt.Errorf("%w: version %d, want %d to %d", ErrFormat, version, withoutViews, FormatVersion)
	}
	body, sum := data[:len(data)-4], order.Uint32(data[len(data)-4:])
	if crc32.ChecksumIEEE(body) != sum {
		return Fingerprint{}, fmt.Errorf("%w: its checksum is wrong", ErrFormat)
	}
	r := reader{b: body[6:]}
	var parts [sections + 1][]byte
	for id := 1; id <= sections; id++ {
		if id == sectionViews && version == withoutViews {
			parts[id] = []byte{0}
			break
		}
		if got := r.u8(); int(got) != id {
			r.fail("section %d where %d was expected", got, id)
		}
		parts[id] = r.take(int(r.u32()))
	}
	r.end()
	var g Fingerprint
	g.readMeta(&r, parts[sectionMeta])
	g.Stills = readStills(&r, parts[sectionStills])
	g.index = readIndex(&r, parts[sectionIndex])
	g.coarse = readCoarse(&r, parts[sectionCoarse])
	g.Areas = readAreas(&r, parts[sectionAreas])
	g.Audio = readAudio(&r, parts[sectionAudio])
	g.Views = readViews(&r, parts[sectionViews])
	if r.err == nil {
		r.err = errors.Join(g.checkAreas(), g.Audio.check())
	}
	if r.err != nil {
		return Fingerprint{}, fmt.Errorf("%w: %w", ErrFormat, r.err)
	}
	g.points, g.motion = parts[sectionPoints], parts[sectionMotion]
	if err := checkPoints(g.points); err != nil {
		return Fingerprint{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if err := checkMotion(g.motion); err != nil {
		return Fingerprint{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return g, nil
}

func (f *Fingerprint) readMeta(outer *reader, b []byte) {
	r := reader{b: b, err: outer.err}
	kind := r.u8()
	switch kind {
	case 1:
		f.Kind = media.Video
	case 2:
		f.Kind = media.Photo
	default:
		r.fail("kind %d", kind)
	}
	f.SHA256, f.PacketsSHA256 = pipeline.DigestText(r.take(32)), pipeline.DigestText(r.take(32))
	f.Width, f.Height = int(r.u16()), int(r.u16())
	f.Duration = time.Duration(r.u32()) * time.Millisecond
	r.end()
	outer.err = r.err
}

func encodeStills(stills []Still) []byte {
	b := order.AppendUint16(nil, uint16(len(stills)))
	for _, s := range stills {
		b = order.AppendUint32(b, ms(s.PTS))
		b = append(b, uint8(s.Quality))
		for _, h := range s.PDQ {
			b = appendBits(b, h)
		}
		b = order.AppendUint64(b, s.PHash64)
		b = appendBits(b, s.PHash256)
	}
	return b
}

func readStills(outer *reader, b []byte) []Still {
	r := reader{b: b, err: outer.err}
	n := r.count(maxStills)
	out := make([]Still, 0, n)
	for range n {
		s := Still{PTS: r.ms(), Quality: int(r.u8())}
		for i := range s.PDQ {
			s.PDQ[i] = r.bits()
		}
		s.PHash64, s.PHash256 = r.u64(), r.bits()
		out = append(out, s)
	}
	r.end()
	outer.err = r.err
	return out
}

func encodeIndex(index []indexPoint) []byte {
	b := order.AppendUint16(nil, uint16(len(index)))
	for _, p := range index {
		b = appendPlace(b, p.x, p.y, p.size, p.angle)
		b = order.AppendUint64(b, p.code[0])
		b = order.AppendUint64(b, p.code[1])
	}
	return b
}

func readIndex(outer *reader, b []byte) []indexPoint {
	r := reader{b: b, err: outer.err}
	n := r.count(indexStills * indexPoints)
	out := make([]indexPoint, 0, n)
	for range n {
		var p indexPoint
		p.x, p.y, p.size, p.angle = r.place()
		p.code = code{r.u64(), r.u64()}
		out = append(out, p)
	}
	r.end()
	outer.err = r.err
	return out
}

// roundIndex rounds as encoding does, so that a fresh fingerprint equals its parsed self.
func roundIndex(p indexPoint) indexPoint {
	r := reader{b: appendPlace(nil, p.x, p.y, p.size, p.angle)}
	p.x, p.y, p.size, p.angle = r.place()
	return p
}

func encodeCoarse(t *track) []byte {
	b := appendTrackHead(nil, t)
	for _, v := range t.v {
		b = order.AppendUint16(b, uint16(math.Round(float64(v)*coarseUnit)))
	}
	return b
}

func readCoarse(outer *reader, b []byte) track {
	r := reader{b: b, err: outer.err}
	t := r.trackHead(maxTrackFrames/coarseStride, coarseCells)
	t.v = make([]float32, t.n*coarseCells*coarseCells)
	if raw := r.take(2 * len(t.v)); raw != nil {
		for i := range t.v {
			t.v[i] = float32(order.Uint16(raw[2*i:])) / coarseUnit
		}
	}
	r.end()
	outer.err = r.err
	return t
}

func ms(d time.Duration) uint32 { return uint32(min(max(d.Milliseconds(), 0), math.MaxUint32)) }

func appendBits(b []byte, h Bits256) []byte {
	for _, w := range h {
		b = order.AppendUint64(b, w)
	}
	return b
}

// appendPlace writes position, size and angle as four 16-bit numbers.
func appendPlace(b []byte, x, y, size, angle float32) []byte {
	for _, v := range [4]float64{float64(x) * positionUnit, float64(y) * positionUnit, float64(size) * sizeUnit, float64(angle) * angleUnit} {
		b = order.AppendUint16(b, uint16(min(max(math.Round(v), 0), math.MaxUint16)))
	}
	return b
}

// appendTrackHead writes start, number of frames and which of them are valid.
func appendTrackHead(b []byte, t *track) []byte {
	b = order.AppendUint32(b, ms(t.start))
	b = order.AppendUint16(b, uint16(t.n))
	return append(b, packMarks(t.valid)...)
}

// packMarks writes one bit each, lowest first.
func packMarks(marks []bool) []byte {
	b := make([]byte, (len(marks)+7)/8)
	for i, v := range marks {
		if v {
			b[i/8] |= 1 << (i % 8)
		}
	}
	return b
}

// reader takes numbers off the front of b; after the first failure it gives zeros and keeps the error.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
	r.b = nil
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) || r.err != nil {
		r.fail("%d bytes are missing", n-len(r.b))
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) u8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.take(2); b != nil {
		return order.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return order.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return order.Uint64(b)
	}
	return 0
}

func (r *reader) ms() time.Duration { return time.Duration(r.u32()) * time.Millisecond }

func (r *reader) bits() (h Bits256) {
	if b := r.take(8 * len(h)); b != nil {
		for i := range h {
			h[i] = order.Uint64(b[8*i:])
		}
	}
	return h
}

func (r *reader) place() (x, y, size, angle float32) {
	b := r.take(8)
	if b == nil {
		return 0, 0, 0, 0
	}
	return float32(order.Uint16(b)) / positionUnit, float32(order.Uint16(b[2:])) / positionUnit, float32(order.Uint16(b[4:])) / sizeUnit, float32(order.Uint16(b[6:])) / angleUnit
}

// count reads a 16-bit number that must not exceed limit.
func (r *reader) count(limit int) int {
	n := int(r.u16())
	if n > limit {
		r.fail("%d entries, at most %d are allowed", n, limit)
		return 0
	}
	return n
}

func (r *reader) trackHead(maxFrames, side int) track {
	t := track{start: r.ms(), n: r.count(maxFrames), w: side, h: side}
	if t.valid = r.marks(t.n); r.err != nil {
		return track{}
	}
	return t
}

// marks reads n bits, lowest first; the bits behind the last must be zero.
func (r *reader) marks(n int) []bool {
	bits := r.take((n + 7) / 8)
	if r.err != nil {
		return nil
	}
	out := make([]bool, n)
	for i := range out {
		out[i] = bits[i/8]>>(i%8)&1 == 1
	}
	if n%8 != 0 && bits[n/8]>>(n%8) != 0 {
		r.fail("marks behind the last one")
		return nil
	}
	return out
}

func (r *reader) end() {
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes are left over", len(r.b))
	}
}
