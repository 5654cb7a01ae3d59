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

	"onsite/pipeline"
	"onsite/pipeline/bench/attack"
	"onsite/pipeline/bench/copies"
	"onsite/pipeline/media"
	"onsite/pipeline/reuse"
)

type benchReuseCmd struct {
	benchCommon
	Pairs string `help:"CSV file: query,original,label[,transform,severity]; paths relative to the file or from the root." placeholder:"FILE" xor:"what" required:""`
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
	r, err := reuse.Pairs(ctx, c.Pairs, core.DecodeSound, reuse.DefaultConfig(), bar.count("pairs", "录像对"))
	bar.close()
	if err != nil {
		return pairsError(c.Pairs, err)
	}
	return c.show(e, r, func(t sheet) {
		t.line("pairs\t%d", "对数\t%d", len(r.Pairs))
		t.line("called reused, of the same\t%s", "相同的对中判为重复\t%s", share(r.Recall))
		t.line("... or left to a person\t%s", "…… 或留待人工判断\t%s", share(r.Asked))
		t.line("called reused, of the different\t%d", "不同的对中判为重复\t%d", r.FalseMatches)
		t.line("left to a person, of the different\t%d", "不同的对中留待人工判断\t%d", r.FalseAsked)
		t.line("ms per comparison\t%.1f\n", "每次比对毫秒\t%.1f\n", r.MSPerQuery)
		t.line("transform\tpairs\treused\tor asked", "改动\t对数\t判为重复\t或留待人工")
		for _, name := range slices.Sorted(maps.Keys(r.ByTransform)) {
			k := r.ByTransform[name]
			t.data("%s\t%d\t%.2f\t%.2f", name, k.Same, k.Reused, k.Asked)
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
	m, err := attack.Make(ctx, c.Make, attack.Options{Clips: c.Clips, Photos: c.Photos, Scenes: c.Scenes, Seed: c.Seed, Kinds: c.Kinds, Seconds: c.Seconds, Easy: c.Easy, Progress: bar.count("files", "文件")})
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
	return c.show(e, m, func(t sheet) {
		t.line("clips, photos\t%d, %d", "视频、照片\t%d、%d", m.Clips, m.Photos)
		t.line("scene families\t%d", "场景族\t%d", m.Families)
		t.line("originals\t%d", "原始文件\t%d", m.Originals)
		t.line("attacks\t%d", "攻击文件\t%d", m.Queries)
		t.line("pairs\t%d", "对数\t%d", m.Pairs)
		t.line("files made, kept\t%d, %d", "新生成、保留的文件\t%d、%d", m.Written, m.Kept)
		t.line("table\t%s", "表格\t%s", m.Table)
		for _, s := range m.Skipped {
			t.line("skipped\t%s", "跳过\t%s", s)
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
			err = &pipeline.DataError{Path: c.Suite, Wrong: pipeline.Text{EN: attack.Table + " is not in it", ZH: "其中没有 " + attack.Table}}
		}
		return pathError("--suite", c.Suite, err, "name a folder that `onsite bench reuse --make` wrote", "请指定由 onsite bench reuse --make 生成的文件夹")
	}
	bar := newProgress(e)
	r, err := copies.Run(ctx, c.Suite, core.DecodeSound, copies.Options{Half: c.Half, Seed: c.Seed, Splits: c.Splits, History: c.History, Config: reuse.DefaultConfig(), Progress: bar.count("files and pairs", "文件与录像对")})
	bar.close()
	if err != nil {
		return err
	}
	if c.Plots != "" {
		if err := r.Plot(c.Plots); err != nil {
			return err
		}
	}
	return c.show(e, r, func(t sheet) {
		for _, p := range []struct {
			name string
			part *copies.Part
		}{{t.say("clips", "视频"), r.Video}, {t.say("photos", "照片"), r.Photo}} {
			if p.part != nil {
				partTable(t, p.name, p.part)
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
	r, err := copies.MeasureIndex(ctx, sizes, c.Seed, bar.count("sizes", "索引规模"))
	bar.close()
	if err != nil {
		return err
	}
	return c.show(e, map[string]any{"sizes": r}, func(t sheet) {
		t.line("hashes\tadd s\tsnapshot s\topen ms\tMB\tbytes each\tp50 ms\tp99 ms\tbrute ms\ttimes brute\tclips found\tflooded\tmistaken",
			"哈希\t加入秒\t快照秒\t打开毫秒\tMB\t每条字节\tp50 毫秒\tp99 毫秒\t暴力毫秒\t快多少倍\t找到的视频\t过多\t误认")
		for _, l := range r {
			t.line("%d\t%.2f\t%.2f\t%.0f\t%.1f\t%.0f\t%.2f\t%.2f\t%.1f\t%.0f\t%.1f\t%.1f\t%d of %d", "%d\t%.2f\t%.2f\t%.0f\t%.1f\t%.0f\t%.2f\t%.2f\t%.1f\t%.0f\t%.1f\t%.1f\t%d / %d",
				l.Hashes, l.AddS, l.BuildS, l.OpenMS, float64(l.Bytes)/1e6, l.PerHash, l.P50MS, l.P99MS, l.BruteMS, l.Faster, l.Found, l.Flooded, l.Mistaken, l.Checked)
		}
		t.line("CPU time of one core; a lookup is a whole clip of 8 pictures in two forms\n", "单核 CPU 时间；一次查询是一整段视频的 8 张画面，各两种形式\n")
		t.line("hashes\tpictures\tp50 ms\tp99 ms", "哈希\t画面\tp50 毫秒\tp99 毫秒")
		for _, l := range r {
			for _, x := range l.Longer {
				t.data("%d\t%d\t%.2f\t%.2f", l.Hashes, x.Stills, x.P50MS, x.P99MS)
			}
		}
	})
}

// interval prints a share with its counts and interval.
func (s sheet) interval(of copies.Share) string {
	if of.Rate == nil {
		return "-"
	}
	out := fmt.Sprintf(s.say("%.3f (%d of %d)", "%.3f (%d / %d)"), *of.Rate, of.Hits, of.N)
	if of.CI95 != nil {
		out += fmt.Sprintf(" [%.3f, %.3f]", of.CI95[0], of.CI95[1])
	}
	return out
}

// historyTable prints what all originals at once gave; h may be nil.
func historyTable(t sheet, h *copies.History) {
	if h == nil {
		return
	}
	t.line("all %d originals at once (%d families): original among those compared in full\t%s", "同时对照全部 %d 个原始文件（%d 个族）：原始文件进入完整比对\t%s", h.Originals, h.Families, t.interval(h.Chosen))
	t.line("... reused\t%s", "…… 判为重复\t%s", t.interval(h.Reused))
	t.line("... or left to a person\t%s", "…… 或留待人工判断\t%s", t.interval(h.Asked))
	t.line("... pairs of other scenes\t%d, %d of them compared in full: same content %d, cannot tell %d, reused %d", "…… 其他场景的对\t%d，其中 %d 对完整比对：内容相同 %d、无法判断 %d、判为重复 %d",
		h.Pairs, h.Full, h.SameContent, h.CannotTell, h.WrongReused)
	for _, line := range h.Wrong {
		t.data("    %s", line)
	}
}

func partTable(t sheet, name string, p *copies.Part) {
	t.line("%s: %d copies, %d look-alikes, %d strangers; %d scene families, %d of them with look-alikes\n", "%s：%d 个复制件，%d 个相似者，%d 个无关者；%d 个场景族，其中 %d 个有相似者\n",
		name, p.Same, p.Hard, p.Easy, p.Families, p.Lookalikes)
	t.line("at the product's thresholds\tsame recording\tsame content", "按产品阈值\t同一录像\t同一内容")
	t.line("threshold\t%.2f\t%.2f", "阈值\t%.2f\t%.2f", p.Recording.Threshold, p.Content.Threshold)
	for _, x := range []struct {
		en, zh string
		a, b   copies.Share
	}{
		{"copies found", "找到的复制件", p.Recording.Recall, p.Content.Recall}, {"... without freeze", "…… 不计冻结画面", p.Recording.Moving, p.Content.Moving},
		{"look-alikes called so", "相似者被如此判定", p.Recording.Hard, p.Content.Hard}, {"strangers called so", "无关者被如此判定", p.Recording.Easy, p.Content.Easy},
	} {
		if x.a.N > 0 {
			t.data("%s\t%s\t%s", t.say(x.en, x.zh), t.interval(x.a), t.interval(x.b))
		}
	}
	t.line("copies: cannot tell\t%s", "复制件：无法判断\t%s", t.interval(p.Asked))
	t.line("tenant-wide lookup, some frame within %.0f bits: copies\t%s", "全租户查找，某一画面相差不超过 %.0f 位：复制件\t%s", p.Lookup.Threshold, t.interval(p.Lookup.Recall))
	t.line("... look-alikes, strangers\t%s\t%s", "…… 相似者、无关者\t%s\t%s", t.interval(p.Lookup.Hard), t.interval(p.Lookup.Easy))
	historyTable(t, p.History)
	t.line("\nhonest footage\treused\tcannot tell\ttop S", "\n真实素材\t判为重复\t无法判断\t最高 S")
	for _, h := range p.Honest {
		t.data("%s\t%s\t%s\t%.2f", h.Relation, t.interval(h.Reused), t.interval(h.CannotTell), h.TopS)
	}
	t.line("\nfamilies with look-alikes that were not told apart\treused\tcannot tell\ttop S", "\n未能区分相似者的族\t判为重复\t无法判断\t最高 S")
	for _, h := range p.HonestFamilies {
		if h.Reused.Hits+h.CannotTell.Hits > 0 {
			t.line("%s\t%d of %d\t%d of %d\t%.2f", "%s\t%d / %d\t%d / %d\t%.2f", h.Relation, h.Reused.Hits, h.Reused.N, h.CannotTell.Hits, h.CannotTell.N, h.TopS)
		}
	}
	t.line("\nheld out: thresholds by one half of the families, reported on the other; intervals by family", "\n留出：阈值由一半的族选定，在另一半上报告；区间按族计算")
	t.line("measure\tchosen so that\tcopies found\tworst run\tlook-alikes called so\tworst run\tstrangers called so\tthreshold", "度量\t选取条件\t找到的复制件\t最差一次\t相似者被如此判定\t最差一次\t无关者被如此判定\t阈值")
	for _, m := range p.Methods {
		for _, x := range []struct {
			en, zh string
			h      *copies.HeldOut
		}{
			{"no stranger is called so", "没有无关者被如此判定", m.Strangers}, {"no look-alike either", "相似者也没有", m.All},
			{"95 % of the copies are", "找到 95% 的复制件", m.Found},
		} {
			what := t.say(x.en, x.zh)
			if x.h == nil {
				t.line("%s\t%s\t-\t\t\t\t\t(too few families)", "%s\t%s\t-\t\t\t\t\t（族太少）", m.Name, what)
				continue
			}
			t.line("%s\t%s\t%s\t%.3f\t%s\t%s\t%s\t%.3f (%.3f to %.3f)", "%s\t%s\t%s\t%.3f\t%s\t%s\t%s\t%.3f（%.3f 至 %.3f）",
				m.Name, what, t.interval(x.h.Copies), x.h.Worst, t.interval(x.h.Lookalikes), share(x.h.WorstHard), t.interval(x.h.Strangers), x.h.Threshold[1], x.h.Threshold[0], x.h.Threshold[2])
		}
	}
	t.line("\ntransform\tn\treused\tcannot tell\tsame content\tlookup\theld out: reused\tcontent\tplain PDQ", "\n改动\t数量\t判为重复\t无法判断\t内容相同\t查找\t留出：判为重复\t内容\t单独 PDQ")
	for _, k := range p.Kinds {
		t.data("%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s", k.Transform, k.N, share(k.Reused.Rate), share(k.CannotTell.Rate), share(k.Content.Rate), share(k.Lookup.Rate), share(k.HeldOut), share(k.ContentOut), share(k.PDQOut))
	}
	t.line("\nprocessor time", "\n处理器时间")
	t.line("ms per fingerprint (decoding not counted)\t%.0f", "每个指纹毫秒（不含解码）\t%.0f", p.MSPerClip)
	t.line("ms per still, PDQ in eight forms\t%.1f", "每张画面毫秒，八种形式的 PDQ\t%.1f", p.MSPerStill)
	for _, kind := range slices.Sorted(maps.Keys(p.MSPerPair)) {
		t.line("ms per comparison, %s\t%.0f", "每次比对毫秒，%s\t%.0f", kind, p.MSPerPair[kind])
	}
	t.line("bytes per fingerprint\t%d", "每个指纹字节\t%d", p.BytesMean)
	if p.BytesPer5s > 0 {
		t.line("bytes per 5 s\t%d", "每 5 秒字节\t%d", p.BytesPer5s)
	}
	t.data("")
}
