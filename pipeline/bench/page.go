package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"

	"onsite/pipeline"
)

//go:embed page.html
var pageText string

// page is the template in a language: en or zh.
func page(lang string) (*template.Template, error) {
	return template.New("bench").Funcs(template.FuncMap{ //nolint:wrapcheck // the one caller says what for
		"ms":     func(v float64) string { return fmt.Sprintf("%.0f", v) },
		"two":    func(v float64) string { return fmt.Sprintf("%.2f", v) },
		"mb":     func(v int64) string { return fmt.Sprintf("%.0f", float64(v)/1e6) },
		"part":   func(v float64) string { return fmt.Sprintf("%.0f %%", v*100) },
		"t":      saying(lang),
		"checks": func() []pipeline.CheckName { return pipeline.CheckNames },
	}).Parse(pageText)
}

func saying(lang string) func(en, zh string) string {
	return func(en, zh string) string {
		if lang == "zh" {
			return zh
		}
		return en
	}
}

// bar is one line of a plot; lengths are shares of the plot's width, 0..100.
type bar struct {
	Name, Note string
	Length     float64
	Mark       float64 // a limit; 0: none
	Low, High  float64 // of single runs; 0: not shown
	IsOver     bool
}

// Spread is the length between the lowest and the highest run.
func (b bar) Spread() float64 { return b.High - b.Low }

// plot is some bars with one scale.
type plot struct {
	Title, Unit string
	Bars        []bar
}

// stagePlot has the budgets as marks and the single runs as whiskers.
func (r Result) stagePlot(t func(en, zh string) string) plot {
	most := 1.0
	for _, s := range r.Table {
		most = max(most, s.CPUMS, s.HighMS, s.BudgetMS)
	}
	p := plot{Title: t("CPU of each stage", "各阶段的 CPU 时间"), Unit: t("ms", "毫秒")}
	for _, s := range r.Table {
		k := 100 / most
		p.Bars = append(p.Bars, bar{
			Name: string(s.Name), Note: fmt.Sprintf(t("%.0f ms (%.0f to %.0f), budget %.0f", "%.0f 毫秒（%.0f 至 %.0f），预算 %.0f"), s.CPUMS, s.LowMS, s.HighMS, s.BudgetMS),
			Length: s.CPUMS * k, Mark: s.BudgetMS * k, Low: s.LowMS * k, High: s.HighMS * k, IsOver: s.CPUMS > s.BudgetMS,
		})
	}
	return p
}

func barsOf(title, unit string, names []string, values map[string]float64) plot {
	p, most := plot{Title: title, Unit: unit}, 0.0
	for _, v := range values {
		most = max(most, v)
	}
	for _, n := range names {
		if most > 0 {
			p.Bars = append(p.Bars, bar{Name: n, Note: fmt.Sprintf("%.4g %s", values[n], unit), Length: values[n] * 100 / most})
		}
	}
	return p
}

func (r Result) plots(t func(en, zh string) string) []plot {
	out := []plot{r.stagePlot(t)}
	if d := r.Detail; d != nil {
		rest := max(0, d.ChildMS+d.PipelineMS-d.DecodeMS-d.ConvertMS-d.ModelMS-d.OpenCVMS-d.KernelMS)
		names := []string{t("bare libav", "单独 libav"), t("conversion", "转换"), "ONNX Runtime", "OpenCV", t("own kernels", "自有内核"), t("everything else", "其余")}
		parts := map[string]float64{}
		for i, ms := range []float64{d.DecodeMS, d.ConvertMS, d.ModelMS, d.OpenCVMS, d.KernelMS, rest} {
			parts[names[i]] = ms
		}
		out = append(out, barsOf(t("Where the processor is", "处理器时间的去向"), t("ms", "毫秒"), names, parts))
	}
	if len(r.Scaling) > 0 {
		values, names := map[string]float64{}, []string{}
		for _, s := range r.Scaling {
			n := fmt.Sprintf(t("%d workers", "%d 个"), s.Workers)
			names, values[n] = append(names, n), s.ClipsPerS
		}
		out = append(out, barsOf(t("Throughput by workers", "不同并发数的吞吐量"), t("clips/s", "视频/秒"), names, values))
	}
	if r.Baseline != nil {
		obvious := t("obvious", "朴素流水线")
		out = append(out, barsOf(t("Against the obvious pipeline", "与朴素流水线对比"), t("CPU s a clip", "每段视频 CPU 秒"), []string{obvious, "Onsite"}, map[string]float64{obvious: r.Baseline.CPUSPerClip, "Onsite": r.CPUSPerClip}))
		out = append(out, barsOf(t("The obvious pipeline's stages", "朴素流水线的各阶段"), t("ms", "毫秒"), slices.Sorted(maps.Keys(r.Baseline.Stages)), r.Baseline.Stages))
	}
	return out
}

// Page writes the result as an HTML page in a language (en, zh) that needs nothing else: no script, no file, no network.
func (r Result) Page(w io.Writer, lang string) error {
	p, err := page(lang)
	if err == nil {
		err = p.Execute(w, struct {
			Result
			Plots []plot
			Limit float64

			PhotoLimit float64
		}{r, r.plots(saying(lang)), MaxDecodeRatio, MaxPhotoMS})
	}
	if err != nil {
		return fmt.Errorf("bench: write the page: %w", err)
	}
	return nil
}
