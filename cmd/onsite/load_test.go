package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/models"
)

// station answers as a service does that accepts two of three submissions and gives a verdict to each at once.
func station(t *testing.T) *httptest.Server {
	t.Helper()
	var mu sync.Mutex
	var jobs []string
	n := 0
	answer := func(w http.ResponseWriter, status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/submissions", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%3 == 0 {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusTooManyRequests)
			_ = json.NewEncoder(w).Encode(map[string]any{"status": 429, "code": "too_many_waiting", "title": "too many"})
			return
		}
		jobs = append(jobs, "j"+strconv.Itoa(n))
		answer(w, http.StatusAccepted, map[string]string{"job": jobs[len(jobs)-1], "state": "accepted"})
	})
	mux.HandleFunc("GET /v1/verdicts/changes", func(w http.ResponseWriter, r *http.Request) {
		after, _ := strconv.Atoi(r.URL.Query().Get("after"))
		mu.Lock()
		defer mu.Unlock()
		items := []map[string]any{}
		for _, j := range jobs[min(after, len(jobs)):] {
			items = append(items, map[string]any{"job": j, "revision": 1})
		}
		answer(w, http.StatusOK, map[string]any{"items": items, "position": len(jobs)})
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestLoadAgainstAService(t *testing.T) {
	s := station(t)
	page := filepath.Join(t.TempDir(), "morning.html")
	code, out, errOut := onsite(t, "load", "--server", s.URL, "--key", "ons_x", "--subject", "e1,e2", "--employees", "30", "--over", "300ms", "--report", page, "--json")
	require.Zero(t, code, errOut)
	var got struct {
		Runs []struct {
			Offered, Accepted, Finished, Open int
			Refused                           map[string]int
			Accept                            struct {
				P50MS float64 `json:"p50_ms"`
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	require.Len(t, got.Runs, 1)
	require.Equal(t, 30, got.Runs[0].Offered)
	require.Equal(t, 20, got.Runs[0].Accepted, "a refusal is counted, not tried again until it goes away")
	require.Equal(t, 20, got.Runs[0].Finished)
	require.Equal(t, map[string]int{"429": 10}, got.Runs[0].Refused)
	require.Positive(t, got.Runs[0].Accept.P50MS)
	html, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(html), "<svg")

	code, out, errOut = onsite(t, "load", "--server", s.URL, "--key", "ons_x", "--subject", "e1", "--employees", "5", "--over", "100ms", "--flat")
	require.Zero(t, code, errOut)
	require.Contains(t, out, "Too Many Requests")
}

func TestLoadRefuses(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "curve.csv")
	require.NoError(t, os.WriteFile(bad, []byte("08:00,1\n07:00,1\n"), 0o600))
	for args, want := range map[string]string{
		"--employees 0":             "somebody must come",
		"--from 9h":                 `--from: "9h" is no time of day`,
		"--from 09:00 --to 08:00":   "want from before to",
		"--curve " + bad:            "does not come after",
		"--employees 1":             "name employees with --subject",
		"--workers 0 --employees 1": "at least one process",
		"--subject e1 --clips " + t.TempDir() + "/x": "--clips",
		"--core full --subject e1":                   "give --workers, too",
		"--workers 1 --sites 2":                      "together with --core full",
		"--workers 1 --delay 5ms":                    "give --hosts, too",
		"--workers 1 --hosts 1 --rate x":             `"x" is no rate`,
	} {
		code, _, errOut := onsite(t, append([]string{"load"}, strings.Fields(args)...)...)
		require.Equal(t, exitUsage, code, args)
		require.Contains(t, errOut, want, args)
	}
}

// The provider that is wanted and not there: the doctor lists what is missing, and nothing is measured on the processor instead.
func TestProviderThatIsNotThere(t *testing.T) {
	cache := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(models.CacheDir(), "models"), filepath.Join(cache, "models")))
	t.Setenv("ONSITE_CACHE", cache)
	code, out, _ := onsite(t, "doctor", "--provider", "cuda", "--json")
	require.Equal(t, exitOther, code)
	var got struct{ Findings []finding }
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	seen := map[string]finding{}
	for _, f := range got.Findings {
		seen[f.What] = f
	}
	require.False(t, seen["files: gpu"].OK)
	require.False(t, seen["ONNX Runtime, cuda"].OK)
	require.Contains(t, seen["ONNX Runtime, cuda"].Found, "libonnxruntime_providers_cuda.so")
	require.Contains(t, seen["ONNX Runtime, cuda"].Fix.ZH, "未能使用推理后端 cuda")

	for lang, want := range map[string]string{"en": "the provider cuda is not used", "zh": "未能使用推理后端 cuda"} {
		code, _, errOut := onsite(t, "--lang", lang, "bench", "--provider", "cuda")
		require.Equal(t, exitOther, code)
		require.Contains(t, errOut, want)
	}
}
