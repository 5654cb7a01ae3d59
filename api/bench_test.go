package api

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

// BenchmarkAcceptObject is the fast path without a network: key, claim, look-ups, group commit. Every request is another person's, as
// at nine o'clock.
func BenchmarkAcceptObject(b *testing.B) {
	s := newStage(b, func(s *Server) {
		s.Log, s.Limits.MaxWaiting, s.Limits.MaxQueue = slog.New(slog.DiscardHandler), 1<<30, 1<<30
	})
	s.mapBucket("acme", "clips", "")
	const people = 2000
	for i := range people {
		require.NoError(b, s.store.CreateSubject(context.Background(), results.Subject{Tenant: "acme", ID: fmt.Sprint("p", i), CreatedAt: s.now()}, s.audit("acme")))
	}
	key, h := s.key("acme", submit), s.server.Handler()
	var n atomic.Int64
	var slowest atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			body := fmt.Sprintf(`{"subject":"p%d","site":"store-17","taken_at":"2026-11-22T09:00:00Z","object":{"bucket":"clips","key":"clips/%d.mp4","etag":"abc"}}`, i%people, i)
			r := httptest.NewRequest(http.MethodPost, "/v1/submissions", strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+key)
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			begun := time.Now()
			h.ServeHTTP(w, r)
			if took := int64(time.Since(begun)); took > slowest.Load() {
				slowest.Store(took)
			}
			if w.Code != http.StatusAccepted {
				b.Fatal(w.Body.String())
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "accepted/s")
	b.ReportMetric(float64(slowest.Load())/1e6, "slowest-ms")
}

// instantStore accepts without writing, to measure what the API itself costs.
type instantStore struct{ results.Store }

func (instantStore) AcceptMany(_ context.Context, n []results.NewSubmission) []results.Acceptance {
	out := make([]results.Acceptance, len(n))
	for i := range n {
		out[i].Job = results.Job{ID: n[i].Sub.Job, State: results.Accepted}
	}
	return out
}

// BenchmarkAcceptObjectAlone is the same without the store's work.
func BenchmarkAcceptObjectAlone(b *testing.B) {
	s := newStage(b, func(s *Server) {
		s.Store, s.Log = instantStore{s.Store}, slog.New(slog.NewJSONHandler(io.Discard, nil))
	})
	s.mapBucket("acme", "clips", "")
	key, h := s.key("acme", submit), s.server.Handler()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		r := httptest.NewRequest(http.MethodPost, "/v1/submissions", strings.NewReader(fmt.Sprintf(`{"subject":"e1","site":"store-17","object":{"bucket":"clips","key":"clips/%d.mp4"}}`, i)))
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusAccepted {
			b.Fatal(w.Body.String())
		}
	}
}
