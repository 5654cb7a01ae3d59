package attack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrNoFFmpeg says that the programs which make the suite are not installed.
var ErrNoFFmpeg = errors.New("ffmpeg and ffprobe are not on the PATH: install ffmpeg (Debian: apt-get install ffmpeg), or use a suite that was made elsewhere")

// tools are the programs.
type tools struct{ ffmpeg, ffprobe string }

func findTools() (tools, error) {
	var t tools
	var err error
	if t.ffmpeg, err = exec.LookPath("ffmpeg"); err != nil {
		return t, fmt.Errorf("make a reuse suite: %w", ErrNoFFmpeg)
	}
	if t.ffprobe, err = exec.LookPath("ffprobe"); err != nil {
		return t, fmt.Errorf("make a reuse suite: %w", ErrNoFFmpeg)
	}
	return t, nil
}

// footage is what a file holds.
type footage struct {
	w, h    int // pixels, display orientation
	fps     float64
	seconds float64 // 0 for a photo
	sound   bool
}

// probe asks ffprobe.
func (t tools) probe(ctx context.Context, path string) (footage, error) {
	out, err := output(ctx, t.ffprobe, "-v", "error", "-show_entries", "stream=codec_type,width,height,avg_frame_rate,r_frame_rate:stream_side_data=rotation:format=duration", "-of", "json", path)
	if err != nil {
		return footage{}, fmt.Errorf("look into %s: %w", path, err)
	}
	var got struct {
		Streams []struct {
			Type     string `json:"codec_type"`
			W        int    `json:"width"`
			H        int    `json:"height"`
			Average  string `json:"avg_frame_rate"`
			Rate     string `json:"r_frame_rate"`
			SideData []struct {
				Rotation float64 `json:"rotation"`
			} `json:"side_data_list"`
		} `json:"streams"`
		Format struct {
			Duration string `json:"duration"`
		} `json:"format"`
	}
	if err := json.Unmarshal(out, &got); err != nil {
		return footage{}, fmt.Errorf("look into %s: read ffprobe's answer: %w", path, err)
	}
	var f footage
	for _, s := range got.Streams {
		switch {
		case s.Type == "audio":
			f.sound = true
		case s.Type == "video" && f.w == 0:
			f.w, f.h, f.fps = s.W, s.H, ratio(s.Average)
			if f.fps == 0 {
				f.fps = ratio(s.Rate)
			}
			for _, d := range s.SideData {
				if r := int(d.Rotation); r%180 != 0 {
					f.w, f.h = f.h, f.w
				}
			}
		}
	}
	if f.w < 16 || f.h < 16 {
		return footage{}, fmt.Errorf("look into %s: no picture of at least 16 x 16 pixels in it", path)
	}
	f.seconds, _ = strconv.ParseFloat(got.Format.Duration, 64) // photos have none
	return f, nil
}

// ratio reads "30000/1001"; 0 if it says nothing.
func ratio(s string) float64 {
	a, b, _ := strings.Cut(s, "/")
	x, err := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	if err != nil || err2 != nil || y == 0 {
		return 0
	}
	return x / y
}

// output runs a program and gives what it printed; an error has what it said.
func output(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // G204: our own arguments for a program found on the PATH
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(program), err, strings.TrimSpace(said.String()[max(0, said.Len()-1000):]))
	}
	return out, nil
}

// write runs ffmpeg on a file that takes its name only when it is whole, so that an interrupted run leaves nothing broken.
func (t tools) write(ctx context.Context, path string, args ...string) error {
	part := strings.TrimSuffix(path, filepath.Ext(path)) + ".part" + filepath.Ext(path)
	full := append([]string{"-nostdin", "-v", "error", "-y"}, args...)
	if _, err := output(ctx, t.ffmpeg, append(full, part)...); err != nil {
		_ = os.Remove(part)
		return fmt.Errorf("make %s: %w", path, err)
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	return nil
}

// exists says whether a file was made before.
func exists(path string) (bool, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil:
		return info.Size() > 0, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, err
	}
}
