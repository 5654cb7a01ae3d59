package main

/*
#cgo pkg-config: libseccomp
#cgo LDFLAGS: -l:libavformat.a -l:libavcodec.a -l:libswresample.a -l:libswscale.a -l:libavutil.a -l:libz.so.1 -l:libbz2.so.1.0 -lm
#cgo CFLAGS: -O3 -Wall -Wextra -Wno-unused-parameter -Werror=implicit-function-declaration -D_GNU_SOURCE
#include "decode.h"
#include <errno.h>
#include <stdlib.h>
*/
import "C"

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"onsite/pipeline/media/origin"
	"onsite/pipeline/media/wire"
)

// libError is an error of libav or of our own C code.
type libError int

const (
	errTooManyPackets libError = C.OD_TOO_MANY_PACKETS
	errNoMemory       libError = C.OD_NO_MEMORY
	errEncrypted      libError = C.OD_ENCRYPTED
	errWrite          libError = C.OD_WRITE
	errNoDecoder      libError = C.OD_NO_DECODER
)

func (e libError) Error() string {
	switch e {
	case errTooManyPackets:
		return "too many packets"
	case errNoMemory:
		return "out of memory"
	case errEncrypted:
		return "encrypted"
	case errWrite:
		return "the answer pipe is closed"
	case errNoDecoder:
		return "no decoder"
	}
	var buf [128]C.char
	C.av_strerror(C.int(e), &buf[0], C.size_t(len(buf)))
	return C.GoString(&buf[0])
}

func asError(code C.int) error {
	switch code {
	case C.OD_OK:
		return nil
	case -C.ENOMEM:
		return errNoMemory
	}
	return libError(code)
}

func versions() string {
	v := func(n C.uint) string { return fmt.Sprintf("%d.%d.%d", n>>16, n>>8&255, n&255) }
	return fmt.Sprintf("FFmpeg %s (libavformat %s, libavcodec %s, libswscale %s), libheif %s", C.GoString(C.av_version_info()),
		v(C.avformat_version()), v(C.avcodec_version()), v(C.swscale_version()), heifVersion())
}

// clip is one opened container.
type clip struct{ c *C.od_clip }

// header is what the container says; sizes are coded, before orientation.
type header struct {
	codec                            string
	width, height                    int
	sarNum, sarDen                   int
	orientation                      int
	streams                          int
	encrypted                        bool
	hasPicture, hasAudio, soundKnown bool
	durationUS                       int64
	video                            origin.Video
	sound                            origin.Sound
}

// packet is one coded packet in decoding order; ptsUS is absolute.
type packet struct {
	ptsUS     int64
	bytes     int
	key       bool
	droppable bool // no other picture needs it
	fresh     bool // it and what comes after it need nothing from before
	hidden    bool // decoded, but not shown
	corrupt   bool // the demuxer could not read all of it
}

func openClip(fd int, size int64, format string, maxStreams int) (*clip, error) {
	c := (*C.od_clip)(C.calloc(1, C.sizeof_od_clip))
	c.fd, c.size = C.int(fd), C.int64_t(size)
	name := C.CString(format)
	defer C.free(unsafe.Pointer(name))
	if err := asError(C.od_open(c, name, C.int(maxStreams))); err != nil {
		(&clip{c}).close()
		return nil, err
	}
	return &clip{c}, nil
}

func (v *clip) close() {
	C.od_close(v.c)
	C.free(unsafe.Pointer(v.c))
}

func (v *clip) header() header {
	var h C.od_header
	C.od_headers(v.c, &h)
	return header{
		codec: C.GoString(&h.codec[0]), width: int(h.width), height: int(h.height),
		sarNum: int(h.sar_num), sarDen: int(h.sar_den), orientation: int(h.orientation), streams: int(h.streams),
		encrypted: h.encrypted != 0, hasPicture: h.has_picture != 0, hasAudio: h.has_audio != 0, soundKnown: h.sound_known != 0, durationUS: int64(h.duration_us),
		video: origin.Video{Range: int(h._range), Primaries: int(h.primaries), Transfer: int(h.transfer), Matrix: int(h.matrix), Reorder: int(h.reorder)},
		sound: origin.Sound{Rate: int(h.sound_rate), Channels: int(h.sound_channels)},
	}
}

// origin is what the container and the stream say of how they were made.
func (v *clip) origin(req wire.Request, h header) *origin.Facts {
	var f origin.Facts
	if req.Container == "mp4" || req.Container == "mov" {
		f = origin.Movie(req.Size, readAt)
	}
	f.Video = &h.video
	if h.hasAudio {
		f.Sound = &h.sound
	}
	for i := 0; i < min(3, len(v.raw())) && f.Encoder == ""; i++ {
		f.Encoder = origin.Encoder(v.bytesOf(i))
	}
	return &f
}

func (v *clip) tags(limit int) map[string]string {
	out := map[string]string{}
	for i := range limit {
		var key, value *C.char
		if C.od_tag(v.c, C.int(i), &key, &value) == 0 { //nolint:gocritic // what cgo makes of the call
			break
		}
		addTag(out, C.GoString(key), C.GoString(value))
	}
	return out
}

func (v *clip) scan(maxPackets int, sound bool) error {
	want := C.int(0)
	if sound {
		want = 1
	}
	return asError(C.od_scan(v.c, C.int(maxPackets), want))
}

// readError is why the file could not be read to its end; nil when it could.
func (v *clip) readError() error {
	if v.c.read_error != 0 {
		return unix.Errno(v.c.read_error)
	}
	return nil
}

// endUS is the end of the last packet of picture or sound, absolute.
func (v *clip) endUS() int64 { return int64(v.c.end_us) }

func (v *clip) raw() []C.od_packet { return unsafe.Slice(v.c.packets, int(v.c.count)) }

func (v *clip) packets() []packet {
	raw := v.raw()
	out := make([]packet, len(raw))
	for i, p := range raw {
		out[i] = packet{ptsUS: int64(p.pts_us), bytes: int(p.bytes), key: p.key != 0, droppable: p.droppable != 0, fresh: p.fresh != 0, hidden: p.hidden != 0, corrupt: p.corrupt != 0}
	}
	return out
}

// bytesOf is the coded packet itself; it lives as long as the clip.
func (v *clip) bytesOf(i int) []byte {
	p := v.raw()[i]
	return unsafe.Slice((*byte)(p.data), int(p.bytes))
}

// result counts what decoding gave.
type result struct {
	sent, decoded, errors, concealed int
	convertUS                        int64
}

func (v *clip) decode(p *plan, maxPixels int64, out int, bare bool) (result, error) {
	if len(p.action) == 0 {
		return result{}, nil
	}
	cp := (*C.od_plan)(C.calloc(1, C.sizeof_od_plan))
	defer C.free(unsafe.Pointer(cp))
	action, still, motion, burst, between := C.CBytes(p.action), cTimes(p.stills), cTimes(p.motion), cTimes(p.burst), cTimes(p.between)
	defer C.free(action)
	defer C.free(unsafe.Pointer(still))
	defer C.free(unsafe.Pointer(motion))
	defer C.free(unsafe.Pointer(burst))
	defer C.free(unsafe.Pointer(between))
	cp.between, cp.betweens = between, C.int(len(p.between))
	cp.action, cp.still, cp.stills, cp.motion, cp.motions = (*C.uint8_t)(action), still, C.int(len(p.stills)), motion, C.int(len(p.motion))
	cp.burst, cp.bursts, cp.burst_w, cp.burst_h = burst, C.int(len(p.burst)), C.int(p.burstW), C.int(p.burstH)
	cp.start_us, cp.orientation, cp.max_stills, cp.out = C.int64_t(p.startUS), C.int(p.orientation), C.int(p.maxStills), C.int(out)
	cp.still_w, cp.still_h, cp.motion_w, cp.motion_h = C.int(p.stillW), C.int(p.stillH), C.int(p.motionW), C.int(p.motionH)
	if bare {
		cp.bare = 1
	}
	var r C.od_result
	err := asError(C.od_decode(v.c, C.int64_t(maxPixels), C.int(p.reorder), cp, &r))
	return result{int(r.sent), int(r.decoded), int(r.errors), int(r.concealed), int64(r.convert_us)}, err
}

func cTimes(list []int64) *C.int64_t {
	out := (*C.int64_t)(C.malloc(C.size_t(8 * (len(list) + 1))))
	copy(unsafe.Slice((*int64)(unsafe.Pointer(out)), len(list)), list)
	return out
}

func (v *clip) sound(startUS, maxSamples int64, out int) error {
	return asError(C.od_sound(v.c, C.int64_t(startUS), C.int64_t(maxSamples), C.int(out)))
}
