package scene

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/models"
)

// arch paints a band of 16 pixels along a circle of radius 120 about x = 160 into an empty map of 320 x 192; gap leaves out a stretch in its middle.
func arch(cy, from, to, gap float64) models.ProbMap {
	m := models.ProbMap{P: make([]float32, 320*192), W: 320, H: 192}
	for y := range m.H {
		for x := range m.W {
			dx, dy := float64(x)-160, float64(y)-cy
			a := math.Atan2(dy, dx)
			if a >= from && a <= to && math.Abs(math.Hypot(dx, dy)-120) <= 8 && math.Abs(a-(from+to)/2) >= gap/2 {
				m.P[y*m.W+x] = .9
			}
		}
	}
	return m
}

func TestLinesAlongCircles(t *testing.T) {
	for name, c := range map[string]struct {
		m       models.ProbMap
		cy      float64
		outward bool
		pieces  int
	}{
		"over the top":      {arch(180, -2.4, -.7, 0), 180, true, 1},
		"along the bottom":  {arch(20, .7, 2.4, 0), 20, false, 1},
		"in two pieces":     {arch(180, -2.4, -.7, .3), 180, true, 2},
		"with a large hole": {arch(180, -2.6, -.5, .4), 180, true, 2},
	} {
		got, err := bendsOf(c.m)
		require.NoError(t, err)
		require.Len(t, got, 1, name)
		b := got[0]
		require.InDelta(t, 160, b.cx, 5, name)
		require.InDelta(t, c.cy, b.cy, 6, name)
		require.InDelta(t, 120, b.r, 6, name)
		require.Equal(t, c.outward, b.outward, name)
		require.Equal(t, c.outward, b.from < b.to, "%s: read from left to right", name)
		require.Equal(t, c.pieces, b.n, name)
		// The heads of the letters are higher in the picture than their feet, and the line starts at the left.
		require.Less(t, b.at(.5, 1).Y, b.at(.5, 0).Y, name)
		require.Less(t, b.at(0, .5).X, b.at(1, .5).X, name)
		require.Greater(t, math.Abs(b.reach().to-b.reach().from), math.Abs(b.to-b.from))
		require.Len(t, b.outline(), 18)
	}
	straight, err := bendsOf(mapOf(line{cx: 150, cy: 90, w: 120, h: 16}, .9))
	require.NoError(t, err)
	require.Empty(t, straight, "a straight line is no bend")
	nothing, err := bendsOf(models.ProbMap{P: make([]float32, 64*64), W: 64, H: 64})
	require.NoError(t, err)
	require.Empty(t, nothing)
}

// The strip shows what lies along the circle, mirrored on request.
func TestABentLineIsMadeStraight(t *testing.T) {
	m := gocv.NewMatWithSize(192, 320, gocv.MatTypeCV8UC3)
	defer m.Close()
	for y := range 192 {
		for x := range 320 { // brighter to the right
			for ch := range 3 {
				m.SetUCharAt(y, x*3+ch, uint8(x*255/319))
			}
		}
	}
	b := bend{cx: 160, cy: 180, r: 120, from: -2.4, to: -.7, height: 30, outward: true}
	for _, mirrored := range []bool{false, true} {
		img, err := b.straight(m, mirrored)
		require.NoError(t, err)
		require.Equal(t, readHeight, img.H)
		left, right := img.Pix[(24*img.W+4)*3], img.Pix[(24*img.W+img.W-5)*3]
		require.Equal(t, mirrored, left > right)
		require.Greater(t, math.Abs(float64(left)-float64(right)), 80.0)
	}
}

func TestPinyinOfNames(t *testing.T) {
	names := namesOf([]string{"港记烧腊"})
	require.Len(t, names, 5, "two of the characters have another sound")
	require.Equal(t, "gangjishaola", string(names[1].key))
	require.Equal(t, "港记烧腊", names[1].raw)
	require.True(t, names[1].in("GANG JI SHAO LA", 1).found)
	require.False(t, names[1].in("GANGJI SHAOKAO", 1).found, "another name")
	require.Len(t, namesOf([]string{"北京"}), 2)
	require.Len(t, namesOf([]string{"一"}), 1, "too short to be told apart by its sound")
	require.Len(t, namesOf([]string{"Gangji", "4F"}), 2, "no pinyin of Latin names")
	require.LessOrEqual(t, len(namesOf([]string{"重行长乐都朝阳调"})), 5, "characters with several sounds stay few")
}
