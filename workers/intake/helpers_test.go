package intake_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/minio/minio-go/v7"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onsite/results"
	"onsite/results/database"
	"onsite/results/object"
	"onsite/results/object/objecttest/minio"
	"onsite/results/vault"
	"onsite/workers/intake"
)

func TestMain(m *testing.M) {
	code := m.Run()
	shared.stop()
	if code == 0 {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		if err := goleak.Find(goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// The services that the tests of this package share: MinIO whose notifications go to a Redis list and to a webhook, and that Redis.
var shared services

type services struct {
	once    sync.Once
	err     error
	dir     string
	minio   *minio.Server
	redis   *exec.Cmd
	rdb     *redis.Client
	hook    *http.Server
	mu      sync.Mutex
	handler http.Handler // of the webhook; nil: it answers 503
}

const (
	listKey    = "onsite:events"
	hookSecret = "hook-secret-of-the-tests"
)

func (s *services) start() {
	ctx := context.Background()
	if s.dir, s.err = os.MkdirTemp("", "onsite-intake-"); s.err != nil {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if s.err = err; err != nil {
		return
	}
	s.hook = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		h := s.handler
		s.mu.Unlock()
		if h == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(w, r)
	})}
	go func() { _ = s.hook.Serve(l) }() // until stop closes it
	port, err := freePort()
	if s.err = err; err != nil {
		return
	}
	s.redis = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.dir)
	if s.err = s.redis.Start(); s.err != nil {
		return
	}
	s.rdb = redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port})
	for i := 0; s.rdb.Ping(ctx).Err() != nil; i++ {
		if i == 200 {
			s.err = fmt.Errorf("redis-server does not answer")
			return
		}
		time.Sleep(20 * time.Millisecond) // it has no other signal
	}
	s.minio, s.err = minio.Start(ctx, minio.Options{Dir: filepath.Join(s.dir, "minio"), Env: []string{
		"MINIO_NOTIFY_REDIS_ENABLE_T=on", "MINIO_NOTIFY_REDIS_ADDRESS_T=127.0.0.1:" + port, "MINIO_NOTIFY_REDIS_KEY_T=" + listKey,
		"MINIO_NOTIFY_REDIS_FORMAT_T=access", // and no queue folder, from which MinIO sends only every three seconds
		"MINIO_NOTIFY_WEBHOOK_ENABLE_T=on", "MINIO_NOTIFY_WEBHOOK_ENDPOINT_T=http://" + l.Addr().String() + "/v1/events/s3",
		"MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_T=" + hookSecret, "MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_T=" + filepath.Join(s.dir, "queue-webhook"),
	}})
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

func (s *services) stop() {
	if s.minio != nil {
		s.minio.Stop()
	}
	if s.rdb != nil {
		_ = s.rdb.Close()
	}
	if s.redis != nil && s.redis.Process != nil {
		_ = s.redis.Process.Kill()
		_ = s.redis.Wait()
	}
	if s.hook != nil {
		_ = s.hook.Close()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

func (s *services) handle(h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = h
}

func running(t *testing.T) *services {
	t.Helper()
	shared.once.Do(shared.start)
	require.NoError(t, shared.err)
	return &shared
}

// The ways a bucket's notifications go.
const (
	byRedis   = "arn:minio:sqs::T:redis"
	byWebhook = "arn:minio:sqs::T:webhook"
)

var buckets int

// newBucket makes a bucket of the test's own, with its notifications going somewhere unless arn is "".
func newBucket(t *testing.T, arn string, versions bool) (*client.Client, string) {
	t.Helper()
	s := running(t)
	buckets++
	name := fmt.Sprintf("uploads-%d", buckets)
	c, err := s.minio.Client()
	require.NoError(t, err)
	require.NoError(t, c.MakeBucket(t.Context(), name, client.MakeBucketOptions{}))
	if versions {
		require.NoError(t, c.EnableVersioning(t.Context(), name))
	}
	if arn != "" {
		notify(t, c, name, arn)
	}
	return c, name
}

func openS3(t *testing.T) *object.S3 {
	t.Helper()
	s := running(t)
	o, err := object.NewS3(object.S3Config{Endpoint: s.minio.Endpoint, Bucket: "own", AccessKey: s.minio.AccessKey, SecretKey: s.minio.SecretKey})
	require.NoError(t, err)
	return o
}

// house is a store with one tenant and one subject, and a vault.
type house struct {
	*database.Store
	objects *object.Folder
	vault   *vault.Vault
	bell    *bell
	bucket  string
}

func newHouse(t *testing.T, bucket string) *house {
	t.Helper()
	ctx := t.Context()
	dir := t.TempDir()
	db, err := database.Open(ctx, database.Options{SQLite: filepath.Join(dir, "onsite.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(ctx))
	for _, tenant := range []string{"acme", "other"} {
		require.NoError(t, db.CreateTenant(ctx, results.Tenant{ID: tenant, Name: tenant, CreatedAt: db.Now()}))
		require.NoError(t, db.CreateSubject(ctx, results.Subject{Tenant: tenant, ID: "e1", CreatedAt: db.Now()}, results.AuditEntry{ID: ulid.Make().String(), Tenant: tenant, At: db.Now()}))
	}
	folder, err := object.NewFolder(filepath.Join(dir, "objects"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, folder.Close()) })
	kek, err := vault.NewKEK(filepath.Join(dir, "kek"))
	require.NoError(t, err)
	return &house{Store: db, objects: folder, vault: vault.New(db, folder, kek), bell: &bell{}, bucket: bucket}
}

// intake is one over the house, with the given store in front of the real one if there is one.
func (h *house) intake(store intake.Store) *intake.Intake {
	if store == nil {
		store = h
	}
	return intake.New(intake.Options{Store: store, Bell: h.bell, UploadBucket: h.bucket})
}

// claim records that a job waits for an object.
func (h *house) claim(t *testing.T, tenant, bucket, key string) string {
	t.Helper()
	return h.claimUntil(t, tenant, bucket, key, h.Now().Add(time.Hour))
}

func (h *house) claimUntil(t *testing.T, tenant, bucket, key string, until time.Time) string {
	t.Helper()
	job := ulid.Make().String()
	_, again, err := h.CreateUpload(t.Context(), results.Upload{Job: job, Tenant: tenant, Bucket: bucket, Key: key, MaxBytes: 1 << 20, CreatedAt: h.Now(), ExpiresAt: until,
		Sub: results.Submission{Job: job, Tenant: tenant, Subject: "e1", Claim: []byte(`{}`), ReceivedAt: h.Now()}}, "", "")
	require.NoError(t, err)
	require.False(t, again)
	return job
}

// events lists what is recorded for a tenant, oldest first.
func (h *house) events(t *testing.T, tenant string) []results.IntakeEvent {
	t.Helper()
	all, err := h.IntakeEvents(t.Context(), tenant, "", results.Page{Limit: 500})
	require.NoError(t, err)
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all
}

// jobs counts a tenant's jobs.
func (h *house) jobs(t *testing.T, tenant string) int {
	t.Helper()
	all, err := h.Jobs(t.Context(), tenant, results.JobFilter{}, results.Page{Limit: 500})
	require.NoError(t, err)
	return len(all)
}

// started waits until a job is there.
func (h *house) started(t *testing.T, job string) results.Submission {
	t.Helper()
	require.Eventually(t, func() bool { _, err := h.Job(context.Background(), "", job); return err == nil }, time.Minute, 20*time.Millisecond,
		"the job of the upload was not started")
	sub, err := h.Submission(t.Context(), job)
	require.NoError(t, err)
	return sub
}

// read gives the plain bytes of our own copy.
func (h *house) read(t *testing.T, key string) string {
	t.Helper()
	f, err := h.vault.Open(t.Context(), key)
	require.NoError(t, err)
	defer f.Close()
	b, err := io.ReadAll(f)
	require.NoError(t, err)
	return string(b)
}

// bell counts rings.
type bell struct {
	mu    sync.Mutex
	rings map[string]int
}

func (b *bell) Ring(_ context.Context, topic string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rings == nil {
		b.rings = map[string]int{}
	}
	b.rings[topic]++
}

func (b *bell) Listen(context.Context, string) <-chan struct{} { return nil }

// work is how often workers were woken.
func (b *bell) work() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rings[results.BellWork]
}

func (h *house) uploads(b intake.Bucket, in *intake.Intake) *intake.Uploads {
	return intake.NewUploads(intake.UploadOptions{Store: h, Bucket: b, Vault: h.vault, Intake: in, UploadBucket: h.bucket, MaxBytes: 1000,
		Settle: time.Nanosecond, Stray: time.Hour})
}

// lines are what was logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *lines) wait(t *testing.T, words string) {
	t.Helper()
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return strings.Contains(l.text.String(), words)
	}, time.Minute, 10*time.Millisecond, words)
}

// one is a record with parts of it replaced.
func one(name, bucket, object string) string {
	return fmt.Sprintf(`{"eventName":%q,"s3":{"bucket":{"name":%q},"object":%s}}`, name, bucket, object)
}
