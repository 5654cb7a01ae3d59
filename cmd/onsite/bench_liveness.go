package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"onsite/pipeline"
	"onsite/pipeline/bench/spoof"
	"onsite/pipeline/liveness"
	"onsite/pipeline/media"
)

type benchLivenessCmd struct {
	modelFlag
	benchCommon
	Data string `help:"Folder with honest photos and clips in real/ and attacks in fake/ or fake/<species>/." placeholder:"DIR" xor:"what" required:""`
	Make string `help:"Write a suite of generated attacks into this folder with ffmpeg; files that are there are kept." placeholder:"DIR" xor:"what" required:""`

	Clips   string   `help:"--make: folder of real clips; a folder in it, or a name up to '__', says whose they are (mp4, mov, webm, mkv; other files are left alone)." placeholder:"FOLDER"`
	Species []string `help:"--make: only these species or families."`
	Seconds float64  `help:"--make: length of a cut." default:"6"`
	Seed    uint64   `help:"--make: of all choices." default:"1"`
	Fit     string   `help:"--data: fit the weights of the signs to the suite and write them to this file." placeholder:"FILE"`
}

func (c *benchLivenessCmd) Run(ctx context.Context, e *env) error {
	if c.Make != "" {
		return c.make(ctx, e)
	}
	if err := filled(c.Data); err != nil {
		return pathError("--data", c.Data, err, "name a folder with honest photos and clips in real/ and attacks in fake/", "请指定文件夹：真实素材放在 real/，攻击素材放在 fake/")
	}
	o := liveness.DefaultBenchOptions()
	suite, err := originsOf(c.Data)
	if err != nil {
		return err
	}
	o.Suite = suite
	core, err := newCore(media.Options{}, c.Model...)
	if err != nil {
		return err
	}
	defer core.close()
	bar := newProgress(e)
	o.Progress = bar.count("files", "文件")
	r, err := liveness.Bench(ctx, c.Data, o, core.Decode, core.Models)
	bar.close()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(r.Items, func(it liveness.BenchItem) bool { return it.Error == "" }) {
		return usagef(pipeline.Text{
			EN: fmt.Sprintf("--data %s: none of the %d files can be measured; the first: %s: %s", c.Data, len(r.Items), r.Items[0].File, r.Items[0].Error),
			ZH: fmt.Sprintf("--data %s：%d 个文件均无法测量；第一个：%s：%s", c.Data, len(r.Items), r.Items[0].File, r.Items[0].Error),
		})
	}
	if c.Fit != "" {
		raw, err := liveness.Refit(r.Items, fmt.Sprintf("%d files of a generated suite, fitDecay and priors as in fuse.go and fit.go", len(r.Items)))
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.Fit, raw, 0o644); err != nil {
			return fmt.Errorf("write the weights: %w", err)
		}
	}
	return c.show(e, r, func(t sheet) { showLiveness(t, &r) })
}

func showLiveness(t sheet, r *liveness.BenchResult) {
	t.line("real files\t%d\tBPCER %s\t(95 %%: %.2f to %.2f; %d uncertain)", "真实文件\t%d\tBPCER %s\t（95%%：%.2f 至 %.2f；%d 个不确定）", r.Real.N, share(r.BPCER), r.Real.CI95[0], r.Real.CI95[1], r.Real.Uncertain)
	for _, s := range slices.Sorted(maps.Keys(r.Species)) {
		n := r.Species[s]
		t.line("%s\t%d\tAPCER %.3f\t(95 %%: %.2f to %.2f; %d fail, %d uncertain)\t%s", "%s\t%d\tAPCER %.3f\t（95%%：%.2f 至 %.2f；%d 个不通过，%d 个不确定）\t%s",
			s, n.N, r.APCER[s], n.CI95[0], n.CI95[1], n.Fail, n.Uncertain, caught(r.CaughtBy[s]))
	}
	if len(r.HeldOut) > 0 {
		t.line("\nweights fitted without the person and the species", "\n权重拟合时不含该人与该攻击种类")
		for _, s := range slices.Sorted(maps.Keys(r.HeldOut)) {
			n := r.HeldOut[s]
			t.line("%s\t%d\t%d pass, %d fail, %d uncertain\t(95 %%: %.2f to %.2f)", "%s\t%d\t%d 个通过，%d 个不通过，%d 个不确定\t（95%%：%.2f 至 %.2f）",
				s, n.N, n.Pass+n.NonResponse, n.Fail, n.Uncertain, n.CI95[0], n.CI95[1])
		}
	}
	t.line("ms per file\t%.0f\n", "每个文件毫秒\t%.0f\n", r.MSPerItem)
	for i := range r.Items {
		it := &r.Items[i]
		if it.Error != "" || (it.Species == "real") == (it.Outcome != pipeline.Pass) { // what went wrong
			t.data("%s\t%s\t%v\t%s", it.File, it.Outcome, it.Reasons, it.Error)
		}
	}
}

// caught says which witness caught how many.
func caught(by map[string]int) string {
	var out []string
	for _, who := range slices.Sorted(maps.Keys(by)) {
		out = append(out, fmt.Sprintf("%s %d", who, by[who]))
	}
	return strings.Join(out, ", ")
}

// originsOf reads who is in the files of a suite; nil for any other folder.
func originsOf(dir string) (map[string]liveness.Origin, error) {
	rows, err := spoof.ReadTable(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := map[string]liveness.Origin{}
	for _, r := range rows {
		out[r.File] = liveness.Origin{Person: r.Person, Group: r.Group}
	}
	return out, nil
}

// filled says why a folder cannot be read, or that nothing is in it.
func filled(dir string) error {
	if err := listable(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) == 0 {
		err = errors.New("nothing is in it")
	}
	return err
}

// make writes a suite.
func (c *benchLivenessCmd) make(ctx context.Context, e *env) error {
	if c.Clips == "" {
		return &usageError{err: errors.New("--make: no material"), text: pipeline.Text{
			EN: "--make needs real clips to make attacks of: --clips FOLDER", ZH: "--make 需要真实视频作为素材：请用 --clips 指定文件夹"}}
	}
	if c.Seconds < spoof.MinSeconds {
		return usagef(pipeline.Text{EN: fmt.Sprintf("--seconds: %g, want %g or more", c.Seconds, spoof.MinSeconds), ZH: fmt.Sprintf("--seconds：%g，应不小于 %g", c.Seconds, spoof.MinSeconds)})
	}
	if err := filled(c.Clips); err != nil {
		return pathError("--clips", c.Clips, err, "name a folder of real clips", "请指定存放真实视频的文件夹")
	}
	bar := newProgress(e)
	rows, err := spoof.Make(ctx, c.Make, spoof.Options{Clips: c.Clips, Seed: c.Seed, Species: c.Species, Seconds: c.Seconds, Progress: bar.count("files", "文件")})
	bar.close()
	if errors.Is(err, spoof.ErrNoFFmpeg) {
		return &usageError{err: err, text: pipeline.Text{EN: err.Error(), ZH: "PATH 中没有 ffmpeg 和 ffprobe：请先安装 ffmpeg（Debian：apt-get install ffmpeg），或使用在别处生成的测试集"}}
	}
	var species *spoof.SpeciesError
	if errors.As(err, &species) {
		return &usageError{err: err, text: pipeline.Text{
			EN: fmt.Sprintf("--species %s: no species is called that; there are %s", species.Name, strings.Join(spoof.Species(), ", ")),
			ZH: fmt.Sprintf("--species %s：没有该攻击种类；可用的有 %s", species.Name, strings.Join(spoof.Species(), "、")),
		}}
	}
	var source *spoof.SourceError
	if errors.As(err, &source) {
		return unusable(source.Path, err)
	}
	var foreign *spoof.ForeignError
	if errors.As(err, &foreign) {
		return &usageError{err: err, text: pipeline.Text{
			EN: fmt.Sprintf("--make %s: it holds %s, which is not of this suite; name an empty folder", foreign.Dir, foreign.File),
			ZH: fmt.Sprintf("--make %s：其中有不属于该测试集的文件 %s；请指定空文件夹", foreign.Dir, foreign.File),
		}}
	}
	if err != nil {
		return err
	}
	count := map[string]int{}
	for _, r := range rows {
		count[r.Species]++
	}
	return c.show(e, count, func(t sheet) {
		for _, s := range slices.Sorted(maps.Keys(count)) {
			t.data("%s\t%d", s, count[s])
		}
	})
}
