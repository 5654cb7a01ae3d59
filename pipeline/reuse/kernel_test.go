package reuse

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What was made faster gives the same bits as the plain way to say it.

func values(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]float32, n)
	for i := range out {
		out[i] = r.Float32()*300 - 20
	}
	return out
}

func TestResampleIsTheSumOfItsTapsInOrder(t *testing.T) {
	for _, size := range [][2]int{{5, 5}, {131, 67}, {64, 258}} { // heights that four does and does not divide
		in := luma{p: values(7, size[0]*size[1]), w: size[0], h: size[1], k: 1, fullW: size[0], fullH: size[1], known: kernels{}}
		for _, c := range []kernel{tent, triangle64, triangle256} {
			kx, ky := in.taps(c, in.w), in.taps(c, in.h)
			mid := make([]float32, in.h*len(kx))
			for y := range in.h {
				for x, k := range kx {
					for i, w := range k.w {
						mid[y*len(kx)+x] += w * in.p[y*in.w+k.start+i]
					}
				}
			}
			want := make([]float32, len(ky)*len(kx))
			for y, k := range ky {
				for x := range kx {
					for i, w := range k.w {
						want[y*len(kx)+x] += w * mid[(k.start+i)*len(kx)+x]
					}
				}
			}
			require.Equal(t, want, in.sample(c), "%v %s", size, c.name)
			require.Equal(t, want, in.sample(c), "kept kernels and used work space change nothing")
		}
	}
}

func TestDecimateIsTheSumOfItsTapsInOrder(t *testing.T) {
	low := soundPlan().low
	for _, n := range []int{0, 1, 40, 41, 1000, 1001, 1002} {
		pcm := values(uint64(n), n)
		got := decimate(pcm, low)
		for i, v := range got {
			var want float32
			for k, w := range low {
				if at := i*audioStep - len(low)/2 + k; at >= 0 && at < n {
					want += w * pcm[at]
				}
			}
			require.Equal(t, want, v, "%d of %d", i, n) //nolint:testifylint // to the bit
		}
	}
}

func TestNearestOfAll(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	few := func() uint64 { return r.Uint64() & r.Uint64() & r.Uint64() & r.Uint64() } // many equal distances
	for range 200 {
		c := code{few(), few()}
		in := make([]code, r.IntN(40))
		order := make([]int, len(in))
		for i := range in {
			in[i], order[i] = code{few(), few()}, i
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(c.distance(in[a]), c.distance(in[b])) })
		all, done := distancesOf([]code{{few(), few()}, c}, in)
		for j := range in {
			require.EqualValues(t, c.distance(in[j]), all.row(1)[j])
		}
		for i, d := range nearestThree(all.row(1), all.n) {
			if i >= len(in) {
				require.EqualValues(t, 1<<31-1, d)
				continue
			}
			require.EqualValues(t, c.distance(in[order[i]])<<16|order[i], d)
		}
		away := make([]partner, len(in))
		for i := range away {
			away[i] = partner{codeLimit + 1, -1}
		}
		at := nearestCode(all.row(1), away, 7)
		done()
		for j, p := range away {
			if d := c.distance(in[j]); d <= codeLimit {
				require.Equal(t, partner{int16(d), 7}, p)
			} else {
				require.EqualValues(t, -1, p.at)
			}
		}
		if at >= 0 {
			require.Equal(t, order[0], at)
			require.LessOrEqual(t, c.distance(in[at]), codeLimit)
		} else {
			require.True(t, len(in) == 0 || c.distance(in[order[0]]) > codeLimit)
		}
	}
}

func TestLikenessIsMutual(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 1))
	few := func() uint64 { return r.Uint64() & r.Uint64() & r.Uint64() & r.Uint64() } // many near and equal distances
	nearestOf := func(c code, in []code) int {
		best, at := codeLimit+1, -1
		for j := range in {
			if d := c.distance(in[j]); d < best {
				best, at = d, j
			}
		}
		return at
	}
	for range 100 {
		var q, o indexed
		for _, x := range []*indexed{&q, &o} {
			x.points = make([]indexPoint, r.IntN(40))
			for range x.points {
				x.codes = append(x.codes, code{few(), few()})
			}
		}
		var want []indexPair
		for i, c := range q.codes {
			if j := nearestOf(c, o.codes); j >= 0 && nearestOf(o.codes[j], q.codes) == i {
				want = append(want, indexPair{&q.points[i], &o.points[j]})
			}
		}
		got := likeness(&q, &o)
		require.Len(t, got, len(want))
		for i := range want {
			require.Same(t, want[i].q, got[i].q)
			require.Same(t, want[i].o, got[i].o)
		}
	}
}

func TestMedianIsTheMiddle(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	for range 500 {
		v := make([]float32, 1+r.IntN(1100))
		for i := range v {
			v[i] = float32(r.NormFloat64())
			if r.IntN(3) == 0 {
				v[i] = float32(r.IntN(5) - 2) // many equal ones
			}
		}
		sorted := slices.Clone(v)
		slices.Sort(sorted)
		n := len(v)
		k := r.IntN(n)
		require.Equal(t, sorted[k], kthOf(v, k))                     //nolint:testifylint // to the bit
		require.Equal(t, (sorted[(n-1)/2]+sorted[n/2])/2, median(v)) //nolint:testifylint // to the bit
	}
}

func TestRoundedCorners(t *testing.T) {
	for _, f := range forms {
		c, ok := cornersOf(f)
		require.True(t, ok)
		require.Equal(t, f, c.transform())
	}
	turn := Transform{.93, -.11, .04, .12, .9, -.03, 0, 0, 1}
	c, ok := cornersOf(turn)
	require.True(t, ok)
	require.LessOrEqual(t, turn.far(c.transform()), 3*.5/cornerStep) // the fourth corner follows from the other three
	again, ok := cornersOf(c.transform())
	require.True(t, ok)
	require.Equal(t, c, again)
	_, ok = cornersOf(Transform{1e9, 0, 0, 0, 1, 0, 0, 0, 1})
	require.False(t, ok)
}

func TestRoundedMotionIsWhatOthersRead(t *testing.T) {
	m := track{start: 1234567 * time.Nanosecond, n: 3, w: cells, h: cells, valid: []bool{true, false, true}, v: values(5, 3*gridSize)}
	clear(m.frame(1))
	roundMotion(&m)
	read, err := decodeMotion(nil, encodeMotion(&m))
	require.NoError(t, err)
	require.Equal(t, read, m)
}

func TestOnLineIsWhatAScanFinds(t *testing.T) {
	for _, l := range []line{{1, 1, 0}, {1, .75, 0}, {-1, 1.33, 0}, {-1, .1, 0}} {
		index := make([]int32, 40)
		for i := range index {
			index[i] = int32(l.at(i, 2))
		}
		for b := -120; b < 200; b++ {
			first, last := -1, -1
			for i, j := range index {
				if at := int(j) + b; at >= 0 && at < 50 {
					if last = i; first < 0 {
						first = i
					}
				}
			}
			i0, i1 := onLine(index, b, 50)
			if first < 0 {
				require.Equal(t, i0, i1)
				continue
			}
			require.Equal(t, []int{first, last + 1}, []int{i0, i1}, "%v %d", l, b)
		}
	}
}

func TestFormsAreLaidOnce(t *testing.T) {
	m := newLayered(track{n: 12, w: 40, h: 24, valid: slices.Repeat([]bool{true}, 12), v: values(9, 12*40*24)})
	p, ok := m.over(forms[FlipY])
	require.True(t, ok)
	again, _ := m.over(forms[FlipY])
	require.Same(t, p, again)
	anew := m.make(nil, forms[FlipY])
	require.Equal(t, anew.grid, p.grid)
	require.Equal(t, anew.changes, p.changes)
	odd := Transform{1, 0, .1, 0, 1, 0, 0, 0, 1}
	a, _ := m.over(odd)
	b, _ := m.over(odd)
	require.NotSame(t, a, b, "others are seldom tried twice")
}

func TestProductsAreThoseOfEveryPairOfRows(t *testing.T) {
	for _, size := range [][3]int{{1, 1, 1}, {3, 1, 7}, {4, 2, 8}, {5, 3, 12}, {9, 11, 64}, {7, 6, 251}, {150, 300, 256}} {
		a, b := gradients{n: size[0], dim: size[2]}, gradients{n: size[1], dim: size[2]}
		a.v, b.v = values(3, a.n*a.dim), values(4, b.n*b.dim)
		got := productsIn(values(5, a.n*b.n), &a, &b)
		for i := range a.n {
			for j := range b.n {
				var lanes [8]float32
				p, q := a.row(i), b.row(j)
				k := 0
				for ; k+8 <= a.dim; k += 8 {
					for l := range lanes {
						lanes[l] += p[k+l] * q[k+l]
					}
				}
				for l := range 4 {
					lanes[l] += lanes[l+4]
				}
				for ; k+4 <= a.dim; k += 4 {
					for l := range 4 {
						lanes[l] += p[k+l] * q[k+l]
					}
				}
				for ; k < a.dim; k++ {
					lanes[0] += p[k] * q[k]
				}
				require.Equal(t, (lanes[0]+lanes[1])+(lanes[2]+lanes[3]), got[i*b.n+j], "%v, rows %d and %d", size, i, j) //nolint:testifylint // to the bit
				if a.dim%8 == 0 {
					require.Equal(t, dot(p, q), got[i*b.n+j], "as a product that is made alone") //nolint:testifylint // to the bit
				}
			}
		}
	}
	require.Equal(t, []float32{0, 0}, productsIn([]float32{1, 2}, &gradients{n: 1}, &gradients{n: 2}), "rows of no values")
}

func BenchmarkProducts(b *testing.B) {
	q, o := gradients{n: 150, dim: gradientSize}, gradients{n: 300, dim: gradientSize}
	q.v, o.v = values(3, q.n*q.dim), values(4, o.n*o.dim)
	x := make([]float32, q.n*o.n)
	for b.Loop() {
		productsIn(x, &q, &o)
	}
}

func TestCentredIsWithoutTheMedian(t *testing.T) {
	for _, size := range []int{1, 2, 9, 64, gradientSize, gridSize} {
		var wanted []int
		for at := range size {
			if at%5 != 3 {
				wanted = append(wanted, at)
			}
		}
		for name, d := range map[string][]float32{"any": values(9, 3*size), "few different ones": make([]float32, 3*size), "none": make([]float32, 3*size)} {
			if name == "few different ones" {
				for i := range d {
					d[i] = float32(i*i%7) - 3
				}
			}
			valid := []bool{true, false, true}
			got := centreIn(values(8, len(valid)*len(wanted)), d, valid, size, wanted)
			for f, ok := range valid {
				want := make([]float32, len(wanted))
				for k, at := range wanted {
					want[k] = d[f*size+at]
				}
				mid := median(want)
				for k, x := range want {
					if want[k] = min(max(x-mid, -clipGradient), clipGradient); !ok {
						want[k] = 0
					}
				}
				require.Equal(t, want, got.v[f*len(wanted):(f+1)*len(wanted)], "%s, %d cells", name, size)
			}
		}
	}
}

func BenchmarkCentre(b *testing.B) {
	const n = 300
	d, valid, wanted := values(9, n*gradientSize), slices.Repeat([]bool{true}, n), make([]int, gradientSize)
	for at := range wanted {
		wanted[at] = at
	}
	v := make([]float32, len(d))
	for b.Loop() {
		centreIn(v, d, valid, gradientSize, wanted)
	}
}

// plainWarp is newWarp said plainly.
func plainWarp(back Transform, w, h, side int) warpMap {
	const sub = 4
	m := warpMap{side: side, from: make([]int32, 1, side*side+1), taps: make([]pixelTap, 0, (w+2*side)*(h+2*side))} // room for a picture that fills it
	work := spare(w * h)
	defer work.free()
	acc := work.v
	clear(acc)
	used := make([]int32, 0, w*h/(side*side)+4*sub*sub)
	n := float64(side * sub)
	for cy := range side {
		for cx := range side {
			inside := 0
			for sy := range sub {
				for sx := range sub {
					x, y := back.apply((float64(cx*sub+sx)+0.5)/n, (float64(cy*sub+sy)+0.5)/n)
					if x < 0 || y < 0 || x > 1 || y > 1 || math.IsNaN(x) || math.IsNaN(y) {
						continue
					}
					inside++
					used = spread(acc, used, w, h, x*float64(w)-0.5, y*float64(h)-0.5)
				}
			}
			keep := inside*50 >= sub*sub*49
			for _, at := range used {
				if keep && acc[at] > 0 {
					m.taps = append(m.taps, pixelTap{at, acc[at] / float32(inside)})
				}
				acc[at] = 0
			}
			used = used[:0]
			m.from = append(m.from, int32(len(m.taps)))
		}
	}
	return m
}

// spread adds the four weights of a bilinear sample at (x, y) to acc and notes which pixels it touched for the first time.
func spread(acc []float32, used []int32, w, h int, x, y float64) []int32 {
	x, y = min(max(x, 0), float64(w-1)), min(max(y, 0), float64(h-1))
	x0, y0 := int(x), int(y)
	u, v := float32(x-float64(x0)), float32(y-float64(y0))
	x1, y1 := min(x0+1, w-1), min(y0+1, h-1)
	for _, c := range [4]struct {
		at int
		w  float32
	}{{y0*w + x0, (1 - u) * (1 - v)}, {y0*w + x1, u * (1 - v)}, {y1*w + x0, (1 - u) * v}, {y1*w + x1, u * v}} {
		if c.w == 0 {
			continue
		}
		if acc[c.at] == 0 {
			used = append(used, int32(c.at))
		}
		acc[c.at] += c.w
	}
	return used
}

func TestMapsAreThoseOfThePlainLoops(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 1))
	turns := []Transform{identity, {0, 0, 0, 0, 0, 0, 0, 0, 0}, {1, 0, 2, 0, 1, 0, 0, 0, 1}, {1, 0, 0, 0, 1, 0, 1, 0, -.5}}
	turns = append(turns, forms[:]...)
	for range 40 {
		turn := identity
		for i := range turn {
			turn[i] += r.NormFloat64() / 10
		}
		turns = append(turns, turn)
	}
	for _, turn := range turns {
		for _, size := range [][3]int{{160, 90, cells}, {90, 160, cells}, {80, 45, cells}, {32, 32, coarseCells}, {1, 1, coarseCells}, {3, 200, cells}} {
			want, got := plainWarp(turn, size[0], size[1], size[2]), newWarp(turn, size[0], size[1], size[2])
			require.Equal(t, want.from, got.from, "%v %v", turn, size)
			require.True(t, slices.Equal(want.taps, got.taps), "%v %v", turn, size)
		}
	}
}

func TestNoPictureHasNoMap(t *testing.T) {
	for _, size := range [][2]int{{0, 0}, {160, 0}, {0, 90}} {
		m := newWarp(identity, size[0], size[1], cells)
		require.NotContains(t, m.covered(), true)
	}
}

func BenchmarkMap(b *testing.B) {
	for b.Loop() {
		newWarp(identity, 160, 90, cells)
	}
}

// codeOf is codesOf said plainly. The median is found by counting, because the values are bytes.
func codeOf(d *[128]uint8) code {
	var count [256]uint8
	for _, v := range d {
		count[v]++
	}
	median, seen := 0, int(count[0])
	for seen < 64 {
		median++
		seen += int(count[median])
	}
	var c code
	for i, v := range d {
		if int(v) > median {
			c[i/64] |= 1 << (i % 64)
		}
	}
	return c
}

func TestCodesAreThoseOfThePlainLoops(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 1))
	points := make([]Point, 300)
	for i := range points {
		for k := range points[i].Desc {
			switch i % 4 {
			case 0:
				points[i].Desc[k] = uint8(r.IntN(256))
			case 1:
				points[i].Desc[k] = uint8(r.IntN(3)) * 127 // many equal ones
			case 2:
				points[i].Desc[k] = uint8(min(255, max(0, 40+30*r.NormFloat64())))
			} // the rest: all zero
		}
	}
	for k := range points[3].Desc {
		points[3].Desc[k] = 255
	}
	codes := codesOf(points)
	require.Len(t, codes, len(points))
	for i := range points {
		require.Equal(t, codeOf(&points[i].Desc), codes[i], "descriptor %d", i)
	}
	require.Empty(t, codesOf(nil))
}

func BenchmarkCodes(b *testing.B) {
	points := make([]Point, 300)
	for i, v := range values(6, len(points)*128) {
		points[i/128].Desc[i%128] = uint8(v)
	}
	for b.Loop() {
		codesOf(points)
	}
}

func TestNearestPairIsTheFirstOfTheNearest(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 1))
	list := func(n int) []hashed {
		out := make([]hashed, n)
		for i := range out {
			for k := range out[i].bits {
				out[i].bits[k] = r.Uint64() & r.Uint64() & r.Uint64() // many are equally near
			}
		}
		return out
	}
	for range 300 {
		a, b, limit := list(r.IntN(12)), list(r.IntN(20)), 40+r.IntN(218)
		wi, wj, want := -1, -1, limit
		for i := range a {
			for j := range b {
				if d := a[i].bits.Distance(b[j].bits); d < want {
					wi, wj, want = i, j, d
				}
			}
		}
		i, j, d := nearestPair(a, b, limit)
		require.Equal(t, [3]int{wi, wj, want}, [3]int{i, j, d})
	}
}

func BenchmarkWarp(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	t := track{n: 150, w: 64, h: 64, valid: slices.Repeat([]bool{true}, 150), v: make([]float32, 150*64*64)}
	for i := range t.v {
		t.v[i] = float32(r.IntN(256))
	}
	m, w := newWarp(identity, 64, 64, cells), weave(&t)
	for b.Loop() {
		mem := &memory{}
		m.layIn(mem, w)
		mem.free()
	}
}
