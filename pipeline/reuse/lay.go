package reuse

import "slices"

// layered is a motion track with its half in size, which is enough where the earlier clip's cells are large in it.
type layered struct {
	full, half track
	mem        *memory // of the comparison at hand

	forms map[Transform]*laid // the forms of the whole picture that were laid already
	moved map[*track]*track   // moving, of each layer that was asked for
	wove  map[*track]*woven   // likewise
}

// woven is one of the layers as laying it wants it, made once.
func (l *layered) woven(t *track) *woven {
	if l.wove == nil {
		l.wove = map[*track]*woven{}
	}
	if l.wove[t] == nil {
		l.wove[t] = weave(t)
	}
	return l.wove[t]
}

// moving is what the whole picture's moves change in one of the layers, made once.
func (l *layered) moving(t *track) *track {
	if l.moved == nil {
		l.moved = map[*track]*track{}
	}
	if l.moved[t] == nil {
		l.moved[t] = moving(t)
	}
	return l.moved[t]
}

func newLayered(t track) layered {
	l := layered{full: t}
	if t.n > 0 && t.w%2 == 0 && t.h%2 == 0 {
		l.half = t.halve()
	}
	return l
}

// enoughPixels is how many pixels a cell must have in the smaller layer.
const enoughPixels = 4

// layer gives the track to lay over the earlier clip by turn.
func (l *layered) layer(turn Transform) *track {
	area, ok := turn.sane()
	if ok && float64(l.half.w*l.half.h) >= enoughPixels*gridSize*area {
		return &l.half
	}
	return &l.full
}

// laid is the query's motion in the cells of an earlier clip.
type laid struct {
	covered []bool  // 32 x 32
	grid    track   // 32 x 32
	changes centred // of 16 x 16 cells over 0.1 s, where the query covers them

	of   *layered
	from *track // the layer that was laid
	by   warpMap
	calm *calm // when it was asked for
}

// over lays the motion over an earlier clip; ok is false where the pictures hardly overlap. The forms of the whole picture, which are tried
// on many earlier clips, are laid once.
func (l *layered) over(turn Transform) (*laid, bool) {
	if p, ok := l.forms[turn]; ok {
		return p, p != nil
	}
	form := slices.Contains(forms[:], turn)
	mem := l.mem
	if form {
		mem = l.full.mem
	}
	p := l.make(mem, turn)
	if form {
		if l.forms == nil {
			l.forms = map[Transform]*laid{}
		}
		l.forms[turn] = p
	}
	return p, p != nil
}

func (l *layered) make(mem *memory, turn Transform) *laid {
	back, ok := turn.inverse()
	if !ok {
		return nil
	}
	q := l.layer(turn)
	m := newWarp(back, q.w, q.h, cells)
	p := &laid{covered: m.covered(), of: l, from: q, by: m}
	n := 0
	for _, c := range p.covered {
		if c {
			n++
		}
	}
	if float64(n) < minCover*gridSize {
		return nil
	}
	var wanted []int
	for y := range gradientCells {
		for x := range gradientCells {
			a := 2*y*cells + 2*x
			if p.covered[a] && p.covered[a+1] && p.covered[a+cells] && p.covered[a+cells+1] {
				wanted = append(wanted, y*gradientCells+x)
			}
		}
	}
	if len(wanted) < minGradient {
		return nil
	}
	p.grid = m.layIn(mem, l.woven(q))
	half := p.grid.halve()
	d, valid := differences(&half, 1)
	p.changes = centreIn(mem.floats(len(valid)*len(wanted)), d, valid, gradientSize, wanted)
	return p
}
