package reuse

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

// A photo that was handed in before is a question, changed or shown as a video; a second photo of the same room, in which people moved, is
// not.
func TestPhotosAskOnlyAboutTheSamePictureUnraced(t *testing.T) {
	room, frozen := newStage(1, 7, 320, 240), newStage(1, 7, 320, 240)
	earlier := fingerprint(t, photo(t, room, 1, asIs))
	clip := fingerprint(t, film(t, room, 4, from(1), asIs))
	still := func(float64) float64 { return 1 }
	for name, c := range map[string]struct {
		query, with Fingerprint
		asks        bool
	}{
		"darker":                        {fingerprint(t, photo(t, room, 1, darker)), earlier, true},
		"mirrored":                      {fingerprint(t, photo(t, room, 1, mirror)), earlier, true},
		"cropped":                       {fingerprint(t, photo(t, room, 1, cropped)), earlier, true},
		"second photo, people moved":    {fingerprint(t, photo(t, room, 31, asIs)), earlier, false},
		"the same, mirrored":            {fingerprint(t, photo(t, room, 31, mirror)), earlier, false},
		"shown as a video":              {fingerprint(t, film(t, frozen, 4, still, darker)), earlier, true},
		"cut from an earlier clip":      {earlier, clip, true},
		"other moment than in the clip": {fingerprint(t, photo(t, room, 31, asIs)), clip, false},
	} {
		t.Run(name, func(t *testing.T) {
			check, res, err := Check(context.Background(), c.query, []Candidate{{Job: "monday", Fingerprint: stored(t, c.with)}}, 0, DefaultConfig())
			require.NoError(t, err)
			m := res.Matches[0]
			t.Logf("score %.3f photo %.2f, content %.2f, %d points, distance %d", m.Score, m.Photo, m.Content, m.Inliers, m.Distance)
			require.Less(t, m.Score, DefaultConfig().Threshold, "photos are never called reused by their looks")
			if !c.asks {
				require.Equal(t, pipeline.Pass, check.Outcome)
				require.Empty(t, check.Findings)
				require.Less(t, m.Score, DefaultConfig().Weak)
				return
			}
			require.Equal(t, pipeline.Uncertain, check.Outcome)
			require.Equal(t, pipeline.SameContent, check.Findings[0].Code)
			require.Equal(t, "monday", check.Findings[0].Args["job"])
			require.Regexp(t, `^\d+ %$`, check.Findings[0].Args["agree"])
			require.GreaterOrEqual(t, m.Score, DefaultConfig().CannotTell)
		})
	}
}

// Neighbours that moved together weigh against the same photo, points that are merely found less exactly hardly do.
func TestPhotoMatchCountsMovesTogether(t *testing.T) {
	points := func(move func(i int) (float32, float32)) *registered {
		r := &registered{q: &side{}, o: &side{}, pixels: identity}
		for i := range 40 {
			x, y := float32(20+30*(i%8)), float32(20+30*(i/8))
			dx, dy := move(i)
			r.q.points = append(r.q.points, Point{X: x + dx, Y: y + dy, Size: 4})
			r.o.points = append(r.o.points, Point{X: x, Y: y, Size: 4})
			r.pairs = append(r.pairs, match{i, i})
		}
		return r
	}
	exact := points(func(int) (float32, float32) { return 0, 0 }).photoMatch()
	require.InDelta(t, 1, exact.score(), 1e-9)
	require.True(t, exact.same(200))
	shaken := points(func(i int) (float32, float32) {
		if i%4 == 0 {
			return []float32{3, -3, 2, -2, 4}[i%5], []float32{-2, 4, -4, 3, 1}[i%5]
		}
		return 0, 0
	}).photoMatch()
	require.InDelta(t, 0.75, shaken.agree, 1e-9)
	require.True(t, shaken.same(200))
	walked := points(func(i int) (float32, float32) {
		if i%8 < 4 {
			return 6, 2
		}
		return 0, 0
	}).photoMatch()
	require.InDelta(t, 0.5, walked.agree, 1e-9)
	require.False(t, walked.same(200), "%+v", walked)
	require.True(t, (photoMatch{}).same(nearDistance), "without points the hashes are asked")
	require.False(t, (photoMatch{}).same(nearDistance+1))
}

// Many points of which few lie on their place speak for themselves: the hashes are asked only where there are hardly any points.
func TestHashesAreAskedOnlyWithoutPoints(t *testing.T) {
	moved := photoMatch{pairs: 60, exact: 6, agree: 0.1, together: 0.4}
	require.False(t, moved.same(0))
	require.Less(t, DefaultConfig().still(&Match{Content: 1}, moved), DefaultConfig().Weak)
	few := photoMatch{pairs: photoPoints - 1, exact: photoPoints - 1, agree: 1}
	require.False(t, few.enough())
	require.True(t, few.same(nearDistance))
	require.False(t, few.same(nearDistance+1))
}

// No single number decides: the same few changed cells, or lost points, are a copy's beside one picture and a second photo's beside another.
func TestPhotoWeighsEverything(t *testing.T) {
	plain := photoMatch{pairs: 100, exact: 95, agree: 0.95, again: refound{points: 100, elsewhere: [2]float64{0.1, 0.3}}, changed: changed{cells: 900}}
	for name, c := range map[string]struct {
		change func(*photoMatch)
		same   bool
	}{
		"a plain copy":               {func(*photoMatch) {}, true},
		"under a sticker":            {func(p *photoMatch) { p.again.lost, p.changed.found = 0.3, 60 }, true},
		"one point found elsewhere":  {func(p *photoMatch) { p.again.moved, p.changed.found = 0.02, 10 }, true},
		"noise, and nobody moved":    {func(p *photoMatch) { p.agree, p.again.elsewhere = 0.6, [2]float64{0.3, 0.5} }, true},
		"points a little off":        {func(p *photoMatch) { p.agree, p.again.elsewhere, p.changed.found = 0.8, [2]float64{0.6, 1.2}, 20 }, false},
		"very many cells":            {func(p *photoMatch) { p.changed.found = changedEver + 1 }, false},
		"fine texture, all there":    {func(p *photoMatch) { p.again.elsewhere, p.changed.found = [2]float64{1, 1.2}, changedFew }, true},
		"one point lost":             {func(p *photoMatch) { p.again.lost, p.again.elsewhere = 0.01, [2]float64{1.5, 2} }, false},
		"many moved":                 {func(p *photoMatch) { p.again.moved, p.again.elsewhere, p.changed.found = 0.1, [2]float64{0.5, 1.5}, 30 }, false},
		"points that do not agree":   {func(p *photoMatch) { p.agree = perhapsPhoto - 0.01 }, false},
		"no cells, one point moved":  {func(p *photoMatch) { p.changed, p.again.moved = changed{}, photoMoved }, true},
		"no cells, two points moved": {func(p *photoMatch) { p.changed, p.again.moved = changed{}, 2*photoMoved }, false},
		"no picture, many cells":     {func(p *photoMatch) { p.again, p.changed.found = refound{}, changedMost+1 }, false},
		"no picture, few cells":      {func(p *photoMatch) { p.again, p.changed.found = refound{}, changedMost }, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := plain
			c.change(&p)
			require.Equal(t, c.same, p.same(256), "%.2f", p.copied())
		})
	}
	p := plain
	p.again.moved, p.changed = 2*photoMoved, changed{}
	require.True(t, p.open(), "the cells may still say that it is one")
	p.again.elsewhere[0] = 3
	require.False(t, p.open())
}
