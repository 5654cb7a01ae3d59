package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"onsite/cmd/onsite/config"
	"onsite/cmd/onsite/service"
	"onsite/pipeline"
	"onsite/pipeline/bench"
	"onsite/pipeline/media"
	"onsite/pipeline/verify"
)

type benchCmd struct {
	Core     benchCoreCmd     `cmd:"" default:"withargs" help:"CPU per stage against the budget, throughput."`
	Face     benchFaceCmd     `cmd:"" help:"Face accuracy on DIR/<identity>/*."`
	Reuse    benchReuseCmd    `cmd:"" help:"Reuse accuracy on labelled pairs or an attack suite; makes suites."`
	Text     benchTextCmd     `cmd:"" help:"Names on signs: DIR/text.csv."`
	Place    benchPlaceCmd    `cmd:"" help:"Rooms from other angles on DIR/<place>/*; makes backgrounds."`
	Scene    benchSceneCmd    `cmd:"" help:"Generic scene heads on DIR/<class>/*: shipped, and trained on the folder itself."`
	Liveness benchLivenessCmd `cmd:"" help:"Liveness and authenticity on DIR/real/* and DIR/fake/**."`
	API      benchAPICmd      `cmd:"" name:"api" help:"What the service takes and finishes per second, around a core that does nothing."`
}

// benchCommon is what every table has.
type benchCommon struct {
	JSON bool `help:"Print JSON."`
}

// show prints a result as JSON or with the given table.
func (c benchCommon) show(e *env, result any, table func(t sheet)) error {
	if c.JSON {
		return e.printJSON(result)
	}
	t := newSheet(e)
	table(t)
	return t.Flush()
}

type benchCoreCmd struct {
	benchCommon
	Clips    string  `help:"Folder of clips; the end of each is cut off, and its person is enrolled from there. Default: two 15 s 720p clips made from the demo footage." placeholder:"DIR"`
	Runs     int     `help:"How often each clip is verified." default:"3"`
	Workers  int     `help:"Clips verified at once in the throughput part. Default: one per core."`
	Curve    bool    `help:"Also measure the throughput of 1, 2, 4, ... workers up to one per core."`
	Baseline string  `help:"naive: also run the obvious pipeline (make bench builds bin/onsite-naive) on each clip." enum:"none,naive" default:"none"`
	Early    bool    `name:"early-exit" help:"Also measure the clips under a policy with early_exit: the second row." default:"true" negatable:""`
	Photos   bool    `help:"Also measure a photo of 9 megapixels from each clip." default:"true" negatable:""`
	Apart    bool    `help:"Also measure the clips with a history of other scenes (no candidate for reuse), and the pictures that a service keeps." default:"true" negatable:""`
	Load     float64 `help:"Also measure the latency at this share of the throughput, clips coming whether or not anybody is free; 0: do not." default:"0"`
	Arrivals int     `help:"How many clips come for --load." default:"40"`
	Spacing  string  `help:"How they come: random (independent people) or even." enum:"random,even" default:"random"`
	HTML     string  `help:"Also write a page with plots." placeholder:"FILE" type:"path"`
	Compare  string  `help:"JSON of an earlier run to compare with." placeholder:"FILE" type:"existingfile"`
	Provider string  `help:"What runs the models. Strict: when it cannot, there is no measurement. cuda and tensorrt need \"make setup-gpu\"." enum:"cpu,cuda,tensorrt,openvino" default:"cpu"`
	Device   int     `help:"Number of the provider's device."`
	Runtime  string  `help:"An ONNX Runtime of your own, its providers beside it (openvino)." placeholder:"FILE" type:"existingfile"`
	Batch    int     `help:"Pictures of different clips that one run of a model takes together. Default: 16 on a GPU, 1 on the processor."`
}

// check says what of the flags cannot be, before minutes are spent.
func (c *benchCoreCmd) check() error {
	for _, f := range []struct {
		ok   bool
		flag string
		want pipeline.Text
	}{
		{c.Runs >= 1, fmt.Sprintf("--runs %d", c.Runs), pipeline.Text{EN: "1 or more", ZH: "1 或以上"}},
		{c.Workers >= 0, fmt.Sprintf("--workers %d", c.Workers), pipeline.Text{EN: "1 or more, or 0 for one per core", ZH: "1 或以上；0 表示每个核心一个"}},
		{c.Batch >= 0, fmt.Sprintf("--batch %d", c.Batch), pipeline.Text{EN: "1 or more, or 0 for the usual", ZH: "1 或以上；0 表示默认值"}},
		{c.Load >= 0 && c.Load < 1, fmt.Sprintf("--load %g", c.Load), pipeline.Text{EN: "a share of the throughput below 1, or 0 to leave it out", ZH: "小于 1 的吞吐量比例；0 表示不测"}},
		{c.Load == 0 || c.Arrivals >= 1, fmt.Sprintf("--arrivals %d", c.Arrivals), pipeline.Text{EN: "1 or more", ZH: "1 或以上"}},
	} {
		if !f.ok {
			return usagef(pipeline.Text{EN: f.flag + ": want " + f.want.EN, ZH: f.flag + "：应为" + f.want.ZH})
		}
	}
	if c.Compare != "" {
		if _, err := bench.ReadResult(c.Compare); err != nil {
			return pathError("--compare", c.Compare, err, "name what `onsite bench core --json` printed", "请指定 onsite bench core --json 的输出文件")
		}
	}
	if c.HTML != "" {
		_, there := os.Stat(c.HTML)
		f, err := os.OpenFile(c.HTML, os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // G302: a page to be read
		if err != nil {
			return pathError("--html", c.HTML, err, "name a file that can be written", "请指定可写入的文件")
		}
		if errors.Is(there, fs.ErrNotExist) {
			defer func() { _ = os.Remove(c.HTML) }() // made to try it only; a run that fails leaves no empty page
		}
		return f.Close()
	}
	return nil
}

func (c *benchCoreCmd) Run(ctx context.Context, e *env) error {
	if err := c.check(); err != nil {
		return err
	}
	core, err := newCoreOn(media.Options{}, service.ModelOptions(config.Worker{Provider: c.Provider, Device: c.Device, Runtime: c.Runtime, Batch: c.Batch}))
	if err != nil {
		return err
	}
	defer core.close()
	if err := core.Models.Warm(ctx); err != nil { // a provider that is not used must not cost a run first
		return err
	}
	dir, err := os.MkdirTemp("", "onsite-bench")
	if err != nil {
		return fmt.Errorf("bench: make a folder for clips: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a folder in the temporary one; the system clears it if we cannot
	clips, strangers, err := c.clips(ctx, e, dir)
	if err != nil {
		return err
	}
	if c.Workers == 0 {
		c.Workers = runtime.NumCPU()
	}
	o := bench.Options{Clips: clips, Strangers: strangers, Apart: c.Apart, Runs: c.Runs, Workers: c.Workers, EarlyExit: c.Early, Photos: c.Photos, Load: c.Load, Arrivals: c.Arrivals, Spacing: bench.Spacing(c.Spacing)}
	for w := 1; c.Curve && w <= runtime.NumCPU(); w *= 2 {
		o.Curve = append(o.Curve, w)
	}
	if c.Baseline == "naive" {
		if o.Naive, err = naive(); err != nil {
			return err
		}
	}
	bar := newProgress(e)
	o.Progress = bar.count("clips", "视频")
	r, err := bench.Core(ctx, &core.Verifier, o)
	bar.close()
	if err != nil {
		return err
	}
	if c.Compare != "" {
		if err := r.Compare(c.Compare); err != nil {
			return err
		}
	}
	if c.HTML != "" {
		if err := writePage(c.HTML, e.lang, r); err != nil {
			return err
		}
	}
	if err := c.show(e, r, func(t sheet) { coreTable(t, r) }); err != nil {
		return err
	}
	if missing := r.NotRun(); len(missing) > 0 {
		names := fmt.Sprint(missing)
		return shortfall("not_checked", "a wanted check was not made on every clip: "+names+"; the table says how often", "并非每段视频都完成了所要求的检查："+names+"；次数见表格")
	}
	return nil
}

func coreTable(t sheet, r bench.Result) {
	t.line("stage\tCPU ms\tsingle runs\tbudget ms", "阶段\tCPU 毫秒\t单次运行\t预算毫秒")
	for _, s := range r.Table {
		mark := ""
		if s.CPUMS > s.BudgetMS {
			mark = t.say("over", "超出")
		}
		t.line("%s\t%.0f\t%.0f to %.0f\t%.0f\t%s", "%s\t%.0f\t%.0f 至 %.0f\t%.0f\t%s", s.Name, s.CPUMS, s.LowMS, s.HighMS, s.BudgetMS, mark)
	}
	t.line("all, median\t%.0f\n", "合计（中位数）\t%.0f\n", r.CPUSPerClip*1000)
	t.line("decoding against bare libav\t%.2f\t\t%.2f\t(bare: %.0f ms)", "解码与单独 libav 之比\t%.2f\t\t%.2f\t（单独：%.0f 毫秒）", r.DecodeRatio, bench.MaxDecodeRatio, r.BareDecodeMS)
	if d := r.Detail; d != nil {
		t.line("efficiency\t%.2f\t\t\t(libav %.0f, conversion %.0f, ONNX Runtime %.0f (sampled %.0f; %d runs that were not recorded: %.0f), OpenCV %.0f, kernels %.0f of child %.0f + pipeline %.0f ms)",
			"效率\t%.2f\t\t\t（libav %.0f、转换 %.0f、ONNX Runtime %.0f（采样 %.0f；未记录的 %d 次运行：%.0f）、OpenCV %.0f、内核 %.0f，共计子进程 %.0f + 流水线 %.0f 毫秒）",
			d.Ratio, d.DecodeMS, d.ConvertMS, d.ModelMS, d.SampledMS, d.UnheldRuns, d.UnheldMS, d.OpenCVMS, d.KernelMS, d.ChildMS, d.PipelineMS)
		for _, f := range slices.SortedFunc(maps.Keys(d.Outside), func(a, b string) int { return cmp.Compare(d.Outside[b], d.Outside[a]) }) {
			t.line("  outside: %s\t%.0f", "  其外：%s\t%.0f", f, d.Outside[f])
		}
	}
	if a := r.Apart; a != nil {
		t.line("without a candidate for reuse\t%.0f\t\t%d\t(reuse %.0f; %d of %d clips)", "没有重复候选时\t%.0f\t\t%d\t（重复检查 %.0f；%d 段视频，共 %d 段）",
			a.CPUSPerClip*1000, bench.MaxApartMS, a.Stages[string(verify.StageReuse)], a.Clips, r.Clips)
	}
	if k := r.Kept; k != nil {
		t.line("pictures that are kept, apart\t%.0f\t\t\t(%.1f of a clip, %.0f ms each; %d of %d verdicts pass: those keep 3, others up to 12)",
			"另计：留存的图片\t%.0f\t\t\t（每段视频 %.1f 张，每张 %.0f 毫秒；%d 个结论通过，共 %d 个：通过者留存 3 张，其他至多 12 张）", k.CPUMS, k.Pictures, k.EachMS, k.Passed, k.Clips)
	}
	if x := r.EarlyExit; x != nil {
		t.line("with early exit\t%.0f\t\t\t(same outcomes on %.0f %% of the clips, stopped early on %.0f %%)", "启用提前结束\t%.0f\t\t\t（%.0f%% 的视频结果相同，%.0f%% 提前结束）",
			x.CPUSPerClip*1000, x.SameOutcomes*100, x.Stopped*100)
	}
	if p := r.Photo; p != nil {
		t.line("a photo of %.0f MP\t%.0f\t\t%d", "一张 %.0f 百万像素的照片\t%.0f\t\t%d", float64(p.Pixels)/1e6, p.CPUMS, bench.MaxPhotoMS)
		for _, s := range slices.Sorted(maps.Keys(p.Stages)) {
			t.data("  %s\t%.0f", s, p.Stages[s])
		}
	}
	if l := r.Loaded; l != nil {
		t.line("at %.0f %% load: p50, p99\t%.0f, %.0f ms\t\t\t(p99 is %.2f times the median of %d, spacing %s; a clip takes %.0f ms)",
			"负载 %.0f%% 时：p50、p99\t%.0f、%.0f 毫秒\t\t\t（p99 是 %[5]d 次的中位数的 %.2[4]f 倍，到达间隔 %[6]s；一段视频用时 %.0[7]f 毫秒）",
			l.Share*100, l.P50MS, l.P99MS, l.P99ToMedian, l.Arrivals, l.Spacing, l.ServiceMS)
		t.line("  a queue of these times alone\t%.0f, %.0f ms\t\t\t(%.2f times; %.2f in the long run)", "  仅由这些用时构成的队列\t%.0f、%.0f 毫秒\t\t\t（%.2f 倍；长期为 %.2f 倍）",
			l.Queue.P50MS, l.Queue.P99MS, l.Queue.P99ToMedian, l.Steady.P99ToMedian)
	}
	t.line("clips/s on %d cores\t%.2f", "%d 核时视频/秒\t%.2f", r.Cores, r.ClipsPerS)
	for _, c := range r.Scaling {
		t.line("clips/s with %d workers\t%.2f", "%d 个并发时视频/秒\t%.2f", c.Workers, c.ClipsPerS)
	}
	t.line("latency p50, p95, p99\t%.0f, %.0f, %.0f ms", "延迟 p50、p95、p99\t%.0f、%.0f、%.0f 毫秒", r.P50MS, r.P95MS, r.P99MS)
	t.line("peak memory\t%.0f MB", "内存峰值\t%.0f MB", float64(r.PeakRSSBytes)/1e6)
	t.line("clips, runs\t%d, %d", "视频、运行次数\t%d、%d", r.Clips, r.Runs)
	for _, name := range pipeline.CheckNames {
		if n := r.Checks[name]; len(n) > 0 {
			var outcomes []string
			for _, o := range slices.Sorted(maps.Keys(n)) {
				outcomes = append(outcomes, fmt.Sprintf("%s %d", o, n[o]))
			}
			t.data("%s\t%s", name, strings.Join(outcomes, ", "))
		}
	}
	if b := r.Baseline; b != nil {
		naiveTable(t, r, b)
	}
	if c := r.Compared; c != nil {
		t.line("against %s\t%.2f\t\t\t(%.2f where bare decoding, %.2f times as dear now, is the measure)", "与 %s 相比\t%.2f\t\t\t（以单独解码为尺度则为 %.2f；单独解码现在是当时的 %.2f 倍）", c.With, c.Total, c.Fair, c.Machine)
		for _, s := range slices.Sorted(maps.Keys(c.Stages)) {
			t.data("  %s\t%.2f", s, c.Stages[s])
		}
	}
}

func naiveTable(t sheet, r bench.Result, b *bench.Baseline) {
	t.line("naive pipeline\t%.0f ms\t\t\t(%.1f times; same decisions on %.0f %% of %d clips)", "朴素流水线\t%.0f 毫秒\t\t\t（%.1f 倍；%[4]d 段视频中 %.0[3]f%% 结论相同）",
		b.CPUSPerClip*1000, b.CPUSPerClip/r.CPUSPerClip, b.SameDecisions*100, b.Clips)
	if a := r.Apart; a != nil { // nothing in its history is like anything: what it does on both
		t.line("  against a history without a candidate\t\t\t\t(%.1f times)", "  与没有候选的历史相比\t\t\t\t（%.1f 倍）", b.CPUSPerClip/a.CPUSPerClip)
	}
	for _, s := range slices.Sorted(maps.Keys(b.Stages)) {
		t.data("  %s\t%.0f", s, b.Stages[s])
	}
	for _, p := range b.Each {
		t.line("  %s\t%.0f\t\t\t(ours %.0f: %.1f times)", "  %s\t%.0f\t\t\t（Onsite %.0f：%.1f 倍）", p.File, p.NaiveMS, p.OnsiteMS, p.NaiveMS/p.OnsiteMS)
	}
	for _, d := range b.Differ {
		t.data("  %s", d)
	}
}

func writePage(path, lang string, r bench.Result) error {
	var page bytes.Buffer
	if err := r.Page(&page, lang); err != nil {
		return err
	}
	if err := os.WriteFile(path, page.Bytes(), 0o644); err != nil {
		return fmt.Errorf("bench: write the page: %w", err)
	}
	return nil
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
