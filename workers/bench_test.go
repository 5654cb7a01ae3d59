package workers_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/results/database"
	"onsite/results/storetest"
	"onsite/workers"
)

// BenchmarkJobs measures jobs through a no-op core, from the store to the store, with a disk that is synced.
func BenchmarkJobs(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) {
		measure(b, database.Options{SQLite: filepath.Join(b.TempDir(), "store.db")})
	})
	b.Run("postgres", func(b *testing.B) { measure(b, database.Options{Postgres: storetest.Postgres(b)}) })
}

func measure(b *testing.B, o database.Options) {
	db, err := database.Open(b.Context(), o)
	require.NoError(b, err)
	require.NoError(b, db.Migrate(b.Context()))
	s := standOn(b, db)
	tenant := s.tenant("a")
	for left := b.N; left > 0; left -= 500 {
		s.accept(tenant, min(left, 500), results.PriorityClockIn)
	}
	b.ResetTimer()
	s.worker(func(w *workers.Worker) { w.Concurrency, w.Lease, w.RenewEvery = 32, 8*time.Second, 2*time.Second })
	s.dispatcher()
	s.reconciler(func(r *workers.Reconciler) { r.Every, r.TaskAge = time.Second, 5*time.Second })
	s.run((&workers.Sequencer{Store: s.store, Bell: s.bell, Name: "s", Logger: s.log}).Run)
	for range time.Tick(10 * time.Millisecond) {
		c, err := db.Counts(b.Context(), "")
		require.NoError(b, err)
		if c.ByState[results.Done] == int64(b.N) {
			break
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}
