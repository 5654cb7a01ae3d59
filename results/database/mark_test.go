package database_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/results/database"
	"onsite/results/storetest"
)

// TestMarkedJobIsDueAfterAWhile: whoever marks a job has some time to compare it; then a worker does. On SQLite, where the clock can be given.
func TestMarkedJobIsDueAfterAWhile(t *testing.T) {
	ctx := t.Context()
	clock := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	s := openers["sqlite"](t, database.Options{Clock: func() time.Time { return clock }})
	tenant := storetest.NewTenant(t, s)
	var jobs []string
	for _, subject := range []string{"e1", "e2"} {
		job := storetest.Accept(t, s, tenant, subject).ID
		storetest.Finish(t, s, storetest.Claim(t, s, job))
		jobs = append(jobs, job)
	}
	storetest.Sequenced(t, s)
	due := func() (all []string) {
		late, err := s.Recheck(ctx, "w", time.Minute, 10)
		require.NoError(t, err)
		for _, l := range late {
			for _, job := range l.Jobs {
				if job == l.Print.Job {
					all = append(all, job)
				}
			}
			require.NoError(t, s.Rechecked(ctx, l))
		}
		return all
	}
	require.Empty(t, due())
	later, earlier := max(jobs[0], jobs[1]), min(jobs[0], jobs[1])
	m, err := s.CreateMark(ctx, storetest.NewPair(s, tenant, later, earlier), storetest.Audit(s, tenant, "mark.created"))
	require.NoError(t, err)
	require.Empty(t, due())
	clock = clock.Add(results.MarkPatience)
	require.Equal(t, []string{later}, due())
	require.Empty(t, due(), "once")
	_, err = s.RevokeMark(ctx, tenant, m.ID, "k", s.Now(), storetest.Audit(s, tenant, "mark.revoked"))
	require.NoError(t, err)
	clock = clock.Add(results.MarkPatience)
	require.Equal(t, []string{later}, due())
}
