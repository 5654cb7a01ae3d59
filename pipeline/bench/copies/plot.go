package copies

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
)

// Plot writes SVG plots into dir, which is made: recall per transform, and recall against false calls with look-alikes and with strangers,
// for clips and photos.
func (r *Report) Plot(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the plots: %w", err)
	}
	for _, x := range []struct {
		name string
		part *Part
	}{{"clips", r.Video}, {"photos", r.Photo}} {
		if x.part == nil {
			continue
		}
		for name, svg := range map[string][]byte{
			"transforms": x.part.bars(x.name),
			"hard":       x.part.curves(x.name+": copies found against look-alikes called copies (same person or place)", "hard"),
			"easy":       x.part.curves(x.name+": copies found against strangers called copies (other scenes)", "easy"),
		} {
			if err := os.WriteFile(filepath.Join(dir, x.name+"-"+name+".svg"), svg, 0o644); err != nil {
				return fmt.Errorf("write the plots: %w", err)
			}
		}
	}
	return nil
}

// Colours that people who see few colours tell apart too (Okabe and Ito, 2008); the measures' in their order.
var colours = [measures]string{"#0072b2", "#009e73", "#999999", "#e69f00", "#cc79a7"}

const (
	ink   = "#222"
	faint = "#ddd"
	pale  = "#9ecae1" // of the bar "cannot tell"
)

// canvas is an SVG that is being written.
type canvas struct{ bytes.Buffer }

func newCanvas(w, h int, title string) *canvas {
	c := &canvas{}
	fmt.Fprintf(c, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12"><title>%[3]s</title><rect width="100%%" height="100%%" fill="white"/>`, w, h, html.EscapeString(title))
	c.text(12, 22, "start", 14, ink, title)
	return c
}

func (c *canvas) text(x, y float64, anchor string, size int, colour, s string) {
	fmt.Fprintf(c, `<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d" fill="%s">%s</text>`, x, y, anchor, size, colour, html.EscapeString(s))
}

func (c *canvas) line(x1, y1, x2, y2 float64, colour string) {
	fmt.Fprintf(c, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`, x1, y1, x2, y2, colour)
}

func (c *canvas) rect(x, y, w, h float64, colour string) {
	fmt.Fprintf(c, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, x, y, w, h, colour)
}

func (c *canvas) done() []byte {
	c.WriteString("</svg>\n")
	return c.Bytes()
}

// rate is a share's value, 0 without pairs.
func rate(s Share) float64 {
	if s.Rate == nil {
		return 0
	}
	return *s.Rate
}

// bars shows per transform what was called reused, what was left to a person, and how often the content was found.
func (p *Part) bars(name string) []byte {
	const left, wide, row, top, right = 120.0, 480.0, 22.0, 70.0, 90.0
	bottom := top + row*float64(len(p.Kinds))
	c := newCanvas(int(left+wide+right), int(bottom)+40, name+": copies found per transform, at the product's thresholds")
	legend := left
	for _, l := range []struct {
		colour, text string
		step         float64
	}{{colours[Recording], "same recording", 130}, {pale, "cannot tell", 105}, {colours[Content], "same content in view", 165}, {colours[PDQ], "plain PDQ, held out", 0}} {
		c.rect(legend, 38, 11, 11, l.colour)
		c.text(legend+16, 48, "start", 12, ink, l.text)
		legend += l.step
	}
	for i := 0; i <= 10; i += 2 {
		x := left + wide*float64(i)/10
		c.line(x, top-6, x, bottom, faint)
		c.text(x, bottom+16, "middle", 11, ink, fmt.Sprintf("%d %%", i*10))
	}
	for i, k := range p.Kinds {
		y := top + row*float64(i)
		c.text(left-8, y+12, "end", 12, ink, k.Transform)
		reused, asked := rate(k.Reused), rate(k.CannotTell)
		c.rect(left, y+1, wide*reused, 14, colours[Recording])
		c.rect(left+wide*reused, y+1, wide*asked, 14, pale)
		c.rect(left+wide*rate(k.Content)-2, y-2, 4, 20, colours[Content])
		if k.PDQOut != nil {
			c.rect(left+wide**k.PDQOut-2, y-2, 4, 20, colours[PDQ])
		}
		c.text(left+wide+10, y+12, "start", 11, ink, fmt.Sprintf("%d of %d", k.Reused.Hits, k.N))
	}
	return c.done()
}

// Place of the plane of curves, pixels.
const (
	planeLeft, planeTop   = 60.0, 45.0
	planeWide, planeHigh  = 460.0, 360.0
	planeWidth, planeTall = 760, 460
	leastFalse            = 1e-3 // left end of the logarithmic axis
)

// falseX is where a share of false calls stands; shares below the axis stand on its left end, which is also where none are.
func falseX(share float64) float64 {
	return planeLeft + planeWide*(1-math.Log10(max(share, leastFalse))/math.Log10(leastFalse))
}

// curves shows recall against the share of honest pairs of one class that is called a copy, for all measures.
func (p *Part) curves(title, class string) []byte {
	c := newCanvas(planeWidth, planeTall, title)
	bottom := planeTop + planeHigh
	for i := range 6 {
		y := bottom - planeHigh*float64(i)/5
		c.line(planeLeft, y, planeLeft+planeWide, y, faint)
		c.text(planeLeft-8, y+4, "end", 11, ink, fmt.Sprintf("%d %%", i*20))
	}
	for _, x := range []struct {
		at   float64
		text string
	}{{1e-3, "none to 0.1 %"}, {1e-2, "1 %"}, {1e-1, "10 %"}, {1, "100 %"}} {
		c.line(falseX(x.at), planeTop, falseX(x.at), bottom, faint)
		c.text(falseX(x.at), bottom+16, "middle", 11, ink, x.text)
	}
	c.text(planeLeft+planeWide/2, bottom+36, "middle", 12, ink, "honest pairs called copies (logarithmic)")
	for m := range measures {
		points := p.Curves[class][m.String()]
		if len(points) == 0 {
			continue
		}
		fmt.Fprintf(c, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, colours[m])
		y := bottom
		for i, q := range points {
			x := falseX(q.False)
			if i > 0 {
				fmt.Fprintf(c, "%.1f,%.1f ", x, y) // steps: between two thresholds nothing changes
			}
			y = bottom - planeHigh*q.Recall
			fmt.Fprintf(c, "%.1f,%.1f ", x, y)
		}
		c.WriteString(`"/>`)
		ly := planeTop + 16 + 36*float64(m)
		c.line(planeLeft+planeWide+16, ly-4, planeLeft+planeWide+36, ly-4, colours[m])
		c.rect(planeLeft+planeWide+16, ly-6, 20, 4, colours[m])
		c.text(planeLeft+planeWide+42, ly, "start", 12, ink, m.String())
		c.text(planeLeft+planeWide+42, ly+14, "start", 11, "#666", fmt.Sprintf("%.0f %% found, none false", points[0].Recall*100))
	}
	if p.Curves[class][Recording.String()] != nil {
		fixed := p.Recording.Hard
		if class == "easy" {
			fixed = p.Recording.Easy
		}
		x, y := falseX(rate(fixed)), bottom-planeHigh*rate(p.Recording.Recall)
		fmt.Fprintf(c, `<circle cx="%.1f" cy="%.1f" r="5" fill="white" stroke="%s" stroke-width="2"/>`, x, y, colours[Recording])
		ly := planeTop + 16 + 36*float64(measures)
		fmt.Fprintf(c, `<circle cx="%.1f" cy="%.1f" r="5" fill="white" stroke="%s" stroke-width="2"/>`, planeLeft+planeWide+26, ly-4, colours[Recording])
		c.text(planeLeft+planeWide+42, ly, "start", 12, ink, "the product's threshold")
	}
	return c.done()
}
