package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/api/client"
	"onsite/results"
)

func TestReuseCommands(t *testing.T) {
	r := newRemote(t)
	require.Zero(t, first(onsite(t, "enroll", "e1", r.file("a.jpg", "face of ann"), "--consent", "v1")))
	var jobs []string
	for _, name := range []string{"one.mp4", "two.mp4"} {
		code, out, errOut := onsite(t, "submit", r.file(name, name), "--subject", "e1")
		require.Zero(t, code, errOut)
		jobs = append(jobs, strings.TrimSpace(out))
		r.finish(results.Done)
	}
	code, out, errOut := onsite(t, "reuse", "mark", jobs[1], "--other", jobs[0], "--note", "one event, twice")
	require.Zero(t, code, errOut)
	id := strings.TrimSpace(out)
	require.Len(t, id, 26)
	require.Contains(t, errOut, "job "+jobs[1]+" has a new verdict: review, revision 2")

	code, out, _ = onsite(t, "reuse", "marks")
	require.Zero(t, code)
	require.Contains(t, out, id)
	require.Contains(t, out, "one event, twice")
	code, out, errOut = onsite(t, "--lang", "zh", "reuse", "unmark", id)
	require.Zero(t, code, errOut)
	require.Equal(t, id, strings.TrimSpace(out))
	require.Contains(t, errOut, "新的结论")
	code, out, _ = onsite(t, "reuse", "marks", "--json")
	require.Zero(t, code)
	require.JSONEq(t, `{"marks": []}`, out)
	code, out, _ = onsite(t, "reuse", "marks", "--all", "--job", jobs[0], "--kind", "pair", "--json")
	require.Zero(t, code)
	var all struct{ Marks []client.Mark }
	require.NoError(t, json.Unmarshal([]byte(out), &all))
	require.Len(t, all.Marks, 1)
	require.NotNil(t, all.Marks[0].RevokedAt)
	code, out, _ = onsite(t, "--lang", "zh", "reuse", "marks", "--all")
	require.Zero(t, code)
	require.Contains(t, out, "撤销时间")

	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"mark", jobs[0], "--note", "n"}, "--other JOB"},
		{[]string{"mark", jobs[0], "--other", jobs[1], "--at", "0", "--note", "n"}, "--other JOB"},
		{[]string{"mark", jobs[0], "--other", jobs[1], "--site", "s", "--note", "n"}, "--site"},
		{[]string{"mark", jobs[0], "--at=-5", "--note", "n"}, "0 or more"},
		{[]string{"mark", jobs[0], "--at", "0"}, "--note"},
		{[]string{"mark", jobs[0], "--at", "0", "--note", "n"}, "pictures of this job"},
		{[]string{"mark", jobs[0], "--other", jobs[0], "--note", "n"}, "other"},
		{[]string{"unmark", id}, "revoked before"},
		{[]string{"marks", "--limit", "0"}, "--limit"},
	} {
		code, _, errOut := onsite(t, append([]string{"reuse"}, c.args...)...)
		require.Equal(t, exitUsage, code, "%v: %s", c.args, errOut)
		require.Contains(t, errOut, c.says)
	}
}

func first(code int, _, _ string) int { return code }
