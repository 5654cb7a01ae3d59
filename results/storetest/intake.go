package storetest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

var intakeCases = []Case{
	{Name: "accepting writes submission, job and audit", Run: accepts},
	{Name: "one key, one job", Run: idempotency},
	{Name: "one key, many requests at the same time", Run: idempotencyRace},
	{Name: "the same call again, after its answer got lost", Run: acceptAgain},
	{Name: "a group, each for itself", Run: acceptMany},
	{Name: "large groups at the same time", Alone: true, Run: acceptLarge},
	{Name: "a tenant's bound", Run: full},
	{Name: "a reserved key", Run: reserve},
}

func accepts(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	NewSubject(t, s, tenant, "e1")
	n := NewSubmission(s, tenant, "e1")
	require.NoError(t, s.Pend(ctx, n.Keep))
	j, again, err := s.Accept(ctx, n)
	require.NoError(t, err)
	require.False(t, again)
	require.Equal(t, results.Accepted, j.State)
	require.Zero(t, j.Attempt)
	require.Equal(t, n.Sub.TraceParent, j.TraceParent)
	require.Equal(t, Read(t, s, j.ID), j, "what Accept gives is what is there")
	sub, err := s.Submission(ctx, j.ID)
	require.NoError(t, err)
	require.Equal(t, n.Sub, sub)
	_, err = s.Submission(ctx, NewID())
	require.ErrorIs(t, err, results.ErrNotFound)
	require.Contains(t, actions(t, s, tenant), "submission.accepted")
	left, err := s.Orphans(ctx, s.Now().Add(time.Hour), 500)
	require.NoError(t, err)
	require.NotContains(t, left, n.Keep[0], "a row names the object now")
	for _, wrong := range []func(*results.NewSubmission){
		func(n *results.NewSubmission) { n.Sub.Job = "" },
		func(n *results.NewSubmission) { n.Sub.Tenant = "" },
		func(n *results.NewSubmission) { n.Sub.Subject = "" },
	} {
		n := NewSubmission(s, tenant, "e1")
		wrong(&n)
		_, _, err := s.Accept(ctx, n)
		require.Error(t, err)
	}

	NewSubject(t, s, tenant, "gone")
	_, err = s.EraseSubject(ctx, tenant, "gone", s.Now(), Audit(s, tenant, "subject.erased"))
	require.NoError(t, err)
	n = NewSubmission(s, tenant, "gone")
	n.Idempotency, n.BodySHA256 = NewID(), Sum("a")
	_, _, err = s.Accept(ctx, n)
	require.ErrorIs(t, err, results.ErrErased)
	n.Sub.Subject = "e1"
	_, again, err = s.Accept(ctx, n)
	require.NoError(t, err)
	require.False(t, again, "what was refused did not use the key up")
}

func idempotency(t *testing.T, s results.Store) {
	ctx := t.Context()
	one, two := NewTenant(t, s), NewTenant(t, s)
	key := NewID()
	with := func(tenant, body string) results.NewSubmission {
		n := NewSubmission(s, tenant, "e1")
		n.Idempotency, n.BodySHA256 = key, Sum(body)
		return n
	}
	first, again, err := s.Accept(ctx, with(one, "a"))
	require.NoError(t, err)
	require.False(t, again)
	j, again, err := s.Accept(ctx, with(one, "a"))
	require.NoError(t, err)
	require.True(t, again)
	require.Equal(t, first, j)
	other := with(one, "b")
	_, _, err = s.Accept(ctx, other)
	require.ErrorIs(t, err, results.ErrKeyReuse)
	_, err = s.Job(ctx, one, other.Sub.Job)
	require.ErrorIs(t, err, results.ErrNotFound)
	j, again, err = s.Accept(ctx, with(two, "b"))
	require.NoError(t, err)
	require.False(t, again, "another tenant's key of the same name is another key")
	require.Equal(t, two, j.Tenant)
}

func idempotencyRace(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	for range 5 {
		key := NewID()
		const n = 12
		var jobs [n]results.Job
		var first atomic.Int32
		together(n, func(i int) {
			sub := NewSubmission(s, tenant, "e1")
			sub.Idempotency, sub.BodySHA256 = key, Sum(fmt.Sprint(i%2))
			j, again, err := s.Accept(t.Context(), sub)
			if err != nil {
				require.ErrorIs(t, err, results.ErrKeyReuse)
				return
			}
			if jobs[i] = j; !again {
				first.Add(1)
			}
		})
		require.EqualValues(t, 1, first.Load(), "one of them made the job")
		seen := map[string]int{}
		for _, j := range jobs {
			seen[j.ID]++
		}
		require.Len(t, seen, 2, "one job, and those that were refused")
		require.Equal(t, n/2, seen[""])
	}
}

func acceptAgain(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	n := NewSubmission(s, tenant, "e1")
	first, _, err := s.Accept(ctx, n)
	require.NoError(t, err)
	j, again, err := s.Accept(ctx, n)
	require.NoError(t, err)
	require.True(t, again)
	require.Equal(t, first, j)
	other := NewSubmission(s, tenant, "e2")
	other.Sub.Job = n.Sub.Job
	_, _, err = s.Accept(ctx, other)
	require.ErrorIs(t, err, results.ErrExists)
	sub, err := s.Submission(ctx, n.Sub.Job)
	require.NoError(t, err)
	require.Equal(t, "e1", sub.Subject)
}

func acceptMany(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	NewSubject(t, s, tenant, "gone")
	_, err := s.EraseSubject(ctx, tenant, "gone", s.Now(), Audit(s, tenant, "subject.erased"))
	require.NoError(t, err)
	used := NewSubmission(s, tenant, "e1")
	used.Idempotency, used.BodySHA256 = NewID(), Sum("a")
	earlier, _, err := s.Accept(ctx, used)
	require.NoError(t, err)

	list := make([]results.NewSubmission, 9)
	for i := range list {
		list[i] = NewSubmission(s, tenant, "e1")
	}
	key := NewID()
	list[1].Idempotency, list[1].BodySHA256 = used.Idempotency, Sum("a") // accepted before
	list[2].Idempotency, list[2].BodySHA256 = used.Idempotency, Sum("b") // with another body
	list[3].Sub.Subject = "gone"
	list[4].Idempotency, list[4].BodySHA256 = key, Sum("x")
	list[5].Idempotency, list[5].BodySHA256 = key, Sum("x") // twice in the group
	list[6].Idempotency, list[6].BodySHA256 = key, Sum("y")
	list[7].Sub.Tenant = ""
	got := s.AcceptMany(ctx, list)
	require.Len(t, got, len(list))
	require.NoError(t, got[0].Err)
	require.NoError(t, got[1].Err)
	require.True(t, got[1].Again)
	require.Equal(t, earlier.ID, got[1].Job.ID)
	require.ErrorIs(t, got[2].Err, results.ErrKeyReuse)
	require.ErrorIs(t, got[3].Err, results.ErrErased)
	require.NoError(t, got[4].Err)
	require.False(t, got[4].Again)
	require.NoError(t, got[5].Err)
	require.True(t, got[5].Again)
	require.Equal(t, got[4].Job.ID, got[5].Job.ID)
	require.ErrorIs(t, got[6].Err, results.ErrKeyReuse)
	require.Error(t, got[7].Err)
	require.NoError(t, got[8].Err)
	for _, i := range []int{0, 4, 8} {
		require.Equal(t, list[i].Sub.Job, got[i].Job.ID)
		require.Equal(t, got[i].Job, Read(t, s, list[i].Sub.Job))
	}
	for _, i := range []int{1, 2, 3, 5, 6, 7} {
		_, err := s.Job(ctx, "", list[i].Sub.Job)
		require.ErrorIs(t, err, results.ErrNotFound, i)
		_, err = s.Submission(ctx, list[i].Sub.Job)
		require.ErrorIs(t, err, results.ErrNotFound, i)
	}

	// One whose id is taken spoils the group's statement; the others must not notice.
	list = []results.NewSubmission{NewSubmission(s, tenant, "e1"), NewSubmission(s, tenant, "e2"), NewSubmission(s, tenant, "e3")}
	list[1].Sub.Job = earlier.ID
	got = s.AcceptMany(ctx, list)
	require.NoError(t, got[0].Err)
	require.ErrorIs(t, got[1].Err, results.ErrExists)
	require.NoError(t, got[2].Err)
	require.Empty(t, s.AcceptMany(ctx, nil))
}

func acceptLarge(t *testing.T, s results.Store) {
	tenants := []string{NewTenant(t, s), NewTenant(t, s)}
	shared := make([]string, 20)
	for i := range shared {
		shared[i] = NewID()
	}
	const groups, size = 3, 270 // more than one statement takes
	var fresh atomic.Int32
	together(groups, func(g int) {
		list := make([]results.NewSubmission, size)
		for i := range list {
			list[i] = NewSubmission(s, tenants[i%2], fmt.Sprintf("e%d", i%7))
			list[i].MaxWaiting = 1_000_000
			if i%10 == 0 { // the same keys in every group, in different orders
				list[i].Idempotency, list[i].BodySHA256 = shared[(i/10*(g+1))%len(shared)], Sum("same")
			}
		}
		for i, a := range s.AcceptMany(t.Context(), list) {
			require.NoError(t, a.Err)
			if !a.Again {
				fresh.Add(1)
				require.Equal(t, list[i].Sub.Job, a.Job.ID)
			}
		}
	})
	var rows int64
	for _, tenant := range tenants {
		c, err := s.Counts(t.Context(), tenant)
		require.NoError(t, err)
		rows += c.ByState[results.Accepted]
	}
	require.EqualValues(t, fresh.Load(), rows)
	require.LessOrEqual(t, int(rows), groups*size*9/10+2*len(shared))
}

func full(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant, other := NewTenant(t, s), NewTenant(t, s)
	bounded := func(n *results.NewSubmission) { n.MaxWaiting = 3 }
	keyed := NewSubmission(s, tenant, "e1")
	keyed.MaxWaiting, keyed.Idempotency, keyed.BodySHA256 = 3, NewID(), Sum("a")
	first, _, err := s.Accept(ctx, keyed)
	require.NoError(t, err)
	Accept(t, s, tenant, "e1", bounded)
	Accept(t, s, tenant, "e1", bounded)
	n := NewSubmission(s, tenant, "e1")
	bounded(&n)
	_, _, err = s.Accept(ctx, n)
	require.ErrorIs(t, err, results.ErrFull)
	_, err = s.Job(ctx, tenant, n.Sub.Job)
	require.ErrorIs(t, err, results.ErrNotFound)
	j, again, err := s.Accept(ctx, keyed)
	require.NoError(t, err, "what was accepted is answered, however full it is")
	require.True(t, again)
	require.Equal(t, first.ID, j.ID)
	Accept(t, s, other, "e1", bounded)

	Finish(t, s, Claim(t, s, first.ID))
	require.Eventually(t, func() bool { _, _, err = s.Accept(ctx, n); return err == nil }, 5*time.Second, 5*time.Millisecond)
	_, _, err = s.Accept(ctx, NewSubmission(s, tenant, "e1"))
	require.NoError(t, err, "without a bound")

	// A group fills what is left and no more.
	list := make([]results.NewSubmission, 8)
	for i := range list {
		list[i] = NewSubmission(s, other, "e1")
		bounded(&list[i])
	}
	fit := 0
	for _, a := range s.AcceptMany(ctx, list) {
		if a.Err == nil {
			fit++
		} else {
			require.ErrorIs(t, a.Err, results.ErrFull)
		}
	}
	require.Equal(t, 2, fit)
}

func reserve(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	key := NewID()
	earlier, err := s.Reserve(ctx, tenant, key, s.Now().Add(time.Minute))
	require.NoError(t, err)
	require.Empty(t, earlier)
	_, err = s.Reserve(ctx, tenant, key, s.Now().Add(time.Minute))
	require.ErrorIs(t, err, results.ErrKeyBusy)
	n := NewSubmission(s, tenant, "e1")
	n.Idempotency, n.BodySHA256 = key, Sum("a")
	_, again, err := s.Accept(ctx, n)
	require.NoError(t, err)
	require.False(t, again)
	earlier, err = s.Reserve(ctx, tenant, key, s.Now().Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, n.Sub.Job, earlier)
	require.NoError(t, s.Unreserve(ctx, tenant, key))
	earlier, err = s.Reserve(ctx, tenant, key, s.Now().Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, n.Sub.Job, earlier, "a completed key cannot be given back")

	key = NewID()
	_, err = s.Reserve(ctx, tenant, key, s.Now().Add(time.Minute))
	require.NoError(t, err)
	require.NoError(t, s.Unreserve(ctx, tenant, key))
	_, err = s.Reserve(ctx, tenant, key, s.Now().Add(50*time.Millisecond))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := s.Reserve(ctx, tenant, key, s.Now().Add(time.Minute))
		return err == nil
	}, 5*time.Second, 10*time.Millisecond, "a reservation ends by itself")

	const n16 = 16
	key = NewID()
	var got atomic.Int32
	together(n16, func(int) {
		_, err := s.Reserve(ctx, tenant, key, s.Now().Add(time.Minute))
		if err == nil {
			got.Add(1)
		} else {
			require.ErrorIs(t, err, results.ErrKeyBusy)
		}
	})
	require.EqualValues(t, 1, got.Load())
}
