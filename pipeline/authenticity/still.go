package authenticity

import (
	"math"
	"time"

	"onsite/pipeline/media"
)

const (
	stillBlock = 8   // pixels: side of the blocks that residuals are measured in; an eye or a mouth of a face in front fills one
	stillGap   = 2.0 // seconds between the pictures of a pair: a person blinks, breathes or sways within it
	stillPairs = 10  // pairs over the clip
	// stillSpare is how many blocks may differ however much: a ticking time stamp drawn over a still covers one or two.
	stillSpare = 2
	// floorNoise (grey levels) and slope (pixels) make up for coding noise and for registration that is a little off where the picture is
	// steep: residuals of stills re-encoded at CRF 18 to 38 stay below them.
	floorNoise, slope = 0.6, 0.1
	// hopeless, in limits, is the score after a coarse registration from which a finer one never helped (a print that is tilted by hand:
	// up to 6 limits with the affine map).
	hopeless = 7
)

// pairScore says how much two pictures differ beyond noise.
type pairScore struct {
	raw    float64 // as they are
	moved  float64 // after registering one to the other, the best of affine and homography; raw when that is small already
	spread float64 // share of the blocks that say that the picture moved as a whole
	warp   warp
}

// still is what the search for a still picture found.
type still struct {
	pairs    []pairScore
	raw      float64 // what the given share of the pairs stays below: a still without movement
	moved    float64 // the same after registration: a still that is zoomed, panned or shaken
	spread   float64 // median over the pairs that moved
	from, to float64 // seconds
}

// pyramid is one picture at 1, 1/2 and 1/4 of the track's size.
type pyramid [3]plane

func newPyramid(gray []byte, w, h int, tmp []float32) pyramid {
	full := smooth(gray, w, h, tmp)
	mid := half(full)
	return pyramid{full, mid, half(mid)}
}

// findStill compares pictures about 2 s apart. limit is the score below which a pair shows the same still: the search ends as soon as
// enough pairs lie above twice the limit, so that most ordinary clips cost three pairs. ok is false when the clip is too short for two pictures.
func findStill(m *media.Motion, limit, share float64) (still, bool) {
	pairs := stillPairsOf(m)
	if len(pairs) == 0 {
		return still{}, false
	}
	tmp := make([]float32, m.W*m.H)
	allowed := int(math.Round(float64(len(pairs)) * (1 - share))) // pairs that may be above the limit and the clip still counts as a still
	var s still
	above := 0
	for _, p := range pairs {
		a := newPyramid(m.Frames[p[0]].Gray, m.W, m.H, tmp)
		b := newPyramid(m.Frames[p[1]].Gray, m.W, m.H, tmp)
		ps := comparePair(&a, &b, identity(), limit)
		s.pairs = append(s.pairs, ps)
		if ps.moved > 2*limit { // above twice the limit nothing that follows makes it a still
			above++
		}
		if above > allowed {
			break
		}
	}
	raw, moved := make([]float64, len(s.pairs)), make([]float64, len(s.pairs))
	var spreads []float64
	for i, p := range s.pairs {
		raw[i], moved[i] = p.raw, p.moved
		if p.raw > limit {
			spreads = append(spreads, p.spread)
		}
	}
	if len(spreads) > 0 {
		s.spread = quantile(spreads, 0.5)
	}
	s.raw, s.moved = quantile(raw, share), quantile(moved, share)
	s.from, s.to = m.Frames[0].PTS.Seconds(), m.Frames[len(m.Frames)-1].PTS.Seconds()
	return s, true
}

// stillPairsOf picks up to stillPairs pairs of frames, stillGap apart (less in a short clip, never under 0.8 s), in an order that spreads
// early picks over the clip.
func stillPairsOf(m *media.Motion) [][2]int {
	n := len(m.Frames)
	if n < 2 {
		return nil
	}
	first, last := m.Frames[0].PTS, m.Frames[n-1].PTS
	dur := (last - first).Seconds()
	gap := math.Min(stillGap, dur/2)
	if gap < 0.8 {
		gap = math.Min(0.8, dur)
	}
	if gap < 0.5 {
		return nil
	}
	var out [][2]int
	for k := range stillPairs {
		// 0, 3, 6, 9, 2, 5, 8, 1, 4, 7: spread over the clip
		at := float64((k*3)%stillPairs) / (stillPairs - 1) * (dur - gap)
		i := nearestFrame(m, first+time.Duration(at*1e9))
		j := nearestFrame(m, m.Frames[i].PTS+time.Duration(gap*1e9))
		if i != j && (len(out) == 0 || out[len(out)-1] != [2]int{i, j}) {
			out = append(out, [2]int{i, j})
		}
	}
	return out
}

// nearestFrame is the index of the frame nearest to a time.
func nearestFrame(m *media.Motion, at time.Duration) int {
	lo, hi := 0, len(m.Frames)-1
	for lo < hi {
		mid := (lo + hi) / 2
		if m.Frames[mid].PTS < at {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo > 0 && at-m.Frames[lo-1].PTS < m.Frames[lo].PTS-at {
		return lo - 1
	}
	return lo
}

// comparePair scores two pictures, registering them only as far as needed: not at all when they are equal as they are. start is where the
// registration begins.
func comparePair(a, b *pyramid, start warp, limit float64) pairScore {
	id := identity()
	still := blockScores(a[0], b[0], &id)
	p := pairScore{raw: worst(still), warp: start}
	p.moved = p.raw
	if p.raw <= limit/2 {
		return p
	}
	w := register(a[2], b[2], start, 6, 10, 1, 20)
	w = register(a[1], b[1], w, 6, 6, 1, 8)
	fit := blockScores(a[0], b[0], &w)
	affine := worst(fit)
	p.take(affine, &w, still, fit, limit)
	if affine > hopeless*limit {
		return p
	}
	w = register(a[0], b[0], w, 6, 3, 2, 6)
	fit = blockScores(a[0], b[0], &w)
	p.take(worst(fit), &w, still, fit, limit)
	if p.moved > limit {
		w = register(a[1], b[1], w, 8, 8, 2, 8)
		w = register(a[0], b[0], w, 8, 3, 2, 6)
		fit = blockScores(a[0], b[0], &w)
		p.take(worst(fit), &w, still, fit, limit)
	}
	return p
}

// take keeps a registration that explains the pair better than what is known.
func (p *pairScore) take(score float64, w *warp, still, fit []float64, limit float64) {
	if score < p.moved {
		p.moved, p.warp, p.spread = score, *w, spread(still, fit, limit)
	}
}

// spread is the share of the picture's blocks that say that it moved as a whole: they differ as they are and agree once registered. A head
// that turns in front of a plain wall can be registered too, but then most blocks say nothing.
func spread(still, fit []float64, limit float64) float64 {
	n := 0
	for i := range still {
		if still[i] > limit && fit[i] <= limit {
			n++
		}
	}
	return float64(n) / float64(len(still))
}

// worst is the largest block score but stillSpare. About 1: noise alone. Infinite when the pictures hardly overlap.
func worst(scores []float64) float64 {
	seen := make([]float64, 0, len(scores))
	for _, v := range scores {
		if !math.IsNaN(v) {
			seen = append(seen, v)
		}
	}
	if len(seen) < max(len(scores)/4, stillSpare+2) {
		return math.Inf(1)
	}
	return quantile(seen, float64(len(seen)-1-stillSpare)/float64(len(seen)-1))
}

// blockScores is the residual of every block over the noise of the calm blocks, the noise floor and the picture's steepness there; NaN
// where the other picture shows nothing.
func blockScores(t, im plane, w *warp) []float64 {
	bw, bh := t.w/stillBlock, t.h/stillBlock
	cx, cy, unit := frameOf(t.w, t.h)
	rms, grad := make([]float64, bw*bh), make([]float64, bw*bh)
	var known []float64
	for by := range bh {
		for bx := range bw {
			var s, g float64
			n := 0
			for py := by * stillBlock; py < (by+1)*stillBlock; py++ {
				y := (float64(py) - cy) / unit
				for px := bx * stillBlock; px < (bx+1)*stillBlock; px++ {
					x := (float64(px) - cx) / unit
					d := unit / (1 + w.a[6]*x + w.a[7]*y)
					v, gx, gy, ok := im.sample((w.a[0]*x+w.a[1]*y+w.a[2])*d+cx, (w.a[3]*x+w.a[4]*y+w.a[5])*d+cy)
					if !ok {
						continue
					}
					r := float64(t.p[py*t.w+px]) - w.gain*v - w.offset
					s += r * r
					g += gx*gx + gy*gy
					n++
				}
			}
			i := by*bw + bx
			if n < stillBlock*stillBlock*3/4 {
				rms[i] = math.NaN()
				continue
			}
			rms[i] = math.Sqrt(s / float64(n))
			grad[i] = g / float64(n)
			known = append(known, rms[i])
		}
	}
	if len(known) == 0 {
		return rms
	}
	calm := quantile(known, 0.3)
	for i := range rms {
		rms[i] /= math.Sqrt(calm*calm + floorNoise*floorNoise + slope*slope*grad[i])
	}
	return rms
}
