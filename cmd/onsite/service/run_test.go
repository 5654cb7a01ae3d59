package service

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"onsite/api"
	"onsite/cmd/onsite/config"
	"onsite/models"
	"onsite/results"
	"onsite/results/vault"
	"onsite/workers"
	"onsite/workers/queue"
)

// quick is a configuration of serve that verifies nobody and listens anywhere.
func quick(t *testing.T) config.Config {
	t.Helper()
	c := config.Defaults()
	c.Data = filepath.Join(t.TempDir(), "data")
	c.API.Listen = "127.0.0.1:0"
	c.Measure, c.Worker.Core = true, config.CoreNoop
	return c.InData()
}

// running is a role that runs in this process.
type running struct {
	Ready
	t    *testing.T
	stop context.CancelFunc
	done chan error
}

func begin(t *testing.T, role config.Role, c config.Config) *running {
	t.Helper()
	require.NoError(t, c.Check(role))
	ctx, stop := context.WithCancel(context.Background())
	r := &running{t: t, stop: stop, done: make(chan error, 1)}
	ready := make(chan Ready, 1)
	go func() {
		r.done <- Run(ctx, role, c, Options{Log: slog.New(slog.DiscardHandler), Ready: func(r Ready) { ready <- r }})
	}()
	select {
	case r.Ready = <-ready:
	case err := <-r.done:
		stop()
		require.NoError(t, err)
	}
	t.Cleanup(stop)
	return r
}

func (r *running) end() {
	r.t.Helper()
	http.DefaultClient.CloseIdleConnections()
	r.stop()
	require.NoError(r.t, <-r.done)
}

// refused runs a role that must not start.
func refused(t *testing.T, role config.Role, c config.Config) *Fault {
	t.Helper()
	err := Run(t.Context(), role, c, Options{Log: slog.New(slog.DiscardHandler), Ready: func(Ready) { t.Error("it started") }})
	var why *Fault
	require.ErrorAs(t, err, &why)
	return why
}

func call(t *testing.T, method, url, key, contentType, body string, into any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	r, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	if into != nil {
		require.NoError(t, json.Unmarshal(raw, into), string(raw))
	}
	return r.StatusCode
}

// submit makes a subject and a job, and waits for its end.
func submit(t *testing.T, url, key string) {
	t.Helper()
	require.Less(t, call(t, http.MethodPut, url+"/v1/subjects/e1", key, "application/json", `{"label": "x"}`, nil), 300)
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	require.NoError(t, w.WriteField("subject", "e1"))
	part, err := w.CreateFormFile("media", "clip.mp4")
	require.NoError(t, err)
	_, err = part.Write([]byte("\x00\x00\x00\x18ftypmp42 not looked at"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	var a struct{ Job string }
	require.Equal(t, http.StatusAccepted, call(t, http.MethodPost, url+"/v1/submissions", key, w.FormDataContentType(), form.String(), &a))
	var j struct{ State string }
	require.Equal(t, http.StatusOK, call(t, http.MethodGet, url+"/v1/jobs/"+a.Job+"?wait=20s", key, "", "", &j))
	require.Equal(t, "done", j.State)
}

func TestServe(t *testing.T) {
	c := quick(t)
	s := begin(t, config.RoleServe, c)
	require.Regexp(t, `^ons_[a-z]{12}_`, s.FirstKey)
	key := s.FirstKey
	raw, err := os.ReadFile(s.KeyFile)
	require.NoError(t, err)
	require.Equal(t, key+"\n", string(raw))
	require.Equal(t, http.StatusOK, call(t, http.MethodGet, s.URL+"/readyz", "", "", "", nil))
	submit(t, s.URL, key)

	why := refused(t, config.RoleServe, c)
	require.Contains(t, why.Text.EN, "uses the data folder")
	s.end()

	s = begin(t, config.RoleServe, c)
	require.Empty(t, s.FirstKey, "only at the first start")
	require.Equal(t, http.StatusOK, call(t, http.MethodGet, s.URL+"/v1/jobs", key, "", "", nil), "and it holds")
	s.end()

	// A key that was lost, or another one, is never replaced in silence: what is stored could not be read any more.
	kept, err := os.ReadFile(c.KEK.File)
	require.NoError(t, err)
	require.NoError(t, os.Remove(c.KEK.File))
	require.Contains(t, refused(t, config.RoleServe, c).Text.EN, "restore it from its backup")
	require.NoFileExists(t, c.KEK.File)
	_, err = vault.NewKEK(c.KEK.File)
	require.NoError(t, err)
	require.Contains(t, refused(t, config.RoleServe, c).Text.EN, "with which this store was begun")
	require.NoError(t, os.WriteFile(c.KEK.File, []byte("nonsense"), 0o600))
	require.Contains(t, refused(t, config.RoleServe, c).Text.EN, "onsite kek new")
	require.NoError(t, os.WriteFile(c.KEK.File, kept, 0o600))
	require.NoError(t, os.Chmod(c.KEK.File, 0o644))
	require.Contains(t, refused(t, config.RoleServe, c).Text.EN, "chmod 600")
	require.NoError(t, os.Chmod(c.KEK.File, 0o600))

	// The folder of a running service is found by the doctor.
	s = begin(t, config.RoleServe, c)
	for _, f := range Diagnose(t.Context(), c) {
		require.True(t, f.OK, "%+v", f)
	}
	s.end()
	require.NoError(t, os.WriteFile(c.Store.SQLite, []byte("no database at all, and long enough to be read as a header"), 0o600))
	require.Contains(t, refused(t, config.RoleServe, c).Text.EN, "the results store")
	for _, f := range Diagnose(t.Context(), c) {
		require.Equal(t, f.What.EN != "results store", f.OK, "%+v", f)
	}
}

// A first start that broke off between its steps is repeated, and no key is valid that nobody has.
func TestFirstStartBrokeOff(t *testing.T) {
	c := quick(t)
	require.NoError(t, os.MkdirAll(c.Data, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(c.Data, lockFile), nil, 0o600))
	s, err := OpenStore(t.Context(), c, slog.New(slog.DiscardHandler), MoveTables)
	require.NoError(t, err)
	require.NoError(t, s.CreateTenant(t.Context(), results.Tenant{ID: FirstTenant, CreatedAt: s.Now()}))
	require.NoError(t, s.Close())
	require.Contains(t, refused(t, config.RoleServe, c).Text.EN, "the key-encryption key", "a tenant, and no key-encryption key")
	_, err = vault.NewKEK(c.KEK.File)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(c.Data, keyFile), []byte("ons_of_a_start_that_broke_off"), 0o600))
	r := begin(t, config.RoleServe, c)
	require.NotEmpty(t, r.FirstKey)
	require.Equal(t, http.StatusOK, call(t, http.MethodGet, r.URL+"/v1/jobs", r.FirstKey, "", "", nil))
	r.end()
}

// The API and a worker on their own do together what serve does; one is not started on tables that are not there.
func TestAPIAndWorkerApart(t *testing.T) {
	dir := t.TempDir()
	private, err := queue.StartPrivate(t.Context(), filepath.Join(dir, "redis"), nil)
	require.NoError(t, err)
	defer private.Close()
	c := quick(t)
	c.Store.SQLite, c.Objects.Dir, c.KEK.File = filepath.Join(dir, "onsite.db"), filepath.Join(dir, "objects"), filepath.Join(dir, "kek")
	c.Redis.URL = config.NewSecret(private.Options().URL)
	c.Worker.Listen, c.Worker.Name = "127.0.0.1:0", "w"
	_, err = vault.NewKEK(c.KEK.File)
	require.NoError(t, err)

	require.Contains(t, refused(t, config.RoleAPI, c).Text.EN, `run "onsite migrate up" once`)
	s, err := OpenStore(t.Context(), c, slog.New(slog.DiscardHandler), MoveTables)
	require.NoError(t, err)
	defer s.Close()
	_, err = AddTenant(t.Context(), s, "acme", "Acme Ltd")
	require.NoError(t, err)
	key, _, err := AddKey(t.Context(), s, "acme", "", []results.Role{results.RoleAdmin}, time.Hour)
	require.NoError(t, err)

	web, worker := begin(t, config.RoleAPI, c), begin(t, config.RoleWorker, c)
	require.Empty(t, web.KeyFile)
	submit(t, web.URL, key)
	var ready struct {
		Ready  bool
		Checks map[string]bool
	}
	require.Equal(t, http.StatusOK, call(t, http.MethodGet, worker.URL+"/readyz", "", "", "", &ready))
	require.Equal(t, map[string]bool{"store": true, "redis": true, "objects": true, "models": true}, ready.Checks)
	require.Equal(t, http.StatusOK, call(t, http.MethodGet, worker.URL+"/livez", "", "", "", nil))
	require.Equal(t, http.StatusOK, call(t, http.MethodGet, worker.URL+"/metrics", "", "", "", nil))
	require.Equal(t, http.StatusNotFound, call(t, http.MethodGet, worker.URL+"/v1/jobs", key, "", "", nil))
	worker.end()
	web.end()

	_, err = AddTenant(t.Context(), s, "acme", "")
	require.ErrorContains(t, err, "there is a tenant acme already")
	_, err = AddTenant(t.Context(), s, "Acme", "")
	require.ErrorContains(t, err, "is no tenant id")
	_, _, err = AddKey(t.Context(), s, "nobody", "", []results.Role{results.RoleRead}, 0)
	require.ErrorContains(t, err, "onsite tenant add nobody")
}

// One trace leads from the request through the task to the attempt; a caller's trace is continued.
func TestTraces(t *testing.T) {
	var mu sync.Mutex
	names := map[string]map[string]bool{} // trace id -> names of its spans
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				return
			}
			body = z
		}
		raw, _ := io.ReadAll(body)
		var export coltrace.ExportTraceServiceRequest
		if r.URL.Path != "/v1/traces" || proto.Unmarshal(raw, &export) != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, rs := range export.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				for _, span := range ss.Spans {
					id := string(span.TraceId)
					if names[id] == nil {
						names[id] = map[string]bool{}
					}
					names[id][span.Name] = true
				}
			}
		}
	}))
	defer collector.Close()
	c := quick(t)
	c.OTLP.Endpoint = collector.URL
	s := begin(t, config.RoleServe, c)
	submit(t, s.URL, s.FirstKey)
	s.end() // sends what is left
	mu.Lock()
	defer mu.Unlock()
	for _, spans := range names {
		if spans["POST /v1/submissions"] {
			require.True(t, spans["attempt"], "%v", spans)
			require.True(t, spans["claim"], "%v", spans)
			return
		}
	}
	require.Fail(t, "no trace of the submission", "%v", names)
}

// A process that starts without models says so and holds what needs them; once they are there it goes on by itself.
func TestModelsComeLater(t *testing.T) {
	dir := t.TempDir()
	var said bytes.Buffer
	e := &engine{log: slog.New(slog.NewTextHandler(&said, nil)), again: 20 * time.Millisecond, tried: make(chan struct{})}
	e.options.Verifier = nil
	e.models = models.Options{Dir: filepath.Join(dir, "models"), Library: filepath.Join(dir, "runtime")}
	_, err := e.Run(t.Context(), results.Lease{})
	require.Equal(t, workers.RuleLoading, workers.Judge(err).Rule, "while they are being loaded")
	_, err = e.Enroll(t.Context(), "t", "s", nil, nil)
	var early *models.NotReadyError
	require.ErrorAs(t, err, &early)
	measures := &engine{runs: standIn{}}
	_, err = measures.Enroll(t.Context(), "t", "s", nil, nil)
	require.ErrorIs(t, err, api.ErrMeasuring)
	require.NotErrorAs(t, err, &early, "nothing comes by waiting")

	require.Error(t, e.load(t.Context()))
	_, err = e.Run(t.Context(), results.Lease{})
	require.Equal(t, workers.Hold, workers.Judge(err).Action)
	require.Error(t, e.Recheck(t.Context(), results.Late{}))
	require.Error(t, e.mayResume(t.Context(), workers.RuleModels))
	_, err = e.Enroll(t.Context(), "t", "s", nil, nil)
	var missing *models.MissingError
	require.ErrorAs(t, err, &missing)
	_, err = e.LookAlike(t.Context(), "t", "s", nil)
	require.ErrorAs(t, err, &missing)
	_, err = e.CheckSite(t.Context(), nil)
	require.ErrorAs(t, err, &missing)
	require.Empty(t, e.Models())

	// Jobs are taken only after the first try.
	ctx, stop := context.WithCancel(t.Context())
	taking := make(chan struct{})
	took := e.before(func(context.Context) error { close(taking); return nil })
	ended, end := context.WithCancel(t.Context())
	end()
	require.NoError(t, took(ended), "a process that stops before does not wait for it")
	ran := make(chan error, 1)
	go func() { ran <- e.run(ctx) }()
	require.NoError(t, took(ctx))
	<-taking
	e.trying.Lock() // as one that is loading would
	e.mu.Lock()
	e.runs, e.err = standIn{}, nil
	e.mu.Unlock()
	e.trying.Unlock()
	require.NoError(t, <-ran, "it ends once they are there")
	stop()
	require.NoError(t, e.mayResume(t.Context(), workers.RuleModels))
	_, err = e.Run(t.Context(), results.Lease{})
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(said.String(), "the models cannot be used"), "it is said once, not again and again")
	e.close()
}

type standIn struct{}

func (standIn) Run(context.Context, results.Lease) (results.Finish, error) {
	return results.Finish{}, nil
}
func (standIn) Recheck(context.Context, results.Late) error { return nil }

// When one part fails, the others stop and its error is the program's.
func TestPartsStopTogether(t *testing.T) {
	broken := errors.New("broken")
	stopped := make(chan struct{})
	err := parts{
		{"good", func(ctx context.Context) error { <-ctx.Done(); close(stopped); return nil }},
		{"bad", func(context.Context) error { return broken }},
	}.run(t.Context(), func() {})
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "bad: ")
	<-stopped
}

// A job that hangs for good ends the process with an error, and closing does not wait for it.
func TestHungJobEndsTheProcess(t *testing.T) {
	closed := false
	b := &base{closers: []func(){func() { closed = true }}}
	var why *Fault
	require.ErrorAs(t, b.end(fmt.Errorf("worker: %w: jobs J", workers.ErrHung)), &why)
	require.Contains(t, why.Text.EN, "supervisor")
	require.False(t, closed)
	require.NoError(t, b.end(nil))
	require.True(t, closed)
}

func TestMayMap(t *testing.T) {
	require.Nil(t, mayMap(nil))
	may := mayMap([]string{"acme:cams/acme/", "beta:beta"})
	require.True(t, may("acme", "cams", "acme/"))
	require.True(t, may("acme", "cams", "acme/door/"))
	require.False(t, may("acme", "cams", ""), "that would be everybody's")
	require.False(t, may("acme", "cams", "beta/"))
	require.False(t, may("beta", "cams", "acme/"))
	require.True(t, may("beta", "beta", ""))
	require.False(t, may("acme", "beta", ""))
}

func TestRedisOptions(t *testing.T) {
	o, err := redisOptions(config.Redis{Socket: "/run/redis/redis.sock", DB: 3, Username: "u", Password: config.NewSecret("p")})
	require.NoError(t, err)
	require.NoError(t, o.Validate())
	require.Equal(t, "unix:///run/redis/redis.sock?db=3", o.URL)
	o, err = redisOptions(config.Redis{Sentinel: config.Sentinel{Addresses: []string{"a:1"}, Master: "m"}, DB: 2, TLS: true})
	require.NoError(t, err)
	require.NoError(t, o.Validate())
	require.Equal(t, 2, o.DB)
	require.NotNil(t, o.TLS)
	cert, _, _ := certificate(t)
	o, err = redisOptions(config.Redis{Cluster: config.Cluster{Addresses: []string{"a:1"}}, TLSCA: cert})
	require.NoError(t, err)
	require.NoError(t, o.Validate())
	require.NotNil(t, o.TLS.RootCAs)
	_, err = redisOptions(config.Redis{TLSCA: cert + "x"})
	require.ErrorContains(t, err, "redis.tls_ca cannot be read")
	empty := filepath.Join(t.TempDir(), "ca")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	_, err = redisOptions(config.Redis{TLSCA: empty})
	require.ErrorContains(t, err, "holds no certificate")
}

// A Redis that may throw tasks away is refused; one that is away is not: what is accepted waits in the store.
func TestRedisAtTheStart(t *testing.T) {
	c := quick(t)
	c.Redis.URL = config.NewSecret("redis://127.0.0.1:1/0")
	s := begin(t, config.RoleServe, c)
	require.Equal(t, http.StatusOK, call(t, http.MethodGet, s.URL+"/readyz", "", "", "", nil))
	s.end()
	c.Redis.URL = config.NewSecret("redis://[::1/0")
	require.Contains(t, refused(t, config.RoleServe, c).Text.EN, "Redis URL")
}

func TestJumpingClock(t *testing.T) {
	require.Nil(t, jumpingClock())
	file := filepath.Join(t.TempDir(), "clock")
	require.NoError(t, os.WriteFile(file, []byte("-1h\n"), 0o600))
	t.Setenv("ONSITE_CHAOS_CLOCK", file)
	now := jumpingClock()
	require.WithinDuration(t, time.Now().Add(-time.Hour), now(), time.Minute)
}

func TestStoreDiesOnlyInMeasurements(t *testing.T) {
	t.Setenv("ONSITE_CHAOS_KILL", "1")
	var s results.Store = struct{ results.Store }{}
	require.Equal(t, s, steps(s, false))
	require.IsType(t, &mortal{}, steps(s, true))
	t.Setenv("ONSITE_CHAOS_KILL", "0")
	require.Equal(t, s, steps(s, true))
}
