package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"onsite/results"
)

// away is a store that cannot be reached; tests overlay what they need.
type away struct{ results.Store }

func (away) Ping(context.Context) error { return results.ErrAway }
func (away) Key(context.Context, string) (results.APIKey, error) {
	return results.APIKey{}, results.ErrAway
}

func bare(t testing.TB, store results.Store) (*Server, *bytes.Buffer) {
	t.Helper()
	logged := &bytes.Buffer{}
	return &Server{Store: store, Secret: bytes.Repeat([]byte{7}, 32), Version: "test", Log: slog.New(slog.NewJSONHandler(logged, nil)), Clock: time.Now}, logged
}

func TestUnroutedIsAProblem(t *testing.T) {
	s, logged := bare(t, away{})
	h := s.Handler()
	r := httptest.NewRequest(http.MethodGet, "/v1/nothing?signature=secret", nil)
	r.Header.Set("Accept-Language", "zh-CN,zh;q=0.9,en;q=0.5")
	r.Header.Set(requestIDHeader, "caller-given-1")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusNotFound, w.Code)
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	require.Equal(t, "caller-given-1", w.Header().Get(requestIDHeader))
	var p Problem
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
	require.Equal(t, "no_such_route", p.Code)
	require.Equal(t, "没有该路径", p.Title)
	require.Equal(t, "caller-given-1", p.RequestID)
	require.NotContains(t, logged.String(), "secret")

	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/livez", nil))
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Contains(t, w.Header().Get("Allow"), "GET")
}

func TestReadyTellsWhichCheckFailed(t *testing.T) {
	s, logged := bare(t, away{})
	s.Checks = map[string]func(context.Context) error{"models": func(context.Context) error { return nil }}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.JSONEq(t, `{"ready":false,"checks":{"store":false,"models":true}}`, w.Body.String())
	require.Contains(t, logged.String(), `"check":"store"`)
}

// brokenStore crashes in the middle of a request.
type brokenStore struct{ results.Store }

func (brokenStore) Jobs(context.Context, string, results.JobFilter, results.Page) ([]results.Job, error) {
	panic("secret of the machine")
}

func (brokenStore) Verdicts(_ context.Context, _ string, _ results.VerdictFilter, p results.Page) ([]results.Verdict, error) {
	if p.After != "" {
		return nil, results.ErrAway
	}
	rows := make([]results.Verdict, exportPage)
	for i := range rows {
		rows[i] = results.Verdict{Job: "j", Revision: 1, Body: []byte(`{"filler":"` + strings.Repeat("x", 2000) + `"}`)}
	}
	return rows, nil
}

func TestPanicIsAProblem(t *testing.T) {
	s := newStage(t, func(s *Server) { s.Store = brokenStore{s.Store} })
	a := s.do(http.MethodGet, "/v1/jobs", s.key("acme", read), nil, "Accept-Language", "zh")
	p := a.problem(500, codeInternal)
	require.Equal(t, "内部错误", p.Title)
	require.NotContains(t, string(a.body), "secret")
	require.NotContains(t, s.logs.String(), "secret of the machine", "what it panicked with may be anybody's")
	require.Contains(t, s.logs.String(), `"panic":"string"`)
	require.Contains(t, s.logs.String(), "stack")
	require.Equal(t, 200, s.do(http.MethodGet, "/livez", "", nil).status)
}

// flaky is a store whose keys cannot be asked for at times.
type flaky struct {
	results.Store
	away *atomic.Bool
}

func (f flaky) Key(ctx context.Context, id string) (results.APIKey, error) {
	if f.away.Load() {
		return results.APIKey{}, results.ErrAway
	}
	return f.Store.Key(ctx, id)
}

// TestMetricsWithoutTheStore: who read the numbers before reads them in an outage, too; nobody else does.
func TestMetricsWithoutTheStore(t *testing.T) {
	var out atomic.Bool
	s := newStage(t, func(s *Server) {
		s.Store, s.Gatherer, s.Limits.KeyTTL = flaky{s.Store, &out}, prometheus.NewRegistry(), time.Nanosecond
	})
	known, fresh := s.key("acme", audit), s.key("acme", admin)
	require.Equal(t, 200, s.do(http.MethodGet, "/metrics", known, nil).status)
	out.Store(true)
	require.Equal(t, 200, s.do(http.MethodGet, "/metrics", known, nil).status)
	require.Equal(t, 200, s.do(http.MethodGet, "/metrics", known, nil).status)
	s.do(http.MethodGet, "/metrics", fresh, nil).problem(503, codeAway)
}

// TestExportThatBreaksOff: what was begun cannot become a problem any more, so the connection is cut.
func TestExportThatBreaksOff(t *testing.T) {
	s := newStage(t, func(s *Server) { s.Store = brokenStore{s.Store} })
	resp, err := s.http.Client().Do(s.request(http.MethodGet, "/v1/verdicts/export", s.key("acme", read), nil))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 200, resp.StatusCode)
	_, err = io.ReadAll(resp.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Eventually(t, func() bool { return strings.Contains(s.logs.String(), "cannot be reached") }, time.Minute, time.Millisecond)
}

func TestMetricsAndLogLines(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := newStage(t, func(s *Server) { s.Metrics, s.Gatherer = NewMetrics(registry), registry })
	job := s.accepted("acme")
	s.do(http.MethodGet, "/v1/jobs/"+job+"?wait=0s", s.key("acme", read), nil, requestIDHeader, "my-request-0001")
	s.do(http.MethodGet, "/v1/jobs/"+job, s.key("other", read), nil)
	s.do(http.MethodGet, "/wp-admin.php", "", nil)
	require.NotEmpty(t, s.do(http.MethodGet, "/metrics", "", nil, "Accept-Language", "zh").problem(401, codeNoKey).Title)
	s.do(http.MethodGet, "/metrics", s.key("acme", read), nil).problem(403, codeRole)
	require.Equal(t, 200, s.do(http.MethodGet, "/metrics", s.key("acme", admin), nil).status)
	text := string(s.do(http.MethodGet, "/metrics", s.key("acme", audit), nil).body)
	require.Contains(t, text, `onsite_accepted_total{source="api"} 1`)
	require.Contains(t, text, `onsite_http_seconds_count{route="/v1/jobs/{job}",status="200"} 1`)
	require.Contains(t, text, `onsite_http_seconds_count{route="/v1/jobs/{job}",status="404"} 1`)
	require.Contains(t, text, `onsite_http_seconds_count{route="other",status="404"} 1`)
	require.NotContains(t, text, "wp-admin", "what strangers try makes no series")
	require.NotContains(t, text, job)
	require.NotContains(t, text, "acme")
	var line struct {
		Msg, Request, Route, Tenant, Key, Job, Code string
		Status                                      int
	}
	found := false
	for raw := range strings.Lines(s.logs.String()) {
		require.NoError(t, json.Unmarshal([]byte(raw), &line))
		if line.Request == "my-request-0001" {
			found = true
			require.Equal(t, "/v1/jobs/{job}", line.Route)
			require.Equal(t, 200, line.Status)
			require.Equal(t, "acme", line.Tenant)
			require.Equal(t, job, line.Job)
		}
	}
	require.True(t, found)
	require.NotContains(t, s.logs.String(), s.key("acme", read))
	require.NotContains(t, s.logs.String(), "footage")
}

func TestRequestIDs(t *testing.T) {
	for given, taken := range map[string]bool{"abcdefgh": true, "a-b_c.d-1234": true, "short": false, "": false, strings.Repeat("x", 65): false, "with space": false, "line\nfeed-": false, "quote\"d-value": false} {
		got := requestID(given)
		require.Equal(t, taken, got == given, "%q", given)
		require.NotEmpty(t, got)
	}
}

func TestCacheAsksOnce(t *testing.T) {
	now := time.Now()
	c := newCache[int](time.Second, func() time.Time { return now })
	asked := 0
	load := func(context.Context) (int, error) { asked++; return asked, nil }
	for range 3 {
		v, err := c.get(t.Context(), "k", load)
		require.NoError(t, err)
		require.Equal(t, 1, v)
	}
	now = now.Add(time.Second)
	v, err := c.get(t.Context(), "k", load)
	require.NoError(t, err)
	require.Equal(t, 2, v)
	c.forget("k")
	v, err = c.get(t.Context(), "k", load)
	require.NoError(t, err)
	require.Equal(t, 3, v)
	_, err = c.get(t.Context(), "bad", func(context.Context) (int, error) { return 0, results.ErrNotFound })
	require.ErrorIs(t, err, results.ErrNotFound)
	v, err = c.get(t.Context(), "bad", load)
	require.NoError(t, err, "an error is not remembered")
	require.Equal(t, 4, v)
	for i := range cacheSize + 10 {
		c.put(strings.Repeat("x", i%7)+string(rune(i)), i)
	}
	require.LessOrEqual(t, len(c.seen), cacheSize)
	// A caller who goes away does not take the answer from the others.
	ctx, cancel := context.WithCancel(t.Context())
	begun, gate := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		_, err := c.get(ctx, "slow", func(ctx context.Context) (int, error) {
			close(begun)
			<-gate
			return 9, ctx.Err()
		})
		done <- err
	}()
	<-begun
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	close(gate)
	v, err = c.get(t.Context(), "slow", func(context.Context) (int, error) { return 9, nil })
	require.NoError(t, err)
	require.Equal(t, 9, v)
}

// Whoever asks whether the server is ready needs no key: the object store is asked once for all of them.
func TestProbesAreAskedOnceForAll(t *testing.T) {
	var asked atomic.Int64
	s := newStage(t, func(s *Server) {
		s.Checks = map[string]func(context.Context) error{"objects": func(context.Context) error {
			if asked.Add(1) == 1 {
				return errors.New("away")
			}
			return nil
		}}
	})
	for range 20 {
		require.Equal(t, 503, s.do(http.MethodGet, "/readyz", "", nil).status)
	}
	require.EqualValues(t, 1, asked.Load())
	s.pass(readyFor)
	require.Equal(t, 200, s.do(http.MethodGet, "/readyz", "", nil).status, "it is looked at again")
	require.EqualValues(t, 2, asked.Load())
}
