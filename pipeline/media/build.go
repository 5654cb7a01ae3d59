package media

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gocv.io/x/gocv"

	"onsite/pipeline/media/wire"
)

// builder makes a Clip of the child's stream; it is the wire.Sink.
type builder struct {
	clip *Clip
}

func newBuilder(s *source) *builder {
	return &builder{clip: &Clip{Info: Info{Kind: kindOf(s.container), Bytes: s.size, Container: s.container}}}
}

// bounds derives from the request what the child may send.
func bounds(s *source, req wire.Request) wire.Bounds {
	if kindOf(s.container) == Photo {
		return wire.Bounds{StillSide: req.PhotoMaxSide, Stills: 1}
	}
	b := wire.Bounds{StillSide: req.MaxSide, Stills: req.MaxStills, MotionSide: 160, Packets: req.Limits.Packets}
	if req.Motion {
		b.Motions = req.Limits.Packets
	}
	if req.Audio {
		b.Samples = req.Limits.DurationMS*16 + 16000
	}
	return b
}

func (b *builder) Hello(h wire.Hello) error {
	for _, wall := range h.Sandbox {
		b.clip.Sandbox = append(b.clip.Sandbox, plain(wall))
	}
	b.clip.Libav = line(h.Libav, 200)
	return nil
}

func (b *builder) Info(i wire.Info) error {
	c := &b.clip.Info
	c.Codec, c.Width, c.Height, c.FPS, c.Rotation, c.Mirrored, c.HasAudio = plain(i.Codec), i.Width, i.Height, i.FPS, i.Rotation, i.Mirrored, i.HasAudio
	c.Duration = micros(i.DurationUS)
	c.Tags = map[string]string{}
	for k, v := range i.Tags {
		c.Tags[clean(k)] = clean(v)
	}
	for _, w := range i.Windows {
		b.clip.Motion.Windows = append(b.clip.Motion.Windows, Window{micros(w[0]), micros(w[1])})
	}
	return nil
}

func (b *builder) Packets(list []wire.Packet) error {
	b.clip.Packets = make([]Packet, len(list))
	for i, p := range list {
		b.clip.Packets[i] = Packet{PTS: micros(p.PTSUS), Bytes: int(p.Bytes), Key: p.Key}
	}
	return nil
}

func (b *builder) Still(h wire.FrameHead, pix func([]byte) error) error {
	m := gocv.NewMatWithSize(h.H, h.W, gocv.MatTypeCV8UC3)
	data, err := m.DataPtrUint8()
	if err == nil {
		err = pix(data)
	}
	if err != nil {
		_ = m.Close()
		return fmt.Errorf("take a picture: %w", err)
	}
	b.clip.Frames = append(b.clip.Frames, Frame{Index: len(b.clip.Frames), PTS: micros(h.PTSUS), Image: m, SceneChange: h.SceneChange})
	return nil
}

func (b *builder) Motion(h wire.FrameHead, pix func([]byte) error) error {
	gray := make([]byte, h.W*h.H)
	if err := pix(gray); err != nil {
		return fmt.Errorf("take a motion frame: %w", err)
	}
	b.clip.Motion.W, b.clip.Motion.H = h.W, h.H
	b.clip.Motion.Frames = append(b.clip.Motion.Frames, MotionFrame{PTS: micros(h.PTSUS), Gray: gray})
	return nil
}

func (b *builder) PCM(samples []float32) error {
	b.clip.PCM = append(b.clip.PCM, samples...)
	return nil
}

// finish adds what is known at the end.
func (b *builder) finish(d done, sha string) {
	b.clip.Info.SHA256, b.clip.Info.PacketsSHA256 = sha, plain(d.end.PacketsSHA256)
	b.clip.Usage = d.usage
	if d.end.PeakRSS > 0 { // the kernel's own count starts with the size of this process
		b.clip.Usage.PeakRSS = min(d.end.PeakRSS, d.usage.PeakRSS)
	}
}

// clean takes control characters out of a text of the file: it may end on a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
}

// micros is a time of the child, clamped to what a Duration holds.
func micros(us int64) time.Duration {
	const most = math.MaxInt64 / int64(time.Microsecond)
	return time.Duration(max(min(us, most), -most)) * time.Microsecond
}
