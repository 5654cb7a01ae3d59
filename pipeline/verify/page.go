package verify

import (
	"context"
	"math"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/report"
	"onsite/pipeline/reuse"
)

// elements turns what the scene check saw into what the page shows.
func (r *run) elements() []report.Element {
	out := make([]report.Element, 0, len(r.shown.scene.Elements))
	for _, s := range r.shown.scene.Elements {
		score, threshold := s.Score, s.Threshold
		e := report.Element{
			Kind: pipeline.ReferenceKind(s.Element), Name: s.Reference, Outcome: s.Outcome, Reference: s.Reference, Keyframe: s.Keyframe,
			Box: s.Box, Outline: s.Outline, Read: s.Read, Score: &score, Threshold: &threshold,
		}
		if s.Wanted != "" {
			e.Wanted = []string{s.Wanted}
		}
		if s.ValidTo != "" {
			e.Note = pipeline.Text{EN: "valid " + s.ValidFrom + " to " + s.ValidTo, ZH: "有效期 " + s.ValidFrom + " 至 " + s.ValidTo}
		}
		out = append(out, e)
	}
	return out
}

// references are the enrolled photos and the site's pictures, as they were prepared.
func (r *run) references() []report.Reference {
	var out []report.Reference
	if r.Subject != nil {
		out = append(out, r.Subject.Photos...)
	}
	if r.Place != nil {
		out = append(out, r.Place.Pictures...)
	}
	return out
}

// timeline is what happens over the clip: how much moves, who is in view, what was found again.
func (r *run) timeline() report.Timeline {
	t := report.Timeline{DurationMS: r.clip.Info.Duration.Milliseconds(), Motion: r.motion()}
	for _, f := range r.clip.Frames {
		if f.SceneChange {
			t.SceneChanges = append(t.SceneChanges, f.PTS.Milliseconds())
		}
	}
	for n, track := range r.found.Tracks {
		label := pipeline.Text{EN: "another person", ZH: "其他人"}
		if n == r.found.Subject() {
			label = pipeline.Text{EN: "person in front", ZH: "主要人物"}
		}
		first, last := track.Spots[0].Frame, track.Spots[len(track.Spots)-1].Frame
		t.People = append(t.People, report.Span{
			FromMS: r.found.Frames[first].PTS.Milliseconds(), ToMS: r.found.Frames[last].PTS.Milliseconds(),
			Label: label, Good: n == r.found.Subject(),
		})
	}
	for _, name := range pipeline.CheckNames {
		for _, f := range r.checks[name].Findings {
			for _, e := range f.Evidence {
				if e.FromMS != nil && e.ToMS != nil {
					t.Spans = append(t.Spans, report.Span{FromMS: *e.FromMS, ToMS: *e.ToMS, Label: spanLabel(f.Code)})
				}
			}
		}
	}
	return t
}

func spanLabel(c pipeline.Code) pipeline.Text {
	switch c {
	case pipeline.FootageReused:
		return pipeline.Text{EN: "seen before", ZH: "曾出现过"}
	case pipeline.ReplayedWithinClip:
		return pipeline.Text{EN: "repeated", ZH: "重复"}
	case pipeline.SameContent:
		return pipeline.Text{EN: "same content", ZH: "内容相同"}
	default:
		return pipeline.Text{EN: "no movement", ZH: "无动态"}
	}
}

// levels is how many points the motion curve has at most.
const levels = 150

// motion is the mean grey change from one motion frame to the next, scaled so that 12 grey levels per 0.1 s fill the curve: a person who
// waves reaches it, a person who sits still stays at a tenth.
func (r *run) motion() []report.Level {
	const full = 12.0
	frames := r.clip.Motion.Frames
	step := max(1, len(frames)/levels)
	var out []report.Level
	for i := step; i < len(frames); i += step {
		a, b := frames[i-1], frames[i]
		gap := b.PTS - a.PTS
		if gap <= 0 || len(a.Gray) != len(b.Gray) || len(a.Gray) == 0 {
			continue
		}
		sum := 0
		for n := range a.Gray {
			sum += abs(int(a.Gray[n]) - int(b.Gray[n]))
		}
		change := float64(sum) / float64(len(a.Gray)) * float64(100*time.Millisecond) / float64(gap)
		out = append(out, report.Level{AtMS: b.PTS.Milliseconds(), Value: math.Min(1, change/full)})
	}
	return out
}

func abs(v int) int {
	if v < 0 {
		return -v
	}
	return v
}

// maxPairs is how many moments a matched segment shows side by side.
const maxPairs = 4

// segments puts the matched earlier footage beside ours, one for every stretch. Without a picture of it (erased, or a history that keeps
// none) the times stay.
func (r *run) segments(ctx context.Context, a *Album) error {
	for _, m := range r.shown.reuse.Matches {
		if m.Verdict == reuse.Different {
			continue
		}
		threshold := r.shown.reuse.Threshold
		stretches := m.Segments
		if len(stretches) == 0 { // nothing was aligned, or the bytes are the same
			stretches = []reuse.Segment{{FromMS: m.FromMS, ToMS: m.ToMS, TheirFromMS: m.TheirFromMS, TheirToMS: m.TheirToMS, Transform: m.Transform, Pairs: m.Pairs}}
		}
		for _, g := range stretches {
			score := m.Score
			if g.Score > 0 {
				score = g.Score
			}
			s := report.Segment{
				Job: m.Job, FromMS: g.FromMS, ToMS: g.ToMS, TheirFromMS: g.TheirFromMS, TheirToMS: g.TheirToMS,
				TheirDurationMS: m.TheirDurationMS, Transform: g.Transform, Score: &score, Threshold: &threshold,
			}
			for _, p := range g.Pairs[:min(maxPairs, len(g.Pairs))] {
				theirs, err := r.History.Picture(ctx, m.Job, p.TheirMS)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if err != nil {
					theirs = nil
				}
				s.Pairs = append(s.Pairs, report.Pair{OurMS: p.OurMS, TheirMS: p.TheirMS, TheirJPEG: theirs})
			}
			a.Segments = append(a.Segments, s)
		}
	}
	return nil
}
