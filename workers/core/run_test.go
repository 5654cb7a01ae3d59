package core

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/policy"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/object"
	"onsite/results/vault"
)

func TestWholeWay(t *testing.T) {
	w := newWorld(t)
	w.person("ann", footage(t, "franck_02159.jpg"), footage(t, "franck_03909.jpg"))
	w.site("shop", footage(t, "franck_02888.jpg"))
	sub := w.accept("ann", "shop", "", clip(t, "20", "2"))
	f, err := w.core.Run(t.Context(), w.claim(sub.Job))
	require.NoError(t, err)
	w.commit(f)

	v := verdict(t, f.Verdict.Body)
	require.Equal(t, pipeline.Pass, v.Checks[pipeline.CheckFace].Outcome)
	require.Equal(t, pipeline.Pass, v.Checks[pipeline.CheckReuse].Outcome)
	require.NotEqual(t, pipeline.NotChecked, v.Checks[pipeline.CheckScene].Outcome)
	require.Equal(t, 1, v.Inputs.EnrolmentRev)
	require.Equal(t, 1, v.Inputs.SiteRev)
	require.Equal(t, sub.Media.SHA256, v.Media.SHA256)
	require.Equal(t, "video15", f.Verdict.Policy)
	require.Equal(t, v.Decision, f.Verdict.Decision)

	stored, err := w.store.Verdict(t.Context(), "t", sub.Job, 0)
	require.NoError(t, err)
	require.Equal(t, f.Verdict.Body, stored.Body)
	evidence, err := w.store.Evidence(t.Context(), "t", sub.Job)
	require.NoError(t, err)
	require.Len(t, evidence, len(v.Media.Keyframes))
	jpeg, err := w.vault.Read(t.Context(), evidence[0].Key, 1<<20)
	require.NoError(t, err)
	require.Equal(t, []byte{0xff, 0xd8, 0xff}, jpeg[:3])
	require.Empty(t, w.orphans(), "every object has a row that names it")

	var event results.Event
	require.NoError(t, json.Unmarshal(f.Payload, &event))
	require.Equal(t, results.EventVerdictCreated, event.Type)
	require.Equal(t, results.EventData{Tenant: "t", Job: sub.Job, Subject: "ann", Site: "shop", State: results.Done, Revision: 1, Decision: v.Decision}, event.Data)
	require.NotContains(t, string(f.Payload), "score")
	due := map[string]float64{}
	for _, d := range f.Deadline {
		due[d.Kind] = d.Due.Sub(sub.ReceivedAt).Hours() / 24
	}
	require.Equal(t, map[string]float64{"media": 90, "keyframes": 180, "print": 180, "verdict": 1095}, due)

	// The picture of an earlier job, for reports: the keyframe nearest to a time.
	h := &history{Core: w.core, scope: results.Scope{Tenant: "t"}}
	picture, err := h.Picture(t.Context(), sub.Job, v.Media.Keyframes[1].PTSMS+10)
	require.NoError(t, err)
	second, err := w.vault.Read(t.Context(), evidence[1].Key, 1<<20)
	require.NoError(t, err)
	require.Equal(t, second, picture)
	_, err = h.Picture(t.Context(), verify.NewJob(), 0)
	require.ErrorIs(t, err, results.ErrNotFound)
}

var faceTasks = []models.Task{models.FaceDetect, models.FaceLandmark, models.FaceEmbed, models.Liveness, models.HeadPose, models.EyeState}

// Without a consent record no face model runs, no template is opened, no keyframe is kept; the enrolled photo itself still is no evidence.
func TestNoConsent(t *testing.T) {
	w := newWorld(t)
	w.person("ann", footage(t, "franck_02159.jpg"))
	require.NoError(t, w.store.WithdrawConsent(t.Context(), "t", "ann", results.PurposeFace, w.store.Now(), w.audit("consent.withdrawn")))
	w.core.Verifier.Models.ResetStats()
	f, v := w.run("ann", "", "", clip(t, "20", "1"))
	require.Equal(t, policy.WhyNoConsent, v.Checks[pipeline.CheckFace].Why)
	require.Equal(t, pipeline.DecisionReview, v.Decision)
	require.Empty(t, f.Evidence)
	require.NotNil(t, f.Print)
	require.Equal(t, "site", f.Print.Scope, "whom late footage is to be compared with")
	_, v = w.run("ann", "", "", footage(t, "franck_02159.jpg"))
	require.Equal(t, pipeline.Fail, v.Checks[pipeline.CheckReuse].Outcome)
	require.Equal(t, "photo", v.Media.Kind)
	for _, task := range faceTasks {
		require.Zero(t, w.core.Verifier.Models.Stats()[task].Calls, task)
	}
}

func TestNobodyEnrolledAndErased(t *testing.T) {
	w := newWorld(t)
	w.person("ann")
	c := clip(t, "20", "1")
	_, v := w.run("ann", "", "", c)
	require.Equal(t, policy.WhyNoReference, v.Checks[pipeline.CheckFace].Why)
	require.Zero(t, v.Inputs.EnrolmentRev)
	_, v = w.run("stranger", "", "", c)
	require.Equal(t, policy.WhyNoConsent, v.Checks[pipeline.CheckFace].Why)
	l := w.claim(w.accept("ann", "", "", c).Job)
	require.NoError(t, w.vault.Erase(t.Context(), "t", "ann", w.audit("subject.erased")))
	_, err := w.core.Run(t.Context(), l)
	require.ErrorIs(t, err, results.ErrErased)
}

// A model that was exchanged has no templates yet: they are made from the photos, once.
func TestTemplatesAreMadeAgain(t *testing.T) {
	w := newWorld(t)
	w.person("ann")
	photo := w.photo("ann", verify.NewJob(), footage(t, "franck_02159.jpg"))
	broken := w.photo("ann", verify.NewJob(), footage(t, "franck_03909.jpg"))
	group := w.photo("ann", verify.NewJob(), clip(t, "20", "1")) // nothing that could be enrolled
	forged := results.Template{Photo: broken.ID, Tenant: "t", Subject: "ann", ModelSHA256: w.core.EmbedModel(), Sealed: []byte("not sealed by us")}
	_, err := w.store.Enrol(t.Context(), "t", "ann", -1, []results.Photo{photo, broken, group}, []results.Template{forged}, nil, w.audit("photo.enrolled"))
	require.NoError(t, err)
	photos, err := w.store.Photos(t.Context(), "t", "ann", 0)
	require.NoError(t, err)

	s, consent, err := w.core.subject(t.Context(), "t", "ann", true, nil)
	require.NoError(t, err)
	require.True(t, consent)
	require.Len(t, s.Templates, 2)
	require.Len(t, s.Sums, 3)
	rows, err := w.store.Templates(t.Context(), "t", "ann", []string{photo.ID, broken.ID}, w.core.EmbedModel())
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.NotContains(t, string(rows[0].Sealed), "ONST")
	w.core.Verifier.Models.ResetStats()
	again, err := w.core.templates(t.Context(), "t", "ann", photos[:2])
	require.NoError(t, err)
	require.Equal(t, s.Templates, again)
	require.Zero(t, w.core.Verifier.Models.Stats()[models.FaceEmbed].Calls)

	// A template of another photo or person opens as none.
	moved := rows[0]
	moved.Photo = broken.ID
	if rows[0].Photo == broken.ID {
		moved.Photo = photo.ID
	}
	_, err = w.core.open(t.Context(), moved)
	require.ErrorIs(t, err, vault.ErrForged)

	_, err = w.core.templates(t.Context(), "t", "ann", []results.Photo{group})
	var reference *verify.ReferenceError
	require.ErrorAs(t, err, &reference, "no photo of the person can be used")
	w.objects.away.Store(true)
	_, err = w.core.templates(t.Context(), "t", "ann", []results.Photo{group})
	require.ErrorIs(t, err, object.ErrAway, "that is no fault of the photo")
}

// Our own copy of a bucket's object comes with whatever the attempt ends with.
func TestMediaFromABucket(t *testing.T) {
	w := newWorld(t)
	w.person("ann")
	sub := w.accept("ann", "", "no_face", clip(t, "20", "1"))
	l := w.claim(sub.Job)
	copied := vault.Sealed{Key: l.Sub.Media.Key, SHA256: l.Sub.Media.SHA256, Bytes: l.Sub.Media.Bytes}
	l.Sub.Media = results.Media{}
	_, err := w.core.Run(t.Context(), l)
	require.ErrorIs(t, err, errNoBuckets)

	w.core.Fetch = func(context.Context, results.Submission) (vault.Sealed, error) { return copied, nil }
	f, err := w.core.Run(t.Context(), l)
	require.NoError(t, err)
	require.Equal(t, copied.Key, f.Media.Key)
	require.Contains(t, f.Keep, copied.Key)

	text := w.put("ann", "doc.go")
	w.core.Fetch = func(context.Context, results.Submission) (vault.Sealed, error) { return text, nil }
	f, err = w.core.Run(t.Context(), l)
	var refused *media.Refusal
	require.ErrorAs(t, err, &refused)
	require.Equal(t, results.Finish{Media: &results.Media{Key: text.Key, SHA256: text.SHA256, Bytes: text.Bytes}, Keep: []string{text.Key}}, f)

	w.core.Fetch = func(context.Context, results.Submission) (vault.Sealed, error) {
		return vault.Sealed{}, object.ErrChanged
	}
	_, err = w.core.Run(t.Context(), l)
	require.ErrorIs(t, err, object.ErrChanged)
}

func TestMediaGoneAndAway(t *testing.T) {
	w := newWorld(t)
	w.person("ann")
	l := w.claim(w.accept("ann", "", "no_face", clip(t, "20", "1")).Job)
	w.objects.away.Store(true)
	_, err := w.core.Run(t.Context(), l)
	require.ErrorIs(t, err, object.ErrAway)
	w.objects.away.Store(false)
	require.NoError(t, w.objects.Delete(t.Context(), l.Sub.Media.Key))
	_, err = w.core.Run(t.Context(), l)
	require.ErrorIs(t, err, object.ErrNotFound)
	l.Sub.Policy = "gone"
	_, err = w.core.Run(t.Context(), l)
	require.ErrorContains(t, err, "no built-in policy")
	l.Sub.PolicyRev = 3
	_, err = w.core.Run(t.Context(), l)
	require.ErrorIs(t, err, results.ErrNotFound)
	l.Sub.Claim = []byte("{")
	_, err = w.core.Run(t.Context(), l)
	require.ErrorContains(t, err, "read the claim")
}

// What was sealed by an attempt that failed at its end is taken back.
func TestNothingIsLeftOfAFailedAttempt(t *testing.T) {
	w := newWorld(t)
	w.person("ann")
	l := w.claim(w.accept("ann", "", "no_face", clip(t, "20", "1")).Job)
	full := &fullVault{Vault: w.vault}
	w.core.Vault = full
	_, err := w.core.Run(t.Context(), l)
	require.ErrorIs(t, err, object.ErrNoSpace)
	require.Empty(t, w.orphans())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = w.core.Run(ctx, l)
	require.ErrorIs(t, err, context.Canceled)
}

type fullVault struct{ *vault.Vault }

func (f *fullVault) PutAll(context.Context, string, string, [][]byte) ([]vault.Sealed, error) {
	return nil, object.ErrNoSpace
}

// A site is prepared once for many jobs, and anew when it has a new revision.
func TestSitesAreKept(t *testing.T) {
	w := newWorld(t)
	w.site("shop", footage(t, "franck_02888.jpg"))
	first, _, rev, release, err := w.core.site(t.Context(), "t", "shop", nil)
	require.NoError(t, err)
	require.Equal(t, 1, rev)
	release()
	same, _, _, release, err := w.core.site(t.Context(), "t", "shop", nil)
	require.NoError(t, err)
	require.Same(t, first, same)
	release()
	w.site("shop", footage(t, "franck_02045.jpg"))
	next, _, rev, release, err := w.core.site(t.Context(), "t", "shop", nil)
	require.NoError(t, err)
	require.Equal(t, 2, rev)
	require.NotSame(t, first, next)
	release()

	none, _, rev, release, err := w.core.site(t.Context(), "t", "nowhere", nil)
	require.NoError(t, err)
	require.Nil(t, none)
	require.Zero(t, rev)
	release()
	w.site("empty")
	none, _, rev, release, err = w.core.site(t.Context(), "t", "empty", nil)
	require.NoError(t, err)
	require.Nil(t, none)
	require.Equal(t, 1, rev, "the verdict names the revision all the same")
	release()

	w.site("away", footage(t, "franck_02888.jpg"))
	w.objects.away.Store(true)
	_, _, _, _, err = w.core.site(t.Context(), "t", "away", nil)
	require.ErrorIs(t, err, object.ErrAway)
	var reference *verify.ReferenceError
	require.NotErrorAs(t, err, &reference, "the site is not to blame")
	w.objects.away.Store(false)
	row := w.site("lost", footage(t, "franck_02888.jpg"))
	require.NoError(t, w.objects.Delete(t.Context(), row.Doc.References[0].Key))
	_, _, _, _, err = w.core.site(t.Context(), "t", "lost", nil)
	require.ErrorAs(t, err, &reference)
}

// The tenant's own policy is read by its revision, and kept.
func TestOwnPolicy(t *testing.T) {
	w := newWorld(t)
	w.person("ann")
	raw, err := policy.Source("no_face")
	require.NoError(t, err)
	own := strings.Replace(string(raw), "name: no_face", "name: own", 1)
	w.policy("own", own)
	f, v := w.run("ann", "", "own", clip(t, "20", "1"))
	require.Equal(t, "own", f.Verdict.Policy)
	p, err := policy.Parse("own", []byte(own))
	require.NoError(t, err)
	require.Equal(t, p.Digest(), v.Policy)
}

func TestOptions(t *testing.T) {
	_, err := New(Options{})
	require.Error(t, err)
	w := newWorld(t)
	_, err = NewDecoding(Options{Store: w.store, Vault: w.vault, Verifier: w.core.Verifier})
	require.ErrorIs(t, err, ErrNotMeasuring)
	_, err = NewNoop(Options{Store: w.store}, 0)
	require.ErrorIs(t, err, ErrNotMeasuring)
	_, err = NewNoop(Options{MeasuringOnly: true}, 0)
	require.Error(t, err)
}

// Cores for measurements store everything that a real one stores, and nobody can take their verdicts for real ones.
func TestMeasuringCores(t *testing.T) {
	w := newWorld(t)
	w.person("ann")
	o := Options{Store: w.store, Vault: w.vault, Verifier: &verify.Verifier{Decoder: w.core.Verifier.Decoder}, MeasuringOnly: true}
	decoding, err := NewDecoding(o)
	require.NoError(t, err)
	noop, err := NewNoop(o, 0)
	require.NoError(t, err)
	require.NoError(t, decoding.Warm(t.Context()))
	require.Empty(t, decoding.Models())
	c := clip(t, "20", "1")
	for name, core := range map[string]interface {
		Run(ctx context.Context, l results.Lease) (results.Finish, error)
	}{"decoding": decoding, "noop": noop} {
		sub := w.accept("ann", "", "", c)
		f, err := core.Run(t.Context(), w.claim(sub.Job))
		require.NoError(t, err, name)
		w.commit(f)
		v := verdict(t, f.Verdict.Body)
		require.True(t, strings.HasSuffix(v.Onsite, "+measuring-only"), name)
		require.Equal(t, pipeline.DecisionReview, v.Decision, name)
		require.Contains(t, v.Reasons[0].Text.EN, "runs no model", name)
		require.Equal(t, name == "decoding", f.Print != nil && len(f.Evidence) > 0, name)
	}
	require.NoError(t, noop.Recheck(t.Context(), results.Late{Jobs: []string{"x"}}))
	require.Empty(t, w.orphans())
}

func TestWarm(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.core.Warm(t.Context()))
	all := w.core.Models()
	require.NotEmpty(t, all)
	for _, m := range all {
		require.Equal(t, ModelReady, m.State)
		require.Len(t, m.SHA256, 64)
		require.NotEmpty(t, m.Licence)
	}
	w.core.health.note(models.Liveness, errors.New("no such file; run make setup"))
	for _, m := range w.core.Models() {
		if m.Task == string(models.Liveness) {
			require.Equal(t, ModelFailed, m.State)
			require.Contains(t, m.Why, "make setup")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, w.core.Warm(ctx))
}
