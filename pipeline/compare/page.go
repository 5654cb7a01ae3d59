package compare

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"slices"

	"onsite/pipeline"
)

//go:embed page.html
var pageText string

// words are the labels of the page.
var words = map[string]pipeline.Text{
	"title":     {EN: "What other models would change", ZH: "更换模型会改变什么"},
	"passed":    {EN: "Within the limits that were set", ZH: "在设定的限度内"},
	"failed":    {EN: "Not within the limits that were set", ZH: "超出设定的限度"},
	"models":    {EN: "Models", ZH: "模型"},
	"task":      {EN: "Task", ZH: "任务"},
	"before":    {EN: "Before", ZH: "之前"},
	"after":     {EN: "After", ZH: "之后"},
	"data":      {EN: "Data", ZH: "数据"},
	"cases":     {EN: "Cases", ZH: "案例"},
	"labelled":  {EN: "with a label", ZH: "带标签"},
	"disagree":  {EN: "Decisions that differ", ZH: "结论不同"},
	"flips":     {EN: "Decisions that flip", ZH: "结论变化"},
	"from":      {EN: "From", ZH: "由"},
	"to":        {EN: "To", ZH: "变为"},
	"label":     {EN: "Label", ZH: "标签"},
	"share":     {EN: "Share", ZH: "比例"},
	"examples":  {EN: "Examples", ZH: "示例"},
	"reasons":   {EN: "Reasons", ZH: "理由"},
	"reason":    {EN: "Reason", ZH: "理由"},
	"gone":      {EN: "Gone", ZH: "消失"},
	"new":       {EN: "New", ZH: "新增"},
	"scores":    {EN: "Scores", ZH: "分数"},
	"check":     {EN: "Check", ZH: "检查"},
	"quantiles": {EN: "5, 25, 50, 75, 95 %", ZH: "5、25、50、75、95 分位"},
	"shift":     {EN: "Mean shift", ZH: "平均变化"},
	"corr":      {EN: "Correlation", ZH: "相关系数"},
	"errors":    {EN: "Errors of labelled cases", ZH: "带标签案例的错误"},
	"fmr":       {EN: "Impostors that pass", ZH: "冒用者通过"},
	"fnmr":      {EN: "Genuine called abnormal", ZH: "真实案例被判异常"},
	"review":    {EN: "Left to a person", ZH: "交由人工"},
	"groups":    {EN: "Groups", ZH: "分组"},
	"group":     {EN: "Group", ZH: "分组"},
	"passing":   {EN: "Pass", ZH: "通过"},
	"small":     {EN: "too few to say anything", ZH: "数量太少，不足以说明"},
	"time":      {EN: "Time of a case, ms", ZH: "每个案例用时（毫秒）"},
	"median":    {EN: "Median", ZH: "中位数"},
	"notes":     {EN: "To keep in mind", ZH: "注意"},
	"limits":    {EN: "Limits", ZH: "限度"},
	"digest":    {EN: "SHA-256 of report.json", ZH: "report.json 的 SHA-256"},
	"sign":      {EN: "Whoever releases the models signs the file report.json, whose digest stands here.", ZH: "批准模型的人对 report.json 文件签名，其摘要见此处。"},
	"none":      {EN: "none", ZH: "无"},
	"sure":      {EN: "95 % interval", ZH: "95% 区间"},
}

var decisionWords = map[pipeline.Decision]pipeline.Text{
	pipeline.DecisionPass:     {EN: "pass", ZH: "通过"},
	pipeline.DecisionReview:   {EN: "review", ZH: "待人工复核"},
	pipeline.DecisionAbnormal: {EN: "abnormal", ZH: "异常"},
}

var labelWords = map[Label]pipeline.Text{Genuine: {EN: "genuine", ZH: "真实"}, Impostor: {EN: "impostor", ZH: "冒用"}}

var page = template.Must(template.New("compare").Funcs(template.FuncMap{
	"percent":  func(v float64) string { return fmt.Sprintf("%.2f %%", 100*v) },
	"three":    func(v float64) string { return fmt.Sprintf("%.3f", v) },
	"ms":       func(v float64) string { return fmt.Sprintf("%.0f", v) },
	"interval": func(r Rate) string { return fmt.Sprintf("%.2f – %.2f %%", 100*r.CI95[0], 100*r.CI95[1]) },
	"short": func(s string) string {
		if len(s) > 12 {
			return s[:12]
		}
		return s
	},
}).Parse(pageText))

// view is what the page shows.
type view struct {
	*Report
	Lang, Digest string
	Rows         []modelRow
	DET, Shift   template.HTML
}

type modelRow struct {
	Task          string
	Before, After pipeline.ModelRef
	Changed       bool
}

// T gives a label in the page's language.
func (v view) T(key string) string { return sayText(v.Lang, words[key]) }

// Say gives a sentence in the page's language.
func (v view) Say(t pipeline.Text) string { return sayText(v.Lang, t) }

// Decision gives a decision's word.
func (v view) Decision(d pipeline.Decision) string { return sayText(v.Lang, decisionWords[d]) }

// LabelWord gives a label's word.
func (v view) LabelWord(l Label) string { return sayText(v.Lang, labelWords[l]) }

// HTML is the report as one self-contained page in a language, en or zh.
func (r *Report) HTML(lang string) ([]byte, error) {
	digest, err := r.Digest()
	if err != nil {
		return nil, err
	}
	v := view{Report: r, Lang: lang, Digest: digest,
		DET: template.HTML(r.PlotDET(lang)), Shift: template.HTML(r.PlotScores(lang))} //nolint:gosec // our own drawings; outside text in them is escaped
	for _, b := range r.Before.Models {
		row := modelRow{Task: b.Task, Before: b}
		for _, a := range r.After.Models {
			if a.Task == b.Task {
				row.After = a
			}
		}
		row.Changed = row.Before != row.After
		v.Rows = append(v.Rows, row)
	}
	for _, a := range r.After.Models { // tasks that only the candidate's set has
		if !slices.ContainsFunc(r.Before.Models, func(b pipeline.ModelRef) bool { return b.Task == a.Task }) {
			v.Rows = append(v.Rows, modelRow{Task: a.Task, After: a, Changed: true})
		}
	}
	var out bytes.Buffer
	if err := page.Execute(&out, v); err != nil {
		return nil, fmt.Errorf("write the comparison's page: %w", err)
	}
	return out.Bytes(), nil
}

// Files gives the report's files by name: report.json, report.en.html, report.zh.html, and the plots as files of their own.
func (r *Report) Files() (map[string][]byte, error) {
	out := map[string][]byte{}
	for name, draw := range map[string]func() ([]byte, error){
		"report.json":    r.JSON,
		"report.en.html": func() ([]byte, error) { return r.HTML("en") },
		"report.zh.html": func() ([]byte, error) { return r.HTML("zh") },
		"det.svg":        func() ([]byte, error) { return r.PlotDET("en"), nil },
		"scores.svg":     func() ([]byte, error) { return r.PlotScores("en"), nil },
	} {
		data, err := draw()
		if err != nil {
			return nil, err
		}
		if data != nil { // else there is nothing to draw
			out[name] = data
		}
	}
	return out, nil
}

// Write puts the report's files into a folder, which is made.
func (r *Report) Write(dir string) error {
	files, err := r.Files()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the comparison: %w", err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return fmt.Errorf("write the comparison: %w", err)
		}
	}
	return nil
}
