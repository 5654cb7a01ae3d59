package index

import (
	"encoding/binary"
	"fmt"
	"math"
)

// The form in which one shard asks another, and in which that answers. All numbers are unsigned varints but for the hashes, 32 bytes each,
// little-endian; a text is its length and its bytes.
//
//	question  "OIXQ", version; K, N of the shard that is asked; tenant, radius, subject, site, before, from, as of, since, most, flood;
//	          pictures, and of each: time (ms), forms, their hashes
//	answer    "OIXP", version; K, N of the shard that answers; clips, and of each in the order of their jobs: job, subject, site, position;
//	          pictures, and of each: 1 + forms, or 0 when it is flooded; matches of each form; clips that match, and of each: its number
//	          less that of the one before, less one; time (ms), distance, form

const (
	askMagic    = "OIXQ"
	partMagic   = "OIXP"
	wireVersion = 1
)

// What is read of another process at most.
const (
	MaxAskBytes  = 1 << 20  // of a question: more than the most it can have
	MaxPartBytes = 64 << 20 // of an answer: 8 pictures with 1,000 matches in each of two forms, no two in one clip, are 0.9 MB
)

// AppendQuery appends a question to one shard, or says what is wrong with the query.
func AppendQuery(b []byte, q Query, to Shard) ([]byte, error) {
	q, err := q.filled()
	if err != nil {
		return nil, err
	}
	w := wire{b: append(b, askMagic...)}
	w.numbers(wireVersion, uint64(to.K), uint64(to.N))
	w.text(q.Tenant)
	w.numbers(uint64(q.Radius))
	w.text(q.Subject)
	w.text(q.Site)
	w.text(q.Before)
	w.text(q.From)
	w.numbers(uint64(max(0, q.AsOf)), uint64(max(0, q.Since)), uint64(q.Most), uint64(q.Flood), uint64(len(q.Frames)))
	for i := range q.Frames {
		w.numbers(uint64(q.Frames[i].AtMS), uint64(len(q.Frames[i].Forms)))
		for _, h := range q.Frames[i].Forms {
			for _, v := range h {
				w.b = binary.LittleEndian.AppendUint64(w.b, v)
			}
		}
	}
	return w.b, nil
}

// DecodeQuery reads a question and whom it is to. It is one that Part takes.
func DecodeQuery(b []byte) (q Query, to Shard, err error) {
	r := wire{b: b}
	if to, err = r.head(askMagic, ErrAsk); err != nil {
		return q, to, err
	}
	q.Tenant = r.name()
	q.Radius = r.upTo(MaxRadius)
	q.Subject, q.Site, q.Before, q.From = r.name(), r.name(), r.name(), r.name()
	q.AsOf, q.Since = int64(r.number(math.MaxInt64)), int64(r.number(math.MaxInt64))
	q.Most, q.Flood = r.upTo(math.MaxInt32), r.upTo(math.MaxInt32)
	for range r.upTo(maxAsked) {
		f := Asked{AtMS: uint32(r.number(math.MaxUint32))}
		for range r.upTo(maxForms) {
			var h Hash
			for k := range h {
				h[k] = r.fixed()
			}
			if r.bad {
				break
			}
			f.Forms = append(f.Forms, h)
		}
		if r.bad {
			break
		}
		q.Frames = append(q.Frames, f)
	}
	if r.bad || len(r.b) > 0 {
		return Query{}, to, fmt.Errorf("%w: it is damaged", ErrAsk)
	}
	q, err = q.filled()
	return q, to, err
}

// AppendBinary appends the part's form for the wire; it never fails.
func (p *Part) AppendBinary(b []byte) ([]byte, error) {
	w := wire{b: append(b, partMagic...)}
	w.numbers(wireVersion, uint64(p.shard.K), uint64(p.shard.N), uint64(len(p.clips)))
	for i := range p.clips {
		c := &p.clips[i]
		w.text(c.Job)
		w.text(c.Subject)
		w.text(c.Site)
		w.numbers(uint64(c.Seq))
	}
	w.numbers(uint64(len(p.frames)))
	for i := range p.frames {
		f := &p.frames[i]
		if f.flooded {
			w.numbers(0)
			continue
		}
		w.numbers(1 + uint64(len(f.count)))
		for _, n := range f.count {
			w.numbers(uint64(n))
		}
		w.numbers(uint64(len(f.best)))
		last := -1
		for _, h := range f.best {
			w.numbers(uint64(h.clip-last-1), uint64(h.atMS), uint64(h.distance), uint64(h.form))
			last = h.clip
		}
	}
	return w.b, nil
}

// DecodePart reads a shard's answer to a query; ErrPart. Nothing in it is believed that the query did not ask this shard for.
func DecodePart(b []byte, q Query, from Shard) (Part, error) {
	q, err := q.filled()
	if err != nil {
		return Part{}, err
	}
	var p Part
	r := wire{b: b}
	if p.shard, err = r.head(partMagic, ErrPart); err != nil {
		return Part{}, err
	}
	for range r.upTo(len(r.b) / 4) { // four bytes are the least that a clip has
		p.clips = append(p.clips, Clip{Job: r.name(), Subject: r.name(), Site: r.name(), Seq: int64(r.number(math.MaxInt64))})
		if r.bad {
			break
		}
	}
	for range r.upTo(maxAsked) {
		var f partFrame
		forms := r.upTo(maxForms + 1)
		f.flooded = forms == 0
		for range forms - 1 {
			f.count = append(f.count, r.upTo(math.MaxInt32))
		}
		if !f.flooded {
			last := -1
			for range r.upTo(len(r.b) / 4) {
				last += 1 + r.upTo(len(p.clips))
				f.best = append(f.best, partHit{last, uint32(r.number(math.MaxUint32)), uint8(r.upTo(math.MaxUint8)), uint8(r.upTo(math.MaxUint8))})
				if r.bad {
					break
				}
			}
		}
		if r.bad {
			break
		}
		p.frames = append(p.frames, f)
	}
	if r.bad || len(r.b) > 0 {
		return Part{}, fmt.Errorf("%w: it is damaged", ErrPart)
	}
	if err := p.check(&q, from); err != nil {
		return Part{}, err
	}
	return p, nil
}

// wire writes to the end of its bytes, or reads from their beginning.
type wire struct {
	b   []byte
	bad bool // what was read is not of the form
}

func (w *wire) numbers(all ...uint64) {
	for _, v := range all {
		w.b = binary.AppendUvarint(w.b, v)
	}
}

func (w *wire) text(s string) {
	w.numbers(uint64(len(s)))
	w.b = append(w.b, s...)
}

// head reads how a message begins; kind is the error of what is none.
func (w *wire) head(magic string, kind error) (Shard, error) {
	if len(w.b) < len(magic) || string(w.b[:len(magic)]) != magic {
		return Shard{}, fmt.Errorf("%w: it does not begin as one", kind)
	}
	w.b = w.b[len(magic):]
	if v := w.number(math.MaxUint64); w.bad || v != wireVersion {
		return Shard{}, fmt.Errorf("%w: version %d, want %d", kind, v, wireVersion)
	}
	s := Shard{w.upTo(MaxShards), w.upTo(MaxShards)}
	if w.bad || s.check() != nil {
		return Shard{}, fmt.Errorf("%w: it names no shard", kind)
	}
	return s, nil
}

// number reads a number of at most the given size; what is none is 0, and bad.
func (w *wire) number(most uint64) uint64 {
	v, n := binary.Uvarint(w.b)
	if w.bad || n <= 0 || v > most {
		w.bad = true
		return 0
	}
	w.b = w.b[n:]
	return v
}

func (w *wire) upTo(most int) int { return int(w.number(uint64(most))) }

func (w *wire) name() string {
	n := w.upTo(maxName)
	if w.bad || n > len(w.b) {
		w.bad = true
		return ""
	}
	s := string(w.b[:n])
	w.b = w.b[n:]
	return s
}

func (w *wire) fixed() uint64 {
	if w.bad || len(w.b) < 8 {
		w.bad = true
		return 0
	}
	v := binary.LittleEndian.Uint64(w.b)
	w.b = w.b[8:]
	return v
}
