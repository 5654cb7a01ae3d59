package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"onsite/pipeline"
	"onsite/pipeline/policy"
)

func clamp(v, lo, hi float64) float64 { return math.Max(lo, math.Min(v, math.Max(lo, hi))) }

func coord(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// marks are what the caller drew on a keyframe, or else what the reasons point to.
func (b *builder) marks(keyframe int) []Mark {
	var out []Mark
	for _, m := range b.in.Marks {
		if m.Keyframe == keyframe {
			out = append(out, m)
		}
	}
	if len(b.in.Marks) > 0 {
		return out
	}
	for _, r := range b.in.Verdict.Reasons {
		for _, e := range r.Evidence {
			if e.Keyframe != nil && *e.Keyframe == keyframe && (e.Box != nil || len(e.Outline) > 0) {
				out = append(out, Mark{Keyframe: keyframe, Box: e.Box, Outline: e.Outline, Label: label(e.Label)})
			}
		}
	}
	return out
}

// picture draws a keyframe with marks.
func (b *builder) picture(keyframe int, marks []Mark, size float64) shot {
	p, ok := b.pictures[keyframe]
	id := b.shots[keyframe]
	s := shot{ID: id, Caption: b.moment(keyframe), Missing: !ok || id == ""}
	if s.Missing {
		return s
	}
	s.View = fmt.Sprintf("0 0 %d %d", p.W, p.H)
	alt := b.moment(keyframe)
	s.Shapes = draw(marks, p.W, p.H, size)
	for _, sh := range s.Shapes {
		if sh.Label != (pipeline.Text{}) {
			alt = pipeline.Text{EN: alt.EN + ", " + sh.Label.EN, ZH: alt.ZH + "，" + sh.Label.ZH}
		}
	}
	s.Alt = b.says(alt)
	return s
}

// crop draws the part of a keyframe around a box, half as large again on each side.
func (b *builder) crop(keyframe int, box pipeline.Box) shot {
	s := b.picture(keyframe, nil, smallLabel)
	p, ok := b.pictures[keyframe]
	if s.Missing || !ok || box.W < 1 || box.H < 1 {
		return s
	}
	side := 1.6 * math.Max(float64(box.W), float64(box.H))
	side = math.Min(side, math.Min(float64(p.W), float64(p.H)))
	x := clamp(float64(box.X)+float64(box.W)/2-side/2, 0, float64(p.W)-side)
	y := clamp(float64(box.Y)+float64(box.H)/2-side/2, 0, float64(p.H)-side)
	s.View = fmt.Sprintf("%s %s %s %s", coord(x), coord(y), coord(side), coord(side))
	return s
}

// moment says which picture it is and when it was seen.
func (b *builder) moment(keyframe int) pipeline.Text {
	if b.in.Verdict.Media.Kind == "photo" {
		return word("photo")
	}
	for _, k := range b.in.Verdict.Media.Keyframes {
		if k.Index == keyframe {
			return same(clock(k.PTSMS))
		}
	}
	n := word("keyframe")
	return pipeline.Text{EN: fmt.Sprintf("%s %d", n.EN, keyframe), ZH: fmt.Sprintf("%s %d", n.ZH, keyframe)}
}

// keyframes draws all of them with labels of one size; portrait says that they stand upright.
func (b *builder) keyframes(size float64) (out []shot, portrait bool) {
	for _, p := range b.in.Pictures {
		s := b.picture(p.Keyframe, b.marks(p.Keyframe), size)
		if s.Missing {
			continue
		}
		portrait = portrait || p.H > p.W
		s.Anchor = fmt.Sprintf("view-%d", p.Keyframe)
		out = append(out, s)
	}
	for i := range out {
		out[i].Prev, out[i].Next = out[(i+len(out)-1)%len(out)].Anchor, out[(i+1)%len(out)].Anchor
	}
	return out, portrait
}

// reference draws a reference picture by its index.
func (b *builder) reference(i int) shot {
	r := b.in.References[i]
	text := r.Label
	if text == (pipeline.Text{}) {
		text = same(r.Name)
	}
	s := shot{ID: fmt.Sprintf("r%d", i), View: fmt.Sprintf("0 0 %d %d", r.W, r.H), Alt: b.says(text), Caption: cleanText(text)}
	s.Missing = len(r.JPEG) == 0 || r.W < 1 || r.H < 1
	return s
}

func (b *builder) enrolled() []shot {
	var out []shot
	for i, r := range b.in.References {
		if r.Kind == RefFace {
			out = append(out, b.reference(i))
		}
	}
	return out
}

// most pictures of one reason; the keyframes' section has the rest.
const mostShots = 3

func (b *builder) reason(r pipeline.Reason) reason {
	out := reason{Text: cleanText(r.Text), Code: clean(string(r.Code)), Check: policy.CheckTitle(r.Check), Outcome: outcomeOf(outcomeBehind(r, b.in.Verdict.Checks[r.Check]))}
	named := map[int]bool{}
	person := r.Check == pipeline.CheckFace || r.Check == pipeline.CheckLiveness
	several := r.Code == pipeline.SeveralPeople
	groups := b.group(r.Evidence)
	for _, g := range pick(groups, mostShots) {
		out.Shots = append(out.Shots, b.evidenceShot(r.Check, g, person && !several))
	}
	out.More = len(groups) - len(out.Shots)
	for _, e := range r.Evidence {
		if i, ok := b.refs[e.Reference]; ok && e.Reference != "" && b.in.References[i].Kind != RefFace && !named[i] {
			named[i] = true
			out.Refs = append(out.Refs, b.reference(i))
		}
		if line, ok := evidenceLine(e); ok {
			out.Lines = append(out.Lines, line)
		}
	}
	if fromSigns(r) {
		for _, n := range notes(r.Check, b.in.Verdict.Checks[r.Check]) {
			out.Lines = append(out.Lines, cleanText(n))
		}
	}
	out.RefsAre = word("reference")
	if r.Code == pipeline.FaceMismatch || r.Code == pipeline.FaceUncertain {
		out.Refs, out.RefsAre = b.enrolled(), word("enrolled")
		b.compared = true
	}
	if kind, ok := soughtKind[r.Code]; ok && len(out.Refs) == 0 {
		for _, i := range b.ofKind(string(kind), 2) {
			out.Refs = append(out.Refs, b.reference(i))
		}
	}
	if r.Check == pipeline.CheckReuse {
		out.Pairs = b.pairsOf(r.Evidence)
	}
	switch {
	case r.Check == pipeline.CheckReuse && len(b.in.Segments) > 0:
		out.Link, out.LinkTo = "#matched", word("matched")
	case r.Check == pipeline.CheckPlace && b.in.Ground != nil:
		out.Link, out.LinkTo = "#where", word("where")
	case r.Check == pipeline.CheckScene && len(b.in.Elements) > 0:
		out.Link, out.LinkTo = "#place", word("place")
	case out.More > 0 && len(b.in.Pictures) > 0:
		out.Link, out.LinkTo = "#keyframes", word("keyframes")
	}
	return out
}

// soughtKind is what was looked for and not found, so that the reader can look, too.
var soughtKind = map[pipeline.Code]pipeline.ReferenceKind{
	pipeline.LogoMissing: pipeline.RefLogo, pipeline.StorefrontMismatch: pipeline.RefStorefront, pipeline.PosterMissing: pipeline.RefPoster, pipeline.DeskMissing: pipeline.RefDesk,
	pipeline.PosterDiffers: pipeline.RefPoster, pipeline.CabinetMissing: pipeline.RefCabinet, pipeline.RoomMissing: pipeline.RefRoom, pipeline.SignNotRead: pipeline.RefSign,
}

// pairsOf gives two moments of the matched footage that the evidence names.
func (b *builder) pairsOf(all []pipeline.Evidence) []pair {
	for _, e := range all {
		for _, s := range b.in.Segments {
			if s.Job != e.Job || len(s.Pairs) == 0 {
				continue
			}
			shown := slices.DeleteFunc(slices.Clone(s.Pairs), func(p Pair) bool { return len(p.TheirJPEG) == 0 })
			var out []pair
			for _, p := range pick(shown, 2) {
				out = append(out, b.pair(p, clean(s.Job)))
			}
			return out
		}
	}
	return nil
}

// group joins evidence of the same keyframe, in the order in which keyframes come.
func (b *builder) group(all []pipeline.Evidence) [][]pipeline.Evidence {
	var out [][]pipeline.Evidence
	at := map[int]int{}
	for _, e := range all {
		if e.Keyframe == nil || b.shots[*e.Keyframe] == "" {
			continue
		}
		i, ok := at[*e.Keyframe]
		if !ok {
			i = len(out)
			at[*e.Keyframe] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], e)
	}
	return out
}

// pick takes n of a list, spread evenly over it, the first always among them.
func pick[T any](all []T, n int) []T {
	if len(all) <= n {
		return all
	}
	out := make([]T, n)
	for i := range n {
		out[i] = all[i*(len(all)-1)/(n-1)]
	}
	return out
}

func (b *builder) evidenceShot(check pipeline.CheckName, g []pipeline.Evidence, closeUp bool) shot {
	e := g[0]
	var s shot
	if closeUp && e.Box != nil && len(g) == 1 {
		s = b.crop(*e.Keyframe, *e.Box)
	} else {
		marks := make([]Mark, len(g))
		for i, x := range g {
			marks[i] = Mark{Box: x.Box, Outline: x.Outline, Label: label(x.Label)}
		}
		s = b.picture(*e.Keyframe, marks, smallLabel)
	}
	s.Anchor = fmt.Sprintf("view-%d", *e.Keyframe)
	switch e.Label {
	case pipeline.LabelBefore, pipeline.LabelBehind, pipeline.LabelShown, pipeline.LabelAgain, pipeline.LabelStands, pipeline.LabelStill:
		s.Sub = label(e.Label)
		if e.FromMS != nil { // keyframes need not lie on the moment itself
			s.Sub.EN, s.Sub.ZH = s.Sub.EN+" at "+clock(*e.FromMS), s.Sub.ZH+" "+clock(*e.FromMS)
		}
		s.Alt = b.says(pipeline.Text{EN: s.Caption.EN + ", " + s.Sub.EN, ZH: s.Caption.ZH + "，" + s.Sub.ZH})
	}
	if e.Score != nil {
		s.Sub = pipeline.Text{EN: "score " + number(*e.Score), ZH: "得分 " + number(*e.Score)}
		if check == pipeline.CheckLiveness { // a vote of the single-frame model; the check weighs them with what moves
			s.Sub = pipeline.Text{EN: "model: live " + number(*e.Score), ZH: "模型：真人 " + number(*e.Score)}
		}
	}
	return s
}

// evidenceLine says evidence in words where a picture alone does not: a stretch of time, a text that was read.
func evidenceLine(e pipeline.Evidence) (pipeline.Text, bool) {
	if e.Kind == "fact" && (e.FromMS == nil || e.Read != "") {
		read, label := pipeline.Text{EN: e.Read, ZH: e.Read}, clean(e.Label)
		if e.Text != nil {
			read = *e.Text
		}
		return pipeline.Text{EN: "Proof: " + clean(read.EN) + " (" + label + ")", ZH: "依据：" + clean(read.ZH) + "（" + label + "）"}, read.EN != ""
	}
	if e.Read != "" && e.Kind != "fact" {
		read := clean(e.Read)
		return pipeline.Text{EN: "Read in the picture: “" + read + "”", ZH: "画面中读到：“" + read + "”"}, true
	}
	if e.FromMS == nil || e.ToMS == nil {
		return pipeline.Text{}, false
	}
	ours := span(*e.FromMS, *e.ToMS)
	en, zh := ours, ours
	if e.TheirFromMS != nil {
		theirs := clock(*e.TheirFromMS)
		if e.TheirToMS != nil {
			theirs = span(*e.TheirFromMS, *e.TheirToMS)
		}
		switch job := clean(e.Job); {
		case job != "":
			en, zh = fmt.Sprintf("%s here is %s of “%s”", ours, theirs, job), fmt.Sprintf("本次 %s 对应“%s”的 %s", ours, job, theirs)
		default:
			en, zh = fmt.Sprintf("%s returns at %s", ours, theirs), fmt.Sprintf("%s 的画面在 %s 再次出现", ours, theirs)
		}
	}
	if t := transform(e.Transform); t != (pipeline.Text{}) {
		en, zh = en+", "+t.EN, zh+"，"+t.ZH
	}
	return pipeline.Text{EN: en, ZH: zh}, true
}
