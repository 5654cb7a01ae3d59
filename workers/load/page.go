package load

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed page.html
var pageText string

// page is the template in a language: en or zh.
func page(lang string) (*template.Template, error) {
	say := func(en, zh string) string {
		if lang == "zh" {
			return zh
		}
		return en
	}
	return template.New("page").Funcs(template.FuncMap{ //nolint:wrapcheck // the one caller says what for
		"t":   say,
		"n0":  func(v float64) string { return fmt.Sprintf("%.0f", v) },
		"div": func(ms float64) float64 { return ms / 1000 },
		"n1":  func(v float64) string { return fmt.Sprintf("%.1f", v) },
		"rates": func(r Result) template.HTML {
			r.Series = smooth(r.Series)
			return plot(r, say("per second, up to", "每秒，最高"), say("s", "秒"), line{say("offered", "提交"), "#0072b2", func(s Sample) float64 { return s.OfferedPerS }},
				line{say("finished", "完成"), "#009e73", func(s Sample) float64 { return s.FinishedPerS }})
		},
		"ages": func(r Result) template.HTML {
			return plot(r, say("seconds, up to", "秒，最高"), say("s", "秒"), line{say("age of the oldest waiting job", "最早等待任务的等待时长"), "#d55e00", func(s Sample) float64 { return s.AgeS }})
		},
	}).Parse(pageText)
}

// WritePage writes the runs as one HTML page that needs no network, in a language (en, zh): tables, and plots as SVG.
func WritePage(w io.Writer, lang, title string, runs []Result) error {
	p, err := page(lang)
	if err == nil {
		err = p.Execute(w, map[string]any{"Title": title, "Runs": runs})
	}
	if err != nil {
		return fmt.Errorf("write the page of the load: %w", err)
	}
	return nil
}

// line is one line of a plot, in a colour that people who see few colours tell apart too (Okabe and Ito, 2008).
type line struct {
	name, colour string
	of           func(Sample) float64
}

// plot draws lines over the time of a run.
func plot(r Result, unit, second string, lines ...line) template.HTML {
	const w, h, left, top = 720.0, 200.0, 50.0, 24.0
	end, high := 1.0, 1e-9
	for _, s := range r.Series {
		end = max(end, s.AtS)
		for _, l := range lines {
			high = max(high, l.of(s))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="11">`, w+left+10, h+top+24)
	fmt.Fprintf(&b, `<text x="2" y="14">%s %.3g</text>`, template.HTMLEscapeString(unit), high)
	fmt.Fprintf(&b, `<path d="M%.0f %.0fV%.0fH%.0f" fill="none" stroke="#888"/><text x="%.0f" y="%.0f" text-anchor="end">%.0f %s</text>`, left, top, top+h, left+w, left+w, top+h+16, end, template.HTMLEscapeString(second))
	for i, l := range lines {
		b.WriteString(`<polyline fill="none" stroke-width="1.5" stroke="` + l.colour + `" points="`)
		for _, s := range r.Series {
			fmt.Fprintf(&b, "%.1f,%.1f ", left+s.AtS/end*w, top+h-l.of(s)/high*h)
		}
		fmt.Fprintf(&b, `"/><text x="%.0f" y="14" fill="%s">%s</text>`, left+150+float64(i)*90, l.colour, template.HTMLEscapeString(l.name))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) //nolint:gosec // numbers, and names of ours that are escaped
}
