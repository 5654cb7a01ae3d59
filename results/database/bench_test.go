package database_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/results/database"
	"onsite/results/storetest"
	"onsite/results/storetest/postgres"
)

// durable opens a store on a PostgreSQL that writes through to the disk, as in production.
func durable(b *testing.B) *database.Store {
	server, err := postgres.Run(b.Context(), postgres.Options{Fsync: true})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, server.Remove()) })
	dsn, err := server.Create(b.Context())
	require.NoError(b, err)
	s := open(b, database.Options{Postgres: dsn})
	require.NoError(b, s.Migrate(b.Context()))
	return s
}

func submissions(s results.Store, tenant string, n int) []results.NewSubmission {
	list := make([]results.NewSubmission, n)
	for i := range list {
		list[i] = storetest.NewSubmission(s, tenant, fmt.Sprintf("e%d", i%500))
		list[i].Idempotency, list[i].BodySHA256, list[i].MaxWaiting = storetest.NewID(), storetest.Sum("x"), 1_000_000
	}
	return list
}

// BenchmarkAcceptMany accepts in groups of several sizes, four groups at a time.
func BenchmarkAcceptMany(b *testing.B) {
	for _, size := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("groups of %d", size), func(b *testing.B) {
			s := durable(b)
			tenant := storetest.NewTenant(b, s)
			b.ResetTimer()
			began := time.Now()
			groups(b.N, func() {
				for _, a := range s.AcceptMany(b.Context(), submissions(s, tenant, size)) {
					require.NoError(b, a.Err)
				}
			})
			b.ReportMetric(float64(b.N*size)/time.Since(began).Seconds(), "jobs/s")
		})
	}
}

// groups runs fn n times, by four at a time.
func groups(n int, fn func()) {
	var all sync.WaitGroup
	left := make(chan struct{}, n)
	for range n {
		left <- struct{}{}
	}
	close(left)
	for range 4 {
		all.Go(func() {
			for range left {
				fn()
			}
		})
	}
	all.Wait()
}

// BenchmarkLife takes jobs from accepted to done: dispatched by 64, claimed one by one by four workers, finished in groups, with verdict,
// keyframe, fingerprint, audit and a webhook delivery; the sequencer runs beside it. A backlog of 20,000 others waits.
func BenchmarkLife(b *testing.B) {
	s := durable(b)
	ctx := b.Context()
	tenant := storetest.NewTenant(b, s)
	storetest.NewEndpoint(b, s, tenant)
	for range 80 {
		s.AcceptMany(ctx, submissions(s, "backlog", 250))
	}
	for n := b.N; n > 0; n -= 250 {
		s.AcceptMany(ctx, submissions(s, tenant, min(n, 250)))
	}
	stop := make(chan struct{})
	var beside sync.WaitGroup
	beside.Go(func() {
		for tick := time.Tick(100 * time.Millisecond); ; {
			select {
			case <-stop:
				return
			case <-tick:
				_, err := s.Sequence(ctx, 500)
				require.NoError(b, err)
			}
		}
	})
	tasks := make(chan results.Job, 64)
	var workers sync.WaitGroup
	var done sync.WaitGroup
	done.Add(b.N)
	for w := range 4 {
		workers.Go(func() {
			worker := fmt.Sprintf("worker-%d", w)
			var list []results.Finish
			for j := range tasks {
				l, err := s.Claim(ctx, j.ID, j.Attempt, worker, time.Minute, 2*time.Minute)
				require.NoError(b, err)
				f := storetest.Ending(s, l)
				if list = append(list, f); len(list) < 8 && len(tasks) > 0 {
					continue
				}
				for i, err := range s.FinishMany(ctx, list) {
					require.NoError(b, err)
					if list[i].Verdict.Tenant == tenant {
						done.Done()
					}
				}
				list = nil
			}
		})
	}
	b.ResetTimer()
	began := time.Now()
	finished := make(chan struct{})
	go func() { done.Wait(); close(finished) }()
	var dispatched int
	for going := true; going; {
		some, err := s.Dispatch(ctx, 64, results.PriorityBulk)
		require.NoError(b, err)
		dispatched += len(some)
		for _, j := range some {
			tasks <- j
		}
		select {
		case <-finished:
			going = false
		default:
			if len(some) == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}
	took := time.Since(began)
	b.StopTimer()
	close(tasks)
	workers.Wait()
	close(stop)
	beside.Wait()
	b.ReportMetric(float64(dispatched)/took.Seconds(), "jobs/s")
}
