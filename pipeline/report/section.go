package report

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"onsite/pipeline"
)

// match is a stretch of an earlier clip beside the same stretch of this upload.
type match struct {
	Job         string
	Timed       bool // false for photos, and where only the content is alike: there is no stretch to draw
	Ours        string
	Theirs      string
	Transform   pipeline.Text
	Score, Need string
	// the two lanes of the alignment, in a box of 1000 x 56
	OurX, OurW, TheirX, TheirW string
	OurLane, TheirLane         string
	Band                       string
	Alt                        says
	Pairs                      []pair
}

type pair struct {
	Our, Their         template.URL
	OurAlt, TheirAlt   says
	OurTime, TheirTime string
	OurShot            shot
	HasOur, HasTheir   bool
}

func (b *builder) match(s Segment) match {
	ours := float64(max(b.in.Verdict.Media.DurationMS, s.ToMS, 1))
	theirs := float64(max(s.TheirDurationMS, s.TheirToMS, 1))
	long := math.Max(ours, theirs)
	x := func(ms float64) float64 { return 1000 * ms / long }
	w := func(v float64) string { return coord(math.Max(v, 3)) } // a very short stretch stays visible
	o1, o2, t1, t2 := x(float64(s.FromMS)), x(float64(s.ToMS)), x(float64(s.TheirFromMS)), x(float64(s.TheirToMS))
	m := match{
		Job: clean(s.Job), Timed: s.ToMS > s.FromMS, Ours: span(s.FromMS, s.ToMS), Theirs: span(s.TheirFromMS, s.TheirToMS), Transform: transform(s.Transform),
		OurX: coord(o1), OurW: w(o2 - o1), TheirX: coord(t1), TheirW: w(t2 - t1), OurLane: coord(x(ours)), TheirLane: coord(x(theirs)),
		Band: fmt.Sprintf("%s,18 %s,18 %s,38 %s,38", coord(o1), coord(o2), coord(t2), coord(t1)),
	}
	m.Alt = b.says(pipeline.Text{
		EN: fmt.Sprintf("%s of this upload corresponds to %s of %s", m.Ours, m.Theirs, m.Job),
		ZH: fmt.Sprintf("本次提交的 %s 对应 %s 的 %s", m.Ours, m.Job, m.Theirs),
	})
	if s.Score != nil {
		m.Score = number(*s.Score)
	}
	if s.Threshold != nil {
		m.Need = number(*s.Threshold)
	}
	for _, p := range s.Pairs {
		m.Pairs = append(m.Pairs, b.pair(p, m.Job))
	}
	return m
}

func (b *builder) pair(p Pair, job string) pair {
	out := pair{OurTime: clock(p.OurMS), TheirTime: clock(p.TheirMS)}
	out.OurAlt = b.says(pipeline.Text{EN: "This upload at " + out.OurTime, ZH: "本次提交，" + out.OurTime})
	out.TheirAlt = b.says(pipeline.Text{EN: job + " at " + out.TheirTime, ZH: job + "，" + out.TheirTime})
	if len(p.TheirJPEG) > 0 {
		out.HasTheir, out.Their = true, data(p.TheirJPEG)
	}
	if len(p.OurJPEG) > 0 {
		out.HasOur, out.Our = true, data(p.OurJPEG)
	} else if k, ok := b.nearest(p.OurMS); ok {
		out.OurShot = b.picture(k, nil, smallLabel)
	} else {
		out.OurShot = shot{Missing: true}
	}
	return out
}

// nearest is the keyframe with a picture that lies nearest to a time.
func (b *builder) nearest(ms int64) (int, bool) {
	best, found, far := 0, false, int64(math.MaxInt64)
	for _, k := range b.in.Verdict.Media.Keyframes {
		d := k.PTSMS - ms
		if d < 0 {
			d = -d
		}
		if b.shots[k.Index] != "" && d < far {
			best, found, far = k.Index, true, d
		}
	}
	return best, found
}

// element is one thing that the site should show, with its reference and where it was seen.
type element struct {
	Kind    pipeline.Text
	Name    string
	Outcome outcome
	Ref     *shot
	Seen    *shot
	Where   pipeline.Text // where it was seen when that picture is not in the page
	Wanted  string
	Read    string
	Sign    bool
	Score   string
	Need    string
	Note    pipeline.Text
}

func (b *builder) element(e Element) element {
	out := element{Kind: label(string(e.Kind)), Name: clean(e.Name), Outcome: outcomeOf(e.Outcome), Sign: e.Kind == ElementSign, Note: cleanText(e.Note)}
	i, ok := b.refs[e.Reference]
	if !ok || e.Reference == "" { // nothing matched: show what was looked for
		if of := b.ofKind(string(e.Kind), 1); len(of) > 0 {
			i, ok = of[0], true
		}
	}
	if ok {
		s := b.reference(i)
		out.Ref = &s
	}
	if e.Keyframe != nil {
		s := b.picture(*e.Keyframe, []Mark{{Box: e.Box, Outline: e.Outline, Good: e.Outcome == pipeline.Pass, Label: label(string(e.Kind))}}, smallLabel)
		if !s.Missing {
			s.Anchor = fmt.Sprintf("view-%d", *e.Keyframe)
			out.Seen = &s
		} else {
			out.Where = s.Caption
		}
	}
	names := make([]string, len(e.Wanted))
	for i, n := range e.Wanted {
		names[i] = "“" + clean(n) + "”"
	}
	out.Wanted, out.Read = strings.Join(names, " / "), clean(e.Read)
	if e.Score != nil {
		out.Score = number(*e.Score)
	}
	if e.Threshold != nil {
		out.Need = number(*e.Threshold)
	}
	return out
}

// ofKind lists up to n references of a kind.
func (b *builder) ofKind(kind string, n int) []int {
	var out []int
	for i, r := range b.in.References {
		if r.Kind == kind && len(out) < n {
			out = append(out, i)
		}
	}
	return out
}

// timeline is what happens over the clip; positions are percent of its length.
type timeline struct {
	Axis    []tick
	Frames  []tick
	Changes []tick
	People  []stretch
	Spans   []stretch
	Motion  string // polygon in a box of 1000 x 100
	HasMove bool
	Alt     says
}

type tick struct {
	X      string
	Label  string
	Anchor string // of its alignment: start, middle, end
	Link   string
}

type stretch struct {
	X, W  string
	Label pipeline.Text
	Times string
	Good  bool
	Alt   says
}

func (b *builder) timeline() *timeline {
	v, in := b.in.Verdict, b.in.Timeline
	length := in.DurationMS
	if length <= 0 {
		length = v.Media.DurationMS
	}
	if length <= 0 || v.Media.Kind == "photo" || (len(v.Media.Keyframes) == 0 && len(in.Motion) == 0) {
		return nil
	}
	at := func(ms int64) string { return percent(float64(ms), float64(length)) }
	t := &timeline{Alt: b.says(word("tl_motion"))}
	step := axisStep(length)
	for ms := int64(0); ms <= length; ms += step {
		k := tick{X: at(ms), Label: seconds(ms), Anchor: "middle"}
		if ms == 0 {
			k.Anchor = "start"
		} else if float64(ms) > 0.96*float64(length) {
			k.Anchor = "end"
		}
		t.Axis = append(t.Axis, k)
	}
	for _, k := range v.Media.Keyframes {
		x := tick{X: at(k.PTSMS), Label: clock(k.PTSMS)}
		if b.shots[k.Index] != "" {
			x.Link = fmt.Sprintf("#view-%d", k.Index)
		}
		t.Frames = append(t.Frames, x)
	}
	for _, ms := range in.SceneChanges {
		t.Changes = append(t.Changes, tick{X: at(ms), Label: clock(ms)})
	}
	lane := func(all []Span) []stretch {
		var out []stretch
		for i, s := range all {
			if slices.Contains(all[:i], s) { // two signs of one moment
				continue
			}
			from, to := max(s.FromMS, 0), min(s.ToMS, length)
			x := stretch{X: at(from), W: percent(math.Max(float64(to-from), float64(length)/200), float64(length)), Label: cleanText(s.Label), Times: span(s.FromMS, s.ToMS), Good: s.Good}
			x.Alt = b.says(pipeline.Text{EN: x.Label.EN + " " + x.Times, ZH: x.Label.ZH + " " + x.Times})
			out = append(out, x)
		}
		return out
	}
	t.People, t.Spans = lane(in.People), lane(in.Spans)
	t.Motion, t.HasMove = curve(in.Motion, length)
	return t
}

// axisStep is a round number of milliseconds that gives at most eight labels.
func axisStep(length int64) int64 {
	for _, s := range []int64{500, 1000, 2000, 5000, 10_000, 20_000, 30_000, 60_000, 120_000} {
		if length/s <= 8 {
			return s
		}
	}
	return length
}

func seconds(ms int64) string {
	if ms%1000 == 0 {
		return fmt.Sprintf("%d:%02d", ms/60_000, ms/1000%60)
	}
	return clock(ms)
}

// curve is the area under the motion levels. Gaps of more than a second, where no motion was measured, fall to the ground.
func curve(levels []Level, length int64) (string, bool) {
	const gap = 1000
	var sb strings.Builder
	put := func(ms int64, v float64) {
		// The square root lifts small movements: a person who sits still must look different from a still picture.
		fmt.Fprintf(&sb, "%s,%s ", coord(1000*float64(ms)/float64(length)), coord(100-96*math.Sqrt(clamp(v, 0, 1))))
	}
	for i, l := range levels {
		if math.IsNaN(l.Value) {
			continue
		}
		if i == 0 || l.AtMS-levels[i-1].AtMS > gap {
			if i > 0 {
				put(levels[i-1].AtMS, 0)
			}
			put(l.AtMS, 0)
		}
		put(l.AtMS, l.Value)
		if i == len(levels)-1 {
			put(l.AtMS, 0)
		}
	}
	return strings.TrimSpace(sb.String()), len(levels) > 1
}
