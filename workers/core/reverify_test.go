package core

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/place"
	"onsite/pipeline/policy"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/object"
)

// A verdict that is made again sees what the first one saw, whatever came since.
func TestReverifySeesWhatWasThen(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.person("ann", footage(t, "franck_02159.jpg"), footage(t, "franck_03909.jpg"))
	w.site("shop", footage(t, "franck_02888.jpg"))
	first, _ := w.run("ann", "shop", "", clip(t, "20", "2"))
	copied, v := w.run("ann", "shop", "", clip(t, "20", "2"))
	require.Equal(t, pipeline.DecisionAbnormal, v.Decision)
	jobs := []string{first.Job, copied.Job}

	// A later upload, another photo, a changed site, and a mark that clears the match.
	w.run("ann", "shop", "", clip(t, "60", "2"))
	w.enroll("ann", footage(t, "franck_02683.jpg"))
	w.site("shop", footage(t, "franck_02683.jpg"))
	_, err := w.store.CreateMark(ctx, results.Mark{ID: verify.NewJob(), Tenant: "t", Kind: results.MarkPair, Job: copied.Job, Other: first.Job, CreatedAt: w.store.Now()}, w.audit("mark.created"))
	require.NoError(t, err)
	_, changed, err := w.core.Reconsider(ctx, "t", copied.Job)
	require.NoError(t, err)
	require.True(t, changed)
	for _, job := range jobs {
		r, err := w.core.reverify(ctx, job, Pinned)
		require.NoError(t, err)
		diff, err := json.Marshal(r.Comparison)
		require.NoError(t, err)
		require.Equal(t, verify.Equal, r.Agreement, string(diff))
		require.True(t, r.SameRecipe, r.Recipe)
		require.Zero(t, r.Gone)
		row, err := w.store.Verdict(ctx, "t", job, 1)
		require.NoError(t, err)
		require.Equal(t, verdict(t, row.Body).Inputs, r.Verdict.Inputs)
	}

	state := func(job string) string {
		t.Helper()
		_, err := w.core.reverify(ctx, job, Pinned)
		return obstacle(t, err)
	}
	photos, err := w.store.Photos(ctx, "t", "ann", 0)
	require.NoError(t, err)
	_, err = w.store.Enrol(ctx, "t", "ann", -1, nil, nil, []string{photos[0].ID}, w.audit("photo.deleted"))
	require.NoError(t, err)
	require.Equal(t, "photos_gone", state(first.Job))
	require.NoError(t, w.store.WithdrawConsent(ctx, "t", "ann", results.PurposeFace, w.store.Now(), w.audit("consent.withdrawn")))
	require.Equal(t, "consent_withdrawn", state(first.Job))
	require.NoError(t, w.vault.Erase(ctx, "t", "ann", w.audit("subject.erased")))
	require.Equal(t, "media_gone", state(first.Job))
	_, err = w.core.reverify(ctx, verify.NewJob(), Pinned)
	require.ErrorIs(t, err, results.ErrNotFound)
}

// edited is a store whose rows were changed behind our back, and that counts templates instead of keeping them.
type edited struct {
	Store
	sub     func(*results.Submission)
	verdict func(*pipeline.Verdict)
	policy  error
	kept    int
}

func (e *edited) Submission(ctx context.Context, job string) (results.Submission, error) {
	s, err := e.Store.Submission(ctx, job)
	if e.sub != nil {
		e.sub(&s)
	}
	return s, err
}

func (e *edited) Verdict(ctx context.Context, tenant, job string, revision int) (results.Verdict, error) {
	row, err := e.Store.Verdict(ctx, tenant, job, revision)
	if err != nil || e.verdict == nil {
		return row, err
	}
	var v pipeline.Verdict
	if err := json.Unmarshal(row.Body, &v); err != nil {
		return row, err
	}
	e.verdict(&v)
	row.Body, err = json.Marshal(v)
	return row, err
}

func (e *edited) Policy(ctx context.Context, tenant, name string, rev int) (results.Policy, error) {
	if e.policy != nil {
		return results.Policy{}, e.policy
	}
	return e.Store.Policy(ctx, tenant, name, rev)
}

func (e *edited) PutTemplates(context.Context, []results.Template) error {
	e.kept++
	return nil
}

const onlyFace = `
schema: onsite.policy/1
name: only_face
version: 1
description: {en: The face alone., zh: 仅核对人脸。}
media: [photo]
checks: {face: {need: always}}
`

func (c *Core) reverify(ctx context.Context, job, asked string) (Reverified, error) {
	r, err := FindRecipe(ctx, c.Store, "t", job, asked)
	if err != nil {
		return Reverified{}, err
	}
	return c.Reverify(ctx, "t", job, r)
}

// obstacle gives the state of an error that says why a verdict cannot be made again, in both languages.
func obstacle(t *testing.T, err error) string {
	t.Helper()
	var cannot *CannotReverify
	require.ErrorAs(t, err, &cannot)
	require.NotEmpty(t, cannot.Text.EN)
	require.NotEmpty(t, cannot.Text.ZH)
	return cannot.State
}

// What somebody consented to later is not looked at, nothing is stored, and what was changed is told instead of compared.
func TestReverifyHoldsToTheInputs(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	store := &edited{Store: w.store}
	c := w.make(Options{Verifier: w.core.Verifier})
	c.Store = store
	w.policy("only_face", onlyFace)
	w.subject("ann")
	path := footage(t, "franck_02159.jpg")
	run := func() string {
		t.Helper()
		f, err := c.Run(ctx, w.claim(w.accept("ann", "", "only_face", path).Job))
		require.NoError(t, err)
		w.commit(f)
		return f.Job
	}
	again := func(job, recipe string) Reverified {
		t.Helper()
		r, err := c.reverify(ctx, job, recipe)
		require.NoError(t, err)
		return r
	}
	state := func(job, recipe string) string {
		t.Helper()
		_, err := c.reverify(ctx, job, recipe)
		return obstacle(t, err)
	}

	before := run()
	w.consent("ann")
	w.enroll("ann", footage(t, "franck_03909.jpg"))
	w.core.Verifier.Models.ResetStats()
	r := again(before, Pinned)
	require.Equal(t, verify.Equal, r.Agreement)
	require.Equal(t, policy.WhyNoConsent, r.Verdict.Checks[pipeline.CheckFace].Why)
	require.Equal(t, policy.WhyNoConsent, again(before, Current).Verdict.Checks[pipeline.CheckFace].Why)
	require.Zero(t, w.core.Verifier.Models.Stats()[models.FaceDetect].Calls)

	_, err := w.store.Enrol(ctx, "t", "ann", -1, []results.Photo{w.photo("ann", verify.NewJob(), footage(t, "franck_02683.jpg"))}, nil, nil, w.audit("photo.enrolled"))
	require.NoError(t, err)
	job := run()
	require.Equal(t, 1, store.kept)
	require.Equal(t, verify.Equal, again(job, Pinned).Agreement)
	require.Equal(t, 1, store.kept, "a verdict that is made again stores nothing")

	w.policy("only_face", strings.Replace(onlyFace, "version: 1", "version: 2", 1))
	require.Equal(t, verify.Equal, again(job, Pinned).Agreement)
	require.Empty(t, again(job, Pinned).Recipe, "pinned: the policy of then")
	require.Contains(t, again(job, Current).Recipe[0], "policy: ", "current: the policy of now")
	w.policy("only_face", onlyFace)

	store.sub = func(s *results.Submission) {
		s.Claim = []byte(`{"subject": "ann", "note": "x", "device": {"id": "d"}}`)
	}
	require.Equal(t, "inputs_changed", state(job, Current))
	store.sub = func(s *results.Submission) { s.Media.SHA256 = "another" }
	require.Equal(t, "inputs_changed", state(job, Pinned))
	store.sub = nil

	store.sub = func(s *results.Submission) { s.Media.Key = "" } // its time is over
	require.Equal(t, "media_gone", state(job, Pinned))
	store.sub = func(s *results.Submission) { s.Media.Key = "t/ann/" + verify.NewJob() } // the object is lost
	require.Equal(t, "media_gone", state(job, Current))
	store.sub = nil

	store.verdict = func(v *pipeline.Verdict) { v.Models[0].SHA256, v.Recipe = "another", "another" }
	require.Equal(t, "models_missing", state(job, Pinned))
	r = again(job, Current)
	require.Equal(t, verify.Equal, r.Agreement, "all that is another is named")
	require.Contains(t, r.Recipe[0], " (another) -> ")
	store.verdict = func(v *pipeline.Verdict) { v.Policy, v.Recipe = "sha256:another", "another" }
	require.Equal(t, "policy_gone", state(job, Pinned))
	require.Contains(t, again(job, Current).Recipe[0], "policy: sha256:another -> ")
	store.verdict = func(v *pipeline.Verdict) { v.Inputs.SiteRev = 3 }
	require.Equal(t, "inputs_changed", state(job, Pinned))
	store.verdict = nil
	c.policies.forget(func(string) bool { return true })
	store.policy = results.ErrNotFound
	require.Equal(t, "policy_gone", state(job, Current))
	store.policy = results.ErrAway
	_, err = c.reverify(ctx, job, Current)
	require.ErrorIs(t, err, results.ErrAway, "that is no fault of the verdict")
	store.policy = nil

	require.NoError(t, w.store.WithdrawConsent(ctx, "t", "ann", results.PurposeFace, w.store.Now(), w.audit("consent.withdrawn")))
	require.Equal(t, "consent_withdrawn", state(job, Pinned))
	require.Equal(t, verify.Equal, again(before, Pinned).Agreement, "no face was looked at then")
}

// A verdict can be made again by the policy's newest revision, and by the recipe of any other verdict, whose policy and models are then used.
func TestReverifyByAnotherRecipe(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.subject("ann")
	w.policy("only_face", onlyFace)
	path := footage(t, "franck_02159.jpg")
	run := func() (string, pipeline.Verdict) {
		t.Helper()
		f, err := w.core.Run(ctx, w.claim(w.accept("ann", "", "only_face", path).Job))
		require.NoError(t, err)
		w.commit(f)
		row, err := w.store.Verdict(ctx, "t", f.Job, 0)
		require.NoError(t, err)
		var v pipeline.Verdict
		require.NoError(t, json.Unmarshal(row.Body, &v))
		return f.Job, v
	}
	old, first := run()
	w.policy("only_face", strings.Replace(onlyFace, "{face: {need: always}}", "{liveness: {need: always}}", 1))
	later, second := run()
	require.NotEqual(t, first.Recipe, second.Recipe)

	for _, tt := range []struct{ job, asked, recipe string }{
		{old, Pinned, first.Recipe}, {old, first.Recipe, first.Recipe}, {old, Current, second.Recipe}, {old, second.Recipe, second.Recipe},
		{later, first.Recipe, first.Recipe}, {later, Current, second.Recipe},
	} {
		r, err := w.core.reverify(ctx, tt.job, tt.asked)
		require.NoError(t, err)
		require.Equal(t, tt.recipe, r.Verdict.Recipe, tt)
		if changed := (tt.job == old) != (tt.recipe == first.Recipe); changed {
			require.Contains(t, r.Recipe[0], "policy: ")
			require.Equal(t, verify.Different, r.Agreement, "a check that is made by one policy alone")
		} else {
			require.Equal(t, verify.Equal, r.Agreement)
		}
	}

	state := func(asked string) string {
		t.Helper()
		_, err := w.core.reverify(ctx, old, asked)
		return obstacle(t, err)
	}
	require.Equal(t, "recipe_unknown", state("sha256:"+strings.Repeat("0", 64)))
	p, err := w.store.Policy(ctx, "t", "only_face", 0)
	require.NoError(t, err)
	p.Deleted = true
	_, err = w.store.PutPolicy(ctx, p, p.Rev, w.audit("policy.deleted"))
	require.NoError(t, err)
	require.Equal(t, "policy_gone", state(Current))
	r, err := w.core.reverify(ctx, old, Pinned)
	require.NoError(t, err)
	require.Equal(t, verify.Equal, r.Agreement, "a policy that was deleted since is still the one of then")
}

// Which consent counts where a verdict is made again.
func TestConsentThen(t *testing.T) {
	w := newWorld(t)
	w.subject("ann")
	sub := results.Submission{Tenant: "t", Subject: "ann"}
	then := func(said verify.Told, when time.Time, matters bool) (bool, error) {
		return w.core.consentThen(t.Context(), sub, results.PurposeSound, said, when, matters)
	}
	early := w.store.Now()
	given := early.Add(time.Minute)
	require.NoError(t, w.store.GiveConsent(t.Context(), results.Consent{ID: verify.NewJob(), Tenant: "t", Subject: "ann", Purpose: results.PurposeSound, Notice: "1", GivenAt: given}, w.audit("consent.given")))
	for _, c := range []struct {
		said verify.Told
		when time.Time
		want bool
	}{{verify.Refused, given, false}, {verify.Granted, early, true}, {verify.Untold, early, false}, {verify.Untold, given, true}} {
		heard, err := then(c.said, c.when, true)
		require.NoError(t, err)
		require.Equal(t, c.want, heard)
	}
	require.NoError(t, w.store.WithdrawConsent(t.Context(), "t", "ann", results.PurposeSound, given.Add(time.Minute), w.audit("consent.withdrawn")))
	_, err := then(verify.Granted, given, true)
	var cannot *CannotReverify
	require.ErrorAs(t, err, &cannot)
	require.Equal(t, "consent_withdrawn", cannot.State)
	heard, err := then(verify.Untold, given, false)
	require.NoError(t, err)
	require.False(t, heard)
}

func TestOthersWithTheDeviceAreCounted(t *testing.T) {
	v := pipeline.Verdict{Checks: map[pipeline.CheckName]pipeline.Check{
		pipeline.CheckPlace: {Detail: map[string]any{"rules": map[string]any{place.RuleDevice: map[string]any{"others": 2}}}},
	}}
	require.Equal(t, 2, sharers(v))
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	require.Equal(t, 2, sharers(verdict(t, raw)))
	require.Zero(t, sharers(pipeline.Verdict{}))
}

// erasing is a store in which somebody is erased just before their templates are kept.
type erasing struct {
	Store
	erase func()
}

func (e *erasing) PutTemplates(ctx context.Context, all []results.Template) error {
	if e.erase != nil {
		e.erase()
	}
	return e.Store.PutTemplates(ctx, all)
}

// Who is erased while their job is tried under other models leaves no vector and no picture, and their job cannot be tried again.
func TestErasedWhileTried(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	store := &erasing{Store: w.store}
	c := w.make(Options{Verifier: w.core.Verifier})
	c.Store = store
	w.policy("only_face", onlyFace)
	w.person("ann", footage(t, "franck_03909.jpg"))
	f, _ := w.run("ann", "", "only_face", footage(t, "franck_02159.jpg"))
	photos, err := w.store.Photos(ctx, "t", "ann", 0)
	require.NoError(t, err)
	_, err = w.store.DropNamedTemplates(ctx, "t", c.EmbedModel(), 100) // as if the models were others
	require.NoError(t, err)
	erased := false
	store.erase = func() {
		erased = true
		require.NoError(t, w.vault.Erase(ctx, "t", "ann", w.audit("subject.erased")))
	}
	_, err = c.Try(ctx, "t", f.Job)
	require.True(t, erased)
	var cannot *CannotReverify
	require.True(t, err == nil || errors.As(err, &cannot), "%v", err)
	left, err := w.store.Templates(ctx, "t", "ann", []string{photos[0].ID}, "")
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoError(t, w.objects.List(ctx, "t/ann/", func(i object.Info) error {
		require.Fail(t, "an object is left", i.Key)
		return nil
	}))
	_, err = c.Try(ctx, "t", f.Job)
	require.ErrorAs(t, err, &cannot)
}
