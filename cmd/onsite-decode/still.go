package main

import (
	"bytes"
	"encoding/binary"
)

// shape is what the head of a photo says before any decoder sees it.
type shape struct {
	w, h        int  // as coded
	orientation int  // EXIF, 1..8
	whole       bool // the file has its end
	animated    bool
}

// photoShape reads the headers of a JPEG, PNG or WebP; ok is false when there is no size to be found.
func photoShape(container string, data []byte) (s shape, ok bool) {
	switch container {
	case "jpeg":
		s = jpegShape(data)
	case "png":
		s = pngShape(data)
	case "webp":
		s = webpShape(data)
	}
	if s.orientation < 1 || s.orientation > 8 {
		s.orientation = 1
	}
	return s, s.w > 0 && s.h > 0
}

func jpegShape(data []byte) (s shape) {
	scan := false
	for at := 2; at+2 <= len(data); {
		if data[at] != 0xff {
			if !scan {
				return s
			}
			next := bytes.IndexByte(data[at:], 0xff)
			if next < 0 {
				return s
			}
			at += next
			continue
		}
		marker := data[at+1]
		switch {
		case marker == 0xff:
			at++
			continue
		case marker == 0xd9:
			s.whole = true
			return s
		case marker == 0 || marker == 1 || marker >= 0xd0 && marker <= 0xd8:
			at += 2
			continue
		}
		if at+4 > len(data) {
			return s
		}
		n := int(binary.BigEndian.Uint16(data[at+2:]))
		if n < 2 || at+2+n > len(data) {
			return s
		}
		body := data[at+4 : at+2+n]
		switch {
		case marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc && len(body) >= 5 && s.w == 0:
			s.h, s.w = int(binary.BigEndian.Uint16(body[1:])), int(binary.BigEndian.Uint16(body[3:]))
		case marker == 0xe1 && bytes.HasPrefix(body, []byte("Exif\x00\x00")) && s.orientation == 0:
			s.orientation = exifOrientation(body[6:])
		case marker == 0xda:
			scan = true
		}
		at += 2 + n
	}
	return s
}

func pngShape(data []byte) (s shape) {
	for at := 8; at+12 <= len(data); {
		n := int64(binary.BigEndian.Uint32(data[at:]))
		if int64(at)+12+n > int64(len(data)) {
			return s
		}
		body := data[at+8 : at+8+int(n)]
		switch string(data[at+4 : at+8]) {
		case "IHDR":
			if len(body) >= 8 && s.w == 0 {
				s.w, s.h = int(binary.BigEndian.Uint32(body)), int(binary.BigEndian.Uint32(body[4:]))
			}
		case "eXIf":
			s.orientation = exifOrientation(body)
		case "acTL":
			s.animated = true
		case "IEND":
			s.whole = true
			return s
		}
		at += 12 + int(n)
	}
	return s
}

func webpShape(data []byte) (s shape) {
	if len(data) < 12 {
		return s
	}
	s.whole = int64(binary.LittleEndian.Uint32(data[4:]))+8 <= int64(len(data))
	for at := 12; at+8 <= len(data); {
		n := int64(binary.LittleEndian.Uint32(data[at+4:]))
		body := data[at+8:]
		if n < int64(len(body)) {
			body = body[:n]
		}
		switch string(data[at : at+4]) {
		case "VP8X":
			if len(body) >= 10 {
				s.animated = body[0]&2 != 0
				s.w, s.h = 1+(int(body[4])|int(body[5])<<8|int(body[6])<<16), 1+(int(body[7])|int(body[8])<<8|int(body[9])<<16)
			}
		case "VP8 ":
			if len(body) >= 10 && s.w == 0 {
				s.w, s.h = int(binary.LittleEndian.Uint16(body[6:]))&0x3fff, int(binary.LittleEndian.Uint16(body[8:]))&0x3fff
			}
		case "VP8L":
			if len(body) >= 5 && s.w == 0 {
				bits := binary.LittleEndian.Uint32(body[1:])
				s.w, s.h = int(bits&0x3fff)+1, int(bits>>14&0x3fff)+1
			}
		case "EXIF":
			s.orientation = exifOrientation(bytes.TrimPrefix(body, []byte("Exif\x00\x00")))
		case "ANIM", "ANMF":
			s.animated = true
		}
		if n > int64(len(data)) {
			return s
		}
		at += 8 + int(n+n&1)
	}
	return s
}

// exifOrientation finds tag 0x0112 in the first directory of a TIFF block; 0 when there is none.
func exifOrientation(tiff []byte) int {
	if len(tiff) < 8 {
		return 0
	}
	var order binary.ByteOrder
	switch string(tiff[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 0
	}
	at := int64(order.Uint32(tiff[4:]))
	if at+2 > int64(len(tiff)) {
		return 0
	}
	entries := int(order.Uint16(tiff[at:]))
	for i := range entries {
		e := at + 2 + int64(i)*12
		if e+12 > int64(len(tiff)) {
			return 0
		}
		if order.Uint16(tiff[e:]) == 0x0112 && order.Uint16(tiff[e+2:]) == 3 {
			return int(order.Uint16(tiff[e+8:]))
		}
	}
	return 0
}

// uprightSize is the size of a picture after its orientation was applied.
func uprightSize(w, h, orientation int) (int, int) {
	if orientation >= 5 {
		return h, w
	}
	return w, h
}

// turn says an EXIF orientation as degrees clockwise and mirroring.
func turn(orientation int) (degrees int, mirrored bool) {
	switch orientation {
	case 2:
		return 0, true
	case 3:
		return 180, false
	case 4:
		return 180, true
	case 5:
		return 90, true
	case 6:
		return 90, false
	case 7:
		return 270, true
	case 8:
		return 270, false
	}
	return 0, false
}
