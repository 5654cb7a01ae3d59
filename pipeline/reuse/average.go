package reuse

import "math"

// A third look where little moves. Coding noise is then as large as the motion, and changes over 0.1 s are mostly noise: hardly anything is
// alike any more. In means over a third of a second noise goes and slow motion stays, so how alike two clips are on the line that was found
// is measured in means; but means are few, so how many independent samples agree stays what it was without them (z). Where the first look and
// the steady one found the same line, each says what it sees best: the first how alike the clips are, the steady one how many samples agree.
//
// In means the first look by itself is not asked: honest takes of a swaying man rose from 1.20 to 1.27. What is left was chosen with all
// families in view: of 739 honest pairs the greatest S stays 1.20, 6 more of 579 copies are found. docs/benchmarks.md has copies that were made
// afterwards.
const (
	averageFirst  = 3 // frames of the track whose mean is taken, first look
	averageSteady = 4 // likewise, what the steady look leaves: it moves less
	averageWindow = 15
	sameLine      = 2 // samples of 0.05 s by which two lines may differ and still be one
)

// averaged is the track of means: frame i of n frames from i on; valid where all of them are.
func (t *track) averaged(n int) track {
	out := track{start: t.start, n: max(0, t.n-n+1), w: t.w, h: t.h, mem: t.mem}
	out.valid = t.between(n - 1)
	out.v = t.mem.floats(out.n * t.w * t.h)
	clear(out.v)
	share := 1 / float32(n)
	for i, ok := range out.valid {
		if !ok {
			continue
		}
		dst := out.frame(i)
		for k := range n {
			for j, v := range t.frame(i + k)[:len(dst)] {
				dst[j] += v * share
			}
		}
	}
	return out
}

// inMeans gives the parts of a stretch with how alike the clips are on its line in means of n frames; z stays. theirs is the earlier clip's
// track as the overlay sees it, 10 frames per second. Parts stay as they are where the clips are too short.
func (v *overlay) inMeans(theirs *track, n int, parts Parts) Parts {
	grid, other := v.passing().averaged(n), theirs.averaged(n)
	if min(grid.n, other.n) < minOnLine+n {
		return parts
	}
	e := prepareEarlier(&other, n)
	half := grid.halve()
	d, valid := differences(&half, n)
	wanted := v.laid.changes.wanted
	c := centreIn(e.mem.floats(len(valid)*len(wanted)), d, valid, gradientSize, wanted)
	w := overlay{turn: v.turn, laid: v.laid, covered: v.covered, grid: grid, e: &e, tileRest: v.tileRest, best: v.best}
	for _, at := range c.wanted {
		w.weights += e.weight[at]
	}
	w.q, w.o = c.shapeIn(e.mem.floats(len(c.v)), e.weight[:]), e.shape(c.wanted)
	if w.best.line.dir < 0 {
		w.best.line.offset -= 4 * (n - 1) // backwards, a mean and a change begin where they end forwards
	}
	parts.N15 = w.bestOnLine(averageWindow)
	parts.G2, parts.TTop = w.fine()
	return parts
}

// bestOnLine is the best correlation of a window of so many samples on the overlay's line (of all, where there are fewer), 0..1.
func (v *overlay) bestOnLine(length int) float64 {
	type sample struct{ x, q, o, n float64 }
	total := make([]sample, v.q.n+1)
	l := v.best.line
	for i := range v.q.n {
		s := total[i]
		if j := l.at(i, 2); j >= 0 && j < v.o.n && v.q.valid[i] && v.o.valid[j] {
			s.x += float64(l.dir) * float64(dot(v.q.row(i), v.o.row(j)))
			s.q += float64(v.q.energy[i])
			s.o += float64(v.o.energy[j])
			s.n++
		}
		total[i+1] = s
	}
	length = min(length, v.q.n)
	rest := float64(length) * float64(epsShare*v.weights)
	best := 0.0
	for i := range len(total) - length {
		a, b := total[i], total[i+length]
		if int(b.n-a.n) == length {
			best = max(best, (b.x-a.x)/math.Sqrt((b.q-a.q+rest)*(b.o-a.o+rest)+1e-9))
		}
	}
	return best * l.prior()
}

// average is the third look; b is the steady one of the same clips. It leaves in a what scores most.
func (a *aligned) average(b *aligned, theirs *track, score func(*stretch) float64) {
	top, best := *a, score(&a.stretch)
	try := func(of *aligned, parts Parts) {
		c := *of
		c.parts = parts
		if s := score(&c.stretch); s > best {
			top, best = c, s
		}
	}
	calm := b.all[0].laid.steady()
	rest := theirs.steadied(b.all[0].covered, calm.moves)
	try(b, b.all[0].inMeans(&rest, averageSteady, b.parts))
	if p, q := a.line, b.line; p.dir == q.dir && p.speed == q.speed && max(p.offset-q.offset, q.offset-p.offset) <= sameLine {
		first := a.all[0].inMeans(theirs, averageFirst, a.parts)
		first.Z = b.parts.Z
		try(b, first)
	}
	*a = top
}
