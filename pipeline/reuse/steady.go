package reuse

import (
	"context"
	"fmt"
	"math"
)

// A second look at what the first could not tell. A hand that films a screen, a screen that flickers and a lamp that sways add motion of
// their own to the query; a person who sways moves much as a whole. Both are taken out of both clips: what is left is how parts of the
// picture move against each other and in themselves. Copies that were filmed again rise by that (1.26 to 1.40, 0.70 to 0.97 on the
// tuning half), honest takes of swaying people fall (1.07 to 0.91). Hand-held clips of a still scene lose all that they have, so it is a
// second look and not the first.

const (
	secondFrom = 0.4 // S of the first look, and after its costs where the clips move, from which a second is worth its time
	secondWays = 2   // ways to lay the clips over each other that are looked at again
	steadyTile = 0.3 // replaces tileRest: what is left moves less, and little of it is noise
)

// steadied is the track less its mean picture, and less the part of each frame's difference to it that lies in the space of the given
// vectors (wholeMoves). Cells that are not covered become zero.
func (t *track) steadied(covered []bool, moves [][]float32) track {
	out := track{start: t.start, n: t.n, w: t.w, h: t.h, valid: t.valid, v: t.mem.floats(len(t.v)), mem: t.mem}
	clear(out.v)
	mean := cellMeans(t)
	for i, ok := range t.valid {
		if !ok {
			continue
		}
		src, dst := t.frame(i), out.frame(i)
		for c, in := range covered {
			if in {
				dst[c] = src[c] - float32(mean[c])
			}
		}
		for _, b := range moves {
			f := dot(dst, b)
			for c := range dst {
				dst[c] -= f * b[c]
			}
		}
	}
	return out
}

// ways is how many ways the whole picture moves or changes in: a shift of brightness and one of contrast, and eight of a plane in space.
const ways = 10

// moving gives, as the frames of a track, what changes in each pixel when the whole picture moves a little or its brightness or contrast
// changes. Slopes are taken of the mean picture in its own pixels, before it is laid over a grid: a cell is too large to tell how it
// changes when an edge in it moves.
func moving(t *track) *track {
	mean := cellMeans(t)
	p := track{n: ways, w: t.w, h: t.h, valid: make([]bool, ways), v: make([]float32, ways*t.w*t.h)}
	for y := range t.h {
		for x := range t.w {
			c := y*t.w + x
			sx := (mean[c-x+min(x+1, t.w-1)] - mean[c-x+max(x-1, 0)]) / 2
			sy := (mean[min(y+1, t.h-1)*t.w+x] - mean[max(y-1, 0)*t.w+x]) / 2
			u, v := float64(x)/float64(t.w)-0.5, float64(y)/float64(t.h)-0.5
			along := u*sx + v*sy
			for k, value := range [ways]float64{1, mean[c], sx, sy, u * sx, v * sx, u * sy, v * sy, u * along, v * along} {
				p.frame(k)[c] = float32(value)
			}
		}
	}
	for k := range p.valid {
		p.valid[k] = true
	}
	return &p
}

// wholeMoves spans these changes in the cells of an earlier clip: vectors of length 1 at right angles to each other.
func wholeMoves(p *track, by *warpMap, covered []bool) [][]float32 {
	laid := by.apply(p, 1)
	var basis [][]float32
	for k := range laid.n {
		b := laid.frame(k)
		for c, in := range covered {
			if !in {
				b[c] = 0
			}
		}
		before := dot(b, b)
		for _, o := range basis {
			f := dot(b, o)
			for c := range b {
				b[c] -= f * o[c]
			}
		}
		rest := dot(b, b)
		if rest <= 1e-6*before {
			continue // the others have it already
		}
		scale := float32(1 / math.Sqrt(float64(rest)))
		for c := range b {
			b[c] *= scale
		}
		basis = append(basis, b)
	}
	return basis
}

// steadyPlan is the full search at the usual speed and on the line that the first look found: few lines cost little and agree less by chance.
func steadyPlan(eps float32, first line) plan {
	p := fullPlan(eps)
	p.speeds, p.back = []float64{1}, nil
	switch {
	case first.dir < 0:
		p.back = []float64{first.speed}
	case first.speed != 1:
		p.speeds = append(p.speeds, first.speed)
	}
	return p
}

// calm is what the second look needs of a query that was laid.
type calm struct {
	moves   [][]float32
	grid    track
	changes centred
}

func (l *laid) steady() *calm {
	if l.calm == nil {
		c := &calm{moves: wholeMoves(l.of.moving(l.from), &l.by, l.covered)}
		c.grid = l.grid.steadied(l.covered, c.moves)
		half := c.grid.halve()
		d, valid := differences(&half, 1)
		c.changes = centreIn(c.grid.mem.floats(len(valid)*len(l.changes.wanted)), d, valid, gradientSize, l.changes.wanted)
		l.calm = c
	}
	return l.calm
}

// steady is the second look by the same way to lay the pictures over each other; ok is false where nothing is left to compare. theirs is the
// earlier clip's track at 10 frames per second.
func (v *overlay) steady(theirs *track) (w overlay, ok bool) {
	c := v.laid.steady()
	o := theirs.steadied(v.covered, c.moves)
	e := prepareEarlier(&o, 1)
	w = overlay{turn: v.turn, laid: v.laid, covered: v.covered, grid: c.grid, e: &e, tileRest: steadyTile}
	ok = w.correlate(&c.changes, func(eps float32) plan { return steadyPlan(eps, v.best.line) })
	return w, ok
}

// steady looks again at the best ways of a first look. The error says that ctx ended.
func (a *aligned) steady(ctx context.Context, theirs *track) (b aligned, ok bool, err error) {
	n15 := -1.0
	for i := range a.all[:min(len(a.all), secondWays)] {
		if err := ctx.Err(); err != nil {
			return aligned{}, false, fmt.Errorf("look again: %w", err)
		}
		if w, ok := a.all[i].steady(theirs); ok {
			n15 = max(n15, w.best.best[1])
			b.all = keep(append(b.all, w))
		}
	}
	if len(b.all) == 0 {
		return aligned{}, false, nil
	}
	b.stretch = b.all[0].stretch(n15)
	b.queryLevel, b.backdrop = a.queryLevel, a.backdrop
	return b, true, nil
}
