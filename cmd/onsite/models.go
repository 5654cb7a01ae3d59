package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"onsite/models"
	"onsite/models/install"
	"onsite/models/manifest"
	"onsite/pipeline"
)

type modelsCmd struct {
	Install   modelsInstallCmd   `cmd:"" help:"Fetch the pinned models and ONNX Runtime; every file is verified by sha256."`
	List      modelsListCmd      `cmd:"" help:"List the models that can be used, with their versions and checksums."`
	Show      modelsShowCmd      `cmd:"" help:"Print a model's manifest: a template for another one of its task."`
	Check     modelsCheckCmd     `cmd:"" help:"Examine models: files, graph, golden samples, numbers, latency, memory."`
	Calibrate modelsCalibrateCmd `cmd:"" help:"Find an embedder's thresholds for a wanted false match rate, with intervals."`
	Compare   modelsCompareCmd   `cmd:"" help:"Say what another model would change, on labelled data or stored jobs: decisions, errors, groups, time."`
	Add       modelsAddCmd       `cmd:"" help:"Examine a model of your own and keep it on this machine under its name."`

	// Of a service: what its processes run, and how that changes.
	Status      modelsStatusCmd      `cmd:"" help:"What a service runs: its registry, and which process is ready."`
	Upload      modelsUploadCmd      `cmd:"" help:"Send a model to a service's registry, which examines it."`
	Shadow      modelsShadowCmd      `cmd:"" help:"Run a model beside the active one on a share of a service's jobs; no verdict changes."`
	CompareLive modelsCompareLiveCmd `cmd:"" help:"Compare a model with the active one by its shadow runs."`
	Comparisons modelsComparisonsCmd `cmd:"" help:"Comparisons over stored jobs of a service (onsite models compare --jobs): list, wait, pause, resume, cancel."`
	Canary      modelsCanaryCmd      `cmd:"" help:"Let a model make the verdicts of some of a service's jobs."`
	Promote     modelsPromoteCmd     `cmd:"" help:"Make a model the active one of a service: enrolled photos are embedded first, no job is dropped."`
	Rollback    modelsRollbackCmd    `cmd:"" help:"Take a model of a service back, at once."`
	Vectors     modelsVectorsCmd     `cmd:"" help:"List the vectors of enrolled photos by what made them, and delete those that nothing needs."`
	Retire      modelsRetireCmd      `cmd:"" help:"Delete the vectors of a model that a service does not run any more."`
}

type modelsInstallCmd struct {
	Group   []string `help:"What to fetch: models, runtime, media (footage for the demo and tests), gpu (ONNX Runtime with CUDA and TensorRT, 270 MB). Default: models and runtime." enum:"models,runtime,media,gpu" sep:","`
	Further []string `help:"Names of further models to fetch as well (onsite models list)." placeholder:"NAME"`
	From    string   `help:"Take the tarballs from this folder (made with npm pack) instead of the registry." placeholder:"DIR"`
	JSON    bool     `help:"Print the state of every file as JSON."`
}

func (c *modelsInstallCmd) Run(ctx context.Context, e *env) error {
	o := install.Options{Cache: models.CacheDir(), Groups: c.Group, Further: c.Further, From: c.From}
	if len(o.Groups) == 0 {
		o.Groups = []string{install.Models, install.Runtime}
	}
	o.Progress = e.installing("models", "模型")
	var unknown *install.UnknownError
	var byHand *install.ByHandError
	if err := install.Install(ctx, o); errors.As(err, &byHand) {
		return usagef(pipeline.Text{EN: "--further: " + byHand.Error(), ZH: "--further：" + byHand.Chinese()})
	} else if errors.As(err, &unknown) {
		return usagef(pipeline.Text{EN: "--further: " + unknown.Error(), ZH: fmt.Sprintf("--further：%q 不是备选模型之一（%s）", unknown.Name, strings.Join(unknown.Known, "、"))})
	} else if err != nil {
		return err
	}
	if !c.JSON {
		return nil
	}
	items, err := install.Check(ctx, o, false)
	if err != nil {
		return err
	}
	return e.printJSON(map[string]any{"cache": o.Cache, "files": items})
}

// installing shows what is fetched: fetching and reading take seconds; what is there already is not worth a line.
func (e *env) installing(en, zh string) func(install.Event) {
	steps := map[string]pipeline.Text{"fetch": {EN: "fetch ", ZH: "下载"}, "done": {EN: "done  ", ZH: "完成"}}
	return func(ev install.Event) {
		if step, ok := steps[ev.Step]; ok {
			fmt.Fprintf(e.err, "%s [%d/%d] %s %s\n", e.say(pipeline.Text{EN: en + ":", ZH: zh + "："}), ev.Number, ev.Of, e.say(step), ev.Package)
		}
	}
}

// sourceWord says where a model's file comes from.
func sourceWord(s manifest.Source) string {
	switch {
	case s.Embedded:
		return "part of the program"
	case s.NPM == "":
		return s.Note
	}
	return s.NPM + "@" + s.Version
}

type modelsListCmd struct {
	JSON bool `help:"Print JSON."`
}

// modelRow is one line of the list.
type modelRow struct {
	Task    string `json:"task"`
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
	Licence string `json:"licence"`
	Source  string `json:"source"`
	Origin  string `json:"origin"`          // built in, further, added
	Present bool   `json:"present"`         // its files are there (their sizes, not their checksums: onsite models check)
	Error   string `json:"error,omitempty"` // of an added one: why its manifest cannot be read
}

// originWords are the origins for people.
var originWords = map[string]pipeline.Text{
	models.OriginBuiltin: {EN: "built in", ZH: "内置"},
	models.OriginFurther: {EN: "further", ZH: "备选"},
	models.OriginAdded:   {EN: "added", ZH: "已添加"},
}

func (c *modelsListCmd) Run(e *env) error {
	all, err := models.Choices(models.AddedDir())
	if err != nil {
		return err
	}
	dir := models.DefaultOptions().Dir
	rows := make([]modelRow, 0, len(all))
	for _, m := range all {
		rows = append(rows, modelRow{
			Task: m.Task, Name: m.Name, Version: m.Version, SHA256: m.File.SHA256, Licence: m.Licence.SPDX, Source: sourceWord(m.Source),
			Origin: m.Origin, Present: m.Broken == nil && m.Here(dir),
		})
		if m.Broken != nil {
			rows[len(rows)-1].Error = m.Broken.Error()
		}
	}
	if c.JSON {
		return e.printJSON(map[string]any{"models": rows})
	}
	t := newSheet(e)
	t.data("%s\t", strings.Join(e.heads("task", "任务", "name", "名称", "version", "版本", "licence", "许可证", "sha256", "sha256", "origin", "来源"), "\t"))
	for i, r := range rows {
		there := ""
		if r.Error != "" {
			fmt.Fprintln(e.err, e.say(words(modelError(all[i].Broken))))
			there = e.say(pipeline.Text{EN: "broken", ZH: "已损坏"})
		} else if !r.Present {
			there = e.say(pipeline.Text{EN: "not here", ZH: "不在本机"})
		}
		t.data("%s\t%s\t%s\t%s\t%.12s\t%s\t%s", r.Task, r.Name, r.Version, r.Licence, r.SHA256, e.say(originWords[r.Origin]), there)
	}
	return t.Flush()
}
