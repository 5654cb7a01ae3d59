package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"onsite/pipeline"
	"onsite/pipeline/bench/attack"
	"onsite/pipeline/bench/copies"
	"onsite/pipeline/media"
	"onsite/pipeline/reuse"
)

type benchReuseCmd struct {
	benchCommon
	Pairs string `help:"CSV file: query,original,label[,transform,severity]; paths relative to the file." placeholder:"FILE" xor:"what" required:""`
	Make  string `help:"Write an attack suite into this folder with ffmpeg; files that are there are kept." placeholder:"DIR" xor:"what" required:""`
	Suite string `help:"Evaluate a suite that --make wrote, with plain hashes beside it." placeholder:"DIR" xor:"what" required:""`

	Index bool `help:"Frame index: build and lookup at 10 k, 100 k and 1 M made-up hashes, brute force beside it." xor:"what" required:""`

	Large bool `help:"--index: 10 M hashes too; takes minutes and about 2 GB of memory."`

	Clips   string   `help:"--make: folder of clips." placeholder:"FOLDER"`
	Photos  string   `help:"--make: folder of photos." placeholder:"FOLDER"`
	Scenes  string   `help:"--make: CSV file,scene,person that says which files show the same place or person; take,at too: photos cut from one recording, at that second. Default: none do." placeholder:"FILE"`
	Kinds   []string `help:"--make: only these attacks, by name (crop) or with severity (crop20)."`
	Seconds float64  `help:"--make: length of a cut." default:"5"`
	Easy    int      `help:"--make: comparisons with other scenes per attack." default:"2"`

	Plots   string `help:"--suite: write SVG plots into this folder." placeholder:"DIR"`
	History bool   `help:"--suite: every attack against all originals at once too, as the product compares; very many pairs of other scenes, and whether the original is among those compared in full."`

	Half   string `help:"--suite: only half of the scene families (a or b), to work on one while the other stays unseen." enum:"both,a,b" default:"both"`
	Splits int    `help:"--suite: how often the families are halved to choose and to report." default:"20"`
	Seed   uint64 `help:"--make, --suite: of all choices." default:"1"`
}

func (c *benchReuseCmd) Run(ctx context.Context, e *env) error {
	if c.Splits < 1 {
		return usagef(pipeline.Text{EN: fmt.Sprintf("--splits: %d, want 1 or more", c.Splits), ZH: fmt.Sprintf("--splits：%d，应不小于 1", c.Splits)})
	}
	if c.Make != "" {
		return c.make(ctx, e)
	}
	if c.Index {
		return c.index(ctx, e)
	}
	core, err := newCore(media.Options{})
	if err != nil {
		return err
	}
	defer core.close()
	if c.Suite != "" {
		return c.evaluate(ctx, e, core)
	}
	bar := newProgress(e)
	r, err := reuse.Pairs(ctx, c.Pairs, core.DecodeSound, reuse.DefaultConfig(), bar.count("pairs"))
	bar.close()
	if err != nil {
		return pairsError(c.Pairs, err)
	}
	return c.show(e, r, func(w *tabwriter.Writer) {
		say := func(en, zh string) string { return e.say(pipeline.Text{EN: en, ZH: zh}) }
		fmt.Fprintf(w, "%s\t%d\n", say("pairs", "对数"), len(r.Pairs))
		fmt.Fprintf(w, "%s\t%s\n", say("called reused, of the same", "相同的对中判为重复"), share(r.Recall))
		fmt.Fprintf(w, "%s\t%s\n", say("... or left to a person", "…… 或留待人工判断"), share(r.Asked))
		fmt.Fprintf(w, "%s\t%d\n", say("called reused, of the different", "不同的对中判为重复"), r.FalseMatches)
		fmt.Fprintf(w, "%s\t%d\n", say("left to a person, of the different", "不同的对中留待人工判断"), r.FalseAsked)
		fmt.Fprintf(w, "%s\t%.1f\n\n%s\n", say("ms per comparison", "每次比对毫秒数"), r.MSPerQuery, say("transform\tpairs\treused\tor asked", "改动\t对数\t判为重复\t或留待人工"))
		for _, name := range slices.Sorted(maps.Keys(r.ByTransform)) {
			t := r.ByTransform[name]
			fmt.Fprintf(w, "%s\t%d\t%.2f\t%.2f\n", name, t.Same, t.Reused, t.Asked)
		}
	})
}

// pairsError says what is wrong with a table of pairs, or with a file that it names.
func pairsError(path string, err error) error {
	var table *reuse.TableError
	var pair *reuse.PairError
	switch {
	case errors.As(err, &table):
		return pathError("--pairs", path, table.Err, "name a CSV file with the columns query, original and label (same or different)", "请指定带 query、original、label（same 或 different）列的 CSV 文件")
	case errors.As(err, &pair) && !errors.Is(err, context.Canceled):
		t := trouble(pair.Err)
		return &usageError{err: err, text: pipeline.Text{
			EN: fmt.Sprintf("--pairs %s, line %d, %s: %s; mend the file or take the line out", path, pair.Line, pair.File, t.EN),
			ZH: fmt.Sprintf("--pairs %s 第 %d 行，%s：%s；请修复该文件或删除该行", path, pair.Line, pair.File, t.ZH)}}
	default:
		return err
	}
}

// make writes a suite.
func (c *benchReuseCmd) make(ctx context.Context, e *env) error {
	if c.Clips == "" && c.Photos == "" {
		return &usageError{err: errors.New("--make: no material"), text: pipeline.Text{
			EN: "--make needs something to make attacks of: --clips FOLDER, --photos FOLDER or both", ZH: "--make 需要素材：请用 --clips 或 --photos 指定文件夹"}}
	}
	if c.Seconds == 0 {
		return usagef(pipeline.Text{EN: "--seconds: 0, want 1.5 to 60", ZH: "--seconds：0，应为 1.5 到 60"})
	}
	if c.Easy < 1 {
		return usagef(pipeline.Text{EN: fmt.Sprintf("--easy: %d, want 1 or more", c.Easy), ZH: fmt.Sprintf("--easy：%d，应不小于 1", c.Easy)})
	}
	bar := newProgress(e)
	m, err := attack.Make(ctx, c.Make, attack.Options{Clips: c.Clips, Photos: c.Photos, Scenes: c.Scenes, Seed: c.Seed, Kinds: c.Kinds, Seconds: c.Seconds, Easy: c.Easy, Progress: bar.count("files")})
	bar.close()
	if errors.Is(err, attack.ErrNoFFmpeg) {
		return &usageError{err: err, text: pipeline.Text{EN: err.Error(), ZH: "PATH 中没有 ffmpeg 和 ffprobe：请先安装 ffmpeg（Debian：apt-get install ffmpeg），或使用在别处生成的测试集"}}
	}
	var input *attack.InputError
	if errors.As(err, &input) {
		given := map[string]string{"Clips": c.Clips, "Photos": c.Photos, "Scenes": c.Scenes, "Kinds": strings.Join(c.Kinds, ","), "Seconds": fmt.Sprint(c.Seconds)}[input.Option]
		return pathError("--"+strings.ToLower(input.Option), given, input.Err, "see `onsite bench reuse --help`", "请参阅 onsite bench reuse --help")
	}
	var source *attack.SourceError
	if errors.As(err, &source) {
		return unusable(source.Path, err)
	}
	var mixed *attack.MixedError
	if errors.As(err, &mixed) {
		t := mixed.Text()
		return &usageError{err: err, text: pipeline.Text{EN: "--make " + t.EN, ZH: "--make " + t.ZH}}
	}
	if err != nil {
		return err
	}
	return c.show(e, m, func(w *tabwriter.Writer) {
		fmt.Fprintf(w, "clips, photos\t%d, %d\nscene families\t%d\noriginals\t%d\nattacks\t%d\npairs\t%d\nfiles made, kept\t%d, %d\ntable\t%s\n", m.Clips, m.Photos, m.Families, m.Originals, m.Queries, m.Pairs, m.Written, m.Kept, m.Table)
		for _, s := range m.Skipped {
			fmt.Fprintf(w, "skipped\t%s\n", s)
		}
	})
}

// unusable says that a file among the material of a suite cannot be read. Nothing was made yet, and nothing is lost.
func unusable(path string, err error) error {
	return &usageError{err: err, text: pipeline.Text{
		EN: fmt.Sprintf("%s: ffmpeg finds no pictures in it; take it out of the folder, or mend it (nothing was written)", path),
		ZH: fmt.Sprintf("%s：ffmpeg 未能从中读出画面；请将其移出文件夹或修复（未写入任何内容）", path),
	}}
}

// evaluate measures a suite.
func (c *benchReuseCmd) evaluate(ctx context.Context, e *env, core *core) error {
	if _, err := os.Stat(filepath.Join(c.Suite, attack.Table)); errors.Is(err, fs.ErrNotExist) {
		if _, none := os.Stat(c.Suite); none == nil {
			err = errors.New(attack.Table + " is not in it")
		}
		return pathError("--suite", c.Suite, err, "name a folder that `onsite bench reuse --make` wrote", "请指定由 onsite bench reuse --make 生成的文件夹")
	}
	bar := newProgress(e)
	r, err := copies.Run(ctx, c.Suite, core.DecodeSound, copies.Options{Half: c.Half, Seed: c.Seed, Splits: c.Splits, History: c.History, Config: reuse.DefaultConfig(), Progress: bar.count("files and pairs")})
	bar.close()
	if err != nil {
		return err
	}
	if c.Plots != "" {
		if err := r.Plot(c.Plots); err != nil {
			return err
		}
	}
	return c.show(e, r, func(w *tabwriter.Writer) {
		for _, p := range []struct {
			name string
			part *copies.Part
		}{{"clips", r.Video}, {"photos", r.Photo}} {
			if p.part != nil {
				partTable(w, p.name, p.part)
			}
		}
	})
}

// index measures the frame index.
func (c *benchReuseCmd) index(ctx context.Context, e *env) error {
	sizes := copies.Sizes
	if c.Large {
		sizes = append(slices.Clone(sizes), copies.LargeSize)
	}
	bar := newProgress(e)
	r, err := copies.MeasureIndex(ctx, sizes, c.Seed, bar.count("sizes"))
	bar.close()
	if err != nil {
		return err
	}
	return c.show(e, map[string]any{"sizes": r}, func(w *tabwriter.Writer) {
		fmt.Fprintf(w, "hashes\tadd s\tsnapshot s\topen ms\tMB\tbytes each\tp50 ms\tp99 ms\tbrute ms\ttimes brute\tclips found\tflooded\tmistaken\n")
		for _, l := range r {
			fmt.Fprintf(w, "%d\t%.2f\t%.2f\t%.0f\t%.1f\t%.0f\t%.2f\t%.2f\t%.1f\t%.0f\t%.1f\t%.1f\t%d of %d\n", l.Hashes, l.AddS, l.BuildS, l.OpenMS, float64(l.Bytes)/1e6, l.PerHash, l.P50MS, l.P99MS, l.BruteMS, l.Faster, l.Found, l.Flooded, l.Mistaken, l.Checked)
		}
		fmt.Fprintf(w, "CPU time of one core; a lookup is a whole clip of 8 pictures in two forms\n\nhashes\tpictures\tp50 ms\tp99 ms\n")
		for _, l := range r {
			for _, x := range l.Longer {
				fmt.Fprintf(w, "%d\t%d\t%.2f\t%.2f\n", l.Hashes, x.Stills, x.P50MS, x.P99MS)
			}
		}
	})
}

// interval prints a share with its counts and interval.
func interval(s copies.Share) string {
	if s.Rate == nil {
		return "-"
	}
	out := fmt.Sprintf("%.3f (%d of %d)", *s.Rate, s.Hits, s.N)
	if s.CI95 != nil {
		out += fmt.Sprintf(" [%.3f, %.3f]", s.CI95[0], s.CI95[1])
	}
	return out
}

// historyTable prints what all originals at once gave; h may be nil.
func historyTable(w *tabwriter.Writer, h *copies.History) {
	if h == nil {
		return
	}
	fmt.Fprintf(w, "all %d originals at once (%d families): original among those compared in full\t%s\n... reused\t%s\n... or left to a person\t%s\n", h.Originals, h.Families, interval(h.Chosen), interval(h.Reused), interval(h.Asked))
	fmt.Fprintf(w, "... pairs of other scenes\t%d, %d of them compared in full: same content %d, cannot tell %d, reused %d\n", h.Pairs, h.Full, h.SameContent, h.CannotTell, h.WrongReused)
	for _, line := range h.Wrong {
		fmt.Fprintf(w, "    %s\n", line)
	}
}

func partTable(w *tabwriter.Writer, name string, p *copies.Part) {
	fmt.Fprintf(w, "%s: %d copies, %d look-alikes, %d strangers; %d scene families, %d of them with look-alikes\n\n", name, p.Same, p.Hard, p.Easy, p.Families, p.Lookalikes)
	fmt.Fprintf(w, "at the product's thresholds\tsame recording\tsame content\n")
	fmt.Fprintf(w, "threshold\t%.2f\t%.2f\n", p.Recording.Threshold, p.Content.Threshold)
	for _, x := range []struct {
		name string
		a, b copies.Share
	}{{"copies found", p.Recording.Recall, p.Content.Recall}, {"... without freeze", p.Recording.Moving, p.Content.Moving}, {"look-alikes called so", p.Recording.Hard, p.Content.Hard}, {"strangers called so", p.Recording.Easy, p.Content.Easy}} {
		if x.a.N > 0 {
			fmt.Fprintf(w, "%s\t%s\t%s\n", x.name, interval(x.a), interval(x.b))
		}
	}
	fmt.Fprintf(w, "copies: cannot tell\t%s\n", interval(p.Asked))
	fmt.Fprintf(w, "tenant-wide lookup, some frame within %.0f bits: copies\t%s\n... look-alikes, strangers\t%s\t%s\n", p.Lookup.Threshold, interval(p.Lookup.Recall), interval(p.Lookup.Hard), interval(p.Lookup.Easy))
	historyTable(w, p.History)
	fmt.Fprintf(w, "\nhonest footage\treused\tcannot tell\ttop S\n")
	for _, h := range p.Honest {
		fmt.Fprintf(w, "%s\t%s\t%s\t%.2f\n", h.Relation, interval(h.Reused), interval(h.CannotTell), h.TopS)
	}
	fmt.Fprintf(w, "\nfamilies with look-alikes that were not told apart\treused\tcannot tell\ttop S\n")
	for _, h := range p.HonestFamilies {
		if h.Reused.Hits+h.CannotTell.Hits > 0 {
			fmt.Fprintf(w, "%s\t%d of %d\t%d of %d\t%.2f\n", h.Relation, h.Reused.Hits, h.Reused.N, h.CannotTell.Hits, h.CannotTell.N, h.TopS)
		}
	}
	fmt.Fprintf(w, "\nheld out: thresholds by one half of the families, reported on the other; intervals by family\nmeasure\tchosen so that\tcopies found\tworst run\tlook-alikes called so\tworst run\tstrangers called so\tthreshold\n")
	for _, m := range p.Methods {
		for _, x := range []struct {
			what string
			h    *copies.HeldOut
		}{{"no stranger is called so", m.Strangers}, {"no look-alike either", m.All}, {"95 % of the copies are", m.Found}} {
			if x.h == nil {
				fmt.Fprintf(w, "%s\t%s\t-\t\t\t\t\t(too few families)\n", m.Name, x.what)
				continue
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%.3f\t%s\t%s\t%s\t%.3f (%.3f to %.3f)\n", m.Name, x.what, interval(x.h.Copies), x.h.Worst, interval(x.h.Lookalikes), share(x.h.WorstHard), interval(x.h.Strangers), x.h.Threshold[1], x.h.Threshold[0], x.h.Threshold[2])
		}
	}
	fmt.Fprintf(w, "\ntransform\tn\treused\tcannot tell\tsame content\tlookup\theld out: reused\tcontent\tplain PDQ\n")
	for _, k := range p.Kinds {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.Transform, k.N, share(k.Reused.Rate), share(k.CannotTell.Rate), share(k.Content.Rate), share(k.Lookup.Rate), share(k.HeldOut), share(k.ContentOut), share(k.PDQOut))
	}
	fmt.Fprintf(w, "\nprocessor time\nms per fingerprint (decoding not counted)\t%.0f\nms per still, PDQ in eight forms\t%.1f\n", p.MSPerClip, p.MSPerStill)
	for _, kind := range slices.Sorted(maps.Keys(p.MSPerPair)) {
		fmt.Fprintf(w, "ms per comparison, %s\t%.0f\n", kind, p.MSPerPair[kind])
	}
	fmt.Fprintf(w, "bytes per fingerprint\t%d\n", p.BytesMean)
	if p.BytesPer5s > 0 {
		fmt.Fprintf(w, "bytes per 5 s\t%d\n", p.BytesPer5s)
	}
	fmt.Fprintln(w)
}
