package origin

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// Read fills dst from an offset of the file, or answers false.
type Read func(at int64, dst []byte) bool

const (
	mostBoxes = 4096 // boxes that one file may make us look at
	deepest   = 6    // moov/trak/mdia/minf/stbl/stsd
	maxXMP    = 64 << 10
	// epoch is 1904-01-01 as seconds since 1970, where the times of mp4 begin.
	epoch = -2_082_844_800
)

// Marks of uuid boxes: XMP (Adobe), and C2PA (specification 2.1, A.3.3).
var (
	uuidXMP  = [16]byte{0xBE, 0x7A, 0xCF, 0xCB, 0x97, 0xA9, 0x42, 0xE8, 0x9C, 0x71, 0x99, 0x94, 0x91, 0xE3, 0xAF, 0xAC}
	uuidC2PA = [16]byte{0xD8, 0xFE, 0xC3, 0xD6, 0x1B, 0x0E, 0x48, 0x3C, 0x92, 0x97, 0x58, 0x28, 0x87, 0x7E, 0xC4, 0x81}
)

// Movie reads the facts of an mp4 or mov (and the boxes of a HEIC) of a size. It never fails: what cannot be read is left out.
func Movie(size int64, read Read) Facts {
	w := &walker{read: read}
	w.walk(0, size, 0, w.top)
	return w.facts.Clean()
}

type walker struct {
	read      Read
	boxes     int
	facts     Facts
	track     *Track
	timescale uint32 // of the movie: edit lengths count in it
}

// box is one box: its kind and where its content lies.
type box struct {
	kind     string
	from, to int64
}

func (b box) size() int64 { return b.to - b.from }

// walk calls visit for the boxes between two offsets.
func (w *walker) walk(at, end int64, depth int, visit func(b box, depth int)) {
	var head [16]byte
	for at >= 0 && end-at >= 8 && depth <= deepest {
		if w.boxes++; w.boxes > mostBoxes || !w.read(at, head[:8]) {
			return
		}
		n, skip := int64(binary.BigEndian.Uint32(head[:4])), int64(8)
		switch n {
		case 1:
			if end-at < 16 || !w.read(at, head[:16]) {
				return
			}
			n, skip = int64(binary.BigEndian.Uint64(head[8:16])), 16
		case 0:
			n = end - at
		}
		if n < skip || n > end-at {
			return
		}
		visit(box{string(head[4:8]), at + skip, at + n}, depth)
		at += n
	}
}

// bytes reads up to most bytes of a box's content.
func (w *walker) bytes(b box, most int64) []byte {
	out := make([]byte, min(b.size(), most))
	if len(out) == 0 || !w.read(b.from, out) {
		return nil
	}
	return out
}

func (w *walker) top(b box, depth int) {
	if n := len(w.facts.Boxes); len(w.facts.Boxes) < maxBoxes && (n == 0 || w.facts.Boxes[n-1] != text(b.kind)) {
		w.facts.Boxes = append(w.facts.Boxes, text(b.kind))
	}
	switch b.kind {
	case "moov":
		w.walk(b.from, b.to, depth+1, w.movie)
	case "uuid":
		w.uuid(b)
	}
}

func (w *walker) uuid(b box) {
	id := w.bytes(b, 16)
	switch {
	case len(id) < 16:
	case [16]byte(id) == uuidC2PA:
		w.facts.C2PA = true
	case [16]byte(id) == uuidXMP && w.facts.Tool == "":
		w.facts.Tool = creatorTool(w.bytes(box{from: b.from + 16, to: b.to}, maxXMP))
	}
}

// creatorTool finds xmp:CreatorTool in a packet, as an element or an attribute.
func creatorTool(xmp []byte) string {
	i := bytes.Index(xmp, []byte("CreatorTool"))
	if i < 0 {
		return ""
	}
	rest := xmp[i+len("CreatorTool"):]
	open, close := byte('>'), byte('<')
	if j := bytes.IndexByte(rest, '='); j >= 0 && j < 3 {
		open, close = '"', '"'
	}
	from := bytes.IndexByte(rest, open)
	if from < 0 {
		return ""
	}
	rest = rest[from+1:]
	to := bytes.IndexByte(rest, close)
	if to < 0 {
		return ""
	}
	return text(string(rest[:to]))
}

func (w *walker) movie(b box, depth int) {
	switch b.kind {
	case "mvhd":
		w.facts.Created, _, w.timescale = headTimes(w.bytes(b, 32))
	case "trak":
		if len(w.facts.Tracks) >= maxTracks {
			return
		}
		w.track = &Track{}
		w.walk(b.from, b.to, depth+1, w.inTrack)
		w.track.finish()
		w.facts.Tracks = append(w.facts.Tracks, *w.track)
		w.track = nil
	case "uuid":
		w.uuid(b)
	case "udta":
		w.walk(b.from, b.to, depth+1, func(b box, _ int) {
			if b.kind == "XMP_" && w.facts.Tool == "" {
				w.facts.Tool = creatorTool(w.bytes(b, maxXMP))
			}
		})
	}
}

func (w *walker) inTrack(b box, depth int) {
	switch b.kind {
	case "mdia", "minf", "stbl", "edts":
		w.walk(b.from, b.to, depth+1, w.inTrack)
	case "mdhd":
		w.track.Created, w.track.Modified, w.track.Timescale = headTimes(w.bytes(b, 32))
	case "hdlr":
		raw := w.bytes(b, 24+maxText+1)
		if len(raw) < 24 || w.track.Kind != "" { // minf may hold a data handler's, too
			return
		}
		w.track.Kind = text(string(raw[8:12]))
		w.track.Handler = name(raw[24:])
	case "stsd":
		w.sample(w.bytes(b, 8+8+78))
	case "elst":
		w.edits(w.bytes(b, 8+20*maxEdits))
	}
}

// name reads a text that ends with a zero (mp4) or begins with its length (mov).
func name(raw []byte) string {
	if len(raw) > 1 && int(raw[0]) == len(bytes.TrimRight(raw[1:], "\x00")) {
		raw = raw[1:]
	}
	if i := bytes.IndexByte(raw, 0); i >= 0 {
		raw = raw[:i]
	}
	return text(string(raw))
}

// headTimes reads creation and modification time and the timescale of mvhd and mdhd.
func headTimes(raw []byte) (created, modified int64, timescale uint32) {
	at := func(v uint64) int64 {
		if v == 0 || v > 1<<33 { // year 2176
			return 0
		}
		return int64(v) + epoch
	}
	switch {
	case len(raw) >= 16 && raw[0] == 0:
		return at(uint64(binary.BigEndian.Uint32(raw[4:]))), at(uint64(binary.BigEndian.Uint32(raw[8:]))), binary.BigEndian.Uint32(raw[12:])
	case len(raw) >= 24 && raw[0] == 1:
		return at(binary.BigEndian.Uint64(raw[4:])), at(binary.BigEndian.Uint64(raw[12:])), binary.BigEndian.Uint32(raw[20:])
	}
	return 0, 0, 0
}

// sample reads the first sample entry: its format, and of a picture's the vendor and the compressor's name.
func (w *walker) sample(raw []byte) {
	if len(raw) < 16 {
		return
	}
	w.track.Format = text(string(raw[12:16]))
	if w.track.Kind == "vide" && len(raw) >= 16+78 {
		entry := raw[16:]
		w.track.Vendor = text(strings.Trim(string(entry[12:16]), "\x00"))
		w.track.Compressor = name(entry[42 : 42+32])
	}
}

// edits reads an edit list. Lengths count in the movie's timescale, positions in the track's, which may come later in the file: both are
// turned into milliseconds only where the scale is known.
func (w *walker) edits(raw []byte) {
	if len(raw) < 8 {
		return
	}
	long, n := raw[0] == 1, binary.BigEndian.Uint32(raw[4:8])
	raw = raw[8:]
	size := 12
	if long {
		size = 20
	}
	for ; n > 0 && len(raw) >= size && len(w.track.Edits) < maxEdits; n-- {
		var length, from int64
		if long {
			length, from = int64(binary.BigEndian.Uint64(raw)), int64(binary.BigEndian.Uint64(raw[8:]))
		} else {
			length, from = int64(binary.BigEndian.Uint32(raw)), int64(int32(binary.BigEndian.Uint32(raw[4:])))
		}
		rate := binary.BigEndian.Uint32(raw[size-4:])
		e := Edit{FromMS: -1, LengthMS: scaled(length, w.timescale), Rate: rate != 0x00010000}
		if from >= 0 {
			e.FromMS = from // ticks, until the end of the track
		}
		w.track.Edits = append(w.track.Edits, e)
		raw = raw[size:]
	}
}

// scaled turns ticks into milliseconds; 0 where that is no time.
func scaled(ticks int64, timescale uint32) int64 {
	if timescale == 0 || ticks < 0 || ticks > 1<<52 {
		return 0
	}
	return int64(float64(ticks) / float64(timescale) * 1000)
}

// finish turns the positions of a track's edits into milliseconds.
func (t *Track) finish() {
	for i := range t.Edits {
		if t.Edits[i].FromMS > 0 {
			t.Edits[i].FromMS = scaled(t.Edits[i].FromMS, t.Timescale)
		}
	}
}

// x264 and x265 mark what they write of themselves into the stream with these (user data SEI).
var (
	seiX264 = []byte{0xDC, 0x45, 0xE9, 0xBD, 0xE6, 0xD9, 0x48, 0xB7, 0x96, 0x2C, 0xD8, 0x20, 0xD9, 0x23, 0xEE, 0xEF}
	seiX265 = []byte{0x2C, 0xA2, 0xDE, 0x09, 0xB5, 0x17, 0x47, 0xDB, 0xBB, 0x55, 0xA4, 0xFE, 0x7F, 0xC2, 0xFC, 0x4E}
)

// Encoder finds what x264 or x265 say of themselves at the beginning of a coded packet; "" for nothing.
func Encoder(packet []byte) string {
	const head = 4096
	packet = packet[:min(len(packet), head)]
	for _, mark := range [][]byte{seiX264, seiX265} {
		if i := bytes.Index(packet, mark); i >= 0 {
			words := packet[i+len(mark):]
			if j := bytes.IndexByte(words, 0); j >= 0 {
				words = words[:j]
			}
			return text(string(words))
		}
	}
	return ""
}
