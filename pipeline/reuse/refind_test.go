package reuse

import (
	"context"
	"math"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

// somebodyMoved is a second photo by a fixed camera: a part of the picture lies three pixels further right, everything else where it was.
func somebodyMoved(p []byte, w, h int) ([]byte, int, int) {
	const far = 3
	out := append([]byte{}, p...)
	for y := h / 3; y < 2*h/3; y++ {
		copy(out[y*w+w/2+far:y*w+2*w/3+far], p[y*w+w/2:y*w+2*w/3])
	}
	return out, w, h
}

// A descriptor that is computed at a stored point's place in the same picture is the stored one: octave and layer follow from the diameter.
func TestStoredPointsAreFoundAgainUnraced(t *testing.T) {
	f := fingerprint(t, photo(t, newStage(1, 7, 400, 300), 1, asIs))
	stills, err := decodePoints(f.points)
	require.NoError(t, err)
	d := newDetector(photoLook)
	defer d.Close()
	m, err := f.picture.laid(identity, 400, 300)
	require.NoError(t, err)
	defer m.Close()
	around, err := d.around(m, stills[0].points)
	require.NoError(t, err)
	var here []float64
	for i := range around {
		here = append(here, around[i][len(around[i])/2])
	}
	sort.Float64s(here)
	require.Greater(t, len(here), 100)
	require.Greater(t, here[len(here)/20], .97)
}

func TestRefindTellsWhatMovedUnraced(t *testing.T) {
	room := newStage(1, 7, 320, 240)
	earlier := fingerprint(t, photo(t, room, 1, asIs))
	for name, c := range map[string]struct {
		change change
		same   bool
	}{
		"darker": {darker, true}, "mirrored": {mirror, true}, "cropped": {cropped, true}, "upside down": {turnHalf, true},
		"somebody moved": {somebodyMoved, false},
	} {
		t.Run(name, func(t *testing.T) {
			query := fingerprint(t, photo(t, room, 1, c.change))
			query.SHA256 = "" // the bytes are no evidence here
			check, res, err := Check(context.Background(), query, []Candidate{{Job: "monday", Fingerprint: stored(t, earlier)}}, 0, DefaultConfig())
			require.NoError(t, err)
			require.Equal(t, c.same, check.Outcome == pipeline.Uncertain, "%+v", res.Matches[0])
			require.Contains(t, check.Detail["closest"], "points", "a person who looks at it sees what it hangs on")
			off := res.Matches[0].again.elsewhere
			require.LessOrEqual(t, off[0], off[1])
			require.Equal(t, c.same, off[1] < 1, "%v", off)
			if c.same {
				return
			}
			query.picture = grey{} // as of a stored one: the points that were found in both are all there is
			check, _, err = Check(context.Background(), query, []Candidate{{Job: "monday", Fingerprint: stored(t, earlier)}}, 0, DefaultConfig())
			require.NoError(t, err)
			require.Equal(t, pipeline.Uncertain, check.Outcome, "points alone ask about it")
			again := DefaultConfig()
			again.Known = map[string]bool{}
			check, _, err = Check(context.Background(), query, []Candidate{{Job: "monday", Fingerprint: stored(t, earlier)}}, 0, again)
			require.NoError(t, err)
			require.Equal(t, pipeline.Pass, check.Outcome, "but not when a look that had the picture did not")
		})
	}
}

func TestRefindNeedsPoints(t *testing.T) {
	g := grey{w: 64, h: 48, pix: make([]byte, 64*48)}
	points := make([]Point, 2*refindLeast)
	for i := range points {
		points[i] = Point{X: 200, Y: 150, Size: 4}
	}
	for name, c := range map[string]struct {
		picture *grey
		points  []Point
		turn    Transform
	}{
		"no picture": {&grey{}, points, identity}, "few points": {&g, points[:refindLeast-1], identity}, "no way back": {&g, points, Transform{}},
		"out of view": {&g, points, Transform{.2, 0, 0, 0, .2, 0, 0, 0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := refind(c.picture, c.points, c.turn, 400, 300)
			require.NoError(t, err)
			require.Equal(t, refound{}, r)
		})
	}
	r, err := refind(&g, points, identity, 400, 300)
	require.NoError(t, err)
	require.InDelta(t, 1, r.lost, 0, "a black picture has none of them")
}

// A lens bends the whole picture; the field follows that and not the few that moved.
func TestSmoothFieldFollowsMost(t *testing.T) {
	bend := func(x, y float64) (dx, dy float64) { return .4 + (x-200)/400, -.3 + (y-150)*(y-150)/40000 }
	var found []placed
	for i := range 120 {
		p := placed{x: float64(i%12)*32 + 20, y: float64(i/12)*28 + 20, best: .97}
		p.dx, p.dy = bend(p.x, p.y)
		if i%10 == 3 {
			p.dx += 2.5
		}
		found = append(found, p)
	}
	field := smoothField(found, 400, 300)
	for _, p := range found {
		x, y := bend(p.x, p.y)
		dx, dy := field(p.x, p.y)
		require.Less(t, math.Hypot(dx-x, dy-y), .3)
	}
}

func TestVertex(t *testing.T) {
	at, gain := vertex(.91, .99, .95) // 0.99 at 0, falling faster to the left
	require.InDelta(t, 1./6, at, 1e-9)
	require.InDelta(t, 1./600, gain, 1e-9)
	at, gain = vertex(.5, .5, .5)
	require.Zero(t, at)
	require.Zero(t, gain)
}

func BenchmarkRefind(b *testing.B) {
	room := newStage(1, 7, 640, 480)
	f := fingerprint(b, photo(b, room, 1, asIs))
	stills, err := decodePoints(f.points)
	require.NoError(b, err)
	for b.Loop() {
		if _, err := refind(&f.picture, stills[0].points, identity, 400, 300); err != nil {
			b.Fatal(err)
		}
	}
}
