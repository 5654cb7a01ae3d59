package liveness

import (
	"image"
	"math"
	"sort"

	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

const (
	rimFrames = 3    // sampled frames that are searched
	rimEdge   = 10   // grey levels: the least step across an edge
	rimSlant  = 0.22 // the most that a side may slant: about 12 degrees
	rimKept   = 4    // lines that are kept of each side
)

// rim is the outline of a flat thing around a face: a phone, a tablet, a sheet of paper.
type rim struct {
	score float64         // how much of the outline is an edge, 0..1
	dark  float64         // how much of it is a dark strip: a bezel
	sides float64         // how clear two sides or more of a screen are that nearly fills the picture
	frame int             // index of the frame in which it is clearest
	box   image.Rectangle // there, in pixels of the frame; a side outside the picture lies on its edge
	// corners are those of the outline in the reduced picture, from the upper left, clockwise.
	corners [4]image.Point
}

// line is x = at + slant*(y - mid) for upright ones, y = at + slant*(x - mid) for level ones.
type line struct{ at, slant, mid, support float64 }

func (l *line) pos(t float64) float64 { return l.at + l.slant*(t-l.mid) }

// rimOf looks for an outline around a track's face in the sampled frames and gives the medians; ok is false without a frame in which there is room
// for one.
func rimOf(clip *media.Clip, found *face.Found, track int, c *Config) (rim, bool, error) {
	var fit []face.Spot
	for _, s := range found.Tracks[track].Spots {
		if found.At(s).Box.Dy() >= c.MinFace {
			fit = append(fit, s)
		}
	}
	var score, dark, sides []float64
	var out rim
	for _, k := range spread(len(fit), rimFrames) {
		g, w, h, scale, err := reduced(clip.Frames[fit[k].Frame].Image)
		if err != nil {
			return rim{}, false, err
		}
		b := found.At(fit[k]).Box
		box := image.Rect(int(float64(b.Min.X)*scale), int(float64(b.Min.Y)*scale), int(float64(b.Max.X)*scale), int(float64(b.Max.Y)*scale))
		r := outline(g, w, h, box)
		score, dark, sides = append(score, r.score), append(dark, r.dark), append(sides, r.sides)
		if r.score > out.score {
			out = r
			out.frame = clip.Frames[fit[k].Frame].Index
			full := func(v int) int { return int(float64(v) / scale) }
			out.box = image.Rect(full(r.box.Min.X), full(r.box.Min.Y), full(r.box.Max.X), full(r.box.Max.Y)).
				Intersect(image.Rect(0, 0, clip.Frames[fit[k].Frame].Image.Cols(), clip.Frames[fit[k].Frame].Image.Rows()))
		}
	}
	out.score, out.dark, out.sides = quantile(score, 0.5), quantile(dark, 0.5), quantile(sides, 0.5)
	return out, len(score) > 0, nil
}

// steps holds twice the step across edges of one direction at every pixel, place across the edge first: v[p*n+t].
type steps struct {
	v    []int16
	p, n int // places across the edge, places along it
}

// outsideStep marks places too near to the picture's border.
const outsideStep = math.MinInt16

// at is the step at a place across the edge and one along it.
func (s *steps) at(p, t float64) int16 {
	i, k := int(p+0.5), int(t+0.5)
	if i < 0 || k < 0 || i >= s.p || k >= s.n {
		return outsideStep
	}
	return s.v[i*s.n+k]
}

// stepsOf measures the steps across upright and level edges of a grey picture.
func stepsOf(g []byte, w, h int) (upright, level *steps) {
	upright, level = &steps{make([]int16, w*h), w, h}, &steps{make([]int16, w*h), h, w}
	for y := range h {
		row := g[y*w : (y+1)*w]
		for x := range row {
			i := y*w + x
			u, l := int16(outsideStep), int16(outsideStep)
			if x >= 3 && y >= 1 && x < w-3 && y < h-1 {
				u = int16(row[x+2]) + int16(row[x+1]) - int16(row[x-1]) - int16(row[x-2]) //nolint:gosec // G602: x is at least 3 away from both ends
			}
			if y >= 3 && x >= 1 && y < h-3 && x < w-1 {
				l = int16(g[i+2*w]) + int16(g[i+w]) - int16(g[i-w]) - int16(g[i-2*w])
			}
			upright.v[x*h+y], level.v[i] = u, l
		}
	}
	return upright, level
}

// outline finds the best quadrangle around a face.
func outline(g []byte, w, h int, box image.Rectangle) rim {
	if box.Dy() < 12 {
		return rim{}
	}
	upright, level := stepsOf(g, w, h)
	hgt := float64(box.Dy())
	cx, cy := float64(box.Min.X+box.Max.X)/2, float64(box.Min.Y+box.Max.Y)/2
	y0, y1 := cy-0.6*hgt, cy+0.6*hgt
	x0, x1 := cx-0.5*hgt, cx+0.5*hgt
	left := lines(upright, math.Max(3, cx-3*hgt), cx-0.5*hgt, y0, y1)
	right := lines(upright, cx+0.5*hgt, math.Min(float64(w-4), cx+3*hgt), y0, y1)
	top := lines(level, math.Max(3, cy-3*hgt), cy-0.5*hgt, x0, x1)
	low := lines(level, cy+0.55*hgt, math.Min(float64(h-4), cy+3.5*hgt), x0, x1)
	var best rim
	for _, l := range orNone(left) {
		for _, r := range orNone(right) {
			for _, t := range orNone(top) {
				for _, b := range orNone(low) {
					if s := quad(upright, level, [4]*line{l, t, r, b}, w, h, best.score); s.score > best.score {
						best = s
					}
				}
			}
		}
	}
	if best.score > 0 {
		best.dark = bezel(g, best.box, w, h)
	}
	best.sides = strips(g, upright, level, w, h, box)
	return best
}

// lines finds the best edges whose middle lies between lo and hi, along t0..t1.
func lines(step *steps, lo, hi, t0, t1 float64) []line {
	var out []line
	mid := (t0 + t1) / 2
	for p := lo; p <= hi; p++ {
		best := line{}
		for k := -6; k <= 6; k++ {
			l := line{at: p, slant: float64(k) / 6 * rimSlant, mid: mid}
			if l.support = along(step, &l, t0, t1); l.support > best.support {
				best = l
			}
		}
		if best.support > 0.6 {
			out = append(out, best)
		}
	}
	return strongest(out, rimKept)
}

// strongest keeps up to n lines that are not the same one, the clearest first.
func strongest(all []line, n int) []line {
	sort.SliceStable(all, func(i, j int) bool { return all[i].support > all[j].support })
	var kept []line
	for _, l := range all {
		if near := nearest(kept, l.at); near > 4 && len(kept) < n {
			kept = append(kept, l)
		}
	}
	return kept
}

func nearest(kept []line, at float64) float64 {
	d := math.Inf(1)
	for _, k := range kept {
		d = math.Min(d, math.Abs(k.at-at))
	}
	return d
}

// along is the share of a line between two places that is an edge, one that is brighter on the same side all along; 0 when most of it is outside.
func along(step *steps, l *line, t0, t1 float64) float64 { return sampled(step, l, t0, t1, 2) }

// sampled is along, looking at one of every pixels.
func sampled(step *steps, l *line, t0, t1, every float64) float64 {
	up, down, n, outside := 0, 0, 0, 0
	for t := t0; t <= t1; t += every {
		switch v := step.at(l.pos(t), t); {
		case v == outsideStep:
			outside++
		case v > 2*rimEdge:
			up++
		case v < -2*rimEdge:
			down++
		}
		n++
	}
	if outside*2 > n || n == 0 {
		return 0
	}
	return float64(max(up, down)) / float64(n-outside)
}

// orNone are the lines, and none: that side may lie outside the picture.
func orNone(list []line) []*line {
	out := []*line{nil}
	for i := range list {
		out = append(out, &list[i])
	}
	return out
}

// quad scores an outline of left, top, right and lower side. One of them may be missing: then it lies outside the picture. An outline whose sides
// alone cannot reach the score beat is not looked at.
func quad(upright, level *steps, sides [4]*line, w, h int, beat float64) rim {
	frame := [4]*line{{at: 0}, {at: 0}, {at: float64(w - 1)}, {at: float64(h - 1)}}
	missing, bound := 0, 0.0
	for i, s := range sides {
		if s == nil {
			missing++
			sides[i] = frame[i]
			continue
		}
		bound += s.support / 4
	}
	if missing > 1 || bound+0.25*float64(missing) < beat {
		return rim{}
	}
	l, t, r, b := sides[0], sides[1], sides[2], sides[3]
	yl, yr, bl, br := corner(t, l), corner(t, r), corner(b, l), corner(b, r)
	xl, xr := l.pos(yl), r.pos(yr)
	width, height := xr-xl, (bl+br)/2-(yl+yr)/2
	if width < 12 || height < 12 || width > 4*height || height > 4*width {
		return rim{}
	}
	var on, beyond []float64
	add := func(side *line, step *steps, from, to float64) {
		if side.support == 0 {
			return
		}
		on = append(on, along(step, side, from+2, to-2))
		// What goes on beyond the corner is a wall, a door or a shelf.
		long := 0.3 * (to - from)
		beyond = append(beyond, math.Max(along(step, side, from-long, from-4), along(step, side, to+4, to+long)))
	}
	add(l, upright, yl, bl)
	add(r, upright, yr, br)
	add(t, level, xl, xr)
	add(b, level, xl, xr)
	least, score := 1.0, -missingSide*float64(missing)
	for i, s := range on {
		least = math.Min(least, s)
		score += (0.5*s - 0.4*beyond[i]) / float64(len(on))
	}
	at := func(side *line, y float64) image.Point { return image.Pt(int(side.pos(y)+0.5), int(y+0.5)) }
	return rim{
		score: score + 0.5*least, box: image.Rect(int(xl), int((yl+yr)/2), int(xr), int((bl+br)/2)),
		corners: [4]image.Point{at(l, yl), at(r, yr), at(r, br), at(l, bl)},
	}
}

// missingSide is what a side outside the picture costs: three sides are less than four.
const missingSide = 0.12

// corner is the y at which a level line meets an upright one.
func corner(level, upright *line) float64 {
	y := level.at
	for range 3 {
		y = level.pos(upright.pos(y))
	}
	return y
}

// bezel is the share of the outline's length along which a dark strip runs, at least 3 pixels wide.
func bezel(g []byte, box image.Rectangle, w, h int) float64 {
	dark, n := 0, 0
	look := func(x, y, dx, dy int) {
		n++
		run := 0
		for d := -6; d <= 6; d++ {
			px, py := x+dx*d, y+dy*d
			if px < 0 || py < 0 || px >= w || py >= h || g[py*w+px] > 55 {
				run = 0
				continue
			}
			if run++; run == 3 {
				dark++
				return
			}
		}
	}
	for y := max(box.Min.Y, 0); y < min(box.Max.Y, h); y += 3 {
		look(box.Min.X, y, 1, 0)
		look(box.Max.X, y, 1, 0)
	}
	for x := max(box.Min.X, 0); x < min(box.Max.X, w); x += 3 {
		look(x, box.Min.Y, 0, 1)
		look(x, box.Max.Y, 0, 1)
	}
	if n == 0 {
		return 0
	}
	return float64(dark) / float64(n)
}
