package main

import (
	"context"
	"fmt"

	"onsite/models"
	"onsite/models/manifest"
	"onsite/models/plain"
	"onsite/pipeline"
)

type modelsCheckCmd struct {
	Manifest  string `arg:"" optional:"" help:"Only this model: a name (onsite models list) or the path of a manifest with its file beside it. Default: all built-in and all added models."`
	Manifests string `help:"Only the models of this folder of manifests and ONNX files of your own." placeholder:"DIR"`
	Record    bool   `help:"Write the golden sample that this machine computes into the manifest, in place of the one it has."`
	JSON      bool   `help:"Print JSON."`
}

func (c *modelsCheckCmd) Run(ctx context.Context, e *env) error {
	list, broken, err := c.list()
	if err != nil {
		return err
	}
	base := models.DefaultOptions()
	if c.Record {
		if err := c.record(ctx, list[0], base); err != nil {
			return err
		}
		if list, broken, err = c.list(); err != nil { // as it was written
			return err
		}
	}
	known, err := knownModels()
	if err != nil {
		return err
	}
	var all []models.Examination
	var failed *faultError
	for _, man := range list {
		x, err := models.Examine(ctx, man, models.ExamineOptions{Dir: base.Dir, Library: base.Library, Known: known})
		if err != nil {
			return err
		}
		if f := models.NameFault(man); f != nil {
			x.Passed, x.Faults = false, append(x.Faults, *f)
		}
		all = append(all, x)
		if !x.Passed {
			refused := &faultError{name: man.Name, faults: x.Faults}
			if failed == nil {
				failed = refused
			} else {
				failed.also = append(failed.also, refused)
			}
		}
		if !c.JSON {
			line := costLine(x)
			word := pipeline.Text{EN: "ok", ZH: "正常"}
			if !x.Passed {
				word, line = pipeline.Text{EN: "refused", ZH: "拒绝"}, pipeline.Text{}
			}
			fmt.Fprintf(e.out, "%-16s %-24s %-8s %s\n", x.Task, x.Name, e.say(word), e.say(line))
		}
	}
	if c.JSON {
		if err := e.printJSON(map[string]any{"models": all}); err != nil {
			return err
		}
	}
	for _, b := range broken {
		fmt.Fprintln(e.err, e.say(words(modelError(b))))
	}
	switch {
	case failed != nil:
		return failed
	case len(broken) > 0:
		return usagef(pipeline.Text{EN: fmt.Sprintf("the manifests of %d added models cannot be read", len(broken)), ZH: fmt.Sprintf("有 %d 个已添加模型的清单无法读取", len(broken))})
	}
	return nil
}

// list gives the manifests to check, and why those of added models cannot be read.
func (c *modelsCheckCmd) list() (out []manifest.Manifest, broken []error, err error) {
	if c.Manifest != "" {
		man, err := readModel(c.Manifest)
		return []manifest.Manifest{man}, nil, err
	}
	if c.Record {
		return nil, nil, usagef(pipeline.Text{EN: "--record writes into one manifest: name it", ZH: "--record 会写入一个清单：请指明是哪一个"})
	}
	if c.Manifests != "" {
		out, err = manifest.LoadDir(c.Manifests)
		return out, nil, err
	}
	all, err := models.Choices(models.AddedDir())
	for _, k := range all {
		switch {
		case k.Broken != nil:
			broken = append(broken, k.Broken)
		case k.Origin != models.OriginFurther:
			out = append(out, k.Manifest)
		}
	}
	return out, broken, err
}

// record writes the golden sample of this machine.
func (c *modelsCheckCmd) record(ctx context.Context, man manifest.Manifest, base models.Options) error {
	if err := ownManifest(c.Manifest); err != nil {
		return err
	}
	x, err := models.Examine(ctx, man, models.ExamineOptions{Dir: base.Dir, Library: base.Library, Uncalibrated: true, NoGolden: true})
	if err != nil {
		return err
	}
	var other []models.Fault
	for _, f := range x.Faults {
		if f.Code != "golden_differs" { // the old sample is to go
			other = append(other, f)
		}
	}
	if len(other) > 0 {
		return &faultError{name: man.Name, faults: other}
	}
	g, err := models.Record(ctx, man, models.ExamineOptions{Dir: base.Dir, Library: base.Library})
	if err != nil {
		return err
	}
	man.Golden = []manifest.Golden{g}
	return manifest.Rewrite(man.Origin(), man)
}

// ownManifest refuses to write into a manifest that was not named by its path.
func ownManifest(word string) error {
	if len(word) > 5 && word[len(word)-5:] == ".yaml" {
		return nil
	}
	return usagef(pipeline.Text{
		EN: fmt.Sprintf("%s is not the path of a manifest (it must end in .yaml); `onsite models show %s > mine.yaml` gives you a copy of your own", word, word),
		ZH: fmt.Sprintf("%s 不是清单路径（须以 .yaml 结尾）；可用 `onsite models show %s > mine.yaml` 得到自己的副本", word, word),
	})
}

type modelsShowCmd struct {
	Name string `arg:"" help:"Name of a model (onsite models list)."`
	JSON bool   `help:"Print JSON instead of YAML."`
}

func (c *modelsShowCmd) Run(e *env) error {
	man, err := readModel(c.Name)
	if err != nil {
		return err
	}
	text, err := man.Text()
	if err != nil {
		return err
	}
	if c.JSON {
		var fields map[string]any
		if err := plain.Decode(text, &fields); err != nil {
			return fmt.Errorf("read the manifest of %s: %w", c.Name, err)
		}
		return e.printJSON(fields)
	}
	_, err = e.out.Write(text)
	return err
}
