package main

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// checkBoxes walks the top-level boxes of an mp4 or mov: a file that was cut off shows it there, before libav guesses.
func checkBoxes(size int64) error {
	return walkBoxes(size, func(at int64, dst []byte) bool {
		for {
			n, err := unix.Pread(inputFD, dst, at)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return err == nil && n == len(dst)
		}
	})
}

// walkBoxes reads box heads with read, which fills dst from an offset or answers false.
func walkBoxes(size int64, read func(at int64, dst []byte) bool) error {
	index, data := false, false
	var head [16]byte
	for at, boxes := int64(0), 0; at < size; boxes++ {
		if boxes == 10_000 || size-at < 8 || !read(at, head[:8]) {
			break // the rest is padding, or it is for libav to judge
		}
		n, kind := int64(binary.BigEndian.Uint32(head[:4])), string(head[4:8])
		switch {
		case n == 1:
			if size-at < 16 || !read(at, head[:16]) {
				return refuse("media_truncated", nil, nil)
			}
			if n = int64(binary.BigEndian.Uint64(head[8:16])); n < 16 {
				return refuse("media_damaged", nil, nil)
			}
		case n == 0:
			n = size - at
		case n < 8:
			n = size - at // padding
		}
		index = index || kind == "moov"
		data = data || kind == "mdat" || kind == "moof"
		if n > size-at {
			switch kind {
			case "mdat", "moov", "moof", "ftyp", "free", "wide", "skip", "uuid", "udta", "meta":
				return refuse("media_truncated", nil, nil)
			}
			break
		}
		at += n
	}
	if !index && data {
		return refuse("media_truncated", nil, nil)
	}
	return nil
}
