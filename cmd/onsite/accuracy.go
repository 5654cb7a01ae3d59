package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"onsite/pipeline"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
	"onsite/pipeline/scene"
)

// folderFlag is the data of an accuracy table.
type folderFlag struct {
	Data string `help:"Folder of labelled files." required:"" placeholder:"DIR"`
}

// share prints a number that may not be known.
func share(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.3f", *v)
}

type benchFaceCmd struct {
	benchCommon
	folderFlag
	modelFlag
	Bare       bool   `help:"The models alone, one photo against one, for comparison."`
	References int    `help:"Photos of a person that a probe is compared with, 1 to 5." default:"1"`
	Pairs      string `help:"Only the pairs of this CSV file: file_a,file_b,same or different." placeholder:"pairs.csv"`
	Calibrate  bool   `help:"Also choose a threshold on half of the identities and measure it on the other half."`
}

func (c *benchFaceCmd) Run(ctx context.Context, e *env) error {
	switch one := c.Bare || c.Pairs != ""; {
	case c.References < 1 || c.References > face.MaxReferences:
		return usagef(pipeline.Text{EN: fmt.Sprintf("--references %d: want 1 to %d", c.References, face.MaxReferences), ZH: fmt.Sprintf("--references %d：应为 1 到 %d", c.References, face.MaxReferences)})
	case one && c.References > 1:
		return usagef(pipeline.Text{EN: fmt.Sprintf("--references %d: --bare and --pairs compare one photo with one; leave it out", c.References), ZH: fmt.Sprintf("--references %d：--bare 和 --pairs 只做一对一比较，请去掉此选项", c.References)})
	}
	core, err := newCore(media.Options{}, c.Model...)
	if err != nil {
		return err
	}
	defer core.close()
	bar := newProgress(e)
	r, err := face.Bench(ctx, c.Data, face.BenchOptions{
		Bare: c.Bare, References: c.References, Pairs: c.Pairs, Calibrate: c.Calibrate, Config: face.ConfigFor(core.Models), Progress: bar.count("photos", "照片"),
	}, core.Decode, core.Models)
	bar.close()
	if err != nil {
		return err
	}
	return c.show(e, r, func(t sheet) {
		t.line("%s, %d reference(s)", "%s，%d 张参考照片", r.Mode, r.References)
		t.line("photos, identities\t%d, %d", "照片、身份\t%d、%d", r.Images, r.Identities)
		t.line("without a face\t%d", "没有人脸\t%d", r.NoFace)
		t.line("same, different\t%d, %d", "同一人、不同人\t%d、%d", r.Same, r.Different)
		for _, fmr := range slices.Sorted(maps.Keys(r.TAR)) {
			t.line("TAR at FMR %s\t%s\t(score %s)", "误识率 %s 时的通过率\t%s\t（分数 %s）", fmr, share(r.TAR[fmr]), share(r.TARThreshold[fmr]))
		}
		t.line("at the threshold %.3f\tTAR %.3f\tFMR %.2g", "在阈值 %.3f 处\t通过率 %.3f\t误识率 %.2g", r.Threshold, r.TARAtThreshold, r.FMRAtThreshold)
		t.line("ms per photo\t%.1f", "每张照片毫秒\t%.1f", r.MSPerImage)
		for _, f := range r.Refused {
			t.line("not measured\t%s\t%s", "未测量\t%s\t%s", f.File, f.Error)
		}
	})
}

type benchTextCmd struct {
	benchCommon
	folderFlag
}

func (c *benchTextCmd) Run(ctx context.Context, e *env) error {
	core, err := newCore(media.Options{})
	if err != nil {
		return err
	}
	defer core.close()
	r, err := scene.BenchText(ctx, c.Data, core.Decode, core.Models)
	if err != nil {
		return err
	}
	return c.show(e, r, func(t sheet) {
		t.line("signs with a name\t%d", "有名称的招牌\t%d", r.Signs)
		t.line("found\t%d", "找到\t%d", r.Found)
		t.line("other names accepted\t%d of %d", "误认其他名称\t%d / %d", r.WrongAccepted, r.Pairs)
		t.line("character error rate\t%.3f", "字符错误率\t%.3f", r.CER)
		t.line("ms per picture\t%.0f\n", "每张图片毫秒\t%.0f\n", r.MSPerImage)
		for _, i := range r.Items {
			if i.Wanted != "" {
				t.data("%s\t%s\t%v\t%v", i.File, i.Wanted, i.Found, i.Read)
			}
		}
	})
}
