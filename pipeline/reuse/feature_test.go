package reuse

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline/media"
)

// A mirrored descriptor must be what SIFT finds in the mirrored picture.
func TestMirroredPointsEqualPointsOfTheMirroredPicture(t *testing.T) {
	t.Run("photo", func(t *testing.T) { mirroredPoints(t, photoLook) })
	t.Run("clip", func(t *testing.T) { mirroredPoints(t, clipLook) })
}

func mirroredPoints(t *testing.T, l look) {
	const w, h = 400, 300
	s := newStage(5, 7, w, h)
	d := newDetector(l)
	defer d.Close()
	find := func(c change) []Point {
		p, pw, ph := c(s.grey(0), w, h)
		m := bgr(t, p, pw, ph)
		defer m.Close()
		points, err := d.points(m)
		require.NoError(t, err)
		return points
	}
	plain, flipped := find(asIs), find(mirror)
	require.Greater(t, len(plain), 100)
	q := make([]Point, len(plain))
	for i := range plain {
		q[i] = plain[i].mirrored(w)
	}
	a, b := newSide(q, true), newSide(flipped, false)
	near := 0
	m := matchSides(&a, &b)
	for _, p := range m {
		if abs32(a.points[p.q].X-b.points[p.o].X) < 1.5 && abs32(a.points[p.q].Y-b.points[p.o].Y) < 1.5 {
			near++
		}
	}
	require.Greater(t, near, len(plain)*6/10)
	require.Greater(t, near, len(m)*9/10)
	twice := plain[0].mirrored(w).mirrored(w)
	require.Equal(t, plain[0].Desc, twice.Desc)
	require.InDelta(t, plain[0].Angle, twice.Angle, 1e-3)
}

// Points of clips are looked for in a smaller picture; they are at the same places as those of photos, in the same pixels.
func TestPointsOfClipsAreInThePixelsOfPhotos(t *testing.T) {
	m := bgr(t, newStage(5, 7, 900, 700).grey(0), 900, 700)
	defer m.Close()
	sides := make([]side, 2)
	for i, l := range []look{photoLook, clipLook} {
		d := newDetector(l)
		points, err := d.points(m)
		require.NoError(t, err)
		sides[i] = newSide(points, false)
		d.Close()
	}
	matched := matchSides(&sides[0], &sides[1])
	require.Greater(t, len(matched), 40)
	var dx, dy, sizes []float32
	for _, p := range matched {
		a, b := sides[0].points[p.q], sides[1].points[p.o]
		dx, dy, sizes = append(dx, a.X-b.X), append(dy, a.Y-b.Y), append(sizes, a.Size/b.Size)
	}
	require.InDelta(t, 0, median(dx), 0.1)
	require.InDelta(t, 0, median(dy), 0.1)
	require.InDelta(t, 1, median(sizes), 0.1)
}

func TestPointsAreBoundedAndOrdered(t *testing.T) {
	d := newDetector(photoLook)
	defer d.Close()
	m := bgr(t, newStage(5, 7, 900, 700).grey(0), 900, 700)
	defer m.Close()
	a, err := d.points(m)
	require.NoError(t, err)
	require.Len(t, a, maxPoints)
	b, err := d.points(m)
	require.NoError(t, err)
	require.Equal(t, a, b)
	for _, p := range a {
		require.True(t, p.X >= 0 && p.X < pictureSide && p.Y >= 0 && p.Y < pictureSide)
	}
	flat := bgr(t, make([]byte, 64*48), 64, 48)
	defer flat.Close()
	none, err := d.points(flat)
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestAgreementFindsTheSimilarity(t *testing.T) {
	want := similarity{a: 0.8, b: 0.1, c: 20, d: -5, scale: 0.806, angle: 7.125}
	var pairs []indexPair
	for i := range 40 {
		q := &indexPoint{x: float32(i * 9 % 400), y: float32(i * 31 % 300), size: 8, angle: float32(i * 20 % 360)}
		x, y := want.apply(q.x, q.y)
		o := &indexPoint{x: x, y: y, size: 8 * want.scale, angle: turned(q.angle + want.angle)}
		if i%4 == 0 { // false friends
			o.x, o.angle = 400-o.x, o.angle+90
		}
		pairs = append(pairs, indexPair{q, o})
	}
	votes, got := agreement(pairs)
	require.GreaterOrEqual(t, votes, 30)
	require.InDelta(t, want.a, got.a, 0.02)
	require.InDelta(t, want.b, got.b, 0.02)
	require.InDelta(t, want.c, got.c, 3)
	votes, _ = agreement(nil)
	require.Zero(t, votes)
}

func TestOneSceneIsPointedFewTimesUnraced(t *testing.T) {
	still := func(float64) float64 { return 1 }
	pointed := func(c *media.Clip) (at []time.Duration) {
		f := fingerprint(t, c)
		stills, err := decodePoints(f.points)
		require.NoError(t, err)
		for _, s := range stills {
			at = append(at, s.pts)
		}
		return at
	}
	long := film(t, newStage(1, 7, 320, 240), 14, still, asIs)
	six := evenly(len(long.Frames), maxPointStills)
	when := func(k int) time.Duration { return long.Frames[six[k]].PTS }
	require.Equal(t, []time.Duration{when(0), when(3), when(5)}, pointed(long), "of one scene")
	require.Len(t, pointed(film(t, newStage(1, 7, 320, 240), 4, still, asIs)), 5, "a short clip gives all")

	other := film(t, newStage(9, 7, 320, 240), 14, still, asIs)
	require.NoError(t, other.Frames[six[1]].Image.CopyTo(&long.Frames[six[1]].Image))
	require.Equal(t, []time.Duration{when(0), when(1), when(3), when(5)}, pointed(long), "another scene in between has points of its own")
}
