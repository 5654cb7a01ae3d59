package workers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace/noop"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/results"
	"onsite/results/object"
	"onsite/workers"
	"onsite/workers/queue"
)

func TestHoldAndUnhold(t *testing.T) {
	s := newStand(t)
	var installed atomic.Bool
	s.core.does(func(_ context.Context, l results.Lease) (results.Finish, error) {
		if !installed.Load() {
			return results.Finish{}, &models.MissingError{Task: "face_embed", Path: "/models/x.onnx", Err: errors.New("no such file")}
		}
		return pass(l), nil
	})
	asked := make(chan string, 1000)
	s.worker()
	s.dispatcher()
	s.reconciler(func(r *workers.Reconciler) {
		r.StatsEvery, r.HoldEvery = 20*time.Millisecond, 20*time.Millisecond
		r.Ready = func(_ context.Context, rule string) error {
			asked <- rule
			if !installed.Load() {
				return errors.New("still missing")
			}
			return nil
		}
	})
	jobs := s.accept(s.tenant("a"), 5, results.PriorityClockIn)
	for _, id := range jobs {
		s.becomes(id, func(j results.Job) bool { return j.Held })
		j := s.job(id)
		require.Equal(t, workers.RuleModels, j.Error.Rule)
		require.Zero(t, j.Failures)
	}
	require.Equal(t, workers.RuleModels, <-asked)
	require.Equal(t, workers.RuleModels, <-asked)
	require.Equal(t, 1, s.core.ran(jobs[0]), "a job on hold does not run")
	require.InDelta(t, 5, metric(t, s.reg, "onsite_alarms_total", workers.RuleModels), 0)
	installed.Store(true)
	s.done(jobs...)
}

func TestRefusal(t *testing.T) {
	s := newStand(t)
	s.core.does(func(context.Context, results.Lease) (results.Finish, error) {
		return results.Finish{}, fmt.Errorf("decode: %w", &media.Refusal{Rule: "media_truncated", Name: "anna.mp4", Text: pipeline.Text{EN: "cut off", ZH: "不完整"}})
	})
	outbox := s.bell.Listen(t.Context(), results.BellOutbox)
	s.service()
	job := s.accept(s.tenant("a"), 1, results.PriorityClockIn)[0]
	s.ends(job)
	j := s.job(job)
	require.Equal(t, results.Refused, j.State)
	require.Equal(t, results.JobError{Rule: "media_truncated", Text: pipeline.Text{EN: "cut off", ZH: "不完整"}}, *j.Error)
	require.Equal(t, 1, s.core.ran(job), "it is never tried again")
	require.Equal(t, []string{"job.refused"}, s.store.told(job))
	f := s.store.ending()
	require.Contains(t, string(f.Payload), `"rule":"media_truncated"`)
	require.NotContains(t, string(f.Payload), "anna")
	require.Equal(t, "job.refused", f.Audit.Action)
	select {
	case <-outbox:
	case <-time.After(soon):
		require.FailNow(t, "the sender was not woken")
	}
	require.Eventually(t, func() bool { return metric(t, s.reg, "onsite_refused_total", "media_truncated") == 1 }, soon, 10*time.Millisecond)
}

func TestMetrics(t *testing.T) {
	s := newStand(t)
	s.worker()
	s.dispatcher()
	s.reconciler(func(r *workers.Reconciler) { r.StatsEvery = 20 * time.Millisecond })
	s.done(s.accept(s.tenant("a"), 3, results.PriorityClockIn)...)
	for _, m := range [][2]string{{"onsite_verdicts_total", "review"}, {"onsite_reasons_total", "no_face"}, {"onsite_jobs", "done"}, {"onsite_attempts_total", "done"}} {
		require.Eventually(t, func() bool { return metric(t, s.reg, m[0], m[1]) == 3 }, soon, 10*time.Millisecond, m[0]) // counted just after the job's end
	}
	w := httptest.NewRecorder()
	promhttp.HandlerFor(s.reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{`onsite_stage_seconds_count{stage="decode"} 3`, `onsite_stage_seconds_count{stage="claim"}`, "onsite_queue_age_seconds 0", `onsite_tasks{queue="clockin"}`} {
		require.Contains(t, w.Body.String(), want)
	}
	require.NotContains(t, w.Body.String(), `"a"`, "no tenants")
	families, err := s.reg.Gather()
	require.NoError(t, err)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
	var none *workers.Metrics
	none.Stage("x", time.Second)
}

// metric reads one number; the label's value is empty for those without.
func metric(t *testing.T, r *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := r.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

func TestTraceGoesOn(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	otel.SetTracerProvider(provider)
	defer otel.SetTracerProvider(noop.NewTracerProvider())
	s := newStandAlone(t) // the provider is everybody's
	s.service()
	s.done(s.accept(s.tenant("a"), 1, results.PriorityClockIn)...)
	var names []string
	require.Eventually(t, func() bool { return len(spans.Ended()) >= 4 }, soon, 10*time.Millisecond)
	for _, span := range spans.Ended() {
		names = append(names, span.Name())
		require.Equal(t, "0af7651916cd43dd8448eb211c80319c", span.SpanContext().TraceID().String(), "the trace of the request")
		for _, a := range span.Attributes() {
			require.NotContains(t, a.Value.String(), "e1")
		}
	}
	slices.Sort(names)
	require.Equal(t, []string{"attempt", "claim", "finish", "run"}, names)
}

// TestStartStop starts and ends everything over and over while jobs run; goleak watches.
func TestStartStop(t *testing.T) {
	s := newStand(t)
	jobs := s.accept(s.tenant("a"), 40, results.PriorityClockIn)
	for range 6 {
		parts := []*running{s.worker(), s.dispatcher(), s.reconciler(), s.run((&workers.Sequencer{Store: feed{}, Bell: s.bell, Logger: s.log}).Run),
			s.run((&workers.Rechecker{Store: &latecomers{}, Core: s.core, Bell: s.bell, Logger: s.log}).Run),
			s.run((&workers.Janitor{Store: &shelf{}, Objects: &shelf{}, Logger: s.log}).Run)}
		var stopping sync.WaitGroup
		for _, p := range parts {
			stopping.Go(func() { _ = p.stop(t) })
		}
		stopping.Wait()
	}
	s.service()
	s.done(jobs...)
	for _, part := range []func(context.Context) error{(&workers.Worker{Store: s.store, Queue: s.queue, Core: s.core}).Run, (&workers.Dispatcher{Store: s.store, Queue: s.queue}).Run,
		(&workers.Reconciler{Store: s.store, Queue: s.queue}).Run, (&workers.Sequencer{Store: feed{}}).Run,
		(&workers.Rechecker{Store: &latecomers{}, Core: s.core}).Run, (&workers.Janitor{Store: &shelf{}, Objects: &shelf{}}).Run} {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, part(ended), "without bell, log and metrics, and over before it began")
	}
}

// always elects everybody.
type always struct{}

func (always) Elect(context.Context, string, string, time.Duration) (bool, error) { return true, nil }

// feed has nothing to number.
type feed struct{ always }

func (feed) Sequence(context.Context, int) (map[string]int64, error) { return nil, nil }

// numbered numbers what it is given.
type numbered struct {
	always
	mu     sync.Mutex
	fails  int
	open   int
	called int
}

func (n *numbered) Sequence(context.Context, int) (map[string]int64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.called++
	if n.fails > 0 {
		n.fails--
		return nil, results.ErrAway
	}
	if n.open == 0 {
		return nil, nil
	}
	n.open = 0
	return map[string]int64{"a": 1}, nil
}

func TestSequencer(t *testing.T) {
	bell := &queue.LocalBell{}
	n := &numbered{fails: 2}
	s := &stand{t: t}
	heard := bell.Listen(t.Context(), results.BellFeed)
	s.run((&workers.Sequencer{Store: n, Bell: bell, Poll: 10 * time.Millisecond, Gap: time.Millisecond}).Run)
	for range 3 {
		n.mu.Lock()
		n.open = 1
		n.mu.Unlock()
		bell.Ring(t.Context(), results.BellVerdict)
		select {
		case <-heard:
		case <-time.After(soon):
			require.FailNow(t, "nobody was told of the positions")
		}
	}
}

// candidates elects one at a time, as the store does.
type candidates struct {
	mu     sync.Mutex
	holder string
	until  time.Time
	away   bool
	acts   map[string]int
}

func (c *candidates) Elect(_ context.Context, _, holder string, ttl time.Duration) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return false, results.ErrAway
	}
	if c.holder == holder || time.Now().After(c.until) {
		c.holder, c.until = holder, time.Now().Add(ttl)
	}
	return c.holder == holder, nil
}

func (c *candidates) actor(name string) *actor { return &actor{candidates: c, name: name} }

type actor struct {
	*candidates
	name string
}

func (a *actor) Sequence(context.Context, int) (map[string]int64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.acts[a.name]++
	return nil, nil
}

func TestOnlyTheElectedActs(t *testing.T) {
	t.Parallel()
	c := &candidates{acts: map[string]int{}}
	s := &stand{t: t}
	begin := func(name string) *running {
		return s.run((&workers.Sequencer{Store: c.actor(name), Name: name, Poll: 5 * time.Millisecond, Gap: time.Millisecond, TTL: 3 * time.Second}).Run) // a busy machine may halt one of them for some time
	}
	acted := func(name string) func() bool {
		return func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.acts[name] > 3 }
	}
	one := begin("one")
	require.Eventually(t, acted("one"), soon, time.Millisecond)
	begin("two")
	c.mu.Lock()
	c.acts["one"] = 0
	c.mu.Unlock()
	require.Eventually(t, acted("one"), soon, time.Millisecond)
	require.Zero(t, c.acts["two"])
	require.NoError(t, one.stop(t))
	require.Eventually(t, acted("two"), soon, time.Millisecond)
	// A store that is away: nobody acts, because the role may be somebody else's by now.
	c.mu.Lock()
	c.away = true
	c.mu.Unlock()
	require.Eventually(t, func() bool {
		c.mu.Lock()
		before := c.acts["two"]
		c.mu.Unlock()
		time.Sleep(50 * time.Millisecond)
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.acts["two"] == before
	}, soon, time.Millisecond)
}

// latecomers are prints that came late.
type latecomers struct {
	mu   sync.Mutex
	late []results.Late
	done []string
	away bool
}

func (l *latecomers) Recheck(_ context.Context, _ string, _ time.Duration, n int) ([]results.Late, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		l.away = false
		return nil, results.ErrAway
	}
	n = min(n, len(l.late))
	out := l.late[:n]
	l.late = l.late[n:]
	return out, nil
}

func (l *latecomers) Rechecked(_ context.Context, late results.Late) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = append(l.done, late.Print.Job)
	return nil
}

// comparer is a core that only compares.
type comparer struct {
	core
	compare func(results.Late) error
}

func (c *comparer) Recheck(_ context.Context, l results.Late) error { return c.compare(l) }

func TestRechecker(t *testing.T) {
	store := &latecomers{away: true}
	for _, id := range []string{"fine", "away", "gone", "partly", "both gone", "panics", "last"} {
		store.late = append(store.late, results.Late{Print: results.Print{Job: id}})
	}
	last := make(chan struct{})
	c := &comparer{compare: func(l results.Late) error {
		switch l.Print.Job {
		case "away":
			return results.ErrAway
		case "gone":
			return fmt.Errorf("open print: %w", object.ErrNotFound)
		case "partly": // one of the jobs that it is compared with may be compared later
			return fmt.Errorf("compare: %w", errors.Join(object.ErrNotFound, context.DeadlineExceeded))
		case "both gone":
			return errors.Join(object.ErrNotFound, fmt.Errorf("open print: %w", object.ErrNotFound))
		case "panics":
			panic("a bug")
		case "last":
			close(last)
		}
		return nil
	}}
	s := &stand{t: t}
	r := s.run((&workers.Rechecker{Store: store, Core: c, Poll: 10 * time.Millisecond}).Run)
	select {
	case <-last:
	case <-time.After(soon):
		require.FailNow(t, "not all were compared")
	}
	require.NoError(t, r.stop(t))
	require.Equal(t, []string{"fine", "gone", "both gone", "last"}, store.done, "what failed is taken again when its lease is over")
}

// shelf is objects with their books.
type shelf struct {
	always
	mu      sync.Mutex
	pending map[string]bool // key: named by a row
	objects map[string]bool
	expire  []string
	stuck   string // cannot be deleted
	away    bool
	swept   chan struct{}
}

func (s *shelf) Now() time.Time { return time.Now() }

func (s *shelf) Orphans(_ context.Context, before time.Time, _ int) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.swept != nil {
		defer func() { s.swept <- struct{}{} }()
	}
	if time.Since(before) < 179*time.Minute {
		return nil, errors.New("too young")
	}
	var keys []string
	for k := range s.pending {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys, nil
}

func (s *shelf) Referenced(_ context.Context, keys []string) (map[string]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	named := map[string]bool{}
	for _, k := range keys {
		named[k] = s.pending[k]
	}
	return named, nil
}

func (s *shelf) Forget(_ context.Context, keys []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		delete(s.pending, k)
	}
	return nil
}

func (s *shelf) Expire(context.Context, time.Time, int) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := s.expire
	s.expire = nil
	for _, k := range keys {
		s.pending[k] = false
	}
	return keys, nil
}

func (s *shelf) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return object.ErrAway
	}
	if key == s.stuck {
		return errors.New("not this one")
	}
	delete(s.objects, key)
	return nil
}

func TestJanitor(t *testing.T) {
	s := &shelf{
		pending: map[string]bool{"orphan1": false, "orphan2": false, "named": true, "stuck": false},
		objects: map[string]bool{"orphan1": true, "orphan2": true, "named": true, "stuck": true, "old": true},
		expire:  []string{"old"}, stuck: "stuck", away: true, swept: make(chan struct{}, 100),
	}
	st := &stand{t: t}
	j := st.run((&workers.Janitor{Store: s, Objects: s, Every: time.Millisecond}).Run)
	for range 3 {
		<-s.swept
	}
	s.mu.Lock()
	require.Len(t, s.objects, 5, "nothing is forgotten while objects cannot be deleted")
	require.Contains(t, s.pending, "old")
	s.away = false
	s.mu.Unlock()
	require.Eventually(t, func() bool {
		<-s.swept
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.objects) == 2
	}, soon, time.Millisecond)
	go func() {
		for range s.swept {
			continue
		}
	}()
	require.NoError(t, j.stop(t))
	close(s.swept)
	require.Equal(t, map[string]bool{"named": true, "stuck": true}, s.objects)
	require.Equal(t, map[string]bool{"stuck": false}, s.pending, "one that cannot be deleted does not hold up the others")
}
