package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/api/client"
	"onsite/results"
)

func TestChallengeCommands(t *testing.T) {
	r := newRemote(t)
	require.Zero(t, first(onsite(t, "enroll", "e1", r.file("a.jpg", "face of ann"), "--consent", "v1")))
	_, err := r.store.PutPolicy(t.Context(), results.Policy{Tenant: "acme", Name: "tasks", CreatedAt: r.store.Now(), YAML: []byte(`schema: onsite.policy/1
name: tasks
version: 1
description: {en: A test., zh: 测试。}
media: [video]
checks: {liveness: {need: always}}
challenge: {wanted: true, kinds: [show_code], tasks: 1}
`)}, 0, results.AuditEntry{})
	require.NoError(t, err)
	code, out, errOut := onsite(t, "challenge", "new", "--subject", "e1", "--policy", "tasks", "--camera", "plain")
	require.Zero(t, code, errOut)
	id := strings.TrimSpace(out)
	require.Len(t, id, 26)
	require.Contains(t, errOut, "1. Show this code to the camera")

	code, out, errOut = onsite(t, "submit", r.file("one.mp4", "one"), "--subject", "e1", "--policy", "tasks", "--challenge", id)
	require.Zero(t, code, errOut)
	job := strings.TrimSpace(out)
	code, out, errOut = onsite(t, "challenge", "show", id, "--json")
	require.Zero(t, code, errOut)
	var got client.Challenge
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	require.Equal(t, job, got.Job)
	require.Equal(t, "plain", got.Camera)
	code, _, errOut = onsite(t, "--lang", "zh", "challenge", "show", id)
	require.Zero(t, code)
	require.Contains(t, errOut, "请将以下验证码")

	code, _, errOut = onsite(t, "submit", r.file("two.mp4", "two"), "--subject", "e1", "--policy", "video15", "--challenge", id)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "was issued for policy")
	code, _, errOut = onsite(t, "challenge", "new", "--subject", "e1", "--policy", "video15")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "asks for no challenge")
}
