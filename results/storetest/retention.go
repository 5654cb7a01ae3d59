package storetest

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/results"
)

var retentionCases = []Case{
	{Name: "erasing a subject", Alone: true, Run: erase},
	{Name: "erasing a subject's uploads", Run: eraseUploads},
	{Name: "erasing touches nobody else", Alone: true, Run: eraseAlone},
	{Name: "nothing comes back to an erased subject", Alone: true, Run: erasedStays},
	{Name: "erasing while it is being used", Run: eraseRace},
	{Name: "what is kept long enough goes", Alone: true, Run: expire},
	{Name: "what is not finished is not removed", Alone: true, Run: expireUnfinished},
	{Name: "several sweepers", Alone: true, Run: expireRace},
}

func erase(t *testing.T, s results.Store) {
	ctx := t.Context()
	w := populate(t, s)
	running, runningKey := accept(t, s, w, "running")
	lease := run(t, s, running)
	fresh := w.tenant + "/" + w.subject + "/" + NewID() // somebody is writing this object just now
	require.NoError(t, s.Pend(ctx, []string{fresh}))
	deadSub, err := s.Submission(ctx, w.dead)
	require.NoError(t, err)
	openSub, err := s.Submission(ctx, w.open)
	require.NoError(t, err)

	when := s.Now()
	a := Audit(s, w.tenant, "subject.erased")
	keys, err := s.EraseSubject(ctx, w.tenant, w.subject, when, a)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{w.photo.Key, w.media, w.keyframe, w.print, deadSub.Media.Key, openSub.Media.Key, runningKey}, keys)
	require.ElementsMatch(t, append(keys, fresh), pendingOf(t, s, w.tenant), "pending until they are deleted")
	referenced, err := s.Referenced(ctx, keys)
	require.NoError(t, err)
	require.Empty(t, referenced)

	// The person.
	sub, err := s.Subject(ctx, w.tenant, w.subject)
	require.NoError(t, err)
	require.Equal(t, when, sub.ErasedAt)
	require.Empty(t, sub.Label)
	_, err = s.SubjectKey(ctx, w.tenant, w.subject)
	require.ErrorIs(t, err, results.ErrErased)
	photos, err := s.Photos(ctx, w.tenant, w.subject, 1)
	require.NoError(t, err)
	require.Empty(t, photos)
	templates, err := s.Templates(ctx, w.tenant, w.subject, []string{w.photo.ID}, model)
	require.NoError(t, err)
	require.Empty(t, templates)
	ok, err := s.Consented(ctx, w.tenant, w.subject, results.PurposeFace)
	require.NoError(t, err)
	require.False(t, ok)
	consents, err := s.Consents(ctx, w.tenant, w.subject)
	require.NoError(t, err)
	require.Len(t, consents, 1, "that there was a consent can be shown")
	require.Equal(t, when, consents[0].WithdrawnAt)

	// The jobs.
	for job, want := range map[string]results.JobState{w.done: results.Done, w.dead: results.Dead, w.open: results.Refused, running: results.Refused} {
		j, err := s.Job(ctx, w.tenant, job)
		require.NoError(t, err)
		require.Equal(t, want, j.State)
		if want == results.Refused {
			require.Equal(t, "subject_erased", j.Error.Rule)
			require.NotEmpty(t, j.Error.Text.ZH)
			require.False(t, j.FinishedAt.IsZero())
		}
		sub, err := s.Submission(ctx, job)
		require.NoError(t, err)
		require.JSONEq(t, `{}`, string(sub.Claim))
		require.Empty(t, sub.Media.Key)
		require.Empty(t, sub.Media.Name)
	}
	require.ErrorIs(t, s.Finish(ctx, results.Finish{Job: running, Token: lease.Token, State: results.Refused, Error: &results.JobError{Rule: "x"}}), results.ErrStale)
	require.ErrorIs(t, s.Release(ctx, results.Release{Job: running, Token: lease.Token, RunAt: s.Now()}), results.ErrStale)
	deliveries, err := s.Deliveries(ctx, w.tenant, w.endpoint, results.Page{Limit: 100})
	require.NoError(t, err)
	told := map[string]string{}
	for _, d := range deliveries {
		if d.Type == results.EventJobRefused {
			var e results.Event
			require.NoError(t, json.Unmarshal(d.Payload, &e))
			require.Equal(t, "subject_erased", e.Data.Rule)
			told[d.Job] = e.Data.Job
		}
	}
	require.Equal(t, map[string]string{w.open: w.open, running: running}, told, "their owner is told")

	// The findings.
	_, err = s.Print(ctx, w.tenant, w.done)
	require.ErrorIs(t, err, results.ErrNotFound)
	evidence, err := s.Evidence(ctx, w.tenant, w.done)
	require.NoError(t, err)
	require.Empty(t, evidence)
	v, err := s.Verdict(ctx, w.tenant, w.done, 0)
	require.NoError(t, err)
	require.Equal(t, pipeline.DecisionAbnormal, v.Decision)
	require.Equal(t, []pipeline.Code{"face_mismatch"}, v.Codes)
	for _, word := range []string{"f00dface", `"x"`, `"box"`, "ann.jpg", "face_detail", "place_detail", "another person", "3.4", "3412", "outside_m"} {
		require.NotContains(t, string(v.Body), word)
	}
	var left pipeline.Verdict
	require.NoError(t, json.Unmarshal(v.Body, &left), "it is still a verdict")
	require.Equal(t, []pipeline.Code{"face_mismatch", pipeline.OutsideGeofence, pipeline.SignNotRead}, []pipeline.Code{left.Reasons[0].Code, left.Reasons[1].Code, left.Reasons[2].Code})
	for i, r := range left.Reasons[:2] { // what is said of everybody with this code
		require.Equal(t, policy.BareText(pipeline.Reason{Code: r.Code, Check: r.Check}), r.Text)
		require.NotEmpty(t, r.Text.ZH)
		require.Empty(t, left.Reasons[i].Evidence)
	}
	require.Equal(t, "the sign says “Orchid”", left.Reasons[2].Text.EN, "the site's own")
	require.Len(t, left.Reasons[2].Evidence, 1)
	require.Equal(t, pipeline.Fail, left.Checks[pipeline.CheckPlace].Outcome)
	require.Nil(t, left.Checks[pipeline.CheckPlace].Score)
	require.Nil(t, left.Checks[pipeline.CheckPlace].Threshold)
	require.Equal(t, pipeline.Fail, left.Checks[pipeline.CheckFace].Outcome)
	require.EqualValues(t, 1500, left.Media.Keyframes[0].PTSMS)
	require.Contains(t, string(v.Body), "12345678901234567", "numbers stay as they were")
	var mark struct {
		ErasedAt time.Time `json:"erased_at"`
	}
	require.NoError(t, json.Unmarshal(v.Body, &mark))
	require.Equal(t, when.Truncate(time.Second), mark.ErasedAt)

	_, err = s.Mark(ctx, w.tenant, w.mark)
	require.ErrorIs(t, err, results.ErrNotFound)

	// What was to come.
	_, err = s.Upload(ctx, w.tenant, w.upload.Job)
	require.ErrorIs(t, err, results.ErrErased)
	log, err := s.AuditLog(ctx, w.tenant, results.Page{Limit: 500})
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(log, func(e results.AuditEntry) bool { return e.ID == a.ID && e.Digest != "" }), "which entries it hides")
	due, err := s.Expire(ctx, s.Now().Add(35*24*time.Hour), 100)
	require.NoError(t, err)
	require.Empty(t, due, "only the verdict's end is left")

	// Called again, as after a crash.
	require.NoError(t, s.Forget(ctx, keys[:2]))
	rest, err := s.EraseSubject(ctx, w.tenant, w.subject, s.Now().Add(time.Second), Audit(s, w.tenant, "subject.erased"))
	require.NoError(t, err)
	require.ElementsMatch(t, keys[2:], rest)
	_, err = s.EraseSubject(ctx, w.tenant, "nobody", when, Audit(s, w.tenant, "subject.erased"))
	require.ErrorIs(t, err, results.ErrNotFound)
}

// eraseUploads: whoever looks into the bucket is told that the originals must go; events say nothing of their paths any more.
func eraseUploads(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant, subject := NewTenant(t, s), NewID()
	NewSubject(t, s, tenant, subject)
	waiting, running, other := newUpload(s, tenant, subject), newUpload(s, tenant, subject), newUpload(s, tenant, "e2")
	request := NewID()
	early, _ := written(s, waiting) // its job never starts: too late
	early.HappenedAt = s.Now().Add(2 * time.Hour)
	_, _, err := s.CreateUpload(ctx, waiting, request, Sum("a"))
	require.NoError(t, err)
	got, err := s.Arrive(ctx, early, results.Source{})
	require.NoError(t, err)
	require.Equal(t, results.IntakeUnclaimed, got.State)
	require.Empty(t, got.Job)
	for _, u := range []results.Upload{running, other} {
		_, _, err = s.CreateUpload(ctx, u, "", "")
		require.NoError(t, err)
		for range 2 { // the second writing is a duplicate
			e, src := written(s, u)
			_, err = s.Arrive(ctx, e, src)
			require.NoError(t, err)
		}
	}
	Claim(t, s, running.Job)
	theirs := newUpload(s, tenant, subject)
	theirs.Sub.Source = results.Source{Kind: "bucket", Bucket: theirs.Bucket, Key: theirs.Key}
	_, _, err = s.CreateUpload(ctx, theirs, "", "")
	require.NoError(t, err)

	_, err = s.EraseSubject(ctx, tenant, subject, s.Now(), Audit(s, tenant, "subject.erased"))
	require.NoError(t, err)
	for _, u := range []results.Upload{waiting, running} {
		_, err = s.UploadAt(ctx, u.Bucket, u.Key)
		require.ErrorIs(t, err, results.ErrErased)
		_, err = s.Upload(ctx, tenant, u.Job)
		require.ErrorIs(t, err, results.ErrErased)
	}
	_, err = s.UploadAt(ctx, theirs.Bucket, theirs.Key)
	require.ErrorIs(t, err, results.ErrNotFound, "its path may name the person")
	_, err = s.UploadAt(ctx, other.Bucket, other.Key)
	require.NoError(t, err)
	require.Equal(t, results.Refused, Read(t, s, running.Job).State)
	_, _, err = s.CreateUpload(ctx, newUpload(s, tenant, subject), request, Sum("a"))
	require.ErrorIs(t, err, results.ErrErased)

	again, src := written(s, waiting) // by a URL that is still valid
	got, err = s.Arrive(ctx, again, src)
	require.NoError(t, err)
	require.Equal(t, results.IntakeUnclaimed, got.State)
	_, err = s.Job(ctx, tenant, waiting.Job)
	require.ErrorIs(t, err, results.ErrNotFound)
	all, err := s.IntakeEvents(ctx, tenant, "", results.Page{})
	require.NoError(t, err)
	require.Len(t, all, 6)
	for _, e := range all {
		if e.Job == other.Job {
			require.Equal(t, other.Key, e.Key)
			require.NotEmpty(t, e.Raw)
		} else {
			require.Empty(t, e.Key)
			require.Empty(t, e.Raw)
		}
	}
}

func eraseAlone(t *testing.T, s results.Store) {
	ctx := t.Context()
	w := populate(t, s)
	neighbour := populate(t, s) // the same ids in another tenant
	enrolled(t, s, w.tenant, "e1x", 1)
	other := w
	other.subject = "e1x"
	job, _ := accept(t, s, other, "of the other")
	before := snapshot(t, s, neighbour)
	_, err := s.EraseSubject(ctx, w.tenant, w.subject, s.Now(), Audit(s, w.tenant, "subject.erased"))
	require.NoError(t, err)
	require.Equal(t, before, snapshot(t, s, neighbour))
	photos, err := s.Photos(ctx, w.tenant, "e1x", 0)
	require.NoError(t, err)
	require.Len(t, photos, 1)
	j, err := s.Job(ctx, w.tenant, job)
	require.NoError(t, err)
	require.Equal(t, results.Accepted, j.State)
}

func erasedStays(t *testing.T, s results.Store) {
	ctx := t.Context()
	w := populate(t, s)
	_, err := s.EraseSubject(ctx, w.tenant, w.subject, s.Now(), Audit(s, w.tenant, "subject.erased"))
	require.NoError(t, err)
	a := func() results.AuditEntry { return Audit(s, w.tenant, "test") }
	for name, try := range map[string]struct {
		err, want error
	}{
		"CreateSubject": {s.CreateSubject(ctx, results.Subject{Tenant: w.tenant, ID: w.subject, CreatedAt: s.Now()}, a()), results.ErrExists},
		"Relabel":       {second(s.Relabel(ctx, w.tenant, w.subject, "Ann", a())), results.ErrErased},
		"Enrol":         {second(s.Enrol(ctx, w.tenant, w.subject, -1, []results.Photo{NewPhoto(s, w.tenant, w.subject)}, nil, nil, a())), results.ErrErased},
		"GiveConsent": {s.GiveConsent(ctx, results.Consent{ID: NewID(), Tenant: w.tenant, Subject: w.subject, Purpose: results.PurposeFace, GivenAt: s.Now()}, a()),
			results.ErrErased},
		"CreateSubjectKey": {second(s.CreateSubjectKey(ctx, results.SubjectKey{Tenant: w.tenant, Subject: w.subject, Wrapped: []byte("new"), CreatedAt: s.Now()})), results.ErrErased},
		"Requeue":          {second(s.Requeue(ctx, w.tenant, w.dead, a())), results.ErrErased},
		"Revise": {s.Revise(ctx, results.Verdict{Job: w.done, Tenant: w.tenant, Subject: w.subject, Site: w.site, Revision: 2, Decision: pipeline.DecisionAbnormal,
			Body: body(w, w.done), SubmittedAt: s.Now(), CreatedAt: s.Now()}, a(), results.EventVerdictRevised, NewID(), []byte("{}")), results.ErrErased},
	} {
		require.ErrorIs(t, try.err, try.want, name)
	}
	sub := submission(s, w, NewID())
	_, _, err = s.Accept(ctx, results.NewSubmission{Sub: sub, Audit: a()})
	require.ErrorIs(t, err, results.ErrErased)
	_, _, err = s.CreateUpload(ctx, results.Upload{Job: NewID(), Tenant: w.tenant, Bucket: "b", Key: NewID(), Sub: sub, CreatedAt: s.Now(), ExpiresAt: s.Now().Add(time.Hour)}, "", "")
	require.ErrorIs(t, err, results.ErrErased)
	// A subject who never had a key gets none afterwards either.
	NewSubject(t, s, w.tenant, "keyless")
	_, err = s.EraseSubject(ctx, w.tenant, "keyless", s.Now(), a())
	require.NoError(t, err)
	_, err = s.CreateSubjectKey(ctx, results.SubjectKey{Tenant: w.tenant, Subject: "keyless", Wrapped: []byte("new"), CreatedAt: s.Now()})
	require.ErrorIs(t, err, results.ErrErased)
}

func second[T any](_ T, err error) error { return err }

// eraseRace erases subjects while others enrol, accept and finish for them: whoever comes first, nothing is left behind.
func eraseRace(t *testing.T, s results.Store) {
	ctx := t.Context()
	w := world{tenant: NewTenant(t, s), site: "store-1", policy: "strict"}
	for round := range 6 {
		w.subject = "r" + string(rune('a'+round))
		NewSubject(t, s, w.tenant, w.subject)
		give(t, s, w.tenant, w.subject)
		up, _, err := s.CreateUpload(ctx, results.Upload{Job: NewID(), Tenant: w.tenant, Bucket: "b", Key: NewID(), Sub: submission(s, w, ""),
			CreatedAt: s.Now(), ExpiresAt: s.Now().Add(time.Hour)}, "", "")
		require.NoError(t, err)
		var mu sync.Mutex
		var jobs []string
		errs := make([]error, 10)
		together(10, func(i int) {
			switch {
			case i == 9:
				var e results.IntakeEvent
				e, errs[i] = s.Arrive(ctx, results.IntakeEvent{ID: NewID(), Source: "webhook", Raw: []byte("{}"), Bucket: up.Bucket, Key: up.Key, ETag: "1", ReceivedAt: s.Now()}, results.Source{Kind: "upload"})
				mu.Lock()
				defer mu.Unlock()
				if e.State == results.IntakeStarted {
					jobs = append(jobs, e.Job)
				}
			case i == 4:
				_, errs[i] = s.EraseSubject(ctx, w.tenant, w.subject, s.Now(), Audit(s, w.tenant, "subject.erased"))
			case i%2 == 0:
				p := NewPhoto(s, w.tenant, w.subject)
				_, errs[i] = s.Enrol(ctx, w.tenant, w.subject, -1, []results.Photo{p}, []results.Template{templateOf(p, "v")}, nil, results.AuditEntry{})
			default:
				sub := submission(s, w, NewID())
				sub.Media.Key = w.tenant + "/" + w.subject + "/" + NewID()
				_, _, errs[i] = s.Accept(ctx, results.NewSubmission{Sub: sub})
				mu.Lock()
				defer mu.Unlock()
				if errs[i] == nil {
					jobs = append(jobs, sub.Job)
				}
			}
		})
		for i, err := range errs {
			if i == 4 {
				require.NoError(t, err)
			} else if err != nil {
				require.ErrorIs(t, err, results.ErrErased)
			}
		}
		photos, err := s.Photos(ctx, w.tenant, w.subject, 0)
		require.NoError(t, err)
		require.Empty(t, photos)
		for _, job := range jobs {
			j, err := s.Job(ctx, w.tenant, job)
			require.NoError(t, err)
			require.Equal(t, results.Refused, j.State)
			sub, err := s.Submission(ctx, job)
			require.NoError(t, err)
			require.Empty(t, sub.Media.Key)
			require.JSONEq(t, `{}`, string(sub.Claim))
		}
	}
	require.NoError(t, s.EachTemplate(ctx, w.tenant, model, func(results.Template) error { t.Error("a template is left"); return nil }))
}

func expire(t *testing.T, s results.Store) {
	ctx := t.Context()
	w := populate(t, s)
	after := func(days int) []string {
		keys, err := s.Expire(ctx, s.Now().Add(time.Duration(days)*24*time.Hour), 100)
		require.NoError(t, err)
		return keys
	}
	deadSub, err := s.Submission(ctx, w.dead)
	require.NoError(t, err)
	counts, err := s.Counts(ctx, w.tenant)
	require.NoError(t, err)
	require.EqualValues(t, 1, counts.ByState[results.Done])

	require.Empty(t, after(9))
	require.ElementsMatch(t, []string{w.media, deadSub.Media.Key}, after(11))
	require.ElementsMatch(t, []string{w.media, deadSub.Media.Key}, pendingOf(t, s, w.tenant), "pending until they are deleted")
	require.Empty(t, after(11), "once")
	sub, err := s.Submission(ctx, w.done)
	require.NoError(t, err)
	require.Empty(t, sub.Media.Key)
	require.NotEmpty(t, sub.Media.SHA256)

	require.Equal(t, []string{w.keyframe}, after(21))
	evidence, err := s.Evidence(ctx, w.tenant, w.done)
	require.NoError(t, err)
	require.Empty(t, evidence)
	require.Equal(t, []string{w.print}, after(31))
	_, err = s.Print(ctx, w.tenant, w.done)
	require.ErrorIs(t, err, results.ErrNotFound)
	_, err = s.Verdict(ctx, w.tenant, w.done, 0)
	require.NoError(t, err)

	require.Empty(t, after(41))
	_, err = s.Mark(ctx, w.tenant, w.mark)
	require.ErrorIs(t, err, results.ErrNotFound)
	for _, job := range []string{w.done, w.dead} {
		_, err = s.Job(ctx, w.tenant, job)
		require.ErrorIs(t, err, results.ErrNotFound)
		_, err = s.Submission(ctx, job)
		require.ErrorIs(t, err, results.ErrNotFound)
	}
	verdicts, err := s.Verdicts(ctx, w.tenant, results.VerdictFilter{Code: "face_mismatch", AllRevisions: true}, results.Page{})
	require.NoError(t, err)
	require.Empty(t, verdicts)
	counts, err = s.Counts(ctx, w.tenant)
	require.NoError(t, err)
	require.Zero(t, counts.ByState[results.Done])
	_, err = s.Job(ctx, w.tenant, w.open)
	require.NoError(t, err, "what waits stays")
	// The key of a request is forgotten after a while, so that the same key makes a new job.
	sub = submission(s, w, NewID())
	_, again, err := s.Accept(ctx, results.NewSubmission{Sub: sub, Idempotency: "first", BodySHA256: "another body"})
	require.NoError(t, err)
	require.False(t, again)

	// An early end of the verdict takes everything else along.
	w2 := populate(t, s)
	keys, err := s.Expire(ctx, s.Now().Add(45*24*time.Hour), 1000)
	require.NoError(t, err)
	own := 0
	for _, key := range keys {
		if strings.HasPrefix(key, w2.tenant+"/") {
			own++
		}
	}
	require.Equal(t, 4, own, "two media, a keyframe, a print")
	_, err = s.Print(ctx, w2.tenant, w2.done)
	require.ErrorIs(t, err, results.ErrNotFound)
}

func expireUnfinished(t *testing.T, s results.Store) {
	ctx := t.Context()
	w := populate(t, s)
	_, err := s.Requeue(ctx, w.tenant, w.dead, Audit(s, w.tenant, "job.requeued"))
	require.NoError(t, err)
	sub, err := s.Submission(ctx, w.dead)
	require.NoError(t, err)
	keys, err := s.Expire(ctx, s.Now().Add(11*24*time.Hour), 100)
	require.NoError(t, err)
	require.Equal(t, []string{w.media}, keys)
	still, err := s.Submission(ctx, w.dead)
	require.NoError(t, err)
	require.Equal(t, sub, still)
	finish(t, s, w, w.dead, results.Dead)
	keys, err = s.Expire(ctx, s.Now().Add(13*24*time.Hour), 100)
	require.NoError(t, err)
	require.Equal(t, []string{sub.Media.Key}, keys, "its time comes after its end")
}

func expireRace(t *testing.T, s results.Store) {
	ctx := t.Context()
	w := populate(t, s)
	const n = 8
	got := make([][]string, n)
	errs := make([]error, n)
	now := s.Now().Add(100 * 24 * time.Hour)
	for range 4 { // each takes two deadlines at a time
		together(n, func(i int) {
			var some []string
			if some, errs[i] = s.Expire(ctx, now, 2); errs[i] == nil {
				got[i] = append(got[i], some...)
			}
		})
		for _, err := range errs {
			require.NoError(t, err)
		}
	}
	var all []string
	for _, keys := range got {
		all = append(all, keys...)
	}
	require.Len(t, all, 4)
	require.ElementsMatch(t, pendingOf(t, s, w.tenant), all)
}
