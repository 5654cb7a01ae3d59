package report

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"onsite/pipeline"
)

// shape is a rectangle or polygon over a picture, with a label.
type shape struct {
	Points string // polygon
	Good   bool
	Label  pipeline.Text
	X, Y   string // of the label: its left end, and the line that its letters stand on
	Size   string // of the label, in pixels of the keyframe
	area   rect
}

// rect is a part of a picture in its pixels.
type rect struct{ left, top, right, bottom float64 }

// shared is the area that two have in common.
func (r rect) shared(o rect) float64 {
	return math.Max(0, math.Min(r.right, o.right)-math.Max(r.left, o.left)) * math.Max(0, math.Min(r.bottom, o.bottom)-math.Max(r.top, o.top))
}

// Labels keep a readable size when a picture is shown small: the share of the picture's width that a letter's height takes.
const (
	smallLabel = 1.0 / 14 // in the strip, about 180 px wide
	largeLabel = 1.0 / 34 // enlarged
)

// draw outlines what is marked on a picture of w x h pixels, each with its label where it reads as the label of that outline and of no other.
// What has neither a box nor an outline that can be drawn is left out.
func draw(marks []Mark, w, h int, size float64) []shape {
	var shapes []shape
	for _, m := range marks {
		if s, ok := outline(m, w, h); ok {
			shapes = append(shapes, s)
		}
	}
	letter := size * float64(w)
	var tags []rect
	for i := range shapes {
		s := &shapes[i]
		s.Size = coord(letter)
		if s.Label == (pipeline.Text{}) {
			continue
		}
		at := tag(shapes, i, tags, letter, float64(w), float64(h))
		tags = append(tags, at)
		s.X, s.Y = coord(at.left), coord(at.bottom-tagDepth*letter)
	}
	return shapes
}

func outline(m Mark, w, h int) (shape, bool) {
	var pts []pipeline.Point
	switch box := m.Box; {
	case len(m.Outline) >= 3:
		pts = m.Outline
	case box != nil && box.W > 0 && box.H > 0:
		x, y, r, b := float64(box.X), float64(box.Y), float64(box.X+box.W), float64(box.Y+box.H)
		pts = []pipeline.Point{{X: x, Y: y}, {X: r, Y: y}, {X: r, Y: b}, {X: x, Y: b}}
	default:
		return shape{}, false
	}
	s := shape{Good: m.Good, Label: cleanText(m.Label), area: rect{math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)}}
	points := make([]string, len(pts))
	for i, p := range pts {
		if math.IsNaN(p.X) || math.IsNaN(p.Y) {
			return shape{}, false
		}
		// A homography may throw a corner far outside; the picture's surroundings are enough.
		x, y := clamp(p.X, -float64(w), 2*float64(w)), clamp(p.Y, -float64(h), 2*float64(h))
		s.area = rect{math.Min(s.area.left, x), math.Min(s.area.top, y), math.Max(s.area.right, x), math.Max(s.area.bottom, y)}
		points[i] = coord(x) + "," + coord(y)
	}
	s.Points = strings.Join(points, " ")
	return s, true
}

// How much of a letter's size lies above the line it stands on, and below it.
const tagHeight, tagDepth = 0.95, 0.25

// tag chooses where the label of shapes[i] goes: above its outline, inside at the top, below, or inside at the bottom. The first of them wins that is
// inside the picture, on no other label, and neither inside nor along another outline; or else the one with the least of that.
func tag(shapes []shape, i int, taken []rect, letter, w, h float64) rect {
	own := shapes[i].area
	long := math.Max(letterWidths(shapes[i].Label.EN), letterWidths(shapes[i].Label.ZH)) * letter
	tall := (tagHeight + tagDepth) * letter
	left := clamp(own.left, 0.1*letter, w-math.Max(long, 3*letter))
	top, bottom := math.Max(own.top, 0), math.Min(own.bottom, h)
	var best rect
	least := math.Inf(1)
	for _, y := range []float64{own.top - 0.1*letter - tall, top + 0.1*letter, own.bottom + 0.1*letter, bottom - 0.1*letter - tall} {
		at := rect{left, y, left + long, y + tall}
		area := long * tall
		cost := 20 * (area - at.shared(rect{0, 0, math.Max(w, at.right), h}))
		for _, t := range taken {
			cost += 10 * at.shared(t)
		}
		for k, o := range shapes {
			if k != i {
				near := o.area
				near.top, near.bottom = near.top-tall, near.bottom+tall
				cost += at.shared(near)
			}
		}
		if cost < least {
			best, least = at, cost
		}
	}
	return best
}

// letterWidths is about how wide a text is, in sizes of its letters.
func letterWidths(s string) float64 {
	wide := len(slices.DeleteFunc([]rune(s), func(r rune) bool { return r < 0x2e80 }))
	return float64(wide) + 0.56*float64(utf8.RuneCountInString(s)-wide)
}
