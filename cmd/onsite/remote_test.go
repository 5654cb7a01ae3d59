package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
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

	"onsite/api"
	"onsite/api/client"
	"onsite/cmd/onsite/service"
	"onsite/pipeline"
	"onsite/pipeline/scene"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/database"
	"onsite/results/object"
	"onsite/results/vault"
)

// remote is a service in this process: the real API over a real store, with a core that goes by the words in a photo.
type remote struct {
	t      *testing.T
	store  *database.Store
	server *httptest.Server
	dir    string // for files of the test
}

func newRemote(t *testing.T) *remote {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	raw, err := migrated()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "onsite.db"), raw, 0o600))
	store, err := database.Open(ctx, database.Options{SQLite: filepath.Join(dir, "onsite.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	objects, err := object.NewFolder(filepath.Join(dir, "objects"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, objects.Close()) })
	kek, err := vault.NewKEK(filepath.Join(dir, "kek"))
	require.NoError(t, err)
	require.NoError(t, store.CreateTenant(ctx, results.Tenant{ID: "acme", Name: "Acme", Rev: 1, CreatedAt: time.Now()}))
	text, key, err := api.NewKey("acme", "test", []results.Role{results.RoleAdmin}, time.Now())
	require.NoError(t, err)
	require.NoError(t, store.CreateKey(ctx, key, service.ByOperator(store, key.Tenant, "key.created")))
	s := &api.Server{Store: store, Vault: vault.New(store, objects, kek), Bell: &bell{}, Core: wordCore{}, Secret: bytes.Repeat([]byte{1}, 32),
		Version: "test", Log: slog.New(slog.DiscardHandler)}
	r := &remote{t: t, store: store, server: httptest.NewServer(s.Handler()), dir: t.TempDir()}
	t.Cleanup(func() { s.Drain(); r.server.Close() })
	t.Setenv("ONSITE_SERVER", r.server.URL)
	t.Setenv("ONSITE_KEY", text)
	t.Setenv("ONSITE_KEY_FILE", "")
	t.Setenv("LC_ALL", "C.UTF-8")
	return r
}

// migrated is an empty database: making it once saves a second for each test.
var migrated = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "onsite-cmd")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "onsite.db")
	store, err := database.Open(context.Background(), database.Options{SQLite: path})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(store.Migrate(context.Background()), store.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// file writes a file of the test and gives its path.
func (r *remote) file(name, text string) string {
	r.t.Helper()
	path := filepath.Join(r.dir, filepath.FromSlash(name))
	require.NoError(r.t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(r.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// finish plays the worker: it takes the oldest job and ends it.
func (r *remote) finish(state results.JobState) {
	r.t.Helper()
	ctx := context.Background()
	var jobs []results.Job
	require.Eventually(r.t, func() bool {
		var err error
		jobs, err = r.store.Dispatch(ctx, 1, results.PriorityBulk)
		return err == nil && len(jobs) == 1
	}, time.Minute, 5*time.Millisecond)
	lease, err := r.store.Claim(ctx, jobs[0].ID, jobs[0].Attempt, "w", time.Minute, time.Minute)
	require.NoError(r.t, err)
	f := results.Finish{Job: lease.Job.ID, Token: lease.Token, State: state, Audit: results.AuditEntry{ID: ulid.Make().String(), Tenant: "acme", At: time.Now(), Actor: "w", Action: "test"},
		Event: results.EventVerdictCreated, Message: ulid.Make().String(), Payload: []byte("{}")}
	if state == results.Done {
		v := pipeline.Verdict{Schema: pipeline.Schema, Job: lease.Job.ID, Tenant: "acme", Subject: lease.Sub.Subject, Decision: pipeline.DecisionAbnormal, Revision: 1, CreatedAt: time.Now(),
			Reasons: []pipeline.Reason{{Code: pipeline.NoFace, Check: pipeline.CheckFace, Text: pipeline.Text{EN: "No face is in view.", ZH: "画面中没有人脸。"}}},
			Checks:  map[pipeline.CheckName]pipeline.Check{pipeline.CheckFace: {Outcome: pipeline.Fail}}}
		body, err := json.Marshal(v)
		require.NoError(r.t, err)
		f.Verdict = &results.Verdict{Job: v.Job, Tenant: "acme", Subject: v.Subject, Revision: 1, Decision: v.Decision, Codes: []pipeline.Code{pipeline.NoFace}, Body: body,
			SubmittedAt: lease.Sub.ReceivedAt, CreatedAt: time.Now()}
	} else {
		f.Error = &results.JobError{Rule: "media_truncated", Text: pipeline.Text{EN: "The file breaks off.", ZH: "文件不完整。"}}
	}
	require.NoError(r.t, r.store.Finish(ctx, f))
	_, err = r.store.Sequence(ctx, 100)
	require.NoError(r.t, err)
}

// wordCore looks at photos by their words: "face of NAME" is good, the first word of anything else is what is wrong.
type wordCore struct{}

func (wordCore) Enroll(ctx context.Context, tenant, subject string, add []api.NewPhoto, _ []results.Photo) (api.Looked, error) {
	var out api.Looked
	for _, p := range add {
		text, err := wordsOf(ctx, p.Media)
		if err != nil {
			return out, err
		}
		var f api.PhotoFinding
		if !strings.HasPrefix(text, "face of") {
			f.Code, _, _ = strings.Cut(text, " ")
			f.Text = pipeline.Text{EN: p.Media.Name() + " is " + text, ZH: p.Media.Name() + " 不合格"}
		}
		out.Photos = append(out.Photos, f)
		out.Templates = append(out.Templates, results.Template{Photo: p.ID, Tenant: tenant, Subject: subject, ModelSHA256: "m", Sealed: []byte("s")})
	}
	return out, nil
}

func (wordCore) Reverify(context.Context, string, string, string) (api.Reverified, error) {
	return api.Reverified{Comparison: verify.Comparison{Agreement: verify.Equal}}, nil
}

func (wordCore) Reconsider(_ context.Context, _, job string) (results.Verdict, bool, error) {
	return results.Verdict{Job: job, Revision: 2, Decision: pipeline.DecisionReview}, true, nil
}

func (wordCore) LookAlike(context.Context, string, string, []results.Template) ([]api.LookAlike, error) {
	return nil, nil
}

func (wordCore) CheckSite(ctx context.Context, s *pipeline.Site) (*pipeline.RoomVectors, error) {
	for _, r := range s.References {
		if text, err := wordsOf(ctx, r.Media); err != nil || !strings.HasPrefix(text, "picture") {
			return nil, &scene.SiteError{Site: s.ID, Problems: []scene.Problem{{Trouble: scene.LittleTexture, Field: "references[0].photo", Text: pipeline.Text{EN: "is too plain", ZH: "纹理过少"}}}}
		}
	}
	return nil, nil
}

func (wordCore) TrySite(ctx context.Context, s *pipeline.Site, photo pipeline.Media, _ time.Time) (scene.Trial, error) {
	text, err := wordsOf(ctx, photo)
	t := scene.Trial{Check: pipeline.Check{Outcome: pipeline.Pass}, Elements: []scene.Seen{{Element: scene.Sign, Outcome: pipeline.Pass}}}
	for i, r := range s.References {
		t.References = append(t.References, scene.TriedReference{Number: i + 1, Name: r.Name, Kind: scene.Sign, Found: strings.HasPrefix(text, "picture"), Now: true, Inliers: 12, Threshold: 9})
	}
	return t, err
}

func (wordCore) Models() []api.Model { return nil }

func wordsOf(ctx context.Context, m pipeline.Media) (string, error) {
	f, err := m.Open(ctx)
	if err != nil {
		return "", err
	}
	defer f.Close()
	raw, err := io.ReadAll(f)
	return string(raw), err
}

// bell rings within this process.
type bell struct {
	mu   sync.Mutex
	ears []chan struct{}
}

func (b *bell) Ring(context.Context, string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ear := range b.ears {
		select {
		case ear <- struct{}{}:
		default:
		}
	}
}

func (b *bell) Listen(context.Context, string) <-chan struct{} {
	ear := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ears = append(b.ears, ear)
	return ear
}

func TestEnrollOne(t *testing.T) {
	r := newRemote(t)
	good, blurred := r.file("good.jpg", "face of ann"), r.file("blurred.jpg", "blurred face")
	code, _, errOut := onsite(t, "enroll", "e1", good)
	require.Equal(t, exitRefused, code)
	require.Contains(t, errOut, "--consent NOTICE")
	code, out, errOut := onsite(t, "enroll", "e1", good, "--label", "Ann", "--consent", "v1", "--dry-run")
	require.Zero(t, code, errOut)
	require.Contains(t, out, "would be enrolled")
	photos, err := r.store.Photos(t.Context(), "acme", "e1", 0)
	require.NoError(t, err)
	require.Empty(t, photos)

	code, _, errOut = onsite(t, "enroll", "e1", good, blurred, "--consent", "v1")
	require.Equal(t, exitRefused, code)
	require.Contains(t, errOut, "blurred.jpg is blurred face")
	code, out, errOut = onsite(t, "enroll", "e1", good, "--label", "Ann", "--consent", "v1", "--json")
	require.Zero(t, code, errOut)
	require.Contains(t, out, `"added": [`)
	code, out, _ = onsite(t, "enroll", "e1", good)
	require.Zero(t, code)
	require.Contains(t, out, "unchanged")
	consents, err := r.store.Consents(t.Context(), "acme", "e1")
	require.NoError(t, err)
	require.Len(t, consents, 1)
	sub, err := r.store.Subject(t.Context(), "acme", "e1")
	require.NoError(t, err)
	require.Equal(t, "Ann", sub.Label)
}

func TestEnrollMany(t *testing.T) {
	r := newRemote(t)
	r.file("photos/a/1.jpg", "face of ann")
	r.file("photos/a/2.jpg", "face of ann, 2")
	r.file("photos/b.jpg", "dark bob")
	list := r.file("people.csv", "subject,photos,consent_notice\np1,a/1.jpg;a/2.jpg,v1\np2,b.jpg,v1\np3,gone.jpg,v1\np4,,v1\n")
	args := []string{"enroll", "--csv", list, "--photos", filepath.Join(r.dir, "photos")}
	code, out, errOut := onsite(t, append(args, "--json")...)
	require.Equal(t, exitRefused, code, errOut)
	var sum struct {
		Enrolled, Unchanged, Refused int
		Rows                         []struct {
			Line            int
			Subject, Status string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &sum))
	require.Equal(t, []int{2, 0, 2}, []int{sum.Enrolled, sum.Unchanged, sum.Refused})
	require.Equal(t, "p3", sum.Rows[2].Subject, "rows come in the order of the list")
	require.Equal(t, 4, sum.Rows[2].Line)
	require.Contains(t, errOut, "rows_refused")

	r.file("photos/b.jpg", "face of bob")
	r.file("photos/gone.jpg", "face of cem")
	code, out, errOut = onsite(t, args...)
	require.Zero(t, code, errOut)
	require.Equal(t, 2, strings.Count(out, "unchanged"))
	code, out, _ = onsite(t, append([]string{"--lang", "zh"}, args...)...)
	require.Zero(t, code)
	require.Equal(t, 4, strings.Count(out, "无变化"))

	// More rows than one part has.
	var many strings.Builder
	many.WriteString("subject,photos,consent_notice\n")
	for i := range 2*partRows + 3 {
		name := "m" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + ".jpg"
		r.file("photos/"+name, "face of "+name)
		many.WriteString("m" + name[1:3] + "," + name + ",v1\n")
	}
	code, out, errOut = onsite(t, "enroll", "--csv", r.file("many.csv", many.String()), "--photos", filepath.Join(r.dir, "photos"))
	require.Zero(t, code, errOut)
	require.Equal(t, 2*partRows+3, strings.Count(out, "enrolled"))
}

func TestEnrollArguments(t *testing.T) {
	r := newRemote(t)
	list := r.file("people.csv", "subject,foto\np1,x\n")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"enroll"}, "name a subject"},
		{[]string{"enroll", "e1", "--photos", r.dir}, "--photos belongs to --csv"},
		{[]string{"enroll", "e1", "--csv", list}, "leave the other arguments out"},
		{[]string{"enroll", "e1", "--consent-reference", "x"}, "--consent is missing"},
		{[]string{"enroll", "--csv", list}, `"foto" is no column`},
		{[]string{"enroll", "--csv", filepath.Join(r.dir, "gone.csv")}, "no such file"},
		{[]string{"enroll", "e1", filepath.Join(r.dir, "gone.jpg")}, "no such file"},
		{[]string{"enroll", "--csv", r.file("ok.csv", "subject\np1\n"), "--photos", filepath.Join(r.dir, "nowhere")}, "--photos"},
	} {
		code, _, errOut := onsite(t, c.args...)
		require.Equal(t, exitUsage, code, c.args)
		require.Contains(t, errOut, c.want)
	}
}

func TestSiteCommands(t *testing.T) {
	r := newRemote(t)
	r.file("pics/wall.jpg", "picture of a wall")
	file := r.file("site.yaml", "id: store-9\nsign: {names: [Gangji]}\nreferences:\n- {kind: logo, name: wall, photo: pics/wall.jpg}\n- {kind: poster, name: again, photo: pics/wall.jpg}\n")
	for _, want := range []string{"revision 1: 2 references", "revision 2: 2 references"} {
		code, out, errOut := onsite(t, "site", "put", file)
		require.Zero(t, code, errOut)
		require.Contains(t, out, want)
	}
	code, out, _ := onsite(t, "site", "list")
	require.Zero(t, code)
	require.Contains(t, out, "store-9  2    2           Gangji")
	code, out, _ = onsite(t, "site", "show", "store-9")
	require.Zero(t, code)
	require.Contains(t, out, `"photo": "sha256:`)

	photo := r.file("today.jpg", "picture of today")
	code, out, errOut := onsite(t, "site", "test", photo, "--on", "store-9")
	require.Zero(t, code, errOut)
	require.Contains(t, out, "12 / 9")
	code, out, _ = onsite(t, "site", "test", photo, "--on", "store-9", "--json")
	require.Zero(t, code)
	require.Contains(t, out, `"inliers": 12`)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "name the site"},
		{[]string{"--on", "store-9", "--policy", "photo"}, "--policy goes with --site"},
		{[]string{"--on", "store-9", "--out", "x.gif"}, ".html or .png"},
	} {
		code, _, errOut := onsite(t, append([]string{"site", "test", photo}, c.args...)...)
		require.Equal(t, exitUsage, code)
		require.Contains(t, errOut, c.want)
	}

	r.file("pics/wall.jpg", "grey")
	code, _, errOut = onsite(t, "site", "put", file)
	require.Equal(t, exitRefused, code)
	require.Contains(t, errOut, "references[0].photo: is too plain")
	code, _, errOut = onsite(t, "--lang", "zh", "site", "put", r.file("bad.yaml", "id: x\nreferences:\n- {kind: door, photo: gone.jpg}\n"))
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "文件不存在")

	code, _, _ = onsite(t, "site", "rm", "store-9", "--json")
	require.Zero(t, code)
	code, _, errOut = onsite(t, "site", "rm", "store-9")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "Not found")
}

func TestSubmitAndRead(t *testing.T) {
	r := newRemote(t)
	require.NoError(t, r.store.CreateSubject(t.Context(), results.Subject{Tenant: "acme", ID: "e1", CreatedAt: time.Now()}, results.AuditEntry{ID: ulid.Make().String(), Tenant: "acme", At: time.Now()}))
	clip := r.file("clip.mp4", "footage")

	code, first, errOut := onsite(t, "submit", clip, "--subject", "e1")
	require.Zero(t, code, errOut)
	code, again, errOut := onsite(t, "submit", clip, "--subject", "e1")
	require.Zero(t, code)
	require.Equal(t, first, again, "the same file with the same claim is the same job")
	require.Contains(t, errOut, "submitted before")
	code, other, _ := onsite(t, "submit", clip, "--subject", "e1", "--taken-at", "2026-03-01T09:00:00Z")
	require.Zero(t, code)
	require.NotEqual(t, first, other)
	job := strings.TrimSpace(first)

	code, _, errOut = onsite(t, "verdicts", job)
	require.Equal(t, exitOther, code)
	require.Contains(t, errOut, "has no verdict yet")
	var worker sync.WaitGroup
	worker.Go(func() { r.finish(results.Done) })
	code, out, errOut := onsite(t, "submit", clip, "--subject", "e1", "--wait")
	worker.Wait()
	require.Zero(t, code, errOut)
	require.Contains(t, out, "No face is in view.")
	code, out, _ = onsite(t, "verdicts", job, "--json")
	require.Zero(t, code)
	require.Contains(t, out, `"schema": "onsite.verdict/1"`)

	r.finish(results.Refused)
	code, _, errOut = onsite(t, "submit", clip, "--subject", "e1", "--taken-at", "2026-03-01T09:00:00Z", "--wait")
	require.Equal(t, exitRefused, code)
	require.Contains(t, errOut, "was refused: The file breaks off.")

	dead := r.file("dead.mp4", "other footage")
	code, out, _ = onsite(t, "submit", dead, "--subject", "e1", "--json")
	require.Zero(t, code)
	require.Contains(t, out, `"job": "`)
	r.finish(results.Dead)
	code, _, errOut = onsite(t, "submit", dead, "--subject", "e1", "--wait")
	require.Equal(t, exitOther, code)
	require.Contains(t, errOut, "--requeue")

	code, out, _ = onsite(t, "jobs")
	require.Zero(t, code)
	require.Equal(t, 4, strings.Count(out, "\n"))
	code, out, _ = onsite(t, "jobs", "--state", "done,refused", "--json")
	require.Zero(t, code)
	require.Equal(t, 2, strings.Count(out, `"job":`))
	code, out, _ = onsite(t, "jobs", "--dead")
	require.Zero(t, code)
	require.Contains(t, out, "media_truncated: The file breaks off.")
	gone := strings.Fields(strings.Split(out, "\n")[1])[0]
	code, out, errOut = onsite(t, "jobs", gone, "--requeue")
	require.Zero(t, code, errOut)
	require.Contains(t, out, "accepted")
	code, _, errOut = onsite(t, "jobs", job, "--requeue")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "Only a dead or held job")
	code, out, _ = onsite(t, "jobs", job, "--wait")
	require.Zero(t, code)
	require.Contains(t, out, "onsite verdicts "+job)

	code, out, _ = onsite(t, "verdicts", "--decision", "abnormal", "--reason", "no_face")
	require.Zero(t, code)
	require.Contains(t, out, job)
	code, out, _ = onsite(t, "verdicts", "--subject", "nobody", "--json")
	require.Zero(t, code)
	require.Contains(t, out, `"verdicts": []`)
	code, out, errOut = onsite(t, "verdicts", "--changes")
	require.Zero(t, code)
	require.Contains(t, out, job)
	require.Contains(t, errOut, "--after 1")
	code, out, _ = onsite(t, "verdicts", "--changes", "--after", "1", "--json")
	require.Zero(t, code)
	require.Contains(t, out, `"position": 1`)
	code, out, _ = onsite(t, "verdicts", "--export", "csv")
	require.Zero(t, code)
	require.Contains(t, out, job+",1,1,e1")
}

func TestRemoteArguments(t *testing.T) {
	r := newRemote(t)
	clip := r.file("clip.mp4", "x")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"submit", clip}, "--subject"},
		{[]string{"submit", filepath.Join(r.dir, "gone"), "--subject", "e1"}, "no such file"},
		{[]string{"submit", clip, "--subject", "nobody"}, "there is no such subject"},
		{[]string{"jobs", "--wait"}, "name it"},
		{[]string{"jobs", "--dead", "--subject", "e1"}, "no other filters"},
		{[]string{"jobs", "--limit", "0"}, "--limit"},
		{[]string{"jobs", "--state", "lost"}, "must be one of"},
		{[]string{"verdicts", "--after", "3"}, "belong to --changes"},
		{[]string{"verdicts", "01J", "--changes"}, "one verdict"},
		{[]string{"verdicts", "--changes", "--subject", "e1"}, "gives everything"},
		{[]string{"verdicts", "--changes", "--after=-1"}, "position"},
		{[]string{"verdicts", "--decision", "maybe"}, "--decision"},
	} {
		code, _, errOut := onsite(t, c.args...)
		require.Equal(t, exitUsage, code, c.args)
		require.Contains(t, errOut, c.want)
	}
}

func TestRemoteFaults(t *testing.T) {
	r := newRemote(t)
	key := os.Getenv("ONSITE_KEY")
	t.Setenv("ONSITE_KEY", "")
	t.Chdir(r.dir)
	code, _, errOut := onsite(t, "jobs")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "there is no API key")
	code, _, errOut = onsite(t, "jobs", "--key-file", r.file("key", key+"\n"))
	require.Zero(t, code, errOut)
	r.file("onsite-data/admin-key", key)
	code, _, errOut = onsite(t, "jobs")
	require.Zero(t, code, errOut)
	code, _, errOut = onsite(t, "jobs", "--server", "https://onsite.example.com")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "there is no API key", "the key of this machine's service goes nowhere else")

	code, _, errOut = onsite(t, "jobs", "--key", "ons_abcdefghijkl_0123456789012345678901234567890123456789012", "--json")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, `"rule":"key_invalid"`)
	code, _, errOut = onsite(t, "jobs", "--server", "localhost:8420", "--key", key)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "is not a URL")
	require.NotContains(t, errOut, key)

	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }))
	defer page.Close()
	code, _, errOut = onsite(t, "jobs", "--server", page.URL, "--key", key)
	require.Equal(t, exitOther, code)
	require.Contains(t, errOut, "is it an Onsite server?")
}

// What the service says about a field reads as the command line has it.
func TestProblemInTheWordsOfTheCommand(t *testing.T) {
	text := problemText(&client.Problem{Title: "Invalid", Errors: []client.FieldError{{Field: "form.subject", Detail: "there is no such subject", Fix: "create it first with PUT /v1/subjects/{id}"}}})
	require.Equal(t, "Invalid\n  subject: there is no such subject; create it first with onsite enroll", text.EN)
}

func TestTimesAreNamedAsTheyAreWritten(t *testing.T) {
	code, _, errOut := onsite(t, "verify", "clip.mp4", "--taken-at", "yesterday")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "write it like 2026-11-22T08:55:00+08:00")
	code, _, errOut = onsite(t, "verify", filepath.Join(t.TempDir(), "nosuch.mp4"), "--taken-at", "2026-11-22T08:55:00+08:00")
	require.Equal(t, exitUsage, code)
	require.NotContains(t, errOut, "is no time")
}
