package verify

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/pipeline/report"
	"onsite/pipeline/reuse"
	"onsite/pipeline/scene"
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
		if e.Outcome == pipeline.NotChecked {
			e.Score, e.Threshold = nil, nil
		}
		e.Note = elementNote(s)
		out = append(out, e)
	}
	for _, a := range r.shown.scene.Against {
		score, threshold := a.Score, a.Threshold
		e := report.Element{
			Kind: report.ElementElsewhere, Name: a.Reference + a.Name, Outcome: pipeline.Fail, Reference: a.Reference, Keyframe: a.Keyframe,
			Box: a.Box, Outline: a.Outline, Read: a.Read, Score: &score, Threshold: &threshold,
		}
		if a.Means == scene.ByHead {
			e.Outcome = pipeline.Uncertain
		}
		by := policy.SceneWord(string(a.Means))
		e.Note = pipeline.Text{EN: "by " + by.EN, ZH: "方式：" + by.ZH}
		out = append(out, e)
	}
	return out
}

// elementNote says by which means an element was seen, how surely, and what else is known of it.
func elementNote(s scene.Seen) pipeline.Text {
	var en, zh []string
	add := func(e, z string) { en, zh = append(en, e), append(zh, z) }
	if s.Means != "" {
		by := policy.SceneWord(string(s.Means))
		add("by "+by.EN, "方式："+by.ZH)
	}
	if s.Sure != "" {
		sure := policy.SceneWord(string(s.Sure))
		add("certainty "+sure.EN, "把握："+sure.ZH)
	}
	if s.Object != "" {
		add("seen as "+s.Object, "识别为 "+s.Object)
	}
	if n := s.Agree + s.Differ; n > 0 {
		add(fmt.Sprintf("%d of %d parts show the same", s.Agree, n), fmt.Sprintf("%d 个部分中 %d 个一致", n, s.Agree))
	}
	if s.Covered > 0 {
		add(fmt.Sprintf("%d parts are hidden", s.Covered), fmt.Sprintf("%d 个部分被遮挡", s.Covered))
	}
	if s.Mirrored {
		add("seen mirrored", "画面左右镜像")
	}
	if s.Why != "" {
		why := policy.Why(s.Why)
		add(why.EN, why.ZH)
	}
	switch {
	case s.ValidFrom != "" && s.ValidTo != "":
		add("valid "+s.ValidFrom+" to "+s.ValidTo, "有效期 "+s.ValidFrom+" 至 "+s.ValidTo)
	case s.ValidTo != "":
		add("valid until "+s.ValidTo, "有效期至 "+s.ValidTo)
	case s.ValidFrom != "":
		add("valid from "+s.ValidFrom, "有效期自 "+s.ValidFrom)
	}
	for _, l := range []struct {
		en, zh string
		what   []string
	}{{"belongs to ", "属于 ", s.Elsewhere}, {"dates on it: ", "其上日期：", s.Dates}, {"prices on it: ", "其上价格：", s.Prices}} {
		if len(l.what) > 0 {
			add(l.en+strings.Join(l.what, ", "), l.zh+strings.Join(l.what, "、"))
		}
	}
	return pipeline.Text{EN: strings.Join(en, " · "), ZH: strings.Join(zh, " · ")}
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
			t.Spans = append(t.Spans, report.Spans(f.Code, f.Evidence)...)
		}
	}
	return t
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
