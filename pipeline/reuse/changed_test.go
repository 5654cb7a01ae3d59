package reuse

import (
	"image"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// roomGrey is a room with somebody in plain clothes in it, 400 x 300; light is added, and tone raises brightness to a power.
func roomGrey(person image.Rectangle, tone, light float64) grey {
	g := grey{w: 400, h: 300, pix: make([]byte, 400*300)}
	for y := range g.h {
		for x := range g.w {
			u, v := float64(x), float64(y)
			l := 120 + 50*math.Sin(u/23)*math.Cos(v/31) + 20*math.Sin(u*v/4000)
			if image.Pt(x, y).In(person) && math.Abs(u-float64(person.Min.X+person.Max.X)/2) < 12+v/12 {
				l = 60
			}
			l = 255*math.Pow(l/255, tone) + light*u/400
			g.pix[y*g.w+x] = byte(min(max(l, 0), 255))
		}
	}
	return g
}

// gridOf is what a fingerprint keeps of a picture.
func gridOf(t *testing.T, g grey) track {
	f, err := g.frame()
	require.NoError(t, err)
	m := newWarp(identity, f.w, f.h, cells)
	return m.apply(&f, 1)
}

// A copy in other light and tone, or under an overlay, has hardly a cell that changed; where somebody moved, many have.
func TestCellsTellWhoMoved(t *testing.T) {
	here, there := image.Rect(80, 60, 160, 260), image.Rect(230, 60, 310, 260)
	earlier := gridOf(t, roomGrey(here, 1, 0))
	covered := roomGrey(here, 1, 0)
	for y := 30; y < 130; y++ {
		for x := 250; x < 370; x++ {
			covered.pix[y*covered.w+x] = byte(255 * (x / 7 % 2))
		}
	}
	mirrored := roomGrey(here, 1, 0)
	for y := range mirrored.h {
		row := mirrored.pix[y*mirrored.w : (y+1)*mirrored.w]
		for x := range len(row) / 2 {
			row[x], row[len(row)-1-x] = row[len(row)-1-x], row[x]
		}
	}
	crop := func(g grey) grey {
		p, w, h := cropped(g.pix, g.w, g.h)
		return grey{w, h, p}
	}
	uncrop := Transform{0.8, 0, 0.1, 0, 0.8, 0.1, 0, 0, 1}
	clockwise := func(g grey) grey {
		out := grey{g.h, g.w, make([]byte, len(g.pix))}
		for y := range out.h {
			for x := range out.w {
				out.pix[y*out.w+x] = g.pix[(out.w-1-x)*g.w+y]
			}
		}
		return out
	}
	for name, c := range map[string]struct {
		query grey
		turn  Transform
		same  bool
	}{
		"as it was":  {roomGrey(here, 1, 0), identity, true},
		"other tone": {roomGrey(here, 0.7, 30), identity, true},
		"mirrored":   {mirrored, forms[FlipY], true},
		"cropped":    {crop(roomGrey(here, 1, 0)), uncrop, true},
		"turned":     {clockwise(roomGrey(here, 1, 0)), forms[Rotate90], true},
		"an overlay": {covered, identity, true},
		"moved":      {roomGrey(there, 1, 0), identity, false},
		"and tone":   {roomGrey(there, 0.7, 30), identity, false},
		"and crop":   {crop(roomGrey(there, 1, 0)), uncrop, false},
		"and turn":   {clockwise(roomGrey(there, 1, 0)), forms[Rotate90], false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.query.changes(&earlier, c.turn)
			require.NoError(t, err)
			t.Logf("%+v", got)
			require.True(t, got.enough())
			require.Equal(t, c.same, got.found <= changedMost, "%+v", got)
			require.Equal(t, c.same, photoMatch{pairs: 50, exact: 45, agree: 0.9, changed: got}.same(0))
		})
	}
	got, err := (&grey{}).changes(&earlier, identity)
	require.NoError(t, err)
	require.False(t, got.enough(), "no picture at hand")
	some := roomGrey(there, 1, 0)
	got, err = some.changes(&track{}, identity)
	require.NoError(t, err)
	require.False(t, got.enough(), "an earlier photo without a grid")
	require.True(t, photoMatch{pairs: 50, exact: 45, agree: 0.9, changed: got}.same(0), "the points decide")
}

// Where more than half of the cells changed, what noise predicts is taken from the changes: that nothing stands out is no proof of sameness.
func TestCellsOfAnotherPictureSayNothing(t *testing.T) {
	room := roomGrey(image.Rectangle{}, 1, 0)
	earlier := gridOf(t, room)
	black := grey{w: 400, h: 300, pix: make([]byte, 400*300)}
	other := black
	other.pix = make([]byte, len(black.pix))
	for i := range other.pix {
		x, y := i%other.w, i/other.w
		other.pix[i] = byte(90 + 150*((x/40+y/30)%2))
	}
	for name, q := range map[string]*grey{"black": &black, "a chessboard": &other} {
		got, err := q.changes(&earlier, identity)
		require.NoError(t, err)
		require.Zero(t, got, name)
	}
	mad := make([]float32, gridSize) // no grey levels: the sums are beyond what can be solved
	all := make([]bool, gridSize)
	for i := range mad {
		mad[i], all[i] = float32(i)*1e9, true
	}
	_, _, ok := unexplained(mad, mad, earlier.v, all)
	require.False(t, ok)
}

func TestFilledBox(t *testing.T) {
	fill := func(in ...image.Rectangle) []bool {
		is := make([]bool, gridSize)
		for i := range is {
			for _, r := range in {
				is[i] = is[i] || image.Pt(i%cells, i/cells).In(r)
			}
		}
		return is
	}
	box, ok := filledBox(fill(image.Rect(2, 3, 8, 9), image.Rect(20, 20, 22, 22)))
	require.True(t, ok)
	require.Equal(t, image.Rect(1, 2, 9, 10), box)
	for name, is := range map[string][]bool{
		"nothing":   fill(),
		"too small": fill(image.Rect(4, 4, 7, 7)),
		"a cross":   fill(image.Rect(10, 2, 12, 20), image.Rect(2, 10, 20, 12)),
	} {
		_, ok := filledBox(is)
		require.False(t, ok, name)
	}
}
