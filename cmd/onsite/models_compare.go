package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/compare"
	"onsite/pipeline/media"
	"onsite/pipeline/verify"
)

type modelsCompareCmd struct {
	With []string `help:"The model that is to be tried: a name (onsite models list), TASK=NAME, or the path of a manifest; with --jobs a model of the service. May be given for several tasks." required:"" placeholder:"NAME" sep:"none"`
	Data string   `help:"Folder of labelled data: DIR/<identity>/*.jpg, or a cases.csv (docs/models.md)." xor:"what" required:"" placeholder:"DIR"`
	Jobs bool     `help:"Run stored jobs of a service again under both, instead." xor:"what" required:""`
	Out  string   `help:"Write report.json, report.en.html, report.zh.html and the plots into this folder." placeholder:"DIR"`

	MaxDisagreement float64 `help:"Decisions that may differ, as a share of all." default:"0.05" group:"Limits"`
	MaxLoosened     float64 `help:"Cases, but those labelled genuine, that may newly pass, as a share of those that did not." default:"0.01" group:"Limits"`
	MaxMisses       float64 `help:"How much more often genuine cases may be called abnormal, as a share." default:"0.02" group:"Limits"`
	MaxSlower       float64 `help:"How many times as long a case may take (median)." default:"2" group:"Limits"`
	MinCases        int     `help:"How many cases there must be." default:"100" group:"Limits"`
	modelFlag
	jobsFlags
	remoteFlags
}

func (c *modelsCompareCmd) Run(ctx context.Context, e *env) error {
	if c.Jobs {
		return c.overJobs(ctx, e)
	}
	if err := listable(c.Data); err != nil {
		return pathError("--data", c.Data, err, "name a folder with labelled data", "请指定存放带标签数据的文件夹")
	}
	before, err := newCore(media.Options{}, c.Model...)
	if err != nil {
		return err
	}
	defer before.close()
	over := models.DefaultOptions()
	over.Use = nil
	if err := over.Choose(c.With...); err != nil {
		return modelError(err)
	}
	tried, err := models.OpenManifests(over, over.Use...)
	if err != nil {
		return modelError(err)
	}
	defer func() { _ = tried.Close() }()
	after, err := models.Compose(before.Models, tried)
	if err != nil {
		return err
	}
	defer func() { _ = after.Close() }()
	limits := compare.DefaultLimits()
	limits.Disagreement, limits.Loosened, limits.FNMRMore, limits.Slower, limits.Cases = c.MaxDisagreement, c.MaxLoosened, c.MaxMisses, c.MaxSlower, c.MinCases
	bar := newProgress(e)
	folder := compare.Folder{Dir: c.Data, Decoder: before.Decoder, Before: before.Models, After: after, Progress: bar.count("cases", "用例")}
	name := filepath.Base(filepath.Clean(c.Data))
	r, err := compare.Build(compare.Options{
		Data: pipeline.Text{EN: name, ZH: name}, Before: compare.ModelsOf(before.Models), After: compare.ModelsOf(after), Limits: limits,
		Notes: folder.Notes(), Onsite: verify.Version, Now: time.Now(),
	}, folder.Cases(ctx))
	bar.close()
	if err != nil {
		return err
	}
	if c.Out != "" {
		if err := r.Write(c.Out); err != nil {
			return err
		}
	}
	if c.JSON {
		err = e.printJSON(r)
	} else {
		err = c.table(e, r)
	}
	if err == nil && !r.Passed {
		err = errNotPassed(strings.Join(c.With, ", "))
	}
	return err
}

func (c *modelsCompareCmd) table(e *env, r *compare.Report) error {
	digest, err := r.Digest()
	if err != nil {
		return err
	}
	t := newSheet(e)
	t.line("cases\t%d", "案例\t%d", r.Cases)
	t.line("decisions that differ\t%d\t%.2f %%\t(%.2f to %.2f)", "结论不同\t%d\t%.2f%%\t（%.2f 至 %.2f）", r.Disagreement.N, 100*r.Disagreement.Rate, 100*r.Disagreement.CI95[0], 100*r.Disagreement.CI95[1])
	for _, f := range r.Flips {
		t.line("  %s -> %s\t%d of %d\t%s", "  %s -> %s\t%d / %d\t%s", f.From, f.To, f.Rate.N, f.Rate.Of, f.Label)
	}
	if b, a := r.BeforeErrors, r.AfterErrors; b != nil {
		t.line("impostors that pass\t%.3g %%\t-> %.3g %%", "冒用者通过\t%.3g%%\t-> %.3g%%", 100*b.FMR.Rate, 100*a.FMR.Rate)
		t.line("genuine called abnormal\t%.3g %%\t-> %.3g %%", "真实案例被判异常\t%.3g%%\t-> %.3g%%", 100*b.FNMR.Rate, 100*a.FNMR.Rate)
	}
	if b, a := r.BeforeDET, r.AfterDET; b != nil && a != nil {
		t.line("equal error rate\t%.2f %%\t-> %.2f %%", "等错误率\t%.2f%%\t-> %.2f%%", 100*b.EER, 100*a.EER)
	}
	t.line("ms a case (median)\t%.0f\t-> %.0f", "每个案例毫秒（中位数）\t%.0f\t-> %.0f", r.BeforeTimes.Median, r.AfterTimes.Median)
	t.line("within the limits\t%v", "在限度内\t%v", r.Passed)
	t.line("sha256 of report.json\t%s", "report.json 的 sha256\t%s", digest)
	if err := t.Flush(); err != nil {
		return err
	}
	for _, f := range r.Failed {
		fmt.Fprintln(e.out, "- "+e.say(f))
	}
	for _, n := range r.Notes {
		fmt.Fprintln(e.out, "· "+e.say(n))
	}
	return nil
}
