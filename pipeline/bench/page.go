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

var page = template.Must(template.New("bench").Funcs(template.FuncMap{
	"ms":     func(v float64) string { return fmt.Sprintf("%.0f", v) },
	"two":    func(v float64) string { return fmt.Sprintf("%.2f", v) },
	"mb":     func(v int64) string { return fmt.Sprintf("%.0f", float64(v)/1e6) },
	"part":   func(v float64) string { return fmt.Sprintf("%.0f %%", v*100) },
	"both":   both,
	"checks": func() []pipeline.CheckName { return pipeline.CheckNames },
}).Parse(pageText))

// headings are the page's titles; it is one page for readers of both languages.
var headings = []pipeline.Text{
	{EN: "CPU per clip", ZH: "每段视频的 CPU 时间"},
	{EN: "Throughput", ZH: "吞吐量"},
	{EN: "Efficiency", ZH: "效率"},
	{EN: "Decoding against bare libav", ZH: "解码与单独 libav 之比"},
	{EN: "Peak memory", ZH: "内存峰值"},
	{EN: "A photo", ZH: "一张照片"},
	{EN: "With early exit", ZH: "启用提前结束"},
	{EN: "Without a candidate for reuse", ZH: "没有可疑的重复使用对象时"},
	{EN: "Pictures that are kept, apart", ZH: "留存的画面（另计）"},
	{EN: "The obvious pipeline", ZH: "直接实现的流程"},
	{EN: "Onsite: cost per clip", ZH: "Onsite：每段视频的成本"},
	{EN: "Checks", ZH: "检查项"},
	{EN: "Outside of libraries and kernels, ms", ZH: "库与内核之外（毫秒）"},
	{EN: "CPU of each stage", ZH: "各阶段的 CPU 时间"},
	{EN: "Where the processor is", ZH: "处理器时间的去向"},
	{EN: "Throughput by workers", ZH: "不同工作进程数的吞吐量"},
	{EN: "Against the obvious pipeline", ZH: "与直接实现的流程对比"},
	{EN: "The obvious pipeline's stages", ZH: "直接实现的流程的各阶段"},
}

// both gives a title in both languages.
func both(en string) string {
	for _, t := range headings {
		if t.EN == en {
			return t.EN + " · " + t.ZH
		}
	}
	return en
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
func (r Result) stagePlot() plot {
	most := 1.0
	for _, s := range r.Table {
		most = max(most, s.CPUMS, s.HighMS, s.BudgetMS)
	}
	p := plot{Title: "CPU of each stage", Unit: "ms"}
	for _, s := range r.Table {
		k := 100 / most
		p.Bars = append(p.Bars, bar{
			Name: string(s.Name), Note: fmt.Sprintf("%.0f ms (%.0f to %.0f), budget %.0f", s.CPUMS, s.LowMS, s.HighMS, s.BudgetMS),
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

func (r Result) plots() []plot {
	out := []plot{r.stagePlot()}
	if d := r.Detail; d != nil {
		parts := map[string]float64{"bare libav": d.DecodeMS, "conversion": d.ConvertMS, "ONNX Runtime": d.ModelMS, "OpenCV": d.OpenCVMS, "own kernels": d.KernelMS}
		names := []string{"bare libav", "conversion", "ONNX Runtime", "OpenCV", "own kernels"}
		parts["everything else"] = max(0, d.ChildMS+d.PipelineMS-d.DecodeMS-d.ConvertMS-d.ModelMS-d.OpenCVMS-d.KernelMS)
		out = append(out, barsOf("Where the processor is", "ms", append(names, "everything else"), parts))
	}
	if len(r.Scaling) > 0 {
		values, names := map[string]float64{}, []string{}
		for _, s := range r.Scaling {
			n := fmt.Sprintf("%d workers", s.Workers)
			names, values[n] = append(names, n), s.ClipsPerS
		}
		out = append(out, barsOf("Throughput by workers", "clips/s", names, values))
	}
	if r.Baseline != nil {
		out = append(out, barsOf("Against the obvious pipeline", "CPU s a clip", []string{"obvious", "Onsite"}, map[string]float64{"obvious": r.Baseline.CPUSPerClip, "Onsite": r.CPUSPerClip}))
		out = append(out, barsOf("The obvious pipeline's stages", "ms", slices.Sorted(maps.Keys(r.Baseline.Stages)), r.Baseline.Stages))
	}
	return out
}

// Page writes the result as an HTML page that needs nothing else: no script, no file, no network.
func (r Result) Page(w io.Writer) error {
	err := page.Execute(w, struct {
		Result
		Plots []plot
		Limit float64

		PhotoLimit float64
	}{r, r.plots(), MaxDecodeRatio, MaxPhotoMS})
	if err != nil {
		return fmt.Errorf("bench: write the page: %w", err)
	}
	return nil
}
