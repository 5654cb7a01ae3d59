package wire

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// Magic opens the child's stream; its last byte is the version.
var Magic = [8]byte{'O', 'N', 'S', 'D', 'E', 'C', 0, 2}

// Kind is the type of a record.
type Kind uint32

// The records, in the order in which the child may send them: one Hello; then one Refused or one Info, Packets at most once, stills, motion
// and burst frames by time, PCM in parts, and one Done or Refused.
const (
	KindHello   Kind = 1
	KindInfo    Kind = 2
	KindPackets Kind = 3
	KindStill   Kind = 4 // frame head, then H x W x 3 BGR
	KindMotion  Kind = 5 // frame head, then H x W grey
	KindPCM     Kind = 6 // float32, little endian
	KindDone    Kind = 7
	KindRefused Kind = 8
	KindBroken  Kind = 9  // the child could not do its work (no fault of the media): a JSON string
	KindBurst   Kind = 10 // frame head, then H x W x 3 BGR
)

const (
	headSize   = 24 // of a frame: pts int64, width u32, height u32, flags u32, zero u32
	packetSize = 16 // pts int64, bytes u32, flags u32
	maxJSON    = 1 << 20
	maxPCMPart = 1 << 22
)

// ErrProtocol is what every broken stream is.
var ErrProtocol = errors.New("the decoder's answer is broken")

// Bounds say how much the reader takes from the child at most. The parent derives them from its own request, never from the stream.
type Bounds struct {
	StillSide  int   // pixels, longer side of a still
	Stills     int   // number of stills
	MotionSide int   // pixels, longer side of a motion frame
	Motions    int   // number of motion frames
	BurstSide  int   // pixels, longer side of a burst frame
	Bursts     int   // number of burst frames
	Bytes      int64 // of the pixels of all stills, motion and burst frames together
	Packets    int   // number of packets
	Samples    int64 // PCM samples
}

// Sink receives what the stream says, already bounded. Pixel reads exactly n bytes into memory that the sink chooses.
type Sink interface {
	Hello(Hello) error
	Info(Info) error
	Packets([]Packet) error
	Still(h FrameHead, pix func(dst []byte) error) error
	Motion(h FrameHead, pix func(dst []byte) error) error
	Burst(h FrameHead, pix func(dst []byte) error) error
	PCM([]float32) error // the samples are valid during the call only
}

// Read takes the child's whole stream. It ends with one of: a non-nil End, a non-nil Refusal, or an error (ErrProtocol for a stream that
// breaks the rules, the text of a Broken record, or what the sink returned).
func Read(r io.Reader, b Bounds, sink Sink) (*End, *Refusal, error) {
	s := &stream{r: bufio.NewReaderSize(r, 64<<10), bounds: b, sink: sink, lastStill: math.MinInt64, lastMotion: math.MinInt64, lastBurst: math.MinInt64}
	var magic [8]byte
	if _, err := io.ReadFull(s.r, magic[:]); err != nil {
		return nil, nil, fmt.Errorf("%w: it ends before its first byte: %w", ErrProtocol, err)
	}
	if magic != Magic {
		return nil, nil, fmt.Errorf("%w: magic %x, want %x (is the decoder of another version?)", ErrProtocol, magic, Magic)
	}
	for {
		end, refusal, err := s.next()
		if err != nil || end != nil || refusal != nil {
			return end, refusal, err
		}
	}
}

type stream struct {
	r                     *bufio.Reader
	bounds                Bounds
	sink                  Sink
	hello, info, packets  bool
	stills, motions       int
	bursts                int
	samples, pixels       int64
	lastStill, lastMotion int64
	lastBurst             int64
	motionW, motionH      int
	burstW, burstH        int

	// Work space, so that a frame or a part of the sound allocates nothing here.
	head  [8]byte
	front [headSize]byte
	raw   []byte
	sound []float32
}

func (s *stream) next() (*End, *Refusal, error) {
	head := s.head[:]
	if _, err := io.ReadFull(s.r, head); err != nil {
		return nil, nil, fmt.Errorf("%w: it ends without a last record: %w", ErrProtocol, err)
	}
	kind, n := Kind(binary.LittleEndian.Uint32(head[:4])), int64(binary.LittleEndian.Uint32(head[4:]))
	if kind != KindHello && kind != KindBroken && !s.hello {
		return nil, nil, fmt.Errorf("%w: record %d before the greeting", ErrProtocol, kind)
	}
	switch kind {
	case KindHello:
		var v Hello
		if s.hello {
			return nil, nil, fmt.Errorf("%w: a second greeting", ErrProtocol)
		}
		s.hello = true
		return nil, nil, first(s.json(n, &v), func() error { return s.sink.Hello(v) })
	case KindInfo:
		return nil, nil, s.readInfo(n)
	case KindRefused:
		var v Refusal
		if err := s.json(n, &v); err != nil {
			return nil, nil, err
		}
		return nil, &v, nil
	case KindBroken:
		var text string
		if err := s.json(n, &text); err != nil {
			return nil, nil, err
		}
		return nil, nil, errors.New(printable(text))
	}
	if !s.info {
		return nil, nil, fmt.Errorf("%w: record %d before the media's headers", ErrProtocol, kind)
	}
	switch kind {
	case KindPackets:
		return nil, nil, s.readPackets(n)
	case KindStill, KindMotion, KindBurst:
		return nil, nil, s.readFrame(kind, n)
	case KindPCM:
		return nil, nil, s.readPCM(n)
	case KindDone:
		var v End
		if err := s.json(n, &v); err != nil {
			return nil, nil, err
		}
		return &v, nil, nil
	}
	return nil, nil, fmt.Errorf("%w: unknown record %d", ErrProtocol, kind)
}

func first(err error, then func() error) error {
	if err != nil {
		return err
	}
	return then()
}

func (s *stream) json(n int64, v any) error {
	if n > maxJSON {
		return fmt.Errorf("%w: a JSON record of %d bytes, at most %d", ErrProtocol, n, maxJSON)
	}
	raw := make([]byte, n)
	if _, err := io.ReadFull(s.r, raw); err != nil {
		return fmt.Errorf("%w: cut short in a JSON record: %w", ErrProtocol, err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return nil
}

func (s *stream) readInfo(n int64) error {
	var v Info
	if s.info {
		return fmt.Errorf("%w: headers twice", ErrProtocol)
	}
	if err := s.json(n, &v); err != nil {
		return err
	}
	const side, tags, windows = 1 << 16, 64, 64
	if v.Width < 1 || v.Height < 1 || v.Width > side || v.Height > side || v.DurationUS < 0 || v.FPS < 0 || math.IsNaN(v.FPS) || math.IsInf(v.FPS, 0) {
		return fmt.Errorf("%w: headers of %d x %d pixels, %d us, %g frames/s", ErrProtocol, v.Width, v.Height, v.DurationUS, v.FPS)
	}
	if len(v.Tags) > tags || len(v.Windows) > windows || len(v.Spots) > windows {
		return fmt.Errorf("%w: %d tags, %d windows, %d spots", ErrProtocol, len(v.Tags), len(v.Windows), len(v.Spots))
	}
	s.info = true
	return s.sink.Info(v)
}

func (s *stream) readPackets(n int64) error {
	if s.packets || n%packetSize != 0 || n/packetSize > int64(s.bounds.Packets) {
		return fmt.Errorf("%w: a list of %d bytes of packets, at most %d packets, once", ErrProtocol, n, s.bounds.Packets)
	}
	s.packets = true
	out := make([]Packet, 0, min(n/packetSize, 4096))
	var raw [packetSize]byte
	for range n / packetSize {
		if _, err := io.ReadFull(s.r, raw[:]); err != nil {
			return fmt.Errorf("%w: cut short in the list of packets: %w", ErrProtocol, err)
		}
		out = append(out, Packet{
			PTSUS: int64(binary.LittleEndian.Uint64(raw[:8])),
			Bytes: binary.LittleEndian.Uint32(raw[8:12]),
			Key:   binary.LittleEndian.Uint32(raw[12:])&1 == 1,
		})
	}
	return s.sink.Packets(out)
}

func (s *stream) readFrame(kind Kind, n int64) error {
	if n < headSize {
		return fmt.Errorf("%w: a frame of %d bytes", ErrProtocol, n)
	}
	raw := s.front[:]
	if _, err := io.ReadFull(s.r, raw); err != nil {
		return fmt.Errorf("%w: cut short in a frame: %w", ErrProtocol, err)
	}
	w, h := binary.LittleEndian.Uint32(raw[8:12]), binary.LittleEndian.Uint32(raw[12:16])
	flags := binary.LittleEndian.Uint32(raw[16:20]) // 1: another scene; 2: beside the track; bits 8 to 15 and 16 to 23: what was taken from earlier and from later pictures
	head := FrameHead{PTSUS: int64(binary.LittleEndian.Uint64(raw[:8])), SceneChange: flags&1 == 1, Between: flags&2 == 2, Earlier: uint8(flags >> 8), Later: uint8(flags >> 16)}
	side, channels, last := s.bounds.StillSide, int64(3), &s.lastStill
	switch kind {
	case KindMotion:
		side, channels, last = s.bounds.MotionSide, 1, &s.lastMotion
	case KindBurst:
		side, last = s.bounds.BurstSide, &s.lastBurst
	}
	if w < 1 || h < 1 || int64(w) > int64(side) || int64(h) > int64(side) || n != headSize+int64(w)*int64(h)*channels {
		return fmt.Errorf("%w: a frame of %d x %d pixels in %d bytes, at most %d a side", ErrProtocol, w, h, n, side)
	}
	if s.pixels += n - headSize; s.pixels > s.bounds.Bytes {
		return fmt.Errorf("%w: more than %d bytes of pixels", ErrProtocol, s.bounds.Bytes)
	}
	if head.PTSUS <= *last {
		return fmt.Errorf("%w: a frame at %d us after one at %d us", ErrProtocol, head.PTSUS, *last)
	}
	*last = head.PTSUS
	head.W, head.H = int(w), int(h)
	read := func(dst []byte) error {
		if int64(len(dst)) != n-headSize {
			return fmt.Errorf("read %d bytes of pixels into %d", n-headSize, len(dst))
		}
		if _, err := io.ReadFull(s.r, dst); err != nil {
			return fmt.Errorf("%w: cut short in the pixels of a frame: %w", ErrProtocol, err)
		}
		return nil
	}
	switch kind {
	case KindMotion:
		if err := oneSize("motion", head, &s.motions, s.bounds.Motions, &s.motionW, &s.motionH); err != nil {
			return err
		}
		return s.sink.Motion(head, read)
	case KindBurst:
		if err := oneSize("burst", head, &s.bursts, s.bounds.Bursts, &s.burstW, &s.burstH); err != nil {
			return err
		}
		return s.sink.Burst(head, read)
	}
	if s.stills++; s.stills > s.bounds.Stills {
		return fmt.Errorf("%w: more than %d pictures", ErrProtocol, s.bounds.Stills)
	}
	return s.sink.Still(head, read)
}

// oneSize counts a frame of a track, which may have so many frames and only one size.
func oneSize(track string, head FrameHead, count *int, most int, w, h *int) error {
	if *count++; *count > most {
		return fmt.Errorf("%w: more than %d %s frames", ErrProtocol, most, track)
	}
	if *count > 1 && (head.W != *w || head.H != *h) {
		return fmt.Errorf("%w: %s frames of two sizes", ErrProtocol, track)
	}
	*w, *h = head.W, head.H
	return nil
}

func (s *stream) readPCM(n int64) error {
	if n%4 != 0 || n > maxPCMPart || s.samples+n/4 > s.bounds.Samples {
		return fmt.Errorf("%w: %d bytes of sound after %d samples, at most %d", ErrProtocol, n, s.samples, s.bounds.Samples)
	}
	s.samples += n / 4
	s.raw, s.sound = slices.Grow(s.raw[:0], int(n))[:n], slices.Grow(s.sound[:0], int(n/4))[:n/4]
	raw, out := s.raw, s.sound
	if _, err := io.ReadFull(s.r, raw); err != nil {
		return fmt.Errorf("%w: cut short in the sound: %w", ErrProtocol, err)
	}
	for i := range out {
		v := math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		if !(v >= -8 && v <= 8) { // NaN too; decoders overshoot 1 a little
			v = 0
		}
		out[i] = v
	}
	return s.sink.PCM(out)
}

// printable cuts a text of the child to one clean line.
func printable(s string) string {
	out := make([]rune, 0, len(s))
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			r = ' '
		}
		if out = append(out, r); len(out) == 400 {
			break
		}
	}
	return string(out)
}

// WriteJSON writes one JSON record.
func WriteJSON(w io.Writer, kind Kind, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("record %d: %w", kind, err)
	}
	return writeRecord(w, kind, raw)
}

// WritePackets writes the list of packets.
func WritePackets(w io.Writer, list []Packet) error {
	raw := make([]byte, 0, len(list)*packetSize)
	for _, p := range list {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(p.PTSUS))
		raw = binary.LittleEndian.AppendUint32(raw, p.Bytes)
		var flags uint32
		if p.Key {
			flags = 1
		}
		raw = binary.LittleEndian.AppendUint32(raw, flags)
	}
	return writeRecord(w, KindPackets, raw)
}

func writeRecord(w io.Writer, kind Kind, payload []byte) error {
	head := binary.LittleEndian.AppendUint32(nil, uint32(kind))
	head = binary.LittleEndian.AppendUint32(head, uint32(len(payload)))
	if _, err := w.Write(append(head, payload...)); err != nil {
		return fmt.Errorf("write record %d: %w", kind, err)
	}
	return nil
}
