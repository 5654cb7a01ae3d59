package main

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

func tiff(orientation uint16) []byte {
	b := []byte("MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01")
	return append(binary.BigEndian.AppendUint16(b, orientation), 0, 0, 0, 0, 0, 0)
}

func segment(marker byte, body []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(2+len(body)))
	return append(b, body...)
}

func smallJPEG(orientation uint16) []byte {
	b := []byte{0xff, 0xd8}
	b = append(b, segment(0xe1, append([]byte("Exif\x00\x00"), tiff(orientation)...))...)
	b = append(b, segment(0xc2, []byte{8, 0, 60, 0, 80, 1, 1, 0x11, 0})...)
	b = append(b, segment(0xda, []byte{1, 1, 0, 0, 63, 0})...)
	return append(b, 1, 2, 0xff, 0x00, 3, 0xff, 0xd0, 4, 0xff, 0xd9, 'x')
}

func TestPhotoShape(t *testing.T) {
	s, ok := photoShape("jpeg", smallJPEG(6))
	require.True(t, ok)
	require.Equal(t, shape{w: 80, h: 60, orientation: 6, whole: true}, s)
	cut := smallJPEG(6)
	s, ok = photoShape("jpeg", cut[:len(cut)-4])
	require.True(t, ok)
	require.False(t, s.whole)
	s, _ = photoShape("jpeg", smallJPEG(77))
	require.Equal(t, 1, s.orientation)
	_, ok = photoShape("png", []byte("\x89PNG\r\n\x1a\n"))
	require.False(t, ok)
	webp := append([]byte("RIFF\x16\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00"), 2, 0, 0, 0, 99, 0, 0, 49, 0, 0)
	s, ok = photoShape("webp", webp)
	require.True(t, ok)
	require.Equal(t, shape{w: 100, h: 50, orientation: 1, whole: true, animated: true}, s)
}

func TestTurn(t *testing.T) {
	for o, want := range map[int]struct {
		degrees  int
		mirrored bool
	}{1: {0, false}, 2: {0, true}, 3: {180, false}, 4: {180, true}, 5: {90, true}, 6: {90, false}, 7: {270, true}, 8: {270, false}} {
		degrees, mirrored := turn(o)
		require.Equal(t, want.degrees, degrees, "orientation %d", o)
		require.Equal(t, want.mirrored, mirrored, "orientation %d", o)
	}
}

func FuzzPhotoShape(f *testing.F) {
	f.Add("jpeg", smallJPEG(3))
	f.Add("png", []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00abcd"))
	f.Add("webp", []byte("RIFF\x16\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00abcdefghij"))
	f.Fuzz(func(t *testing.T, container string, data []byte) {
		s, ok := photoShape(container, data)
		require.True(t, s.orientation >= 1 && s.orientation <= 8)
		if ok {
			require.Positive(t, s.w)
			require.Positive(t, s.h)
		}
	})
}

func FuzzEXIF(f *testing.F) {
	f.Add(tiff(3))
	f.Add([]byte("II*\x00\xff\xff\xff\xff"))
	f.Fuzz(func(_ *testing.T, data []byte) { exifOrientation(data) })
}

// boxReader reads from memory.
func boxReader(data []byte) func(int64, []byte) bool {
	return func(at int64, dst []byte) bool {
		if at < 0 || at+int64(len(dst)) > int64(len(data)) {
			return false
		}
		copy(dst, data[at:])
		return true
	}
}

func box(kind string, size int) []byte {
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(size)), kind...), make([]byte, size-8)...)
}

func TestWalkBoxes(t *testing.T) {
	ftyp, moov, mdat := box("ftyp", 24), box("moov", 100), box("mdat", 500)
	large := append(binary.BigEndian.AppendUint64([]byte("\x00\x00\x00\x01mdat"), 600), make([]byte, 584)...)
	for name, c := range map[string]struct {
		data             []byte
		cut, index, mdat bool
	}{
		"whole":         {bytes.Join([][]byte{ftyp, moov, mdat}, nil), false, true, true},
		"cut":           {bytes.Join([][]byte{ftyp, moov, mdat[:300]}, nil), true, true, true},
		"index lost":    {bytes.Join([][]byte{ftyp, mdat}, nil), false, false, true},
		"large box":     {bytes.Join([][]byte{ftyp, large, moov}, nil), false, true, true},
		"cut large box": {bytes.Join([][]byte{ftyp, large[:12]}, nil), true, false, false},
		"to the end":    {bytes.Join([][]byte{ftyp, moov, []byte("\x00\x00\x00\x00mdat12345")}, nil), false, true, true},
		"padding":       {bytes.Join([][]byte{ftyp, moov, mdat, make([]byte, 77)}, nil), false, true, true},
	} {
		cut, index, data := walkBoxes(int64(len(c.data)), boxReader(c.data))
		require.Equal(t, []bool{c.cut, c.index, c.mdat}, []bool{cut, index, data}, name)
	}
}

func FuzzWalkBoxes(f *testing.F) {
	f.Add(append(box("ftyp", 24), box("mdat", 40)...), []byte("\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x84"))
	f.Fuzz(func(_ *testing.T, data, head []byte) {
		walkBoxes(int64(len(data)), boxReader(data))
		cutSegment(head, int64(len(data)))
	})
}

func TestCutSegment(t *testing.T) {
	head := []byte("\x1a\x45\xdf\xa3\x82ab\x18\x53\x80\x67\x88")
	require.False(t, cutSegment(head, 20))
	require.True(t, cutSegment(head, 19))
	require.False(t, cutSegment([]byte("\x1a\x45\xdf\xa3\x82ab\x18\x53\x80\x67\xff"), 19), "unknown size")
	require.False(t, cutSegment(nil, 19))
}
