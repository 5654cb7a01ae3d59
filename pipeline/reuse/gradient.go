package reuse

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/blas/blas32"
)

// Shape of signed temporal gradients (reuse method, step 2).
const (
	clipGradient  = 25  // grey levels per 0.1 s beyond which a change counts no more
	restLevel     = 0.3 // added to a frame's rms before its root is divided out: frames without motion are not blown up
	weightShare   = 0.5 // of the 90th percentile of motion, at which a cell weighs one half
	weightRest    = 0.1
	gradientCells = cells / 2
	gradientSize  = gradientCells * gradientCells
	gridSize      = cells * cells
)

// earlierMotion is an earlier clip's motion, prepared once for all ways to lay the query over it.
type earlierMotion struct {
	up     track     // 32 x 32 at 20 frames per second
	diff   []float32 // 16 x 16 change over 0.1 s, every 0.05 s: n x 256
	valid  []bool    // n
	weight [gradientSize]float32
	fine   [gridSize]float32 // weights of the 32 x 32 cells
	motion []float64         // rms change of the 32 x 32 cells per 0.1 s
	level  float64           // 95th percentile over the cells of their rms change per 0.1 s, in grey levels
	lag    int               // frames of the query between which changes are taken
	mem    *memory           // its track's: what is made of it lies there

	whole *gradients // of all cells, when they were wanted once
}

// shape gives vectors of the wanted cells, which are mostly all of them.
func (e *earlierMotion) shape(wanted []int) gradients {
	if len(wanted) == gradientSize && e.whole != nil {
		return *e.whole
	}
	c := centreIn(e.mem.floats(len(e.valid)*len(wanted)), e.diff, e.valid, gradientSize, wanted)
	g := c.shapeIn(e.mem.floats(len(c.v)), e.weight[:])
	if len(wanted) == gradientSize {
		e.whole = &g
	}
	return g
}

// prepareEarlier differentiates a 32 x 32 track and weighs its cells by their motion m as m/(m + p90/2 + 0.1): a static background, which
// two honest takes share, weighs nothing.
func prepareEarlier(t *track, lag int) earlierMotion {
	e := earlierMotion{up: t.doubled(), lag: lag, mem: t.mem}
	half := e.up.halve()
	e.diff, e.valid = differences(&half, 2*lag)
	m := cellMotion(e.diff, e.valid, gradientSize)
	weigh(e.weight[:], m)
	e.level = percentile(m, 0.95)
	e.motion = changes(&e.up, 2*lag)
	weigh(e.fine[:], e.motion)
	return e
}

// between says for every i whether all of the frames i..i+lag are valid.
func (t *track) between(lag int) []bool {
	valid := make([]bool, max(0, t.n-lag))
	for i := range valid {
		valid[i] = !slices.Contains(t.valid[i:i+lag+1], false)
	}
	return valid
}

// differences gives frame(i+lag) - frame(i) for every i where all frames in between are valid; others are zero.
func differences(t *track, lag int) ([]float32, []bool) {
	valid, size := t.between(lag), t.w*t.h
	d := t.mem.floats(len(valid) * size)
	for i, ok := range valid {
		dst := d[i*size : (i+1)*size]
		if !ok {
			clear(dst)
			continue
		}
		a, b := t.frame(i)[:len(dst)], t.frame(i + lag)[:len(dst)]
		for j := range dst {
			dst[j] = b[j] - a[j]
		}
	}
	return d, valid
}

// cellMotion is the rms of each cell's changes.
func cellMotion(d []float32, valid []bool, size int) []float64 {
	m := make([]float64, size)
	n := 0
	for i, ok := range valid {
		if !ok {
			continue
		}
		n++
		for j, v := range d[i*size : (i+1)*size][:len(m)] {
			m[j] += float64(v) * float64(v)
		}
	}
	for j := range m {
		m[j] = math.Sqrt(m[j] / float64(max(n, 1)))
	}
	return m
}

// changes is cellMotion of the differences, which are not kept.
func changes(t *track, lag int) []float64 {
	m := make([]float64, t.w*t.h)
	n := 0
	for i, ok := range t.between(lag) {
		if !ok {
			continue
		}
		n++
		a, b := t.frame(i)[:len(m)], t.frame(i + lag)[:len(m)]
		for j := range m {
			v := float64(b[j] - a[j])
			m[j] += v * v
		}
	}
	for j := range m {
		m[j] = math.Sqrt(m[j] / float64(max(n, 1)))
	}
	return m
}

func weigh(out []float32, m []float64) {
	rest := weightShare*percentile(m, 0.9) + weightRest
	for i, v := range m {
		out[i] = float32(v / (v + rest))
	}
}

// percentile interpolates between the two nearest values.
func percentile(v []float64, p float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Clone(v)
	slices.Sort(s)
	at := p * float64(len(s)-1)
	i := int(at)
	if i+1 >= len(s) {
		return s[len(s)-1]
	}
	return s[i] + (at-float64(i))*(s[i+1]-s[i])
}

// gradients are vectors to correlate: n x dim, each already multiplied by the roots of the cell weights.
type gradients struct {
	n, dim int
	v      []float32
	energy []float32 // squared length of each
	valid  []bool
}

func (g *gradients) row(i int) []float32 { return g.v[i*g.dim : (i+1)*g.dim] }

// shapeIn makes vectors of the changes, in memory of as many values: each divided by the root of the frame's own rms (so that one quick move does not
// outweigh all the rest), times the roots of the cells' weights.
func (c *centred) shapeIn(v, weight []float32) gradients {
	g := gradients{n: len(c.valid), dim: len(c.wanted), valid: c.valid, v: v}
	g.energy = make([]float32, g.n)
	root := make([]float32, g.dim)
	for k, at := range c.wanted {
		root[k] = float32(math.Sqrt(float64(weight[at])))
	}
	for i := range g.n {
		if !c.valid[i] {
			clear(g.row(i))
			continue
		}
		src, dst := c.v[i*g.dim:(i+1)*g.dim], g.row(i)
		var sum float32
		for k, x := range src {
			x *= root[k]
			dst[k] = x
			sum += x * x
		}
		scale := float32(1 / math.Sqrt(math.Sqrt(float64(sum)/float64(g.dim))+restLevel))
		for k := range dst {
			dst[k] *= scale
		}
		g.energy[i] = sum * scale * scale
	}
	return g
}

// median gives the middle value (mean of the two middle ones of an even number).
func median(v []float32) float32 {
	n := len(v)
	if n == 0 {
		return 0
	}
	var few [gridSize]int32
	keys := appendKeys(few[:0], v)
	hi := fromKey(selectKth(keys, n/2))
	if n%2 == 1 {
		return hi
	}
	return (fromKey(slices.Max(keys[:n/2])) + hi) / 2
}

// kthOf is the k-th smallest value.
func kthOf(v []float32, k int) float32 {
	var few [gridSize]int32
	return fromKey(selectKth(appendKeys(few[:0], v), k))
}

// appendKeys adds whole numbers that have the order of the values: comparing and moving those takes no branches.
func appendKeys(keys []int32, v []float32) []int32 {
	for _, x := range v {
		i := int32(math.Float32bits(x))
		keys = append(keys, i^i>>31&math.MaxInt32)
	}
	return keys
}

func fromKey(k int32) float32 { return math.Float32frombits(uint32(k ^ k>>31&math.MaxInt32)) }

// selectKth puts the k-th smallest value at position k, smaller ones before it. Parts are split without a branch that depends on the
// values (Lomuto's scheme): to which side a value belongs cannot be foreseen, and a wrong guess costs the processor more than the exchange.
func selectKth(v []int32, k int) int32 {
	const few = 12
	middle := func(a, b, c int32) int32 { return max(min(a, b), min(max(a, b), c)) }
	for len(v) > few {
		n := len(v)
		p := middle(middle(v[0], v[n/8], v[n/4]), middle(v[n*3/8], v[n/2], v[n*5/8]), middle(v[n*3/4], v[n*7/8], v[n-1]))
		below := split(v, int64(p))
		if k < below {
			v = v[:below]
			continue
		}
		v, k = v[below:], k-below
		if below == 0 { // p is the least: the values that equal it go to the front, so that the rest becomes shorter
			equal := split(v, int64(p)+1)
			if k < equal {
				return p
			}
			v, k = v[equal:], k-equal
		}
	}
	for i := 1; i < len(v); i++ {
		for j := i; j > 0 && v[j] < v[j-1]; j-- {
			v[j], v[j-1] = v[j-1], v[j]
		}
	}
	return v[k]
}

// split brings the values below p to the front and says how many they are.
func split(v []int32, p int64) int {
	n := 0
	for i, x := range v {
		v[i] = v[n]
		v[n] = x
		n += int(uint64(int64(x)-p) >> 63)
	}
	return n
}

// dot is the scalar product.
func dot(a, b []float32) float32 {
	return blas32.Dot(blas32.Vector{N: len(a), Data: a, Inc: 1}, blas32.Vector{N: len(b), Data: b, Inc: 1})
}
