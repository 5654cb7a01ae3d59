package compare

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"sort"

	"onsite/pipeline"
)

// Colours that people who see few colours tell apart too (Okabe and Ito, 2008).
const (
	blue   = "#0072b2" // before
	orange = "#d55e00" // after
	ink    = "#222"
	faint  = "#ddd"
)

// drawing is an SVG that is being written.
type drawing struct{ bytes.Buffer }

func draw(w, h int, title string) *drawing {
	d := &drawing{}
	fmt.Fprintf(d, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12" role="img"><title>%[3]s</title><rect width="100%%" height="100%%" fill="white"/>`, w, h, html.EscapeString(title))
	d.text(12, 20, "start", title)
	return d
}

func (d *drawing) text(x, y float64, anchor, s string) {
	fmt.Fprintf(d, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`, x, y, anchor, ink, html.EscapeString(s))
}

func (d *drawing) line(x1, y1, x2, y2 float64, colour string) {
	fmt.Fprintf(d, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`, x1, y1, x2, y2, colour)
}

func (d *drawing) path(points [][2]float64, colour, dash string) {
	fmt.Fprintf(d, `<polyline fill="none" stroke="%s" stroke-width="2" stroke-dasharray="%s" points="`, colour, dash)
	for _, p := range points {
		fmt.Fprintf(d, "%.1f,%.1f ", p[0], p[1])
	}
	d.WriteString(`"/>`)
}

func (d *drawing) legend(x, y float64, colour, dash, s string) {
	d.path([][2]float64{{x, y - 4}, {x + 24, y - 4}}, colour, dash)
	d.text(x+30, y, "start", s)
}

func (d *drawing) end() []byte {
	d.WriteString("</svg>\n")
	return d.Bytes()
}

// probit is the axis of a DET plot: equal steps of the normal deviate, on which two normal distributions make a straight line (Martin et al.
// 1997). The ends are cut at 0.01 % and 90 %.
func probit(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*min(max(p, 1e-4), 0.9)-1) }

// PlotDET draws both curves; nil where no case is labelled.
func (r *Report) PlotDET(lang string) []byte {
	if r.BeforeDET == nil || r.AfterDET == nil {
		return nil
	}
	const left, top, side = 70.0, 40.0, 380.0
	d := draw(560, 500, say(lang, "Errors at every threshold: false non-matches over false matches", "各阈值下的错误：拒识率与误识率"))
	low, high := probit(0), probit(1)
	at := func(p float64) float64 { return (probit(p) - low) / (high - low) * side }
	for _, p := range []float64{1e-4, 1e-3, 1e-2, .05, .2, .5, .9} {
		word := fmt.Sprintf("%g %%", 100*p)
		d.line(left+at(p), top, left+at(p), top+side, faint)
		d.line(left, top+side-at(p), left+side, top+side-at(p), faint)
		d.text(left+at(p), top+side+16, "middle", word)
		d.text(left-6, top+side-at(p)+4, "end", word)
	}
	d.line(left, top+side, left+side, top, faint)
	d.text(left+side/2, top+side+36, "middle", say(lang, "false match rate (impostors above the threshold)", "误识率（冒用者高于阈值）"))
	for _, c := range []struct {
		det          *DET
		colour, dash string
	}{{r.BeforeDET, blue, ""}, {r.AfterDET, orange, "6 3"}} {
		var points [][2]float64
		for _, p := range c.det.Points {
			points = append(points, [2]float64{left + at(p.FMR), top + side - at(p.FNMR)})
		}
		d.path(points, c.colour, c.dash)
	}
	d.legend(left, top+side+58, blue, "", fmt.Sprintf("%s (EER %.2f %%)", say(lang, "before", "之前"), 100*r.BeforeDET.EER))
	d.legend(left+200, top+side+58, orange, "6 3", fmt.Sprintf("%s (EER %.2f %%)", say(lang, "after", "之后"), 100*r.AfterDET.EER))
	return d.end()
}

// PlotScores draws how far scores lie from their threshold, as the share of cases up to there, before and after; nil without scores.
func (r *Report) PlotScores(lang string) []byte {
	if len(r.margins[0][0])+len(r.margins[0][1]) == 0 {
		return nil
	}
	const left, top, wide, high = 70.0, 40.0, 440.0, 240.0
	d := draw(560, 370, say(lang, "How far scores lie from the threshold: share of cases up to there", "分数与阈值的距离：累计案例比例"))
	low, most := math.Inf(1), math.Inf(-1)
	for _, side := range r.margins {
		for _, v := range side {
			for _, x := range v {
				low, most = min(low, x), max(most, x)
			}
		}
	}
	if most-low < 1e-9 {
		low, most = low-.5, most+.5
	}
	at := func(x float64) float64 { return left + (x-low)/(most-low)*wide }
	for i := range 5 {
		y := top + high*float64(i)/4
		d.line(left, y, left+wide, y, faint)
		d.text(left-6, y+4, "end", fmt.Sprintf("%d %%", 100-25*i))
	}
	for i := range 6 {
		x := low + (most-low)*float64(i)/5
		d.text(at(x), top+high+16, "middle", fmt.Sprintf("%+.2f", x))
	}
	if low < 0 && most > 0 {
		d.line(at(0), top, at(0), top+high, ink)
		d.text(at(0), top-4, "middle", say(lang, "threshold", "阈值"))
	}
	for s, colour := range []string{blue, orange} {
		for kind, dash := range []string{"", "2 3"} {
			v := append([]float64(nil), r.margins[s][kind]...)
			if len(v) == 0 {
				continue
			}
			sort.Float64s(v)
			var points [][2]float64
			for i := range 201 { // enough steps for the eye
				k := i * (len(v) - 1) / 200
				points = append(points, [2]float64{at(v[k]), top + high*(1-float64(k+1)/float64(len(v)))})
			}
			d.path(points, colour, dash)
		}
	}
	d.legend(left, top+high+44, blue, "", say(lang, "before", "之前"))
	d.legend(left+120, top+high+44, orange, "", say(lang, "after", "之后"))
	if r.Labelled > 0 {
		d.legend(left+240, top+high+44, ink, "2 3", say(lang, "impostors", "冒用者"))
	}
	return d.end()
}

func say(lang, en, zh string) string { return sayText(lang, pipeline.Text{EN: en, ZH: zh}) }

func sayText(lang string, t pipeline.Text) string {
	if lang == "zh" {
		return t.ZH
	}
	return t.EN
}
