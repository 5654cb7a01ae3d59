package media

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

var (
	fixtureDir  string
	fixtureLock sync.Mutex
)

// run starts a program and wants it to end well.
func run(t testing.TB, name string, args ...string) {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(t, err, "%s %s\n%s", name, strings.Join(args, " "), out)
}

// made gives the bytes of a file that ffmpeg makes once: the arguments without the output's path, whose name says the format.
func made(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	fixtureLock.Lock()
	defer fixtureLock.Unlock()
	path := filepath.Join(fixtureDir, name)
	raw, err := os.ReadFile(path)
	if err == nil {
		return raw
	}
	run(t, "ffmpeg", append(append([]string{"-v", "error", "-nostdin", "-y"}, args...), path)...)
	raw, err = os.ReadFile(path)
	require.NoError(t, err)
	return raw
}

const (
	pattern = "testsrc2=size=320x240:rate=25:duration=4"
	beep    = "sine=frequency=440:duration=4"
)

// clipMP4 is the plain clip that most bad inputs are made of: 4 s, index in front.
func clipMP4(t testing.TB) []byte {
	return made(t, "clip.mp4", "-f", "lavfi", "-i", pattern, "-f", "lavfi", "-i", beep, "-c:v", "libx264", "-preset", "ultrafast", "-g", "25",
		"-pix_fmt", "yuv420p", "-c:a", "aac", "-movflags", "+faststart")
}

func clipWebM(t testing.TB) []byte {
	return made(t, "clip.webm", "-f", "lavfi", "-i", pattern, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-g", "25")
}

// file writes bytes under a name and gives it as Media.
func file(t testing.TB, name string, raw []byte) pipeline.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	return pipeline.File(path)
}

// quarters is a picture with a red, green, blue and white quarter (top left, top right, bottom left, bottom right).
func quarters(w, h int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetRGBA(x, y, quarter(x < w/2, y < h/2))
		}
	}
	return m
}

func quarter(left, top bool) color.RGBA {
	switch {
	case left && top:
		return color.RGBA{255, 0, 0, 255}
	case top:
		return color.RGBA{0, 255, 0, 255}
	case left:
		return color.RGBA{0, 0, 255, 255}
	}
	return color.RGBA{255, 255, 255, 255}
}

// stored is the picture as a camera with this EXIF orientation stores it. EXIF says which side of the scene the stored row 0 and
// column 0 are: 6 means row 0 is the right side, column 0 the top.
func stored(m *image.RGBA, orientation int) *image.RGBA {
	row := []string{"", "top", "top", "bottom", "bottom", "left", "right", "right", "left"}[orientation]
	column := []string{"", "left", "right", "right", "left", "top", "top", "bottom", "bottom"}[orientation]
	W, H := m.Rect.Dx(), m.Rect.Dy()
	w, h := W, H
	if orientation >= 5 {
		w, h = H, W
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	for r := range h {
		for c := range w {
			var x, y int
			for _, s := range []struct {
				side string
				n    int
			}{{row, r}, {column, c}} {
				switch s.side {
				case "top":
					y = s.n
				case "bottom":
					y = H - 1 - s.n
				case "left":
					x = s.n
				case "right":
					x = W - 1 - s.n
				}
			}
			out.SetRGBA(c, r, m.RGBAAt(x, y))
		}
	}
	return out
}

func jpegOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}))
	return b.Bytes()
}

func pngOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, m))
	return b.Bytes()
}

// exif is a TIFF block with only the orientation in it.
func exif(orientation int, order binary.AppendByteOrder) []byte {
	mark := "II*\x00"
	if order.String() == "BigEndian" {
		mark = "MM\x00*"
	}
	b := []byte(mark)
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 1)
	b = order.AppendUint16(b, 0x0112)
	b = order.AppendUint16(b, 3)
	b = order.AppendUint32(b, 1)
	b = order.AppendUint16(b, uint16(orientation))
	b = order.AppendUint16(b, 0)
	return order.AppendUint32(b, 0)
}

// withEXIF puts a TIFF block into a JPEG.
func withEXIF(raw, tiff []byte) []byte {
	out := append([]byte{}, raw[:2]...)
	out = append(out, 0xff, 0xe1)
	out = binary.BigEndian.AppendUint16(out, uint16(2+6+len(tiff)))
	out = append(out, "Exif\x00\x00"...)
	out = append(out, tiff...)
	return append(out, raw[2:]...)
}

// patched replaces bytes at an offset after the first place where a box name stands.
func patched(t testing.TB, raw []byte, box string, offset int, with []byte) []byte {
	t.Helper()
	at := bytes.Index(raw, []byte(box))
	require.GreaterOrEqual(t, at, 0, "box %s", box)
	out := bytes.Clone(raw)
	copy(out[at+4+offset:], with)
	return out
}

func crcOf(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

// webpWithEXIF makes a lossless WebP in the extended form with a TIFF block.
func webpWithEXIF(t testing.TB, m image.Image, tiff []byte) []byte {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.png"), filepath.Join(dir, "out.webp")
	require.NoError(t, os.WriteFile(in, pngOf(t, m), 0o600))
	run(t, "ffmpeg", "-v", "error", "-nostdin", "-i", in, "-c:v", "libwebp", "-lossless", "1", out)
	raw, err := os.ReadFile(out)
	require.NoError(t, err)
	chunk := func(name string, body []byte) []byte {
		b := append([]byte(name), binary.LittleEndian.AppendUint32(nil, uint32(len(body)))...)
		b = append(b, body...)
		if len(body)%2 == 1 {
			b = append(b, 0)
		}
		return b
	}
	w, h := m.Bounds().Dx()-1, m.Bounds().Dy()-1
	body := chunk("VP8X", []byte{8, 0, 0, 0, byte(w), byte(w >> 8), 0, byte(h), byte(h >> 8), 0})
	body = append(append(body, raw[12:]...), chunk("EXIF", tiff)...)
	return append(append(append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, uint32(4+len(body)))...), "WEBP"...), body...)
}

func heicOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.png"), filepath.Join(dir, "out.heic")
	require.NoError(t, os.WriteFile(in, pngOf(t, m), 0o600))
	run(t, "heif-enc", "-q", "90", "-o", out, in)
	raw, err := os.ReadFile(out)
	require.NoError(t, err)
	return raw
}
