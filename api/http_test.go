package api

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

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
