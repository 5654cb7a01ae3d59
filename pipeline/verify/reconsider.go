package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/pipeline/reuse"
)

// Marked is the footage of a finished job with what it was compared with, after an investigator marked something about it or took a mark
// back.
type Marked struct {
	Print   reuse.Fingerprint // of the job
	Earlier []reuse.Candidate // its history at the position of its newest verdict, with the marks of its pairs
	Missing int               // how much of that could not be read
	Pairs   map[string]string // every job that a marked pair makes with this one, and the mark
	History reuse.Marked      // the marks
}

// Reconsider makes the reuse check of a finished job again after its marks changed, and gives the next revision of its verdict; changed is
// false where the check finds what it found. revisions are the job's stored verdicts, oldest first, p the policy that they name (the zero
// policy: the default of the kind of media).
//
// A mark takes back only what it speaks about. Stored fingerprints are less exact than the footage that the first look had: what any
// revision once found stays found as long as no mark in force clears the pair that it was about. Everything that is not about reuse stays
// word for word; the decision is that of policy.Replace.
func Reconsider(ctx context.Context, revisions []pipeline.Verdict, p policy.Policy, m Marked) (revised pipeline.Verdict, changed bool, err error) {
	began := time.Now()
	if len(revisions) == 0 {
		return pipeline.Verdict{}, false, nil
	}
	v := revisions[len(revisions)-1]
	if p, err = policyOf(v, p); err != nil {
		return pipeline.Verdict{}, false, err
	}
	before := v.Checks[pipeline.CheckReuse]
	switch before.Outcome {
	case pipeline.Pass, pipeline.Fail, pipeline.Uncertain:
	default: // it was not made, or broke off: there is nothing to take back
		return pipeline.Verdict{}, false, nil
	}
	cfg := reuseConfig(p).WithMarks(m.History)
	cfg.Known = map[string]bool{}
	for _, v := range revisions {
		for _, r := range v.Reasons {
			for _, job := range jobsOf(r.Evidence) {
				cfg.Known[job] = true
			}
		}
	}
	check, result, err := reuse.Check(ctx, m.Print, m.Earlier, m.Missing, cfg)
	if err != nil {
		return pipeline.Verdict{}, false, fmt.Errorf("compare job %s again: %w", v.Job, err)
	}
	cleared := maps.Clone(m.Pairs)
	if cleared == nil {
		cleared = map[string]string{}
	}
	for _, match := range result.Matches {
		if match.ClearedBy != "" {
			cleared[match.Job] = match.ClearedBy
		}
	}
	kept := standing(revisions, check, cleared)
	check = besides(check, kept)
	decision, reasons := p.Replace(v, pipeline.CheckReuse, check, kept)
	check = strongest(check, kept)
	if check.Outcome == before.Outcome && decision == v.Decision && slices.Equal(told(reasons), told(v.Reasons)) {
		return pipeline.Verdict{}, false, nil
	}
	out := v
	out.Decision, out.Reasons = decision, reasons
	check.Detail = maps.Clone(check.Detail)
	check.Detail["before"], check.Detail["revised_by"] = before.Outcome, Version
	out.Checks = maps.Clone(v.Checks)
	out.Checks[pipeline.CheckReuse] = check
	out.Revision = v.Revision + 1
	superseded := RevisionName(v.Job, v.Revision)
	out.Supersedes = &superseded
	out.Inputs.MarksAsOf = m.History.MarksAsOf()
	took := float64(time.Since(began).Microseconds()) / 1000
	out.TimingsMS = map[string]float64{string(StageReuse): took, string(StageTotal): took}
	out.CreatedAt = time.Now().UTC().Truncate(time.Millisecond)
	return out, true, nil
}

// standing gives what earlier revisions found, the newest first, as far as no mark clears it and the new check does not find it itself:
// the same code about the same footage, not just the same code.
func standing(revisions []pipeline.Verdict, now pipeline.Check, cleared map[string]string) []pipeline.Reason {
	var out []pipeline.Reason
	known := map[pipeline.Code]map[string]bool{}
	note := func(code pipeline.Code, evidence []pipeline.Evidence) {
		if known[code] == nil {
			known[code] = map[string]bool{}
		}
		for _, about := range subjects(evidence) {
			known[code][about] = true
		}
	}
	for _, f := range now.Findings {
		note(f.Code, f.Evidence)
	}
	for _, v := range slices.Backward(revisions) {
		for _, r := range v.Reasons {
			if r.Check != pipeline.CheckReuse || r.Code != pipeline.FootageReused && r.Code != pipeline.SameContent {
				continue
			}
			r, left := uncleared(v.Media.Kind, r, cleared)
			if !left || !slices.ContainsFunc(subjects(r.Evidence), func(about string) bool { return !known[r.Code][about] }) {
				continue
			}
			note(r.Code, r.Evidence)
			out = append(out, r)
		}
	}
	// Footage that was a copy is not told to be like it, too.
	jobs := func(code pipeline.Code) (all []string) {
		for _, r := range out {
			if r.Code == code {
				all = append(all, jobsOf(r.Evidence)...)
			}
		}
		for _, f := range now.Findings {
			if f.Code == code {
				all = append(all, jobsOf(f.Evidence)...)
			}
		}
		return all
	}
	copies := jobs(pipeline.FootageReused)
	return slices.DeleteFunc(out, func(r pipeline.Reason) bool {
		return r.Code == pipeline.SameContent && !slices.ContainsFunc(jobsOf(r.Evidence), func(job string) bool { return !slices.Contains(copies, job) })
	})
}

// uncleared is a reason without the footage that marks clear, and told of the first that remains; left is false where they clear all of
// it. What is about no footage, such as an enrolled photo, is cleared by nothing.
func uncleared(kind string, r pipeline.Reason, cleared map[string]string) (out pipeline.Reason, left bool) {
	kept := slices.DeleteFunc(slices.Clone(r.Evidence), func(e pipeline.Evidence) bool {
		_, ok := cleared[e.Job]
		return ok
	})
	switch {
	case len(kept) == len(r.Evidence):
		return r, true
	case len(kept) == 0:
		return r, false
	}
	if kept[0].Job != r.Evidence[0].Job { // the words name the first
		r.Text = policy.ReasonText(r.Code, map[string]string{"job": kept[0].Job, "media": kind})
	}
	r.Evidence = kept
	return r, true
}

// subjects are what evidence is about: earlier jobs, or references such as enrolled photos. A reason without evidence is about one thing
// without a name.
func subjects(evidence []pipeline.Evidence) []string {
	if len(evidence) == 0 {
		return []string{""}
	}
	out := make([]string, 0, len(evidence))
	for _, e := range evidence {
		if e.Job != "" {
			out = append(out, "job "+e.Job)
		} else {
			out = append(out, "reference "+e.Reference)
		}
	}
	return out
}

// besides is the check without likeness to footage that still counts as copied: its outcome is that of what it finds itself.
func besides(c pipeline.Check, kept []pipeline.Reason) pipeline.Check {
	var copies []string
	for _, r := range kept {
		if r.Code == pipeline.FootageReused {
			copies = append(copies, jobsOf(r.Evidence)...)
		}
	}
	var findings []pipeline.Finding
	c.Outcome = pipeline.Pass
	for _, f := range c.Findings {
		jobs := jobsOf(f.Evidence)
		if f.Code == pipeline.SameContent && len(jobs) > 0 && !slices.ContainsFunc(jobs, func(job string) bool { return !slices.Contains(copies, job) }) {
			continue
		}
		findings = append(findings, f)
		if badness[f.Outcome] > badness[c.Outcome] {
			c.Outcome = f.Outcome
		}
	}
	c.Findings = findings
	return c
}

// strongest is the check with the reasons that still stand: its outcome is the worst of both, its score that of what it rests on.
func strongest(c pipeline.Check, kept []pipeline.Reason) pipeline.Check {
	for _, r := range kept {
		if o := policy.Finding(r).Outcome; badness[o] > badness[c.Outcome] {
			c.Outcome = o
		}
		for _, e := range r.Evidence {
			if e.Score != nil && (c.Score == nil || *e.Score > *c.Score) {
				c.Score = e.Score
			}
		}
	}
	return c
}

func jobsOf(evidence []pipeline.Evidence) []string {
	var out []string
	for _, e := range evidence {
		if e.Job != "" {
			out = append(out, e.Job)
		}
	}
	return out
}

// told is what the reuse check's reasons say in short: codes and the footage that they are about.
func told(reasons []pipeline.Reason) []string {
	var out []string
	for _, r := range reasons {
		if r.Check == pipeline.CheckReuse {
			out = append(out, fmt.Sprint(r.Code, jobsOf(r.Evidence)))
		}
	}
	return out
}
