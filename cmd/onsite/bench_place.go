package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"

	"onsite/pipeline/media"
	"onsite/pipeline/scene"
)

type benchPlaceCmd struct {
	modelFlag
	benchCommon
	folderFlag
	Others          string `help:"Photos of other places, each a place of its own; those that are in the data, too, are left out." placeholder:"DIR"`
	Sources         string `help:"Which of the others come from one source and are not compared with each other: file,source." placeholder:"CSV"`
	Revisits        int    `help:"Photos that also get simulated revisits, with an empty room and with somebody in front." default:"70"`
	WriteBackground string `help:"Measure nothing; write the photos of this one folder as a background to FILE." placeholder:"FILE"`
	Made            string `help:"From what the background is made, and under which licence; goes into the file." placeholder:"TEXT"`
}

func (c *benchPlaceCmd) Run(ctx context.Context, e *env) error {
	core, err := newCore(media.Options{}, c.Model...)
	if err != nil {
		return err
	}
	defer core.close()
	if c.WriteBackground != "" {
		b, err := scene.BackgroundOf(ctx, c.Data, core.Decode, core.Models)
		if err != nil {
			return err
		}
		data, err := b.Bytes(c.Made)
		if err != nil {
			return err
		}
		return os.WriteFile(c.WriteBackground, data, 0o644)
	}
	bar := newProgress(e)
	r, err := scene.BenchPlace(ctx, c.Data, scene.PlaceOptions{Others: c.Others, Sources: c.Sources, Revisits: c.Revisits, Progress: bar.count("photos")}, core.Decode, core.Models)
	bar.close()
	if err != nil {
		return err
	}
	return c.show(e, r, func(w *tabwriter.Writer) {
		fmt.Fprintf(w, "photos of places, photos of other places\t%d, %d\n\n", r.Photos, r.Others)
		fmt.Fprintf(w, "\tqueries\tstrangers\tAUC\t95 %%\tTPR at FMR 1e-2\ttop 1\tTPR, FMR at %.1f\n", r.Threshold)
		for _, t := range []struct {
			name  string
			table scene.PlaceTable
		}{{"photos", r.PlaceTable}, {"simulated revisits", r.Simulated}, {"simulated, somebody in front", r.SimulatedPerson}} {
			interval := "-"
			if ci := t.table.AUCInterval; ci != nil {
				interval = fmt.Sprintf("%.3f to %.3f", ci[0], ci[1])
			}
			fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s, %s\n", t.name, t.table.Queries, t.table.Strangers, share(t.table.AUC), interval,
				share(t.table.TPR), share(t.table.Top1), share(t.table.TPRAtThreshold), share(t.table.FMRAtThreshold))
		}
		if r.Strangers == 0 {
			fmt.Fprintln(w, "\nthere is one place only, so nothing could be mistaken for it: name photos of other places with --others")
		}
	})
}
