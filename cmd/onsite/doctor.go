package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
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
	Provider string `help:"Look at what this provider needs, instead of the configured one." enum:",cpu,cuda,tensorrt,openvino" default:""`
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

	whatZH, foundZH string // for the table; empty: as in English
}

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
	all = append(all, c.runtime(ctx)...)
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
		return shortfall("unwell", "something that Onsite needs is missing; the lines above say how to fix it", "缺少 Onsite 所需的组件；修复方法见上方各行")
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
	out := []finding{{What: "configuration", OK: true, Needed: true, Found: "no mistakes", whatZH: "配置", foundZH: "无误"}}
	for _, f := range service.Diagnose(ctx, cfg) {
		out = append(out, finding{What: f.What.EN, OK: f.OK, Needed: true, Found: f.Found.EN, Fix: f.Fix, whatZH: f.What.ZH, foundZH: f.Found.ZH})
	}
	return cfg.Effective(), out
}

func misconfigured(err error) []finding {
	var wrong *config.Error
	if !errors.As(err, &wrong) {
		return []finding{{What: "configuration", Needed: true, Found: err.Error(), Fix: words(err), whatZH: "配置"}}
	}
	var out []finding
	for _, p := range wrong.Problems {
		out = append(out, finding{What: "configuration", Needed: true, Found: p.Key + ": " + p.Want.EN, Fix: p.Fix, whatZH: "配置", foundZH: p.Key + "：" + p.Want.ZH})
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
		what := e.say(pipeline.Text{EN: f.What, ZH: cmp.Or(f.whatZH, f.What)})
		fmt.Fprintf(e.out, "%s %s%s %s\n", mark, what, strings.Repeat(" ", max(0, 34-span(what))), e.say(pipeline.Text{EN: f.Found, ZH: cmp.Or(f.foundZH, f.Found)}))
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
	f := finding{What: "decoder child", whatZH: "解码器子程序", Needed: true, Fix: pipeline.Text{EN: "run `make build`", ZH: "运行 `make build`"}}
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
	groups := install.Groups
	if p := c.options().Provider; p == models.CUDA || p == models.TensorRT {
		groups = append(slices.Clone(groups), install.GPU)
	}
	for _, group := range groups {
		items, err := install.Check(ctx, install.Options{Cache: cache, Groups: []string{group}}, c.Verify)
		if err != nil {
			return nil, err
		}
		f := finding{What: "files: " + group, OK: true, Needed: group != install.Media, Found: fmt.Sprintf("%d in %s", len(items), filepath.Join(cache, group))}
		f.whatZH, f.foundZH = "文件："+group, fmt.Sprintf("%[2]s 中 %[1]d 个", len(items), filepath.Join(cache, group))
		f.Fix = pipeline.Text{EN: "run `onsite models install --group " + group + "`", ZH: "运行 `onsite models install --group " + group + "`"}
		var bad, badZH []string
		for _, i := range items {
			switch i.State {
			case install.Missing:
				bad, badZH = append(bad, filepath.Base(i.Path)+" is missing"), append(badZH, "缺少 "+filepath.Base(i.Path))
			case install.Wrong:
				bad, badZH = append(bad, i.Why), append(badZH, i.Why)
			}
		}
		if len(bad) > 0 {
			f.OK, f.Found, f.foundZH = false, strings.Join(bad, "; "), strings.Join(badZH, "；")
		}
		out = append(out, f)
	}
	return out, nil
}

// options is how the models are to be run here. What is wrong with the configuration is another finding's.
func (c *doctorCmd) options() models.Options {
	o := models.DefaultOptions()
	if cfg, err := c.load(map[string]string{"data": c.Data}); err == nil {
		o = service.ModelOptions(cfg.Worker)
	}
	if c.Provider != "" && models.Provider(c.Provider) != o.Provider {
		other := models.OptionsFor(models.Provider(c.Provider))
		other.Manifests = o.Manifests
		o = other
	}
	return o
}

// runtime looks whether the wanted provider runs the models. On the processor it is enough that ONNX Runtime can be loaded; elsewhere each library
// that the provider needs is a line, and every model is run once.
func (c *doctorCmd) runtime(ctx context.Context) []finding {
	o := c.options()
	var out []finding
	needs, err := models.Needs(o.Provider, o.Library)
	missing := err != nil
	for _, n := range needs {
		f := finding{What: n.Library, OK: n.Why == "", Needed: true, Found: n.Of}
		f.Fix = pipeline.Text{EN: "install " + n.Of + ", and name its folder in LD_LIBRARY_PATH or /etc/ld.so.conf.d", ZH: "请安装 " + n.Of + "，并将其目录加入 LD_LIBRARY_PATH 或 /etc/ld.so.conf.d"}
		if n.Why != "" {
			f.Found, missing = n.Of+": "+n.Why, true
		}
		out = append(out, f)
	}
	f := finding{What: "ONNX Runtime", Needed: true, Fix: pipeline.Text{EN: models.Fix, ZH: "运行 `make setup` 或 `onsite models install`"}}
	onGPU := o.Provider != models.CPU && o.Provider != ""
	if onGPU {
		f.What += ", " + string(o.Provider)
		f.Fix = pipeline.Text{EN: "run `make setup-gpu`, and install what the lines above miss", ZH: "请运行 make setup-gpu，并安装上面各行所缺的库"}
	}
	set, err := models.Open(o)
	if err != nil {
		var provider *models.ProviderError
		text := words(err)
		f.Found, f.foundZH = strings.ReplaceAll(text.EN, "\n", "; "), strings.ReplaceAll(text.ZH, "\n", "；")
		if errors.As(err, &provider) {
			f.Fix.ZH = provider.Chinese()
		}
		return append(out, f)
	}
	defer set.Close()
	if onGPU && !missing {
		if err := set.Warm(ctx); err != nil {
			f.Found, f.Fix = strings.ReplaceAll(err.Error(), "\n", "; "), words(err)
			return append(out, f)
		}
	}
	f.OK, f.Found = true, set.Runtime()
	out = append(out, f)
	for _, p := range set.Placements() {
		out = append(out, finding{What: "model " + string(p.Task), OK: true, Needed: true, Found: fmt.Sprintf("operators by provider: %v", p.Nodes)})
	}
	return out
}

func toolHealth(name string) finding {
	f := finding{What: name, Fix: pipeline.Text{EN: "run `make setup-test`", ZH: "运行 `make setup-test`"}}
	path, err := exec.LookPath(name)
	if err != nil {
		f.Found, f.foundZH = "not found on PATH", "不在 PATH 中"
		return f
	}
	f.OK, f.Found = true, path
	return f
}
