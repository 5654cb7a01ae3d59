package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"onsite/cmd/onsite/config"
	"onsite/cmd/onsite/service"
	"onsite/models"
	"onsite/models/install"
	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/verify"
)

type doctorCmd struct {
	settings `embed:""`
	Data     string `help:"The data folder of \"onsite serve\". Default: onsite-data." placeholder:"DIR"`
	JSON     bool   `help:"Print JSON."`
	Verify   bool   `help:"Read every installed file again and compare its sha256."`
	Settings bool   `help:"Print every setting that holds, with where it came from; secrets are masked."`
}

// finding is one line of the doctor.
type finding struct {
	What   string        `json:"what"`
	OK     bool          `json:"ok"`
	Needed bool          `json:"needed"` // false: only the demo and the tests need it
	Found  string        `json:"found,omitempty"`
	Fix    pipeline.Text `json:"fix"`
}

var errUnwell = errors.New("something that Onsite needs is missing; the lines above say how to fix it")

func (c *doctorCmd) Run(ctx context.Context, e *env) error {
	all := []finding{
		{What: "onsite", OK: true, Needed: true, Found: verify.Version},
		{What: "OpenCV", OK: true, Needed: true, Found: verify.OpenCV()},
		decoderHealth(ctx),
	}
	files, err := c.files(ctx)
	if err != nil {
		return err
	}
	all = append(all, files...)
	all = append(all, runtimeHealth())
	for _, tool := range []string{"ffmpeg", "chromium", "heif-enc"} {
		all = append(all, toolHealth(tool))
	}
	effective, services := c.services(ctx)
	all = append(all, services...)
	well := true
	for _, f := range all {
		well = well && (f.OK || !f.Needed)
	}
	if c.JSON {
		if err := e.printJSON(map[string]any{"ok": well, "cache": models.CacheDir(), "findings": all, "settings": effective}); err != nil {
			return err
		}
	} else {
		c.print(e, all)
		c.printSettings(e, effective)
	}
	if !well {
		return errUnwell
	}
	return nil
}

// services looks at the configuration and at what it names. What is wrong with it is a finding like any other.
func (c *doctorCmd) services(ctx context.Context) ([]config.Shown, []finding) {
	cfg, err := c.load(map[string]string{"data": c.Data})
	if err != nil {
		return nil, misconfigured(err)
	}
	cfg = cfg.InData()
	if err := cfg.Check(config.RoleServe); err != nil {
		return cfg.Effective(), misconfigured(err)
	}
	out := []finding{{What: "configuration", OK: true, Needed: true, Found: "no mistakes"}}
	for _, f := range service.Diagnose(ctx, cfg) {
		out = append(out, finding{What: f.What, OK: f.OK, Needed: true, Found: f.Found, Fix: f.Fix})
	}
	return cfg.Effective(), out
}

func misconfigured(err error) []finding {
	var wrong *config.Error
	if !errors.As(err, &wrong) {
		return []finding{{What: "configuration", Needed: true, Found: err.Error(), Fix: words(err)}}
	}
	var out []finding
	for _, p := range wrong.Problems {
		out = append(out, finding{What: "configuration", Needed: true, Found: p.Key + ": " + p.Want.EN, Fix: p.Fix})
	}
	return out
}

// printSettings shows what was chosen, or everything when asked to.
func (c *doctorCmd) printSettings(e *env, effective []config.Shown) {
	for _, s := range effective {
		if s.Source == "" && !c.Settings {
			continue
		}
		source := s.Source
		if source == "" {
			source = e.say(pipeline.Text{EN: "default", ZH: "默认"})
		}
		fmt.Fprintf(e.out, "  %-28s %s  (%s)\n", s.Key, s.Value, source)
	}
}

func (c *doctorCmd) print(e *env, all []finding) {
	for _, f := range all {
		mark := "✓"
		if !f.OK {
			mark = "✗"
		}
		fmt.Fprintf(e.out, "%s %-34s %s\n", mark, f.What, f.Found)
		if !f.OK {
			note := pipeline.Text{EN: "fix: ", ZH: "解决办法："}
			if !f.Needed {
				note = pipeline.Text{EN: "only for the demo and tests; fix: ", ZH: "仅演示和测试需要；解决办法："}
			}
			fmt.Fprintf(e.out, "    %s%s\n", e.say(note), e.say(f.Fix))
		}
	}
}

func decoderHealth(ctx context.Context) finding {
	f := finding{What: "decoder child", Needed: true, Fix: pipeline.Text{EN: "run `make build`", ZH: "运行 `make build`"}}
	d, err := media.NewDecoder(media.Options{})
	if err != nil {
		f.Found = err.Error()
		return f
	}
	h, err := d.Doctor(ctx)
	if err != nil {
		f.Found = err.Error()
		return f
	}
	f.OK, f.Found = true, h.Libav+"; "+strings.Join(h.Walls, ", ")
	return f
}

// files groups the installed files by package, so that the list stays short.
func (c *doctorCmd) files(ctx context.Context) ([]finding, error) {
	cache := models.CacheDir()
	var out []finding
	for _, group := range install.Groups {
		items, err := install.Check(ctx, install.Options{Cache: cache, Groups: []string{group}}, c.Verify)
		if err != nil {
			return nil, err
		}
		f := finding{What: "files: " + group, OK: true, Needed: group != install.Media, Found: fmt.Sprintf("%d in %s", len(items), filepath.Join(cache, group))}
		f.Fix = pipeline.Text{EN: "run `onsite models install --group " + group + "`", ZH: "运行 `onsite models install --group " + group + "`"}
		var bad []string
		for _, i := range items {
			switch i.State {
			case install.Missing:
				bad = append(bad, filepath.Base(i.Path)+" is missing")
			case install.Wrong:
				bad = append(bad, i.Why)
			}
		}
		if len(bad) > 0 {
			f.OK, f.Found = false, strings.Join(bad, "; ")
		}
		out = append(out, f)
	}
	return out, nil
}

func runtimeHealth() finding {
	f := finding{What: "ONNX Runtime", Needed: true, Fix: pipeline.Text{EN: models.Fix, ZH: "运行 `make setup` 或 `onsite models install`"}}
	set, err := models.Open(models.DefaultOptions())
	if err != nil {
		f.Found = strings.ReplaceAll(err.Error(), "\n", "; ")
		return f
	}
	defer set.Close()
	f.OK, f.Found = true, models.RuntimeVersion()
	return f
}

func toolHealth(name string) finding {
	f := finding{What: name, Fix: pipeline.Text{EN: "run `make setup-test`", ZH: "运行 `make setup-test`"}}
	path, err := exec.LookPath(name)
	if err != nil {
		f.Found = "not found on PATH"
		return f
	}
	f.OK, f.Found = true, path
	return f
}
