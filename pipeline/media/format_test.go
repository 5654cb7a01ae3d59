package media

import (
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/pipeline"
)

func decoded(t testing.TB, m pipeline.Media, r Request) *Clip {
	t.Helper()
	c, err := newDecoder(t, nil).Decode(context.Background(), m, r)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// requireQuarters wants the four colours of quarters in their places, within a tolerance for lossy coding.
func requireQuarters(t testing.TB, m gocv.Mat, tolerance int) {
	t.Helper()
	w, h := m.Cols(), m.Rows()
	for _, at := range []image.Point{{w / 4, h / 4}, {w * 3 / 4, h / 4}, {w / 4, h * 3 / 4}, {w * 3 / 4, h * 3 / 4}} {
		want := quarter(at.X < w/2, at.Y < h/2)
		got := m.GetVecbAt(at.Y, at.X)
		for i, v := range []uint8{want.B, want.G, want.R} {
			require.InDelta(t, int(v), int(got[i]), float64(tolerance), "at %v of %d x %d: want %v, got BGR %v", at, w, h, want, got)
		}
	}
}

func TestVideoFormats(t *testing.T) {
	x264 := []string{"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"}
	for _, c := range []struct {
		name, container, codec string
		args                   []string
	}{
		{"h264.mp4", "mp4", "h264", x264},
		{"h264.mov", "mov", "h264", x264},
		{"h264.mkv", "mkv", "h264", x264},
		{"h264frag.mp4", "mp4", "h264", append([]string{"-movflags", "frag_keyframe+empty_moov", "-g", "25"}, x264...)},
		{"hevc.mp4", "mp4", "hevc", []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-tag:v", "hvc1", "-pix_fmt", "yuv420p"}},
		{"hevc10.mov", "mov", "hevc", []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-tag:v", "hvc1", "-pix_fmt", "yuv420p10le"}},
		{"vp8.webm", "webm", "vp8", []string{"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"}},
		{"vp9.webm", "webm", "vp9", []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"}},
		{"vp9.mp4", "mp4", "vp9", []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"}},
		{"vp9-10.mkv", "mkv", "vp9", []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-pix_fmt", "yuv420p10le", "-profile:v", "2"}},
		{"h264full.mp4", "mp4", "h264", []string{"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuvj420p", "-color_range", "pc"}},
		{"h264bt709.mp4", "mp4", "h264", append([]string{"-vf", "scale=out_color_matrix=bt709", "-colorspace", "bt709"}, x264...)},
		{"h264-10.mp4", "mp4", "h264", []string{"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv422p10le"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			picture := file(t, "q.png", pngOf(t, quarters(320, 240)))
			raw := made(t, c.name, append([]string{"-loop", "1", "-framerate", "25", "-t", "2", "-i", string(picture), "-f", "lavfi", "-t", "2", "-i", beep,
				"-c:a", audioFor(c.container)}, c.args...)...)
			req := DefaultRequest()
			req.Audio = true
			clip := decoded(t, file(t, "renamed.jpg", raw), req)
			require.Equal(t, c.container, clip.Info.Container)
			require.Equal(t, c.codec, clip.Info.Codec)
			require.Equal(t, Video, clip.Info.Kind)
			require.Equal(t, []int{320, 240}, []int{clip.Info.Width, clip.Info.Height})
			require.InDelta(t, 2, clip.Info.Duration.Seconds(), 0.05)
			require.InDelta(t, 25, clip.Info.FPS, 0.5)
			require.Len(t, clip.Packets, 50)
			require.True(t, clip.Packets[0].Key)
			require.Len(t, clip.Frames, 2)
			for _, f := range clip.Frames {
				requireQuarters(t, f.Image, 12)
			}
			require.True(t, clip.Info.HasAudio)
			require.InDelta(t, 2*16000, len(clip.PCM), 2000)
			require.Len(t, clip.Info.SHA256, 64)
			require.Len(t, clip.Info.PacketsSHA256, 64)
			requireMotion(t, clip)
			// Red is darker than green, in the grey of full-range BT.601 as everywhere.
			g := clip.Motion.Frames[0].Gray
			w, h := clip.Motion.W, clip.Motion.H
			require.InDelta(t, 255, int(g[(h-h/4)*w+w*3/4]), 6)
			require.Less(t, g[h/4*w+w/4], g[h/4*w+w*3/4])
		})
	}
}

// Sounds that have a decoder are heard; the others are left out, and the pictures stand.
func TestSounds(t *testing.T) {
	for codec, heard := range map[string]bool{"alac": true, "flac": true, "libmp3lame": true, "pcm_s16le": true, "pcm_s24le": true, "pcm_u8": true, "ac3": false} {
		raw := made(t, codec+".mkv", "-f", "lavfi", "-t", "1", "-i", "testsrc2=size=160x120:rate=10", "-f", "lavfi", "-t", "1", "-i", beep,
			"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", codec)
		req := DefaultRequest()
		req.Audio = true
		clip := decoded(t, file(t, codec, raw), req)
		require.True(t, clip.Info.HasAudio, codec)
		require.Len(t, clip.Packets, 10, codec)
		if heard {
			require.InDelta(t, 16000, len(clip.PCM), 2000, codec)
		} else {
			require.Empty(t, clip.PCM, codec)
		}
	}
}

func audioFor(container string) string {
	if container == "webm" || container == "mkv" {
		return "libopus"
	}
	return "aac"
}

// requireMotion wants 10 frames per second without holes inside the windows, of one size, by time.
func requireMotion(t testing.TB, c *Clip) {
	t.Helper()
	require.NotEmpty(t, c.Motion.Frames)
	require.NotEmpty(t, c.Motion.Windows)
	last := time.Duration(-1)
	n := 0
	for _, f := range c.Motion.Frames {
		require.Len(t, f.Gray, c.Motion.W*c.Motion.H)
		require.Greater(t, f.PTS, last)
		for n < len(c.Motion.Windows) && f.PTS > c.Motion.Windows[n].To {
			n++
		}
		if n < len(c.Motion.Windows) && last >= c.Motion.Windows[n].From && last >= 0 {
			require.LessOrEqual(t, f.PTS-last, 150*time.Millisecond, "hole before %v", f.PTS)
		}
		last = f.PTS
	}
}

func TestPhotoFormats(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "q.png")
	require.NoError(t, os.WriteFile(plain, pngOf(t, quarters(320, 240)), 0o600))
	run(t, "heif-enc", "-q", "90", "-o", filepath.Join(dir, "q.heic"), plain)
	for _, args := range [][]string{
		{"-pix_fmt", "pal8", "pal.png"}, {"-pix_fmt", "rgb48be", "deep.png"}, {"-pix_fmt", "rgba", "alpha.png"},
		{"-c:v", "libwebp", "-lossless", "0", "-quality", "95", "lossy.webp"}, {"-c:v", "libwebp", "-lossless", "1", "lossless.webp"},
		{"-q:v", "2", "-pix_fmt", "yuvj420p", "half.jpg"}, {"-q:v", "2", "-pix_fmt", "yuvj444p", "full.jpg"},
	} {
		args[len(args)-1] = filepath.Join(dir, args[len(args)-1])
		run(t, "ffmpeg", append([]string{"-v", "error", "-nostdin", "-i", plain}, args...)...)
	}
	for name, container := range map[string]string{
		"q.png": "png", "pal.png": "png", "deep.png": "png", "alpha.png": "png", "lossy.webp": "webp", "lossless.webp": "webp",
		"half.jpg": "jpeg", "full.jpg": "jpeg", "q.heic": "heic",
	} {
		t.Run(name, func(t *testing.T) {
			clip := decoded(t, pipeline.File(filepath.Join(dir, name)), DefaultRequest())
			require.Equal(t, Photo, clip.Info.Kind)
			require.Equal(t, container, clip.Info.Container)
			require.Equal(t, []int{320, 240}, []int{clip.Info.Width, clip.Info.Height})
			require.Len(t, clip.Frames, 1)
			require.Empty(t, clip.Motion.Frames)
			require.Empty(t, clip.Packets)
			requireQuarters(t, clip.Frames[0].Image, 10)
			require.Contains(t, clip.Sandbox, "seccomp")
		})
	}
	t.Run("scaled", func(t *testing.T) {
		req := DefaultRequest()
		req.PhotoMaxSide = 160
		clip := decoded(t, pipeline.File(plain), req)
		require.Equal(t, []int{320, 240, 160, 120}, []int{clip.Info.Width, clip.Info.Height, clip.Frames[0].Image.Cols(), clip.Frames[0].Image.Rows()})
		requireQuarters(t, clip.Frames[0].Image, 4)
	})
	t.Run("grey", func(t *testing.T) {
		grey := image.NewGray(image.Rect(0, 0, 64, 48))
		for i := range grey.Pix {
			grey.Pix[i] = uint8(i % 64 * 4)
		}
		clip := decoded(t, file(t, "grey.png", pngOf(t, grey)), DefaultRequest())
		require.Equal(t, gocv.Vecb{0, 0, 0}, clip.Frames[0].Image.GetVecbAt(5, 0))
		require.InDelta(t, 252, int(clip.Frames[0].Image.GetVecbAt(5, 63)[1]), 1)
	})
}

func TestEXIFOrientation(t *testing.T) {
	upright := quarters(96, 64)
	for o := 1; o <= 8; o++ {
		t.Run(fmt.Sprint(o), func(t *testing.T) {
			pixels := stored(upright, o)
			var order binary.AppendByteOrder = binary.LittleEndian
			if o%2 == 0 {
				order = binary.BigEndian
			}
			raw := pngOf(t, pixels)
			block := exif(o, order)
			chunk := binary.BigEndian.AppendUint32(nil, uint32(len(block)))
			chunk = append(append(chunk, "eXIf"...), block...)
			chunk = binary.BigEndian.AppendUint32(chunk, crcOf(chunk[4:]))
			withChunk := append(append(append([]byte{}, raw[:33]...), chunk...), raw[33:]...)
			for name, raw := range map[string][]byte{"jpeg": withEXIF(jpegOf(t, pixels), block), "png": withChunk, "webp": webpWithEXIF(t, pixels, block)} {
				clip := decoded(t, file(t, "photo", raw), DefaultRequest())
				require.Equal(t, []int{96, 64}, []int{clip.Info.Width, clip.Info.Height}, name)
				require.Equal(t, o >= 2 && (o == 2 || o == 4 || o == 5 || o == 7), clip.Info.Mirrored, name)
				requireQuarters(t, clip.Frames[0].Image, 12)
			}
		})
	}
}

func TestDisplayMatrix(t *testing.T) {
	upright := quarters(320, 240)
	// Where the stored x and y axes point on the screen, for each EXIF orientation: a b, c d of the matrix.
	for o, m := range map[int][4]int32{
		1: {1, 0, 0, 1}, 2: {-1, 0, 0, 1}, 3: {-1, 0, 0, -1}, 4: {1, 0, 0, -1}, 5: {0, 1, 1, 0}, 6: {0, 1, -1, 0}, 7: {0, -1, -1, 0}, 8: {0, -1, 1, 0},
	} {
		t.Run(fmt.Sprint(o), func(t *testing.T) {
			t.Parallel()
			picture := file(t, "q.png", pngOf(t, stored(upright, o)))
			raw := made(t, fmt.Sprintf("matrix%d.mp4", o), "-loop", "1", "-framerate", "10", "-t", "1", "-i", string(picture), "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
			var matrix []byte
			for _, v := range []int32{m[0] << 16, m[1] << 16, 0, m[2] << 16, m[3] << 16, 0} {
				matrix = binary.BigEndian.AppendUint32(matrix, uint32(v))
			}
			clip := decoded(t, file(t, "clip.mp4", patched(t, raw, "tkhd", 40, matrix)), DefaultRequest())
			require.Equal(t, []int{320, 240}, []int{clip.Info.Width, clip.Info.Height})
			requireQuarters(t, clip.Frames[0].Image, 12)
			require.Equal(t, []int{160, 120}, []int{clip.Motion.W, clip.Motion.H})
			g := clip.Motion.Frames[0].Gray
			at := func(x, y int) int { return int(g[y*160+x]) }
			require.Greater(t, at(120, 90), 245)           // white
			require.Greater(t, at(120, 30), at(40, 30)+40) // green over red
			require.Greater(t, at(40, 30), at(40, 90)+20)  // red over blue
		})
	}
}
