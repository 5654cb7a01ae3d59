package spoof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrNoFFmpeg says that the program which reads and writes clips is not installed.
var ErrNoFFmpeg = errors.New("ffmpeg and ffprobe are not on the PATH: install ffmpeg (Debian: apt-get install ffmpeg), or use a suite that was made elsewhere")

// picture is W x H x 3, BGR, 0..255.
type picture struct {
	w, h int
	pix  []byte
}

func newPicture(w, h int) picture { return picture{w: w, h: h, pix: make([]byte, w*h*3)} }

// film is a cut of a clip in memory.
type film struct {
	w, h   int
	fps    float64
	frames []picture
}

// at is the frame shown at a time, the last one after the end.
func (f *film) at(seconds float64) picture {
	i := int(seconds * f.fps)
	return f.frames[min(max(i, 0), len(f.frames)-1)]
}

func (f *film) seconds() float64 { return float64(len(f.frames)) / f.fps }

// shape is the size and rate of a clip, as it is stored: turned by a quarter it is shown upright.
type shape struct {
	w, h   int
	fps    float64
	turned bool
}

// probe asks ffprobe.
func probe(ctx context.Context, path string) (shape, error) {
	out, err := run(ctx, "ffprobe", nil, "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height,avg_frame_rate:stream_side_data=rotation", "-of", "csv=p=0", path)
	if err != nil {
		return shape{}, fmt.Errorf("look into %s: %w", path, err)
	}
	parts := strings.Split(strings.TrimSpace(strings.Split(string(out), "\n")[0]), ",")
	if len(parts) < 3 {
		return shape{}, fmt.Errorf("look into %s: no picture stream", path)
	}
	w, _ := strconv.Atoi(parts[0])
	h, _ := strconv.Atoi(parts[1])
	a, b, _ := strings.Cut(parts[2], "/")
	n, _ := strconv.ParseFloat(a, 64)
	d, _ := strconv.ParseFloat(b, 64)
	if w < 16 || h < 16 || n <= 0 || d <= 0 {
		return shape{}, fmt.Errorf("look into %s: %s is no picture size and rate", path, strings.Join(parts, ","))
	}
	turned := false
	if len(parts) > 3 {
		turn, err := strconv.Atoi(strings.TrimSpace(parts[3]))
		turned = err == nil && turn%180 != 0
	}
	return shape{w, h, n / d, turned}, nil
}

// loadFilm reads a cut with its longer side at most side pixels, at most 30 frames a second.
func loadFilm(ctx context.Context, path string, from, length float64, side int) (*film, error) {
	is, err := probe(ctx, path)
	if err != nil {
		return nil, err
	}
	w, h := is.w, is.h
	if is.turned {
		w, h = h, w
	}
	f := &film{fps: min(is.fps, 30)}
	scale := min(float64(side)/float64(max(w, h)), 1)
	f.w, f.h = even(float64(w)*scale), even(float64(h)*scale)
	raw, err := run(ctx, "ffmpeg", nil, "-nostdin", "-v", "error", "-threads", "1", "-ss", fmt.Sprintf("%.3f", from), "-t", fmt.Sprintf("%.3f", length), "-i", path,
		"-vf", fmt.Sprintf("fps=%.4f,scale=%d:%d:flags=area", f.fps, f.w, f.h), "-an", "-f", "rawvideo", "-pix_fmt", "bgr24", "-")
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	size := f.w * f.h * 3
	for i := 0; i+size <= len(raw); i += size {
		f.frames = append(f.frames, picture{f.w, f.h, raw[i : i+size]})
	}
	if len(f.frames) < 8 {
		return nil, fmt.Errorf("read %s from %.1f s: %d frames, at least 8 are needed", path, from, len(f.frames))
	}
	return f, nil
}

// save writes a shot, as H.264 when it has no codec of its own. The file takes its name only when it is whole.
func save(ctx context.Context, path string, s *shot) error {
	ext := filepath.Ext(path)
	part := strings.TrimSuffix(path, ext) + ".part" + ext
	r, wr := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range s.n {
			if _, err := wr.Write(s.motion(i).pix); err != nil {
				_ = wr.CloseWithError(err)
				return
			}
		}
		_ = wr.Close()
	}()
	args := []string{"-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", fmt.Sprintf("%dx%d", s.w, s.h), "-r", fmt.Sprintf("%.4f", s.fps), "-i", "-"}
	if s.codec.args == nil {
		args = append(args, "-c:v", "libx264", "-preset", "superfast", "-crf", strconv.Itoa(s.crf))
	}
	args = append(append(args, s.codec.args...), "-threads", "1", "-pix_fmt", "yuv420p", "-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", part)
	_, err := run(ctx, "ffmpeg", r, args...)
	r.CloseWithError(io.ErrClosedPipe)
	<-done // its error is that ffmpeg went away, which err tells better
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("make %s: %w", path, err), os.RemoveAll(part))
	}
	return nil
}

// run runs a program and gives what it printed; an error has what it said.
func run(ctx context.Context, program string, in io.Reader, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // G204: our own arguments for a program found on the PATH
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &said
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return nil, ErrNoFFmpeg
		}
		return nil, fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(said.String()[max(0, said.Len()-500):]))
	}
	return out.Bytes(), nil
}

func even(v float64) int { return max(2, int(v/2+0.5)*2) }
