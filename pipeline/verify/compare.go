package verify

import (
	"fmt"
	"math"
	"slices"

	"onsite/pipeline"
)

// Agreement says how far a verdict that was made again is the first one.
type Agreement string

// The agreements, the best first. A comparison as a whole has the worst of its checks.
const (
	Equal     Agreement = "equal"            // the same outcome, findings and score, to the last bit
	Within    Agreement = "within_tolerance" // the same outcome and findings; the score differs by at most Tolerance
	NearLine  Agreement = "near_threshold"   // another outcome or finding, where one of the two scores was near its threshold
	Different Agreement = "different"
)

var agreements = []Agreement{Equal, Within, NearLine, Different}

// Tolerance is how far scores of one recipe may lie apart on two machines: ONNX Runtime promises no equal bits between processors (about
// 1e-5 per model output), and scores are sums of such.
const Tolerance = 1e-3

// Side is what one of two verdicts says of a check.
type Side struct {
	Outcome pipeline.Outcome `json:"outcome"`
	Score   *float64         `json:"score,omitempty"`
	Near    bool             `json:"near"`
	Codes   []pipeline.Code  `json:"codes"` // of its reasons
}

// CheckDiff compares one check.
type CheckDiff struct {
	Check     pipeline.CheckName `json:"check"`
	Agreement Agreement          `json:"agreement"`
	Before    Side               `json:"before"`
	Now       Side               `json:"now"`
}

// Comparison holds a verdict against one that was made again from the same inputs.
type Comparison struct {
	Agreement  Agreement         `json:"agreement"`
	Before     pipeline.Decision `json:"before"`
	Now        pipeline.Decision `json:"now"`
	Checks     []CheckDiff       `json:"checks"`
	SameRecipe bool              `json:"same_recipe"`
	Recipe     []string          `json:"recipe,omitempty"` // what of the recipe is another: "face_embed: a 1.0 (sha256) -> b 2.0 (sha256)"
}

// Compare holds now against before.
func Compare(before, now pipeline.Verdict) Comparison {
	c := Comparison{Agreement: Equal, Before: before.Decision, Now: now.Decision, SameRecipe: before.Recipe == now.Recipe}
	if !c.SameRecipe {
		c.Recipe = recipeDiff(before, now)
	}
	for _, name := range pipeline.CheckNames {
		b, hadB := before.Checks[name]
		n, hadN := now.Checks[name]
		if !hadB && !hadN {
			continue
		}
		d := CheckDiff{Check: name, Before: side(before, name, b), Now: side(now, name, n)}
		d.Agreement = agree(d.Before, d.Now)
		c.Checks = append(c.Checks, d)
		c.Agreement = worse(c.Agreement, d.Agreement)
	}
	if before.Decision != now.Decision && c.Agreement != NearLine {
		c.Agreement = Different
	}
	return c
}

func side(v pipeline.Verdict, name pipeline.CheckName, c pipeline.Check) Side {
	s := Side{Outcome: c.Outcome, Score: c.Score, Near: c.Near, Codes: []pipeline.Code{}}
	for _, r := range v.Reasons {
		if r.Check == name && !slices.Contains(s.Codes, r.Code) {
			s.Codes = append(s.Codes, r.Code)
		}
	}
	slices.Sort(s.Codes)
	return s
}

func agree(b, n Side) Agreement {
	if b.Outcome != n.Outcome || !slices.Equal(b.Codes, n.Codes) {
		if b.Near || n.Near {
			return NearLine
		}
		return Different
	}
	switch {
	case b.Score == nil && n.Score == nil, b.Score != nil && n.Score != nil && *b.Score == *n.Score:
		return Equal
	case b.Score == nil || n.Score == nil:
		return Different
	case math.Abs(*b.Score-*n.Score) <= Tolerance:
		return Within
	}
	return Different
}

func worse(a, b Agreement) Agreement {
	return agreements[max(slices.Index(agreements, a), slices.Index(agreements, b))]
}

// recipeDiff names what is another in the recipes of two verdicts.
func recipeDiff(before, now pipeline.Verdict) (out []string) {
	say := func(what, b, n string) {
		if b != n {
			out = append(out, fmt.Sprintf("%s: %s -> %s", what, b, n))
		}
	}
	name := func(v pipeline.Verdict, task string) string {
		for _, m := range v.Models {
			if m.Task == task {
				return fmt.Sprintf("%s %s (%.12s)", m.Name, m.Version, m.SHA256)
			}
		}
		return "none"
	}
	var tasks []string
	for _, m := range slices.Concat(before.Models, now.Models) {
		if !slices.Contains(tasks, m.Task) {
			tasks = append(tasks, m.Task)
		}
	}
	for _, task := range tasks {
		say(task, name(before, task), name(now, task))
	}
	say("policy", before.Policy, now.Policy)
	say("onsite", before.Onsite, now.Onsite)
	say("onnxruntime", before.Runtime.ONNXRuntime, now.Runtime.ONNXRuntime)
	say("libav", before.Runtime.Libav, now.Runtime.Libav)
	say("opencv", before.Runtime.OpenCV, now.Runtime.OpenCV)
	say("provider", before.Runtime.Provider, now.Runtime.Provider)
	if len(out) == 0 {
		out = append(out, "settings of the checks")
	}
	return out
}
