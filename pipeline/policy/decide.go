package policy

import (
	"cmp"
	"encoding/json"
	"slices"

	"onsite/pipeline"
)

// Decide turns check results into a decision and its reasons.
//
// Every finding of a wanted check counts, whatever the check's own outcome: a face may match and still another person be in view. What a
// failed finding leads to is the policy's word for its code, else the check's on_fail; an uncertain finding never weighs more than
// on_uncertain. A wanted check that was not made, that is missing from the map, or that broke off, leads to review: it is never a pass
// and never abnormal by itself. A check that fails or is uncertain without saying what it found leads to review, too.
//
// Abnormal beats review, review beats pass; a pass has no reasons. Reasons are sorted by weight, then by the order of the checks, then by
// the order of the codes. The answer does not depend on the order of findings.
func (p Policy) Decide(checks map[pipeline.CheckName]pipeline.Check) (pipeline.Decision, []pipeline.Reason) {
	var all []weighed
	for _, name := range pipeline.CheckNames {
		c, given := checks[name]
		if !given {
			c = pipeline.Check{Outcome: pipeline.NotChecked}
		}
		all = append(all, p.weigh(name, c)...)
	}
	decision, reasons := conclude(all)
	if decision == pipeline.DecisionPass {
		return decision, nil
	}
	return decision, reasons
}

// conclude merges reasons and gives what the weightiest of them leads to.
func conclude(all []weighed) (pipeline.Decision, []pipeline.Reason) {
	all = merge(all)
	decision := pipeline.DecisionPass
	reasons := make([]pipeline.Reason, 0, len(all))
	for _, w := range all {
		reasons = append(reasons, w.reason)
		switch {
		case w.action == Abnormal:
			decision = pipeline.DecisionAbnormal
		case decision == pipeline.DecisionPass:
			decision = pipeline.DecisionReview
		}
	}
	return decision, reasons
}

// weighed is a reason with what it leads to: Review or Abnormal.
type weighed struct {
	reason pipeline.Reason
	action Action
}

// weigh gives the reasons of one check.
func (p Policy) weigh(name pipeline.CheckName, c pipeline.Check) []weighed {
	rule, ok := p.Checks[name]
	if !ok || rule.Need == Never {
		return nil
	}
	switch c.Outcome {
	case pipeline.NotChecked:
		if rule.Need.excuses(c.Why) {
			return nil
		}
		return system(pipeline.NotCheckedWanted, name, c)
	case pipeline.Pass, pipeline.Fail, pipeline.Uncertain:
		return p.findings(name, rule, c)
	default: // an error, or a word that no check may use: what it found before it broke off accuses nobody
		return system(pipeline.CheckFailed, name, c)
	}
}

// excuses says whether a check that is wanted under a condition may be left out for this reason. not_wanted is what the pipeline writes
// after Wants said no; under always it never does, so there it excuses nothing.
func (n Need) excuses(why string) bool {
	switch n {
	case WithSite:
		return why == WhyNoSite || why == WhyNotWanted
	case WithHistory:
		return why == WhyNoHistory || why == WhyNotWanted
	case WithVideo:
		return why == WhyPhotoNoTime
	case WithFence:
		return why == WhyNoFence || why == WhyNoSite || why == WhyNotWanted
	default:
		return false
	}
}

func (p Policy) findings(name pipeline.CheckName, rule Rule, c pipeline.Check) []weighed {
	var out []weighed
	heard := pipeline.Pass // the strongest thing that the findings say
	for _, f := range c.Findings {
		switch {
		case f.Outcome == pipeline.Fail:
			heard = pipeline.Fail
		case heard == pipeline.Pass:
			heard = pipeline.Uncertain
		}
		a := p.action(rule, f)
		if a == Ignore {
			continue
		}
		out = append(out, weighed{action: a, reason: pipeline.Reason{Code: f.Code, Check: name, Text: findingText(name, f), Evidence: f.Evidence}})
	}
	silent := (c.Outcome == pipeline.Fail && heard != pipeline.Fail) || (c.Outcome == pipeline.Uncertain && heard == pipeline.Pass)
	if silent {
		return append(out, system(pipeline.CheckFailed, name, c)...)
	}
	return out
}

// action is what a finding leads to: Ignore, Review or Abnormal.
func (p Policy) action(rule Rule, f pipeline.Finding) Action {
	if slices.Contains(systemCodes, f.Code) { // a part of the check was not made: review, as for a whole check
		return Review
	}
	a := rule.OnFail
	if own, ok := p.Reasons[f.Code]; ok {
		a = own
	}
	if f.Outcome != pipeline.Fail {
		a = weaker(a, rule.OnUncertain)
	}
	if a == ReviewUnlessProven {
		if f.Certain {
			return Abnormal
		}
		return Review
	}
	return a
}

// system is the one reason of a check that was not made or broke off.
func system(code pipeline.Code, name pipeline.CheckName, c pipeline.Check) []weighed {
	args := map[string]pipeline.Text{"check": CheckTitle(name)}
	if code == pipeline.NotCheckedWanted && c.Why != "" {
		args["why"] = Why(c.Why)
	}
	return []weighed{{action: Review, reason: pipeline.Reason{Code: code, Check: name, Text: say(codeTexts[code], args)}}}
}

// merge sorts reasons and joins those of the same check that say the same.
func merge(all []weighed) []weighed {
	slices.SortStableFunc(all, func(a, b weighed) int {
		return cmp.Or(
			-cmp.Compare(strength[a.action], strength[b.action]),
			cmp.Compare(slices.Index(pipeline.CheckNames, a.reason.Check), slices.Index(pipeline.CheckNames, b.reason.Check)),
			cmp.Compare(rank(a.reason.Code), rank(b.reason.Code)),
			cmp.Compare(a.reason.Text.EN, b.reason.Text.EN),
			compareEvidence(a.reason.Evidence, b.reason.Evidence),
		)
	})
	var out []weighed
	for _, w := range all {
		if n := len(out); n > 0 && out[n-1].reason.Check == w.reason.Check && out[n-1].reason.Code == w.reason.Code && out[n-1].reason.Text == w.reason.Text {
			last := &out[n-1].reason
			last.Evidence = append(slices.Clip(last.Evidence), w.reason.Evidence...)
			continue
		}
		out = append(out, w)
	}
	return out
}

// rank is a code's place in the list of codes; one that is not listed comes last.
func rank(c pipeline.Code) int {
	if i := slices.Index(pipeline.Codes, c); i >= 0 {
		return i
	}
	return len(pipeline.Codes)
}

// compareEvidence orders by what comes first in the clip, then by the JSON form, so that equal keys mean equal evidence.
func compareEvidence(a, b []pipeline.Evidence) int {
	return slices.CompareFunc(a, b, func(x, y pipeline.Evidence) int {
		return cmp.Or(
			cmp.Compare(at(x.Keyframe), at(y.Keyframe)),
			cmp.Compare(at(x.FromMS), at(y.FromMS)),
			cmp.Compare(form(x), form(y)),
		)
	})
}

func at[T int | int64](v *T) int64 {
	if v == nil {
		return -1
	}
	return int64(*v)
}

func form(e pipeline.Evidence) string {
	raw, err := json.Marshal(e)
	if err != nil { // NaN in a score: no order can be given to it
		return ""
	}
	return string(raw)
}

var strength = map[Action]int{Ignore: 0, Review: 1, ReviewUnlessProven: 2, Abnormal: 3}

func weaker(a, b Action) Action {
	if strength[b] < strength[a] {
		return b
	}
	return a
}
