package scene

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

// result says what became of every wanted element.
func (s *search) result(want []Element) Result {
	res := Result{Words: s.words, Mirrored: s.mirrored, Spent: s.spent, Frames: []int{}, Against: s.against(), Objects: s.measures.sightings(), Views: s.measures.views()}
	for _, f := range s.looked {
		res.Frames = append(res.Frames, f.Index)
	}
	for _, e := range want {
		switch {
		case e == Sign:
			res.Elements = append(res.Elements, s.signSeen())
		case e == Room:
			res.Elements = append(res.Elements, s.roomSeen())
		case objectsOf[e] != nil:
			res.Elements = append(res.Elements, s.objectSeen(e))
		default:
			res.Elements = append(res.Elements, s.planeSeen(e))
		}
	}
	return res
}

// planeSeen is the outcome of an element that references show.
func (s *search) planeSeen(e Element) Seen {
	out := Seen{Element: e, Means: ByReference, Threshold: float64(s.cfg.Inliers)}
	b := s.best[e]
	period, over := s.over()
	switch {
	case !s.site.pictures(e):
		return Seen{Element: e, Outcome: pipeline.NotChecked, Why: WhyNoReference}
	case e == Poster && b.found && over:
		// What was read may be wrong or mean something else: against days that are enrolled, and hold, it raises a doubt.
		if out.Outcome, out.Why, out.Read = pipeline.Fail, WhyOver, period.Text; !period.Sure || !b.ref.from.IsZero() || !b.ref.to.IsZero() {
			out.Outcome = pipeline.Uncertain
		}
	case b.found:
		if out.Outcome = pipeline.Pass; b.Inliers < s.cfg.Inliers {
			out.Why = WhyConfirmed
		}
	case e == Poster && s.outdated.found:
		out.Outcome, out.Why, b = pipeline.Fail, WhyOutdated, s.outdated
	case s.differs[e].differs:
		b = s.differs[e]
		if out.Outcome, out.Why = pipeline.Uncertain, WhyDiffers; e == Poster && b.content.share() >= surelyOther {
			out.Outcome = pipeline.Fail
		}
	case e == Poster && !slices.ContainsFunc(s.site.refs, func(r reference) bool { return r.element == Poster && r.wantedAt(s.at) }):
		return Seen{Element: e, Outcome: pipeline.NotChecked, Why: WhyNoPoster}
	case b.Inliers >= s.cfg.DoubtInliers:
		out.Outcome, out.Why = pipeline.Uncertain, WhyNearly
	case s.blind():
		out.Outcome, out.Why = pipeline.Uncertain, WhyDetail
	case e == Desk || e == Room || e == Cabinet:
		out.Outcome, out.Why = pipeline.Uncertain, WhyAngle
	default:
		out.Outcome = pipeline.Fail
	}
	out.Score = float64(b.Inliers)
	if b.ref == nil || (b.Inliers < s.cfg.DoubtInliers && !b.found) {
		return out // a handful of points is no evidence: no outline is shown
	}
	out.Reference, out.Coverage, out.Mirrored, out.Outline = b.ref.name, b.Coverage, b.Mirrored, b.Outline
	out.Agree, out.Differ, out.Covered, out.Sure = b.content.Agree, b.content.Differ, b.content.Covered, b.sure(s.cfg)
	out.Keyframe, out.AtMS = when(b.frame)
	box := boundsOf(b.Outline, b.frame.Image.Cols(), b.frame.Image.Rows())
	out.Box = &box
	if e == Poster {
		out.ValidFrom, out.ValidTo = day(b.ref.from), day(b.ref.to)
		if !b.ref.here {
			out.Elsewhere = b.ref.sites
		}
		for _, p := range s.periods {
			out.Dates = append(out.Dates, p.Text)
		}
		for _, p := range s.prices {
			out.Prices = append(out.Prices, p.Text)
		}
	}
	return out
}

// surelyOther is the share of differing parts from which a poster of the same design is another one for sure; TestContentOnEval has the table.
const surelyOther = 0.2

// sure says how sure a sight is.
func (s sight) sure(cfg Config) Certainty {
	switch {
	case s.Inliers >= 2*cfg.Inliers && s.content.Agree >= confirmTiles && s.content.share() <= cfg.Differs:
		return High
	case s.Inliers >= cfg.Inliers:
		return Medium
	}
	return Low
}

// signSeen is the outcome of the site's sign: its picture, or one of its names.
func (s *search) signSeen() Seen {
	pictured := s.planeSeen(Sign)
	if len(s.site.names) == 0 || pictured.Outcome == pipeline.Pass {
		return pictured
	}
	n := s.site.names[0].raw
	if s.sign.name != "" {
		n = s.sign.name
	}
	out := Seen{Element: Sign, Means: ByText, Wanted: n, Outcome: pipeline.Fail, Score: s.sign.similarity, Threshold: s.threshold(n)}
	switch {
	case s.sign.found:
		out.Outcome, out.Sure = pipeline.Pass, Medium
		if s.sign.similarity > 1-1e-9 {
			out.Sure = High
		}
	case s.sign.doubt:
		out.Outcome, out.Why, out.Sure = pipeline.Uncertain, WhyNearly, Low
	case pictured.Outcome == pipeline.Uncertain:
		return pictured
	case s.blind() && len(s.words) == 0:
		out.Outcome, out.Why = pipeline.Uncertain, WhyDetail
	}
	if !s.sign.found && !s.sign.doubt {
		return out
	}
	out.Read = s.sign.read
	out.Keyframe, out.AtMS = when(s.signAt)
	out.Box, out.Outline, out.Mirrored = s.sign.place(s.signAt)
	return out
}

func when(f media.Frame) (*int, *int64) {
	i, ms := f.Index, f.PTS.Milliseconds()
	return &i, &ms
}

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(dayForm)
}

// check turns the elements into the outcome of the whole check with its findings.
func (s *search) check(res Result) pipeline.Check {
	c := pipeline.Check{Frames: len(s.looked), Detail: map[string]any{"elements": res.Elements, "mirrored": res.Mirrored, "words": texts(res.Words)}}
	if len(res.Objects) > 0 {
		c.Detail["objects"] = res.Objects
	}
	if len(res.Against) > 0 {
		c.Detail["against"] = res.Against
	}
	if s.room.around != (leftOut{}) {
		c.Detail["other_rooms_left_out"] = s.room.around
	}
	var count struct{ all, pass, fail, uncertain, not int }
	for _, e := range res.Elements {
		if s.cfg.Want == nil && e.Why == WhyNoPoster {
			continue // between two campaigns nothing is wanted; only an explicit wish counts
		}
		count.all++
		switch e.Outcome {
		case pipeline.Pass:
			count.pass++
		case pipeline.Fail:
			count.fail++
		case pipeline.Uncertain:
			count.uncertain++
		default:
			count.not++
		}
		if e.Means == ByReference {
			d := e.Score - e.Threshold
			c.Near = c.Near || (d >= -1 && d <= 1)
		}
		if e.Outcome != pipeline.Pass {
			c.Findings = append(c.Findings, s.finding(e, res))
		}
	}
	for _, a := range res.Against {
		f := a.finding()
		if c.Findings = append(c.Findings, f); f.Outcome == pipeline.Fail {
			count.fail++
		} else {
			count.uncertain++
		}
	}
	score, threshold := float64(count.pass)/float64(max(1, count.all)), 1.0
	c.Score, c.Threshold = &score, &threshold
	switch {
	case count.all == 0 && len(res.Against) == 0:
		c.Outcome, c.Why, c.Score, c.Threshold = pipeline.NotChecked, WhyNoPoster, nil, nil
	case count.fail > 0:
		c.Outcome = pipeline.Fail
	case count.uncertain > 0:
		c.Outcome = pipeline.Uncertain
	case count.not > 0 && count.pass == 0:
		c.Outcome, c.Why, c.Findings, c.Score, c.Threshold = pipeline.NotChecked, res.Elements[0].Why, nil, nil, nil
	case count.not > 0:
		c.Outcome = pipeline.Uncertain
	default:
		c.Outcome = pipeline.Pass
	}
	return c
}

// texts lists the distinct texts that were read, the surest first come first.
func texts(words []Word) []string {
	out := []string{}
	for _, w := range words {
		if w.Confidence >= doubtConfidence && len(out) < wordsInDetail && !slices.Contains(out, w.Text) {
			out = append(out, w.Text)
		}
	}
	return out
}

// finding is the reason for an element that was not seen for sure. It never claims another place: absence says nothing about that.
func (s *search) finding(e Seen, res Result) pipeline.Finding {
	f := pipeline.Finding{Code: missing[e.Element], Outcome: e.Outcome, Args: map[string]string{}}
	set := func(k, v string) {
		if v != "" {
			f.Args[k] = v
		}
	}
	if e.Outcome == pipeline.NotChecked {
		f.Code, f.Outcome = pipeline.NotCheckedWanted, pipeline.Uncertain
		set("element", string(e.Element))
		set("why", e.Why)
		return f
	}
	switch e.Why {
	case WhyOutdated, WhyOver:
		f.Code = pipeline.PosterOutdated
		if e.ValidFrom != "" && s.at.Format(dayForm) < e.ValidFrom { // it hangs too early: when it starts is what matters
			set("from", e.ValidFrom)
		} else if e.Why == WhyOutdated {
			set("until", e.ValidTo)
		}
		if e.Why == WhyOver {
			set("read", e.Read)
		}
		set("elsewhere", strings.Join(e.Elsewhere[:min(3, len(e.Elsewhere))], ", "))
	case WhyDiffers:
		if e.Element == Poster {
			f.Code = pipeline.PosterDiffers
			if e.Differ > 0 { // what tells two posters apart may be hidden
				set("differ", strconv.Itoa(e.Differ))
				set("tiles", strconv.Itoa(e.Agree+e.Differ))
			}
		}
	}
	if e.Element == Sign {
		set("wanted", e.Wanted)
		set("read", e.Read)
		if e.Read == "" {
			set("read", strings.Join(texts(res.Words)[:min(3, len(texts(res.Words)))], " / "))
		}
	} else {
		set("name", s.nameOf(e))
	}
	if e.Keyframe == nil {
		// What was looked at: the sharpest frame stands for all.
		if len(res.Frames) > 0 {
			i := res.Frames[0]
			f.Evidence = append(f.Evidence, pipeline.Evidence{Kind: "keyframe", Keyframe: &i, Label: string(e.Element)})
		}
		return f
	}
	f.Evidence = append(f.Evidence, e.Evidence())
	return f
}

// nameOf is the reference that a reason names: the one that was seen, or the only valid one of its kind.
func (s *search) nameOf(e Seen) string {
	if e.Reference != "" {
		return e.Reference
	}
	name, n := "", 0
	for i := range s.site.refs {
		if r := &s.site.refs[i]; r.element == e.Element && r.wantedAt(s.at) {
			name = r.name
			n++
		}
	}
	if n == 1 {
		return name
	}
	return ""
}

// Evidence is the sight of an element in the form of a verdict's evidence: kind match for references, text for names, none without a keyframe.
func (e Seen) Evidence() pipeline.Evidence {
	score, threshold := e.Score, e.Threshold
	ev := pipeline.Evidence{Kind: "match", Keyframe: e.Keyframe, Box: e.Box, Outline: e.Outline, Reference: e.Reference, Label: string(e.Element),
		Read: e.Read, Score: &score, Threshold: &threshold}
	switch e.Means {
	case ByText:
		ev.Kind = "text"
	case ByObject:
		ev.Kind = "object"
	}
	if e.Mirrored {
		ev.Transform = "mirrored"
	}
	return ev
}
