package archive

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"onsite/pipeline/reuse/index"
	"onsite/results"
	"onsite/results/storetest"
	"onsite/workers"
)

const token = "a token of the workers"

// worker is one of those that hold a shard each.
type worker struct {
	*Archive
	server *httptest.Server
	way    atomic.Value // of http.Handler: what lies between the others and this one
	log    *lines
	reg    *prometheus.Registry
}

// workersOf starts n workers over a store, each with a shard, that ask each other over HTTP.
func workersOf(t *testing.T, s Store, n int) []*worker {
	t.Helper()
	var all []*worker
	var urls []string
	for range n {
		w := &worker{log: new(lines), reg: prometheus.NewRegistry()}
		w.way.Store(http.NotFoundHandler())
		w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			w.way.Load().(http.Handler).ServeHTTP(rw, r)
		}))
		t.Cleanup(w.server.Close)
		all, urls = append(all, w), append(urls, w.server.URL)
	}
	for k, w := range all {
		x, err := index.Open(t.TempDir(), index.Options{Tail: 64, Shard: index.Shard{K: k + 1, N: n}})
		require.NoError(t, err)
		w.Archive, _ = start(t, s, "", func(o *Options) {
			require.NoError(t, o.Index.Close())
			o.Index, o.Peers, o.Token, o.Timeout = x, urls, token, soon
			o.Logger, o.Metrics = slog.New(slog.NewTextHandler(w.log, nil)), NewMetrics(w.reg)
		})
		if n > 1 {
			h, err := w.Handler()
			require.NoError(t, err)
			w.answer(h)
		}
	}
	return all
}

// answer puts something else between the others and a worker.
func (w *worker) answer(h http.Handler) {
	w.way.Store(http.Handler(http.HandlerFunc(h.ServeHTTP)))
}

// TestWorkersWithShardsGiveTheSame asks 1, 2, 3 and 5 workers what the store's rows say, while jobs end out of order and are deleted.
func TestWorkersWithShardsGiveTheSame(t *testing.T) {
	s := openStore(t)
	tenant := storetest.NewTenant(t, s)
	for i := range 4 {
		storetest.NewSubject(t, s, tenant, fmt.Sprintf("e%d", i))
	}
	var groups [][]*worker
	for _, n := range []int{1, 2, 3, 5} {
		groups = append(groups, workersOf(t, s, n))
	}
	rows := New(Options{Store: s, Page: 5})
	r := rand.New(rand.NewPCG(1, 1))
	clips := clipsOf(50)
	var jobs, open []string
	matched := 0
	for i := range clips {
		who := i % 4
		if i > 24 {
			who %= 3 // the fourth was erased
		}
		id := storetest.Accept(t, s, tenant, fmt.Sprintf("e%d", who)).ID
		jobs, open = append(jobs, id), append(open, id)
		if len(open) < 3 {
			continue
		}
		k := r.IntN(len(open)) // any of the last ones ends first
		c := &clips[r.IntN(i+1)/2]
		end(t, s, open[k], c)
		open = append(open[:k], open[k+1:]...)
		if i%3 == 0 {
			storetest.Sequenced(t, s)
		}
		if i == 24 {
			for len(open) > 0 { // its open jobs would be refused
				end(t, s, open[0], c)
				open = open[1:]
			}
			_, err := s.EraseSubject(t.Context(), tenant, "e3", s.Now(), storetest.Audit(s, tenant, "subject.erased"))
			require.NoError(t, err)
		}
		q := index.Query{Tenant: tenant, Frames: asked(c), Radius: index.MaxRadius, AsOf: position(t, s, tenant), Before: jobs[r.IntN(len(jobs))], Most: 3}
		q.Since = r.Int64N(q.AsOf+1) / 2
		switch i % 4 {
		case 0:
			q.Before = ""
		case 1:
			q.Subject = fmt.Sprintf("e%d", r.IntN(3))
		case 2:
			q.Flood = 1 + r.IntN(30)
		}
		want, err := rows.Find(t.Context(), q)
		require.NoError(t, err)
		matched += len(want.Matches)
		for _, g := range groups {
			w := g[r.IntN(len(g))]
			require.EventuallyWithT(t, func(c *assert.CollectT) { // what was erased leaves an index a little later
				got, err := w.Find(t.Context(), q)
				require.NoError(c, err)
				require.Equal(c, want, got, "job %d, shard %s", i, w.Index.Shard())
			}, soon, time.Millisecond)
		}
	}
	require.Greater(t, matched, 20)
	for _, g := range groups {
		held, alive := 0, 0
		for _, w := range g {
			st, err := w.Index.Stats(tenant)
			require.NoError(t, err)
			held = max(held, st.Clips)
			alive += st.Clips
			require.Empty(t, w.log.at("WARN"))
			for _, p := range w.peers {
				require.Zero(t, w.counted("onsite_index_asks_total", fmt.Sprint(p.shard.K), "store"))
			}
		}
		require.Less(t, held, alive*3/2/len(g)+8, "none holds much more than its part")
	}
}

// pair is two workers and two clips that are the same footage, one in each shard.
func pair(t *testing.T, s Store, store results.Store) (all []*worker, q index.Query) {
	t.Helper()
	tenant := storetest.NewTenant(t, store)
	clips := clipsOf(1)
	seen := map[int]bool{}
	for len(seen) < 2 {
		seen[index.ShardOf(submit(t, store, tenant, "e1", &clips[0]), 2)] = true
	}
	q = index.Query{Tenant: tenant, Frames: asked(&clips[0]), Radius: index.MaxRadius, AsOf: position(t, store, tenant)}
	all = workersOf(t, s, 2)
	for _, w := range all {
		<-w.tenant(tenant).whenFilled()
	}
	return all, q
}

// counted gives a counter by the values of its labels.
func (w *worker) counted(name string, labels ...string) int {
	families, err := w.reg.Gather()
	if err != nil {
		panic(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var have []string
			for _, l := range m.GetLabel() {
				have = append(have, l.GetValue())
			}
			slices.Sort(have)
			if f.GetName() == name && slices.Equal(have, slices.Sorted(slices.Values(labels))) {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	return 0
}

// at gives the lines of a level.
func (l *lines) at(level string) (all []string) {
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, "level="+level) {
			all = append(all, line)
		}
	}
	return all
}

// TestAShardThatDoesNotAnswerLosesNothing: whatever is wrong with a worker, its share is read from the store, and the log says so once.
func TestAShardThatDoesNotAnswerLosesNothing(t *testing.T) {
	status := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Error(w, "out of order", n) }
	}
	stays := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	for name, c := range map[string]struct {
		way     func(all []*worker, h http.Handler) http.Handler
		timeout time.Duration
		says    string
	}{
		"error": {func([]*worker, http.Handler) http.Handler { return status(http.StatusInternalServerError) }, soon, "out of order"},
		"redirect": {func([]*worker, http.Handler) http.Handler {
			return http.RedirectHandler("/elsewhere", http.StatusTemporaryRedirect)
		}, soon, "status 307"},
		"slow": {func([]*worker, http.Handler) http.Handler { return http.HandlerFunc(stays) }, 20 * time.Millisecond, "deadline exceeded"},
		"garbage": {func([]*worker, http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>hello</html>") })
		}, soon, "no answer to the question"},
		"cut off": {func(_ []*worker, h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, r)
				_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()-1])
			})
		}, soon, "damaged"},
		"broken connection": {func([]*worker, http.Handler) http.Handler {
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		}, soon, "EOF"},
		"another shard": {func(all []*worker, _ http.Handler) http.Handler {
			h, err := all[0].Handler() // the load balancer sends it back to who asks
			if err != nil {
				panic(err)
			}
			return h
		}, soon, "this worker holds shard 1/2, not 2/2"},
		"another cut": {func(all []*worker, _ http.Handler) http.Handler {
			x, err := index.Open("", index.Options{Shard: index.Shard{K: 2, N: 3}}) // as while one goes from two shards to three
			if err != nil {
				panic(err)
			}
			h, err := New(Options{Store: all[1].Store, Index: x, Token: token}).Handler()
			if err != nil {
				panic(err)
			}
			return h
		}, soon, "this worker holds shard 2/3, not 2/2"},
		"another token": {func(all []*worker, _ http.Handler) http.Handler {
			other := &Archive{Options: all[1].Options}
			other.Token = "another token that is long enough"
			h, err := other.Handler()
			if err != nil {
				panic(err)
			}
			return h
		}, soon, "worker.index_token"},
		"endless": {func([]*worker, http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for chunk := make([]byte, 1<<20); ; {
					if _, err := w.Write(chunk); err != nil {
						return
					}
				}
			})
		}, soon, "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t)
			all, q := pair(t, s, s)
			one, good := all[0], all[1].way.Load().(http.Handler)
			one.Timeout = soon
			want, err := New(Options{Store: s}).Find(t.Context(), q)
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(want.Matches), 2)
			same := func() {
				got, err := one.Find(t.Context(), q)
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
			same()
			one.Timeout = c.timeout
			all[1].answer(c.way(all, good))
			same()
			same()
			one.Timeout = soon
			all[1].answer(good)
			same()
			require.Equal(t, 2, one.counted("onsite_index_asks_total", "2", "store"))
			require.Equal(t, 2, one.counted("onsite_index_asks_total", "2", "answered"))
			require.Len(t, one.log.at("WARN"), 1)
			require.Contains(t, one.log.at("WARN")[0], c.says)
			require.Contains(t, one.log.String(), "answers again")
			require.NotContains(t, one.log.String(), token)
		})
	}
}

// A worker that is gone, both that are asked and the own one at once, and one that has no URL.
func TestAllShardsAway(t *testing.T) {
	s := openStore(t)
	all, q := pair(t, s, s)
	want, err := New(Options{Store: s}).Find(t.Context(), q)
	require.NoError(t, err)
	all[1].server.Close()
	got, err := all[0].Find(t.Context(), q)
	require.NoError(t, err)
	require.Equal(t, want, got)

	x, err := index.Open("", index.Options{Shard: index.Shard{K: 2, N: 3}})
	require.NoError(t, err)
	defer func() { require.NoError(t, x.Close()) }()
	alone := New(Options{Store: s, Index: x, Patience: time.Millisecond, Token: token, Peers: []string{"http://127.0.0.1:1"}}) // nobody runs it: it is never filled
	got, err = alone.Find(t.Context(), q)
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = alone.Find(t.Context(), index.Query{Tenant: q.Tenant, AsOf: 1, Radius: 99})
	require.ErrorContains(t, err, "radius")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = all[0].Find(ctx, q)
	require.ErrorIs(t, err, context.Canceled)
	off := &away{Store: s}
	off.off.Store(true)
	alone.Store = off
	_, err = alone.Find(t.Context(), q)
	require.ErrorIs(t, err, results.ErrAway, "never an incomplete answer")
}

// TestAnAbsentShardWithTooManyRows: the job waits for the shard, and is never given up.
func TestAnAbsentShardWithTooManyRows(t *testing.T) {
	s := openStore(t)
	rows := &stuck{Store: s}
	all, q := pair(t, rows, s)
	all[1].server.Close()
	rows.on.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := all[0].Find(ctx, q)
	require.NoError(t, ctx.Err(), "there is time left to say so")
	var gone *AwayError
	require.ErrorAs(t, err, &gone)
	j := workers.Judge(fmt.Errorf("look for earlier footage: %w", err))
	require.Equal(t, workers.Retry, j.Action)
	require.False(t, j.Count)
	require.Equal(t, RuleIndex, j.Rule)
	require.NotEmpty(t, j.Text.ZH)
}

// stuck is a store whose rows do not come any more, once it is told so.
type stuck struct {
	Store
	on atomic.Bool
}

func (s *stuck) Frames(ctx context.Context, tenant string, f results.FrameFilter, n int) ([]results.JobFrames, error) {
	if s.on.Load() {
		<-ctx.Done()
		return nil, fmt.Errorf("read frames: %w", ctx.Err())
	}
	return s.Store.Frames(ctx, tenant, f, n)
}

// asleep is a store whose feed does not move for one worker until it is woken.
type asleep struct {
	Store
	off atomic.Bool
}

func (a *asleep) Positions(ctx context.Context) (map[string]int64, error) {
	if a.off.Load() {
		return nil, results.ErrAway
	}
	return a.Store.Positions(ctx)
}

// TestAShardThatLags: a job that was accepted while a worker followed nothing is found, since the question brings that worker forward; and
// when it cannot be, the store is read.
func TestAShardThatLags(t *testing.T) {
	s := openStore(t)
	lazy := &asleep{Store: s}
	all, q := pair(t, lazy, s)
	lazy.off.Store(true)
	clips := clipsOf(2)
	var job string
	for job == "" || index.ShardOf(job, 2) != 2 {
		job = submit(t, s, q.Tenant, "e2", &clips[1])
	}
	q.Frames, q.AsOf = asked(&clips[1]), position(t, s, q.Tenant)
	got, err := all[0].Find(t.Context(), q)
	require.NoError(t, err)
	found := false
	for _, m := range got.Matches {
		found = found || m.Job == job
	}
	require.True(t, found)
	require.Equal(t, 1, all[0].counted("onsite_index_asks_total", "2", "answered"))
	at, err := all[1].Index.UpTo(q.Tenant)
	require.NoError(t, err)
	require.Equal(t, q.AsOf, at)

	// A position that the store has not reached is believed by nobody: what comes until then would be passed over.
	body, err := index.AppendQuery(nil, index.Query{Tenant: q.Tenant, AsOf: q.AsOf + 5}, index.Shard{K: 2, N: 2})
	require.NoError(t, err)
	require.Equal(t, http.StatusConflict, post(t, all[1], token, body))
	stranger, err := index.AppendQuery(nil, index.Query{Tenant: "nobody", AsOf: 1}, index.Shard{K: 2, N: 2})
	require.NoError(t, err)
	require.Equal(t, http.StatusConflict, post(t, all[1], token, stranger))
	require.NotContains(t, all[1].Index.Tenants(), "nobody")
	at, err = all[1].Index.UpTo(q.Tenant)
	require.NoError(t, err)
	require.Equal(t, q.AsOf, at)
}

func post(t *testing.T, w *worker, token string, body []byte) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.server.URL+partPath, strings.NewReader(string(body)))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := w.server.Client().Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	w.server.Client().CloseIdleConnections()
	return res.StatusCode
}

// TestWhatAWorkerRefuses: strangers, and what is no question.
func TestWhatAWorkerRefuses(t *testing.T) {
	s := openStore(t)
	all, q := pair(t, s, s)
	good, err := index.AppendQuery(nil, q, index.Shard{K: 2, N: 2})
	require.NoError(t, err)
	other, err := index.AppendQuery(nil, q, index.Shard{K: 2, N: 3})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, post(t, all[1], token, good))
	require.Equal(t, http.StatusUnauthorized, post(t, all[1], "", good))
	require.Equal(t, http.StatusUnauthorized, post(t, all[1], token+"x", good))
	require.Equal(t, http.StatusConflict, post(t, all[1], token, other))
	require.Equal(t, http.StatusBadRequest, post(t, all[1], token, good[:9]))
	require.Equal(t, http.StatusBadRequest, post(t, all[1], token, nil))
	require.Equal(t, http.StatusRequestEntityTooLarge, post(t, all[1], token, make([]byte, index.MaxAskBytes+1)))
	require.Equal(t, 1, all[1].counted("onsite_index_answers_total", "200"))
	require.Equal(t, 2, all[1].counted("onsite_index_answers_total", "401"))

	o := all[1].Options
	o.Token = ""
	_, err = New(o).Handler()
	require.ErrorContains(t, err, "worker.index_token")
	_, err = New(Options{Store: s}).Handler()
	require.ErrorContains(t, err, "worker.index_shard")
}

// TestDeletedClipsLeaveEveryShard: each worker follows the deletions by itself.
func TestDeletedClipsLeaveEveryShard(t *testing.T) {
	s := openStore(t)
	tenant := storetest.NewTenant(t, s)
	storetest.NewSubject(t, s, tenant, "e1")
	clips := clipsOf(1)
	jobs := map[string]bool{}
	for range 12 {
		jobs[submit(t, s, tenant, "e1", &clips[0])] = true
	}
	stays := submit(t, s, tenant, "e2", &clips[0])
	all := workersOf(t, s, 3)
	q := index.Query{Tenant: tenant, Frames: asked(&clips[0]), Radius: index.MaxRadius, AsOf: position(t, s, tenant)}
	for _, w := range all {
		got, err := w.Find(t.Context(), q)
		require.NoError(t, err)
		require.Len(t, got.Matches, 13)
		st, err := w.Index.Stats(tenant)
		require.NoError(t, err)
		require.Positive(t, st.Clips)
	}
	_, err := s.EraseSubject(t.Context(), tenant, "e1", s.Now(), storetest.Audit(s, tenant, "subject.erased"))
	require.NoError(t, err)
	for _, w := range all {
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			got, err := w.Find(t.Context(), q)
			require.NoError(c, err)
			require.Len(c, got.Matches, 1)
			require.Equal(c, stays, got.Matches[0].Job)
		}, soon, time.Millisecond)
	}
}
