package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/challenge"
	"onsite/pipeline/policy"
	"onsite/pipeline/verify"
	"onsite/results"
)

const tasksPolicy = `schema: onsite.policy/1
name: tasks
version: 1
description: {en: With a code., zh: 含验证码。}
media: [video]
checks:
  liveness: {need: always, on_fail: review_unless_proven}
  speech: {need: with_video, on_fail: review}
challenge: {wanted: true, kinds: [show_code], tasks: 1}
`

// asked stores a challenge as the API does.
func (w *world) asked(subject, doc string, life time.Duration) string {
	w.Helper()
	now := w.store.Now()
	c := results.Challenge{ID: verify.NewJob(), Tenant: "t", Subject: subject, Policy: "tasks", Doc: []byte(doc), IssuedAt: now, ExpiresAt: now.Add(life)}
	require.NoError(w, w.store.CreateChallenge(w.Context(), c, w.audit("challenge.issued")))
	return c.ID
}

func (w *world) answer(subject, path, id string) results.Submission {
	w.Helper()
	return w.accept(subject, "", "tasks", path, func(c *pipeline.Claim) { c.Challenge = id })
}

// A person shows the code that was asked for: the first upload passes, the same challenge a second time is proven to be a replay.
func TestChallengeIsShownOnce(t *testing.T) {
	w := newWorld(t)
	w.person("ann")
	w.policy("tasks", tasksPolicy)
	font := "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc"
	require.FileExists(t, font, "run `make setup-test` first")
	path := ffmpeg(t, "code.mp4", "-ss", "20", "-t", "2", "-i", footage(t, "franck.mp4"), "-an", "-vf",
		"scale=720:-2,drawtext=fontfile="+font+":text=K7M4PX:fontsize=64:x=20:y=h-100:box=1:boxcolor=white:boxborderw=20", "-c:v", "libx264", "-preset", "veryfast")
	id := w.asked("ann", `{"tasks": [{"kind": "show_code", "text": "K7M4PX"}]}`, time.Minute)

	run := func(sub results.Submission) pipeline.Verdict {
		f, err := w.core.Run(t.Context(), w.claim(sub.Job))
		require.NoError(t, err)
		w.commit(f)
		return verdict(t, f.Verdict.Body)
	}
	v := run(w.answer("ann", path, id))
	part := v.Checks[pipeline.CheckLiveness].Detail["challenge"].(map[string]any)
	require.Equal(t, "pass", part["outcome"], "%v", part)
	require.Equal(t, id, part["id"])
	require.Equal(t, "plain", part["camera"], "a code that can be read is not mirrored")
	require.Equal(t, pipeline.Check{Outcome: pipeline.NotChecked, Why: policy.WhyNoSound}, v.Checks[pipeline.CheckSpeech], "nobody consented to listening")

	v = run(w.answer("ann", path, id))
	require.Equal(t, pipeline.DecisionAbnormal, v.Decision)
	require.Equal(t, pipeline.ChallengeFailed, v.Reasons[0].Code)
	require.Contains(t, v.Reasons[0].Text.EN, "it was used for an earlier upload")

	v = run(w.answer("ann", path, ""))
	require.Equal(t, pipeline.DecisionReview, v.Decision)
	require.Contains(t, codesOf(v), pipeline.ChallengeMissing)
}

func codesOf(v pipeline.Verdict) (out []pipeline.Code) {
	for _, r := range v.Reasons {
		out = append(out, r.Code)
	}
	return out
}

func TestWhatBecameOfAChallenge(t *testing.T) {
	w := newWorld(t)
	w.person("ann")
	w.person("bob")
	w.policy("tasks", tasksPolicy)
	path := footage(t, "franck_02159.jpg") // it is not looked at
	state := func(sub results.Submission) challenge.State {
		a := &attempt{Core: w.core, Lease: results.Lease{Sub: sub}}
		var err error
		a.policy, err = w.core.rules(t.Context(), sub)
		require.NoError(t, err)
		var job verify.Job
		require.NoError(t, a.recording(t.Context(), &job))
		if job.Challenge == nil {
			return ""
		}
		require.Equal(t, job.Challenge.State == challenge.Fresh, len(job.Challenge.Tasks) > 0)
		return job.Challenge.State
	}
	doc := `{"tasks": [{"kind": "nod"}], "camera": "mirrored"}`
	id := w.asked("ann", doc, time.Minute)
	require.Equal(t, challenge.Foreign, state(w.answer("bob", path, id)))
	require.Equal(t, challenge.Fresh, state(w.answer("ann", path, id)))
	require.Equal(t, challenge.Used, state(w.answer("ann", path, id)))
	require.Equal(t, challenge.Late, state(w.answer("ann", path, w.asked("ann", doc, -time.Second))))
	require.Equal(t, challenge.Unknown, state(w.answer("ann", path, verify.NewJob())))
	require.Empty(t, state(w.answer("ann", path, "")))
	require.Empty(t, state(w.accept("ann", "", "video15", path, func(c *pipeline.Claim) { c.Challenge = id })), "the policy wants none")

	hears := func(subject string) bool {
		sub := w.answer(subject, path, "")
		a := &attempt{Core: w.core, Lease: results.Lease{Sub: sub}}
		var err error
		a.policy, err = w.core.rules(t.Context(), sub)
		require.NoError(t, err)
		var job verify.Job
		require.NoError(t, a.recording(t.Context(), &job))
		return job.Hear
	}
	require.False(t, hears("ann"), "a consent to face processing is none to listening")
	require.NoError(t, w.store.GiveConsent(t.Context(), results.Consent{ID: verify.NewJob(), Tenant: "t", Subject: "ann", Purpose: results.PurposeSound, Notice: "1", GivenAt: w.store.Now()}, w.audit("consent.given")))
	require.True(t, hears("ann"))
	require.False(t, hears("bob"))
}
