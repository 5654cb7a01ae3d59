package storetest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/results"
)

// world is one tenant with something of everything.
type world struct {
	tenant, subject, site string
	photo                 results.Photo
	done, open, dead      string // jobs
	media, keyframe       string // object keys of the done job
	print                 string
	upload                results.Upload
	event                 string
	endpoint, delivery    string
	key, policy           string
	mark                  string // a background of the done job
	challenge             string // that nobody used
	entry                 string // of the audit log
	gap                   string // sha256 of a model that cannot use the photo
}

// populate makes a tenant with a subject that has a done job with all its parts, a waiting and a dead one, an upload that is waited for,
// and configuration. It needs a store of its own.
func populate(t *testing.T, s results.Store) world {
	t.Helper()
	ctx := t.Context()
	w := world{tenant: NewTenant(t, s), subject: "e1", site: "store-1", policy: "strict", key: NewID()}
	require.NoError(t, s.CreateKey(ctx, results.APIKey{ID: w.key, Tenant: w.tenant, Name: "k", Roles: results.Roles, SHA256: []byte("x"), CreatedAt: s.Now()}, Audit(s, w.tenant, "key.created")))
	w.photo = enrolled(t, s, w.tenant, w.subject, 1)[0]
	_, err := s.CreateSubjectKey(ctx, results.SubjectKey{Tenant: w.tenant, Subject: w.subject, Wrapped: []byte("wrapped"), KEK: "k", CreatedAt: s.Now()})
	require.NoError(t, err)
	_, err = s.PutSite(ctx, results.Site{Tenant: w.tenant, ID: w.site, CreatedAt: s.Now()}, 0, Audit(s, w.tenant, "site.changed"))
	require.NoError(t, err)
	_, err = s.PutPolicy(ctx, results.Policy{Tenant: w.tenant, Name: w.policy, YAML: []byte("x"), CreatedAt: s.Now()}, 0, Audit(s, w.tenant, "policy.changed"))
	require.NoError(t, err)
	w.endpoint = NewID()
	_, err = s.PutEndpoint(ctx, results.Endpoint{ID: w.endpoint, Tenant: w.tenant, URL: "https://example.com/hook", Keys: []byte("sealed"), CreatedAt: s.Now()}, 0, Audit(s, w.tenant, "webhook.changed"))
	require.NoError(t, err)

	w.done, w.media = accept(t, s, w, "first")
	w.keyframe, w.print = w.tenant+"/"+w.subject+"/"+NewID(), w.tenant+"/"+w.subject+"/"+NewID()
	require.NoError(t, s.Pend(ctx, []string{w.keyframe, w.print}))
	finish(t, s, w, w.done, results.Done)
	w.mark = NewID()
	_, err = s.CreateMark(ctx, results.Mark{ID: w.mark, Tenant: w.tenant, Kind: results.MarkBackground, Job: w.done, Hash: "f00dface", Actor: w.key, CreatedAt: s.Now()}, Audit(s, w.tenant, "mark.created"))
	require.NoError(t, err)
	w.challenge = issue(t, s, w.tenant, w.subject).ID
	w.gap = Sum("a model that cannot use the photo")
	require.NoError(t, s.PutModelGap(ctx, results.ModelGap{Model: w.gap, Tenant: w.tenant, Photo: w.photo.ID, Why: results.Because("no_face", "no face", "无人脸")}))
	require.NoError(t, s.PutShadowRun(ctx, results.ShadowRun{Model: "candidate", Job: w.done, Tenant: w.tenant, Subject: w.subject, Before: "pass", After: "pass", Same: true}))
	w.dead, _ = accept(t, s, w, "second")
	finish(t, s, w, w.dead, results.Dead)
	_, err = s.Sequence(ctx, 100)
	require.NoError(t, err)
	SequenceAll(t, s)
	head, err := s.LogHead(ctx, w.tenant)
	require.NoError(t, err)
	require.NoError(t, s.PutCheckpoint(ctx, results.Checkpoint{Tenant: w.tenant, Size: head.Size, Note: "note", At: s.Now()}))
	_, err = s.CreateLogKey(ctx, results.LogKey{Tenant: w.tenant, Public: "public", Sealed: []byte("sealed"), CreatedAt: s.Now()})
	require.NoError(t, err)
	logged, err := s.LogEntries(ctx, w.tenant, 0, 1)
	require.NoError(t, err)
	w.entry = logged[0].ID
	w.open, _ = accept(t, s, w, "third")

	job := NewID()
	w.upload, _, err = s.CreateUpload(ctx, results.Upload{Job: job, Tenant: w.tenant, Bucket: "uploads-" + w.tenant, Key: "in/" + job, MaxBytes: 1 << 20,
		Sub: submission(s, w, job), CreatedAt: s.Now(), ExpiresAt: s.Now().Add(time.Hour)}, "", "")
	require.NoError(t, err)
	require.NoError(t, s.PutBucketMap(ctx, results.BucketMap{Bucket: w.upload.Bucket, Prefix: "in/", Tenant: w.tenant, CreatedAt: s.Now()}, Audit(s, w.tenant, "bucket.mapped")))
	w.event = NewID()
	require.NoError(t, s.RecordEvent(ctx, results.IntakeEvent{ID: w.event, Tenant: w.tenant, Source: "webhook", Raw: []byte("{}"), Bucket: w.upload.Bucket,
		Key: "in/else", State: results.IntakeUnclaimed, ReceivedAt: s.Now()}))
	all, err := s.Deliveries(ctx, w.tenant, w.endpoint, results.Page{})
	require.NoError(t, err)
	require.NotEmpty(t, all)
	w.delivery = all[0].ID
	return w
}

func submission(s results.Store, w world, job string) results.Submission {
	return results.Submission{Job: job, Tenant: w.tenant, Subject: w.subject, Site: w.site, Policy: w.policy, PolicyRev: 1,
		Claim:      json.RawMessage(fmt.Sprintf(`{"subject":%q,"site":%q,"device":{"id":"phone-of-%s"}}`, w.subject, w.site, w.subject)),
		Source:     results.Source{Kind: "api"},
		ReceivedAt: s.Now()}
}

// accept submits media and gives the job and the key of the media.
func accept(t *testing.T, s results.Store, w world, what string) (job, key string) {
	t.Helper()
	job, key = NewID(), w.tenant+"/"+w.subject+"/"+NewID()
	require.NoError(t, s.Pend(t.Context(), []string{key}))
	sub := submission(s, w, job)
	sub.Media = results.Media{Key: key, SHA256: Sum(w.tenant + what), Bytes: 99, Name: "clip of " + w.subject + ".mp4"}
	_, again, err := s.Accept(t.Context(), results.NewSubmission{Sub: sub, Idempotency: what, BodySHA256: Sum(what), Keep: []string{key}, Audit: Audit(s, w.tenant, "submission.accepted")})
	require.NoError(t, err)
	require.False(t, again)
	return job, key
}

// run claims a job that was accepted.
func run(t *testing.T, s results.Store, job string) results.Lease {
	t.Helper()
	ctx := t.Context()
	jobs, err := s.Dispatch(ctx, 100, results.PriorityBulk)
	require.NoError(t, err)
	for _, j := range jobs {
		if j.ID == job {
			lease, err := s.Claim(ctx, job, j.Attempt, "worker", time.Minute, time.Minute)
			require.NoError(t, err)
			return lease
		}
	}
	t.Fatalf("job %s was not dispatched", job)
	return results.Lease{}
}

// body is a verdict as the core makes it, with everything that says something about a body.
func body(w world, job string) []byte {
	text, err := json.Marshal(pipeline.Verdict{Schema: "onsite.verdict/1", Job: job, Tenant: w.tenant, Subject: w.subject, Site: w.site, Decision: pipeline.DecisionAbnormal,
		Media: pipeline.MediaInfo{SHA256: Sum("media"), Kind: "video", Keyframes: []pipeline.Keyframe{{Index: 3, PTSMS: 1500, PHash: "f00dface"}}},
		Reasons: []pipeline.Reason{{Code: "face_mismatch", Check: pipeline.CheckFace, Text: pipeline.Text{EN: "another person", ZH: "不是本人"},
			Evidence: []pipeline.Evidence{{Kind: "keyframe", Box: &pipeline.Box{X: 11, Y: 22, W: 33, H: 44}, Reference: "front-of-ann.jpg", Label: "face"}}},
			{Code: pipeline.OutsideGeofence, Check: pipeline.CheckPlace, Text: pipeline.Text{EN: "3.4 km from the site", ZH: "相距 3.4 公里"},
				Evidence: []pipeline.Evidence{{Kind: "fact", Label: "outside_m", Read: "3.4 km"}}},
			{Code: pipeline.SignNotRead, Check: pipeline.CheckScene, Text: pipeline.Text{EN: "the sign says “Orchid”", ZH: "招牌为“Orchid”"},
				Evidence: []pipeline.Evidence{{Kind: "text", Label: "sign", Read: "Orchid"}}}},
		Checks: map[pipeline.CheckName]pipeline.Check{
			pipeline.CheckFace:  {Outcome: pipeline.Fail, Frames: 12, Detail: map[string]any{"face_detail": 1}},
			pipeline.CheckPlace: {Outcome: pipeline.Fail, Score: new(3412.0), Threshold: new(41.0), Detail: map[string]any{"place_detail": 1}},
			pipeline.CheckReuse: {Outcome: pipeline.Pass, Detail: map[string]any{"compared": 12345678901234567}},
		}})
	if err != nil {
		panic(err)
	}
	return text
}

// finish runs a job to its end with everything that a worker writes.
func finish(t *testing.T, s results.Store, w world, job string, state results.JobState) {
	t.Helper()
	lease := run(t, s, job)
	in := func(days int) time.Time { return s.Now().Add(time.Duration(days) * 24 * time.Hour) }
	f := results.Finish{Job: job, Token: lease.Token, State: state, Audit: Audit(s, w.tenant, "job.ended"), Event: results.EventVerdictCreated, Message: NewID(), Payload: []byte(`{}`),
		Deadline: []results.Deadline{{Tenant: w.tenant, Subject: w.subject, Kind: results.DeadlineMedia, Job: job, Due: in(10)},
			{Tenant: w.tenant, Subject: w.subject, Kind: results.DeadlineVerdict, Job: job, Due: in(40)}}}
	if state != results.Done {
		f.Event, f.Error = results.EventJobDead, &results.JobError{Rule: "failed", Text: pipeline.Text{EN: "it failed", ZH: "失败"}}
		require.NoError(t, s.Finish(t.Context(), f))
		return
	}
	f.Verdict = &results.Verdict{Job: job, Tenant: w.tenant, Subject: w.subject, Site: w.site, Revision: 1, Decision: pipeline.DecisionAbnormal,
		Codes: []pipeline.Code{"face_mismatch"}, Policy: w.policy, Body: body(w, job), SubmittedAt: s.Now(), CreatedAt: s.Now()}
	f.Evidence = []results.Evidence{{Job: job, Revision: 1, Tenant: w.tenant, Subject: w.subject, Kind: "keyframe", Key: w.keyframe, SHA256: Sum("k"), Bytes: 5}}
	f.Print = &results.Print{Job: job, Tenant: w.tenant, Subject: w.subject, Site: w.site, Scope: "site", Format: 1, SHA256: lease.Sub.Media.SHA256, Packets: Sum("packets"), Key: w.print, Bytes: 7, AcceptedAt: s.Now()}
	f.Frames = []results.FrameHash{{AtMS: 1500, Hash: [4]uint64{1, 2, 3, 4}}}
	f.Keep = []string{w.keyframe, w.print}
	f.Deadline = append(f.Deadline, results.Deadline{Tenant: w.tenant, Subject: w.subject, Kind: results.DeadlineKeyframes, Job: job, Due: in(20)},
		results.Deadline{Tenant: w.tenant, Subject: w.subject, Kind: results.DeadlinePrint, Job: job, Due: in(30)})
	require.NoError(t, s.Finish(t.Context(), f))
}
