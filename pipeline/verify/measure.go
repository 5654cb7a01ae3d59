package verify

import (
	"context"
	"slices"
	"strings"

	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/policy"
	"onsite/pipeline/report"
)

// measuringMark ends the program version of a verdict for which nothing was verified.
const measuringMark = "+measuring-only"

// Measure runs a job for a measurement of what lies around the checks: decoding, fingerprint, authenticity and the comparison with earlier
// footage are real, no model runs, and every keyframe is a speck. Verifier.Models may be nil. The verdict says in its version
// and its reasons that nobody was verified, and always leads to review.
func (v *Verifier) Measure(ctx context.Context, j Job) (Result, error) {
	j.Subject, j.Place = nil, nil
	r := v.newRun(j)
	r.measuring = true
	return r.whole(ctx)
}

// noModels stands for the checks that need models.
func (r *run) noModels(context.Context) error {
	for _, c := range []pipeline.CheckName{pipeline.CheckFace, pipeline.CheckLiveness, pipeline.CheckScene} {
		r.set(c, notChecked(policy.WhyMeasuring))
	}
	return nil
}

// speckSide is the long side in pixels of what a measurement stores in place of a keyframe: nobody looked for people to blur.
const speckSide = 6

// specks makes as many pictures as keyframes would, with nothing to be seen in them.
func (r *run) specks(chosen []int) ([]report.Picture, error) {
	var out []report.Picture
	for _, n := range chosen {
		jpeg, err := media.Thumbnail(r.clip.Frames[n].Image, speckSide, pictureQuality)
		if err != nil {
			return nil, err
		}
		out = append(out, report.Picture{Keyframe: n, W: speckSide, H: speckSide, JPEG: jpeg})
	}
	return out, nil
}

// Unverified marks a verdict of a measurement, so that nobody takes it for one.
func Unverified(v *pipeline.Verdict) {
	if !strings.HasSuffix(v.Onsite, measuringMark) {
		v.Onsite += measuringMark
	}
	v.Decision = pipeline.DecisionReview
	marked := func(r pipeline.Reason) bool {
		return r.Code == pipeline.NotCheckedWanted && r.Check == pipeline.CheckFace
	}
	if !slices.ContainsFunc(v.Reasons, marked) {
		text := policy.ReasonText(pipeline.NotCheckedWanted, map[string]string{
			"check_en": policy.CheckTitle(pipeline.CheckFace).EN, "check_zh": policy.CheckTitle(pipeline.CheckFace).ZH,
			"why_en": policy.Why(policy.WhyMeasuring).EN, "why_zh": policy.Why(policy.WhyMeasuring).ZH,
		})
		v.Reasons = append([]pipeline.Reason{{Code: pipeline.NotCheckedWanted, Check: pipeline.CheckFace, Text: text}}, v.Reasons...)
	}
}
