package head

import (
	"context"
	"fmt"
)

// Bench is the table of `onsite bench scene`.
type Bench struct {
	// Mode says what Heads shows: shipped (the heads of the program, or of a folder, on pictures that they have not seen) or cross (heads
	// trained on the data itself, one source left out at a time: what the features can do, not what the program does).
	Mode       string         `json:"mode"`
	Grey       bool           `json:"grey"`
	Images     int            `json:"images"`
	Sources    int            `json:"sources"`
	Heads      map[string]Row `json:"heads"`
	Cross      map[string]Row `json:"cross,omitempty"` // beside shipped heads
	MSPerImage float64        `json:"ms_per_image"`    // wall time of the features and heads, over the pictures that were not in the cache
	Measured   int            `json:"measured"`        // how many these were
	Note       string         `json:"note"`
}

// RateSet asks a Set about every sample. Heads whose features are missing are left out.
func RateSet(ctx context.Context, set *Set, samples []Sample) (map[string]Row, error) {
	questions := map[string]Question{}
	for _, q := range Questions() {
		questions[q.Name] = q
	}
	scored := map[string][]Scored{}
	for _, s := range samples {
		votes, err := set.Score(ctx, s.Input)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.File, err)
		}
		for name, v := range votes {
			if q, ok := questions[name]; ok {
				scored[name] = append(scored[name], Scored{Source: s.Source, Class: s.Class, Yes: q.yes(s.Class), P: v.P})
			}
		}
	}
	out := map[string]Row{}
	for _, h := range set.heads {
		if s, ok := scored[h.name]; ok {
			out[h.name] = RateQuestion(questions[h.name], s, h.yes)
		}
	}
	return out, nil
}

// Cross trains on the samples themselves, leaving out one source at a time, and measures on the left-out pictures of one variant. Questions
// whose answer occurs in fewer than two sources are left out: they cannot be measured so. The pictures of always, which may be nil, are added
// to every training.
func Cross(ctx context.Context, samples, always []Sample, variant string, o FitOptions, progress func(done, of int)) (map[string]Row, error) {
	var questions []Question
	for _, q := range Questions() {
		var yes, no []Sample
		for _, s := range samples {
			switch {
			case q.yes(s.Class):
				yes = append(yes, s)
			case q.trains(s.Class, s.Source):
				no = append(no, s)
			}
		}
		if len(Sources(yes)) > 1 && len(Sources(no)) > 1 {
			questions = append(questions, q)
		}
	}
	heads, err := Train(ctx, questions, samples, always, o, progress)
	if err != nil {
		return nil, err
	}
	out := map[string]Row{}
	for _, h := range heads {
		out[h.Question.Name] = h.Rows(variant)
	}
	return out, nil
}

// InSample lists the samples that trained a model.
func InSample(samples []Sample, trained map[string]bool) []string {
	var out []string
	for _, s := range samples {
		if trained[s.SHA256] {
			out = append(out, s.File)
		}
	}
	return out
}
