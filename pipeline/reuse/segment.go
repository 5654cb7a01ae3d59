package reuse

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"onsite/pipeline"
)

// Segment is a stretch of the submission that is a stretch of an earlier clip. Times are in milliseconds; the end of theirs comes before
// its beginning when reversed.
type Segment struct {
	FromMS      int64   `json:"from_ms"`
	ToMS        int64   `json:"to_ms"`
	TheirFromMS int64   `json:"their_from_ms"`
	TheirToMS   int64   `json:"their_to_ms"`
	Speed       float64 `json:"speed"` // how fast the earlier clip runs in this one
	Reversed    bool    `json:"reversed"`
	Transform   string  `json:"transform"` // as Transform.name: none, or mirrored, rotated_90, cropped, padded joined by "+"
	S           float64 `json:"s"`         // of this stretch alone
	Score       float64 `json:"-"`         // Score of S as it was measured, not rounded; 0 where the segment has none of its own
	Pairs       []Pair  `json:"-"`
}

// maxSegments is how many common segments are looked for in one earlier clip: more pieces than that make none of them long enough to tell.
const maxSegments = 4

// stretch is a common segment on one line.
type stretch struct {
	parts    Parts
	turn     Transform
	line     line
	from, to int     // query samples
	share    float64 // of the query samples that lie on the line
}

// stretch scores the best line of the overlay. n15 is the best 1.5 s of all overlays.
func (v *overlay) stretch(n15 float64) stretch {
	s := stretch{turn: v.turn, line: v.best.line, parts: Parts{N15: n15}}
	match := v.frameMatches()
	s.parts.Z = v.effectiveZ(match)
	s.parts.G2, s.parts.TTop = v.fine()
	s.from, s.to = v.segment()
	on := 0
	for i := range match {
		if j := s.line.at(i, 2); j >= 0 && j < v.o.n {
			on++
		}
	}
	s.share = float64(s.to-s.from) / float64(max(1, on))
	return s
}

// without is the overlay without the query's samples that belong to a common segment already.
func (v *overlay) without(done []stretch) overlay {
	w := *v
	w.q.valid, w.grid.valid = slices.Clone(v.q.valid), slices.Clone(v.grid.valid)
	w.done = make([]bool, v.q.n)
	for _, s := range done {
		for i := max(0, s.from); i < min(s.to, v.q.n); i++ {
			w.done[i], w.q.valid[i], w.grid.valid[i] = true, false, false
		}
	}
	w.best = search(w.x, &w.q, &w.o, fullPlan(epsShare*w.weights))
	return w
}

// others looks for further common segments besides the first: other parts of the query that show other parts of the earlier clip, or the
// same line behind an insert. enough says which of them count. The error says that ctx ended.
func others(ctx context.Context, all []overlay, first stretch, enough func(*stretch) bool) ([]stretch, error) {
	found := []stretch{first}
	for len(found) < maxSegments {
		var top overlay
		any, n15 := false, -1.0
		for i := range all {
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("look for further common segments: %w", err)
			}
			w := all[i].without(found)
			n15 = max(n15, w.best.best[1])
			if w.best.length >= minWindow && (!any || w.best.z > top.best.z) {
				top, any = w, true
			}
		}
		if !any {
			break
		}
		s := top.stretch(n15)
		if s.to-s.from < minWindow || !enough(&s) {
			break
		}
		found = append(found, s)
	}
	return found, nil
}

// segment names a stretch in times of both clips; s is its score of stage B.
func (q *query) segment(f *stretch, s float64, e *earlierMotion, theirMS int64, ow, oh float64) Segment {
	t := &q.track.full
	ours := func(i int) int64 { return max(0, t.start+time.Duration(i)*step).Milliseconds() }
	theirs := func(i int) int64 {
		ms := max(0, e.up.start+time.Duration(f.line.at(i, 2))*(step/2)).Milliseconds()
		if theirMS > 0 {
			ms = min(ms, theirMS)
		}
		return ms
	}
	g := Segment{FromMS: ours(f.from), ToMS: ours(f.to), TheirFromMS: theirs(f.from), TheirToMS: theirs(f.to), Speed: f.line.speed, Reversed: f.line.dir < 0, Transform: f.turn.name(q.w, q.h, ow, oh), S: round3(s), Score: Score(s)}
	for _, k := range middle(f.to-f.from, shownPairs) {
		g.Pairs = append(g.Pairs, Pair{ours(f.from + k), theirs(f.from + k)})
	}
	return g
}

// evidence points to the common segments, in the order in which the submission shows them; to the match as a whole where nothing was
// aligned.
func (m *Match) evidence(threshold float64) []pipeline.Evidence {
	one := pipeline.Evidence{Kind: "segment", Job: m.Job, Transform: m.Transform, Score: &m.Score, Threshold: &threshold}
	segments := m.Segments
	if len(segments) == 0 && m.ToMS > m.FromMS {
		segments = []Segment{{FromMS: m.FromMS, ToMS: m.ToMS, TheirFromMS: m.TheirFromMS, TheirToMS: m.TheirToMS, Transform: m.Transform}}
	}
	if len(segments) == 0 {
		return []pipeline.Evidence{one}
	}
	out := make([]pipeline.Evidence, 0, len(segments))
	for _, s := range segments {
		e := one
		from, to, tf, tt := s.FromMS, s.ToMS, min(s.TheirFromMS, s.TheirToMS), max(s.TheirFromMS, s.TheirToMS)
		e.FromMS, e.ToMS, e.TheirFromMS, e.TheirToMS, e.Transform = &from, &to, &tf, &tt, s.Transform
		if s.Score > 0 {
			e.Score = &s.Score
		}
		out = append(out, e)
	}
	return out
}

func bySegmentTime(a, b Segment) int { return cmp.Compare(a.FromMS, b.FromMS) }
