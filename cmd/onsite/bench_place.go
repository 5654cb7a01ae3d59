package main

import (
	"context"
	"fmt"
	"os"

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
	r, err := scene.BenchPlace(ctx, c.Data, scene.PlaceOptions{Others: c.Others, Sources: c.Sources, Revisits: c.Revisits, Progress: bar.count("photos", "照片")}, core.Decode, core.Models)
	bar.close()
	if err != nil {
		return err
	}
	return c.show(e, r, func(t sheet) {
		t.line("photos of places, photos of other places\t%d, %d\n", "地点照片、其他地点照片\t%d、%d\n", r.Photos, r.Others)
		t.line("\tqueries\tstrangers\tAUC\t95 %%\tTPR at FMR 1e-2\ttop 1\tTPR, FMR at %.1f", "\t查询\t他处照片\tAUC\t95%%\tFMR 1e-2 时 TPR\t首位命中\t%.1f 处的 TPR、FMR", r.Threshold)
		for _, row := range []struct {
			name  string
			table scene.PlaceTable
		}{{t.say("photos", "照片"), r.PlaceTable}, {t.say("simulated revisits", "模拟再次到访"), r.Simulated}, {t.say("simulated, somebody in front", "模拟，前方有人"), r.SimulatedPerson}} {
			interval := "-"
			if ci := row.table.AUCInterval; ci != nil {
				interval = fmt.Sprintf(t.say("%.3f to %.3f", "%.3f 至 %.3f"), ci[0], ci[1])
			}
			t.data("%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s, %s", row.name, row.table.Queries, row.table.Strangers, share(row.table.AUC), interval,
				share(row.table.TPR), share(row.table.Top1), share(row.table.TPRAtThreshold), share(row.table.FMRAtThreshold))
		}
		if r.Strangers == 0 {
			t.line("\nthere is one place only, so nothing could be mistaken for it: name photos of other places with --others", "\n只有一个地点，无从混淆：请用 --others 指定其他地点的照片")
		}
	})
}
