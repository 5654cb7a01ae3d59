package liveness

import (
	"image"
	"math"
	"sort"

	"onsite/pipeline/media"
)

const (
	slipPairs = 6 // pairs of burst frames over the clip
	slipStep  = 3 // frames between the pictures of a pair: about 0.3 s
	slipReach = 9 // pixels that a patch may move in that time
	slipLike  = 0.85
	slipPlain = 3.5 // grey levels: a patch of less contrast has nothing to be followed by
)

// slip says by how much what is beside the head moves against what is far from it, in hundredths of the face's height: in a room both are the
// same background and move together, however the camera is held; what is shown on a phone or a sheet of paper moves with it. Of the
// patches beside the head the calmest counts, since hair and shoulders move too. ok is false when there is nothing to be followed: plain
// walls, or a face that fills the picture.
func (t *Track) slip(clip *media.Clip) (value float64, ok bool, err error) {
	var pairs []slipPair
	for i := range t.Moments {
		j := i + slipStep
		if j < len(t.Moments) && t.Moments[j].Burst == t.Moments[i].Burst {
			pairs = append(pairs, slipPair{t.Moments[i].Burst, t.Moments[i].Frame, t.Moments[j].Frame, t.Moments[i].Box})
		}
	}
	return slipOver(clip, pairs)
}

// slipPair are two frames of a burst and where the face is in the first, in its pixels.
type slipPair struct {
	burst, from, to int
	box             image.Rectangle
}

// slipOver is the slip over some of the pairs.
func slipOver(clip *media.Clip, pairs []slipPair) (value float64, ok bool, err error) {
	var values []float64
	for _, k := range spread(len(pairs), slipPairs) {
		p := &pairs[k]
		ga, w, h, scale, err := reduced(clip.Bursts[p.burst].Frames[p.from].Image)
		if err != nil {
			return 0, false, err
		}
		gb, _, _, _, err := reduced(clip.Bursts[p.burst].Frames[p.to].Image)
		if err != nil {
			return 0, false, err
		}
		box := enlarged(p.box, scale)
		if box.Dy() < 1 { // a face of a pixel or two, made smaller
			continue
		}
		if v, ok := slipOf(ga, gb, w, h, box); ok {
			values = append(values, v/float64(box.Dy())*100)
		}
	}
	if len(values) < 3 {
		return 0, false, nil
	}
	return quantile(values, 0.6), true, nil
}

// enlarged is a rectangle of a picture that was made k times as large.
func enlarged(r image.Rectangle, k float64) image.Rectangle {
	return image.Rect(int(float64(r.Min.X)*k), int(float64(r.Min.Y)*k), int(float64(r.Max.X)*k), int(float64(r.Max.Y)*k))
}

type shift struct{ x, y float64 }

// slipOf is the least movement, in pixels, of a patch beside the face against the far background.
func slipOf(a, b []byte, w, h int, box image.Rectangle) (float64, bool) {
	side := min(max(box.Dy()/4, 12), 28)
	hgt := box.Dy()
	c := box.Min.Add(box.Max).Div(2)
	var near []shift
	for _, p := range []image.Point{
		{box.Min.X - hgt*35/100, c.Y - hgt/5}, {box.Max.X + hgt*35/100, c.Y - hgt/5},
		{box.Min.X - hgt*30/100, box.Min.Y - hgt*25/100}, {box.Max.X + hgt*30/100, box.Min.Y - hgt*25/100},
		{c.X, box.Min.Y - hgt*55/100},
	} {
		if s, ok := follow(a, b, w, h, p, side); ok {
			near = append(near, s)
		}
	}
	// Far is more than 0.9 heights from the face, beside and above it: what is below is the body.
	keep := box.Inset(-hgt * 9 / 10)
	var far []shift
	half := side/2 + slipReach + 1
	for y := half; y < min(h-half, box.Max.Y+hgt/2); y += side {
		for x := half; x < w-half; x += side {
			if p := image.Pt(x, y); !p.In(keep) && (x < half+side*2 || x >= w-half-side*2 || y < half+side*2) {
				if s, ok := follow(a, b, w, h, p, side); ok {
					far = append(far, s)
				}
			}
		}
	}
	if len(near) < 2 || len(far) < 4 {
		return 0, false
	}
	sort.Slice(far, func(i, j int) bool { return far[i].x < far[j].x })
	mx := far[len(far)/2].x
	sort.Slice(far, func(i, j int) bool { return far[i].y < far[j].y })
	my := far[len(far)/2].y
	least := math.Inf(1)
	for _, s := range near {
		least = math.Min(least, math.Hypot(s.x-mx, s.y-my))
	}
	return least, true
}

// follow finds where the square patch around p of picture a is in picture b, by normalised correlation, to a tenth of a pixel; ok is false when
// it is plain, leaves the picture, or is nowhere alike.
func follow(a, b []byte, w, h int, p image.Point, side int) (shift, bool) {
	half := side / 2
	if p.X-half-slipReach < 1 || p.Y-half-slipReach < 1 || p.X+half+slipReach >= w-1 || p.Y+half+slipReach >= h-1 {
		return shift{}, false
	}
	n := float64(4 * half * half)
	var patch [64 * 64]float64
	sum, sq := 0.0, 0.0
	i := 0
	for y := -half; y < half; y++ {
		row := a[(p.Y+y)*w+p.X-half:][:2*half]
		for _, v := range row {
			f := float64(v)
			patch[i] = f
			sum, sq = sum+f, sq+f*f
			i++
		}
	}
	mean := sum / n
	dev := math.Sqrt(math.Max(sq/n-mean*mean, 0))
	if dev < slipPlain {
		return shift{}, false
	}
	const span = 2*slipReach + 1
	var like [span * span]float64
	best, at := -1.0, 0
	score := func(dx, dy int) float64 {
		var s, s2, cross float64
		i := 0
		for y := -half; y < half; y++ {
			row := b[(p.Y+y+dy)*w+p.X-half+dx:][:2*half]
			for _, v := range row {
				f := float64(v)
				s, s2, cross = s+f, s2+f*f, cross+f*patch[i]
				i++
			}
		}
		d := math.Sqrt(math.Max(s2/n-s/n*s/n, 0))
		if d < 1 {
			return 0
		}
		return (cross/n - mean*s/n) / (dev * d)
	}
	// Coarse first: correlation is smooth over two pixels.
	for dy := -slipReach; dy <= slipReach; dy += 2 {
		for dx := -slipReach; dx <= slipReach; dx += 2 {
			k := (dy+slipReach)*span + dx + slipReach
			if like[k] = score(dx, dy); like[k] > best {
				best, at = like[k], k
			}
		}
	}
	cx, cy := at%span-slipReach, at/span-slipReach
	for dy := max(cy-2, -slipReach); dy <= min(cy+2, slipReach); dy++ {
		for dx := max(cx-2, -slipReach); dx <= min(cx+2, slipReach); dx++ {
			k := (dy+slipReach)*span + dx + slipReach
			if like[k] = score(dx, dy); like[k] > best {
				best, at = like[k], k
			}
		}
	}
	cx, cy = at%span-slipReach, at/span-slipReach
	if best < slipLike || cx <= -slipReach || cx >= slipReach || cy <= -slipReach || cy >= slipReach {
		return shift{}, false
	}
	peak := func(l, m, r float64) float64 { // of the parabola through three values
		if d := l - 2*m + r; d < 0 {
			return math.Max(-0.5, math.Min(0.5, (l-r)/2/d))
		}
		return 0
	}
	return shift{
		float64(cx) + peak(score(cx-1, cy), best, score(cx+1, cy)),
		float64(cy) + peak(score(cx, cy-1), best, score(cx, cy+1)),
	}, true
}
