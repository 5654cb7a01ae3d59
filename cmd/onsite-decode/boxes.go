package main

import (
	"encoding/binary"
	"errors"
	"math/bits"

	"golang.org/x/sys/unix"
)

// checkBoxes walks the top-level boxes of an mp4 or mov: a file that was cut off shows it there, before libav guesses.
func checkBoxes(size int64) error {
	cut, index, data := walkBoxes(size, readAt)
	if cut || data && !index {
		return refuse("media_truncated", nil, nil)
	}
	return nil
}

// cutBoxes says whether the last box of a HEIC ends behind the file.
func cutBoxes(size int64) bool {
	cut, _, _ := walkBoxes(size, readAt)
	return cut
}

func readAt(at int64, dst []byte) bool {
	for {
		n, err := unix.Pread(inputFD, dst, at)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return err == nil && n == len(dst)
	}
}

// walkBoxes reads box heads with read, which fills dst from an offset or answers false. It says whether a box that is known ends behind the
// file, and whether there are an index (moov) and media data.
func walkBoxes(size int64, read func(at int64, dst []byte) bool) (cut, index, data bool) {
	var head [16]byte
	for at, boxes := int64(0), 0; at < size && boxes < 10_000; boxes++ {
		if size-at < 8 || !read(at, head[:8]) {
			return cut, index, data // padding, or for libav to judge
		}
		n, kind := int64(binary.BigEndian.Uint32(head[:4])), string(head[4:8])
		switch {
		case n == 1 && (size-at < 16 || !read(at, head[:16])):
			return true, index, data
		case n == 1:
			n = int64(binary.BigEndian.Uint64(head[8:16]))
		case n == 0:
			n = size - at
		}
		if n < 8 {
			return cut, index, data // padding
		}
		index = index || kind == "moov"
		data = data || kind == "mdat" || kind == "moof"
		if n > size-at {
			switch kind {
			case "mdat", "moov", "moof", "ftyp", "free", "wide", "skip", "uuid", "udta", "meta":
				return true, index, data
			}
			return cut, index, data
		}
		at += n
	}
	return cut, index, data
}

// cutSegment says whether the segment of a Matroska file with a known size ends behind the file. head is the file's first bytes.
func cutSegment(head []byte, size int64) bool {
	at := int64(0)
	for range 8 {
		id, n, ok := element(head, at)
		if !ok {
			return false
		}
		length, m, ok := element(head, at+n)
		if !ok {
			return false
		}
		length &= 1<<(7*m) - 1 // the value without its length marker
		unknown := length == 1<<(7*m)-1
		at += n + m
		if id == 0x18538067 {
			return !unknown && (length > size || at+length > size)
		}
		if unknown || length > int64(len(head)) {
			return false
		}
		at += length
	}
	return false
}

// element reads a variable-length number with its length marker at an offset, and how many bytes it takes.
func element(b []byte, at int64) (value, n int64, ok bool) {
	if at < 0 || at >= int64(len(b)) || b[at] == 0 {
		return 0, 0, false
	}
	n = int64(bits.LeadingZeros8(b[at])) + 1
	if at+n > int64(len(b)) {
		return 0, 0, false
	}
	for _, c := range b[at : at+n] {
		value = value<<8 | int64(c)
	}
	return value, n, true
}
