package verify

import (
	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/policy"
)

// Told is what a verdict says of a consent at its time. It is read where a verdict is made again, so that the run does what the first one did.
type Told int

// What can be told.
const (
	Untold Told = iota // nothing that it says depends on it
	Refused
	Granted
)

// ToldOfFaces is what a verdict says of the consent to face processing.
func ToldOfFaces(v pipeline.Verdict) Told {
	face, live := v.Checks[pipeline.CheckFace], v.Checks[pipeline.CheckLiveness]
	whys := []string{face.Why, live.Why, word(v.Checks[pipeline.CheckSpeech].Detail["lips"], "why")}
	for _, t := range tasks(v) {
		whys = append(whys, word(t, "why"))
	}
	for _, why := range whys {
		if why == policy.WhyNoConsent {
			return Refused
		}
	}
	// A challenge alone makes an outcome of liveness without a look at a face.
	looked := live.Outcome == pipeline.Error || live.Outcome != pipeline.NotChecked && (live.Frames > 0 || live.Score != nil)
	for _, c := range []pipeline.Check{face, live} {
		looked = looked || c.Outcome == pipeline.NotChecked && c.Why != "" && c.Why != policy.WhyNotWanted && c.Why != policy.WhyMeasuring
	}
	if looked || face.Outcome != "" && face.Outcome != pipeline.NotChecked {
		return Granted
	}
	return Untold
}

// ToldOfSound is what a verdict says of the consent to listening.
func ToldOfSound(v pipeline.Verdict) Told {
	speech := v.Checks[pipeline.CheckSpeech]
	switch {
	case speech.Why == policy.WhyNoSound:
		return Refused
	case speech.Outcome != "" && speech.Outcome != pipeline.NotChecked, speech.Why == policy.WhyNoAudio:
		return Granted
	}
	for _, t := range tasks(v) {
		if word(t, "kind") != string(pipeline.SayDigits) {
			continue
		}
		switch word(t, "why") {
		case policy.WhyNoSound:
			return Refused
		case policy.WhyPhotoNoTime:
		default:
			return Granted
		}
	}
	for _, m := range v.Models {
		if m.Task == string(models.VoiceActivity) {
			return Granted
		}
	}
	return Untold
}

// tasks are those of the challenge, as a stored verdict has them.
func tasks(v pipeline.Verdict) []any {
	c, _ := v.Checks[pipeline.CheckLiveness].Detail["challenge"].(map[string]any)
	all, _ := c["tasks"].([]any)
	return all
}

func word(detail any, field string) string {
	d, _ := detail.(map[string]any)
	s, _ := d[field].(string)
	return s
}
