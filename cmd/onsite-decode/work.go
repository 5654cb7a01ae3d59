package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"onsite/pipeline/media/wire"
)

// readInput takes the whole input into memory; photos only.
func readInput(size int64) ([]byte, error) {
	data := make([]byte, size)
	done := 0
	for done < len(data) {
		n, err := unix.Pread(inputFD, data[done:], int64(done))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the input: %w", err)
		}
		if n == 0 {
			return nil, fmt.Errorf("the input became shorter while it was read: %d of %d bytes", done, size)
		}
		done += n
	}
	return data, nil
}

func photo(req wire.Request, out *bufio.Writer) error {
	before := cpuTime()
	data, err := readInput(req.Size)
	if err != nil {
		return err
	}
	s := shape{orientation: 1, whole: true}
	if req.Container == "heic" {
		if s.w, s.h, err = heicSize(data); err != nil {
			return refuse("media_damaged", err, nil)
		}
	} else {
		var ok bool
		if s, ok = photoShape(req.Container, data); !ok {
			return refuse("media_damaged", nil, nil)
		}
	}
	l := req.Limits
	if px := int64(s.w) * int64(s.h); px > l.PhotoPixels || max(s.w, s.h) > l.PhotoLongSide {
		return refuse("too_many_pixels", fmt.Sprintf("%d x %d", s.w, s.h), l.PhotoPixels)
	}
	if s.animated {
		return refuse("animated_photo", nil, nil)
	}
	if !s.whole {
		return refuse("media_truncated", nil, nil)
	}
	codec := map[string]string{"jpeg": "mjpeg", "png": "png", "webp": "webp", "heic": "hevc"}[req.Container]
	var p picture
	if req.Container == "heic" {
		p, err = decodeHEIC(data, req.PhotoMaxSide)
	} else {
		p, err = decodePhoto(codec, data, s.orientation, req.PhotoMaxSide, l.PhotoPixels)
	}
	if err != nil {
		return refuse("media_damaged", err, nil)
	}
	if p.partial {
		return refuse("media_truncated", nil, nil)
	}
	info := wire.Info{Codec: codec, Width: p.fullW, Height: p.fullH}
	info.Rotation, info.Mirrored = turn(s.orientation)
	if req.Container == "jpeg" {
		info.Codec = "jpeg"
	}
	if err := wire.WriteJSON(out, wire.KindInfo, info); err != nil {
		return err
	}
	if !req.Bare {
		if err := writeFrame(out, wire.KindStill, 0, p); err != nil {
			return err
		}
	}
	return wire.WriteJSON(out, wire.KindDone, wire.End{Decoded: 1, Sent: 1, CPUUS: cpuTime() - before, TotalCPUUS: cpuTime()})
}

func writeFrame(out *bufio.Writer, kind wire.Kind, ptsUS int64, p picture) error {
	head := make([]byte, 0, 32)
	for _, v := range []uint32{uint32(kind), uint32(24 + len(p.pix))} {
		head = binary.LittleEndian.AppendUint32(head, v)
	}
	head = binary.LittleEndian.AppendUint64(head, uint64(ptsUS))
	for _, v := range []uint32{uint32(p.w), uint32(p.h), 0, 0} {
		head = binary.LittleEndian.AppendUint32(head, v)
	}
	if _, err := out.Write(head); err != nil {
		return err
	}
	_, err := out.Write(p.pix)
	return err
}

// codecs are the picture streams that this program decodes.
var codecs = []string{"h264", "hevc", "vp8", "vp9"}

// sounds are the sound streams that it decodes; others are left out.
var sounds = []string{"aac", "opus", "vorbis", "mp3", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_u8", "amr_nb", "amr_wb", "alac", "flac"}

func movie(req wire.Request, out *bufio.Writer) error {
	before := cpuTime()
	format := "mov"
	if req.Container == "webm" || req.Container == "mkv" {
		format = "matroska"
	}
	if format == "mov" {
		if err := checkBoxes(req.Size); err != nil {
			return err
		}
	}
	c, err := openClip(inputFD, req.Size, format, req.Limits.Streams)
	if err != nil {
		return refuse("media_damaged", err, nil)
	}
	defer c.close()
	h := c.header(0)
	if err := checkHeader(h, req); err != nil {
		return err
	}
	wantSound := req.Audio && h.hasAudio && slices.Contains(sounds, h.audio)
	limit := time.Duration(req.Limits.DurationMS) * time.Millisecond
	if err := c.scan(req.Limits.Packets, limit, wantSound); err != nil {
		switch {
		case errors.Is(err, errTooManyPackets):
			return refuse("too_many_frames", req.Limits.Packets, req.Limits.Packets)
		case errors.Is(err, errEncrypted):
			return refuse("media_encrypted", nil, nil)
		case errors.Is(err, errNoMemory):
			return refuse("too_much_memory", nil, req.Limits.MemoryBytes)
		}
		return refuse("media_truncated", err, nil)
	}
	list := c.packets()
	t := newTimeline(list)
	if len(t.shown) == 0 {
		return refuse("no_pictures", nil, nil)
	}
	if t.endUS > limit.Microseconds() {
		return refuse("too_long", t.endUS/1000, req.Limits.DurationMS)
	}
	p := makePlan(t, req, int64(h.width)*int64(h.height))
	size(&p, h, req)
	info := wire.Info{
		Codec: h.codec, DurationUS: t.endUS, HasAudio: h.hasAudio, Tags: c.tags(200), Windows: p.windows,
		Width: p.fullW, Height: p.fullH,
	}
	info.Rotation, info.Mirrored = turn(h.orientation)
	if t.endUS > 0 {
		info.FPS = math.Round(float64(len(t.shown))*1e9/float64(t.endUS)) / 1000
	}
	if err := wire.WriteJSON(out, wire.KindInfo, info); err != nil {
		return err
	}
	end := wire.End{}
	if !req.Bare {
		packets := make([]wire.Packet, len(list))
		for i, p := range list {
			packets[i] = wire.Packet{PTSUS: p.ptsUS - t.startUS, Bytes: uint32(p.bytes), Key: p.key}
		}
		if err := wire.WritePackets(out, packets); err != nil {
			return err
		}
		end.PacketsSHA256 = hashPackets(c)
	}
	if err := out.Flush(); err != nil { // C writes to the descriptor itself
		return err
	}
	r, err := c.decode(&p, int64(req.Limits.VideoLong)*int64(req.Limits.VideoShort), outputFD, req.Bare)
	if err != nil {
		return decodeError(err, req)
	}
	if err := checkResult(r); err != nil {
		return err
	}
	if wantSound && !req.Bare {
		if err := c.sound(t.startUS, t.endUS*16/1000, outputFD); err != nil && errors.Is(err, errWrite) {
			return err
		}
	}
	end.Decoded, end.Sent, end.CPUUS, end.TotalCPUUS = r.decoded, r.sent, cpuTime()-before, cpuTime()
	return wire.WriteJSON(out, wire.KindDone, end)
}

func decodeError(err error, req wire.Request) error {
	switch {
	case errors.Is(err, errWrite):
		return err
	case errors.Is(err, errNoMemory):
		return refuse("too_much_memory", nil, req.Limits.MemoryBytes)
	case errors.Is(err, errNoDecoder):
		return fmt.Errorf("this libavcodec has no decoder for the stream: %w", err)
	}
	return refuse("media_damaged", err, nil)
}

// checkResult refuses clips of which a part could not be decoded: more than one packet in twenty, and more than two, in error or
// concealed. A single lost packet of a phone's network upload stays below.
func checkResult(r result) error {
	bad := r.errors + r.concealed
	if r.decoded == 0 {
		return refuse("media_damaged", nil, nil)
	}
	if bad > 2 && bad*20 > r.sent {
		return refuse("media_truncated", fmt.Sprintf("%d/%d", bad, r.sent), nil)
	}
	return nil
}

func checkHeader(h header, req wire.Request) error {
	l := req.Limits
	switch {
	case h.streams > l.Streams:
		return refuse("too_many_streams", h.streams, l.Streams)
	case h.encrypted:
		return refuse("media_encrypted", nil, nil)
	case !h.hasPicture && h.hasAudio:
		return refuse("only_sound", nil, nil)
	case !h.hasPicture:
		return refuse("no_pictures", nil, nil)
	case !slices.Contains(codecs, h.codec):
		return refuse("codec_unsupported", h.codec, nil)
	case h.width < 1 || h.height < 1:
		return refuse("media_damaged", nil, nil)
	case max(h.width, h.height) > l.VideoLong || min(h.width, h.height) > l.VideoShort:
		return refuse("video_too_large", fmt.Sprintf("%d x %d", h.width, h.height), fmt.Sprintf("%d x %d", l.VideoLong, l.VideoShort))
	case h.durationUS > l.DurationMS*1000:
		return refuse("too_long", h.durationUS/1000, l.DurationMS)
	}
	return nil
}

// size decides the sizes of stills and motion frames, with square pixels and before orientation.
func size(p *plan, h header, req wire.Request) {
	w, ht := h.width, h.height
	if n, d := h.sarNum, h.sarDen; n > 0 && d > 0 && n != d && n <= 8*d && d <= 8*n {
		// Stretch the side that grows, so that no pixels are lost.
		if n > d {
			w = int(int64(w) * int64(n) / int64(d))
		} else {
			ht = int(int64(ht) * int64(d) / int64(n))
		}
	}
	p.orientation = h.orientation
	p.fullW, p.fullH = uprightSize(w, ht, h.orientation)
	p.stillW, p.stillH = fit(w, ht, req.MaxSide)
	p.motionW, p.motionH = fit(w, ht, motionSide)
	p.motionW, p.motionH = min(p.motionW, h.width), min(p.motionH, h.height)
}

// fit scales a size down so that its longer side is at most side.
func fit(w, h, side int) (int, int) {
	long := max(w, h)
	if long <= side {
		return w, h
	}
	scale := func(v int) int { return max((v*side+long/2)/long, 1) }
	return scale(w), scale(h)
}

// hashPackets is the sha256 of the coded packets of the picture stream in decoding order, each after its length.
func hashPackets(c *clip) string {
	sum := sha256.New()
	var n [4]byte
	for i := range c.raw() {
		data := c.bytesOf(i)
		binary.LittleEndian.PutUint32(n[:], uint32(len(data)))
		sum.Write(n[:])
		sum.Write(data)
	}
	return hex.EncodeToString(sum.Sum(nil))
}
