package main

import (
	"context"
	"errors"
	"fmt"
	"math"

	"onsite/models"
	"onsite/models/manifest"
	"onsite/pipeline"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

type modelsCalibrateCmd struct {
	benchCommon
	Data     string  `help:"Folder of labelled photos: DIR/<identity>/*.jpg." required:"" placeholder:"DIR"`
	Manifest string  `help:"The embedder: the path of a manifest with its file beside it, or a name. Default: the built-in one." placeholder:"MODEL"`
	FMR      float64 `name:"fmr" help:"Wanted false match rate." default:"0.001"`
	Write    bool    `help:"Write the thresholds, and how they were found, into the manifest."`
	modelFlag
}

func (c *modelsCalibrateCmd) Run(ctx context.Context, e *env) error {
	if !(c.FMR >= face.LeastFMR && c.FMR <= face.MostFMR) {
		return usagef(pipeline.Text{
			EN: fmt.Sprintf("--fmr %g: want a share of the comparisons of different people, %g to %g, as 0.001", c.FMR, face.LeastFMR, face.MostFMR),
			ZH: fmt.Sprintf("--fmr %g：应为不同人比较中的比例，%g 至 %g，例如 0.001", c.FMR, face.LeastFMR, face.MostFMR),
		})
	}
	o := models.DefaultOptions()
	o.Uncalibrated = true
	words := c.Model
	if c.Manifest != "" {
		words = append(words, c.Manifest)
	}
	if err := listable(c.Data); err != nil {
		return pathError("--data", c.Data, err, "name a folder of photos: DIR/<person>/*.jpg", "请指定照片目录：DIR/<人员>/*.jpg")
	}
	if err := o.Choose(words...); err != nil {
		return modelError(err)
	}
	if c.Write {
		if err := ownEmbedder(o.Use, words); err != nil {
			return err
		}
	}
	o.Tasks = []models.Task{models.FaceDetect, models.FaceLandmark, models.FaceEmbed}
	core, err := newCoreOn(media.Options{}, o)
	if err != nil {
		return err
	}
	defer core.close()
	man, _ := core.Models.Manifest(models.FaceEmbed)
	bar := newProgress(e)
	t, err := face.Calibrate(ctx, c.Data, face.CalibrateOptions{FMR: c.FMR, Config: face.ConfigFor(core.Models), Progress: bar.count("photos", "照片")}, core.Decode, core.Models)
	bar.close()
	var few *face.TooFewError
	if errors.As(err, &few) {
		return &usageError{err: err, text: pipeline.Text{
			EN: fmt.Sprintf("--data %s: %s; add folders of more people", c.Data, few.Text().EN),
			ZH: fmt.Sprintf("--data %s：%s；请增加更多人的文件夹", c.Data, few.Text().ZH),
		}}
	}
	if err != nil {
		return err
	}
	if man = withThresholds(man, t); !man.Calibrated() {
		return uncalibrated(man)
	}
	if c.Write {
		if err := manifest.Rewrite(man.Origin(), man); err != nil {
			return err
		}
	}
	accept, _ := man.Threshold(manifest.Accept)
	reject, _ := man.Threshold(manifest.Reject)
	result := map[string]any{
		"model": core.Models.Ref(models.FaceEmbed), "fmr": c.FMR, "accept": accept, "reject": reject, "found": t, "written": c.Write, "thresholds": man.Thresholds,
	}
	err = c.show(e, result, func(out sheet) {
		a := t.Accept
		out.line("embedder\t%s %s (%.12s)", "特征模型\t%s %s（%.12s）", man.Name, man.Version, man.File.SHA256)
		out.line("photos, identities\t%d, %d", "照片、身份\t%d、%d", t.Images, t.Identities)
		out.line("accept from\t%.3f\tFMR %g on %d identities, %d different comparisons; interval %.3f to %.3f (95 %%), upper end taken",
			"接受阈值\t%.3f\t在 %[3]d 个身份、%[4]d 次不同人比较上误识率 %[2]g；95%% 区间 %.3[5]f 至 %.3[6]f，取上限", accept, c.FMR, a.Identities, a.Different, a.CI95[0], a.CI95[1])
		out.line("on the other identities\tTAR %.3f\tFMR %.2g (%d same, %d different)", "在其余身份上\t通过率 %.3f\t误识率 %.2g（同一人 %d 次，不同人 %d 次）",
			a.HeldOut.TAR, a.HeldOut.FMR, a.HeldOut.Same, a.HeldOut.Different)
		out.line("reject below\t%.3f\ton the other identities: TAR %.3f, FMR %.2g", "拒绝阈值\t%.3f\t在其余身份上：通过率 %.3f，误识率 %.2g",
			reject, t.Reject.HeldOut.TAR, t.Reject.HeldOut.FMR)
		for _, f := range t.Refused {
			out.line("not measured\t%s\t%s", "未测量\t%s\t%s", f.File, f.Error)
		}
	})
	for _, warning := range t.Warnings {
		fmt.Fprintf(e.err, "onsite: %s\n", e.say(warning))
	}
	return err
}

// ownEmbedder refuses to write thresholds into anything but an embedder's manifest that the user named by its path.
func ownEmbedder(use []manifest.Manifest, words []string) error {
	for _, m := range use {
		if models.Task(m.Task) != models.FaceEmbed {
			continue
		}
		for _, w := range words {
			if w == m.Origin() || w == m.Task+"="+m.Origin() {
				return nil
			}
		}
		return ownManifest(m.Name)
	}
	return usagef(pipeline.Text{
		EN: "--write writes into the manifest of an embedder of faces of your own (task: face_embed); give its path: --manifest mine.yaml",
		ZH: "--write 会写入您自己的人脸特征模型清单（task: face_embed）；请给出其路径：--manifest mine.yaml",
	})
}

// uncalibrated says that thresholds were found that no manifest may have.
func uncalibrated(m manifest.Manifest) error {
	accept, _ := m.Threshold(manifest.Accept)
	reject, _ := m.Threshold(manifest.Reject)
	return usagef(pipeline.Text{
		EN: fmt.Sprintf("calibrate %s: accept %.3f and reject %.3f are no thresholds (both must lie between -1 and 1, reject at most at accept): different people score as the same one does; check input.align, means and colours, and that no person has two folders", m.Name, accept, reject),
		ZH: fmt.Sprintf("标定 %s：接受阈值 %.3f 与拒绝阈值 %.3f 无效（均须介于 -1 与 1 之间，且拒绝阈值不大于接受阈值）：不同的人得分与同一人相同；请检查 input.align、均值和颜色顺序，并确认没有人占用两个文件夹", m.Name, accept, reject),
	})
}

// withThresholds puts the two thresholds in the place of those that a manifest has.
func withThresholds(m manifest.Manifest, t face.Thresholds) manifest.Manifest {
	said := fmt.Sprintf("FMR %g: upper end of the 95 %% interval %.3f to %.3f on %d of %d identities (%d photos, bootstrap over identities), rounded up; on the others TAR %.3f, FMR %.2g (%d same, %d different comparisons)",
		t.Accept.FMR, t.Accept.CI95[0], t.Accept.CI95[1], t.Accept.Identities, t.Identities, t.Images, t.Accept.HeldOut.TAR, t.Accept.HeldOut.FMR, t.Accept.HeldOut.Same, t.Accept.HeldOut.Different)
	for _, w := range t.Warnings {
		said += "; " + w.EN
	}
	accept := math.Ceil(t.Accept.Threshold*1000) / 1000
	reject := math.Min(accept, math.Floor(t.Reject.Threshold*1000)/1000)
	kept := []manifest.Threshold{
		{Name: manifest.Accept, Value: accept, Calibrated: said},
		{Name: manifest.Reject, Value: reject, Calibrated: fmt.Sprintf("FMR %g: median of the same bootstrap, rounded down; on the others TAR %.3f, FMR %.2g", t.Reject.FMR, t.Reject.HeldOut.TAR, t.Reject.HeldOut.FMR)},
	}
	for _, old := range m.Thresholds {
		if old.Name != manifest.Accept && old.Name != manifest.Reject {
			kept = append(kept, old)
		}
	}
	m.Thresholds = kept
	return m
}
