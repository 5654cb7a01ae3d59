package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

var challengeCases = []Case{
	{Name: "a challenge is used once", Run: challengeOnce},
	{Name: "the newest challenge ends earlier ones", Run: challengeNewest},
	{Name: "a challenge answers its own subject only", Run: challengeOwner},
	{Name: "several use a challenge at once", Run: challengeRace},
	{Name: "a challenge that an upload answers", Run: challengeUpload},
	{Name: "how many challenges", Run: challengeBound},
	{Name: "challenges go", Alone: true, Run: challengesGo},
}

// NewChallenge makes a challenge of a subject that lives for two minutes.
func NewChallenge(s results.Store, tenant, subject string) results.Challenge {
	now := s.Now()
	return results.Challenge{ID: NewID(), Tenant: tenant, Subject: subject, Policy: "strict", Doc: []byte(`{"tasks": [{"kind": "nod"}]}`), Actor: "key-1",
		IssuedAt: now, ExpiresAt: now.Add(2 * time.Minute)}
}

func issue(t testing.TB, s results.Store, tenant, subject string) results.Challenge {
	t.Helper()
	c := NewChallenge(s, tenant, subject)
	require.NoError(t, s.CreateChallenge(t.Context(), c, Audit(s, tenant, "challenge.issued")))
	return c
}

// answering makes a submission answer a challenge.
func answering(id string) func(*results.NewSubmission) {
	return func(n *results.NewSubmission) { n.Sub.Claim = fmt.Appendf(nil, `{"challenge":%q}`, id) }
}

func readChallenge(t testing.TB, s results.Store, c results.Challenge) results.Challenge {
	t.Helper()
	got, err := s.Challenge(t.Context(), c.Tenant, c.ID)
	require.NoError(t, err)
	return got
}

func challengeOnce(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	NewSubject(t, s, tenant, "e1")
	c := issue(t, s, tenant, "e1")
	require.Equal(t, c, readChallenge(t, s, c))
	require.Contains(t, actions(t, s, tenant), "challenge.issued")

	Accept(t, s, tenant, "e1") // answers none
	require.Empty(t, readChallenge(t, s, c).Job)
	first := Accept(t, s, tenant, "e1", answering(c.ID))
	used := readChallenge(t, s, c)
	require.Equal(t, first.ID, used.Job)
	require.WithinDuration(t, s.Now(), used.UsedAt, time.Minute)
	Accept(t, s, tenant, "e1", answering(c.ID))
	require.Equal(t, used, readChallenge(t, s, c), "the second time it is used already")

	_, err := s.Challenge(t.Context(), tenant, NewID())
	require.ErrorIs(t, err, results.ErrNotFound)
	require.ErrorIs(t, s.CreateChallenge(t.Context(), NewChallenge(s, tenant, "nobody"), Audit(s, tenant, "challenge.issued")), results.ErrNotFound)
}

func challengeNewest(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	NewSubject(t, s, tenant, "e1")
	NewSubject(t, s, tenant, "e2")
	used, old, another := issue(t, s, tenant, "e1"), NewChallenge(s, tenant, "e1"), issue(t, s, tenant, "e2")
	Accept(t, s, tenant, "e1", answering(used.ID))
	used = readChallenge(t, s, used)
	old.IssuedAt = old.IssuedAt.Add(time.Second)
	require.NoError(t, s.CreateChallenge(t.Context(), old, Audit(s, tenant, "challenge.issued")))
	next := NewChallenge(s, tenant, "e1")
	next.IssuedAt, next.ExpiresAt = old.IssuedAt.Add(time.Second), old.ExpiresAt.Add(time.Second)
	require.NoError(t, s.CreateChallenge(t.Context(), next, Audit(s, tenant, "challenge.issued")))
	require.Equal(t, next.IssuedAt, readChallenge(t, s, old).ExpiresAt, "who may choose among several chooses the one that fits")
	require.Equal(t, next, readChallenge(t, s, next))
	require.Equal(t, used, readChallenge(t, s, used), "a used one stays as it was")
	require.Equal(t, another, readChallenge(t, s, another), "and so does another person's")
}

func challengeOwner(t *testing.T, s results.Store) {
	tenant, other := NewTenant(t, s), NewTenant(t, s)
	for _, id := range []string{"e1", "e2"} {
		NewSubject(t, s, tenant, id)
		NewSubject(t, s, other, id)
	}
	c := issue(t, s, tenant, "e1")
	Accept(t, s, tenant, "e2", answering(c.ID))
	Accept(t, s, other, "e1", answering(c.ID))
	require.Equal(t, c, readChallenge(t, s, c), "neither another subject nor another tenant can use it up")
}

func challengeRace(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	NewSubject(t, s, tenant, "e1")
	c := issue(t, s, tenant, "e1")
	var wait sync.WaitGroup
	jobs := make([]string, 8)
	for i := range jobs {
		n := NewSubmission(s, tenant, "e1")
		answering(c.ID)(&n)
		jobs[i] = n.Sub.Job
		wait.Go(func() { _, _, _ = s.Accept(t.Context(), n) })
	}
	wait.Wait()
	require.True(t, slices.Contains(jobs, readChallenge(t, s, c).Job))

	// Two in one group, too.
	c = issue(t, s, tenant, "e1")
	a, b := NewSubmission(s, tenant, "e1"), NewSubmission(s, tenant, "e1")
	answering(c.ID)(&a)
	answering(c.ID)(&b)
	for _, got := range s.AcceptMany(t.Context(), []results.NewSubmission{a, b}) {
		require.NoError(t, got.Err)
	}
	require.Contains(t, []string{a.Sub.Job, b.Sub.Job}, readChallenge(t, s, c).Job)
}

func challengeUpload(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	NewSubject(t, s, tenant, "e1")
	c := issue(t, s, tenant, "e1")
	n := NewSubmission(s, tenant, "e1")
	answering(c.ID)(&n)
	n.Sub.Media = results.Media{}
	u, _, err := s.CreateUpload(ctx, results.Upload{Job: n.Sub.Job, Tenant: tenant, Bucket: "b-" + tenant, Key: "k", MaxBytes: 1 << 20, Sub: n.Sub, CreatedAt: s.Now(), ExpiresAt: s.Now().Add(time.Hour)}, "", "")
	require.NoError(t, err)
	require.Empty(t, readChallenge(t, s, c).Job, "a claim alone does not use it")
	_, err = s.Arrive(ctx, results.IntakeEvent{ID: NewID(), Source: "webhook", Raw: []byte("{}"), Bucket: u.Bucket, Key: u.Key, ReceivedAt: s.Now(), HappenedAt: s.Now()}, results.Source{Kind: "upload", Bucket: u.Bucket, Key: u.Key})
	require.NoError(t, err)
	require.Equal(t, u.Job, readChallenge(t, s, c).Job)

	// Whoever answered in time is not late because the news was: a queue that waited, a notification that only the scan made up for.
	now := s.Now()
	for name, at := range map[string]struct{ happened, received, used time.Time }{
		"news that waited":       {time.Time{}, now.Add(-3 * time.Hour), now.Add(-3 * time.Hour)},
		"found by a scan":        {now.Add(-3 * time.Hour), now, now.Add(-3 * time.Hour)},
		"a bucket's clock ahead": {now.Add(10 * time.Minute), now, now},
	} {
		c, n := issue(t, s, tenant, "e1"), NewSubmission(s, tenant, "e1")
		answering(c.ID)(&n)
		n.Sub.Media = results.Media{}
		u, _, err := s.CreateUpload(ctx, results.Upload{Job: n.Sub.Job, Tenant: tenant, Bucket: "b-" + tenant, Key: n.Sub.Job, MaxBytes: 1 << 20, Sub: n.Sub, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}, "", "")
		require.NoError(t, err)
		_, err = s.Arrive(ctx, results.IntakeEvent{ID: NewID(), Source: "webhook", Raw: []byte("{}"), Bucket: u.Bucket, Key: u.Key, ReceivedAt: at.received, HappenedAt: at.happened}, results.Source{Kind: "upload", Bucket: u.Bucket, Key: u.Key})
		require.NoError(t, err)
		require.Equal(t, u.Job, readChallenge(t, s, c).Job, name)
		require.WithinDuration(t, at.used, readChallenge(t, s, c).UsedAt, time.Second, name)
	}
}

func challengeBound(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	NewSubject(t, s, tenant, "e1")
	NewSubject(t, s, tenant, "e2")
	for range results.MaxChallenges {
		issue(t, s, tenant, "e1")
	}
	c := NewChallenge(s, tenant, "e1")
	require.ErrorIs(t, s.CreateChallenge(t.Context(), c, Audit(s, tenant, "challenge.issued")), results.ErrFull)
	issue(t, s, tenant, "e2")
	c.IssuedAt = c.IssuedAt.Add(results.ChallengeWindow + time.Minute)
	require.NoError(t, s.CreateChallenge(t.Context(), c, Audit(s, tenant, "challenge.issued")), "an hour later there is room")
}

func challengesGo(t *testing.T, s results.Store) {
	ctx := t.Context()
	w := populate(t, s)
	used, unused := issue(t, s, w.tenant, w.subject), issue(t, s, w.tenant, w.subject)
	n := NewSubmission(s, w.tenant, w.subject)
	answering(used.ID)(&n)
	_, _, err := s.Accept(ctx, n)
	require.NoError(t, err)
	finish(t, s, w, n.Sub.Job, results.Dead)

	_, err = s.Expire(ctx, s.Now().Add(results.KeepChallenges-time.Hour), 100)
	require.NoError(t, err)
	readChallenge(t, s, unused)
	_, err = s.Expire(ctx, s.Now().Add(results.KeepChallenges+time.Hour), 100)
	require.NoError(t, err)
	_, err = s.Challenge(ctx, w.tenant, unused.ID)
	require.ErrorIs(t, err, results.ErrNotFound, "nobody used it, and its time is over")
	readChallenge(t, s, used)
	_, err = s.Expire(ctx, s.Now().Add(45*24*time.Hour), 1000)
	require.NoError(t, err)
	_, err = s.Challenge(ctx, w.tenant, used.ID)
	require.ErrorIs(t, err, results.ErrNotFound, "it goes with its job")

	last := issue(t, s, w.tenant, w.subject)
	_, err = s.EraseSubject(ctx, w.tenant, w.subject, s.Now(), Audit(s, w.tenant, "subject.erased"))
	require.NoError(t, err)
	_, err = s.Challenge(ctx, w.tenant, last.ID)
	require.ErrorIs(t, err, results.ErrNotFound, "it goes with its subject")
	require.ErrorIs(t, s.CreateChallenge(ctx, NewChallenge(s, w.tenant, w.subject), Audit(s, w.tenant, "challenge.issued")), results.ErrErased)
}
