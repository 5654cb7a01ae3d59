package media

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hang runs a child that never answers.
func hang(ctx context.Context, t *testing.T, d *Decoder) error {
	t.Helper()
	src, err := d.open(ctx, file(t, "clip.mp4", clipMP4(t)))
	require.NoError(t, err)
	defer func() { require.NoError(t, src.file.Close()) }()
	req := d.request(src, DefaultRequest())
	req.Hang = true
	b := newBuilder(src)
	defer b.clip.Close()
	_, err = d.runChild(ctx, src, req, b)
	return err
}

func TestHangingChildIsKilledOnTimeout(t *testing.T) {
	d := newDecoder(t, func(o *Options) { o.Timeout = 700 * time.Millisecond })
	err := hang(context.Background(), t, d)
	var refused *Refusal
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "too_much_processing", refused.Rule)
	require.Contains(t, err.Error(), "0.7 s")
	require.Empty(t, childrenOf(os.Getpid()))
}

func TestHangingChildIsKilledWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	stop := time.AfterFunc(200*time.Millisecond, cancel)
	defer stop.Stop()
	err := hang(ctx, t, newDecoder(t, nil))
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrDecoder)
	require.ErrorIs(t, hang(ctx, t, newDecoder(t, nil)), context.Canceled) // cancelled before it starts
	require.Empty(t, childrenOf(os.Getpid()))
}

func TestProcessorTimeIsLimited(t *testing.T) {
	second := file(t, "second.mp4", made(t, "second.mp4", "-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=30:duration=1", "-c:v", "libx264", "-preset", "ultrafast", "-qp", "18", "-pix_fmt", "yuv420p"))
	raw := made(t, "heavy.mp4", "-stream_loop", "40", "-i", string(second), "-c", "copy")
	d := newDecoder(t, func(o *Options) { o.Limits.CPU = time.Second; o.Limits.DecodedPixels = 1 << 40 })
	_, err := d.Decode(context.Background(), file(t, "heavy.mp4", raw), DefaultRequest())
	var refused *Refusal
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "too_much_processing", refused.Rule)
	require.Empty(t, childrenOf(os.Getpid()))
}

func TestMemoryIsLimited(t *testing.T) {
	raw := made(t, "wide.mp4", "-f", "lavfi", "-i", "testsrc2=size=3840x2160:rate=10:duration=2", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
	d := newDecoder(t, func(o *Options) { o.Limits.MemoryBytes = 60 << 20 })
	_, err := d.Decode(context.Background(), file(t, "wide.mp4", raw), DefaultRequest())
	var refused *Refusal
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "too_much_memory", refused.Rule)
	clip, err := newDecoder(t, nil).Decode(context.Background(), file(t, "wide.mp4", raw), DefaultRequest())
	require.NoError(t, err)
	defer clip.Close()
	require.Less(t, clip.Usage.PeakRSS, int64(600<<20))
	require.Positive(t, clip.Usage.PeakRSS)
	require.Equal(t, 1280, clip.Frames[0].Image.Cols())
}

func TestSandboxHolds(t *testing.T) {
	h, err := newDecoder(t, nil).Doctor(context.Background())
	require.NoError(t, err)
	require.Empty(t, h.Leaks)
	require.GreaterOrEqual(t, h.Tried, 37)
	require.Subset(t, h.Walls, []string{"rlimits", "no_new_privs", "seccomp"})
	require.Len(t, append(h.Walls, h.Missing...), 4, "landlock stands or is reported missing")
	require.Contains(t, h.Libav, "libavcodec")
}

func TestSandboxOfARealClip(t *testing.T) {
	clip := decoded(t, file(t, "clip.mp4", clipMP4(t)), DefaultRequest())
	h, err := newDecoder(t, nil).Doctor(context.Background())
	require.NoError(t, err)
	require.Equal(t, h.Walls, clip.Sandbox)
	require.Equal(t, h.Libav, clip.Libav)
	require.Positive(t, clip.Usage.CPU)
	require.Positive(t, clip.Usage.Wall)
}

// script is a program that stands in for the child.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "child")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700))
	return path
}

func TestChildOutOfControl(t *testing.T) {
	for name, body := range map[string]string{
		"says nothing":         "exit 0",
		"another version":      `printf 'ONSDEC\000\002'`,
		"greets and stops":     `printf 'ONSDEC\000\001\001\000\000\000\002\000\000\000{}'`,
		"talks nonsense":       "head -c 100000 /dev/zero",
		"talks without end":    "cat /dev/zero",
		"huge record":          `printf 'ONSDEC\000\001\001\000\000\000\377\377\377\377'; cat /dev/zero`,
		"leaves a grandchild":  "sleep 1000 & sleep 1000 & exit 0",
		"talks on the side":    `echo no such decoder >&2; exit 1`,
		"frames before header": `printf 'ONSDEC\000\001\001\000\000\000\002\000\000\000{}\004\000\000\000\030\000\000\000'; cat /dev/zero`,
	} {
		t.Run(name, func(t *testing.T) {
			d := newDecoder(t, func(o *Options) { o.Path = script(t, body) })
			_, err := d.Decode(context.Background(), file(t, "clip.mp4", clipMP4(t)), DefaultRequest())
			require.ErrorIs(t, err, ErrDecoder)
			require.NotContains(t, err.Error(), "\n")
			require.Empty(t, childrenOf(os.Getpid()))
		})
	}
}

func TestCrashingChildIsTheMediasFault(t *testing.T) {
	d := newDecoder(t, func(o *Options) { o.Path = script(t, "kill -SEGV $$") })
	_, err := d.Decode(context.Background(), file(t, "clip.mp4", clipMP4(t)), DefaultRequest())
	var refused *Refusal
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "decoder_crashed", refused.Rule)
}

func TestNoProgram(t *testing.T) {
	_, err := NewDecoder(Options{Path: "/nonexistent/onsite-decode"})
	require.ErrorIs(t, err, ErrDecoder)
	require.ErrorContains(t, err, "make build")
	_, err = NewDecoder(Options{Path: t.TempDir()})
	require.ErrorIs(t, err, ErrDecoder)
}

func TestManyAtOnce(t *testing.T) {
	d := newDecoder(t, nil)
	clip, photo := file(t, "clip.mp4", clipMP4(t)), file(t, "photo.jpg", jpegOf(t, quarters(320, 240)))
	first, err := d.Decode(context.Background(), clip, DefaultRequest())
	require.NoError(t, err)
	defer first.Close()
	before := openFiles(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			c, err := d.Decode(context.Background(), clip, DefaultRequest())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if c.Info.SHA256 != first.Info.SHA256 || c.Info.PacketsSHA256 != first.Info.PacketsSHA256 || len(c.Motion.Frames) != len(first.Motion.Frames) {
				t.Error("another answer for the same file")
			}
			for i, f := range c.Motion.Frames {
				if string(f.Gray) != string(first.Motion.Frames[i].Gray) {
					t.Error("other pixels for the same file")
				}
			}
			p, err := d.Decode(context.Background(), photo, DefaultRequest())
			if err != nil {
				t.Error(err)
				return
			}
			p.Close()
		})
	}
	wg.Wait()
	require.Equal(t, before, openFiles(t))
	require.Empty(t, childrenOf(os.Getpid()))
}

func TestChildHasNoOpenCV(t *testing.T) {
	out, err := exec.Command("readelf", "-d", child).Output()
	require.NoError(t, err)
	require.Contains(t, string(out), "libavcodec")
	require.NotContains(t, string(out), "opencv")
	require.NotContains(t, string(out), "onnx")
}
