package reuse

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"time"
)

// motionUnit is parts of a grey level: cells are means over many pixels, and still faces move them by less than one level.
const motionUnit = 16

// maxMotionVarint is how many bytes the largest step between two grey levels takes.
const maxMotionVarint = 2

// encodePoints writes the section of points: stills, each with its time and its points.
func encodePoints(stills []pointStill) []byte {
	b := []byte{uint8(len(stills))}
	for _, s := range stills {
		b = order.AppendUint32(b, ms(s.pts))
		b = order.AppendUint16(b, uint16(len(s.points)))
		for i := range s.points {
			p := &s.points[i]
			b = appendPlace(b, p.X, p.Y, p.Size, p.Angle)
			b = append(b, p.Desc[:]...)
		}
	}
	return b
}

// checkPoints walks the section without keeping it.
func checkPoints(b []byte) error {
	r := reader{b: b}
	for range stillCount(&r) {
		r.ms()
		r.take(r.count(maxPoints) * bytesPerPoint)
	}
	r.end()
	return r.err
}

func stillCount(r *reader) int {
	n := int(r.u8())
	if n > maxPointStills {
		r.fail("points of %d stills, at most %d are allowed", n, maxPointStills)
		return 0
	}
	return n
}

// decodePoints reads the section.
func decodePoints(b []byte) ([]pointStill, error) {
	r := reader{b: b}
	out := make([]pointStill, 0, maxPointStills)
	for range stillCount(&r) {
		s := pointStill{pts: r.ms()}
		n := r.count(maxPoints)
		s.points = make([]Point, n)
		for i := range s.points {
			p := &s.points[i]
			p.X, p.Y, p.Size, p.Angle = r.place()
			copy(p.Desc[:], r.take(128))
		}
		out = append(out, s)
	}
	r.end()
	return out, r.err
}

// roundMotion rounds as encodeMotion does, so that a fresh fingerprint equals its parsed self.
func roundMotion(t *track) {
	t.start = t.start.Truncate(time.Millisecond)
	for i, v := range t.v {
		t.v[i] = float32(motionSteps(v)) / motionUnit
	}
}

// motionSteps is a grey level in 1/16.
func motionSteps(v float32) int32 {
	return int32(math.Round(float64(min(max(v, 0), 255)) * motionUnit))
}

// encodeMotion writes the motion section: head, then (deflated) for every valid frame and cell the difference to the valid frame before,
// in 1/16 grey levels, as zigzag varints.
func encodeMotion(t *track) []byte {
	head := appendTrackHead(nil, t)
	var packed bytes.Buffer
	z, err := flate.NewWriter(&packed, flate.BestSpeed)
	if err != nil { // only for a wrong level, which is a constant here
		panic(err)
	}
	size := t.w * t.h
	last := make([]int32, size)
	buf := make([]byte, 0, size*binary.MaxVarintLen32)
	for i := range t.n {
		if !t.valid[i] {
			continue
		}
		buf = buf[:0]
		for j, v := range t.frame(i) {
			q := motionSteps(v)
			buf = binary.AppendVarint(buf, int64(q-last[j]))
			last[j] = q
		}
		_, _ = z.Write(buf) // a bytes.Buffer takes everything
	}
	_ = z.Close()
	return append(head, packed.Bytes()...)
}

// checkMotion looks at the head only; the deflated rest is bounded by it when it is read.
func checkMotion(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	r := reader{b: b}
	r.trackHead(maxTrackFrames, cells)
	return r.err
}

// decodeMotion reads the section. It reads no more than the head promises, and every value must be a grey level.
func decodeMotion(mem *memory, b []byte) (track, error) {
	if len(b) == 0 {
		return track{}, nil
	}
	r := reader{b: b}
	t := r.trackHead(maxTrackFrames, cells)
	if r.err != nil {
		return track{}, fmt.Errorf("%w: motion: %w", ErrFormat, r.err)
	}
	size := cells * cells
	t.v, t.mem = mem.floats(t.n*size), mem
	frames := 0
	for _, ok := range t.valid {
		if ok {
			frames++
		}
	}
	// One byte more than the longest there can be shows that it goes on.
	all := bytes.NewBuffer(make([]byte, 0, frames*size+bytes.MinRead)) // most numbers are one byte
	if _, err := all.ReadFrom(io.LimitReader(flate.NewReader(bytes.NewReader(r.b)), int64(frames*size*maxMotionVarint)+1)); err != nil {
		return track{}, fmt.Errorf("%w: motion: %w", ErrFormat, err)
	}
	raw := all.Bytes()
	last := make([]int32, size)
	for i := range t.n {
		dst := t.frame(i)
		if !t.valid[i] {
			clear(dst)
			continue
		}
		for j := range dst {
			var d int64
			if len(raw) > 0 && raw[0] < 0x80 { // as most are
				d, raw = int64(raw[0]>>1)^-int64(raw[0]&1), raw[1:]
			} else {
				v, n := binary.Varint(raw)
				if n <= 0 {
					return track{}, fmt.Errorf("%w: motion frame %d, cell %d: no number", ErrFormat, i, j)
				}
				d, raw = v, raw[n:]
			}
			q := int64(last[j]) + d
			if q < 0 || q > 255*motionUnit {
				return track{}, fmt.Errorf("%w: motion frame %d, cell %d: %d is no grey level", ErrFormat, i, j, q)
			}
			last[j] = int32(q)
			dst[j] = float32(q) / motionUnit
		}
	}
	if len(raw) > 0 {
		return track{}, fmt.Errorf("%w: motion goes on behind its last frame", ErrFormat)
	}
	return t, nil
}
