package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/scene"
	"onsite/pipeline/scene/head"
)

// What the two modes mean, for readers of the JSON.
const (
	shippedNote = "heads: the shipped heads on pictures that they have not seen. cross: heads trained on these pictures, one source left out at a time; that is what the features can do, not what the program does."
	crossNote   = "Heads trained on these pictures, one source left out at a time; thresholds from the same left-out answers."
)

type benchSceneCmd struct {
	benchCommon
	folderFlag
	Grey     bool   `help:"First turn every picture grey."`
	InSample bool   `help:"Also measure pictures that trained the heads; without it they are refused."`
	Cross    bool   `help:"Train on DIR itself, leaving one source out at a time, and show only that: what the features can do. Without it, heads holds the shipped heads and cross the others."`
	With     string `help:"Add the pictures of this folder (onsite scene data) to every training of the left-out table: what the heads would do if they also knew other photos of this kind." placeholder:"TRAIN"`
	Quick    bool   `help:"Only the shipped heads, no training."`
	HeadDir  string `help:"Measure the heads of this folder (written by onsite scene train --out) instead of the shipped ones." placeholder:"DIR"`
}

func (c *benchSceneCmd) Run(ctx context.Context, e *env) error {
	samples, err := head.Folder(c.Data)
	if err != nil {
		return err
	}
	if err := c.refuse(samples); err != nil {
		return err
	}
	core, err := newCore(media.Options{})
	if err != nil {
		return err
	}
	defer core.close()
	m, err := newMeasuring(core)
	if err != nil {
		return err
	}
	asked := head.Plain
	if c.Grey {
		asked = head.Gray
	}
	bar := newProgress(e)
	defer bar.close()
	filled, spent, measured, err := m.cache.Fill(ctx, c.Data, samples, func(head.Sample) []string {
		if c.Quick {
			return []string{asked}
		}
		return []string{head.Plain, head.Gray}
	}, m.measure, bar.count("pictures", "图片"))
	if err != nil {
		return err
	}
	r := head.Bench{Mode: "shipped", Grey: c.Grey, Images: len(samples), Sources: len(head.Sources(samples)), Measured: measured, Note: shippedNote}
	if !c.Quick {
		always, err := c.always(ctx, m, samples)
		if err != nil {
			return err
		}
		cross, err := head.Cross(ctx, filled, always, asked, head.DefaultFitOptions(), bar.count("rounds", "轮次"))
		if err != nil {
			return err
		}
		r.Cross = cross
	}
	if c.Cross {
		r.Mode, r.Heads, r.Cross, r.Note = "cross", r.Cross, nil, crossNote
	} else {
		set, closeSet, err := c.heads(core)
		if err != nil {
			return err
		}
		defer closeSet()
		plain := slices.DeleteFunc(filled, func(s head.Sample) bool { return s.Variant != asked })
		start := time.Now()
		if r.Heads, err = head.RateSet(ctx, set, plain); err != nil {
			return err
		}
		spent += time.Since(start)
	}
	if measured > 0 {
		r.MSPerImage = float64(spent.Microseconds()) / 1000 / float64(measured)
	}
	bar.close()
	return c.show(e, r, func(t sheet) {
		mode := r.Mode
		switch mode {
		case "shipped":
			mode = t.say("shipped", "自带")
		case "cross":
			mode = t.say("cross", "交叉训练的")
		}
		t.line("%s heads, %d pictures of %d sources\n", "%s分类头，%d 张图片，来自 %d 个来源\n", mode, r.Images, r.Sources)
		headTable(t, r.Heads)
		if r.Cross != nil {
			t.line("\ntrained on these pictures, one source left out at a time\n", "\n在这些图片上训练，每次留出一个来源\n")
			headTable(t, r.Cross)
		}
		t.line("\nms per picture\t%.0f\t(%d measured, the others from the cache)", "\n每张图片毫秒\t%.0f\t（实测 %d 张，其余来自缓存）", r.MSPerImage, r.Measured)
	})
}

// always measures the pictures of --with. One that is asked, too, would tell its own answer.
func (c *benchSceneCmd) always(ctx context.Context, m *measuring, asked []head.Sample) ([]head.Sample, error) {
	if c.With == "" {
		return nil, nil
	}
	samples, err := head.Folder(c.With)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, s := range samples {
		seen[s.SHA256] = true
	}
	if both := head.InSample(asked, seen); len(both) > 0 {
		return nil, usagef(pipeline.Text{
			EN: fmt.Sprintf("--with: %d pictures are in --data, too, among them %s; take them out of one", len(both), both[0]),
			ZH: fmt.Sprintf("--with：有 %d 张图片同时在 --data 中，例如 %s；请从其中一处移除", len(both), both[0]),
		})
	}
	out, _, _, err := m.cache.Fill(ctx, c.With, samples, trainVariants, m.measure, nil)
	return out, err
}

// refuse stops at pictures that trained the heads: on them every head looks better than it is.
func (c *benchSceneCmd) refuse(samples []head.Sample) error {
	if c.InSample || c.Cross {
		return nil
	}
	trained, err := head.TrainedOn(c.HeadDir)
	if err != nil {
		return err
	}
	if seen := head.InSample(samples, trained); len(seen) > 0 {
		first := strings.Join(seen[:min(3, len(seen))], ", ")
		return usagef(pipeline.Text{
			EN: fmt.Sprintf("--data: %d of %d pictures trained the heads, among them %s; take them out, or say --in-sample", len(seen), len(samples), first),
			ZH: fmt.Sprintf("--data：%[2]d 张图片中有 %[1]d 张曾用于训练分类头，例如 %[3]s；请移除，或使用 --in-sample", len(seen), len(samples), first),
		})
	}
	return nil
}

// heads opens the shipped heads or those of a folder.
func (c *benchSceneCmd) heads(core *core) (*head.Set, func(), error) {
	set, done := core.Models, func() {}
	if c.HeadDir != "" {
		o := models.DefaultOptions()
		o.Manifests, o.Tasks = c.HeadDir, []models.Task{models.SceneHead}
		var err error
		if set, err = models.Open(o); err != nil {
			return nil, nil, err
		}
		own := set
		done = func() { _ = own.Close() }
	}
	man, ok := set.Manifest(models.SceneHead)
	if !ok {
		done()
		return nil, nil, shortfall("no_heads", "no scene heads are installed; train them (onsite scene train) and name their folder with --head-dir", "未安装场景分类头；请先训练（onsite scene train），再用 --head-dir 指定其文件夹")
	}
	if err := scene.HeadsFit(core.Models, man); err != nil {
		done()
		return nil, nil, fmt.Errorf("bench scene: %w", err)
	}
	s, err := head.New(set, man)
	if err != nil {
		done()
		return nil, nil, err
	}
	return s, done, nil
}
