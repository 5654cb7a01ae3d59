package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/audit"
	"onsite/results/evidence"
)

// A package as a service exports it: the claim's time is the server's, since the device claimed none, and earlier claims were looked at.
func TestReplayOfAnExport(t *testing.T) {
	photo := footage(t, "franck_02221.jpg")
	sum, _, err := digest(photo)
	require.NoError(t, err)
	received := time.Date(2026, 11, 22, 9, 0, 0, 123456789, time.UTC)
	claim := pipeline.Claim{Job: "j", Tenant: "golden", Subject: "e1", TakenAt: received}
	raw, err := json.Marshal(claim)
	require.NoError(t, err)
	p, err := policy.Default("photo")
	require.NoError(t, err)
	v := pipeline.Verdict{
		Schema: pipeline.Schema, Job: "j", Tenant: "golden", Subject: "e1", Decision: pipeline.DecisionPass, Policy: p.Digest(), Revision: 1, Onsite: "dev",
		Inputs: pipeline.Inputs{Claim: "sha256:" + results.Sum(raw)},
		Checks: map[pipeline.CheckName]pipeline.Check{
			pipeline.CheckPlace:    {Outcome: pipeline.Pass, Detail: map[string]any{"rules": map[string]any{"travel": map[string]any{"outcome": "pass"}, "device": map[string]any{"outcome": "not_checked"}}}},
			pipeline.CheckLiveness: {Outcome: pipeline.Fail, Detail: map[string]any{"challenge": map[string]any{"tasks": []any{map[string]any{"kind": "nod", "why": policy.WhyNoConsent}}}}},
		},
	}
	v.Media.SHA256, v.Media.Kind = sum, "photo"
	key, err := audit.NewKey("golden")
	require.NoError(t, err)
	e := &env{out: io.Discard, err: io.Discard, lang: "en"}
	open := func(c evidence.Content, v pipeline.Verdict) (opened, error) {
		c.Key = key
		var err error
		c.Verdict, err = json.Marshal(v)
		require.NoError(t, err)
		c.Proof, err = proven(key, results.AuditEntry{ID: verify.NewJob(), Tenant: "golden", Action: results.EventVerdictCreated, Subject: "e1", Target: v.Job, Digest: results.Sum(c.Verdict)})
		require.NoError(t, err)
		var b bytes.Buffer
		_, err = evidence.Make(&b, c)
		require.NoError(t, err)
		cmd := &evidenceReplayCmd{File: filepath.Join(t.TempDir(), "p.zip"), Media: photo, Key: &key.Public}
		require.NoError(t, os.WriteFile(cmd.File, b.Bytes(), 0o600))
		return cmd.inputs(e)
	}
	in, err := open(evidence.Content{Claim: raw, Received: received}, v)
	require.NoError(t, err)
	job, err := in.job()
	require.NoError(t, err, "the built-in policy is the verdict's")
	require.True(t, job.Claim.TakenAt.Equal(job.Received), "nothing was claimed")
	require.False(t, job.Consent, "a task of the challenge says that it was refused")
	require.True(t, job.Hear)
	missing := in.missing(job.Policy)
	require.Len(t, missing, 2, "earlier claims and the challenge")
	require.Contains(t, missing[0].EN, "the rules travel of")
	marked := in
	marked.Verdict.Inputs.MarksAsOf = 1
	require.Contains(t, marked.missing(job.Policy)[2].EN, "the marks of investigators that the verdict goes by")
	r := replayed{Reverification: compared(v, pipeline.Verdict{Decision: pipeline.DecisionReview}), Missing: missing}
	require.ErrorContains(t, sameVerdict(r), "earlier claims")

	in, err = open(evidence.Content{Claim: raw}, v)
	require.NoError(t, err, "older packages are read")
	require.Len(t, in.missing(p), 3, "and do not say when the upload was received")

	other := v
	other.Policy = "sha256:of a revision that is gone"
	in, err = open(evidence.Content{Claim: raw, Received: received}, other)
	require.NoError(t, err)
	_, err = in.job()
	require.ErrorContains(t, err, "policy_gone")

	_, err = open(evidence.Content{Received: received}, v)
	var usage *usageError
	require.ErrorAs(t, err, &usage)
	require.Contains(t, usage.text.EN, "no claim.json")
	require.Contains(t, usage.text.ZH, "没有 claim.json")
	require.Len(t, (&evidenceReplayCmd{Face: []string{"a"}, Site: "s", Against: "d"}).unverified(), 3)
}

// A key that was given and is empty is no key that was left out.
func TestEmptyKeyIsRefused(t *testing.T) {
	for _, args := range [][]string{{"evidence", "verify"}, {"evidence", "replay", "--media", "x"}} {
		code, _, errOut := onsite(t, append([]string{"--lang", "en"}, append(args, "--key", " ", filepath.Join("testdata", "golden", "service.zip"))...)...)
		require.Equal(t, exitUsage, code)
		require.Contains(t, errOut, "--key is empty")
		code, _, errOut = onsite(t, append([]string{"--lang", "zh"}, append(args, "--key", "onsite.audit/golden+00000000+AAAA", filepath.Join("testdata", "golden", "service.zip"))...)...)
		require.Equal(t, exitUsage, code)
		require.Contains(t, errOut, "不是审计日志的公钥")
	}
	code, _, errOut := onsite(t, "--lang", "en", "audit", "verify", "--key", "")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "--key is empty")
}
