package verify_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/pipeline/reuse"
	"onsite/pipeline/verify"
)

// marked is a history with marks.
type marked struct {
	history
	at int64
}

func (m marked) Backgrounds() []reuse.Background { return nil }
func (m marked) MarksAsOf() int64                { return m.at }

// A mark takes back what it speaks about and nothing else, whatever the stored fingerprints can still show of the rest.
func TestReconsider(t *testing.T) {
	p, err := policy.Default("video15")
	require.NoError(t, err)
	score, threshold := 0.8, 0.5
	about := func(code pipeline.Code, outcome pipeline.Outcome, job string) pipeline.Finding {
		return pipeline.Finding{Code: code, Outcome: outcome, Args: map[string]string{"job": job}, Evidence: []pipeline.Evidence{{Kind: "segment", Job: job, Score: &score}}}
	}
	made := func(revision int, outcome pipeline.Outcome, findings ...pipeline.Finding) pipeline.Verdict {
		v := pipeline.Verdict{Schema: pipeline.Schema, Job: "job", Policy: p.Digest(), Revision: revision, Recipe: "sha256:r", Media: pipeline.MediaInfo{Kind: "video"},
			Checks: map[pipeline.CheckName]pipeline.Check{}, Inputs: pipeline.Inputs{HistoryAsOf: 7}}
		for _, name := range pipeline.CheckNames {
			v.Checks[name] = pipeline.Check{Outcome: pipeline.Pass}
		}
		v.Checks[pipeline.CheckReuse] = pipeline.Check{Outcome: outcome, Threshold: &threshold, Findings: findings}
		v.Decision, v.Reasons = p.Decide(v.Checks)
		return asStored(t, v)
	}
	again := func(revisions []pipeline.Verdict, pairs map[string]string) (pipeline.Verdict, bool) {
		t.Helper()
		v, changed, err := verify.Reconsider(t.Context(), revisions, policy.Policy{}, verify.Marked{Pairs: pairs, History: marked{at: 5}})
		require.NoError(t, err)
		return v, changed
	}
	failed := made(1, pipeline.Fail, about(pipeline.FootageReused, pipeline.Fail, "a"))
	v, changed := again([]pipeline.Verdict{failed}, map[string]string{"a": "m1"})
	require.True(t, changed)
	require.Equal(t, pipeline.DecisionPass, v.Decision)
	require.Equal(t, []any{2, "job.1", int64(7), int64(5), "sha256:r"}, []any{v.Revision, *v.Supersedes, v.Inputs.HistoryAsOf, v.Inputs.MarksAsOf, v.Recipe})
	require.Equal(t, pipeline.Fail, v.Checks[pipeline.CheckReuse].Detail["before"])
	require.Equal(t, pipeline.Fail, failed.Checks[pipeline.CheckReuse].Outcome, "the superseded revision stays as it was")

	cleared := asStored(t, v)
	back, changed := again([]pipeline.Verdict{failed, cleared}, nil)
	require.True(t, changed, "the mark was revoked")
	require.Equal(t, failed.Decision, back.Decision)
	require.Equal(t, failed.Reasons, back.Reasons, "though nothing is left to compare it with")
	require.Equal(t, pipeline.Fail, back.Checks[pipeline.CheckReuse].Outcome)
	require.InDelta(t, score, *back.Checks[pipeline.CheckReuse].Score, 0)
	require.Equal(t, 3, back.Revision)

	_, changed = again([]pipeline.Verdict{failed}, map[string]string{"b": "m1"})
	require.False(t, changed, "another pair")
	_, changed = again([]pipeline.Verdict{failed, cleared}, map[string]string{"a": "m1"})
	require.False(t, changed, "it is cleared already")

	both := made(1, pipeline.Fail, about(pipeline.FootageReused, pipeline.Fail, "a"), about(pipeline.SameContent, pipeline.Uncertain, "b"))
	v, changed = again([]pipeline.Verdict{both}, map[string]string{"a": "m1"})
	require.True(t, changed)
	require.Equal(t, pipeline.DecisionReview, v.Decision)
	require.Len(t, v.Reasons, 1)
	require.Equal(t, pipeline.SameContent, v.Reasons[0].Code)
	require.Equal(t, pipeline.Uncertain, v.Checks[pipeline.CheckReuse].Outcome)
	same := made(1, pipeline.Fail, about(pipeline.FootageReused, pipeline.Fail, "a"), about(pipeline.SameContent, pipeline.Uncertain, "a"))
	worse := []pipeline.Verdict{made(1, pipeline.Uncertain, about(pipeline.SameContent, pipeline.Uncertain, "b")), same}
	v, changed = again(worse, map[string]string{"a": "m1"})
	require.True(t, changed)
	require.Equal(t, "b", v.Reasons[0].Evidence[0].Job, "what an earlier revision found of others stands")

	// What stands beside a marked pair stays as it was found, and no longer speaks of that pair.
	proven := about(pipeline.FootageReused, pipeline.Fail, "a")
	one := 1.0
	proven.Evidence = append(proven.Evidence, pipeline.Evidence{Kind: "segment", Job: "b", Score: &one})
	mixed := made(1, pipeline.Fail, proven)
	v, changed = again([]pipeline.Verdict{mixed}, map[string]string{"a": "m1"})
	require.True(t, changed)
	require.Equal(t, mixed.Decision, v.Decision)
	require.Len(t, v.Reasons, 1)
	require.Len(t, v.Reasons[0].Evidence, 1)
	require.Equal(t, "b", v.Reasons[0].Evidence[0].Job)
	require.Equal(t, policy.ReasonText(pipeline.FootageReused, map[string]string{"job": "b"}), v.Reasons[0].Text)
	require.Len(t, mixed.Reasons[0].Evidence, 2, "the superseded revision stays as it was")
	v, _ = again([]pipeline.Verdict{mixed}, map[string]string{"b": "m1"})
	require.Equal(t, mixed.Reasons[0].Text, v.Reasons[0].Text)
	require.Equal(t, "a", v.Reasons[0].Evidence[0].Job)
	twice := []pipeline.Verdict{made(1, pipeline.Fail, about(pipeline.FootageReused, pipeline.Fail, "b")), made(2, pipeline.Fail, about(pipeline.FootageReused, pipeline.Fail, "a"))}
	v, changed = again(twice, map[string]string{"c": "m1"})
	require.True(t, changed)
	require.Len(t, v.Reasons, 2, "the same code about other footage is another reason")

	sha := strings.Repeat("ab", 32)
	v, changed, err = verify.Reconsider(t.Context(), []pipeline.Verdict{failed}, policy.Policy{}, verify.Marked{Print: reuse.Fingerprint{SHA256: sha}, Earlier: []reuse.Candidate{{Job: "b", SHA256: sha}}, History: marked{}})
	require.NoError(t, err)
	require.True(t, changed)
	require.Len(t, v.Reasons, 2, "a copy of b is found now; that of a stands")

	enrolled := pipeline.Finding{Code: pipeline.FootageReused, Outcome: pipeline.Fail, Certain: true, Args: map[string]string{"job": "front.jpg"}, Evidence: []pipeline.Evidence{{Kind: "match", Reference: "front.jpg"}}}
	_, changed = again([]pipeline.Verdict{made(1, pipeline.Fail, enrolled)}, map[string]string{"a": "m1"})
	require.False(t, changed, "an enrolled photo is no pair of jobs")
	_, changed = again([]pipeline.Verdict{made(1, pipeline.NotChecked)}, map[string]string{"a": "m1"})
	require.False(t, changed)
	_, changed = again(nil, nil)
	require.False(t, changed)
	strict, err := policy.Default("no_face")
	require.NoError(t, err)
	_, _, err = verify.Reconsider(t.Context(), []pipeline.Verdict{failed}, strict, verify.Marked{History: marked{}})
	var other *verify.OtherPolicyError
	require.ErrorAs(t, err, &other)
}
