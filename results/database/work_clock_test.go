package database_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/results/database"
	"onsite/results/storetest"
)

// TestClockSetBack: what was written while the clock was an hour ahead must not wait for that hour. On PostgreSQL the database's clock
// counts, so this is tried where the clock can be given.
func TestClockSetBack(t *testing.T) {
	ctx := t.Context()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	clock := now.Add(time.Hour)
	s := openers["sqlite"](t, database.Options{Clock: func() time.Time { return clock }})
	tenant := storetest.NewTenant(t, s)
	fresh := storetest.Accept(t, s, tenant, "e1").ID
	queued := storetest.Queue(t, s, fresh)
	running := storetest.Claim(t, s, storetest.Accept(t, s, tenant, "e1").ID)
	released := storetest.Claim(t, s, storetest.Accept(t, s, tenant, "e1").ID)
	require.NoError(t, s.Release(ctx, results.Release{Job: released.Job.ID, Token: released.Token, RunAt: clock.Add(30 * time.Second)}))
	storetest.NewEndpoint(t, s, tenant)
	storetest.Finish(t, s, storetest.Claim(t, s, storetest.Accept(t, s, tenant, "e1").ID))
	waits := storetest.Accept(t, s, tenant, "e1").ID

	clock = now
	storetest.Queue(t, s, waits)
	lost, err := s.Waiting(ctx, clock.Add(-5*time.Second), 10)
	require.NoError(t, err)
	require.Len(t, lost, 1)
	require.Equal(t, queued.ID, lost[0].ID, "its task may be lost")
	back, err := s.Reclaim(ctx, 10*time.Second, 5)
	require.NoError(t, err)
	require.Len(t, back, 1)
	require.Equal(t, running.Job.ID, back[0].ID, "no lease is as long as this")
	storetest.Queue(t, s, running.Job.ID)
	storetest.Queue(t, s, released.Job.ID)
	due, err := s.Due(ctx, "sender", time.Minute, 10, nil)
	require.NoError(t, err)
	require.Len(t, due, 1)
	c, err := s.Counts(ctx, tenant)
	require.NoError(t, err)
	require.EqualValues(t, 4, c.ByState[results.Queued])
}
