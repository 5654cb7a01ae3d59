package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"onsite/pipeline/media/wire"
)

// greeted is a sink that does something when the child stands behind its walls.
type greeted struct {
	*builder
	then func()
}

func (g greeted) Hello(h wire.Hello) error {
	g.then()
	return g.builder.Hello(h)
}

// hang runs a child that greets and then does nothing.
func hang(ctx context.Context, t *testing.T, d *Decoder, then func()) error {
	t.Helper()
	src, err := d.open(context.Background(), file(t, "clip.mp4", clipMP4(t)))
	require.NoError(t, err)
	defer func() { require.NoError(t, src.file.Close()) }()
	req := d.request(src, DefaultRequest())
	req.Hang = true
	b := newBuilder(src)
	defer b.clip.Close()
	_, err = d.runChild(ctx, src, req, greeted{b, then})
	return err
}

func TestHangingChildIsKilledOnTimeout(t *testing.T) {
	stood := false
	// On a busy machine the child may not stand yet when a short timeout is over: the answer is the same, but then it is asked again.
	for timeout := 200 * time.Millisecond; !stood; timeout *= 2 {
		d := newDecoder(t, func(o *Options) { o.Timeout = timeout })
		err := hang(context.Background(), t, d, func() { stood = true })
		var refused *Refusal
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "too_much_processing", refused.Rule)
		require.Contains(t, err.Error(), length(timeout))
		require.Empty(t, childrenOf(os.Getpid()))
	}
}

func TestHangingChildIsKilledWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	d := newDecoder(t, nil)
	stood := 0
	stop := func() {
		stood = len(childrenOf(os.Getpid()))
		cancel()
	}
	err := hang(ctx, t, d, stop)
	require.Equal(t, 1, stood)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrDecoder)
	require.ErrorIs(t, hang(ctx, t, d, stop), context.Canceled, "cancelled before it starts")
	require.Empty(t, childrenOf(os.Getpid()))
}

// lateCancel is a context that is cancelled right after it was looked at for the first time.
type lateCancel struct {
	context.Context
	cancel func()
}

func (c lateCancel) Err() error {
	err := c.Context.Err()
	c.cancel()
	return err
}

func TestContextIsDoneWhenTheChildStarts(t *testing.T) {
	never := func() { t.Error("the child stands") }
	err := hang(context.Background(), t, newDecoder(t, func(o *Options) { o.Timeout = 1 }), never)
	var refused *Refusal
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "too_much_processing", refused.Rule)
	require.NotErrorIs(t, err, ErrDecoder)

	reason := errors.New("the operator changed her mind")
	ctx, cancel := context.WithCancelCause(context.Background())
	err = hang(lateCancel{ctx, func() { cancel(reason) }}, t, newDecoder(t, nil), never)
	require.ErrorIs(t, err, reason)
	require.NotErrorIs(t, err, ErrDecoder)
}

func TestInheritedDescriptorsAreClosed(t *testing.T) {
	secret := file(t, "secret", []byte("x"))
	f, err := os.Open(string(secret))
	require.NoError(t, err)
	defer f.Close()
	leak, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD, 10) // every program started from now on inherits it
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Close(leak)) }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var open []string
	err = hang(ctx, t, newDecoder(t, nil), func() {
		for _, process := range childrenOf(os.Getpid()) {
			pid, _, _ := strings.Cut(process, " ")
			links, _ := filepath.Glob("/proc/" + pid + "/fd/*")
			for _, link := range links {
				to, err := os.Readlink(link)
				if err == nil {
					open = append(open, to)
				}
			}
		}
		cancel()
	})
	require.ErrorIs(t, err, context.Canceled)
	require.GreaterOrEqual(t, len(open), 4)
	require.NotContains(t, open, string(secret))
}

func TestWordsOfTheChildAreBounded(t *testing.T) {
	const said = 64 << 20
	words := tail{limit: 4 << 10}
	endless, err := os.Open("/dev/zero")
	require.NoError(t, err)
	defer endless.Close()
	_, err = io.Copy(&words, io.LimitReader(endless, said))
	require.NoError(t, err)
	require.Equal(t, words.limit, words.Len())

	body := fmt.Sprintf("head -c %d /dev/zero >&2; head -c %d /dev/zero; exit 1", said, said)
	d := newDecoder(t, func(o *Options) { o.Path = script(t, body) })
	taken := func(do func()) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		do()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	clip := file(t, "clip.mp4", clipMP4(t))
	require.Less(t, taken(func() {
		_, err := d.Decode(context.Background(), clip, DefaultRequest())
		require.ErrorIs(t, err, ErrDecoder)
	}), uint64(said/8))
	require.Less(t, taken(func() {
		_, err := d.Doctor(context.Background())
		require.ErrorIs(t, err, ErrDecoder)
	}), uint64(said/8))
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
	require.GreaterOrEqual(t, h.Tried, 38)
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

func TestSandboxOfTheMeasure(t *testing.T) {
	d := newDecoder(t, nil)
	h, err := d.Doctor(context.Background())
	require.NoError(t, err)
	src, err := d.open(context.Background(), file(t, "clip.mp4", clipMP4(t)))
	require.NoError(t, err)
	defer src.file.Close()
	req := d.request(src, DefaultRequest())
	req.Bare = true
	b := newBuilder(src)
	defer b.clip.Close()
	_, err = d.runChild(context.Background(), src, req, b)
	require.NoError(t, err)
	require.Equal(t, h.Walls, b.clip.Sandbox)
	require.Empty(t, b.clip.Frames)
}

func TestFileThatBecomesShorter(t *testing.T) {
	d := newDecoder(t, nil)
	for _, raw := range [][]byte{clipMP4(t), clipWebM(t)} {
		src, err := d.open(context.Background(), file(t, "clip", raw))
		require.NoError(t, err)
		defer src.file.Close()
		src.size += 100 // as if a piece had gone since the size was asked for
		b := newBuilder(src)
		defer b.clip.Close()
		_, err = d.runChild(context.Background(), src, d.request(src, DefaultRequest()), b)
		var refused *Refusal
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "media_truncated", refused.Rule)
	}
}

func TestBounds(t *testing.T) {
	d := newDecoder(t, nil)
	clip, photo := &source{container: "mp4"}, &source{container: "jpeg"}
	plain := bounds(clip, d.request(clip, DefaultRequest()))
	require.Equal(t, 60, plain.Stills)
	require.LessOrEqual(t, plain.Motions, 20*5*60+64+8*24)
	require.GreaterOrEqual(t, plain.Motions, 20*5*60)
	require.GreaterOrEqual(t, plain.Bytes, 2*int64(60*1280*720*3+3000*160*90))
	for _, r := range []Request{{}, {MaxSide: 4096, MaxStills: 1 << 30, Motion: true}, {MaxSide: 1 << 40, PhotoMaxSide: 1 << 40, MaxStills: 1 << 40, Motion: true}} {
		for _, src := range []*source{clip, photo} {
			b := bounds(src, d.request(src, r))
			require.Positive(t, b.Bytes)
			require.LessOrEqual(t, b.Bytes, int64(1<<30))
			require.LessOrEqual(t, squares(b.Stills, b.StillSide), b.Bytes, "what is asked for fits")
		}
	}
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

// TestSourcesOfTheChild looks at the child's sources, so that "go test" does not take results of an older child from its cache.
func TestSourcesOfTheChild(t *testing.T) {
	list, err := filepath.Glob("../../cmd/onsite-decode/*.[cgh]*")
	require.NoError(t, err)
	for _, path := range list {
		_, err := os.ReadFile(path)
		require.NoError(t, err)
	}
	require.Contains(t, list, "../../cmd/onsite-decode/filter.go")
	require.Contains(t, list, "../../cmd/onsite-decode/decode.h")
}

// TestChildIsSmall: what the child loads with every clip and photo costs processor time each time. libav is in the program itself, libheif is loaded
// for HEIC, and nothing of OpenCV or ONNX Runtime is there at all.
func TestChildIsSmall(t *testing.T) {
	out, err := exec.Command("readelf", "-d", child).Output()
	require.NoError(t, err)
	var libraries []string
	for _, m := range regexp.MustCompile(`\(NEEDED\).*\[(\w+)\.so`).FindAllStringSubmatch(string(out), -1) {
		libraries = append(libraries, m[1])
	}
	require.ElementsMatch(t, []string{"libz", "libbz2", "libm", "libseccomp", "libc"}, libraries)
}
