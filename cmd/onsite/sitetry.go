package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"onsite/api/client"
	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/policy"
	"onsite/pipeline/report"
	"onsite/pipeline/scene"
	"onsite/pipeline/verify"
)

// siteTestCmd tries one photo against a site file without a service, or against a site of a service: what would match, and how surely.
type siteTestCmd struct {
	Photo  string    `arg:"" help:"A photo taken at the site, or at another place that must not match."`
	Site   string    `help:"The site file; tried here, without a service." placeholder:"site.yaml" xor:"where"`
	On     string    `help:"Id of a site of the service; the photo is sent there, tried and not kept." placeholder:"ID" xor:"where"`
	At     time.Time `help:"When it is taken (RFC 3339); posters are checked for that day. Default: now." placeholder:"TIME"`
	Policy string    `help:"With --site: policy that says what must be in view, a name or a YAML file. Default: all that the site has." placeholder:"NAME|p.yaml"`
	Out    string    `help:"Write a page (.html) or a picture (.png) with the outlines of what matched. The photo is shown as it is: nobody in it is blurred." placeholder:"FILE.html|FILE.png"`
	remoteFlags
}

// tried is a trial with what a page shows of it.
type tried struct {
	scene.Trial
	photo *media.Clip // nil: it was not decoded here
	refs  []report.Reference
	site  string
}

func (c *siteTestCmd) Run(ctx context.Context, e *env) error {
	if err := readable("PHOTO", c.Photo); err != nil {
		return err
	}
	if (c.Site == "") == (c.On == "") {
		return usagef(pipeline.Text{EN: "name the site: --site with a site file, or --on with the id of a site of the service", ZH: "请指定地点：用 --site 指定地点文件，或用 --on 指定服务中的地点编号"})
	}
	if c.On != "" && c.Policy != "" {
		return usagef(pipeline.Text{EN: "--policy goes with --site; a site of the service is tried for all that it has", ZH: "--policy 只能与 --site 一起使用；服务中的地点会检查其全部内容"})
	}
	switch strings.ToLower(filepath.Ext(c.Out)) {
	case ".png", ".html":
	default:
		if c.Out != "" {
			return pathError("--out", c.Out, errors.New("it is named neither as a page nor as a PNG picture"), "let its name end in .html or .png", "文件名须以 .html 或 .png 结尾")
		}
	}
	if c.At.IsZero() {
		c.At = time.Now()
	}
	try := c.here
	if c.On != "" {
		try = c.there
	}
	t, done, err := try(ctx, e)
	if err != nil {
		return err
	}
	defer done()
	if c.Out != "" {
		if err := c.write(e, t); err != nil {
			return err
		}
	}
	if c.JSON {
		return e.printJSON(t.Trial)
	}
	return t.print(e)
}

// here tries the photo against a site file.
func (c *siteTestCmd) here(ctx context.Context, _ *env) (t tried, done func(), err error) {
	site, err := loadSite("--site", c.Site)
	if err != nil {
		return tried{}, nil, err
	}
	cfg := scene.DefaultConfig()
	if c.Policy != "" {
		p, err := policy.Find(c.Policy)
		if err != nil {
			return tried{}, nil, &usageError{text: words(err), err: err}
		}
		cfg = verify.SceneConfig(p)
	}
	core, err := newCore(media.Options{})
	if err != nil {
		return tried{}, nil, err
	}
	var place *verify.Place
	var photo *media.Clip
	done = func() {
		if photo != nil {
			photo.Close()
		}
		if place != nil {
			place.Close()
		}
		core.close()
	}
	if place, err = core.Prepare(ctx, site, strings.EqualFold(filepath.Ext(c.Out), ".html")); err == nil {
		if photo, err = core.Decode(ctx, pipeline.File(c.Photo)); err == nil {
			t = tried{photo: photo, refs: place.Pictures, site: site.ID}
			t.Trial, err = scene.Try(ctx, core.Models, photo, place.Site, c.At, cfg)
		}
	}
	if err != nil {
		done()
		return tried{}, nil, err
	}
	return t, done, nil
}

// there has a service try the photo; it is decoded here only to be drawn.
func (c *siteTestCmd) there(ctx context.Context, e *env) (t tried, done func(), err error) {
	service, err := c.open(e)
	if err != nil {
		return tried{}, nil, err
	}
	defer service.Close()
	raw, err := service.TestSite(ctx, c.On, client.File{Name: filepath.Base(c.Photo), Path: c.Photo}, c.At)
	if err != nil {
		return tried{}, nil, remotely(err)
	}
	t.site = c.On
	if err := json.Unmarshal(raw, &t.Trial); err != nil {
		return tried{}, nil, fmt.Errorf("read the service's answer: %w", err)
	}
	if c.Out == "" {
		return t, func() {}, nil
	}
	decoder, err := media.NewDecoder(media.Options{})
	if err != nil {
		return tried{}, nil, err
	}
	if t.photo, err = decoder.Decode(ctx, pipeline.File(c.Photo), media.DefaultRequest()); err != nil {
		return tried{}, nil, err
	}
	return t, t.photo.Close, nil
}

// write writes the page or the picture; never over the photo or the site file.
func (c *siteTestCmd) write(e *env, t tried) error {
	if t.photo == nil || len(t.photo.Frames) == 0 {
		return nil
	}
	if old, err := os.Stat(c.Out); err == nil {
		for _, input := range []string{c.Photo, c.Site} {
			if in, err := os.Stat(input); err == nil && os.SameFile(old, in) {
				return pathError("--out", c.Out, errors.New("this file is an input"), "name another file", "请指定其他文件")
			}
		}
	}
	picture := t.photo.Frames[0].Image
	var out []byte
	var err error
	if strings.EqualFold(filepath.Ext(c.Out), ".png") {
		out, err = t.Picture(picture)
	} else {
		out, err = t.page(e, filepath.Base(c.Photo))
	}
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.Out, out, 0o600); err != nil {
		return pathError("--out", c.Out, err, "name a file in a folder that exists and can be written", "请指定存在且可写的文件夹中的文件")
	}
	return nil
}

// pageSide is the long side of the photo in a page, pixels.
const pageSide = 1280

// page is the trial as HTML.
func (t tried) page(e *env, photo string) ([]byte, error) {
	picture := t.photo.Frames[0].Image
	jpeg, err := media.Thumbnail(picture, pageSide, 85)
	if err != nil {
		return nil, err
	}
	in := report.Trial{
		Lang: e.lang, Site: t.site, Photo: photo, Outcome: t.Check.Outcome, References: t.refs, Grids: t.grids(),
		Picture: report.Picture{JPEG: jpeg, W: picture.Cols(), H: picture.Rows()},
	}
	for _, r := range t.References {
		if len(r.Outline) > 0 {
			label := fmt.Sprintf("#%d", r.Number)
			in.Marks = append(in.Marks, report.Mark{Outline: r.Outline, Good: r.Found && r.Now && !r.Negative, Label: pipeline.Text{EN: label, ZH: label}})
		}
	}
	var out bytes.Buffer
	err = report.WriteTrial(&out, in)
	return out.Bytes(), err
}

// print writes the tables to the terminal.
func (t tried) print(e *env) error {
	first := true
	for _, g := range t.grids() {
		if len(g.Rows) == 0 {
			continue
		}
		if !first {
			fmt.Fprintln(e.out)
		}
		first = false
		rows := make([][]string, 0, 1+len(g.Rows))
		for _, texts := range append([][]pipeline.Text{g.Heads}, g.Rows...) {
			row := make([]string, len(texts))
			for i, x := range texts {
				row[i] = report.Clean(e.say(x))
			}
			rows = append(rows, row)
		}
		if err := columns(e.out, rows); err != nil {
			return err
		}
	}
	return nil
}

// grids are the tables of a trial.
func (t tried) grids() []report.Grid {
	both := func(en, zh string) pipeline.Text { return pipeline.Text{EN: en, ZH: zh} }
	plain := func(format string, args ...any) pipeline.Text {
		s := fmt.Sprintf(format, args...)
		return pipeline.Text{EN: s, ZH: s}
	}
	yes := func(b bool) pipeline.Text {
		if b {
			return both("yes", "是")
		}
		return plain("-")
	}
	heads := func(pairs ...string) (out []pipeline.Text) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, both(pairs[i], pairs[i+1]))
		}
		return out
	}
	elements := report.Grid{Title: both("What the site should show", "该地点应出现的内容"), Heads: heads("element", "要素", "outcome", "结果", "by", "方式", "what", "内容", "sure", "把握")}
	for _, s := range t.Elements {
		elements.Rows = append(elements.Rows, []pipeline.Text{policy.ElementTitle(string(s.Element)), policy.OutcomeTitle(s.Outcome), policy.SceneWord(string(s.Means)), whatSeen(s), policy.SceneWord(string(s.Sure))})
	}
	for _, a := range t.Against {
		elements.Rows = append(elements.Rows, []pipeline.Text{both("another place", "另一地点"), both("contradicts", "矛盾"), policy.SceneWord(string(a.Means)), plain("%s", strings.TrimSpace(a.Reference+" "+a.Name+" "+a.Looks)), {}})
	}
	references := report.Grid{Title: both("References", "参考图片"), Heads: heads("#", "#", "reference", "参考图片", "kind", "类型", "stable points", "稳定点", "quality", "质量", "matched", "匹配点", "coverage", "覆盖", "same / other / hidden parts", "相同 / 不同 / 遮挡", "found", "找到")}
	for _, r := range t.References {
		found := yes(r.Found)
		switch {
		case r.Differs:
			found = both("same shape, other content", "版式相同，内容不同")
		case r.Found && r.Negative:
			found = both("yes: another place", "是：另一地点")
		case r.Found && !r.Now:
			found = both("yes: not now or not here", "是：非当前或非此处")
		}
		references.Rows = append(references.Rows, []pipeline.Text{
			plain("%d", r.Number), plain("%s", r.Name), policy.ElementTitle(string(r.Kind)), plain("%d", r.Stable), policy.SceneWord(string(r.Quality)),
			plain("%d / %d", r.Inliers, r.Threshold), plain("%.0f %%", 100*r.Coverage), plain("%d / %d / %d", r.Agree, r.Differ, r.Covered), found,
		})
	}
	names := report.Grid{Title: both("Names", "名称"), Heads: heads("name", "名称", "read", "读到", "similarity", "相似度", "found", "找到")}
	for _, n := range t.Names {
		found := yes(n.Found)
		switch {
		case n.Found && n.Foreign:
			found = both("yes: another place", "是：另一地点")
		case n.Doubtful:
			found = both("nearly", "接近")
		}
		names.Rows = append(names.Rows, []pipeline.Text{plain("%s", n.Name), plain("%s", n.Read), plain("%.2f / %.2f", n.Similarity, n.Threshold), found})
	}
	read := report.Grid{Title: both("Read", "读到的文字"), Heads: heads("read", "读到的文字", "sure", "把握")}
	for _, w := range t.Words {
		read.Rows = append(read.Rows, []pipeline.Text{plain("%s", w.Text), plain("%.2f", w.Confidence)})
	}
	objects := report.Grid{Title: both("Objects", "物体"), Heads: heads("object", "物体", "sure", "把握")}
	for _, o := range t.Objects {
		objects.Rows = append(objects.Rows, []pipeline.Text{plain("%s", o.Class), plain("%.2f", o.Score)})
	}
	return []report.Grid{elements, references, names, read, objects}
}

// whatSeen says in a few words what was seen of an element.
func whatSeen(s scene.Seen) pipeline.Text {
	var en, zh []string
	add := func(t pipeline.Text) { en, zh = append(en, t.EN), append(zh, t.ZH) }
	for _, p := range []string{s.Reference, s.Object} {
		if p != "" {
			add(pipeline.Text{EN: p, ZH: p})
		}
	}
	if s.Read != "" {
		add(pipeline.Text{EN: "“" + s.Read + "”", ZH: "“" + s.Read + "”"})
	}
	if len(s.Dates) > 0 {
		add(pipeline.Text{EN: strings.Join(s.Dates, ", "), ZH: strings.Join(s.Dates, "、")})
	}
	if s.Why != "" {
		add(policy.Why(s.Why))
	}
	return pipeline.Text{EN: strings.Join(en, "; "), ZH: strings.Join(zh, "；")}
}
