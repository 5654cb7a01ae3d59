package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // photos that drawings are made with
	_ "image/png"  // the same
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"onsite/models"
	"onsite/models/install"
	"onsite/models/manifest"
	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/scene"
	"onsite/pipeline/scene/head"
	"onsite/pipeline/scene/head/paint"
)

type sceneCmd struct {
	Data  sceneDataCmd  `cmd:"" help:"Gather the pictures that the generic heads are trained on: fetch freely licensed photos, draw posters and signs."`
	Train sceneTrainCmd `cmd:"" help:"Train the generic heads (storefront, desk, poster, text, cafe, home, street) on a folder of labelled pictures."`
}

type sceneDataCmd struct {
	Out  string `help:"Folder to write. Default: train in the cache." placeholder:"DIR"`
	From string `help:"Take the tarballs from this folder (made with npm pack) instead of the registry." placeholder:"DIR"`
	JSON bool   `help:"Print JSON."`
}

// photoSide is the long side of photos that drawings are made with.
const photoSide = 800

// paintFonts are the files of the group fonts: the three with Latin letters only come first.
var paintFonts = []string{"anton.ttf", "pacifico.ttf", "oswald.ttf", "noto-sans-sc-black.ttf", "noto-sans-sc.ttf", "zcool-huangyou.ttf"}

func (c *sceneDataCmd) Run(ctx context.Context, e *env) error {
	cache := models.CacheDir()
	if c.Out == "" {
		c.Out = filepath.Join(cache, "train")
	}
	groups := []string{install.Photos, install.Fonts}
	err := install.Install(ctx, install.Options{Cache: cache, Groups: groups, From: c.From, Progress: e.installing("scene data", "场景训练数据")})
	if err != nil {
		return err
	}
	packages, err := install.Packages(install.Photos)
	if err != nil {
		return err
	}
	rows := [][]string{{"file", "source", "from", "licence"}}
	var inside, outside []image.Image
	for _, p := range packages {
		for _, f := range p.Files {
			raw, err := pipeline.ReadFile(filepath.Join(cache, install.Photos, filepath.FromSlash(f.Name)), f.Bytes)
			if err != nil {
				return err
			}
			if err := put(c.Out, f.Name, raw); err != nil {
				return err
			}
			rows = append(rows, []string{f.Name, photoSource(f.Name), p.NPM + "@" + p.Version + " " + f.Member, p.Licence})
			photo, _, err := image.Decode(bytes.NewReader(raw)) //nolint:forbidigo // pinned photos whose sha256 was just compared
			if err != nil {
				return fmt.Errorf("read the photo %s: %w", f.Name, err)
			}
			switch class, _, _ := strings.Cut(f.Name, "/"); class {
			case "street":
				outside = append(outside, paint.Small(photo, photoSide))
			case "desk", "cafe", "home", "shop_interior":
				inside = append(inside, paint.Small(photo, photoSide))
			}
		}
	}
	var files [][]byte
	for _, name := range paintFonts {
		raw, err := os.ReadFile(filepath.Join(cache, install.Fonts, name))
		if err != nil {
			return err
		}
		files = append(files, raw)
	}
	fonts, err := paint.Fonts(files)
	if err != nil {
		return err
	}
	plan := paint.DefaultPlan()
	n := 0
	err = paint.Draw(plan, inside, outside, fonts, func(d paint.Drawing) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		n++
		name := fmt.Sprintf("%s/%03d_%s.jpg", d.Class, n, d.Source)
		rows = append(rows, []string{name, d.Source, fmt.Sprintf("drawn (seed %d) with these photos and the fonts of onsite models install", plan.Seed), "MIT AND OFL-1.1"})
		return put(c.Out, name, d.JPEG)
	})
	if err != nil {
		return err
	}
	var table bytes.Buffer
	if err := csv.NewWriter(&table).WriteAll(rows); err != nil {
		return err
	}
	if err := put(c.Out, head.SourceTable, table.Bytes()); err != nil {
		return err
	}
	if c.JSON {
		return e.printJSON(map[string]any{"folder": c.Out, "photos": len(rows) - 1 - n, "drawings": n})
	}
	fmt.Fprintln(e.out, e.say(pipeline.Text{
		EN: fmt.Sprintf("%d photos and %d drawings in %s; next: onsite scene train --data %s", len(rows)-1-n, n, c.Out, c.Out),
		ZH: fmt.Sprintf("%s 中有 %d 张照片和 %d 张绘制图片；下一步：onsite scene train --data %s", c.Out, len(rows)-1-n, n, c.Out),
	}))
	return nil
}

// photoSource is the source in a photo's name: class/001_SOURCE.jpg.
func photoSource(name string) string {
	base := filepath.Base(name)
	_, source, _ := strings.Cut(strings.TrimSuffix(base, filepath.Ext(base)), "_")
	return source
}

// put writes a file below a folder.
func put(dir, name string, data []byte) error {
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.WriteFile(path, data, 0o644)
}

// measuring is what the training and the table of heads share: the pictures of a folder and their features.
type measuring struct {
	core  *core
	cache head.Cache
	parts []manifest.Part
}

// featureVersion changes when the code between a picture and its features does.
const featureVersion = "2"

func newMeasuring(core *core) (*measuring, error) {
	m := &measuring{core: core, cache: head.Cache{Dir: filepath.Join(models.CacheDir(), "features"), Versions: []string{featureVersion}}}
	for _, g := range head.Groups() {
		man, ok := core.Models.Manifest(scene.MadeBy[g])
		if !ok {
			return nil, fmt.Errorf("measure pictures: no model for %s", scene.MadeBy[g])
		}
		m.parts = append(m.parts, manifest.Part{Name: g, Model: man.File.SHA256})
		m.cache.Versions = append(m.cache.Versions, man.File.SHA256)
	}
	return m, nil
}

// measure gives the features of one picture.
func (m *measuring) measure(ctx context.Context, path, variant string) (head.Input, error) {
	clip, err := m.core.Decode(ctx, pipeline.File(path))
	if err != nil {
		return head.Input{}, err
	}
	defer clip.Close()
	if len(clip.Frames) == 0 {
		return head.Input{}, errors.New("it holds no picture")
	}
	img, err := scene.Changed(clip.Frames[0].Image, variant)
	if err != nil {
		return head.Input{}, err
	}
	defer img.Close()
	f, err := scene.NewExtractor(m.core.Models).Features(ctx, img, scene.Everything)
	if err != nil {
		return head.Input{}, err
	}
	return f.HeadInput(scene.Everything), nil
}

type sceneTrainCmd struct {
	Data    string `help:"Folder DIR/<class>/*.jpg; optional DIR/sources.csv (file,source,from,licence)." required:"" placeholder:"DIR"`
	Out     string `help:"Folder to write the ONNX file, its manifest, the list of pictures and the model card to. Default: only print how the heads do." placeholder:"DIR"`
	Name    string `help:"Name of the model." default:"scene-heads"`
	Version string `help:"Version of the model." default:"1.0.0"`
	SPDX    string `help:"Licence of the weights." default:"Apache-2.0"`
	Note    string `help:"Where the pictures come from, for the manifest and the card." default:"Trained by onsite scene train."`
	Builtin bool   `help:"The files will become part of the program: lie beside the built-in manifests."`
	JSON    bool   `help:"Print JSON."`
}

func (c *sceneTrainCmd) Run(ctx context.Context, e *env) error {
	samples, err := head.Folder(c.Data)
	if err != nil {
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
	bar := newProgress(e)
	filled, _, _, err := m.cache.Fill(ctx, c.Data, samples, trainVariants, m.measure, bar.count("pictures", "图片"))
	if err != nil {
		bar.close()
		return err
	}
	heads, err := head.Train(ctx, head.Questions(), filled, nil, head.DefaultFitOptions(), bar.count("rounds", "轮次"))
	bar.close()
	if err != nil {
		return err
	}
	rows := map[string]head.Row{}
	for _, h := range heads {
		rows[h.Question.Name] = h.Rows(head.Plain)
	}
	result := head.Bench{Mode: "cross", Images: len(samples), Sources: len(head.Sources(samples)), Heads: rows, Note: crossNote}
	if err := (benchCommon{JSON: c.JSON}).show(e, result, func(t sheet) { headTable(t, result.Heads) }); err != nil || c.Out == "" {
		return err
	}
	origins, err := readOrigins(c.Data)
	if err != nil {
		return err
	}
	for i, p := range m.parts {
		m.parts[i].Size = filled[0].Input.Len(p.Name)
	}
	export := head.Export{
		Name: c.Name, Version: c.Version, Heads: heads, Parts: m.parts, Samples: filled, Origins: origins,
		Licence: manifest.Licence{SPDX: c.SPDX}, Note: c.Note, Embedded: c.Builtin, Options: head.DefaultFitOptions(), Golden: golden(heads, m.parts),
	}
	return export.Write(c.Out)
}

// golden is the self-test of the exported model.
func golden(heads []head.Trained, parts []manifest.Part) []manifest.Golden {
	const seed = 3
	in := manifest.Input{Parts: parts}
	return []manifest.Golden{head.GoldenOf(heads, parts, models.PatternVector(in.Size(), seed), seed)}
}

// trainVariants: photos are learnt grey, too; drawings are now and then grey already.
func trainVariants(s head.Sample) []string {
	if head.Drawn(s.Source) {
		return []string{head.Plain}
	}
	return []string{head.Plain, head.Gray}
}

// readOrigins reads where the pictures of a folder come from, if its table says so.
func readOrigins(dir string) (map[string]head.Origin, error) {
	path := filepath.Join(dir, head.SourceTable)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	rows, err := pipeline.ReadTable(path, "file")
	if err != nil {
		return nil, err
	}
	out := map[string]head.Origin{}
	for _, r := range rows {
		out[r.Get("file")] = head.Origin{From: r.Get("from"), Licence: r.Get("licence")}
	}
	return out, nil
}

// headTable prints a table of heads with what each one says about every class.
func headTable(t sheet, heads map[string]head.Row) {
	t.line("head\tyes / all\tAUC (95 %%)\tTPR at FPR 5 %%\tprecision\trecall\tF1\tfrom", "分类头\t是 / 全部\tAUC（95%%）\tFPR 5%% 时 TPR\t精确率\t召回率\tF1\t阈值")
	for _, name := range slices.Sorted(maps.Keys(heads)) {
		r := heads[name]
		t.data("%s\t%d / %d\t%s\t%s\t%s\t%s\t%s\t%.2f", name, r.Yes, r.N, head.Interval(r.AUC, r.CI95), head.Share(r.TPR), head.Share(r.Precision), head.Share(r.Recall), head.Share(r.F1), r.Threshold)
		for _, against := range slices.Sorted(maps.Keys(r.Against)) {
			a := r.Against[against]
			t.line("  against %s\t%d\t%s", "  与 %s 相对\t%d\t%s", against, a.N, head.Interval(a.AUC, a.CI95))
		}
	}
	t.line("\nsays yes to (of each class)", "\n判为“是”的（按类别）")
	t.data("%s\t%s", t.say("head", "分类头"), strings.Join(head.Classes(), "\t"))
	for _, name := range slices.Sorted(maps.Keys(heads)) {
		cells := []string{name}
		for _, c := range head.Classes() {
			cell := ""
			if n, ok := heads[name].SaysYes[c]; ok {
				cell = fmt.Sprintf("%d/%d", n[0], n[1])
			}
			cells = append(cells, cell)
		}
		t.data("%s", strings.Join(cells, "\t"))
	}
}
