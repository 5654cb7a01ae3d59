package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"onsite/models"
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
	}, m.measure, bar.count("pictures"))
	if err != nil {
		return err
	}
	r := head.Bench{Mode: "shipped", Grey: c.Grey, Images: len(samples), Sources: len(head.Sources(samples)), Measured: measured, Note: shippedNote}
	if !c.Quick {
		always, err := c.always(ctx, m, samples)
		if err != nil {
			return err
		}
		cross, err := head.Cross(ctx, filled, always, asked, head.DefaultFitOptions(), bar.count("rounds"))
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
	return c.show(e, r, func(w *tabwriter.Writer) {
		fmt.Fprintf(w, "%s heads, %d pictures of %d sources\n\n", r.Mode, r.Images, r.Sources)
		headTable(w, r.Heads)
		if r.Cross != nil {
			fmt.Fprintf(w, "\ntrained on these pictures, one source left out at a time\n\n")
			headTable(w, r.Cross)
		}
		fmt.Fprintf(w, "\nms per picture\t%.0f\t(%d measured, the others from the cache)\n", r.MSPerImage, r.Measured)
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
		return nil, fmt.Errorf("bench scene: %d pictures are in --data and in --with, among them %s; take them out of one", len(both), both[0])
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
		return fmt.Errorf("bench scene: %d of %d pictures trained the heads, among them %s; take them out, or say --in-sample", len(seen), len(samples), strings.Join(seen[:min(3, len(seen))], ", "))
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
		return nil, nil, fmt.Errorf("bench scene: no scene heads are installed; train them (onsite scene train) and name their folder with --head-dir")
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
