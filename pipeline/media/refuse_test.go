package media

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

// scrambled overwrites a share of a file's bytes from an offset on.
func scrambled(raw []byte, from, to float64) []byte {
	out := bytes.Clone(raw)
	r := rand.New(rand.NewPCG(1, 2))
	for i := int(from * float64(len(raw))); i < int(to*float64(len(raw))); i++ {
		out[i] = byte(r.Uint32())
	}
	return out
}

// badInput is one file that must be refused, with the rule that says why.
type badInput struct {
	name, rule string
	raw        func(t *testing.T) []byte
	limits     Limits
	says       string // part of the English sentence
}

func text1(s string) func(*testing.T) []byte { return func(*testing.T) []byte { return []byte(s) } }

func ffmpegOut(name string, args ...string) func(*testing.T) []byte {
	return func(t *testing.T) []byte { return made(t, name, args...) }
}

func badInputs() []badInput {
	png := func(w, h uint32) []byte {
		head := binary.BigEndian.AppendUint32([]byte("IHDR"), w)
		head = append(binary.BigEndian.AppendUint32(head, h), 8, 2, 0, 0, 0)
		b := binary.BigEndian.AppendUint32([]byte("\x89PNG\r\n\x1a\n"), 13)
		return binary.BigEndian.AppendUint32(append(b, head...), crcOf(head))
	}
	cut := func(make func(testing.TB) []byte, share float64) func(*testing.T) []byte {
		return func(t *testing.T) []byte { raw := make(t); return raw[:int(share*float64(len(raw)))] }
	}
	photo := func(t testing.TB) []byte { return jpegOf(t, quarters(320, 240)) }
	lavfi := []string{"-f", "lavfi", "-i", pattern}
	with := func(args ...string) []string { return append(append([]string{}, lavfi...), args...) }
	return []badInput{
		{name: "empty", rule: "media_empty", raw: text1(""), says: "0 bytes"},
		{name: "one byte", rule: "media_unknown", raw: text1("\x00")},
		{name: "text", rule: "media_unsupported", raw: text1("hello, this is no video\n"), says: "text"},
		{name: "m3u8", rule: "media_playlist", raw: text1("#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n"), says: "M3U8"},
		{name: "m3u8 behind a mark", rule: "media_playlist", raw: text1("\xef\xbb\xbf\n#EXTM3U\nhttp://localhost/x.ts\n")},
		{name: "concat", rule: "media_playlist", raw: text1("ffconcat version 1.0\nfile /etc/passwd\n"), says: "concat"},
		{name: "concat without head", rule: "media_playlist", raw: text1("file '/etc/passwd'\n")},
		{name: "dash", rule: "media_playlist", raw: text1("<?xml version=\"1.0\"?>\n<MPD type=\"static\"></MPD>"), says: "DASH"},
		{name: "pdf", rule: "media_unsupported", raw: text1("%PDF-1.7\n1 0 obj"), says: "PDF"},
		{name: "zip", rule: "media_unsupported", raw: text1("PK\x03\x04\x00\x00"), says: "ZIP"},
		{name: "gif", rule: "media_unsupported", raw: ffmpegOut("x.gif", with("-frames:v", "5")...), says: "GIF"},
		{name: "avi", rule: "media_unsupported", raw: ffmpegOut("x.avi", with("-frames:v", "5", "-c:v", "mjpeg")...), says: "AVI"},
		{name: "mpeg-ts", rule: "media_unsupported", raw: ffmpegOut("x.ts", with("-frames:v", "25", "-c:v", "libx264", "-preset", "ultrafast")...), says: "MPEG-TS"},
		{name: "avif", rule: "media_unsupported", raw: text1("\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1miaf"), says: "AVIF"},
		{name: "random", rule: "media_unknown", raw: func(*testing.T) []byte { return scrambled(make([]byte, 5000), 0, 1) }},
		{name: "mp4 head and nothing", rule: "media_damaged", raw: text1("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom")},
		{name: "mp4 head and noise", rule: "media_damaged", raw: func(*testing.T) []byte {
			return append([]byte("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"), scrambled(make([]byte, 50_000), 0, 1)...)
		}},
		{name: "cut mp4, index in front", rule: "media_truncated", raw: cut(clipMP4, 0.6), says: "cut off"},
		{name: "cut mp4, index lost", rule: "media_truncated", raw: func(t *testing.T) []byte {
			raw := made(t, "slow.mp4", with("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")...)
			return raw[:len(raw)*6/10]
		}},
		{name: "cut webm", rule: "media_truncated", raw: cut(clipWebM, 0.6)},
		{name: "mp4 with a hole", rule: "media_truncated", raw: func(t *testing.T) []byte { return scrambled(clipMP4(t), 0.4, 0.8) }},
		{name: "webm with a hole", rule: "media_truncated", raw: func(t *testing.T) []byte { return scrambled(clipWebM(t), 0.4, 0.8) }},
		{name: "mp4 with a broken index", rule: "media_damaged", raw: func(t *testing.T) []byte { return patched(t, clipMP4(t), "stbl", 0, bytes.Repeat([]byte{0xff}, 400)) }},
		{name: "cut jpeg", rule: "media_truncated", raw: cut(photo, 0.7)},
		{name: "jpeg with a hole", rule: "media_truncated", raw: func(t *testing.T) []byte { return scrambled(photo(t), 0.3, 0.6) }},
		{name: "cut jpeg head", rule: "media_damaged", raw: cut(photo, 0.01)},
		{name: "cut png", rule: "media_truncated", raw: func(t *testing.T) []byte { raw := pngOf(t, quarters(320, 240)); return raw[:len(raw)-30] }},
		{name: "damaged png", rule: "media_damaged", raw: func(t *testing.T) []byte { return scrambled(pngOf(t, quarters(320, 240)), 0.3, 0.6) }},
		{name: "cut webp", rule: "media_truncated", raw: func(t *testing.T) []byte { raw := webpWithEXIF(t, quarters(96, 64), nil); return raw[:len(raw)/2] }},
		{name: "audio only mp4", rule: "only_sound", raw: ffmpegOut("x.m4a", "-f", "lavfi", "-i", beep, "-c:a", "aac")},
		{name: "audio only webm", rule: "only_sound", raw: ffmpegOut("sound.webm", "-f", "lavfi", "-i", beep, "-c:a", "libopus")},
		{name: "mp3", rule: "media_unsupported", raw: ffmpegOut("x.mp3", "-f", "lavfi", "-i", beep), says: "MP3"},
		{name: "0 seconds", rule: "no_pictures", raw: func(t *testing.T) []byte {
			raw := made(t, "frag.mp4", with("-c:v", "libx264", "-preset", "ultrafast", "-movflags", "frag_keyframe+empty_moov")...)
			return raw[:bytes.Index(raw, []byte("moof"))-4]
		}, says: "0 seconds"},
		{name: "encrypted", rule: "media_encrypted", raw: ffmpegOut("enc.mp4", with("-c:v", "libx264", "-preset", "ultrafast", "-encryption_scheme", "cenc-aes-ctr",
			"-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8")...)},
		{name: "huge png header", rule: "too_many_pixels", raw: func(*testing.T) []byte { return png(100_000, 100_000) }, says: "100000 x 100000"},
		{name: "long png header", rule: "too_many_pixels", raw: func(*testing.T) []byte { return png(2, 1_000_000) }},
		{name: "huge jpeg header", rule: "too_many_pixels", raw: func(t *testing.T) []byte {
			return patched(t, photo(t), "\xff\xc0\x00\x11", 1, []byte{0xff, 0xff, 0xff, 0xff})
		}, says: "65535 x 65535"},
		{name: "huge mp4 header", rule: "video_too_large", raw: func(t *testing.T) []byte {
			return patched(t, clipMP4(t), "stsd", 40, []byte{0xff, 0xff, 0xff, 0xff})
		}, says: "4096 x 2304"},
		{name: "10 hours", rule: "too_long", raw: ffmpegOut("long.mp4", with("-frames:v", "3", "-vf", "setpts=N*18000/TB", "-vsync", "vfr", "-c:v", "libx264", "-preset", "ultrafast")...), says: "10 h long, the limit is 5 min"},
		{name: "10 hours in the header", rule: "too_long", raw: func(t *testing.T) []byte {
			return patched(t, patched(t, clipMP4(t), "mvhd", 16, binary.BigEndian.AppendUint32(nil, 36_000_000)), "mdhd", 16, binary.BigEndian.AppendUint32(nil, 0x1c000000))
		}},
		{name: "many streams", rule: "too_many_streams", raw: ffmpegOut("many.mp4", append(with("-frames:v", "2", "-c:v", "libx264", "-preset", "ultrafast"),
			strings.Fields(strings.Repeat("-map 0:v ", 20))...)...)},
		{name: "mpeg4", rule: "codec_unsupported", raw: ffmpegOut("old.mp4", with("-frames:v", "5", "-c:v", "mpeg4")...), says: "mpeg4"},
		{name: "prores", rule: "codec_unsupported", raw: ffmpegOut("pro.mov", with("-frames:v", "2", "-c:v", "prores_ks")...), says: "prores"},
		{name: "animated png", rule: "animated_photo", raw: ffmpegOut("x.apng", with("-frames:v", "3", "-f", "apng")...)},
		{name: "animated webp", rule: "animated_photo", raw: ffmpegOut("anim.webp", with("-frames:v", "3", "-c:v", "libwebp_anim")...)},
		{name: "too many bytes", rule: "too_many_bytes", raw: func(t *testing.T) []byte { return clipMP4(t) }, limits: Limits{Bytes: 1000}, says: "417 kB, the limit is 1 kB"},
		{name: "too many frames", rule: "too_many_frames", raw: func(t *testing.T) []byte { return clipMP4(t) }, limits: Limits{Packets: 50}, says: "50 frames"},
		{name: "too long for 3 s", rule: "too_long", raw: func(t *testing.T) []byte { return clipMP4(t) }, limits: Limits{Duration: 3 * time.Second}, says: "4 s long, the limit is 3 s"},
		{name: "too large for 200", rule: "video_too_large", raw: func(t *testing.T) []byte { return clipMP4(t) }, limits: Limits{VideoLong: 400, VideoShort: 200}, says: "320 x 240"},
		{name: "photo too large", rule: "too_many_pixels", raw: func(t *testing.T) []byte { return photo(t) }, limits: Limits{PhotoPixels: 10_000}, says: "320 x 240"},
	}
}

func TestBadInput(t *testing.T) {
	for i, c := range badInputs() {
		t.Run(c.name, func(t *testing.T) {
			raw := c.raw(t)
			d := newDecoder(t, func(o *Options) { o.Limits = c.limits })
			names := []string{"upload.mp4", "upload.jpg"} // the name changes nothing: some are tried under both, the others in turn under one
			if i%4 != 0 {
				names = names[i%2 : i%2+1]
			}
			for _, name := range names {
				clip, err := d.Decode(context.Background(), file(t, name, raw), DefaultRequest())
				require.Nil(t, clip)
				var refused *Refusal
				require.ErrorAs(t, err, &refused)
				t.Log(err.Error(), "|", refused.Text.ZH)
				require.Equal(t, c.rule, refused.Rule)
				require.Contains(t, err.Error(), name+": ")
				require.Contains(t, refused.Text.EN, c.says)
				require.NotContains(t, err.Error(), "\n")
				require.NotContains(t, refused.Text.EN+refused.Text.ZH, "{")
				require.Less(t, len(err.Error()), 300)
			}
		})
	}
	require.Empty(t, childrenOf(os.Getpid()))
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	d := newDecoder(t, nil)
	for name, m := range map[string]pipeline.Media{"directory": pipeline.File(dir), "missing": pipeline.File(filepath.Join(dir, "none")), "device": pipeline.File("/dev/zero")} {
		_, err := d.Decode(context.Background(), m, DefaultRequest())
		require.ErrorIs(t, err, ErrUnreadable, name)
		var refused *Refusal
		require.NotErrorAs(t, err, &refused)
		t.Log(err)
	}
}

func TestTextsOfEveryRule(t *testing.T) {
	for rule, s := range texts {
		require.NotEmpty(t, s.en, rule)
		require.NotEmpty(t, s.zh, rule)
		require.LessOrEqual(t, strings.Count(s.zh, "{"), strings.Count(s.en, "{"), rule) // details of libav stay English
		require.Equal(t, strings.Contains(s.en, "{limit}"), strings.Contains(s.zh, "{limit}"), rule)
	}
}
