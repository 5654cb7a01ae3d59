package policy

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

// stored gives a verdict as a store holds it: without findings.
func stored(t *testing.T, p Policy, checks map[pipeline.CheckName]pipeline.Check) pipeline.Verdict {
	t.Helper()
	v := pipeline.Verdict{Checks: checks}
	v.Decision, v.Reasons = p.Decide(checks)
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	var out pipeline.Verdict
	require.NoError(t, json.Unmarshal(raw, &out))
	return out
}

func finding(code pipeline.Code, o pipeline.Outcome) pipeline.Finding {
	return pipeline.Finding{Code: code, Outcome: o, Args: map[string]string{"job": "monday"}}
}

func result(o pipeline.Outcome, f ...pipeline.Finding) pipeline.Check {
	return pipeline.Check{Outcome: o, Findings: f}
}

// What Revise says of a stored verdict must be what Decide would have said, had it seen the new result at once.
func TestReviseIsDecide(t *testing.T) {
	reused := result(pipeline.Fail, finding(pipeline.FootageReused, pipeline.Fail))
	alike := result(pipeline.Uncertain, finding(pipeline.SameContent, pipeline.Uncertain))
	incomplete := result(pipeline.Uncertain, finding(pipeline.HistoryIncomplete, pipeline.Uncertain))
	base := func() map[pipeline.CheckName]pipeline.Check {
		c := map[pipeline.CheckName]pipeline.Check{}
		for _, n := range pipeline.CheckNames {
			c[n] = pipeline.Check{Outcome: pipeline.Pass}
		}
		return c
	}
	for name, c := range map[string]struct {
		others map[pipeline.CheckName]pipeline.Check
		before pipeline.Check
		after  pipeline.Check
		whole  pipeline.Check // what one look at everything would have found
	}{
		"pass, then reused":        {nil, result(pipeline.Pass), reused, reused},
		"pass, then alike":         {nil, result(pipeline.Pass), alike, alike},
		"incomplete, then reused":  {nil, incomplete, reused, reused},
		"broke off, then reused":   {nil, pipeline.Check{Outcome: pipeline.Error, Why: "x"}, reused, reused},
		"alike, then reused":       {nil, alike, reused, result(pipeline.Fail, reused.Findings[0], alike.Findings[0])},
		"others abnormal":          {map[pipeline.CheckName]pipeline.Check{pipeline.CheckFace: result(pipeline.Fail, finding(pipeline.FaceMismatch, pipeline.Fail))}, result(pipeline.Pass), reused, reused},
		"others abnormal, alike":   {map[pipeline.CheckName]pipeline.Check{pipeline.CheckFace: result(pipeline.Fail, finding(pipeline.NoFace, pipeline.Fail))}, result(pipeline.Pass), alike, alike},
		"others review":            {map[pipeline.CheckName]pipeline.Check{pipeline.CheckFace: result(pipeline.Uncertain, finding(pipeline.FaceUncertain, pipeline.Uncertain))}, result(pipeline.Pass), reused, reused},
		"others not made":          {map[pipeline.CheckName]pipeline.Check{pipeline.CheckFace: {Outcome: pipeline.NotChecked, Why: WhyNoReference}}, result(pipeline.Pass), alike, alike},
		"others review, certainly": {map[pipeline.CheckName]pipeline.Check{pipeline.CheckLiveness: result(pipeline.Fail, finding(pipeline.SpoofSuspected, pipeline.Fail)), pipeline.CheckScene: result(pipeline.Fail, finding(pipeline.LogoMissing, pipeline.Fail), finding(pipeline.DeskMissing, pipeline.Fail))}, alike, reused, result(pipeline.Fail, reused.Findings[0], alike.Findings[0])},
	} {
		t.Run(name, func(t *testing.T) {
			p := builtin(t, "video15")
			checks := base()
			for n, o := range c.others {
				checks[n] = o
			}
			checks[pipeline.CheckReuse] = c.before
			v := stored(t, p, checks)
			decision, reasons := p.Revise(v, pipeline.CheckReuse, c.after)
			checks[pipeline.CheckReuse] = c.whole
			want := stored(t, p, checks)
			require.Equal(t, want.Decision, decision)
			require.Equal(t, want.Reasons, reasons)
		})
	}
}

// A policy that ignores copies is not overruled by a later one.
func TestReviseKeepsToThePolicy(t *testing.T) {
	p := builtin(t, "video15")
	p.Reasons = map[pipeline.Code]Action{pipeline.FootageReused: Ignore}
	v := stored(t, p, map[pipeline.CheckName]pipeline.Check{
		pipeline.CheckFace: {Outcome: pipeline.Pass}, pipeline.CheckLiveness: {Outcome: pipeline.Pass}, pipeline.CheckAuthenticity: {Outcome: pipeline.Pass},
		pipeline.CheckScene: {Outcome: pipeline.NotChecked, Why: WhyNoSite}, pipeline.CheckReuse: {Outcome: pipeline.Pass},
		pipeline.CheckPlace: {Outcome: pipeline.NotChecked, Why: WhyNoFence},
	})
	require.Equal(t, pipeline.DecisionPass, v.Decision)
	decision, reasons := p.Revise(v, pipeline.CheckReuse, result(pipeline.Fail, finding(pipeline.FootageReused, pipeline.Fail)))
	require.Equal(t, pipeline.DecisionPass, decision)
	require.Empty(t, reasons)
}
