package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onsite/pipeline"
	"onsite/results"
	"onsite/results/database"
	"onsite/results/storetest"
	"onsite/workers"
	"onsite/workers/queue"
	"onsite/workers/queue/queuetest"
)

func TestMain(m *testing.M) {
	// A pool of go-redis that could not dial looks once more, a second later, whether it was closed.
	goleak.VerifyTestMain(server{m}, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// server ends the benchmark's PostgreSQL with the tests.
type server struct{ m *testing.M }

func (s server) Run() int { return storetest.Main(s.m) }

// soon bounds waits for what does come.
const soon = time.Minute

// stand is a store, a Redis and what runs on them. Times that a test waits for are short, those that a busy machine may need are not.
type stand struct {
	t     testing.TB
	store *store
	redis *queuetest.Server
	queue *queue.Queue
	bell  *queue.LocalBell
	core  *core
	log   *slog.Logger
	reg   *prometheus.Registry
	met   *workers.Metrics
}

func newStand(t *testing.T) *stand {
	t.Helper()
	t.Parallel() // they mostly wait
	return newStandAlone(t)
}

func newStandAlone(t *testing.T) *stand {
	t.Helper()
	empty, err := migrated()
	require.NoError(t, err)
	file := filepath.Join(memory(t), "store.db")
	require.NoError(t, os.WriteFile(file, empty, 0o600))
	db, err := database.Open(t.Context(), database.Options{SQLite: file})
	require.NoError(t, err)
	return standOn(t, db)
}

func standOn(t testing.TB, db *database.Store) *stand {
	t.Helper()
	t.Cleanup(func() { _ = db.Close() })
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("WORKERS_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	srv := queuetest.Start(t)
	q, err := queue.Open(srv.Options(), log)
	require.NoError(t, err)
	t.Cleanup(func() { _ = q.Close() })
	reg := prometheus.NewRegistry()
	return &stand{
		t: t, store: &store{Store: db, verdicts: map[string]int{}, events: map[string][]string{}}, redis: srv, queue: q, bell: &queue.LocalBell{},
		core: &core{runs: map[string]int{}}, log: log, reg: reg, met: workers.NewMetrics(reg),
	}
}

// migrated is an empty store's file: to migrate one for every test takes longer than the test.
var migrated = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "onsite-workers-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "store.db")
	db, err := database.Open(context.Background(), database.Options{SQLite: file})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(db.Migrate(context.Background()), db.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})

// memory gives a folder in memory where there is one: the leases of tests are shorter than a busy disk may take to sync.
func memory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "onsite-workers-") //nolint:usetesting // it has to be in memory
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// tenant makes a tenant with one subject, "e1".
func (s *stand) tenant(id string) string {
	s.t.Helper()
	require.NoError(s.t, s.store.CreateTenant(s.t.Context(), results.Tenant{ID: id, Name: id, CreatedAt: s.store.Now()}))
	require.NoError(s.t, s.store.CreateSubject(s.t.Context(), results.Subject{Tenant: id, ID: "e1", CreatedAt: s.store.Now()}, s.audit(id, "subject.created")))
	return id
}

func (s *stand) audit(tenant, action string) results.AuditEntry {
	return results.AuditEntry{ID: ulid.Make().String(), Tenant: tenant, At: s.store.Now(), Actor: "test", Action: action}
}

// accept writes jobs and rings.
func (s *stand) accept(tenant string, n int, p results.Priority) []string {
	s.t.Helper()
	news := make([]results.NewSubmission, n)
	ids := make([]string, n)
	for i := range news {
		ids[i] = ulid.Make().String()
		news[i] = results.NewSubmission{
			Sub: results.Submission{
				Job: ids[i], Tenant: tenant, Subject: "e1", Claim: json.RawMessage(`{}`), Priority: p, Source: results.Source{Kind: "api"},
				Media:       results.Media{Key: tenant + "/e1/" + ids[i], SHA256: fmt.Sprintf("%064d", i), Bytes: 1, Name: "clip.mp4"},
				TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", ReceivedAt: s.store.Now(),
			},
			Audit: s.audit(tenant, "submission.accepted"),
		}
	}
	for _, a := range s.store.AcceptMany(s.t.Context(), news) {
		require.NoError(s.t, a.Err)
	}
	s.bell.Ring(s.t.Context(), results.BellWork)
	return ids
}

func (s *stand) job(id string) results.Job {
	s.t.Helper()
	j, err := s.store.Job(s.t.Context(), "", id)
	require.NoError(s.t, err)
	return j
}

// ends waits until the jobs are final, and checks that each has exactly one verdict if it is done.
func (s *stand) ends(ids ...string) {
	s.t.Helper()
	limited, cancel := context.WithTimeout(s.t.Context(), soon)
	defer cancel()
	for _, id := range ids {
		j := s.until(limited, id, func(j results.Job) bool { return j.Final() })
		want := 0
		if j.State == results.Done {
			want = 1
		}
		stored, err := s.store.VerdictRevisions(s.t.Context(), j.Tenant, id)
		if want > 0 {
			require.NoError(s.t, err)
		}
		require.Len(s.t, stored, want, "verdicts of job %s", id)
		require.Equal(s.t, want, j.Revision)
	}
}

func (s *stand) done(ids ...string) {
	s.t.Helper()
	s.ends(ids...)
	counts, err := s.store.Counts(s.t.Context(), "")
	require.NoError(s.t, err)
	require.GreaterOrEqual(s.t, counts.ByState[results.Done], int64(len(ids)))
}

// until waits for a job to be as wanted. There is a bell for a job's end only, so it looks now and then.
func (s *stand) until(ctx context.Context, id string, want func(results.Job) bool) results.Job {
	s.t.Helper()
	ear := s.bell.Listen(ctx, results.BellJob(id))
	for {
		if j := s.job(id); want(j) {
			return j
		}
		select {
		case <-ear:
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			require.FailNow(s.t, "a job is not as wanted", "%+v", s.job(id))
		}
	}
}

func (s *stand) becomes(id string, want func(results.Job) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), soon)
	defer cancel()
	s.until(ctx, id, want)
}

// running is something that runs until it is stopped.
type running struct {
	cancel context.CancelFunc
	done   chan error
}

// stop ends it and gives what it returned.
func (r *running) stop(t testing.TB) error {
	t.Helper()
	r.cancel()
	return r.wait(t)
}

func (r *running) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-r.done:
		r.done <- err
		return err
	case <-time.After(soon):
		require.FailNow(t, "it does not end")
		return nil
	}
}

func (s *stand) run(f func(context.Context) error) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- f(ctx) }()
	s.t.Cleanup(func() { _ = r.stop(s.t) })
	return r
}

func (s *stand) worker(change ...func(*workers.Worker)) *running {
	w := &workers.Worker{
		Store: s.store, Queue: s.queue, Core: s.core, Bell: s.bell, Name: "w", Concurrency: 4,
		Lease: 8 * time.Second, RenewEvery: 200 * time.Millisecond, AttemptTimeout: 20 * time.Second, Grace: 5 * time.Second,
		DrainTimeout: 5 * time.Second, Backoff: []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond},
		Logger: s.log, Metrics: s.met,
	}
	for _, c := range change {
		c(w)
	}
	return s.run(w.Run)
}

func (s *stand) dispatcher(change ...func(*workers.Dispatcher)) *running {
	d := &workers.Dispatcher{Store: s.store, Queue: s.queue, Bell: s.bell, Name: "d", TTL: 500 * time.Millisecond, Logger: s.log, Metrics: s.met}
	for _, c := range change {
		c(d)
	}
	return s.run(d.Run)
}

func (s *stand) reconciler(change ...func(*workers.Reconciler)) *running {
	r := &workers.Reconciler{
		Store: s.store, Queue: s.queue, Bell: s.bell, Name: "r", Every: 100 * time.Millisecond, MaxLease: time.Minute,
		TaskAge: 300 * time.Millisecond, ActiveGrace: 300 * time.Millisecond, TTL: 500 * time.Millisecond, Logger: s.log, Metrics: s.met,
	}
	for _, c := range change {
		c(r)
	}
	return s.run(r.Run)
}

// service starts one of each.
func (s *stand) service() {
	s.worker()
	s.dispatcher()
	s.reconciler()
}

// core is a verification core that does what a test wants.
type core struct {
	mu    sync.Mutex
	run   func(ctx context.Context, l results.Lease) (results.Finish, error) // nil: done
	runs  map[string]int
	order []string // of the jobs that began
}

func (c *core) does(f func(ctx context.Context, l results.Lease) (results.Finish, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run = f
}

func (c *core) Run(ctx context.Context, l results.Lease) (results.Finish, error) {
	c.mu.Lock()
	c.runs[l.Job.ID]++
	c.order = append(c.order, l.Job.ID)
	run := c.run
	c.mu.Unlock()
	if run != nil {
		return run(ctx, l)
	}
	return pass(l), nil
}

func (c *core) ran(job string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runs[job]
}

func (c *core) Recheck(context.Context, results.Late) error { return errors.New("not expected") }

// pass is the Finish of a passed job.
func pass(l results.Lease) results.Finish {
	now := time.Now()
	return results.Finish{
		State: results.Done,
		Verdict: &results.Verdict{
			Job: l.Job.ID, Tenant: l.Sub.Tenant, Subject: l.Sub.Subject, Revision: 1, Decision: pipeline.DecisionReview, Codes: []pipeline.Code{pipeline.NoFace},
			Policy: "video15", Body: []byte(`{"schema":"onsite.verdict/1","timings_ms":{"decode":12.5}}`), SubmittedAt: l.Sub.ReceivedAt, CreatedAt: now,
		},
		Audit: results.AuditEntry{ID: ulid.Make().String(), Tenant: l.Sub.Tenant, At: now, Actor: "test", Action: "verdict.created", Target: l.Job.ID},
		Event: "verdict.created", Message: ulid.Make().String(), Payload: []byte(`{}`),
	}
}

// store is the real store, with faults, that counts what it was made to write.
type store struct {
	*database.Store
	counting sync.RWMutex // held while something is written and counted, so that nobody sees the one without the other
	mu       sync.Mutex
	verdicts map[string]int
	events   map[string][]string // by job
	finishes []results.Finish

	// Faults. before fails a call in place of it, after makes it and loses the answer.
	before, after func(call string) error
}

func (s *store) count(job string) int {
	s.counting.RLock()
	defer s.counting.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.verdicts[job]
}

// told gives the events of a job, ending what was written first.
func (s *store) told(job string) []string {
	s.counting.RLock()
	defer s.counting.RUnlock()
	return s.events[job]
}

func (s *store) ending() results.Finish {
	s.counting.RLock()
	defer s.counting.RUnlock()
	return s.finishes[0]
}

func (s *store) fault(when func(*store) func(string) error, call string) error {
	s.mu.Lock()
	f := when(s)
	s.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(call)
}

func (s *store) faults(before, after func(call string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after = before, after
}

func before(s *store) func(string) error { return s.before }
func after(s *store) func(string) error  { return s.after }

func (s *store) Claim(ctx context.Context, job string, attempt int, worker string, lease, deadline time.Duration) (results.Lease, error) {
	if err := s.fault(before, "claim"); err != nil {
		return results.Lease{}, err
	}
	l, err := s.Store.Claim(ctx, job, attempt, worker, lease, deadline)
	if err == nil {
		if lost := s.fault(after, "claim"); lost != nil {
			return results.Lease{}, lost
		}
	}
	return l, err
}

func (s *store) Renew(ctx context.Context, worker string, lease time.Duration) ([]string, error) {
	if err := s.fault(before, "renew"); err != nil {
		return nil, err
	}
	return s.Store.Renew(ctx, worker, lease)
}

func (s *store) Release(ctx context.Context, r results.Release) error {
	if err := s.fault(before, "release"); err != nil {
		return err
	}
	return s.Store.Release(ctx, r)
}

func (s *store) Dispatch(ctx context.Context, n int, last results.Priority) ([]results.Job, error) {
	if err := s.fault(before, "dispatch"); err != nil {
		return nil, err
	}
	return s.Store.Dispatch(ctx, n, last)
}

func (s *store) FinishMany(ctx context.Context, list []results.Finish) []error {
	errs := make([]error, len(list))
	if err := s.fault(before, "finish"); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	s.counting.Lock()
	errs = s.Store.FinishMany(ctx, list)
	s.mu.Lock()
	for i, err := range errs {
		if err != nil {
			continue
		}
		s.finishes = append(s.finishes, list[i])
		s.events[list[i].Job] = append(s.events[list[i].Job], list[i].Event)
		if list[i].State == results.Done {
			s.verdicts[list[i].Job]++
		}
	}
	s.mu.Unlock()
	s.counting.Unlock()
	if err := s.fault(after, "finish"); err != nil {
		for i := range errs {
			errs[i] = err
		}
	}
	return errs
}
