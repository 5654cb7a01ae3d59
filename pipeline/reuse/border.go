package reuse

import (
	"image"
	"slices"
)

// Limits of what is taken for a border. Precision is that of the plane: half a percent.
const (
	borderSide     = 256  // the long side, in pixels, of the planes is this to twice this; PDQ looks at 64 x 64
	borderLeast    = 0.02 // of the side; less is nothing to cut off
	borderMost     = 0.75 // of the side, both borders together
	flatReach      = 10   // grey levels around a border's own
	flatShare      = 0.95 // of a line's pixels that lie in there
	blurShare      = 0.3  // sharpness of a line of a blurred fill, as a part of the middle's
	frameStep      = 10   // grey levels across the edge of a frame
	frameSupport   = 0.7  // share of a side of a frame that has the step
	frameLines     = 14   // lines of each direction that are tried
	frameLeast     = 0.25 // of the picture's side
	frameArea      = 0.9  // of the picture's area at most
	frameOwnSides  = 2    // sides, at least, that are not the picture's own
	bezelInset     = 2    // pixels: the line found may lie just outside of the bezel
	frameNeighbour = 3    // pixels around a tried line in which no other one is

	frameSmallest = 2*bezelInset + minHashSide // pixels; what is left inside of the bezel is hashed
)

// areaPlane averages a still's brightness down to what areas are looked for and hashed in.
func areaPlane(l luma) luma { return l.shrunk(max(1, max(l.w, l.h)/borderSide)) }

// contentAreas gives where in its stills (planes of one size, brightness 0..255) a clip shows its content, in 255ths of the sides: first
// what lies inside of bars of one colour or of a blurred fill of the same picture, the whole picture without such; then what lies inside
// of a straight frame in there, such as a screen with its bezel or a picture in the picture, where there seems to be one. Borders count
// only where all stills agree on them.
func contentAreas(planes []luma) (content image.Rectangle, framed []image.Rectangle) {
	w, h := planes[0].w, planes[0].h
	units := func(r image.Rectangle) image.Rectangle { // rounded inwards
		return image.Rect((r.Min.X*areaUnit+w-1)/w, (r.Min.Y*areaUnit+h-1)/h, r.Max.X*areaUnit/w, r.Max.Y*areaUnit/h)
	}
	inner := withoutBlur(planes, withoutBars(planes, image.Rect(0, 0, w, h)))
	content = units(inner)
	if frame := insideFrame(planes).Intersect(inner); min(frame.Dx(), frame.Dy()) > frameSmallest && frame != inner {
		framed = append(framed, units(frame))
		if screen := units(withoutBars(planes, frame.Inset(bezelInset))); screen != framed[0] { // the bezel
			framed = append(framed, screen)
		}
	}
	return content, framed
}

// shrunk averages blocks of k x k pixels; what is left over is cut off.
func (l luma) shrunk(k int) luma {
	out := luma{w: l.w / k, h: l.h / k, k: 1, fullW: l.w / k, fullH: l.h / k, known: l.known}
	if k == 1 {
		out.p = l.p
		return out
	}
	out.p = make([]float32, out.w*out.h)
	if k == 2 {
		for y := range out.h {
			halveLines(out.p[y*out.w:(y+1)*out.w], l.p[2*y*l.w:], l.p[(2*y+1)*l.w:])
		}
		return out
	}
	for y := range out.h * k {
		dst, src := out.p[y/k*out.w:(y/k+1)*out.w], l.p[y*l.w:]
		for x := range dst {
			for _, v := range src[x*k : x*k+k] {
				dst[x] += v
			}
		}
	}
	for i := range out.p {
		out.p[i] /= float32(k * k)
	}
	return out
}

// sampled resamples a part of the picture, as if it were a picture of its own, with a kernel.
func (l luma) sampled(r image.Rectangle, c kernel) []float32 {
	part := luma{p: l.p[r.Min.Y*l.w+r.Min.X:], w: r.Dx(), h: r.Dy(), k: 1, fullW: r.Dx(), fullH: r.Dy(), known: l.known}
	return resample(part, l.w, part.taps(c, part.fullW), part.taps(c, part.fullH))
}

// strip is a row or a column of a part of the picture, from outside to inside.
type strip struct{ first, step, n int }

// sideLines gives the lines of a side of r in a plane w wide, the outermost first; sides are top, bottom, left, right.
func sideLines(r image.Rectangle, w, side int) []strip {
	var out []strip
	switch side {
	case 0, 1:
		for y := r.Min.Y; y < r.Max.Y; y++ {
			out = append(out, strip{y*w + r.Min.X, 1, r.Dx()})
		}
	default:
		for x := r.Min.X; x < r.Max.X; x++ {
			out = append(out, strip{r.Min.Y*w + x, w, r.Dy()})
		}
	}
	if side%2 == 1 {
		slices.Reverse(out)
	}
	return out
}

// inset moves one side of r inwards.
func inset(r image.Rectangle, side, by int) image.Rectangle {
	switch side {
	case 0:
		r.Min.Y += by
	case 1:
		r.Max.Y -= by
	case 2:
		r.Min.X += by
	default:
		r.Max.X -= by
	}
	return r
}

// withoutBars cuts off bars of one brightness that does not change from still to still; an empty rectangle stays as it is.
func withoutBars(planes []luma, all image.Rectangle) image.Rectangle {
	if all.Empty() {
		return all
	}
	r := all
	for side := range 4 {
		lines := sideLines(r, planes[0].w, side)
		var edge []float32
		for _, p := range planes {
			for i := range lines[0].n {
				edge = append(edge, p.p[lines[0].first+i*lines[0].step])
			}
		}
		slices.Sort(edge)
		level := edge[len(edge)/2]
		n := 0
		for n < len(lines) && flat(planes, lines[n], level) {
			n++
		}
		if float64(n) >= borderLeast*float64(len(lines)) && n < len(lines) {
			r = inset(r, side, n)
		}
	}
	if float64(r.Dx()) < (1-borderMost)*float64(all.Dx()) || float64(r.Dy()) < (1-borderMost)*float64(all.Dy()) {
		return all
	}
	return r
}

func flat(planes []luma, l strip, level float32) bool {
	for _, p := range planes {
		near := 0
		for i := range l.n {
			if abs32(p.p[l.first+i*l.step]-level) <= flatReach {
				near++
			}
		}
		if float64(near) < flatShare*float64(l.n) {
			return false
		}
	}
	return true
}

// withoutBlur cuts off two bars of one size that are filled with a blurred picture: their lines are far less sharp than those between
// them, in all stills taken together. Plain walls and ceilings are unsharp too, so the smaller bar counts.
func withoutBlur(planes []luma, all image.Rectangle) image.Rectangle {
	for _, side := range []int{0, 2} {
		lines := sideLines(all, planes[0].w, side)
		if len(lines) < 5 {
			continue
		}
		sharp := make([]float32, len(lines))
		for i, l := range lines {
			for _, p := range planes {
				for j := 1; j < l.n-1; j++ {
					at := l.first + j*l.step
					sharp[i] += abs32(p.p[at-l.step] - 2*p.p[at] + p.p[at+l.step])
				}
			}
		}
		middle := slices.Clone(sharp[len(sharp)*2/5 : len(sharp)*3/5])
		slices.Sort(middle)
		limit := blurShare * middle[len(middle)/2]
		first, last := 0, 0
		for first < len(sharp)/2 && sharp[first] < limit {
			first++
		}
		for last < len(sharp)/2 && sharp[len(sharp)-1-last] < limit {
			last++
		}
		if n := min(first, last); float64(n) >= 2*borderLeast*float64(len(lines)) && float64(2*n) <= borderMost*float64(len(lines)) {
			return inset(inset(all, side, n), side+1, n)
		}
	}
	return all
}

// steps counts, for one direction, the places in which brightness steps from a line to the next one in the mean of all stills: sum[i][j]
// is how many of the first j places of line i have a step within one line of it.
type steps struct {
	sum   [][]int32
	tried []int // lines with the most steps, and both ends of the picture
}

func newSteps(planes []luma, side int) steps {
	all := image.Rect(0, 0, planes[0].w, planes[0].h)
	lines := sideLines(all, planes[0].w, side)
	n := lines[0].n
	has := stepsBetween(planes, lines)
	s := steps{sum: make([][]int32, len(lines)+1)}
	order := make([]int, 0, len(lines))
	for i := range s.sum {
		s.sum[i] = make([]int32, n+1)
		for j := range n {
			s.sum[i][j+1] = s.sum[i][j]
			if has[max(0, i-1)][j] || has[min(i, len(lines)-1)][j] || has[min(i+1, len(lines)-1)][j] {
				s.sum[i][j+1]++
			}
		}
		if i > frameNeighbour && i < len(lines)-frameNeighbour {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(s.sum[b][n] - s.sum[a][n]) })
	for _, i := range order {
		near := slices.ContainsFunc(s.tried, func(t int) bool { return max(t-i, i-t) <= frameNeighbour })
		if !near && len(s.tried) < frameLines {
			s.tried = append(s.tried, i)
		}
	}
	s.tried = append(s.tried, 0, len(lines))
	slices.Sort(s.tried)
	return s
}

// stepsBetween says where brightness steps from line i-1 to line i; nowhere for the first.
func stepsBetween(planes []luma, lines []strip) [][]bool {
	// Added up in the order in which the planes lie in memory, whatever the direction of the lines.
	back := lines[1].first - lines[0].first
	sum := make([]float32, len(planes[0].p))
	for _, p := range planes {
		now, before := p.p[back:], p.p[:len(p.p)-back]
		for i, v := range now[:len(before)] {
			sum[back+i] += abs32(v - before[i])
		}
	}
	has := make([][]bool, len(lines))
	limit := frameStep * float32(len(planes))
	for i, l := range lines {
		has[i] = make([]bool, l.n)
		for j := range l.n {
			has[i][j] = i > 0 && sum[l.first+j*l.step] >= limit
		}
	}
	return has
}

// support is the share of the places from..to of line i that have a step.
func (s *steps) support(i, from, to int) float64 {
	return float64(s.sum[i][to]-s.sum[i][from]) / float64(to-from)
}

// beyond counts the steps that go on behind both ends, over an eighth of the length each: a frame ends at its corners, doors and shelves
// often do not.
func (s *steps) beyond(i, from, to int) float64 {
	reach := (to - from) / 8
	line := s.sum[i]
	a, b := max(0, from-reach), min(len(line)-1, to+reach)
	return float64(line[from] - line[a] + line[b] - line[to])
}

// insideFrame finds the rectangle whose sides have the most steps; the sides of the picture itself may stand in for some. It is empty if
// there is none.
func insideFrame(planes []luma) image.Rectangle {
	w, h := planes[0].w, planes[0].h
	rows, cols := newSteps(planes, 0), newSteps(planes, 2)
	var best image.Rectangle
	most := 0.0
	for ti, t := range rows.tried {
		for _, b := range rows.tried[ti+1:] {
			for li, l := range cols.tried {
				for _, r := range cols.tried[li+1:] {
					if float64(b-t) < frameLeast*float64(h) || float64(r-l) < frameLeast*float64(w) || float64((b-t)*(r-l)) > frameArea*float64(w*h) {
						continue
					}
					own, sum, ok := 0, 0.0, true
					side := func(s *steps, i, end, from, to int) {
						if i == 0 || i == end {
							return
						}
						x := s.support(i, from, to)
						ok = ok && x >= frameSupport
						own++
						sum += (x-frameSupport/2)*float64(to-from) - s.beyond(i, from, to)
					}
					side(&rows, t, h, l, r)
					side(&rows, b, h, l, r)
					side(&cols, l, w, t, b)
					side(&cols, r, w, t, b)
					if ok && own >= frameOwnSides && sum > most {
						most, best = sum, image.Rect(l, t, r, b)
					}
				}
			}
		}
	}
	return best
}
