package report

import "onsite/pipeline"

// Spans gives the stretches of the clip that evidence of a code points to, for the timeline.
func Spans(code pipeline.Code, evidence []pipeline.Evidence) (out []Span) {
	for _, e := range evidence {
		if e.FromMS != nil && e.ToMS != nil {
			out = append(out, Span{FromMS: *e.FromMS, ToMS: *e.ToMS, Label: spanLabel(code, e.Label)})
		}
	}
	return out
}

// Segments gives the stretches of earlier footage that evidence names, without its pictures: these are not in a verdict.
func Segments(evidence []pipeline.Evidence) (out []Segment) {
	at := func(ms *int64) int64 {
		if ms == nil {
			return 0
		}
		return *ms
	}
	for _, e := range evidence {
		if e.Kind == "segment" && e.Job != "" {
			out = append(out, Segment{Job: e.Job, FromMS: at(e.FromMS), ToMS: at(e.ToMS), TheirFromMS: at(e.TheirFromMS), TheirToMS: at(e.TheirToMS),
				Transform: e.Transform, Score: e.Score, Threshold: e.Threshold})
		}
	}
	return out
}

// spanLabel is a word or two for a stretch: the page has little room. Codes without words of their own say what was marked.
func spanLabel(c pipeline.Code, mark string) pipeline.Text {
	switch c {
	case pipeline.FootageReused:
		return pipeline.Text{EN: "seen before", ZH: "曾出现过"}
	case pipeline.ReplayedWithinClip:
		return pipeline.Text{EN: "repeated", ZH: "重复"}
	case pipeline.StreamAltered:
		return pipeline.Text{EN: "cut or stopped", ZH: "剪接或停顿"}
	case pipeline.SameContent:
		return pipeline.Text{EN: "same content", ZH: "内容相同"}
	case pipeline.StaticImage, pipeline.FrozenPart:
		return pipeline.Text{EN: "no movement", ZH: "无动态"}
	default:
		return label(mark)
	}
}
