package origin

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// made is a box of parts.
func made(kind string, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	out := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return append(append(out, kind...), body...)
}

func u32(v ...uint32) []byte {
	var out []byte
	for _, n := range v {
		out = binary.BigEndian.AppendUint32(out, n)
	}
	return out
}

// at2026 is 2026-03-02 04:00 UTC as mp4 counts it.
const at2026 = 1_772_424_000 - epoch

func movie(handler string, edits []byte, more ...[]byte) []byte {
	compressor := make([]byte, 32)
	compressor[0] = byte(copy(compressor[1:], "AVC Coding"))
	entry := append(make([]byte, 8), make([]byte, 78-8)...)
	copy(entry[12:], "FFMP")
	copy(entry[42:], compressor)
	stsd := made("stsd", u32(0, 1), made("avc1", entry))
	hdlr := made("hdlr", u32(0, 0), []byte("vide"), make([]byte, 12), []byte(handler), []byte{0})
	mdia := made("mdia", made("mdhd", u32(0, at2026, at2026+60, 90000, 900000)), hdlr, made("minf", made("stbl", stsd)))
	trak := made("trak", made("edts", made("elst", edits)), mdia)
	moov := made("moov", append([][]byte{made("mvhd", u32(0, at2026, 0, 1000, 10000, 0, 0, 0)), trak}, more...)...)
	return bytes.Join([][]byte{made("ftyp", []byte("isom")), made("mdat"), moov}, nil)
}

func read(raw []byte) Facts {
	return Movie(int64(len(raw)), func(at int64, dst []byte) bool {
		return at >= 0 && at <= int64(len(raw)) && copy(dst, raw[at:]) == len(dst)
	})
}

func TestMovie(t *testing.T) {
	edits := append(u32(0, 2), u32(500, 0xffffffff, 0x10000, 9500, 45000, 0x20000)...)
	xmp := append(uuidXMP[:], `<x><xmp:CreatorTool>Adobe Premiere Pro 2024</xmp:CreatorTool></x>`...)
	raw := append(movie("OBS Video Handler", edits, made("trak", made("mdia", made("hdlr", u32(0, 0), []byte("soun"), make([]byte, 12), []byte("\x0cSoundHandler"))))),
		append(made("uuid", uuidC2PA[:], []byte("jumbf")), made("uuid", xmp)...)...)
	got := read(raw)
	require.Equal(t, Facts{
		Boxes: []string{"ftyp", "mdat", "moov", "uuid"}, Created: 1_772_424_000, C2PA: true, Tool: "Adobe Premiere Pro 2024",
		Tracks: []Track{
			{Kind: "vide", Handler: "OBS Video Handler", Format: "avc1", Compressor: "AVC Coding", Vendor: "FFMP", Created: 1_772_424_000, Modified: 1_772_424_060, Timescale: 90000,
				Edits: []Edit{{FromMS: -1, LengthMS: 500}, {FromMS: 500, LengthMS: 9500, Rate: true}}},
			{Kind: "soun", Handler: "SoundHandler"},
		},
	}, got)
	require.Equal(t, got, got.Clean(), "clean is clean")
	// A 64-bit head, and an edit list of version 1.
	long := append(u32(1), "moov"...)
	body := made("mvhd", []byte{1, 0, 0, 0}, binary.BigEndian.AppendUint64(nil, at2026), make([]byte, 8), u32(600, 0, 0, 0))
	long = append(binary.BigEndian.AppendUint64(long, uint64(16+len(body))), body...)
	require.EqualValues(t, 1_772_424_000, read(long).Created)
	for _, cut := range []int{0, 4, 20, 60, len(raw) / 2, len(raw) - 1} {
		read(raw[:cut]) // whatever is there
	}
	require.Zero(t, read(append(u32(1<<31), "moov"...)))
}

func TestMovieIsBounded(t *testing.T) {
	var many [][]byte
	for range 3 * mostBoxes {
		many = append(many, made("free"))
	}
	raw := bytes.Join(many, nil)
	reads := 0
	Movie(int64(len(raw)), func(at int64, dst []byte) bool { reads++; return copy(dst, raw[at:]) == len(dst) })
	require.LessOrEqual(t, reads, mostBoxes)
	deep := made("stbl")
	for range 50 {
		deep = made("mdia", deep)
	}
	read(made("moov", made("trak", deep)))
	var tracks [][]byte
	for range 40 {
		tracks = append(tracks, made("trak"))
	}
	require.Len(t, read(made("moov", tracks...)).Tracks, maxTracks)
}

func TestEncoder(t *testing.T) {
	sei := append(append([]byte{0, 0, 1, 6, 5, 99}, seiX264...), "x264 - core 164 r3095 - H.264/MPEG-4 AVC codec\x00junk"...)
	require.Equal(t, "x264 - core 164 r3095 - H.264/MPEG-4 AVC codec", Encoder(sei))
	require.Empty(t, Encoder(append(make([]byte, 5000), sei...)), "only the beginning is looked at")
	require.Empty(t, Encoder(nil))
	require.Len(t, Encoder(append(seiX265, strings.Repeat("x", 5000)...)), maxText)
}

func TestPosition(t *testing.T) {
	for s, want := range map[string][2]float64{
		"+31.2353+121.4767/":               {31.2353, 121.4767},
		"+31.2353+121.4767+012.345/":       {31.2353, 121.4767},
		"-33.8568+151.2153-003.0/":         {-33.8568, 151.2153},
		"+3114.118+12128.602/":             {31.2353, 121.4767},
		"+311407.08-1212836.12/":           {31.2353, -121.4767},
		"+37.3318-122.0312CRSWGS_84/":      {37.3318, -122.0312},
		"+31+121/":                         {31, 121},
		"+27.5916+086.5640+8850CRSWGS_84/": {27.5916, 86.564},
	} {
		lat, lon, ok := Position(s)
		require.True(t, ok, s)
		require.InDelta(t, want[0], lat, 1e-4, s)
		require.InDelta(t, want[1], lon, 1e-4, s)
	}
	for _, s := range []string{"", "/", "31.2+121.4/", "+31.2/", "+0+0/", "+91+0/", "+31+181/", "+3199.9+12100.0/", "+31.2+121.4+1+2/", "+x+y/", "++/", "+1e9+2/", strings.Repeat("+1", 99)} {
		_, _, ok := Position(s)
		require.False(t, ok, s)
	}
}

// tiff is a block of EXIF with a camera, a time and a place, in the given order of bytes.
func tiff() []byte {
	order := binary.LittleEndian
	type entry struct {
		tag, kind uint16
		count     uint32
		value     []byte
	}
	ascii := func(tag uint16, s string) entry { return entry{tag, 2, uint32(len(s) + 1), append([]byte(s), 0)} }
	rational := func(tag uint16, v ...uint32) entry {
		var b []byte
		for _, n := range v {
			b = order.AppendUint32(b, n)
		}
		return entry{tag, 5, uint32(len(v) / 2), b}
	}
	var out []byte
	write := func(at int, entries []entry) []byte { // the directory and its values, at an offset
		size := 2 + 12*len(entries) + 4
		head, tail := order.AppendUint16(nil, uint16(len(entries))), []byte{}
		for _, e := range entries {
			head = order.AppendUint16(order.AppendUint16(head, e.tag), e.kind)
			head = order.AppendUint32(head, e.count)
			if len(e.value) <= 4 {
				head = append(head, append(e.value, 0, 0, 0, 0)[:4]...)
				continue
			}
			head = order.AppendUint32(head, uint32(at+size+len(tail)))
			tail = append(tail, e.value...)
		}
		return append(append(head, 0, 0, 0, 0), tail...)
	}
	long := func(tag uint16, v int) entry { return entry{tag, 4, 1, order.AppendUint32(nil, uint32(v))} }
	exif := func(at int) []byte {
		return write(at, []entry{rational(0x829a, 1, 60), ascii(0x9003, "2026:03:02 12:00:00"), ascii(0x9011, "+08:00")})
	}
	gps := func(at int) []byte {
		return write(at, []entry{ascii(1, "N"), rational(2, 31, 1, 14, 1, 708, 100), ascii(3, "E"), rational(4, 121, 1, 28, 1, 3612, 100), rational(0x1f, 12, 1)})
	}
	first := func(exifAt, gpsAt int) []byte {
		return write(8, []entry{ascii(0x10f, "Maker"), ascii(0x110, "Phone 1"), ascii(0x131, "Adobe Photoshop 25.0"), long(0x8769, exifAt), long(0x8825, gpsAt)})
	}
	n := len(first(0, 0))
	out = append([]byte("II*\x00\x08\x00\x00\x00"), first(8+n, 8+n+len(exif(0)))...)
	return append(append(out, exif(8+n)...), gps(8+n+len(exif(0)))...)
}

func jpegOf(segments ...[]byte) []byte {
	out := []byte{0xff, 0xd8}
	for _, s := range segments {
		out = binary.BigEndian.AppendUint16(append(out, 0xff, s[0]), uint16(len(s)+1))
		out = append(out, s[1:]...)
	}
	return append(out, 0xff, 0xda, 0, 2, 0xff, 0xd9)
}

func TestStill(t *testing.T) {
	exif := append([]byte{0xe1}, append([]byte("Exif\x00\x00"), tiff()...)...)
	got := Still("jpeg", jpegOf(exif))
	require.NotNil(t, got.Photo)
	p := *got.Photo
	require.InDelta(t, 31.2353, p.Lat, 1e-4)
	require.InDelta(t, 121.4767, p.Lon, 1e-4)
	require.InDelta(t, 12, p.Accuracy, 1e-9)
	p.Lat, p.Lon, p.Accuracy = 0, 0, 0
	require.Equal(t, Photo{Make: "Maker", Model: "Phone 1", Software: "Adobe Photoshop 25.0", Taken: "2026:03:02 12:00:00", Zone: "+08:00", HasGPS: true, Exposed: true}, p)
	require.False(t, got.C2PA)
	require.Zero(t, Still("jpeg", jpegOf()))
	require.Zero(t, Still("gif", []byte("GIF89a")))
	require.True(t, Still("jpeg", jpegOf(append([]byte{0xeb}, "JP\x00\x01....jumb....c2pa"...))).C2PA)
	require.True(t, Still("png", append([]byte("\x89PNG\r\n\x1a\n"), append(u32(4), "caBXxxxxxxxx"...)...)).C2PA)
	require.True(t, Still("webp", append([]byte("RIFF\x00\x00\x00\x00WEBP"), "C2PA\x02\x00\x00\x00ab"...)).C2PA)
	require.True(t, Still("heic", append(made("ftyp", []byte("heic")), made("uuid", uuidC2PA[:])...)).C2PA)
}

func TestCleanBoundsEverything(t *testing.T) {
	f := Facts{Encoder: strings.Repeat("é", 500), Tool: "a\x00b\nc\xff", Photo: &Photo{HasGPS: true, Lat: math.NaN(), Accuracy: -1}}
	for i := range 100 {
		f.Boxes = append(f.Boxes, fmt.Sprint(i))
		f.Tracks = append(f.Tracks, Track{Handler: strings.Repeat("x", 1000), Edits: make([]Edit, 100)})
	}
	got := f.Clean()
	require.LessOrEqual(t, len(got.Encoder), maxText)
	require.True(t, utf8.ValidString(got.Encoder))
	require.Equal(t, "abc", got.Tool)
	require.Len(t, got.Boxes, maxBoxes)
	require.Len(t, got.Tracks, maxTracks)
	require.Len(t, got.Tracks[0].Handler, maxText)
	require.Len(t, got.Tracks[0].Edits, maxEdits)
	require.Equal(t, Photo{}, *got.Photo)
}

func bounded(t *testing.T, f Facts) {
	t.Helper()
	require.Equal(t, f, f.Clean())
}

func FuzzMovie(f *testing.F) {
	f.Add(movie("VideoHandler", u32(0, 1, 9500, 45000, 0x10000)))
	f.Add(append(made("uuid", uuidC2PA[:]), made("uuid", uuidXMP[:], []byte(`CreatorTool="x"`))...))
	f.Add(made("moov", made("udta", made("XMP_", []byte("<CreatorTool>")))))
	f.Fuzz(func(t *testing.T, raw []byte) { bounded(t, read(raw)) })
}

func FuzzStill(f *testing.F) {
	exif := append([]byte{0xe1}, append([]byte("Exif\x00\x00"), tiff()...)...)
	f.Add(0, jpegOf(exif))
	f.Add(1, append([]byte("\x89PNG\r\n\x1a\n"), append(u32(4), "caBXxxxxxxxx"...)...))
	f.Add(2, append([]byte("RIFF\x00\x00\x00\x00WEBP"), append([]byte("EXIF\x80\x00\x00\x00"), tiff()...)...))
	f.Add(3, append(made("ftyp", []byte("heic")), made("meta", u32(0))...))
	f.Fuzz(func(t *testing.T, kind int, raw []byte) {
		kinds := []string{"jpeg", "png", "webp", "heic"}
		bounded(t, Still(kinds[uint(kind)%4], raw))
	})
}

func FuzzPosition(f *testing.F) {
	f.Add("+31.2353+121.4767/")
	f.Add("+3114.118-12128.602+1CRSWGS_84/")
	f.Fuzz(func(t *testing.T, s string) {
		lat, lon, ok := Position(s)
		if ok {
			require.True(t, math.Abs(lat) <= 90 && math.Abs(lon) <= 180)
		}
	})
}

func FuzzEncoder(f *testing.F) {
	f.Add(append(bytes.Clone(seiX264), "x264 - core"...))
	f.Fuzz(func(t *testing.T, raw []byte) { require.LessOrEqual(t, len(Encoder(raw)), maxText) })
}
