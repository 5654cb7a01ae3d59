package challenge

import (
	"onsite/pipeline"
)

// Element is the part of the liveness check that a challenge is.
const Element = "challenge"

// Missing adds to the liveness check that a wanted challenge was not answered.
func Missing(c *pipeline.Check) {
	detail(c)[Element] = map[string]any{"outcome": pipeline.Fail, "state": "missing"}
	join(c, pipeline.Finding{Code: pipeline.ChallengeMissing, Outcome: pipeline.Fail})
}

// Apply adds what became of a challenge to the liveness check.
func Apply(c *pipeline.Check, g Given, r Result) {
	d := map[string]any{"id": g.ID, "outcome": r.Outcome, "state": r.State}
	if r.Camera != Unsaid {
		d["camera"] = r.Camera
	}
	if len(r.Tasks) > 0 {
		d["tasks"] = r.Tasks
	}
	detail(c)[Element] = d
	if r.State != Fresh {
		join(c, pipeline.Finding{Code: pipeline.ChallengeFailed, Outcome: pipeline.Fail, Certain: r.State == Used || r.State == Foreign, Args: map[string]string{"problem": string(r.State)}})
		return
	}
	for _, t := range r.Tasks {
		switch t.Outcome {
		case pipeline.Fail, pipeline.Uncertain:
			join(c, pipeline.Finding{Code: pipeline.ChallengeFailed, Outcome: t.Outcome,
				Args: map[string]string{"task": string(t.Kind), "problem": t.Why}, Evidence: t.evidence()})
		case pipeline.NotChecked:
			join(c, pipeline.Finding{Code: pipeline.NotCheckedWanted, Outcome: pipeline.Uncertain, Args: map[string]string{"element": Element, "why": t.Why}})
		}
	}
}

func (t *TaskResult) evidence() []pipeline.Evidence {
	switch {
	case t.Keyframe != nil:
		return []pipeline.Evidence{{Kind: "text", Keyframe: t.Keyframe, Label: Element, Read: t.Read, Outline: t.outline}}
	case t.FromMS != nil:
		return []pipeline.Evidence{{Kind: "segment", Label: Element, FromMS: t.FromMS, ToMS: t.ToMS}}
	}
	return nil
}

func detail(c *pipeline.Check) map[string]any {
	if c.Detail == nil {
		c.Detail = map[string]any{}
	}
	return c.Detail
}

// join adds a finding; the check's outcome is that of the strongest. That the rest of the check was not made stays a finding of its own.
func join(c *pipeline.Check, f pipeline.Finding) {
	if c.Outcome == pipeline.NotChecked {
		c.Findings = append(c.Findings, pipeline.Finding{Code: pipeline.NotCheckedWanted, Outcome: pipeline.Uncertain, Args: map[string]string{"why": c.Why}})
		c.Why = ""
	}
	if c.Outcome != pipeline.Fail && c.Outcome != pipeline.Error {
		c.Outcome = f.Outcome
	}
	c.Findings = append(c.Findings, f)
}
