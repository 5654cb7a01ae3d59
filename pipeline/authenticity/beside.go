package authenticity

import "onsite/pipeline"

// beside gives the last keyframe up to a moment, or before it where the moment is that of the first picture behind the place, and the first one
// from another on (seconds), for a person to compare: keyframes are a second apart, so they need not touch the place.
func (c *checker) beside(from, to float64) (out []pipeline.Evidence) {
	const tick = 1e-3 // times of pictures are rounded
	if from == to {
		from -= 2 * tick
	}
	before, behind := -1, -1
	for i, f := range c.clip.Frames {
		switch at := f.PTS.Seconds(); {
		case at <= from+tick:
			before = i
		case at >= to-tick && behind < 0:
			behind = i
		}
	}
	for _, k := range []struct {
		at    int
		label string
	}{
		{before, pipeline.LabelBefore}, {behind, pipeline.LabelBehind},
	} {
		if k.at >= 0 {
			index := c.clip.Frames[k.at].Index
			out = append(out, pipeline.Evidence{Kind: "keyframe", Keyframe: &index, Label: k.label})
		}
	}
	return out
}
