package face

import (
	"fmt"
	"image"
	"strconv"

	"onsite/pipeline"
)

// add puts a finding into the check; the check's outcome becomes the worse of the two.
func (m *Matcher) add(check *pipeline.Check, f pipeline.Finding) {
	check.Findings = append(check.Findings, f)
	if f.Outcome == pipeline.Fail || check.Outcome == pipeline.Pass {
		check.Outcome = f.Outcome
	}
}

// scored is a finding about the score, with every compared frame as evidence.
func (m *Matcher) scored(code pipeline.Code, outcome pipeline.Outcome, r *Result) pipeline.Finding {
	f := pipeline.Finding{Code: code, Outcome: outcome, Args: map[string]string{
		"score": number(r.Score), "threshold": number(r.Threshold), "reject": number(r.Reject), "reference": r.Best,
	}}
	for i := range r.Compared {
		c := &r.Compared[i]
		e := keyframe(c.Index, c.Box, "face")
		e.Reference, e.Score, e.Threshold = r.Best, float(c.Score), float(r.Threshold)
		f.Evidence = append(f.Evidence, e)
	}
	return f
}

// severalPeople says who else stands in front: whose clip it is cannot be told. It is uncertain by itself; a mismatch of everybody in front stays one.
func (m *Matcher) severalPeople(check *pipeline.Check, found *Found, beside []int) {
	f := pipeline.Finding{Code: pipeline.SeveralPeople, Outcome: pipeline.Uncertain, Args: map[string]string{"people": strconv.Itoa(1 + len(beside))}}
	spot := found.Tracks[beside[0]].Spots[0]
	for _, s := range found.Tracks[beside[0]].Spots {
		if found.SubjectIn(s.Frame) != nil {
			spot = s
			break
		}
	}
	index := found.Frames[spot.Frame].Index
	if subject := found.SubjectIn(spot.Frame); subject != nil {
		f.Evidence = append(f.Evidence, keyframe(index, subject.Box, "face"))
	}
	for _, t := range beside {
		for _, s := range found.Tracks[t].Spots {
			if s.Frame == spot.Frame {
				f.Evidence = append(f.Evidence, keyframe(index, found.At(s).Box, "other_face"))
			}
		}
	}
	m.add(check, f)
}

// change is the finding that another person took the subject's place, proven by two frames.
func (m *Matcher) change(found *Found, outcome pipeline.Outcome, score float64, before, after Spot) pipeline.Finding {
	f := pipeline.Finding{Code: pipeline.FaceChanged, Outcome: outcome, Args: map[string]string{
		"score": number(score), "threshold": number(m.config.Threshold),
		"from_ms": strconv.FormatInt(found.Frames[before.Frame].PTS.Milliseconds(), 10),
		"to_ms":   strconv.FormatInt(found.Frames[after.Frame].PTS.Milliseconds(), 10),
	}}
	for _, s := range []Spot{before, after} {
		e := keyframe(found.Frames[s.Frame].Index, found.At(s).Box, "face")
		e.Score, e.Threshold = float(score), float(m.config.Threshold)
		f.Evidence = append(f.Evidence, e)
	}
	return f
}

// tooPoor says why the subject cannot be compared: the fault that most of its frames have.
func (m *Matcher) tooPoor(check *pipeline.Check, found *Found, r *Result, beside []int) {
	count := map[Fault]int{}
	var worst Fault
	var spot Spot
	usable := 0
	for _, s := range found.Tracks[r.Subject].Spots {
		fault := found.At(s).Quality.Fault
		if fault == FaultNone {
			usable++
			continue
		}
		count[fault]++
		if count[fault] > count[worst] || worst == FaultNone {
			worst, spot = fault, s
		}
	}
	args := map[string]string{"usable": strconv.Itoa(usable), "needed": strconv.Itoa(m.needed(found)), "fault": string(worst)}
	if worst == FaultNone { // good faces, but too few of them
		spot = found.Tracks[r.Subject].Spots[0]
		args["fault"] = "seldom"
		args["why_en"], args["why_zh"] = "it is in view in too few frames", "出现的画面太少"
		args["fix_en"], args["fix_zh"] = "stay in the picture for some seconds", "请在画面中停留几秒"
	} else {
		why, fix := m.explain(worst, found.At(spot), false)
		args["why_en"], args["why_zh"], args["fix_en"], args["fix_zh"] = why.EN, why.ZH, fix.EN, fix.ZH
	}
	m.add(check, pipeline.Finding{Code: pipeline.FaceLowQuality, Outcome: pipeline.Uncertain, Args: args,
		Evidence: []pipeline.Evidence{keyframe(found.Frames[spot.Frame].Index, found.At(spot).Box, "face")}})
	if len(beside) > 0 {
		m.severalPeople(check, found, beside)
	}
}

// detail is the check's detail in the verdict: numbers only, no vectors.
func (m *Matcher) detail(found *Found, r *Result) map[string]any {
	frames := make([]map[string]any, 0, len(r.Compared))
	for i := range r.Compared {
		c := &r.Compared[i]
		q := found.At(c.Spot).Quality
		frames = append(frames, map[string]any{
			"keyframe": c.Index, "pts_ms": c.PTS.Milliseconds(), "box": toBox(c.Box), "score": c.Score, "weight": c.Weight,
			"size": q.Size, "sharpness": q.Sharpness, "brightness": q.Brightness,
		})
	}
	seen := 0
	if r.Subject >= 0 {
		seen = len(found.Tracks[r.Subject].Spots)
	}
	out := map[string]any{
		"unit": "cosine", "reject": r.Reject, "people": r.People, "seen_frames": seen, "compared": frames,
		"references": r.References, "reference": r.Best, "agreement": r.Agreement,
	}
	if r.left > 0 {
		out["stopped_early"] = map[string]any{"frames_not_compared": r.left}
	}
	return out
}

func firstFrame(found *Found) []pipeline.Evidence {
	index := found.Frames[len(found.Frames)/2].Index
	return []pipeline.Evidence{{Kind: "keyframe", Keyframe: &index}}
}

func keyframe(index int, r image.Rectangle, label string) pipeline.Evidence {
	box := toBox(r)
	return pipeline.Evidence{Kind: "keyframe", Keyframe: &index, Box: &box, Label: label}
}

func toBox(r image.Rectangle) pipeline.Box {
	return pipeline.Box{X: r.Min.X, Y: r.Min.Y, W: r.Dx(), H: r.Dy()}
}

func float(x float64) *float64 { return &x }

func number(x float64) string { return fmt.Sprintf("%.3f", x) }
