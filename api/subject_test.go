package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/models"
	"onsite/pipeline"
	"onsite/results"
)

func TestSubjects(t *testing.T) {
	d := newDesk(t)
	a := d.ok(http.StatusCreated, post, "/v1/subjects", map[string]string{"id": "e9", "label": "王伟"})
	require.Equal(t, "/v1/subjects/e9", a.header.Get("Location"))
	d.ask(post, "/v1/subjects", map[string]string{"id": "e9"}).problem(409, codeExists)
	d.ask(post, "/v1/subjects", map[string]string{"id": "../e9"}).field(422, codeInvalid, "body.id", "pattern")
	d.ask(post, "/v1/subjects", map[string]string{"label": "x"}).field(422, codeInvalid, "body.id", "missing")
	var s Subject
	d.ok(200, put, "/v1/subjects/e9", map[string]string{"label": "second"}).into(&s)
	require.Equal(t, "second", s.Label)
	d.ok(http.StatusCreated, put, "/v1/subjects/e10", map[string]string{"label": "x"})
	d.ok(200, get, "/v1/subjects/e10", nil)
	d.ask(get, "/v1/subjects/nobody", nil).problem(404, codeNotFound)

	var ids []string
	for path := "/v1/subjects?limit=3"; ; {
		var page List[Subject]
		d.ok(200, get, path, nil).into(&page)
		for _, s := range page.Items {
			ids = append(ids, s.ID)
		}
		if page.Next == "" {
			break
		}
		path = "/v1/subjects?limit=3&cursor=" + page.Next
	}
	require.Equal(t, []string{"e1", "e10", "e2", "e9"}, ids)
	require.NotContains(t, d.logs.String(), "王伟", "no name in the log")
}

func TestNoConsentNoFace(t *testing.T) {
	d := newDesk(t)
	d.photos("e1", "face of ann").problem(403, codeNoConsent)
	d.photos("nobody", "face of ann").problem(404, codeNotFound)
	require.Zero(t, d.core.seen(), "a face was looked at without consent")
	d.tidy(0)

	d.ask(post, "/v1/subjects/e1/consents", map[string]any{"notice": "v1", "given_at": d.now().Add(time.Hour).Format(time.RFC3339)}).field(422, codeInvalid, "body.given_at", "future")
	d.ask(post, "/v1/subjects/e1/consents", map[string]any{"notice": "  "}).field(422, codeInvalid, "body.notice", "missing")
	d.ask(post, "/v1/subjects/e1/consents", map[string]any{"notice": "v1", "purpose": "voice"}).field(422, codeInvalid, "body.purpose", "choice")
	d.ask(post, "/v1/subjects/nobody/consents", map[string]any{"notice": "v1"}).problem(404, codeNotFound)
	var c Consent
	d.ok(http.StatusCreated, post, "/v1/subjects/e1/consents", map[string]any{"notice": "v1", "reference": "HR/7", "given_at": "2026-03-01T09:00:00+08:00"}).into(&c)
	require.Equal(t, "face", c.Purpose)
	require.NotEmpty(t, c.RecordedBy)
	require.Equal(t, time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC), c.GivenAt)
	require.Equal(t, http.StatusCreated, d.photos("e1", "face of ann").status)
	d.tidy(1)

	// The consent of one person says nothing about another, nor one tenant's about another's.
	d.photos("e2", "face of bob").problem(403, codeNoConsent)
	body, kind := pieces(t, "photo", "face of ann")
	d.do(post, "/v1/subjects/e1/photos", d.key("other", admin), body, "Content-Type", kind).problem(403, codeNoConsent)
}

func TestWithdrawalDeletesPhotos(t *testing.T) {
	d := newDesk(t)
	d.consent("e1")
	require.Equal(t, http.StatusCreated, d.photos("e1", "face of ann", "face of ann, again").status)
	d.tidy(2)
	var w Withdrawn
	d.ok(200, del, "/v1/subjects/e1/consents/face", nil).into(&w)
	require.Equal(t, 2, w.PhotosDeleted)
	require.NotNil(t, w.Consents.Items[0].WithdrawnAt)
	d.tidy(0)
	templates, err := d.store.Templates(context.Background(), "acme", "e1", nil, "m")
	require.NoError(t, err)
	require.Empty(t, templates)
	d.photos("e1", "face of ann").problem(403, codeNoConsent)
	d.ask(del, "/v1/subjects/e1/consents/face", nil).problem(404, codeNotFound)
	d.ask(del, "/v1/subjects/e1/consents/voice", nil).field(422, codeInvalid, "path.purpose", "choice")
	require.Subset(t, d.actions(), []string{"consent.given", "photo.enrolled", "consent.withdrawn", "photo.deleted"})
}

// A withdrawal that broke off before the photos were gone is finished by the next one.
func TestWithdrawalCanBeFinishedLater(t *testing.T) {
	d := newDesk(t)
	d.consent("e1")
	require.Equal(t, http.StatusCreated, d.photos("e1", "face of ann").status)
	require.NoError(t, d.store.WithdrawConsent(context.Background(), "acme", "e1", "face", d.now(), d.audit("acme")))
	d.tidy(1)
	d.ok(200, del, "/v1/subjects/e1/consents/face", nil)
	d.tidy(0)
}

func TestPhotoFeedback(t *testing.T) {
	d := newDesk(t)
	d.consent("e1")
	p := d.photos("e1", "face of ann", "blurred face", "two_faces", "face of bob").problem(422, codePhotos)
	require.Len(t, p.Errors, 3)
	for i, want := range []struct{ field, code string }{{"form.photo[1]", "blurred"}, {"form.photo[2]", "two_faces"}, {"form.photo[3]", "other_person"}} {
		require.Equal(t, want.field, p.Errors[i].Field)
		require.Equal(t, want.code, p.Errors[i].Code)
	}
	require.Contains(t, p.Detail, "3 of 4")
	d.tidy(0)
	var sub Subject
	d.ok(200, get, "/v1/subjects/e1", nil).into(&sub)
	require.Zero(t, sub.EnrolmentRev, "nothing half enrolled")

	var e Enrolled
	a := d.photos("e1", "face of ann", "face of ann, smiling")
	require.Equal(t, http.StatusCreated, a.status, string(a.body))
	a.into(&e)
	require.Len(t, e.Added, 2)
	require.Equal(t, "photo.jpg", e.Added[0].Name, "the folder of the phone is nobody's business")
	require.JSONEq(t, `{"size":200}`, string(e.Added[0].Quality))
	require.Equal(t, 1, e.EnrolmentRev)

	// The same bytes again change nothing; a new photo must show the same person.
	d.photos("e1", "face of ann").into(&e)
	require.Empty(t, e.Added)
	require.Equal(t, []string{"photo.jpg"}, e.Known)
	require.Equal(t, 1, e.EnrolmentRev)
	d.photos("e1", "face of bob").field(422, codePhotos, "form.photo[0]", "other_person")

	d.photos("e1", "face of ann, 3", "face of ann, 4", "face of ann, 5", "face of ann, 6").field(422, codeInvalid, "form.photo", "too_many")
	d.photos("e1", "1", "2", "3", "4", "5", "6").field(422, codeInvalid, "form.photo", "too_many")
	d.photos("e1").field(400, codeUnreadable, "form.photo", "missing")
	d.photos("e1", "").field(422, codeInvalid, "form.photo", "missing")
	d.send(post, "/v1/subjects/e1/photos", nil, "picture", "x").field(400, codeUnreadable, "form.picture", "unknown_field")
	d.ask(post, "/v1/subjects/e1/photos", map[string]string{"photo": "x"}).problem(415, codeContentType)
	d.tidy(2)
	require.NotContains(t, d.logs.String(), "face of", "no picture in the log")
}

func TestPhotosOverTheLimitAreRefusedWhileStreaming(t *testing.T) {
	d := newDesk(t)
	d.consent("e1")
	d.photos("e1", "face of ann"+strings.Repeat("x", maxPhotoBytes)).field(413, codeTooLarge, "form.photo", "too_large")
	require.Zero(t, d.core.seen())
	d.tidy(0)
	body, kind := pieces(t, "photo", "face of ann")
	whole, err := readAll(body)
	require.NoError(t, err)
	a := d.ask(post, "/v1/subjects/e1/photos", bytes.NewReader(whole[:len(whole)-40]), "Content-Type", kind)
	require.Equal(t, 400, a.status, string(a.body))
	d.tidy(0)
}

func TestLookAlikesOnlyWarn(t *testing.T) {
	d := newDesk(t)
	d.consent("e1")
	d.core.alike = []LookAlike{{Subject: "e2", Similarity: 0.61}}
	var e Enrolled
	d.photos("e1", "face of ann").into(&e)
	require.Empty(t, e.LookAlikes, "nobody asked for it")
	d.ok(200, put, "/v1/tenant", map[string]any{"look_alike": true}, "If-Match", "*")
	d.photos("e1", "face of ann, 2").into(&e)
	require.Equal(t, d.core.alike, e.LookAlikes)
	require.Len(t, e.Added, 1, "a hint stops nothing")
}

func TestPhotoContentAndDeletion(t *testing.T) {
	d := newDesk(t)
	d.consent("e1")
	var e Enrolled
	d.photos("e1", "face of ann", "face of ann, 2").into(&e)
	url := "/v1/subjects/e1/photos/" + e.Added[0].ID
	a := d.do(get, url+"/content", d.key("acme", investigate), nil)
	require.Equal(t, "face of ann", string(a.body))
	require.Equal(t, "application/octet-stream", a.header.Get("Content-Type"))
	require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
	require.Contains(t, d.actions(), "photo.read")
	for _, role := range []results.Role{read, audit, notice, submit, modelsRole} {
		d.do(get, url+"/content", d.key("acme", role), nil).problem(403, codeRole)
	}
	d.do(get, url+"/content", d.key("other", admin), nil).problem(404, codeNotFound)
	d.do(get, "/v1/subjects/e2/photos/"+e.Added[0].ID+"/content", d.admin, nil).problem(404, codeNotFound)

	d.do(del, url, d.key("other", admin), nil).problem(404, codeNotFound)
	var left struct {
		EnrolmentRev int     `json:"enrolment_rev"`
		Items        []Photo `json:"items"`
	}
	d.ok(200, del, url, nil).into(&left)
	require.Equal(t, 2, left.EnrolmentRev)
	require.Len(t, left.Items, 1)
	d.ask(get, url+"/content", nil).problem(404, codeNotFound)
	d.ask(del, url, nil).problem(404, codeNotFound)
	d.tidy(1)
}

func TestTwoEnrolAtOnce(t *testing.T) {
	d := newDesk(t)
	d.consent("e1")
	raced := false
	d.core.during = func(ctx context.Context) {
		if raced {
			return
		}
		raced = true
		_, err := d.store.Enrol(ctx, "acme", "e1", -1, nil, nil, nil, d.audit("acme"))
		require.NoError(t, err)
	}
	var e Enrolled
	a := d.photos("e1", "face of ann")
	require.Equal(t, http.StatusCreated, a.status, string(a.body))
	a.into(&e)
	require.Equal(t, 2, e.EnrolmentRev)
	require.Equal(t, 2, d.core.seen(), "looked at again beside what the other one enrolled")
	d.tidy(1)

	// Somebody who never stops is not waited for.
	d.core.during = func(ctx context.Context) {
		_, err := d.store.Enrol(ctx, "acme", "e1", -1, nil, nil, nil, d.audit("acme"))
		require.NoError(t, err)
	}
	d.photos("e1", "face of ann, 2").problem(412, codeChanged)
	d.tidy(1)
}

func TestWithdrawnWhileEnrolling(t *testing.T) {
	d := newDesk(t)
	d.consent("e1")
	d.core.during = func(ctx context.Context) {
		require.NoError(t, d.store.WithdrawConsent(ctx, "acme", "e1", "face", d.now(), d.audit("acme")))
	}
	d.photos("e1", "face of ann").problem(403, codeNoConsent)
	d.tidy(0)
}

func TestErasedWhileEnrolling(t *testing.T) {
	d := newDesk(t)
	d.consent("e1")
	d.core.during = func(ctx context.Context) {
		require.NoError(t, d.vault.Erase(ctx, "acme", "e1", d.audit("acme")))
	}
	d.photos("e1", "face of ann").problem(410, codeErased)
	require.Zero(t, d.objects())
}

func TestEnrolmentFaults(t *testing.T) {
	d := newDesk(t)
	d.consent("e1")
	d.core.err = errNoModels
	d.photos("e1", "face of ann").problem(503, codeModels)
	d.core.err = fmt.Errorf("enroll: %w", &models.NotReadyError{Why: "the models are being loaded"})
	loading := d.photos("e1", "face of ann")
	loading.problem(503, codeLoading)
	require.Equal(t, "5", loading.header.Get("Retry-After"))
	require.NotContains(t, string(loading.body), "install")
	d.core.err = ErrMeasuring
	measures := d.photos("e1", "face of ann")
	measures.problem(503, codeModels)
	require.Contains(t, string(measures.body), "for measurements")
	require.NotContains(t, string(measures.body), "models install")
	d.core.err = context.DeadlineExceeded
	require.Equal(t, 503, d.photos("e1", "face of ann").status)
	d.core.err = nil
	d.tidy(0)

	d.server.Core = nil
	d.photos("e1", "face of ann").problem(404, codeOff)
	d.send(post, "/v1/subjects/bulk", nil, "people", "subject\ne1\n").problem(404, codeOff)
}

func TestErasure(t *testing.T) {
	d := newDesk(t)
	d.consent("e1")
	require.Equal(t, http.StatusCreated, d.photos("e1", "face of ann").status)
	job := d.accepted("acme")
	d.finished(job, pipeline.DecisionAbnormal, pipeline.FaceMismatch)
	require.Equal(t, 3, d.objects())

	d.do(del, "/v1/subjects/e1", d.key("acme", investigate), nil).problem(403, codeRole)
	d.ask(del, "/v1/subjects/nobody", nil).problem(404, codeNotFound)
	var e Erasure
	d.ok(200, del, "/v1/subjects/e1", nil).into(&e)
	require.NotZero(t, e.ErasedAt)
	require.NotEmpty(t, e.Remains)
	for _, r := range append(e.Erased, e.Remains...) {
		require.NotEmpty(t, r.Text.EN)
		require.NotEmpty(t, r.Text.ZH)
	}
	require.Zero(t, d.objects())
	first := e.ErasedAt
	d.ok(200, del, "/v1/subjects/e1", nil).into(&e)
	require.Equal(t, first, e.ErasedAt, "asked again it says the same")

	require.Equal(t, 200, d.ask(get, "/v1/verdicts/"+job, nil).status, "the verdict remains")
	d.photos("e1", "face of ann").problem(410, codeErased)
	d.ask(put, "/v1/subjects/e1", map[string]string{"label": "x"}).problem(410, codeErased)
	d.ask(post, "/v1/subjects/e1/consents", map[string]any{"notice": "v1"}).problem(410, codeErased)
	d.ask(post, "/v1/subjects", map[string]string{"id": "e1"}).problem(409, codeExists)
	d.submit(d.key("acme", submit), nil, "subject", "e1", "@media", "x").problem(410, codeErased)
	require.Contains(t, d.actions(), "subject.erased")
	require.Equal(t, 200, d.do(get, "/v1/subjects/e1", d.key("other", admin), nil).status, "another tenant's e1 is another person")
}

func TestExportHasNoScores(t *testing.T) {
	d := newDesk(t)
	d.consent("e1")
	require.Equal(t, http.StatusCreated, d.photos("e1", "face of ann").status)
	d.finished(d.accepted("acme"), pipeline.DecisionAbnormal, pipeline.FaceMismatch)
	d.finished(d.accepted("acme"), pipeline.DecisionPass)
	d.finished(d.accepted("other"), pipeline.DecisionReview, pipeline.NoFace)

	a := d.ok(200, get, "/v1/subjects/e1/export?lang=zh", nil)
	var e Export
	a.into(&e)
	require.Len(t, e.Verdicts, 2)
	require.Equal(t, "pass", e.Verdicts[0].Decision, "newest first")
	require.Equal(t, "face_mismatch", e.Verdicts[1].Reasons[0].Code)
	require.NotEmpty(t, e.Verdicts[1].Next)
	require.NotEmpty(t, e.Verdicts[1].Appeal)
	require.Contains(t, e.Verdicts[1].Message+e.Verdicts[1].Reasons[0].Text, "人")
	require.Len(t, e.Consents, 1)
	require.Len(t, e.Photos, 1)
	var plain map[string]any
	require.NoError(t, json.Unmarshal(a.body, &plain))
	for _, word := range []string{"score", "threshold", "quality", "template", "HOTHERJOB"} {
		require.NotContains(t, string(a.body), word)
	}
	require.NotRegexp(t, `\D0\.(31|42)`, string(a.body), "a score, and not the seconds of a time")
	require.Contains(t, d.actions(), "subject.exported")
	d.do(get, "/v1/subjects/e1/export", d.key("acme", read), nil).problem(403, codeRole)
}
