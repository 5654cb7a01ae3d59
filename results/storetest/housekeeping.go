package storetest

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

var housekeepingCases = []Case{
	{Name: "pending objects", Alone: true, Run: pending},
	{Name: "an election has one winner", Run: election},
	{Name: "a role outlives its holder by its term", Run: electionTerm},
	{Name: "audit log", Run: auditLog},
	{Name: "memory", Run: memory},
	{Name: "a context that has ended", Run: endedContext},
}

func pending(t *testing.T, s results.Store) {
	ctx := t.Context()
	keys := []string{"a/b/1", "a/b/2", "a/b/3"}
	require.NoError(t, s.Pend(ctx, keys))
	require.NoError(t, s.Pend(ctx, keys[:1]), "noting it again is no error")
	require.NoError(t, s.Pend(ctx, nil))
	none, err := s.Orphans(ctx, ago(s, time.Minute), 10)
	require.NoError(t, err)
	require.Empty(t, none, "too fresh")
	two, err := s.Orphans(ctx, s.Now().Add(time.Second), 2)
	require.NoError(t, err)
	require.Equal(t, keys[:2], two)
	require.NoError(t, s.Forget(ctx, two))
	require.NoError(t, s.Forget(ctx, two), "forgetting it again is no error")
	require.NoError(t, s.Forget(ctx, nil))
	rest, err := s.Orphans(ctx, s.Now().Add(time.Second), 10)
	require.NoError(t, err)
	require.Equal(t, keys[2:], rest)
	// A model's file has one key for all uploads of it: the newest counts.
	again := []string{results.ModelKey("1"), "a/b/4"}
	require.NoError(t, s.Pend(ctx, again))
	first := s.Now()
	require.Eventually(t, func() bool { return s.Now().After(first.Add(2 * time.Millisecond)) }, time.Minute, time.Millisecond)
	between := s.Now()
	require.Eventually(t, func() bool { return s.Now().After(between.Add(2 * time.Millisecond)) }, time.Minute, time.Millisecond)
	require.NoError(t, s.Pend(ctx, again))
	rest, err = s.Orphans(ctx, between, 10)
	require.NoError(t, err)
	require.NotContains(t, rest, again[0])
	require.Contains(t, rest, again[1])
	found, err := s.Referenced(ctx, keys)
	require.NoError(t, err)
	require.Empty(t, found)
	found, err = s.Referenced(ctx, nil)
	require.NoError(t, err)
	require.Empty(t, found)
}

func election(t *testing.T, s results.Store) {
	role := NewID()
	const n = 16
	var won atomic.Int32
	errs := make([]error, n)
	for round := range 5 {
		won.Store(0)
		together(n, func(i int) {
			ok, err := s.Elect(t.Context(), role+string(rune('a'+round)), NewID(), time.Minute)
			if errs[i] = err; ok {
				won.Add(1)
			}
		})
		for _, err := range errs {
			require.NoError(t, err)
		}
		require.EqualValues(t, 1, won.Load())
	}
}

func electionTerm(t *testing.T, s results.Store) {
	ctx := t.Context()
	role := NewID()
	elect := func(who string, ttl time.Duration) bool {
		ok, err := s.Elect(ctx, role, who, ttl)
		require.NoError(t, err)
		return ok
	}
	require.True(t, elect("a", time.Minute))
	require.True(t, elect("a", 400*time.Millisecond), "who plays a role goes on")
	require.False(t, elect("b", time.Minute))
	// a dies here.
	require.Eventually(t, func() bool { return elect("b", time.Minute) }, 5*time.Second, 20*time.Millisecond)
	require.False(t, elect("a", time.Minute), "a comes back too late")
	require.False(t, elect("a", 0), "only who plays it gives it up")
	require.True(t, elect("b", 0))
	require.True(t, elect("a", time.Minute), "given up")
	// A process whose clock was wrong must not hold a role for years.
	require.True(t, elect("a", 10000*time.Hour))
	require.True(t, elect("b", time.Minute))
}

func auditLog(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	var want []results.AuditEntry
	for range 5 {
		a := Audit(s, tenant, "verdict.created")
		a.Subject, a.Target, a.Digest = "e1", NewID(), "sha256:00"
		require.NoError(t, s.Append(ctx, a))
		want = append(want, a)
	}
	require.ErrorIs(t, s.Append(ctx, want[0]), results.ErrExists, "an entry is written once")
	first, err := s.AuditLog(ctx, tenant, results.Page{Limit: 2})
	require.NoError(t, err)
	rest, err := s.AuditLog(ctx, tenant, results.Page{After: first[1].ID})
	require.NoError(t, err)
	require.ElementsMatch(t, want, append(first, rest...))
}

func memory(t *testing.T, s results.Store) {
	ctx := t.Context()
	name := NewID()
	_, err := s.Recall(ctx, name)
	require.ErrorIs(t, err, results.ErrNotFound)
	for _, value := range []string{`{"at": 7}`, `"then"`} {
		require.NoError(t, s.Remember(ctx, name, json.RawMessage(value)))
		got, err := s.Recall(ctx, name)
		require.NoError(t, err)
		require.JSONEq(t, value, string(got))
	}
}

func endedContext(t *testing.T, s results.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Remember(ctx, NewID(), json.RawMessage(`1`)), context.Canceled)
	_, err := s.Tenants(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, results.ErrAway, "the caller went away, not the store")
	require.NoError(t, s.Ping(t.Context()))
}
