package verify

import (
	"context"
	"fmt"
	"maps"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/pipeline/reuse"
)

// Late is footage that the history of a finished job did not hold yet: it was accepted before the job and finished after it.
type Late struct {
	Print    reuse.Fingerprint // of the job
	Earlier  []reuse.Candidate // what came late
	Position int64             // of the history that holds it

	Backgrounds []reuse.Background // what investigators marked by now
	Marks       int64              // the position in their sequence that this is
}

// OtherPolicyError says that a verdict was made under another policy than the one it is to be revised under.
type OtherPolicyError struct{ Have, Want string }

func (e *OtherPolicyError) Error() string {
	return fmt.Sprintf("revise a verdict: it was made under policy %s, not %s: give the revision of the policy that it names", e.Have, e.Want)
}

// Revise compares a finished job with footage that came late and gives the next revision of its verdict when that makes the reuse check
// worse; else changed is false. v is the newest verdict as stored, p the policy that it names (the zero policy: the default of the kind of
// media, as Run has it).
//
// Everything that is not about reuse stays word for word. The recipe, too: it is that of the checks that stay; the reuse check's detail
// says which program looked again (revised_by), at what (late), and what it had found before. It says how many clips were compared in all.
// The verdict's inputs name the marks that everything else was compared under, the detail those of the late footage (late_marks_as_of).
func Revise(ctx context.Context, v pipeline.Verdict, p policy.Policy, late Late) (revised pipeline.Verdict, changed bool, err error) {
	began := time.Now()
	if p, err = policyOf(v, p); err != nil {
		return pipeline.Verdict{}, false, err
	}
	before := v.Checks[pipeline.CheckReuse]
	if !p.Wants(pipeline.CheckReuse, v.Site != "", true) || before.Outcome == pipeline.Fail {
		return pipeline.Verdict{}, false, nil
	}
	cfg := reuseConfig(p)
	cfg.Backgrounds = late.Backgrounds
	check, _, err := reuse.Check(ctx, late.Print, late.Earlier, 0, cfg)
	if err != nil {
		return pipeline.Verdict{}, false, fmt.Errorf("compare job %s with footage that came late: %w", v.Job, err)
	}
	if badness[check.Outcome] <= badness[before.Outcome] {
		return pipeline.Verdict{}, false, nil
	}
	out := v
	out.Decision, out.Reasons = p.Revise(v, pipeline.CheckReuse, check)
	out.Checks = maps.Clone(v.Checks)
	check = joined(before, check, late.Earlier)
	if late.Marks != v.Inputs.MarksAsOf { // the others were not compared under these
		check.Detail["late_marks_as_of"] = late.Marks
	}
	out.Checks[pipeline.CheckReuse] = check
	out.Revision = v.Revision + 1
	superseded := RevisionName(v.Job, v.Revision)
	out.Supersedes = &superseded
	out.Inputs.HistoryAsOf = max(v.Inputs.HistoryAsOf, late.Position)
	took := float64(time.Since(began).Microseconds()) / 1000
	out.TimingsMS = map[string]float64{string(StageReuse): took, string(StageTotal): took}
	out.CreatedAt = time.Now().UTC().Truncate(time.Millisecond)
	return out, true, nil
}

// RevisionName names one revision of a job's verdict.
func RevisionName(job string, revision int) string { return fmt.Sprintf("%s.%d", job, revision) }

// badness orders the outcomes of the reuse check. A check that broke off led to review already, as an uncertain one does.
var badness = map[pipeline.Outcome]int{pipeline.Pass: 0, pipeline.NotChecked: 0, pipeline.Uncertain: 1, pipeline.Error: 1, pipeline.Fail: 2}

// joined is the new check with what the earlier one had compared.
func joined(before, now pipeline.Check, late []reuse.Candidate) pipeline.Check {
	jobs := make([]string, len(late))
	for i, c := range late {
		jobs[i] = c.Job
	}
	now.Detail = maps.Clone(now.Detail)
	now.Detail["late"], now.Detail["before"], now.Detail["revised_by"] = jobs, before.Outcome, Version
	compared, known := before.Detail["compared"].(float64) // as JSON has it
	if known {
		now.Detail["compared"] = int(compared) + len(late)
	}
	if missing, ok := before.Detail["missing"]; ok {
		now.Detail["missing"] = missing
	}
	return now
}

// policyOf is the policy that a verdict was made by: p, or without one the built-in policy of its media. Any other is an OtherPolicyError.
func policyOf(v pipeline.Verdict, p policy.Policy) (policy.Policy, error) {
	if p.Name == "" {
		var err error
		if p, err = DefaultPolicy(v.Media.Kind); err != nil {
			return policy.Policy{}, err
		}
	}
	if d := p.Digest(); d != v.Policy {
		return policy.Policy{}, &OtherPolicyError{Have: v.Policy, Want: d}
	}
	return p, nil
}
