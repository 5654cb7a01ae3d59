package reuse

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

// A clip pieced together from two stretches of one earlier clip, one of them backwards, and from a stretch of another one: every piece is
// named, and the new footage between them is not.
func TestCheckNamesEverySegmentUnraced(t *testing.T) {
	monday, tuesday := newStage(1, 7, 320, 240), newStage(1, 8, 320, 240)
	history := []Candidate{
		{Job: "monday", Fingerprint: stored(t, fingerprint(t, film(t, monday, 8, from(0), asIs)))},
		{Job: "tuesday", Fingerprint: stored(t, fingerprint(t, film(t, tuesday, 8, from(0), asIs)))},
	}
	pieces := []struct {
		from, to         float64
		job              string
		theirFrom, their float64
	}{
		{0, 3, "monday", 1, 4},
		{6, 9, "monday", 7, 4},
		{9, 12, "tuesday", 2, 5},
	}
	// One stage draws all of it: monday's and tuesday's room are the same, so frames may come from either.
	both := *monday
	clip := film(t, &both, 12, func(at float64) float64 {
		both = *monday
		switch {
		case at < 3:
			return at + 1
		case at < 6:
			return at + 500
		case at < 9:
			return 13 - at
		default:
			both = *tuesday
			return at - 7
		}
	}, asIs)
	check, res, err := Check(context.Background(), fingerprint(t, clip), history, 0, DefaultConfig())
	require.NoError(t, err)
	require.Equal(t, pipeline.Fail, check.Outcome)
	segments := map[string][]Segment{}
	for _, m := range res.Matches {
		require.Equal(t, Same, m.Verdict, m.Job)
		top := 0.0
		for _, s := range m.Segments {
			top = max(top, s.Score)
		}
		require.GreaterOrEqual(t, top, m.Score, "the segment that says most has the verdict's own score")
		segments[m.Job] = m.Segments
		t.Logf("%s S %.2f %+v", m.Job, m.S, m.Segments)
	}
	require.Len(t, segments["monday"], 2)
	require.Len(t, segments["tuesday"], 1)
	found := slices.Concat(segments["monday"], segments["tuesday"])
	for i, p := range pieces {
		s := found[i]
		require.InDelta(t, p.from, float64(s.FromMS)/1000, 0.5)
		require.InDelta(t, p.to, float64(s.ToMS)/1000, 0.5)
		require.InDelta(t, p.theirFrom, float64(s.TheirFromMS)/1000, 0.5)
		require.InDelta(t, p.their, float64(s.TheirToMS)/1000, 0.5)
		require.Equal(t, p.theirFrom > p.their, s.Reversed)
		require.Equal(t, "none", s.Transform)
		require.NotEmpty(t, s.Pairs)
	}
	require.Len(t, check.Findings, 1)
	jobs := map[string]int{}
	for _, e := range check.Findings[0].Evidence {
		jobs[e.Job]++
		require.Less(t, *e.FromMS, *e.ToMS)
		require.Less(t, *e.TheirFromMS, *e.TheirToMS)
	}
	require.Equal(t, map[string]int{"monday": 2, "tuesday": 1}, jobs)
}

func TestEvidenceHasTheScoreAsMeasured(t *testing.T) {
	s := sameRecordingS + 1e-4 // rounded to three places it would lie on the threshold, or below
	m := Match{Score: Score(s), Segments: []Segment{{ToMS: 1, S: round3(s - 6e-4), Score: Score(s)}}}
	e := m.evidence(DefaultConfig().Threshold)
	require.Len(t, e, 1)
	require.GreaterOrEqual(t, *e[0].Score, *e[0].Threshold)
}

func TestKeepBoundsOverlays(t *testing.T) {
	of := func(z ...float64) (out []overlay) {
		for _, x := range z {
			out = append(out, overlay{best: found{z: x}})
		}
		return out
	}
	for _, c := range []struct{ have, want []float64 }{
		{[]float64{1}, []float64{1}}, {[]float64{1, 2, 1.8, 1.5, 1.6}, []float64{2, 1.8, 1.6}}, {[]float64{1, 2}, []float64{2}}, {[]float64{-1, -2}, []float64{-1}},
	} {
		var got []float64
		for _, v := range keep(of(c.have...)) {
			got = append(got, v.best.z)
		}
		require.Equal(t, c.want, got)
	}
}

func TestComparisonsEndWithTheContext(t *testing.T) {
	f := fingerprint(t, film(t, newStage(1, 7, 320, 240), 3, from(0), asIs))
	q, err := newQuery(&f)
	require.NoError(t, err)
	defer q.close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	other := Candidate{Job: "a", Fingerprint: stored(t, f)}
	_, err = q.full(ctx, &other, glanceAt(&q.index, &other.Fingerprint, 0), DefaultConfig())
	require.ErrorIs(t, err, context.Canceled)
	_, err = others(ctx, make([]overlay, 1), stretch{}, nil)
	require.ErrorIs(t, err, context.Canceled)
}
