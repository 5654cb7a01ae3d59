package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onsite/pipeline"
	"onsite/results"
	"onsite/results/database"
	"onsite/results/object"
	"onsite/results/vault"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"), // idle connections of the test's own client
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"))
}

// stage is a server over a real store, a real vault and a folder, with two tenants that have the same things: acme and other.
type stage struct {
	t      testing.TB
	store  *database.Store
	vault  *vault.Vault
	folder string
	bell   *localBell
	server *Server
	http   *httptest.Server
	logs   *lockedBuffer
	keys   map[string]string
	ahead  time.Duration
	mu     sync.Mutex
}

// newStage starts it. change may set the server's fields before its routes are built.
func newStage(t testing.TB, change ...func(*Server)) *stage {
	t.Helper()
	dir := t.TempDir()
	s := &stage{t: t, folder: filepath.Join(dir, "objects"), bell: &localBell{}, logs: &lockedBuffer{}, keys: map[string]string{}}
	ctx := context.Background()
	raw, err := ground()
	require.NoError(t, err)
	file := filepath.Join(dir, "onsite.db")
	require.NoError(t, os.WriteFile(file, raw, 0o600))
	s.store, err = database.Open(ctx, database.Options{SQLite: file, Clock: s.now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.store.Close()) })
	objects, err := object.NewFolder(s.folder)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, objects.Close()) })
	kek, err := vault.NewKEK(filepath.Join(dir, "kek"))
	require.NoError(t, err)
	s.vault = vault.New(s.store, objects, kek)
	s.server = &Server{Store: s.store, Vault: s.vault, Bell: s.bell, Secret: bytes.Repeat([]byte{9}, 32), Version: "test", Clock: s.now,
		Log: slog.New(slog.NewJSONHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, c := range change {
		c(s.server)
	}
	s.http = httptest.NewServer(s.server.Handler())
	t.Cleanup(func() {
		s.server.Drain()
		s.http.CloseClientConnections()
		s.http.Close()
	})
	return s
}

// ground is a database with both tenants, made once: migrations cost more than most tests.
var ground = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "onsite-api")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file, ctx := filepath.Join(dir, "onsite.db"), context.Background()
	store, err := database.Open(ctx, database.Options{SQLite: file})
	if err != nil {
		return nil, err
	}
	err = errors.Join(settle(ctx, store), store.Close())
	if err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})

// settle gives acme and other the same subjects and the same site.
func settle(ctx context.Context, store *database.Store) error {
	if err := store.Migrate(ctx); err != nil {
		return err
	}
	now := time.Now()
	for _, tenant := range []string{"acme", "other"} {
		entry := func() results.AuditEntry {
			return results.AuditEntry{ID: ulid.Make().String(), Tenant: tenant, At: now, Actor: "test", Action: "test"}
		}
		if err := store.CreateTenant(ctx, results.Tenant{ID: tenant, Name: tenant, Rev: 1, CreatedAt: now}); err != nil {
			return err
		}
		for _, subject := range []string{"e1", "e2"} {
			if err := store.CreateSubject(ctx, results.Subject{Tenant: tenant, ID: subject, CreatedAt: now}, entry()); err != nil {
				return err
			}
		}
		if _, err := store.PutSite(ctx, results.Site{Tenant: tenant, ID: "store-17", Doc: results.SiteDoc{Label: "Store"}}, 0, entry()); err != nil {
			return err
		}
	}
	return nil
}

// now is the clock of store and server; pass moves it.
func (s *stage) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.ahead)
}

func (s *stage) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead += d
}

func (s *stage) audit(tenant string) results.AuditEntry {
	return results.AuditEntry{ID: ulid.Make().String(), Tenant: tenant, At: s.now(), Actor: "test", Action: "test"}
}

// key gives an API key of a tenant with exactly these roles.
func (s *stage) key(tenant string, roles ...results.Role) string {
	s.t.Helper()
	name := tenant + fmt.Sprint(roles)
	if text, ok := s.keys[name]; ok {
		return text
	}
	text, k, err := NewKey(tenant, "test", roles, s.now())
	require.NoError(s.t, err)
	require.NoError(s.t, s.store.CreateKey(context.Background(), k, s.audit(k.Tenant)))
	s.keys[name] = text
	return text
}

// answer is what the server said.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// into decodes the body.
func (a answer) into(v any) {
	a.t.Helper()
	require.NoError(a.t, json.Unmarshal(a.body, v), string(a.body))
}

// problem decodes a problem and sees to its form.
func (a answer) problem(status int, c code) Problem {
	a.t.Helper()
	require.Equal(a.t, status, a.status, string(a.body))
	require.Equal(a.t, "application/problem+json", a.header.Get("Content-Type"))
	var p Problem
	a.into(&p)
	require.Equal(a.t, string(c), p.Code, string(a.body))
	require.Equal(a.t, "urn:onsite:problem:"+string(c), p.Type)
	require.Equal(a.t, status, p.Status)
	require.NotEmpty(a.t, p.Title)
	require.NotEmpty(a.t, p.Detail)
	require.Equal(a.t, a.header.Get(requestIDHeader), p.RequestID)
	require.NotEmpty(a.t, p.RequestID)
	return p
}

// field gives the fault of one field.
func (a answer) field(status int, c code, field, fault string) FieldError {
	a.t.Helper()
	p := a.problem(status, c)
	for _, f := range p.Errors {
		if f.Field == field {
			require.Equal(a.t, fault, f.Code, string(a.body))
			require.NotEmpty(a.t, f.Detail)
			return f
		}
	}
	require.Failf(a.t, "field not named", "%s is not in %s", field, a.body)
	return FieldError{}
}

// do asks the server. body may be nil, a string, bytes, a reader, or anything that is sent as JSON. headers are name, value, ...
func (s *stage) do(method, path, key string, body any, headers ...string) answer {
	s.t.Helper()
	r := s.request(method, path, key, body, headers...)
	resp, err := s.http.Client().Do(r)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	return answer{t: s.t, status: resp.StatusCode, header: resp.Header, body: raw}
}

func (s *stage) request(method, path, key string, body any, headers ...string) *http.Request {
	s.t.Helper()
	var reader io.Reader
	kind := ""
	switch b := body.(type) {
	case nil:
	case string:
		reader, kind = strings.NewReader(b), "application/json"
	case []byte:
		reader, kind = bytes.NewReader(b), "application/json"
	case io.Reader:
		reader = b
	default:
		raw, err := json.Marshal(b)
		require.NoError(s.t, err)
		reader, kind = bytes.NewReader(raw), "application/json"
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.http.URL+path, reader)
	require.NoError(s.t, err)
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// form makes multipart/form-data of name, value, ...; a name with "@" is a file.
func form(t testing.TB, parts ...string) (io.Reader, string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i+1 < len(parts); i += 2 {
		if name, ok := strings.CutPrefix(parts[i], "@"); ok {
			f, err := w.CreateFormFile(name, "clip.mp4")
			require.NoError(t, err)
			_, err = f.Write([]byte(parts[i+1]))
			require.NoError(t, err)
			continue
		}
		require.NoError(t, w.WriteField(parts[i], parts[i+1]))
	}
	require.NoError(t, w.Close())
	return &b, w.FormDataContentType()
}

// submit sends a form.
func (s *stage) submit(key string, headers []string, parts ...string) answer {
	s.t.Helper()
	body, kind := form(s.t, parts...)
	return s.do(http.MethodPost, "/v1/submissions", key, body, append(headers, "Content-Type", kind)...)
}

// accepted submits a small file and gives the job's id.
func (s *stage) accepted(tenant string) string {
	s.t.Helper()
	a := s.submit(s.key(tenant, submit), nil, "subject", "e1", "site", "store-17", "@media", "footage "+ulid.Make().String())
	require.Equal(s.t, http.StatusAccepted, a.status, string(a.body))
	var j AcceptedJob
	a.into(&j)
	return j.Job
}

// claim lets a worker take the job.
func (s *stage) claim(job string) results.Lease {
	s.t.Helper()
	ctx := context.Background()
	_, err := s.store.Dispatch(ctx, 100, results.PriorityBulk)
	require.NoError(s.t, err)
	j, err := s.store.Job(ctx, "", job)
	require.NoError(s.t, err)
	require.Equal(s.t, results.Queued, j.State)
	lease, err := s.store.Claim(ctx, job, j.Attempt, "w", 8*time.Second, 2*time.Minute)
	require.NoError(s.t, err)
	return lease
}

// finished ends a job with a verdict and one keyframe, and gives it its position.
func (s *stage) finished(job string, decision pipeline.Decision, codes ...pipeline.Code) results.Verdict {
	s.t.Helper()
	ctx := context.Background()
	lease := s.claim(job)
	sub := lease.Sub
	v := pipeline.Verdict{Schema: pipeline.Schema, Job: job, Tenant: sub.Tenant, Subject: sub.Subject, Site: sub.Site, Decision: decision, Revision: 1,
		Checks: map[pipeline.CheckName]pipeline.Check{}, Reasons: []pipeline.Reason{}, CreatedAt: s.now().UTC()}
	for _, c := range codes {
		v.Reasons = append(v.Reasons, pipeline.Reason{Code: c, Text: say("score 0.31 below 0.42, as in job 01HOTHERJOB", "与任务 01HOTHERJOB 相同，得分 0.31")})
	}
	picture, err := s.vault.Put(ctx, sub.Tenant, sub.Subject, strings.NewReader("\xff\xd8 keyframe of "+job))
	require.NoError(s.t, err)
	v.Kept = []pipeline.Kept{{Kind: "keyframe", Bytes: picture.Bytes, SHA256: picture.SHA256}}
	claim, err := sub.CoreClaim()
	require.NoError(s.t, err)
	said, err := json.Marshal(claim)
	require.NoError(s.t, err)
	v.Inputs.Claim = "sha256:" + results.Sum(said)
	body, err := json.Marshal(v)
	require.NoError(s.t, err)
	entry := s.audit(sub.Tenant)
	entry.Action, entry.Subject, entry.Target, entry.Digest = results.EventVerdictCreated, sub.Subject, job, results.Sum(body)
	row := results.Verdict{Job: job, Tenant: sub.Tenant, Subject: sub.Subject, Site: sub.Site, Revision: 1, Decision: decision, Codes: codes, Policy: sub.Policy,
		Body: body, SubmittedAt: sub.ReceivedAt, CreatedAt: s.now()}
	require.NoError(s.t, s.store.Finish(ctx, results.Finish{Job: job, Token: lease.Token, State: results.Done, Verdict: &row,
		Evidence: []results.Evidence{{Job: job, Revision: 1, Tenant: sub.Tenant, Subject: sub.Subject, Kind: "keyframe", Index: 0, Key: picture.Key, SHA256: picture.SHA256, Bytes: picture.Bytes}},
		Keep:     []string{picture.Key}, Audit: entry, Event: "verdict.created", Message: ulid.Make().String(), Payload: []byte(`{}`)}))
	_, err = s.store.Sequence(ctx, 100)
	require.NoError(s.t, err)
	s.bell.Ring(ctx, results.BellJob(job))
	s.bell.Ring(ctx, results.BellFeed)
	return row
}

// many makes n finished jobs without media, quickly.
func (s *stage) many(tenant string, n int, decision pipeline.Decision, codes ...pipeline.Code) {
	s.t.Helper()
	ctx := context.Background()
	subs := make([]results.NewSubmission, n)
	for i := range subs {
		subs[i].Sub = results.Submission{Job: ulid.Make().String(), Tenant: tenant, Subject: "e1", Claim: []byte("{}"), ReceivedAt: s.now()}
	}
	for _, a := range s.store.AcceptMany(ctx, subs) {
		require.NoError(s.t, a.Err)
	}
	_, err := s.store.Dispatch(ctx, n, results.PriorityBulk)
	require.NoError(s.t, err)
	ends := make([]results.Finish, n)
	for i, sub := range subs {
		lease, err := s.store.Claim(ctx, sub.Sub.Job, 1, "w", 8*time.Second, 2*time.Minute)
		require.NoError(s.t, err)
		body, err := json.Marshal(pipeline.Verdict{Schema: pipeline.Schema, Job: sub.Sub.Job, Tenant: tenant, Decision: decision, Revision: 1})
		require.NoError(s.t, err)
		ends[i] = results.Finish{Job: sub.Sub.Job, Token: lease.Token, State: results.Done, Audit: s.audit(tenant), Verdict: &results.Verdict{Job: sub.Sub.Job, Tenant: tenant, Subject: "e1",
			Revision: 1, Decision: decision, Codes: codes, Body: body, SubmittedAt: s.now(), CreatedAt: s.now()}}
	}
	for _, err := range s.store.FinishMany(ctx, ends) {
		require.NoError(s.t, err)
	}
	_, err = s.store.Sequence(ctx, n)
	require.NoError(s.t, err)
}

// ended ends a job without a verdict.
func (s *stage) ended(job string, state results.JobState) {
	s.t.Helper()
	lease := s.claim(job)
	require.NoError(s.t, s.store.Finish(context.Background(), results.Finish{Job: job, Token: lease.Token, State: state,
		Error: &results.JobError{Rule: "media_truncated", Text: say("The file breaks off.", "文件不完整。")}, Audit: s.audit(lease.Sub.Tenant),
		Event: "job.refused", Message: ulid.Make().String(), Payload: []byte(`{}`)}))
	s.bell.Ring(context.Background(), results.BellJob(job))
}

// objects counts what lies in the object folder.
func (s *stage) objects() int {
	s.t.Helper()
	n := 0
	require.NoError(s.t, filepath.WalkDir(s.folder, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	}))
	return n
}

// clean says that nothing came of what was sent to acme: no job, no object, no note of one.
func (s *stage) clean() {
	s.t.Helper()
	jobs, err := s.store.Jobs(context.Background(), "acme", results.JobFilter{}, results.Page{Limit: 10})
	require.NoError(s.t, err)
	require.Empty(s.t, jobs, "a job was made")
	require.Zero(s.t, s.objects(), "an object was left behind")
	orphans, err := s.store.Orphans(context.Background(), s.now().Add(time.Hour), 10)
	require.NoError(s.t, err)
	require.Empty(s.t, orphans, "a note of an object was left behind")
}

// lockedBuffer takes log lines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// localBell rings within this process.
type localBell struct {
	mu   sync.Mutex
	ears map[string][]chan struct{}
	rung []string
}

func (b *localBell) Ring(_ context.Context, topic string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rung = append(b.rung, topic)
	for _, ear := range b.ears[topic] {
		select {
		case ear <- struct{}{}:
		default:
		}
	}
}

func (b *localBell) Listen(_ context.Context, topic string) <-chan struct{} {
	ear := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ears == nil {
		b.ears = map[string][]chan struct{}{}
	}
	b.ears[topic] = append(b.ears[topic], ear)
	return ear
}

// listening waits until somebody listens to a topic.
func (b *localBell) listening(t testing.TB, topic string) {
	t.Helper()
	require.Eventually(t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.ears[topic]) > 0
	}, time.Minute, time.Millisecond)
}

// forget leaves out whoever listened to a topic until now.
func (b *localBell) forget(topic string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.ears, topic)
}

func (b *localBell) rings(topic string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, r := range b.rung {
		if r == topic {
			n++
		}
	}
	return n
}
