package media

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// sniffBytes is how much of a file's head sniff needs.
const sniffBytes = 4096

// The containers.
const (
	containerMP4  = "mp4"
	containerMOV  = "mov"
	containerWebM = "webm"
	containerMKV  = "mkv"
	containerJPEG = "jpeg"
	containerPNG  = "png"
	containerWebP = "webp"
	containerHEIC = "heic"
)

// kindOf says whether a container holds a photo or a clip.
func kindOf(container string) Kind {
	switch container {
	case containerJPEG, containerPNG, containerWebP, containerHEIC:
		return Photo
	}
	return Video
}

// sniff decides from the first bytes what a file is. container is empty for what is not accepted; found then names it for people, empty
// when it is unknown.
func sniff(head []byte) (container, found string) {
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xd8, 0xff}):
		return containerJPEG, ""
	case bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")):
		return containerPNG, ""
	case len(head) >= 12 && string(head[:4]) == "RIFF":
		return sniffRIFF(string(head[8:12]))
	case bytes.HasPrefix(head, []byte{0x1a, 0x45, 0xdf, 0xa3}):
		return sniffEBML(head)
	case len(head) >= 8:
		if c, f, ok := sniffBoxes(head); ok {
			return c, f
		}
	}
	return "", sniffRefused(head)
}

func sniffRIFF(form string) (container, found string) {
	switch form {
	case "WEBP":
		return containerWebP, ""
	case "AVI ":
		return "", "AVI"
	case "WAVE":
		return "", "WAV"
	}
	return "", "RIFF"
}

// sniffEBML finds the document type (element 0x4282) in the head of a Matroska file.
func sniffEBML(head []byte) (container, found string) {
	at := bytes.Index(head[:min(len(head), 256)], []byte{0x42, 0x82})
	if at < 0 || at+3 > len(head) {
		return "", "EBML"
	}
	n := int(head[at+2] & 0x7f)
	if head[at+2]&0x80 == 0 || at+3+n > len(head) {
		return "", "EBML"
	}
	switch string(bytes.TrimRight(head[at+3:at+3+n], "\x00")) {
	case "webm":
		return containerWebM, ""
	case "matroska":
		return containerMKV, ""
	}
	return "", "EBML"
}

// sniffBoxes reads the first box of an ISO base media or QuickTime file.
func sniffBoxes(head []byte) (container, found string, ok bool) {
	size, kind := int64(binary.BigEndian.Uint32(head)), string(head[4:8])
	switch kind {
	case "ftyp", "styp":
	case "moov", "mdat", "wide", "free", "skip", "pnot":
		return containerMOV, "", size == 0 || size == 1 || size >= 8 // QuickTime before there was ftyp
	default:
		return "", "", false
	}
	if size < 16 || len(head) < 16 {
		return containerMP4, "", true // too short to tell: libav judges it
	}
	brands := []string{string(head[8:12])}
	for at := int64(16); at+4 <= min(size, int64(len(head))); at += 4 {
		brands = append(brands, string(head[at:at+4]))
	}
	still := false
	for i, b := range brands {
		switch b {
		case "avif", "avis":
			return "", "AVIF", true
		case "heic", "heix", "heim", "heis":
			return containerHEIC, "", true
		case "hevc", "hevx":
			if i == 0 {
				return "", "HEIC sequence", true
			}
		case "mif1", "msf1":
			still = still || i == 0
		case "crx ":
			return "", "CR3", true
		}
	}
	if still {
		return containerHEIC, "", true
	}
	switch brands[0] {
	case "qt  ":
		return containerMOV, "", true
	case "M4A ", "M4B ", "M4P ":
		return containerMP4, "", true // only sound: the decoder says so
	}
	return containerMP4, "", true
}

// sniffRefused names well-known files that are not accepted.
func sniffRefused(head []byte) string {
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	for _, k := range []struct{ prefix, name string }{
		{"#EXTM3U", "M3U8"}, {"ffconcat", "concat"}, {"file '", "concat"}, {"<MPD", "DASH"}, {"[playlist]", "PLS"},
		{"GIF8", "GIF"}, {"%PDF", "PDF"}, {"BM", "BMP"}, {"II*\x00", "TIFF"}, {"MM\x00*", "TIFF"}, {"PK\x03\x04", "ZIP"}, {"FLV\x01", "FLV"}, {"OggS", "Ogg"},
		{"\x30\x26\xb2\x75", "WMV"}, {"ID3", "MP3"}, {"fLaC", "FLAC"}, {"\x1f\x8b", "gzip"}, {"\x7fELF", "ELF"}, {"<svg", "SVG"}, {"\xff\x0a", "JPEG XL"},
		{"\x00\x00\x00\x0cJXL ", "JPEG XL"}, {"\x00\x00\x01\xba", "MPEG"}, {"\x00\x00\x01\xb3", "MPEG"}, {"\x00\x00\x00\x01\x67", "H.264"},
	} {
		if bytes.HasPrefix(text, []byte(k.prefix)) {
			return k.name
		}
	}
	if bytes.HasPrefix(text, []byte("<?xml")) && bytes.Contains(text, []byte("<MPD")) {
		return "DASH"
	}
	if len(head) > 188 && head[0] == 0x47 && head[188] == 0x47 {
		return "MPEG-TS"
	}
	head = head[:min(len(head), 512)]
	for _, b := range head {
		if b < 9 || b > 13 && b < 32 || b == 0x7f {
			return ""
		}
	}
	if len(head) == 512 { // the last letter may be cut
		head = head[:512-utf8.UTFMax+1]
		for len(head) > 0 && !utf8.RuneStart(head[len(head)-1]) {
			head = head[:len(head)-1]
		}
		head = head[:max(0, len(head)-1)]
	}
	if !utf8.Valid(head) {
		return ""
	}
	return "text"
}
