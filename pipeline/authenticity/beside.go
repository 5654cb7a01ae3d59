package authenticity

import (
	"math"

	"onsite/pipeline"
)

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
	if before >= 0 {
		out = append(out, c.keyframe(before, pipeline.LabelBefore))
	}
	if behind >= 0 {
		out = append(out, c.keyframe(behind, pipeline.LabelBehind))
	}
	return out
}

// again gives a keyframe of the stretch from..to (seconds) of a repeat and the one nearest to the moment at which it returns, of all such pairs the
// one that is nearest; none where no keyframe is within nearRepeat of it.
func (c *checker) again(p *repeat, from, to float64) []pipeline.Evidence {
	a, b, off := -1, -1, nearRepeat
	for i, f := range c.clip.Frames {
		at := f.PTS.Seconds()
		if at < from || at > to {
			continue
		}
		for k, g := range c.clip.Frames {
			if d := math.Abs(g.PTS.Seconds() - p.their(at)); k != i && d < off {
				a, b, off = i, k, d
			}
		}
	}
	if a < 0 {
		return nil
	}
	shown, returned := c.keyframe(a, pipeline.LabelShown), c.keyframe(b, pipeline.LabelAgain)
	at := ms(p.their(c.clip.Frames[a].PTS.Seconds()))
	returned.FromMS = &at
	return []pipeline.Evidence{shown, returned}
}

// nearRepeat is how far (seconds) from the moment at which a picture returns another may lie to be shown beside it: half of the second between
// keyframes, so that in a long stretch there is one.
const nearRepeat = 0.55

// stands gives the first and the last keyframe of a stretch (seconds) in which the picture stands still; one where it is too short for two.
func (c *checker) stands(from, to float64) (out []pipeline.Evidence) {
	const tick = 1e-3
	first, last := -1, -1
	for i, f := range c.clip.Frames {
		if at := f.PTS.Seconds(); at < from-tick || at > to+tick {
			continue
		}
		if first < 0 {
			first = i
		}
		last = i
	}
	if first < 0 {
		return nil
	}
	out = append(out, c.keyframe(first, pipeline.LabelStands))
	if last > first {
		out = append(out, c.keyframe(last, pipeline.LabelStill))
	}
	return out
}

func (c *checker) keyframe(i int, label string) pipeline.Evidence {
	index := c.clip.Frames[i].Index
	return pipeline.Evidence{Kind: "keyframe", Keyframe: &index, Label: label}
}
