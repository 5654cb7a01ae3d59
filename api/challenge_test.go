package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/results"
)

// policy writes a policy that takes clips, with further lines of YAML.
func (d *desk) policy(name, more string) {
	d.t.Helper()
	body := fmt.Sprintf(`schema: onsite.policy/1
name: %s
version: 1
description: {en: A test., zh: 测试。}
media: [video]
checks: {liveness: {need: always}}
%s
`, name, more)
	d.ok(http.StatusCreated, http.MethodPut, "/v1/policies/"+name, strings.NewReader(body), "Content-Type", "application/yaml")
}

func TestChallenges(t *testing.T) {
	d := newDesk(t)
	d.ok(http.StatusCreated, http.MethodPost, "/v1/subjects", map[string]string{"id": "w1"})
	d.ok(http.StatusCreated, http.MethodPost, "/v1/subjects", map[string]string{"id": "w2"})
	d.policy("tasks", "challenge: {wanted: true, kinds: [turn_left, show_code, say_digits], tasks: 3, seconds: 60}")

	var c ChallengeAnswer
	a := d.ok(http.StatusCreated, http.MethodPost, "/v1/challenges", map[string]string{"subject": "w1", "policy": "tasks", "camera": "mirrored"})
	a.into(&c)
	require.Equal(t, "/v1/challenges/"+c.ID, a.header.Get("Location"))
	require.Equal(t, time.Minute, c.ExpiresAt.Sub(c.IssuedAt))
	require.Len(t, c.Tasks, 3)
	for _, task := range c.Tasks {
		if task.Kind == pipeline.ShowCode || task.Kind == pipeline.SayDigits {
			require.Contains(t, task.Ask.EN, task.Text)
			require.Contains(t, task.Ask.ZH, task.Text)
			require.NotEmpty(t, task.Text)
		}
	}
	var read ChallengeAnswer
	d.ok(http.StatusOK, http.MethodGet, "/v1/challenges/"+c.ID, nil).into(&read)
	require.Equal(t, c, read)
	require.Contains(t, d.actions(), "challenge.issued")

	// What a submission may name.
	for _, wrong := range []struct{ subject, policy, challenge, code string }{
		{"w1", "tasks", "01JD3Q0C6Q8R4T2V9W1X5Y7Z3A", "unknown"},
		{"w2", "tasks", c.ID, "other_subject"},
		{"w1", "video15", c.ID, "other_policy"},
	} {
		a := d.submit(d.admin, nil, "subject", wrong.subject, "policy", wrong.policy, "challenge", wrong.challenge, "@media", "x")
		require.Equal(t, http.StatusUnprocessableEntity, a.status, string(a.body))
		require.Contains(t, string(a.body), wrong.code)
	}
	var job AcceptedJob
	a = d.submit(d.admin, []string{"Idempotency-Key", "k1"}, "subject", "w1", "policy", "tasks", "challenge", c.ID, "@media", "a")
	require.Equal(t, http.StatusAccepted, a.status, string(a.body))
	a.into(&job)
	d.ok(http.StatusOK, http.MethodGet, "/v1/challenges/"+c.ID, nil).into(&read)
	require.Equal(t, job.Job, read.Job)
	require.NotNil(t, read.UsedAt)
	sub, err := d.store.Submission(context.Background(), job.Job)
	require.NoError(t, err)
	require.Equal(t, c.ID, sub.Challenge())

	again := d.submit(d.admin, []string{"Idempotency-Key", "k1"}, "subject", "w1", "policy", "tasks", "challenge", c.ID, "@media", "a")
	require.Equal(t, http.StatusAccepted, again.status, "the same request again is the same job")
	require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
	other := d.submit(d.admin, nil, "subject", "w1", "policy", "tasks", "challenge", c.ID, "@media", "b")
	require.Equal(t, http.StatusAccepted, other.status, "a replay is accepted, and found by the check")
	d.ok(http.StatusOK, http.MethodGet, "/v1/challenges/"+c.ID, nil).into(&read)
	require.Equal(t, job.Job, read.Job)
}

func TestChallengesThatAreNotIssued(t *testing.T) {
	d := newDesk(t)
	d.ok(http.StatusCreated, http.MethodPost, "/v1/subjects", map[string]string{"id": "w1"})
	d.policy("tasks", "challenge: {wanted: true}")
	for _, c := range []struct {
		body   map[string]string
		status int
		want   string
	}{
		{map[string]string{"subject": "nobody", "policy": "tasks"}, 422, "unknown"},
		{map[string]string{"subject": "w1", "policy": "nothing"}, 422, "unknown"},
		{map[string]string{"subject": "w1", "policy": "video15"}, 422, "no_challenge"},
		{map[string]string{"subject": "w1"}, 422, "policy"},
		{map[string]string{"subject": "w1", "policy": "tasks", "camera": "upside_down"}, 422, "camera"},
	} {
		a := d.ask(http.MethodPost, "/v1/challenges", c.body)
		require.Equal(t, c.status, a.status, string(a.body))
		require.Contains(t, string(a.body), c.want)
	}
	require.Equal(t, http.StatusNotFound, d.ask(http.MethodGet, "/v1/challenges/01JD3Q0C6Q8R4T2V9W1X5Y7Z3A", nil).status)
	for range results.MaxChallenges {
		d.ok(http.StatusCreated, http.MethodPost, "/v1/challenges", map[string]string{"subject": "w1", "policy": "tasks"})
	}
	a := d.ask(http.MethodPost, "/v1/challenges", map[string]string{"subject": "w1", "policy": "tasks"})
	require.Equal(t, http.StatusTooManyRequests, a.status)
	require.Contains(t, string(a.body), "too_many_challenges")
	require.NotEmpty(t, a.header.Get("Retry-After"))
}

func TestConsentToSound(t *testing.T) {
	d := newDesk(t)
	d.ok(http.StatusCreated, http.MethodPost, "/v1/subjects", map[string]string{"id": "w1"})
	d.consent("w1")
	require.Less(t, d.photos("w1", "face of a").status, 300)
	d.ok(http.StatusCreated, http.MethodPost, "/v1/subjects/w1/consents", map[string]string{"purpose": "sound", "notice": "v1"})
	ok, err := d.store.Consented(context.Background(), "acme", "w1", results.PurposeSound)
	require.NoError(t, err)
	require.True(t, ok)
	var gone Withdrawn
	d.ok(http.StatusOK, http.MethodDelete, "/v1/subjects/w1/consents/sound", nil).into(&gone)
	require.Zero(t, gone.PhotosDeleted, "the photos were enrolled under another consent")
	require.Equal(t, 1, gone.EnrolmentRev)
	require.Equal(t, http.StatusNotFound, d.ask(http.MethodDelete, "/v1/subjects/w1/consents/sound", nil).status)
	for purpose, want := range map[string]bool{results.PurposeSound: false, results.PurposeFace: true} {
		ok, err = d.store.Consented(context.Background(), "acme", "w1", purpose)
		require.NoError(t, err)
		require.Equal(t, want, ok, purpose)
	}
}
