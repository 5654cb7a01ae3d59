package compare

import (
	"slices"

	"onsite/pipeline"
	"onsite/pipeline/verify"
)

// Label is what is known of a case.
type Label string

// The labels. An empty one: nothing is known.
const (
	Genuine  Label = "genuine"  // the claimed person, live, at the place: it should pass
	Impostor Label = "impostor" // anything else: it should not
)

// Score is one check's score with its threshold; Value is never lower for a better case.
type Score struct {
	Value     float64 `json:"value"`
	Threshold float64 `json:"threshold"`
}

// Side is what one set of models says of a case.
type Side struct {
	Decision pipeline.Decision  `json:"decision"`
	Codes    []string           `json:"codes"` // of the reasons, sorted, each once
	Scores   map[string]Score   `json:"scores"`
	MS       float64            `json:"ms"` // time it took; 0: not measured
	Outcomes map[string]Outcome `json:"outcomes,omitempty"`
}

// Outcome is what a check said.
type Outcome = pipeline.Outcome

// Case is one submission, or one comparison of photos, under both sets.
type Case struct {
	ID     string
	Label  Label
	Groups map[string]string // "site", "light", "declared" ...: what the case belongs to
	Before Side
	After  Side
}

// OfVerdicts makes a case of two verdicts on the same inputs.
func OfVerdicts(id string, label Label, groups map[string]string, before, after pipeline.Verdict) Case {
	return Case{ID: id, Label: label, Groups: groups, Before: sideOf(before), After: sideOf(after)}
}

func sideOf(v pipeline.Verdict) Side {
	s := Side{Decision: v.Decision, Codes: []string{}, Scores: map[string]Score{}, Outcomes: map[string]Outcome{}, MS: v.TimingsMS["total"]}
	for _, r := range v.Reasons {
		s.Codes = append(s.Codes, string(r.Code))
	}
	for name, c := range v.Checks {
		s.Outcomes[string(name)] = c.Outcome
		if c.Score != nil && c.Threshold != nil {
			s.Scores[string(name)] = Score{*c.Score, *c.Threshold}
		}
	}
	s.tidy()
	return s
}

// OfDiffs makes a case of the checks of a verdict and of the same verdict made again, as verify.Compare gives them. They hold no thresholds, so
// scores move without a line to be seen against.
func OfDiffs(id string, label Label, groups map[string]string, before, after pipeline.Decision, checks []verify.CheckDiff, beforeMS, afterMS float64) Case {
	c := Case{ID: id, Label: label, Groups: groups}
	c.Before, c.After = Side{Decision: before, MS: beforeMS}, Side{Decision: after, MS: afterMS}
	for i, side := range []*Side{&c.Before, &c.After} {
		side.Codes, side.Scores, side.Outcomes = []string{}, map[string]Score{}, map[string]Outcome{}
		for _, d := range checks {
			s := d.Before
			if i == 1 {
				s = d.Now
			}
			side.Outcomes[string(d.Check)] = s.Outcome
			for _, code := range s.Codes {
				side.Codes = append(side.Codes, string(code))
			}
			if s.Score != nil {
				side.Scores[string(d.Check)] = Score{Value: *s.Score}
			}
		}
		side.tidy()
	}
	return c
}

func (s *Side) tidy() {
	slices.Sort(s.Codes)
	s.Codes = slices.Compact(s.Codes)
}
