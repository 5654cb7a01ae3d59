package core

import (
	"context"
	"fmt"
	"time"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/results"
)

// past is what the first run of a job saw, for a run that is made again.
type past struct {
	pipeline.Inputs
	look, hear bool // consent to face processing and to listening, as it was then
	keep       bool // templates that are missing are made, and kept
}

// told is what a verdict says of a consent at its time.
type told int

const (
	untold told = iota // nothing that it says depends on it
	refused
	granted
)

// consentThen gives whether a consent was in force when a verdict was made: as the verdict's checks say, else as the records do. One that was
// given later counts for nothing, and without one that holds still nothing is looked at again: where it matters that is *CannotReverify.
func (c *Core) consentThen(ctx context.Context, s results.Submission, purpose string, said told, when time.Time, matters bool) (bool, error) {
	if said == refused {
		return false, nil
	}
	if said == untold {
		all, err := c.Store.Consents(ctx, s.Tenant, s.Subject)
		if err != nil {
			return false, fmt.Errorf("list the subject's consents: %w", err)
		}
		given := false
		for _, r := range all {
			given = given || r.Purpose == purpose && !r.GivenAt.After(when) && (r.WithdrawnAt.IsZero() || r.WithdrawnAt.After(when))
		}
		if !given {
			return false, nil
		}
	}
	now, err := c.Store.Consented(ctx, s.Tenant, s.Subject, purpose)
	switch {
	case err != nil:
		return false, fmt.Errorf("look for the subject's consent: %w", err)
	case now || !matters:
		return now, nil
	case purpose == results.PurposeSound:
		return false, cannot("consent_withdrawn", "the consent to listening was withdrawn: nobody listens to the recording again", "分析声音的同意已撤回：不再分析录音")
	}
	return false, cannot("consent_withdrawn", "the consent to face processing was withdrawn: no face is looked at again", "人脸处理的同意已撤回：不再处理人脸")
}

// saysOfFaces is what a verdict says of the consent to face processing.
func saysOfFaces(v pipeline.Verdict) told {
	face, live := v.Checks[pipeline.CheckFace], v.Checks[pipeline.CheckLiveness]
	whys := []string{face.Why, live.Why, word(v.Checks[pipeline.CheckSpeech].Detail["lips"], "why")}
	for _, t := range tasks(v) {
		whys = append(whys, word(t, "why"))
	}
	for _, why := range whys {
		if why == policy.WhyNoConsent {
			return refused
		}
	}
	// A challenge alone makes an outcome of liveness without a look at a face.
	looked := live.Outcome == pipeline.Error || live.Outcome != pipeline.NotChecked && (live.Frames > 0 || live.Score != nil)
	for _, c := range []pipeline.Check{face, live} {
		looked = looked || c.Outcome == pipeline.NotChecked && c.Why != "" && c.Why != policy.WhyNotWanted && c.Why != policy.WhyMeasuring
	}
	if looked || face.Outcome != "" && face.Outcome != pipeline.NotChecked {
		return granted
	}
	return untold
}

// saysOfSound is what a verdict says of the consent to listening.
func saysOfSound(v pipeline.Verdict) told {
	speech := v.Checks[pipeline.CheckSpeech]
	switch {
	case speech.Why == policy.WhyNoSound:
		return refused
	case speech.Outcome != "" && speech.Outcome != pipeline.NotChecked, speech.Why == policy.WhyNoAudio:
		return granted
	}
	for _, t := range tasks(v) {
		if word(t, "kind") != string(pipeline.SayDigits) {
			continue
		}
		switch word(t, "why") {
		case policy.WhyNoSound:
			return refused
		case policy.WhyPhotoNoTime:
		default:
			return granted
		}
	}
	for _, m := range v.Models {
		if m.Task == string(models.VoiceActivity) {
			return granted
		}
	}
	return untold
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
