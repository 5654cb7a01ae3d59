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

	"onsite/pipeline/media/wire"
)

// codecs are the picture streams that this program decodes.
var codecs = []string{"h264", "hevc", "vp8", "vp9"}

func movie(req wire.Request, status selfStatus, out *bufio.Writer) error {
	before := cpuTime()
	format := "mov"
	if req.Container == "webm" || req.Container == "mkv" {
		format = "matroska"
	}
	if format == "mov" {
		if err := checkBoxes(req.Size); err != nil {
			return err
		}
	} else if head := make([]byte, min(req.Size, 4096)); readAt(0, head) && cutSegment(head, req.Size) {
		return refuse("media_truncated", nil, nil)
	}
	c, err := openClip(inputFD, req.Size, format, maxStreams)
	if err != nil {
		return openError(err, req)
	}
	defer c.close()
	h := c.header()
	if err := checkHeader(h, req); err != nil {
		return err
	}
	wantSound := req.Audio && h.soundKnown // other sounds are left out
	limit := time.Duration(req.Limits.DurationMS) * time.Millisecond
	if err := c.scan(req.Limits.Packets, wantSound); err != nil {
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
	if err := c.readError(); err != nil {
		return refuse("media_truncated", err, nil)
	}
	list := c.packets()
	if err := checkPackets(list); err != nil {
		return err
	}
	t := newTimeline(list)
	if len(t.shown) == 0 {
		return refuse("no_pictures", nil, nil)
	}
	if t.endUS > limit.Microseconds() {
		return refuse("too_long", t.endUS/1000, req.Limits.DurationMS)
	}
	if missing := h.durationUS - (c.endUS() - t.startUS); format == "matroska" && missing > max(1_000_000, h.durationUS/10) {
		return refuse("media_truncated", nil, nil) // the header promises much more than there is; mp4 says it in its boxes
	}
	if h.codec != "h264" && h.codec != "hevc" {
		req.Spots = 0 // encoders of VP8 and VP9 put hidden pictures in whenever they like: the sizes of their packets say little
	}
	p := makePlan(t, req, int64(h.width)*int64(h.height))
	size(&p, h, req)
	info := wire.Info{
		Codec: h.codec, DurationUS: t.endUS, HasAudio: h.hasAudio, Tags: c.tags(200), Windows: p.windows, Spots: p.spots,
		Width: p.fullW, Height: p.fullH,
	}
	info.Rotation, info.Mirrored = turn(h.orientation)
	if !req.Bare {
		info.Origin = c.origin(req, h)
	}
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
	end.Decoded, end.Sent, end.ConvertUS = r.decoded, r.sent, r.convertUS
	return wire.WriteJSON(out, wire.KindDone, spent(end, before, status))
}

// maxStreams is where libav stops reading a container's streams; the limit on streams is far below.
const maxStreams = 256

func openError(err error, req wire.Request) error {
	if errors.Is(err, errNoMemory) {
		return refuse("too_much_memory", nil, req.Limits.MemoryBytes)
	}
	return refuse("media_damaged", err, nil)
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

// checkPackets refuses clips of which the demuxer could not read a part: by the same measure as checkResult, but of all packets, decoded
// or not.
func checkPackets(list []packet) error {
	bad := 0
	for _, p := range list {
		if p.corrupt {
			bad++
		}
	}
	return checkShare(bad, len(list))
}

// checkResult refuses clips of which a part could not be decoded: more than one packet in twenty, and more than two, in error or
// concealed. A single lost packet of a phone's network upload stays below.
func checkResult(r result) error {
	bad := r.errors + r.concealed
	if r.decoded == 0 {
		return refuse("media_damaged", nil, nil)
	}
	return checkShare(bad, r.sent)
}

func checkShare(bad, all int) error {
	if bad > 2 && bad*20 > all {
		return refuse("media_truncated", fmt.Sprintf("%d/%d", bad, all), nil)
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
	case h.codec == "none":
		return refuse("media_damaged", nil, nil)
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
	p.burstW, p.burstH = fit(w, ht, min(req.BurstMaxSide, req.MaxSide))
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
