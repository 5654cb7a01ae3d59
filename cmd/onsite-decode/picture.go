package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"onsite/pipeline/media/origin"
	"onsite/pipeline/media/wire"
)

// padding is how many zero bytes libav wants behind its input.
const padding = 64

// readInput takes the whole input into memory; photos only.
func readInput(size int64) ([]byte, error) {
	data := make([]byte, size, size+padding)
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

func photo(req wire.Request, status selfStatus, out *bufio.Writer) error {
	before := cpuTime()
	data, err := readInput(req.Size)
	if err != nil {
		return err
	}
	s := shape{orientation: 1, whole: true}
	if req.Container == "heic" {
		if s.whole = !cutBoxes(req.Size); !s.whole {
			return refuse("media_truncated", nil, nil)
		}
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
	if errors.Is(err, errNoMemory) {
		return refuse("too_much_memory", nil, l.MemoryBytes)
	}
	if err != nil && req.Container == "jpeg" {
		return refuse("media_truncated", err, nil) // the head was fine
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
	if !req.Bare {
		f := origin.Still(req.Container, data)
		info.Origin = &f
	}
	if err := wire.WriteJSON(out, wire.KindInfo, info); err != nil {
		return err
	}
	if !req.Bare {
		if err := writeFrame(out, wire.KindStill, 0, p); err != nil {
			return err
		}
	}
	return wire.WriteJSON(out, wire.KindDone, spent(wire.End{Decoded: 1, Sent: 1}, before, status))
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
