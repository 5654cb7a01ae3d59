package compare

import (
	"slices"

	"onsite/pipeline"
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

func (s *Side) tidy() {
	slices.Sort(s.Codes)
	s.Codes = slices.Compact(s.Codes)
}
