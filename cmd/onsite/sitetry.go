package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/policy"
	"onsite/pipeline/report"
	"onsite/pipeline/scene"
	"onsite/pipeline/verify"
)

// siteTestCmd tries one photo against a site file, without a service: what would match, and how surely.
type siteTestCmd struct {
	Photo  string    `arg:"" help:"A photo taken at the site, or at another place that must not match."`
	Site   string    `help:"The site file." required:"" placeholder:"site.yaml"`
	At     time.Time `help:"When it is taken (RFC 3339); posters are checked for that day. Default: now." placeholder:"TIME"`
	Policy string    `help:"Policy that says what must be in view: a name or a YAML file. Default: all that the site has." placeholder:"NAME|p.yaml"`
	Out    string    `help:"Write the photo with the outlines of what matched. It is written as it is: nobody in it is blurred." placeholder:"FILE.png"`
	JSON   bool      `help:"Print as JSON."`
}

func (c *siteTestCmd) Run(ctx context.Context, e *env) error {
	if err := readable("PHOTO", c.Photo); err != nil {
		return err
	}
	site, err := scene.LoadSite(c.Site)
	if err != nil {
		return &usageError{text: words(err), err: err}
	}
	cfg := scene.DefaultConfig()
	if c.Policy != "" {
		p, err := policy.Find(c.Policy)
		if err != nil {
			return &usageError{text: words(err), err: err}
		}
		cfg = verify.SceneConfig(p)
	}
	if c.Out != "" && !strings.EqualFold(filepath.Ext(c.Out), ".png") {
		return pathError("--out", c.Out, errors.New("it is not named as a PNG picture"), "let its name end in .png", "文件名须以 .png 结尾")
	}
	core, err := newCore(media.Options{})
	if err != nil {
		return err
	}
	defer core.close()
	place, err := core.Prepare(ctx, site, false)
	if err != nil {
		return err
	}
	defer place.Close()
	photo, err := core.Decode(ctx, pipeline.File(c.Photo))
	if err != nil {
		return err
	}
	defer photo.Close()
	if c.At.IsZero() {
		c.At = time.Now()
	}
	t, err := scene.Try(ctx, core.Models, photo, place.Site, c.At, cfg)
	if err != nil {
		return err
	}
	if c.Out != "" {
		if err := c.picture(t, photo); err != nil {
			return err
		}
	}
	if c.JSON {
		return e.printJSON(t)
	}
	return c.table(e, t)
}

// picture writes the photo with outlines; never over the photo or the site file.
func (c *siteTestCmd) picture(t scene.Trial, photo *media.Clip) error {
	if len(photo.Frames) == 0 {
		return nil
	}
	png, err := t.Picture(photo.Frames[0].Image)
	if err != nil {
		return err
	}
	if old, err := os.Stat(c.Out); err == nil {
		for _, input := range []string{c.Photo, c.Site} {
			if in, err := os.Stat(input); err == nil && os.SameFile(old, in) {
				return pathError("--out", c.Out, errors.New("this file is an input"), "name another file", "请指定其他文件")
			}
		}
	}
	if err := os.WriteFile(c.Out, png, 0o600); err != nil {
		return pathError("--out", c.Out, err, "name a file in a folder that exists and can be written", "请指定存在且可写的文件夹中的文件")
	}
	return nil
}

func (c *siteTestCmd) table(e *env, t scene.Trial) error {
	say := func(en, zh string) string { return e.say(pipeline.Text{EN: en, ZH: zh}) }
	yes := func(b bool) string {
		if b {
			return say("yes", "是")
		}
		return "-"
	}
	rows := [][]string{e.heads("element", "要素", "outcome", "结果", "by", "方式", "what", "内容", "sure", "把握")}
	for _, s := range t.Elements {
		rows = append(rows, []string{e.say(policy.ElementTitle(string(s.Element))), e.say(policy.OutcomeTitle(s.Outcome)), sceneWord(e, string(s.Means)), whatSeen(e, s), sceneWord(e, string(s.Sure))})
	}
	for _, a := range t.Against {
		rows = append(rows, []string{say("another place", "另一地点"), say("contradicts", "矛盾"), sceneWord(e, string(a.Means)), strings.TrimSpace(a.Reference + " " + a.Name + " " + a.Looks), ""})
	}
	if err := columns(e.out, rows); err != nil {
		return err
	}
	if len(t.References) > 0 {
		fmt.Fprintln(e.out)
		rows = [][]string{e.heads("#", "#", "reference", "参考图片", "kind", "类型", "stable points", "稳定点", "quality", "质量", "matched", "匹配点", "coverage", "覆盖", "same / other / hidden parts", "相同 / 不同 / 遮挡", "found", "找到")}
		for _, r := range t.References {
			found := yes(r.Found)
			switch {
			case r.Differs:
				found = say("same shape, other content", "版式相同，内容不同")
			case r.Found && r.Negative:
				found = say("yes: another place", "是：另一地点")
			case r.Found && !r.Now:
				found = say("yes: not now or not here", "是：非当前或非此处")
			}
			rows = append(rows, []string{strconv.Itoa(r.Number), r.Name, e.say(policy.ElementTitle(string(r.Kind))), strconv.Itoa(r.Stable), sceneWord(e, string(r.Quality)),
				fmt.Sprintf("%d / %d", r.Inliers, r.Threshold), fmt.Sprintf("%.0f %%", 100*r.Coverage), fmt.Sprintf("%d / %d / %d", r.Agree, r.Differ, r.Covered), found})
		}
		if err := columns(e.out, rows); err != nil {
			return err
		}
	}
	if len(t.Names) > 0 {
		fmt.Fprintln(e.out)
		rows = [][]string{e.heads("name", "名称", "read", "读到", "similarity", "相似度", "found", "找到")}
		for _, n := range t.Names {
			found := yes(n.Found)
			switch {
			case n.Found && n.Foreign:
				found = say("yes: another place", "是：另一地点")
			case n.Doubtful:
				found = say("nearly", "接近")
			}
			rows = append(rows, []string{n.Name, n.Read, fmt.Sprintf("%.2f / %.2f", n.Similarity, n.Threshold), found})
		}
		if err := columns(e.out, rows); err != nil {
			return err
		}
	}
	var read, objects []string
	for _, w := range t.Words {
		read = append(read, fmt.Sprintf("%s (%.2f)", w.Text, w.Confidence))
	}
	for _, o := range t.Objects {
		objects = append(objects, fmt.Sprintf("%s (%.2f)", o.Class, o.Score))
	}
	for _, l := range []struct{ title, text string }{{say("read", "读到的文字"), strings.Join(read, ", ")}, {say("objects", "物体"), strings.Join(objects, ", ")}} {
		if l.text != "" {
			fmt.Fprintf(e.out, "\n%s: %s\n", l.title, report.Clean(l.text))
		}
	}
	return nil
}

// sceneWord says by which means something was seen, how surely, and what a reference is worth.
func sceneWord(e *env, word string) string { return e.say(policy.SceneWord(word)) }

// whatSeen says in a few words what was seen of an element.
func whatSeen(e *env, s scene.Seen) string {
	var parts []string
	for _, p := range []string{s.Reference, s.Object} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	if s.Read != "" {
		parts = append(parts, "“"+s.Read+"”")
	}
	if len(s.Dates) > 0 {
		parts = append(parts, strings.Join(s.Dates, ", "))
	}
	if s.Why != "" {
		parts = append(parts, e.say(policy.Why(s.Why)))
	}
	return strings.Join(parts, "; ")
}
