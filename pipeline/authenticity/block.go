package authenticity

import (
	"math"
	"slices"

	"onsite/pipeline/media"
)

// A step between two pictures is looked at without what moved: every block of the earlier one is brought to where it fits the later one best, and
// what is left is what no movement explains. Of a head that turns fast little is left, of a head that is elsewhere at once much, and in blocks
// that leave little at every step around.
const (
	blockSide  = 8 // pixels of a picture that is half as large as the motion track's
	blockReach = 4 // pixels there that a block may move in one step
	// blockLeast is what must be left of a block, grey levels, to be looked at; blockStep how many times more than at any step around it is left in one
	// that jumped, blockSoft and blocksSoft what is added to the steps around, of a block and of all.
	blockLeast, blockStep, blockSoft, blocksSoft = 1.5, 1.6, 0.4, 0.3
	// blockCalm is what may be left of a block that did not move, grey levels: it is not looked for elsewhere, which is most of the time.
	blockCalm = 0.6
	// blockClear is the product of both measures, how many times more than at any step around is left, and which share of the blocks jumped, that is
	// a jump. Of 71 honest clips the largest is 1.85 (a man who moves his head fast), the next 0.9; of eleven cuts within one take seven reach 0.9 to 5.
	blockClear = 2.1
)

// hint is a step that is worth a closer look: between the pictures i and i+1, ratio times larger than the steps around it.
type hint struct {
	i     int
	ratio float64
}

// Hints are steps of at least hintLeast grey levels, hintRatio times those around, of which hintStays is left a picture later. hintMost of them are
// looked at: each takes about 2 ms.
const (
	hintLeast, hintRatio, hintStays = 0.7, 1.0, 0.5
	hintMost                        = 3
)

// blocksJump gives the clearest jump among the hints.
func (s *series) blocksJump(b *blockTrack, hints []hint) jump {
	slices.SortStableFunc(hints, func(a, b hint) int {
		switch {
		case a.ratio > b.ratio:
			return -1
		case a.ratio < b.ratio:
			return 1
		}
		return 0
	})
	var best jump
	for _, h := range hints[:min(len(hints), hintMost)] {
		if score := b.jumped(h.i, s.n()-1) / blockClear; score > best.score {
			best = jump{last: s.t[h.i], at: s.t[h.i+1], score: score}
		}
	}
	return best
}

// blockTrack is the motion track at half its size, as far as it was looked at.
type blockTrack struct {
	m     *media.Motion
	every int
	half  map[int][]byte
	left  map[int][]float64 // per step: what is left of each block, grey levels
	keeps map[int][]float64 // per step: what each block changed by for good, grey levels
}

func newBlockTrack(m *media.Motion, every int) *blockTrack {
	return &blockTrack{m: m, every: every, half: map[int][]byte{}, left: map[int][]float64{}, keeps: map[int][]float64{}}
}

// ratio is how many times more is left of the step from picture i to the next than of those around it. n is the number of steps.
func (b *blockTrack) ratio(i, n int) float64 {
	most := 0.0
	for k := max(i-jumpAround, 0); k <= min(i+jumpAround, n-1); k++ {
		if k != i {
			most = math.Max(most, rms(b.step(k)))
		}
	}
	return rms(b.step(i)) / (most + blocksSoft)
}

// jumped is the ratio of a step times the share of the blocks of which that is true one by one.
func (b *blockTrack) jumped(i, n int) float64 { return b.ratio(i, n) * b.share(i, n) }

// share is the part of the blocks of which much is left at a step in which far more is left than at any step around it.
func (b *blockTrack) share(i, n int) float64 {
	here := b.step(i)
	around := make([]float64, len(here))
	for k := max(i-jumpAround, 0); k <= min(i+jumpAround, n-1); k++ {
		if k == i {
			continue
		}
		for c, v := range b.step(k) {
			around[c] = math.Max(around[c], v)
		}
	}
	jumped, changed := 0, 0
	for c, v := range here {
		if v < blockLeast {
			continue
		}
		changed++
		if v > blockStep*(around[c]+blockSoft) {
			jumped++
		}
	}
	return float64(jumped) / float64(changed+4)
}

func rms(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x * x
	}
	return math.Sqrt(sum / float64(max(len(v), 1)))
}

// picture is one of the series at half the track's size.
func (b *blockTrack) picture(i int) []byte {
	if p := b.half[i]; p != nil {
		return p
	}
	w, h := b.m.W/2, b.m.H/2
	g, p := b.m.Frames[i*b.every].Gray, make([]byte, w*h)
	for y := range h {
		up, low := g[2*y*b.m.W:], g[(2*y+1)*b.m.W:]
		for x := range w {
			p[y*w+x] = byte((int(up[2*x]) + int(up[2*x+1]) + int(low[2*x]) + int(low[2*x+1]) + 2) / 4)
		}
	}
	b.half[i] = p
	return p
}

// step is what is left of each block from picture i to the next.
func (b *blockTrack) step(i int) []float64 {
	if v := b.left[i]; v != nil {
		return v
	}
	from, to := b.picture(i), b.picture(i+1)
	w, h := b.m.W/2, b.m.H/2
	out := []float64{}
	for y := 0; y+blockSide <= h; y += blockSide {
		for x := 0; x+blockSide <= w; x += blockSide {
			out = append(out, blockLeft(from, to, w, h, x, y))
		}
	}
	b.left[i] = out
	return out
}

// blockLeft is the root mean square of what is left of the block of to at x, y after the best of the places around it in from, but for one change
// of the light.
func blockLeft(from, to []byte, w, h, x, y int) float64 {
	const n = blockSide * blockSide
	at := func(u, v int) int {
		sq, sum := 0, 0
		for r := range blockSide {
			p, q := to[(y+r)*w+x:][:blockSide], from[(v+r)*w+u:][:blockSide]
			for k := range p {
				d := int(p[k]) - int(q[k])
				sq += d * d
				sum += d
			}
		}
		return sq - sum*sum/n
	}
	best := at(x, y)
	if float64(best) <= blockCalm*blockCalm*n {
		return math.Sqrt(float64(best) / n)
	}
	for v := max(y-blockReach, 0); v <= min(y+blockReach, h-blockSide); v++ {
		for u := max(x-blockReach, 0); u <= min(x+blockReach, w-blockSide); u++ {
			best = min(best, at(u, v))
		}
	}
	return math.Sqrt(float64(best) / n)
}
