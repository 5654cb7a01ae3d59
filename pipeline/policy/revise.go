package policy

import (
	"slices"

	"onsite/pipeline"
)

// Revise decides again after one check of a finished verdict was made again and got worse; a check that failed already cannot. A verdict
// keeps no findings, so the reasons of the other checks stay as they are, word for word, and only those of the new result are made as
// Decide makes them. An earlier reason of the same check stays where the new result says nothing of its code, as the likeness to one
// clip beside the copy of another; that something could not be compared or completed is not told beside what was found after all.
//
// The decision is exact: the check had not failed, and what has not failed never makes a verdict abnormal, so an abnormal one was made so
// by the reasons that stay. Only the order of those may differ from Decide's, by the findings of one failed check that a policy weighs
// by whether they are proven.
func (p Policy) Revise(v pipeline.Verdict, name pipeline.CheckName, c pipeline.Check) (pipeline.Decision, []pipeline.Reason) {
	all := p.weigh(name, spokenOf(v, c))
	for _, r := range v.Reasons {
		if r.Check == name {
			same := func(w weighed) bool { return w.reason.Code == r.Code }
			if r.Code == pipeline.HistoryIncomplete || slices.Contains(systemCodes, r.Code) || slices.ContainsFunc(all, same) {
				continue
			}
		}
		all = append(all, weighed{reason: r, action: p.weight(v, r)})
	}
	decision, reasons := conclude(all)
	if v.Decision == pipeline.DecisionAbnormal {
		decision = pipeline.DecisionAbnormal
	}
	return decision, reasons
}

// spokenOf gives a check whose findings speak of the verdict's media.
func spokenOf(v pipeline.Verdict, c pipeline.Check) pipeline.Check {
	if v.Media.Kind == photo {
		return OfPhoto(c)
	}
	return c
}

// weight is what a reason of a verdict led to, as far as the verdict shows.
func (p Policy) weight(v pipeline.Verdict, r pipeline.Reason) Action {
	if v.Decision != pipeline.DecisionAbnormal || v.Checks[r.Check].Outcome != pipeline.Fail {
		return Review
	}
	if p.action(p.Checks[r.Check], pipeline.Finding{Code: r.Code, Outcome: pipeline.Fail, Certain: true}) == Abnormal {
		return Abnormal
	}
	return Review
}

// Replace decides again after one check of a finished verdict was made again and may have got milder. kept are reasons of that check's
// earlier results that still hold. The reasons of the other checks stay as they are, word for word, and weigh what the verdict shows that
// they may have weighed: where it does not show whether a failed check's finding was proven, and that decides, it counts as proven. So the
// answer is never milder than Decide's.
func (p Policy) Replace(v pipeline.Verdict, name pipeline.CheckName, c pipeline.Check, kept []pipeline.Reason) (pipeline.Decision, []pipeline.Reason) {
	all := p.weigh(name, spokenOf(v, c))
	for _, r := range v.Reasons {
		if r.Check != name {
			all = append(all, weighed{reason: r, action: p.weight(v, r)})
		}
	}
	for _, r := range kept {
		all = append(all, weighed{reason: r, action: p.action(p.Checks[name], Finding(r))})
	}
	return conclude(all)
}

// Finding is what the reuse check found when it gave a reason: a verdict keeps no findings. Only the same bytes have the score 1, and only
// they are proven.
func Finding(r pipeline.Reason) pipeline.Finding {
	f := pipeline.Finding{Code: r.Code, Outcome: pipeline.Uncertain, Evidence: r.Evidence}
	if r.Code == pipeline.FootageReused {
		f.Outcome = pipeline.Fail
		f.Certain = slices.ContainsFunc(r.Evidence, func(e pipeline.Evidence) bool { return e.Score != nil && *e.Score >= 1 })
	}
	return f
}
