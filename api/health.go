package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"onsite/results"
)

// readyFor is how long the answer of a check is believed: whoever asks without a key must not be able to load the object store.
const readyFor = 2 * time.Second

// readyTimeout is how long one check may take before it counts as not ready.
const readyTimeout = 2 * time.Second

// health adds the routes for machines: alive, ready, metrics, and the description of the API.
func (s *Server) health(mux *http.ServeMux) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]bool{"alive": true})
	})
	mux.HandleFunc("GET /readyz", s.readyz)
	if s.Gatherer != nil {
		mux.HandleFunc("GET /metrics", s.metrics(promhttp.HandlerFor(s.Gatherer, promhttp.HandlerOpts{})))
	}
	spec := sync.OnceValues(func() ([]byte, error) { return json.Marshal(s.api.OpenAPI()) })
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, r *http.Request) {
		body, err := spec()
		if err != nil {
			writeProblem(w, r, fault(err))
			return
		}
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(body) // the client is gone, then
	})
}

// metricsMemory is how long a key that was good is believed while the store cannot be asked: the numbers are wanted most then.
const metricsMemory = 12 * time.Hour

// metrics lets a key of an administrator or auditor read the numbers: they tell how busy the whole installation is.
func (s *Server) metrics(page http.Handler) http.HandlerFunc {
	var mu sync.Mutex
	good := map[[sha256.Size]byte]time.Time{} // keys that read the numbers lately; few scrape
	return func(w http.ResponseWriter, r *http.Request) {
		header := r.Header.Get("Authorization")
		sum := sha256.Sum256([]byte(header))
		p, err := s.authenticate(r.Context(), header)
		mu.Lock()
		last, known := good[sum]
		delete(good, sum)
		switch {
		case err == nil && p.Has(audit):
			good[sum] = s.now()
		case errors.Is(err, results.ErrAway) && known && s.now().Sub(last) < metricsMemory:
			good[sum] = last
			mu.Unlock()
			page.ServeHTTP(w, r)
			return
		}
		mu.Unlock()
		if err != nil {
			writeProblem(w, r, unknownKey(err))
			return
		}
		noteKey(r.Context(), p)
		if !p.Has(audit) {
			writeProblem(w, r, lacksRole(audit))
			return
		}
		page.ServeHTTP(w, r)
	}
}

// Ready is the answer of /readyz.
type Ready struct {
	Ready  bool            `json:"ready"`
	Checks map[string]bool `json:"checks"`
}

// readyz asks all checks side by side. What is wrong goes to the log: the answer is for load balancers, without a key.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	checks := map[string]func(context.Context) error{"store": s.Store.Ping}
	for name, check := range s.Checks {
		checks[name] = check
	}
	answer := Ready{Ready: true, Checks: map[string]bool{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for name, check := range checks {
		wg.Go(func() {
			err, gone := s.probes.get(ctx, name, func(ctx context.Context) (error, error) {
				ctx, cancel := context.WithTimeout(ctx, readyTimeout)
				defer cancel()
				return check(ctx), nil
			})
			err = errors.Join(err, gone)
			mu.Lock()
			defer mu.Unlock()
			answer.Checks[name] = err == nil
			if err != nil {
				answer.Ready = false
				s.Log.WarnContext(ctx, "not ready", "check", name, "error", err.Error())
			}
		})
	}
	wg.Wait()
	status := http.StatusOK
	if !answer.Ready {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, answer)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone, then
}
