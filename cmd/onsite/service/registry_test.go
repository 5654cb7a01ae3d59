package service

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"onsite/cmd/onsite/config"
	"onsite/models"
	"onsite/models/manifest"
	"onsite/pipeline"
	"onsite/pipeline/compare"
	"onsite/results"
)

// workerVariable names the file that tells this program to be a worker.
const workerVariable = "ONSITE_TEST_WORKER"

// runWorker is a worker process of an installation. It ends with the test that started it, at the latest.
func runWorker(path string) int {
	raw, err := os.ReadFile(path)
	var p place
	if err == nil {
		err = json.Unmarshal(raw, &p)
	}
	if err == nil {
		ctx, stop := context.WithCancel(context.Background())
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // until the test's process is gone
			stop()
		}()
		err = Run(ctx, config.RoleWorker, p.config(), Options{Log: slog.New(slog.DiscardHandler)})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// worker starts a worker as a process of its own.
func (s *swap) worker() *exec.Cmd {
	s.Helper()
	path := filepath.Join(s.place.Dir, "worker.json")
	raw, err := json.Marshal(s.place)
	require.NoError(s, err)
	require.NoError(s, os.WriteFile(path, raw, 0o600))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workerVariable+"="+path)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(s, err)
	require.NoError(s, cmd.Start())
	s.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return cmd
}

// A worker that is killed in the middle of a promotion's embedding is followed by another: every photo has one vector of each model.
func TestKilledWhileEmbedding(t *testing.T) {
	t.Parallel() // it waits for terms to end, mostly
	s := newSwap(t, 0, "acme")
	one, two := s.worker(), s.worker()
	s.running(3)
	faces := []string{"franck_02159.jpg", "franck_02221.jpg", "franck_02683.jpg", "franck_02888.jpg"}
	for _, subject := range []string{"e1", "e2", "e3"} {
		s.enrol(subject, faces...)
	}
	photos := int64(3 * len(faces))
	id := s.upload("installation")
	m, err := s.db.Model(t.Context(), id)
	require.NoError(t, err)
	var plan struct{ Promotion struct{ ID string } }
	s.json(http.MethodPost, "/v1/registry/models/"+id+"/promote", `{"override": "a drill"}`, &plan)
	made := func() int64 {
		names, err := s.db.TemplateNames(t.Context(), "acme")
		require.NoError(t, err)
		return names[m.SHA256]
	}
	require.Eventually(t, func() bool { return made() > 0 }, time.Minute, 2*time.Millisecond)
	// Which of the two embeds, only its name in the store tells: it has the process in it.
	holder := s.holder("models")
	victim := one
	if strings.Contains(holder, fmt.Sprintf("-%d-", two.Process.Pid)) {
		victim = two
	}
	require.Contains(t, holder, fmt.Sprintf("-%d-", victim.Process.Pid))
	require.NoError(t, victim.Process.Kill())
	left := photos - made()
	require.Eventually(t, func() bool { return made() == photos }, 2*time.Minute, 20*time.Millisecond, "%d were left", left)
	names, err := s.db.TemplateNames(t.Context(), "acme")
	require.NoError(t, err)
	require.Len(t, names, 2)
	for name, n := range names {
		require.Equal(t, photos, n, name)
	}
}

// holder says who is elected for a role.
func (s *swap) holder(role string) string {
	s.Helper()
	conn, err := pgx.Connect(s.Context(), s.place.Postgres)
	require.NoError(s, err)
	defer conn.Close(s.Context()) //nolint:errcheck // it was only read
	var name string
	require.NoError(s, conn.QueryRow(s.Context(), `SELECT holder FROM elections WHERE role = $1`, role).Scan(&name))
	return name
}

// compared runs a comparison over stored jobs and reads its report.
func (s *swap) compared(body string) (c struct {
	ID, State  string
	Jobs, Done int
	Gone       int
	Passed     bool
	Summary    json.RawMessage
}, report compare.Report,
) {
	s.Helper()
	s.json(http.MethodPost, "/v1/registry/comparisons", body, &c)
	at := "/v1/registry/comparisons/" + c.ID
	for c.State == "running" {
		s.json(http.MethodGet, at+"?wait=30s", "", &c)
	}
	require.Equal(s, "done", c.State)
	req, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.url+at+"/package", nil)
	require.NoError(s, err)
	req.Header.Set("Authorization", "Bearer "+s.key)
	r, err := http.DefaultClient.Do(req)
	require.NoError(s, err)
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	require.NoError(s, err)
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	require.NoError(s, err)
	names := map[string]bool{}
	for _, f := range z.File {
		names[f.Name] = true
	}
	require.True(s, names["report.en.html"] && names["report.zh.html"] && names["scores.svg"], names)
	require.Equal(s, strings.Contains(body, "impostor"), names["det.svg"], "curves need both kinds")
	f, err := z.Open("report.json")
	require.NoError(s, err)
	require.NoError(s, json.NewDecoder(f).Decode(&report))
	return c, report
}

// Two tenants, one of which runs a model of its own: jobs of both at once never mix; a canary takes its share, or a tenant; stored jobs are run
// again by a trial and by a comparison, whose report allows the promotion; and vectors that nothing needs are deleted on request.
func TestRegistryOfTwoTenants(t *testing.T) {
	s := newSwap(t, 2, "acme", "other")
	other := s.as("other")
	for _, of := range []*swap{s, other} {
		of.enrol("e1", "franck_02159.jpg")
	}
	s.enrol("e2", "franck_02683.jpg")
	builtin := func() string {
		names, err := s.db.TemplateNames(t.Context(), "acme")
		require.NoError(t, err)
		require.Len(t, names, 1)
		for name := range names {
			return name
		}
		return ""
	}()

	// One tenant's own.
	own := other.upload("tenant")
	m, err := s.db.Model(t.Context(), own)
	require.NoError(t, err)
	other.promoted(own, `{"override": "a drill"}`)
	names, err := s.db.TemplateNames(t.Context(), "acme")
	require.NoError(t, err)
	require.NotContains(t, names, m.SHA256, "nobody else's photos are embedded")
	type job struct {
		of *swap
		id string
	}
	var jobs []job
	for n := range 6 {
		of := []*swap{s, other}[n%2]
		jobs = append(jobs, job{of, of.submit(n)})
	}
	for _, j := range jobs {
		want := builtin
		if j.of == other {
			want = m.SHA256
		}
		require.Equal(t, want, embedder(j.of.verdict(j.id)))
	}

	// A canary of the installation: by share, and by tenant. Who has a model of its own is in neither.
	id := s.upload("installation")
	at := "/v1/registry/models/" + id
	var tried []string
	canary := func(body string, n int) {
		t.Helper()
		var changed struct{ Epoch struct{ Number int64 } }
		s.json(http.MethodPost, at+"/canary", body, &changed)
		s.active(changed.Epoch.Number)
		e, err := s.db.Epoch(t.Context(), changed.Epoch.Number)
		require.NoError(t, err)
		for i := range 3 {
			got := s.submit(n + i)
			tried = append(tried, got)
			v := s.verdict(got)
			assigned, lane := e.Doc.Assign("acme", got)
			require.Equal(t, string(lane), v.Runtime.ModelSet.Lane)
			require.Equal(t, assigned[results.ModelTask] == id, embedder(v) == m.SHA256)
			require.Equal(t, pipeline.Pass, v.Checks[pipeline.CheckFace].Outcome)
			if strings.Contains(body, "acme") {
				require.Equal(t, results.LaneCanary, lane)
			}
		}
	}
	canary(`{"share": 0.5}`, 10)
	s.json(http.MethodPost, at+"/canary", `{"tenants": ["other"]}`, nil, http.StatusUnprocessableEntity)
	canary(`{"tenants": ["acme"]}`, 20)
	theirs := other.verdict(other.submit(30))
	require.Equal(t, string(results.LaneMain), theirs.Runtime.ModelSet.Lane)
	s.json(http.MethodPost, at+"/rollback", ``, nil)

	// Finished jobs of the past, in a trial.
	var changed struct{ Epoch struct{ Number int64 } }
	s.json(http.MethodPost, at+"/shadow", `{"share": 1e-9, "budget": 64, "past": 4}`, &changed)
	s.active(changed.Epoch.Number)
	require.Eventually(t, func() bool {
		runs, err := s.db.ShadowRuns(t.Context(), id, "acme", results.Page{})
		return err == nil && len(runs) == 4 && runs[0].Stored
	}, 2*time.Minute, 50*time.Millisecond)
	s.json(http.MethodPost, at+"/rollback", ``, nil)

	// The whole comparison over stored jobs; one of them is of a person who was erased, one shows another face.
	form, kind := formOf(t, "subject", "", "e2", "policy", "", "photo", "media", "photo.jpg", append(bytes.Clone(s.photo), "<!-- e2 -->"...))
	var a struct{ Job string }
	require.Equal(t, http.StatusAccepted, call(t, http.MethodPost, s.url+"/v1/submissions", s.key, kind, form, &a))
	s.verdict(a.Job)
	form, kind = formOf(t, "subject", "", "e1", "policy", "", "photo", "media", "photo.jpg", portrait(t, "joconde.jpg"))
	require.Equal(t, http.StatusAccepted, call(t, http.MethodPost, s.url+"/v1/submissions", s.key, kind, form, &a))
	require.NotEqual(t, pipeline.DecisionPass, s.verdict(a.Job).Decision)
	s.json(http.MethodDelete, "/v1/subjects/e2", "", nil, http.StatusNoContent)
	ask := fmt.Sprintf(`{"models": [%q], "limit": 5, "budget": 1, "limits": {"cases": 3, "disagreement": 1, "loosened": 1, "slower": 1000}, "labels": {%q: "genuine", %q: "genuine", %q: "impostor"}, "groups": {"e1": {"declared": "x"}}}`, id, tried[4], tried[5], a.Job)
	c, report := s.compared(ask)
	require.Equal(t, [3]int{5, 4, 1}, [3]int{c.Jobs, c.Done, c.Gone})
	require.True(t, c.Passed, string(c.Summary))
	require.Equal(t, 4, report.Cases)
	for _, det := range []*compare.DET{report.BeforeDET, report.AfterDET} {
		require.NotNil(t, det, "labels of stored jobs make curves")
		require.Equal(t, compare.Point{FMR: 0, FNMR: 1}, det.Points[0])
	}
	require.Zero(t, report.BeforeDET.EER, "the built-in embedder tells them apart")
	require.Equal(t, 1, report.BeforeErrors.FMR.Of)
	require.Positive(t, report.BeforeTimes.Median)
	groups := map[string]string{}
	for _, g := range report.Groups {
		groups[g.By] = g.Value
	}
	require.Equal(t, "x", groups["declared"])
	require.NotEmpty(t, groups["light"])
	require.NotEmpty(t, groups["policy"])
	var plan struct{ Allowed bool }
	s.json(http.MethodPost, at+"/promote", `{"dry_run": true}`, &plan)
	require.True(t, plan.Allowed, "the report passed")
	p := s.promoted(id, `{}`)
	require.EqualValues(t, 1, p.Total)

	// What was active before keeps its vectors until somebody says otherwise.
	var sets struct {
		Items []struct {
			Name string
			Uses []string
		}
	}
	s.json(http.MethodGet, "/v1/registry/vectors", "", &sets)
	uses := map[string][]string{}
	for _, v := range sets.Items {
		uses[v.Name] = v.Uses
	}
	require.Equal(t, map[string][]string{builtin: {"rollback"}, m.SHA256: {"active"}}, uses)
	s.json(http.MethodDelete, "/v1/registry/vectors?force=true&name="+m.SHA256, "", nil, http.StatusConflict)
	s.json(http.MethodDelete, "/v1/registry/vectors?name="+builtin, "", nil, http.StatusConflict)
	s.json(http.MethodDelete, "/v1/registry/vectors?force=true&name="+builtin, "", nil)
	names, err = s.db.TemplateNames(t.Context(), "acme")
	require.NoError(t, err)
	require.NotContains(t, names, builtin)
	s.json(http.MethodPost, at+"/rollback", ``, nil)
	v := s.verdict(s.submit(40))
	require.Equal(t, builtin, embedder(v))
	require.Equal(t, pipeline.Pass, v.Checks[pipeline.CheckFace].Outcome, "the next job makes the vector anew")
	s.bundle()
}

// bundle: a scene embedder cannot come alone, since the heads know its file; with heads that know the new one it is promoted and taken back.
func (s *swap) bundle() {
	s.Helper()
	read := func(path string) []byte {
		raw, err := os.ReadFile(path)
		require.NoError(s, err)
		return raw
	}
	old := read(filepath.Join(models.CacheDir(), "models", "scene_embed.onnx"))
	// The same graph with a remark in it (ModelProto.metadata_props).
	file := append(bytes.Clone(old), 0x72, 6, 0x0a, 1, 'x', 0x12, 1, 'y')
	sum, was := results.Sum(file), results.Sum(old)
	around := bytes.ReplaceAll(read("../../../pipeline/scene/background.json"), []byte(was), []byte(sum))
	add := func(manifest string, parts ...any) string {
		s.Helper()
		form, kind := formOf(s, append([]any{"manifest", "m.yaml", []byte(manifest)}, parts...)...)
		var m struct {
			ID, State string
			Check     json.RawMessage
		}
		require.Equal(s, http.StatusCreated, call(s.T, http.MethodPost, s.url+"/v1/registry/models", s.key, kind, form, &m))
		require.Equal(s, "checked", m.State, string(m.Check))
		return m.ID
	}
	man := string(read("../../../models/manifest/builtin/scene_embed.yaml"))
	man = strings.Replace(man, was, sum, 1)
	man = strings.Replace(man, fmt.Sprintf("bytes: %d", len(old)), fmt.Sprintf("bytes: %d", len(file)), 1)
	man = strings.Replace(man, "version: \"3.3.6\"", "version: \"3.3.7\"", 1)
	a, b := strings.Index(man, "source:"), strings.Index(man, "licence:")
	man = man[:a] + fmt.Sprintf("background: {name: background.json, bytes: %d, sha256: %s}\nsource: {note: exported again}\n", len(around), results.Sum(around)) + man[b:]
	embed := add(man, "file", "scene_embed.onnx", file, "file", "background.json", around)

	var refused json.RawMessage
	s.json(http.MethodPost, "/v1/registry/models/"+embed+"/shadow", `{"share": 1}`, &refused, http.StatusConflict)
	require.Contains(s, string(refused), "upload heads", "it says what is missing")
	heads := string(read("../../../models/manifest/builtin/scene_head.yaml"))
	heads = strings.NewReplacer(was, sum, "  embedded: true\n", "").Replace(heads)
	heads = regexp.MustCompile(`(?m)^version: .*$`).ReplaceAllString(heads, "version: 9.0.1") // whichever version is built in
	head := add(heads, "file", "scene_head.onnx", read("../../../models/manifest/builtin/scene_head.onnx"))
	s.json(http.MethodPost, "/v1/registry/models/"+embed+"/promote", `{"override": "a drill"}`, &refused, http.StatusConflict)
	require.Contains(s, string(refused), "scene-heads@9.0.1", "it names the partner")

	with := fmt.Sprintf(`{"override": "a drill", "with": [%q]`, head)
	var plan struct {
		Fingerprints int64
		Notes        []pipeline.Text
	}
	s.json(http.MethodPost, "/v1/registry/models/"+embed+"/promote", with+`, "dry_run": true}`, &plan)
	require.Positive(s, plan.Fingerprints)
	p := s.promoted(embed, with+`}`)
	e, err := s.db.Epoch(s.Context(), p.Epoch)
	require.NoError(s, err)
	require.Equal(s, map[string]string{string(models.SceneEmbed): embed, string(models.SceneHead): head}, e.Doc.Base)
	require.Equal(s, pipeline.Pass, s.verdict(s.submit(50)).Checks[pipeline.CheckFace].Outcome)
	s.json(http.MethodPost, "/v1/registry/models/"+head+"/rollback", ``, nil)
	e, err = s.db.Epoch(s.Context(), must(s.db.ActiveEpoch(s.Context())))
	require.NoError(s, err)
	require.Empty(s, e.Doc.Base, "one is never taken back without the other")
}

// A manifest of the right file that leaves out what the heads read of its inside is a misfit, too; one with it is the way out.
func TestHeadsWithoutTheInnerOutputAreAMisfit(t *testing.T) {
	all, err := manifest.Builtin()
	require.NoError(t, err)
	set := manifests{}
	for _, m := range all {
		set[models.Task(m.Task)] = m
	}
	require.Empty(t, unfit(set))
	whole := set[models.TextDetect]
	bare := whole
	bare.Outputs = whole.Outputs[:1]
	set[models.TextDetect] = bare
	found := unfit(set)
	require.Len(t, found, 1)
	text := found[0].say("mine@1")
	for _, said := range []string{text.EN, text.ZH} {
		require.Contains(t, said, "pool_of")
		require.Contains(t, said, "[1, 384]")
		require.Contains(t, said, "mine@1")
	}
	require.True(t, found[0].solvedBy(whole))
	require.False(t, found[0].solvedBy(bare), "no advice that leads nowhere")
	require.False(t, found[0].solvedBy(set[models.SceneHead]))
}
