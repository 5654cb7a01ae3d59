package main

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/pipeline/reuse"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/audit"
	"onsite/results/evidence"
)

var updateGolden = flag.Bool("update-golden", false, "make the golden evidence packages anew: only when verdicts are meant to change")

// goldenCase is a case whose evidence package is kept in testdata/golden. Its media are pinned: the footage of the group media, a clip that a
// program drew, and a collage of an old painting. One package was exported by a service, with all that such a package has; the others hold no pictures.
type goldenCase struct {
	name    string
	media   string // of the footage; generated.mp4 and service.jpg are in testdata/golden
	key     string // file with the signer's public key; "": key.pub. A package with a key of its own is not made anew
	faces   []string
	site    string // YAML; photos by their names in the footage
	earlier []string
	policy  string
	claim   pipeline.Claim
	want    pipeline.Decision
}

var goldens = []goldenCase{
	{name: "genuine", media: "franck_01829.jpg", faces: []string{"franck_02159.jpg", "franck_03909.jpg"}, earlier: []string{"joconde.jpg"}, want: pipeline.DecisionPass},
	{name: "other_person", media: "joconde.jpg", faces: []string{"franck_02159.jpg"}, want: pipeline.DecisionAbnormal},
	{name: "reused", media: "franck_02045.jpg", faces: []string{"franck_02159.jpg"}, earlier: []string{"franck_02045.jpg", "joconde.jpg"}, want: pipeline.DecisionAbnormal},
	{name: "elsewhere", media: "franck_02221.jpg", faces: []string{"franck_02159.jpg"}, want: pipeline.DecisionAbnormal,
		site:  "id: shop\ngeofence: [{latitude: 31.2353, longitude: 121.4767, radius_m: 150}]\nreferences:\n  - {kind: storefront, name: door, photo: joconde.jpg}\n",
		claim: pipeline.Claim{Location: &pipeline.Location{Latitude: 31.3, Longitude: 121.4767, AccuracyM: 20}}},
	{name: "no_face", media: "generated.mp4", faces: []string{"franck_02159.jpg"}, want: pipeline.DecisionAbnormal},
	{name: "service", media: "service.jpg", key: "service.pub", faces: []string{"joconde.jpg"}, want: pipeline.DecisionPass},
	{name: "without_faces", media: "franck_04000.jpg", policy: "no_face", want: pipeline.DecisionReview},
}

// args are what a replay of the case is given.
func (g goldenCase) args(t *testing.T) *evidenceReplayCmd {
	t.Helper()
	at := func(name string) string {
		if name == "generated.mp4" || name == "service.jpg" {
			return filepath.Join("testdata", "golden", name)
		}
		return footage(t, name)
	}
	c := &evidenceReplayCmd{File: filepath.Join("testdata", "golden", g.name+".zip"), Media: at(g.media)}
	for _, f := range g.faces {
		c.Face = append(c.Face, at(f))
	}
	if g.site != "" {
		c.Site = filepath.Join(t.TempDir(), "site.yaml")
		copyInto(t, filepath.Dir(c.Site), at("joconde.jpg"))
		require.NoError(t, os.WriteFile(c.Site, []byte(g.site), 0o600))
	}
	if len(g.earlier) > 0 {
		c.Against = t.TempDir()
		for _, name := range g.earlier {
			copyInto(t, c.Against, at(name))
		}
	}
	return c
}

func copyInto(t *testing.T, dir, path string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(path)), raw, 0o600))
}

// TestGoldenPackages makes the verdicts of the kept evidence packages again. Where one is another now, the failure names the check. If that is
// meant: go test ./cmd/onsite -run GoldenPackages -update-golden
func TestGoldenPackages(t *testing.T) {
	core, err := newCore(limitFlags{}.options())
	require.NoError(t, err)
	defer core.close()
	e := &env{out: io.Discard, err: io.Discard, lang: "en"}
	if *updateGolden {
		makeGoldens(t, e, core)
	}
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			key, err := os.ReadFile(filepath.Join("testdata", "golden", cmp.Or(g.key, "key.pub")))
			require.NoError(t, err)
			c := g.args(t)
			text := string(key)
			c.Key = &text
			in, err := c.inputs(e)
			require.NoError(t, err)
			require.Equal(t, g.want, in.Verdict.Decision)
			r, err := c.replay(t.Context(), e, core, in)
			require.NoError(t, err)
			require.NoError(t, sameVerdict(r))
			require.True(t, r.SignerVerified)
		})
	}
}

// What a replay refuses, and how it says that a verdict is another.
func TestReplayNamesWhatDiffers(t *testing.T) {
	c := goldens[0].args(t)
	e := &env{out: io.Discard, err: io.Discard, lang: "en"}
	_, err := c.inputs(e)
	require.NoError(t, err)
	c.Media = footage(t, "joconde.jpg")
	_, err = c.inputs(e)
	require.ErrorContains(t, err, "name that file")
	raw, err := os.ReadFile(c.File)
	require.NoError(t, err)
	c.File = filepath.Join(t.TempDir(), "changed.zip")
	raw[len(raw)/2] ^= 1
	require.NoError(t, os.WriteFile(c.File, raw, 0o600))
	_, err = c.inputs(e)
	var changed *errNotIntact
	require.ErrorAs(t, err, &changed)

	score := 0.4
	before := pipeline.Verdict{Decision: pipeline.DecisionPass, Checks: map[pipeline.CheckName]pipeline.Check{pipeline.CheckFace: {Outcome: pipeline.Pass, Score: &score}}}
	now := pipeline.Verdict{Decision: pipeline.DecisionAbnormal, Checks: map[pipeline.CheckName]pipeline.Check{pipeline.CheckFace: {Outcome: pipeline.Fail, Score: &score}},
		Reasons: []pipeline.Reason{{Code: pipeline.FaceMismatch, Check: pipeline.CheckFace}}}
	err = sameVerdict(replayed{Reverification: compared(before, now)})
	require.EqualError(t, err, "another verdict: decision pass -> abnormal; face pass [] -> fail [face_mismatch]")
	var out bytes.Buffer
	require.Equal(t, exitChanged, (&env{err: &out, lang: "en"}).fail(err, false))
	require.NoError(t, sameVerdict(replayed{Reverification: compared(now, now)}))
}

// A service's package has a human page in both languages, on paper too, the pictures, and what the verdict was made from.
func TestGoldenOfAService(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "golden", "service.zip"))
	require.NoError(t, err)
	key, err := os.ReadFile(filepath.Join("testdata", "golden", "service.pub"))
	require.NoError(t, err)
	r, err := evidence.Check(raw, strings.TrimSpace(string(key)))
	require.NoError(t, err)
	require.True(t, r.Intact())
	require.NotEmpty(t, r.Signer)
	var names []string
	for _, f := range r.Manifest.Files {
		names = append(names, f.Name)
	}
	require.Subset(t, names, []string{"verdict.json", "proof.json", "policy.yaml", "claim.json", "received.json", "keyframes/0000.jpg", "fingerprint.bin", "models/face_embed.yaml",
		"report-en.html", "report-en.pdf", "report-zh.html", "report-zh.pdf", "readme.txt"})
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	require.NoError(t, err)
	raw, err = fs.ReadFile(z, "fingerprint.bin")
	require.NoError(t, err)
	f, err := reuse.Read(raw)
	require.NoError(t, err, "a fingerprint of version 3 stays readable")
	require.NotEmpty(t, f.Stills)
}

// The recipe in a package's readme holds, word for word, with other people's tools; and with another byte it does not.
func TestRecipeOfAPackage(t *testing.T) {
	dir := t.TempDir()
	copyInto(t, dir, filepath.Join("testdata", "golden", "service.zip"))
	key, err := os.ReadFile(filepath.Join("testdata", "golden", "service.pub"))
	require.NoError(t, err)
	sh := func(script string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", script)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "KEY="+strings.TrimSpace(string(key)))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	readme, err := sh("unzip -p service.zip readme.txt")
	require.NoError(t, err)
	_, steps, found := strings.Cut(readme, "不使用本程序：\n")
	require.True(t, found)
	steps, _, found = strings.Cut(steps, "\nThe path of")
	require.True(t, found)
	steps = strings.ReplaceAll(steps, "FILE.zip", "service.zip")
	out, err := sh(steps)
	require.NoError(t, err, out)
	require.Contains(t, out, "Signature Verified Successfully")
	require.Contains(t, out, "verdict.json: OK")
	require.NotContains(t, out, "FAILED")
	_, rest, found := strings.Cut(steps, "cd e\n")
	require.True(t, found)
	for _, name := range []string{"verdict.json", "manifest.json", "manifest.sig", "keyframes/0000.jpg"} {
		out, err := sh("cd e; cp -r . ../changed; cd ../changed; printf x | dd of=" + name + " bs=1 seek=150 conv=notrunc 2>&1\n" + rest + "\nrm -rf ../changed")
		require.True(t, err != nil || strings.Contains(out, "FAILED") || strings.Contains(out, "Failure"), "%s: %s", name, out)
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "changed")))
	}
}

// makeGoldens runs the cases, logs each verdict in a log of its own, and signs the packages with a key that is thrown away.
func makeGoldens(t *testing.T, e *env, core *core) {
	t.Helper()
	dir := filepath.Join("testdata", "golden")
	key, err := audit.NewKey("golden")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key.pub"), []byte(key.Public), 0o600))
	for _, g := range goldens {
		if g.key != "" {
			continue
		}
		job := verify.Job{Claim: g.claim, Consent: true, Hear: true, InTurn: true}
		job.Claim.Job, job.Claim.Tenant, job.Claim.Subject, job.Claim.TakenAt = verify.NewJob(), "golden", "e1", time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
		name := g.policy
		if name == "" {
			name = "photo"
			if filepath.Ext(g.media) == ".mp4" {
				name = "video15"
			}
		}
		text, err := policy.Source(name)
		require.NoError(t, err)
		job.Policy, err = policy.Default(name)
		require.NoError(t, err)
		a := g.args(t)
		like := &verifyCmd{Media: a.Media, Face: a.Face, Site: a.Site, Against: a.Against}
		job.Site, err = like.site()
		require.NoError(t, err)
		if job.Site != nil {
			job.Claim.Site = job.Site.ID
		}
		job, done, err := like.prepare(t.Context(), e, core, newProgress(e), job)
		require.NoError(t, err)
		r, err := core.Run(t.Context(), job)
		done()
		require.NoError(t, err)
		body, err := json.Marshal(r.Verdict)
		require.NoError(t, err)
		claim, err := json.Marshal(job.Claim)
		require.NoError(t, err)
		c := evidence.Content{Verdict: body, Policy: text, Claim: claim, Key: key, Recipient: "the tests", ExportedBy: "golden", ExportedAt: r.Verdict.CreatedAt, Onsite: r.Verdict.Onsite}
		c.Proof, err = proven(key, results.AuditEntry{ID: verify.NewJob(), Tenant: "golden", Action: results.EventVerdictCreated, Subject: "e1", Target: r.Verdict.Job, Digest: results.Sum(body)})
		require.NoError(t, err)
		var b bytes.Buffer
		_, err = evidence.Make(&b, c)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, g.name+".zip"), b.Bytes(), 0o600))
	}
}

// proven puts an entry into a log of its own.
func proven(key audit.Key, e results.AuditEntry) (audit.Inclusion, error) {
	nonce := audit.Nonce(audit.NewSalt(), e.ID)
	kept, root, err := audit.Grow(0, []tlog.Hash{audit.Leaf(nonce, e)}, nil)
	if err != nil {
		return audit.Inclusion{}, err
	}
	head := audit.Head{Origin: audit.Origin(e.Tenant), Size: 1, Root: root}
	p := audit.Inclusion{Entry: audit.EntryOf(e), Nonce: hex.EncodeToString(nonce)}
	var serr error
	p.Leaf, p.Path, err = audit.Include(head, 0, tlog.HashReaderFunc(func([]int64) ([]tlog.Hash, error) { return kept[:1], nil }))
	p.Checkpoint, serr = audit.Sign(head, key.Secret)
	return p, errors.Join(err, serr)
}
