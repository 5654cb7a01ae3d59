package storetest

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

var outboxCases = []Case{
	{Name: "endpoints", Run: endpoints},
	{Name: "a delivery's way", Run: delivery},
	{Name: "a delivery is taken by one", Alone: true, Run: dueRace},
	{Name: "endpoints have their deliveries in turn", Alone: true, Run: dueTurns},
	{Name: "a disabled endpoint", Run: disabled},
	{Name: "a test message", Run: deliver},
	{Name: "the lag", Alone: true, Run: lag},
}

func endpoints(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant, other := NewTenant(t, s), NewTenant(t, s)
	a := Audit(s, tenant, "webhook.changed")
	e := NewEndpoint(t, s, tenant, results.EventJobDead)
	require.Equal(t, 1, e.Rev)
	got, err := s.Endpoint(ctx, tenant, e.ID)
	require.NoError(t, err)
	require.Equal(t, e, got)
	put := func(e results.Endpoint, ifRev int) (results.Endpoint, error) {
		a.ID = NewID()
		return s.PutEndpoint(ctx, e, ifRev, a)
	}
	_, err = put(e, 0)
	require.ErrorIs(t, err, results.ErrConflict, "it is not new")
	_, err = put(e, 2)
	require.ErrorIs(t, err, results.ErrConflict)
	e.URL, e.Events = "https://example.com/other", nil
	e, err = put(e, 1)
	require.NoError(t, err)
	require.Equal(t, 2, e.Rev)
	require.Empty(t, e.Events)
	e, err = put(e, -1)
	require.NoError(t, err)
	require.Equal(t, 3, e.Rev)
	_, err = put(results.Endpoint{ID: NewID(), Tenant: tenant}, 1)
	require.ErrorIs(t, err, results.ErrConflict, "it is not there")
	fresh, err := put(results.Endpoint{ID: NewID(), Tenant: tenant}, -1)
	require.NoError(t, err)
	require.Equal(t, 1, fresh.Rev)
	for _, event := range []string{"", "a,b", "%"} {
		_, err = put(results.Endpoint{ID: NewID(), Tenant: tenant, Events: []string{event}}, 0)
		require.Error(t, err)
	}
	all, err := s.Endpoints(ctx, tenant)
	require.NoError(t, err)
	require.ElementsMatch(t, []results.Endpoint{e, fresh}, all)
	_, err = s.Endpoint(ctx, other, e.ID)
	require.ErrorIs(t, err, results.ErrNotFound)
	require.ErrorIs(t, s.DeleteEndpoint(ctx, other, e.ID, a), results.ErrNotFound)
	require.ErrorIs(t, s.DisableEndpoint(ctx, other, e.ID, "admin", s.Now()), results.ErrNotFound)
	finished(t, s, tenant, "e1")
	a.ID = NewID()
	require.NoError(t, s.DeleteEndpoint(ctx, tenant, e.ID, a))
	_, err = s.Endpoint(ctx, tenant, e.ID)
	require.ErrorIs(t, err, results.ErrNotFound)
	d, err := s.Deliveries(ctx, tenant, e.ID, results.Page{})
	require.NoError(t, err)
	require.Empty(t, d)
	require.Contains(t, actions(t, s, tenant), "webhook.created")
	require.Contains(t, actions(t, s, tenant), "webhook.changed")
}

// due takes what is due of one endpoint.
func due(t *testing.T, s results.Store, endpoint string, lease time.Duration) []results.Delivery {
	t.Helper()
	var own []results.Delivery
	for {
		some, err := s.Due(t.Context(), "sender-1", lease, 500, nil)
		require.NoError(t, err)
		for _, d := range some {
			if d.Endpoint == endpoint {
				own = append(own, d)
			}
		}
		if len(some) < 500 {
			return own
		}
	}
}

func delivery(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	e := NewEndpoint(t, s, tenant)
	id := finished(t, s, tenant, "e1")
	got := due(t, s, e.ID, time.Minute)
	require.Len(t, got, 1)
	d := got[0]
	require.Equal(t, id, d.Job)
	require.Equal(t, d.Message+"."+e.ID, d.ID)
	require.Zero(t, d.Attempt)
	require.Empty(t, due(t, s, e.ID, time.Minute), "taken")

	d.Attempt, d.NextAt, d.LastStatus, d.LastError = 1, s.Now().Add(time.Hour), 500, results.Because("receiver_status", "internal error", "内部错误")
	try := results.DeliveryTry{Delivery: d.ID, Attempt: 1, At: s.Now(), Status: 500, Error: d.LastError, TookMS: 12}
	require.NoError(t, s.Settle(ctx, d, try))
	require.Empty(t, due(t, s, e.ID, time.Minute), "its time has not come")
	read := func() results.Delivery {
		t.Helper()
		all, err := s.Deliveries(ctx, tenant, e.ID, results.Page{})
		require.NoError(t, err)
		require.Len(t, all, 1)
		return all[0]
	}
	require.Equal(t, d, read())
	d.NextAt = s.Now().Add(100 * time.Millisecond)
	require.NoError(t, s.Settle(ctx, d, results.DeliveryTry{Delivery: d.ID, Attempt: 1, At: s.Now().Add(time.Second)}))
	require.Eventually(t, func() bool { return len(due(t, s, e.ID, 50*time.Millisecond)) == 1 }, 5*time.Second, 10*time.Millisecond)
	require.False(t, s.Now().Before(d.NextAt))
	require.Eventually(t, func() bool { return len(due(t, s, e.ID, time.Minute)) == 1 }, 5*time.Second, 10*time.Millisecond, "whoever took it died")

	d.Attempt, d.State, d.LastStatus, d.LastError, d.DoneAt = 2, results.Delivered, 204, nil, s.Now()
	require.NoError(t, s.Settle(ctx, d, results.DeliveryTry{Delivery: d.ID, Attempt: 2, At: s.Now(), Status: 204}))
	require.Equal(t, d, read())
	require.Empty(t, due(t, s, e.ID, time.Minute))
	late := d
	late.State, late.LastError = results.Failed, results.Because("timeout", "timeout", "超时")
	require.NoError(t, s.Settle(ctx, late, results.DeliveryTry{Delivery: d.ID, Attempt: 2, At: s.Now().Add(time.Second)}))
	require.Equal(t, d, read(), "what was delivered stays so")
	tries, err := s.DeliveryTries(ctx, tenant, d.ID)
	require.NoError(t, err)
	require.Len(t, tries, 4, "but it was tried")
	require.Equal(t, try, tries[0])
	tries, err = s.DeliveryTries(ctx, NewTenant(t, s), d.ID)
	require.NoError(t, err)
	require.Empty(t, tries)

	require.ErrorIs(t, s.Replay(ctx, NewTenant(t, s), d.ID), results.ErrNotFound)
	require.ErrorIs(t, s.Replay(ctx, tenant, NewID()), results.ErrNotFound)
	require.NoError(t, s.Replay(ctx, tenant, d.ID))
	require.ErrorIs(t, s.Replay(ctx, tenant, d.ID), results.ErrConflict, "it is pending")
	got = due(t, s, e.ID, time.Minute)
	require.Len(t, got, 1)
	require.Zero(t, got[0].Attempt)
	require.True(t, got[0].DoneAt.IsZero())
	require.NoError(t, s.Settle(ctx, results.Delivery{ID: NewID(), Tenant: tenant, State: results.Delivered}, results.DeliveryTry{At: s.Now()}),
		"of an endpoint that was deleted meanwhile")

	var jobs []string
	for range 4 {
		jobs = append([]string{finished(t, s, tenant, "e1")}, jobs...)
	}
	first, err := s.Deliveries(ctx, tenant, e.ID, results.Page{Limit: 2})
	require.NoError(t, err)
	rest, err := s.Deliveries(ctx, tenant, e.ID, results.Page{After: first[1].ID})
	require.NoError(t, err)
	require.Len(t, rest, 3)
	for i, d := range append(first, rest[:2]...) {
		require.Equal(t, jobs[i], d.Job, "newest first")
	}
}

func dueRace(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	for range 3 {
		NewEndpoint(t, s, tenant)
	}
	for range 8 {
		finished(t, s, tenant, "e1")
	}
	var n atomic.Int32
	together(4, func(int) {
		for empty := 0; empty < 3; {
			some, err := s.Due(t.Context(), "sender", time.Minute, 7, nil)
			require.NoError(t, err)
			if len(some) == 0 {
				empty++
			}
			for _, d := range some {
				n.Add(1)
				d.State, d.Attempt = results.Delivered, 1
				require.NoError(t, s.Settle(t.Context(), d, results.DeliveryTry{Delivery: d.ID, Attempt: 1, At: s.Now(), Status: 200}))
			}
		}
	})
	require.EqualValues(t, 24, n.Load())
	all, err := s.Deliveries(t.Context(), tenant, "", results.Page{})
	require.NoError(t, err)
	require.Len(t, all, 24)
	for _, d := range all {
		require.Equal(t, results.Delivered, d.State)
		require.Equal(t, 1, d.Attempt)
	}
}

func dueTurns(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant, other := NewTenant(t, s), NewTenant(t, s)
	slow := NewEndpoint(t, s, tenant)
	for range 10 {
		finished(t, s, tenant, "e1")
	}
	quick := NewEndpoint(t, s, other)
	for range 3 {
		finished(t, s, other, "e1")
	}
	var of []string
	for range 6 {
		some, err := s.Due(ctx, "sender", time.Minute, 1, nil)
		require.NoError(t, err)
		require.Len(t, some, 1)
		of = append(of, some[0].Endpoint)
	}
	for i := 0; i < 6; i += 2 {
		require.NotEqual(t, of[i], of[i+1], "in turn")
	}
	none, err := s.Due(ctx, "sender", time.Minute, 10, []string{slow.ID})
	require.NoError(t, err)
	require.Empty(t, none, "it has as many under way as it may")
	rest, err := s.Due(ctx, "sender", time.Minute, 100, []string{quick.ID})
	require.NoError(t, err)
	require.Len(t, rest, 7)
	for i := range rest[1:] {
		require.Less(t, rest[i].ID, rest[i+1].ID, "oldest first")
	}
}

func disabled(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	e := NewEndpoint(t, s, tenant)
	finished(t, s, tenant, "e1")
	taken := due(t, s, e.ID, time.Minute)
	require.Len(t, taken, 1)
	finished(t, s, tenant, "e1")
	when := s.Now()
	require.NoError(t, s.DisableEndpoint(ctx, tenant, e.ID, "gone", when))
	require.NoError(t, s.DisableEndpoint(ctx, tenant, e.ID, "admin", when.Add(time.Second)), "again")
	got, err := s.Endpoint(ctx, tenant, e.ID)
	require.NoError(t, err)
	require.Equal(t, "gone", got.Why)
	require.Equal(t, when, got.DisabledAt)
	require.Equal(t, 2, got.Rev)
	all, err := s.Deliveries(ctx, tenant, e.ID, results.Page{})
	require.NoError(t, err)
	require.Len(t, all, 2)
	for _, d := range all {
		require.Equal(t, results.Failed, d.State)
		require.Equal(t, results.Disabled("gone"), d.LastError)
		require.False(t, d.DoneAt.IsZero())
	}
	finished(t, s, tenant, "e1")
	all, err = s.Deliveries(ctx, tenant, e.ID, results.Page{})
	require.NoError(t, err)
	require.Len(t, all, 2, "nothing more is written for it")
	require.ErrorIs(t, s.Replay(ctx, tenant, all[0].ID), results.ErrConflict)
	got.DisabledAt, got.Why = time.Time{}, ""
	_, err = s.PutEndpoint(ctx, got, got.Rev, Audit(s, tenant, "webhook.enabled"))
	require.NoError(t, err)
	require.NoError(t, s.Replay(ctx, tenant, all[0].ID))
	require.Len(t, due(t, s, e.ID, time.Minute), 1)
}

func deliver(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	e := NewEndpoint(t, s, tenant, results.EventJobDead)
	d := results.Delivery{Tenant: tenant, Endpoint: e.ID, Message: NewID(), Type: results.EventTest, Payload: []byte(`{"type":"webhook.test"}`)}
	require.NoError(t, s.Deliver(ctx, d))
	require.ErrorIs(t, s.Deliver(ctx, d), results.ErrExists, "a message goes to an endpoint once")
	got := due(t, s, e.ID, time.Minute)
	require.Len(t, got, 1)
	require.Equal(t, d.Payload, got[0].Payload)
	d.Endpoint = NewID()
	require.ErrorIs(t, s.Deliver(ctx, d), results.ErrNotFound)
	d.Tenant, d.Endpoint = NewTenant(t, s), e.ID
	require.ErrorIs(t, s.Deliver(ctx, d), results.ErrNotFound)
}

func lag(t *testing.T, s results.Store) {
	ctx := t.Context()
	oldest, n, err := s.Lag(ctx)
	require.NoError(t, err)
	require.True(t, oldest.IsZero())
	require.Zero(t, n)
	tenant := NewTenant(t, s)
	e := NewEndpoint(t, s, tenant)
	finished(t, s, tenant, "e1")
	finished(t, s, tenant, "e1")
	oldest, n, err = s.Lag(ctx)
	require.NoError(t, err)
	require.WithinDuration(t, s.Now(), oldest, 10*time.Second)
	require.EqualValues(t, 2, n)
	for _, d := range due(t, s, e.ID, time.Minute) {
		d.Attempt, d.NextAt = 1, s.Now().Add(time.Hour)
		require.NoError(t, s.Settle(ctx, d, results.DeliveryTry{Delivery: d.ID, Attempt: 1, At: s.Now()}))
	}
	oldest, n, err = s.Lag(ctx)
	require.NoError(t, err)
	require.True(t, oldest.IsZero(), "none is due")
	require.EqualValues(t, 2, n)
}
