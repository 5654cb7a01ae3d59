package policy

import (
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

// What no longer stands takes its weight along; what stands keeps it, and a decision never gets milder than it may have been.
func TestReplace(t *testing.T) {
	p, err := Default("video15")
	require.NoError(t, err)
	score := func(s float64) []pipeline.Evidence {
		return []pipeline.Evidence{{Kind: "segment", Job: "a", Score: &s}}
	}
	pass := func() map[pipeline.CheckName]pipeline.Check {
		all := map[pipeline.CheckName]pipeline.Check{}
		for _, name := range pipeline.CheckNames {
			all[name] = pipeline.Check{Outcome: pipeline.Pass}
		}
		return all
	}
	copied := pipeline.Check{Outcome: pipeline.Fail, Findings: []pipeline.Finding{{Code: pipeline.FootageReused, Outcome: pipeline.Fail, Certain: true, Evidence: score(1), Args: map[string]string{"job": "a"}}}}
	made := func(checks map[pipeline.CheckName]pipeline.Check) pipeline.Verdict {
		v := pipeline.Verdict{Checks: checks}
		v.Decision, v.Reasons = p.Decide(checks)
		return v
	}
	alone := pass()
	alone[pipeline.CheckReuse] = copied
	v := made(alone)
	require.Equal(t, pipeline.DecisionAbnormal, v.Decision)
	decision, reasons := p.Replace(v, pipeline.CheckReuse, pipeline.Check{Outcome: pipeline.Pass}, nil)
	require.Equal(t, pipeline.DecisionPass, decision)
	require.Empty(t, reasons)
	require.NotNil(t, reasons, "a verdict's JSON has a list")

	kept, _ := p.Replace(v, pipeline.CheckReuse, pipeline.Check{Outcome: pipeline.Pass}, v.Reasons)
	require.Equal(t, v.Decision, kept, "what stands weighs what it did")
	like := pipeline.Check{Outcome: pipeline.Uncertain, Findings: []pipeline.Finding{{Code: pipeline.SameContent, Outcome: pipeline.Uncertain, Args: map[string]string{"job": "b"}}}}
	decision, reasons = p.Replace(v, pipeline.CheckReuse, like, nil)
	require.Equal(t, pipeline.DecisionReview, decision)
	require.Equal(t, pipeline.SameContent, reasons[0].Code)

	both := pass()
	both[pipeline.CheckReuse] = copied
	both[pipeline.CheckFace] = pipeline.Check{Outcome: pipeline.Fail, Findings: []pipeline.Finding{{Code: pipeline.FaceMismatch, Outcome: pipeline.Fail}}}
	v = made(both)
	without := pass()
	without[pipeline.CheckFace] = both[pipeline.CheckFace]
	want := made(without)
	decision, reasons = p.Replace(v, pipeline.CheckReuse, pipeline.Check{Outcome: pipeline.Pass}, nil)
	require.Equal(t, want.Decision, decision)
	require.Equal(t, want.Reasons, reasons)
}

func TestFindingOfAReason(t *testing.T) {
	full, some := 1.0, 0.8
	for _, c := range []struct {
		code    pipeline.Code
		score   *float64
		outcome pipeline.Outcome
		certain bool
	}{
		{pipeline.FootageReused, &full, pipeline.Fail, true}, {pipeline.FootageReused, &some, pipeline.Fail, false},
		{pipeline.FootageReused, nil, pipeline.Fail, false}, {pipeline.SameContent, &some, pipeline.Uncertain, false},
	} {
		f := Finding(pipeline.Reason{Code: c.code, Evidence: []pipeline.Evidence{{Score: c.score}}})
		require.Equal(t, []any{c.outcome, c.certain}, []any{f.Outcome, f.Certain})
	}
}
