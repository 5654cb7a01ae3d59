package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"

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
	core, err := newCore(media.Options{}, c.Model...)
	if err != nil {
		return err
	}
	defer core.close()
	bar := newProgress(e)
	r, err := face.Bench(ctx, c.Data, face.BenchOptions{
		Bare: c.Bare, References: c.References, Pairs: c.Pairs, Calibrate: c.Calibrate, Config: face.ConfigFor(core.Models), Progress: bar.count("photos"),
	}, core.Decode, core.Models)
	bar.close()
	if err != nil {
		return err
	}
	return c.show(e, r, func(w *tabwriter.Writer) {
		fmt.Fprintf(w, "%s, %d reference(s)\t\n", r.Mode, r.References)
		fmt.Fprintf(w, "photos, identities\t%d, %d\n", r.Images, r.Identities)
		fmt.Fprintf(w, "without a face\t%d\n", r.NoFace)
		fmt.Fprintf(w, "same, different\t%d, %d\n", r.Same, r.Different)
		for _, fmr := range slices.Sorted(maps.Keys(r.TAR)) {
			fmt.Fprintf(w, "TAR at FMR %s\t%s\t(score %s)\n", fmr, share(r.TAR[fmr]), share(r.TARThreshold[fmr]))
		}
		fmt.Fprintf(w, "at the threshold %.3f\tTAR %.3f\tFMR %.2g\n", r.Threshold, r.TARAtThreshold, r.FMRAtThreshold)
		fmt.Fprintf(w, "ms per photo\t%.1f\n", r.MSPerImage)
		for _, f := range r.Refused {
			fmt.Fprintf(w, "not measured\t%s\t%s\n", f.File, f.Error)
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
	return c.show(e, r, func(w *tabwriter.Writer) {
		fmt.Fprintf(w, "signs with a name\t%d\nfound\t%d\nother names accepted\t%d of %d\ncharacter error rate\t%.3f\nms per picture\t%.0f\n\n",
			r.Signs, r.Found, r.WrongAccepted, r.Pairs, r.CER, r.MSPerImage)
		for _, i := range r.Items {
			if i.Wanted != "" {
				fmt.Fprintf(w, "%s\t%s\t%v\t%v\n", i.File, i.Wanted, i.Found, i.Read)
			}
		}
	})
}
