package main

/*
#include "decode.h"
#include <stdlib.h>
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"
)

func heifVersion() string { return C.GoString(C.od_heic_version()) }

// setup loads libraries, and what they read from disk when they start, while files can still be opened.
func setup(container string) error {
	C.od_setup()
	if container != "heic" {
		return nil
	}
	if missing := C.od_heic_load(); missing != nil {
		return fmt.Errorf("load libheif, which HEIC photos need (Debian package libheif1): %s", C.GoString(missing))
	}
	return nil
}

// picture is a decoded photo: H x W x 3 BGR in display orientation.
type picture struct {
	pix          []byte // C memory, kept until the process ends
	w, h         int
	fullW, fullH int
	partial      bool
}

func toPicture(p *C.od_photo) picture {
	return picture{
		pix: unsafe.Slice((*byte)(p.pix), int(p.w)*int(p.h)*3), w: int(p.w), h: int(p.h),
		fullW: int(p.full_w), fullH: int(p.full_h), partial: p.partial != 0,
	}
}

func decodePhoto(codec string, data []byte, orientation, maxSide int, maxPixels int64) (picture, error) {
	name := C.CString(codec)
	defer C.free(unsafe.Pointer(name))
	var p C.od_photo
	//nolint:gocritic // what cgo makes of the call
	err := asError(C.od_photo_decode(name, (*C.uint8_t)(&data[0]), C.int64_t(len(data)), C.int(orientation), C.int(maxSide), C.int64_t(maxPixels), &p))
	if err != nil {
		return picture{}, err
	}
	return toPicture(&p), nil
}

func heicSize(data []byte) (w, h int, err error) {
	var cw, ch C.int
	var text [200]C.char
	if C.od_heic_size((*C.uint8_t)(&data[0]), C.int64_t(len(data)), &cw, &ch, &text[0], C.int(len(text))) != 0 {
		return 0, 0, errors.New(C.GoString(&text[0]))
	}
	return int(cw), int(ch), nil
}

func decodeHEIC(data []byte, maxSide int) (picture, error) {
	var p C.od_photo
	var text [200]C.char
	//nolint:gocritic // what cgo makes of the call
	if C.od_heic_decode((*C.uint8_t)(&data[0]), C.int64_t(len(data)), C.int(maxSide), &p, &text[0], C.int(len(text))) != 0 {
		return picture{}, errors.New(C.GoString(&text[0]))
	}
	return toPicture(&p), nil
}
