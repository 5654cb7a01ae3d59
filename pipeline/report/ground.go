package report

import (
	"fmt"
	"math"

	"onsite/pipeline"
)

// Ground is what the map shows: where the site lies and where the upload is said to be made. The map is drawn here, without tiles and
// without a network.
type Ground struct {
	Fences []pipeline.Fence
	Points []GroundPoint // in the order in which they are told; the first is what the others are compared with
}

// GroundPoint is one position on the map.
type GroundPoint struct {
	Kind  string // claimed, file, earlier
	At    pipeline.Location
	Label pipeline.Text // what it is
	Note  pipeline.Text // what is said of it: distance, time
	Good  bool          // speaks for the upload
}

// ground is the drawn map, in a box of groundW x groundH.
type ground struct {
	W, H    int
	Fences  []groundCircle
	Points  []groundMark
	Lines   []groundLine
	BarX    string
	BarTo   string
	BarY    string
	BarText string
	TextY   string
	Alt     says
}

type groundCircle struct{ X, Y, R string }

type groundMark struct {
	Letter      string
	Kind        string
	Good        bool
	X, Y        string
	R           string // of its accuracy; empty: not said, or too small to see
	TextY       string
	Label, Note pipeline.Text
}

type groundLine struct{ X1, Y1, X2, Y2 string }

const (
	groundW, groundH = 1000, 520
	groundEdge       = 60   // pixels that stay free on each side
	leastGroundM     = 60.0 // metres that the map shows at least across
	metresPerDegree  = 111_195.0
)

// groundOf draws a map; nil for nothing to show.
func (b *builder) groundOf(g *Ground) *ground {
	if g == nil || len(g.Fences)+len(g.Points) == 0 {
		return nil
	}
	origin := pipeline.Location{}
	if len(g.Points) > 0 {
		origin = g.Points[0].At
	} else {
		origin.Latitude, origin.Longitude = g.Fences[0].Latitude, g.Fences[0].Longitude
	}
	// Flat enough for a site; of a journey only the direction and the length matter.
	flat := func(lat, lon float64) (x, y float64) {
		d := math.Mod(lon-origin.Longitude+540, 360) - 180
		return d * metresPerDegree * math.Cos(origin.Latitude*math.Pi/180), (lat - origin.Latitude) * metresPerDegree
	}
	left, right, low, high := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	include := func(x, y, r float64) {
		left, right, low, high = math.Min(left, x-r), math.Max(right, x+r), math.Min(low, y-r), math.Max(high, y+r)
	}
	for _, f := range g.Fences {
		x, y := flat(f.Latitude, f.Longitude)
		include(x, y, f.RadiusM)
	}
	for _, p := range g.Points {
		x, y := flat(p.At.Latitude, p.At.Longitude)
		include(x, y, p.At.AccuracyM)
	}
	across := math.Max(leastGroundM, math.Max((right-left)/(groundW-2*groundEdge), (high-low)/(groundH-2*groundEdge))*groundW)
	scale := groundW / across // pixels per metre
	midX, midY := (left+right)/2, (low+high)/2
	at := func(lat, lon float64) (float64, float64) {
		x, y := flat(lat, lon)
		return groundW/2 + (x-midX)*scale, groundH/2 - (y-midY)*scale
	}
	out := &ground{W: groundW, H: groundH}
	for _, f := range g.Fences {
		x, y := at(f.Latitude, f.Longitude)
		out.Fences = append(out.Fences, groundCircle{coord(x), coord(y), coord(math.Max(6, f.RadiusM*scale))})
	}
	var alt pipeline.Text
	for i, p := range g.Points {
		x, y := at(p.At.Latitude, p.At.Longitude)
		m := groundMark{Letter: string(rune('A' + i)), Kind: p.Kind, Good: p.Good, X: coord(x), Y: coord(y), TextY: coord(y - 16), Label: cleanText(p.Label), Note: cleanText(p.Note)}
		if r := p.At.AccuracyM * scale; r >= 6 {
			m.R = coord(r)
		}
		if i > 0 {
			x0, y0 := at(g.Points[0].At.Latitude, g.Points[0].At.Longitude)
			if math.Hypot(x-x0, y-y0) > 24 {
				out.Lines = append(out.Lines, groundLine{coord(x0), coord(y0), coord(x), coord(y)})
			}
		}
		out.Points = append(out.Points, m)
		alt = pipeline.Text{EN: alt.EN + m.Letter + ": " + m.Label.EN + " " + m.Note.EN + ". ", ZH: alt.ZH + m.Letter + "：" + m.Label.ZH + " " + m.Note.ZH + "。"}
	}
	length := round125(across / 5)
	out.BarX, out.BarTo, out.BarY, out.TextY = coord(24), coord(24+length*scale), coord(groundH-22), coord(groundH-32)
	out.BarText = metres(length)
	out.Alt = b.says(pipeline.Text{EN: "Map. " + alt.EN, ZH: "地图。" + alt.ZH})
	return out
}

// round125 is the largest of 1, 2, 5, 10, 20, ... that is not above v.
func round125(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{5, 2} {
		if n*p <= v {
			return n * p
		}
	}
	return p
}

// metres writes a length in signs that both languages share.
func metres(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%g km", v/1000)
	}
	return fmt.Sprintf("%g m", v)
}
