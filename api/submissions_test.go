package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/results"
)

func TestSubmitForm(t *testing.T) {
	s := newStage(t)
	a := s.submit(s.key("acme", submit), []string{"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		"subject", "e1", "site", "store-17", "taken_at", "2026-11-22T09:00:00+08:00", "policy", "video15", "priority", "bulk", "@media", "some footage")
	require.Equal(t, http.StatusAccepted, a.status, string(a.body))
	var got AcceptedJob
	a.into(&got)
	require.Equal(t, "/v1/jobs/"+got.Job, a.header.Get("Location"))
	require.Equal(t, results.Accepted, got.State)
	require.Equal(t, linksOf(got.Job), got.Links)
	sub, err := s.store.Submission(t.Context(), got.Job)
	require.NoError(t, err)
	require.Equal(t, "acme", sub.Tenant)
	require.Equal(t, "e1", sub.Subject)
	require.Equal(t, "video15", sub.Policy)
	require.Equal(t, results.PriorityBulk, sub.Priority)
	require.Contains(t, sub.TraceParent, "00-0af7651916cd43dd8448eb211c80319c-", "the job goes on with the caller's trace")
	require.Equal(t, "clip.mp4", sub.Media.Name)
	require.EqualValues(t, len("some footage"), sub.Media.Bytes)
	var claim pipeline.Claim
	require.NoError(t, json.Unmarshal(sub.Claim, &claim))
	require.Equal(t, pipeline.Claim{Job: got.Job, Tenant: "acme", Subject: "e1", Site: "store-17", TakenAt: time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)}, claim)
	file, err := s.vault.Read(t.Context(), sub.Media.Key, 100)
	require.NoError(t, err)
	require.Equal(t, "some footage", string(file))
	orphans, err := s.store.Orphans(t.Context(), s.now().Add(time.Hour), 10)
	require.NoError(t, err)
	require.Empty(t, orphans, "the object belongs to the job now")
	require.Equal(t, 1, s.bell.rings(results.BellWork))
	require.Contains(t, s.logs.String(), got.Job)
	require.NotContains(t, s.logs.String(), "e1\"", "no person in the log")
}

func TestSubmitFormWithClaim(t *testing.T) {
	s := newStage(t)
	claim := `{"subject":"e2","location":{"latitude":31.2,"longitude":121.5,"accuracy_m":12},"beacons":["b1"],"device":{"id":"d","model":"m","mock_location":true}}`
	a := s.submit(s.key("acme", submit), nil, "claim", claim, "@media", "x")
	require.Equal(t, http.StatusAccepted, a.status, string(a.body))
	var got AcceptedJob
	a.into(&got)
	sub, err := s.store.Submission(t.Context(), got.Job)
	require.NoError(t, err)
	var c pipeline.Claim
	require.NoError(t, json.Unmarshal(sub.Claim, &c))
	require.Equal(t, &pipeline.Location{Latitude: 31.2, Longitude: 121.5, AccuracyM: 12}, c.Location)
	require.Equal(t, []string{"b1"}, c.Beacons)
	require.Equal(t, &pipeline.Device{ID: "d", Model: "m", MockLocation: true}, c.Device)
	require.True(t, c.TakenAt.IsZero())
}

func TestSubmitFormsThatAreWrong(t *testing.T) {
	s := newStage(t, func(s *Server) { s.Limits.MediaBytes = 1000 })
	key := s.key("acme", submit)
	for name, c := range map[string]struct {
		parts  []string
		status int
		code   code
		field  string
		fault  string
	}{
		"no subject":           {[]string{"site", "store-17", "@media", "x"}, 422, codeInvalid, "form.subject", "missing"},
		"subject of no form":   {[]string{"subject", "../e1", "@media", "x"}, 422, codeInvalid, "form.subject", "pattern"},
		"unknown subject":      {[]string{"subject", "nobody", "@media", "x"}, 422, codeInvalid, "form.subject", "unknown"},
		"unknown site":         {[]string{"subject", "e1", "site", "nowhere", "@media", "x"}, 422, codeInvalid, "form.site", "unknown"},
		"unknown policy":       {[]string{"subject", "e1", "policy", "none", "@media", "x"}, 422, codeInvalid, "form.policy", "unknown"},
		"priority":             {[]string{"subject", "e1", "priority", "now", "@media", "x"}, 422, codeInvalid, "form.priority", "choice"},
		"time":                 {[]string{"subject", "e1", "taken_at", "today", "@media", "x"}, 422, codeInvalid, "form.taken_at", "time"},
		"no media":             {[]string{"subject", "e1"}, 422, codeInvalid, "form.media", "missing"},
		"empty media":          {[]string{"subject", "e1", "@media", ""}, 422, codeInvalid, "form.media", "missing"},
		"field after media":    {[]string{"@media", "x", "subject", "e1"}, 422, codeInvalid, "form.media", "order"},
		"more after media":     {[]string{"subject", "e1", "@media", "x", "site", "store-17"}, 422, codeInvalid, "form.site", "order"},
		"unknown field":        {[]string{"subject", "e1", "colour", "red", "@media", "x"}, 422, codeInvalid, "form.colour", "unknown_field"},
		"field twice":          {[]string{"subject", "e1", "subject", "e2", "@media", "x"}, 422, codeInvalid, "form.subject", "repeated"},
		"claim and fields":     {[]string{"claim", `{"subject":"e1"}`, "site", "store-17", "@media", "x"}, 422, codeInvalid, "form.claim", "repeated"},
		"claim is no JSON":     {[]string{"claim", `{subject}`, "@media", "x"}, 400, codeUnreadable, "form.claim", "json"},
		"claim twice JSON":     {[]string{"claim", `{"subject":"e1"}{}`, "@media", "x"}, 400, codeUnreadable, "form.claim", "json"},
		"claim unknown field":  {[]string{"claim", `{"subject":"e1","tenant":"other"}`, "@media", "x"}, 422, codeInvalid, "form.claim.tenant", "unknown_field"},
		"claim wrong type":     {[]string{"claim", `{"subject":7}`, "@media", "x"}, 422, codeInvalid, "form.claim.subject", "type"},
		"claim other case":     {[]string{"claim", `{"subject":"e1","Subject":"e2"}`, "@media", "x"}, 422, codeInvalid, "form.claim.Subject", "unknown_field"},
		"latitude":             {[]string{"claim", `{"subject":"e1","location":{"latitude":91,"longitude":0}}`, "@media", "x"}, 422, codeInvalid, "form.claim.location.latitude", "too_large"},
		"half a location":      {[]string{"claim", `{"subject":"e1","location":{"latitude":1}}`, "@media", "x"}, 422, codeInvalid, "form.claim.location.longitude", "missing"},
		"empty beacon":         {[]string{"claim", `{"subject":"e1","beacons":[""]}`, "@media", "x"}, 422, codeInvalid, "form.claim.beacons[0]", "too_long"},
		"claim is a list":      {[]string{"claim", `[]`, "@media", "x"}, 422, codeInvalid, "form.claim", "type"},
		"field over limit":     {[]string{"claim", strings.Repeat(" ", claimBytes+1), "@media", "x"}, 413, codeTooLarge, "form.claim", "too_large"},
		"media before fields":  {[]string{"@media", strings.Repeat("x", 900)}, 422, codeInvalid, "form.media", "order"},
		"media over limit":     {[]string{"subject", "e1", "@media", strings.Repeat("x", 1001)}, 413, codeTooLarge, "form.media", "too_large"},
		"media far over limit": {[]string{"subject", "e1", "@media", strings.Repeat("x", 3<<20)}, 413, codeTooLarge, "form.media", "too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.submit(key, nil, c.parts...)
			f := a.field(c.status, c.code, c.field, c.fault)
			if c.fault == "too_large" && c.status == 413 {
				require.NotNil(t, f.Limit, "the limit is named")
			}
			s.clean()
		})
	}
	a := s.submit(key, nil, "subject", "e1", "@media", strings.Repeat("x", 1000))
	require.Equal(t, http.StatusAccepted, a.status, "exactly the limit is taken")
}

func TestSubmitOtherBodies(t *testing.T) {
	s := newStage(t)
	key := s.key("acme", submit)
	for kind, want := range map[string]code{"": codeContentType, "text/plain": codeContentType, "multipart/form-data": codeContentType, "multipart/mixed; boundary=x": codeContentType, "application/xml": codeContentType} {
		s.do(http.MethodPost, "/v1/submissions", key, strings.NewReader("x"), "Content-Type", kind).problem(415, want)
	}
	s.do(http.MethodPost, "/v1/submissions", key, strings.NewReader("no form at all"), "Content-Type", "multipart/form-data; boundary=x").field(422, codeInvalid, "form.media", "missing")
	s.do(http.MethodPost, "/v1/submissions", key, strings.NewReader(""), "Content-Type", "application/json").problem(400, codeNoBody)
	body, kind := form(t, "subject", "e1", "@media", strings.Repeat("footage", 100))
	raw, err := bufio.NewReader(body).Peek(600)
	require.NoError(t, err)
	s.do(http.MethodPost, "/v1/submissions", key, strings.NewReader(string(raw)), "Content-Type", kind).problem(400, codeUnreadable)
	s.do(http.MethodPost, "/v1/submissions", key, `{"subject":"`+strings.Repeat("x", 1<<20)+`"}`).field(413, codeTooLarge, "body", "too_large")
	p := s.do(http.MethodPost, "/v1/submissions?debug=1", key, `{}`).field(422, codeInvalid, "query.debug", "unknown_field")
	require.NotEmpty(t, p.Detail)
	s.clean()
}

// TestDisconnect cuts the connection in the middle of the file: nothing may be left.
func TestDisconnect(t *testing.T) {
	s := newStage(t)
	for _, cut := range []int{10, 200, 60_000, 300_000} {
		conn, err := net.Dial("tcp", s.http.Listener.Addr().String())
		require.NoError(t, err)
		body, kind := form(t, "subject", "e1", "@media", strings.Repeat("footage", 100_000))
		raw := make([]byte, cut)
		_, err = body.Read(raw)
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "POST /v1/submissions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: 700500\r\nIdempotency-Key: cut-%d\r\nX-Request-Id: cut-request-%d\r\n\r\n%s",
			s.key("acme", submit), kind, cut, cut, raw)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		require.Eventually(t, func() bool { return strings.Contains(s.logs.String(), fmt.Sprintf("cut-request-%d", cut)) }, time.Minute, time.Millisecond)
		s.clean()
		earlier, err := s.store.Reserve(t.Context(), "acme", fmt.Sprintf("cut-%d", cut), s.now().Add(time.Minute))
		require.NoError(t, err, "the idempotency key is free again")
		require.Empty(t, earlier)
	}
}

// TestSilentClient: a client that sends nothing any more is let go.
func TestSilentClient(t *testing.T) {
	s := newStage(t, func(s *Server) { s.Limits.ReadIdle = 50 * time.Millisecond })
	conn, err := net.Dial("tcp", s.http.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	body, kind := form(t, "subject", "e1", "@media", strings.Repeat("footage", 100))
	raw := make([]byte, 400)
	_, err = body.Read(raw)
	require.NoError(t, err)
	_, err = fmt.Fprintf(conn, "POST /v1/submissions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: 2000\r\n\r\n%s", s.key("acme", submit), kind, raw)
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusRequestTimeout, resp.StatusCode)
	s.clean()
}

func (s *stage) mapBucket(tenant, bucket, prefix string) {
	s.t.Helper()
	require.NoError(s.t, s.store.PutBucketMap(context.Background(), results.BucketMap{Bucket: bucket, Prefix: prefix, Tenant: tenant, CreatedAt: s.now()}, s.audit(tenant)))
}

func TestSubmitObject(t *testing.T) {
	s := newStage(t)
	s.mapBucket("acme", "clips", "acme/")
	s.mapBucket("other", "clips", "other/")
	key := s.key("acme", submit)
	a := s.do(http.MethodPost, "/v1/submissions", key, `{"subject":"e1","site":"store-17","object":{"bucket":"clips","key":"acme/1.mp4","version":"v1","etag":"\"abc\""}}`)
	require.Equal(t, http.StatusAccepted, a.status, string(a.body))
	var got AcceptedJob
	a.into(&got)
	sub, err := s.store.Submission(t.Context(), got.Job)
	require.NoError(t, err)
	require.Equal(t, results.Source{Kind: "bucket", Bucket: "clips", Key: "acme/1.mp4", Version: "v1", ETag: "abc"}, sub.Source)
	require.Empty(t, sub.Media.Key)

	for name, c := range map[string]struct{ body, field, fault string }{
		"no object":       {`{"subject":"e1"}`, "body.object", "missing"},
		"no bucket":       {`{"subject":"e1","object":{"key":"acme/1.mp4"}}`, "body.object.bucket", "missing"},
		"no subject":      {`{"object":{"bucket":"clips","key":"acme/1.mp4"}}`, "body.subject", "missing"},
		"unknown subject": {`{"subject":"x","object":{"bucket":"clips","key":"acme/1.mp4"}}`, "body.subject", "unknown"},
		"unknown field":   {`{"subject":"e1","tenant":"other","object":{"bucket":"clips","key":"acme/1.mp4"}}`, "body.tenant", "unknown_field"},
		"wrong type":      {`{"subject":["e1"],"object":{"bucket":"clips","key":"acme/1.mp4"}}`, "body.subject", "type"},
		"another's":       {`{"subject":"e1","object":{"bucket":"clips","key":"other/1.mp4"}}`, "body.object", "not_mapped"},
		"nobody's":        {`{"subject":"e1","object":{"bucket":"clips","key":"1.mp4"}}`, "body.object", "not_mapped"},
		"other bucket":    {`{"subject":"e1","object":{"bucket":"clips2","key":"acme/1.mp4"}}`, "body.object", "not_mapped"},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.do(http.MethodPost, "/v1/submissions", key, c.body)
			a.field(422, codeInvalid, c.field, c.fault)
		})
	}
	s.do(http.MethodPost, "/v1/submissions", key, `{"subject"`).field(400, codeUnreadable, "body", "json")
	s.do(http.MethodPost, "/v1/submissions", key, `null`).problem(422, codeInvalid)
	jobs, err := s.store.Jobs(t.Context(), "acme", results.JobFilter{}, results.Page{Limit: 10})
	require.NoError(t, err)
	require.Len(t, jobs, 1)
}

func TestSubmitManyObjectsAtOnce(t *testing.T) {
	s := newStage(t)
	s.mapBucket("acme", "clips", "")
	key := s.key("acme", submit)
	const n = 100
	ids := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			a := s.do(http.MethodPost, "/v1/submissions", key, fmt.Sprintf(`{"subject":"e1","object":{"bucket":"clips","key":"%d"}}`, i))
			if a.status != http.StatusAccepted {
				t.Errorf("%d: %s", a.status, a.body)
				return
			}
			var got AcceptedJob
			a.into(&got)
			ids[i] = got.Job
		})
	}
	wg.Wait()
	for i, id := range ids {
		sub, err := s.store.Submission(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(i), sub.Source.Key, "everyone got his own job")
	}
}

func TestIdempotency(t *testing.T) {
	s := newStage(t)
	s.mapBucket("acme", "clips", "")
	s.mapBucket("other", "clips2", "")
	key := s.key("acme", submit)
	job := func(a answer, replayed bool) string {
		t.Helper()
		require.Equal(t, http.StatusAccepted, a.status, string(a.body))
		require.Equal(t, replayed, a.header.Get("Idempotent-Replayed") == "true")
		var got AcceptedJob
		a.into(&got)
		return got.Job
	}
	object := func(key, idem, body string) answer {
		return s.do(http.MethodPost, "/v1/submissions", key, body, "Idempotency-Key", idem)
	}
	one := `{"subject":"e1","object":{"bucket":"clips","key":"1"}}`
	first := job(object(key, "k1", one), false)
	require.Equal(t, first, job(object(key, "k1", one), true))
	require.Equal(t, first, job(object(key, "k1", `{"object":{"key":"1","bucket":"clips"}, "subject":"e1"}`), true), "the same request, written otherwise")
	object(key, "k1", `{"subject":"e1","object":{"bucket":"clips","key":"2"}}`).problem(422, codeKeyReuse)
	require.NotEqual(t, first, job(object(s.key("other", submit), "k1", `{"subject":"e1","object":{"bucket":"clips2","key":"1"}}`), false), "keys are the tenant's own")

	parts := []string{"subject", "e1", "@media", "footage"}
	idem := []string{"Idempotency-Key", "k2"}
	second := job(s.submit(key, idem, parts...), false)
	before := s.objects()
	require.Equal(t, second, job(s.submit(key, idem, parts...), true))
	require.Equal(t, before, s.objects(), "the second copy is gone")
	s.submit(key, idem, "subject", "e1", "@media", "other footage").problem(422, codeKeyReuse)
	s.submit(key, idem, "subject", "e2", "@media", "footage").problem(422, codeKeyReuse)
	s.submit(key, []string{"Idempotency-Key", "k1"}, parts...).problem(422, codeKeyReuse)
	object(key, "k2", one).problem(422, codeKeyReuse)
	require.Equal(t, before, s.objects())
	orphans, err := s.store.Orphans(t.Context(), s.now().Add(time.Hour), 10)
	require.NoError(t, err)
	require.Empty(t, orphans)

	_, err = s.store.Reserve(t.Context(), "acme", "k3", s.now().Add(time.Minute)) // an upload that is running
	require.NoError(t, err)
	a := s.submit(key, []string{"Idempotency-Key", "k3"}, parts...)
	a.problem(409, codeKeyBusy)
	require.NotEmpty(t, a.header.Get("Retry-After"))
}

func TestIdempotencyKeyAfterAFault(t *testing.T) {
	s := newStage(t)
	key := s.key("acme", submit)
	idem := []string{"Idempotency-Key", "k1"}
	s.submit(key, idem, "subject", "nobody", "@media", "x").problem(422, codeInvalid)
	require.Equal(t, http.StatusAccepted, s.submit(key, idem, "subject", "e1", "@media", "x").status, "a refused request used nothing up")
	s.submit(key, []string{"Idempotency-Key", "~upload~x"}, "subject", "e1", "@media", "x").field(422, codeInvalid, "header.Idempotency-Key", "pattern")
	s.submit(key, []string{"Idempotency-Key", strings.Repeat("k", 129)}, "subject", "e1", "@media", "x").field(422, codeInvalid, "header.Idempotency-Key", "too_long")
}

func TestFullQueue(t *testing.T) {
	s := newStage(t, func(s *Server) { s.Limits.MaxWaiting, s.Limits.MaxQueue = 2, 3 })
	s.mapBucket("acme", "clips", "")
	key := s.key("acme", submit)
	s.accepted("acme")
	s.accepted("acme")
	s.pass(2 * countTTL)
	for _, a := range []answer{s.submit(key, nil, "subject", "e1", "@media", "x"), s.do(http.MethodPost, "/v1/submissions", key, `{"subject":"e1","object":{"bucket":"clips","key":"1"}}`),
		s.do(http.MethodPost, "/v1/uploads", key, `{"subject":"e1"}`)} {
		a.problem(429, codeFull)
		require.NotEmpty(t, a.header.Get("Retry-After"))
	}
	require.Equal(t, 2, s.objects())
	s.accepted("other") // has room of its own
	s.pass(2 * countTTL)
	p := s.submit(s.key("other", submit), nil, "subject", "e1", "@media", "x").problem(429, codeFull)
	require.Contains(t, p.Detail, "whole service")
	require.Equal(t, 3, s.objects())
}

func TestErasedSubject(t *testing.T) {
	s := newStage(t)
	require.NoError(t, s.vault.Erase(t.Context(), "acme", "e2", s.audit("acme")))
	s.submit(s.key("acme", submit), nil, "subject", "e2", "@media", "x").problem(410, codeErased)
	s.clean()
}

// TestErasedMeanwhile: the name is still remembered, but the store knows better.
func TestErasedMeanwhile(t *testing.T) {
	s := newStage(t)
	s.mapBucket("acme", "clips", "")
	key := s.key("acme", submit)
	body := `{"subject":"e2","object":{"bucket":"clips","key":"1"}}`
	require.Equal(t, http.StatusAccepted, s.do(http.MethodPost, "/v1/submissions", key, body).status)
	require.NoError(t, s.vault.Erase(t.Context(), "acme", "e2", s.audit("acme")))
	s.do(http.MethodPost, "/v1/submissions", key, strings.Replace(body, `"1"`, `"2"`, 1)).problem(410, codeErased)
}

// shakyStore is away for accepting.
type shakyStore struct{ results.Store }

func (shakyStore) AcceptMany(_ context.Context, n []results.NewSubmission) []results.Acceptance {
	return all(len(n), fmt.Errorf("accept: %w", results.ErrAway))
}

func TestStoreAway(t *testing.T) {
	s := newStage(t, func(s *Server) { s.Store = shakyStore{s.Store} })
	a := s.submit(s.key("acme", submit), nil, "subject", "e1", "@media", "x")
	require.Contains(t, a.problem(503, codeUnknown).Detail, "same Idempotency-Key")
	require.NotEmpty(t, a.header.Get("Retry-After"))
	require.Equal(t, 1, s.objects(), "whether it was accepted is not known: the sweeper finds out")
	orphans, err := s.store.Orphans(t.Context(), s.now().Add(time.Hour), 10)
	require.NoError(t, err)
	require.Len(t, orphans, 1)
}

func TestSubmitAnObjectTwiceWithoutAKey(t *testing.T) {
	s := newStage(t)
	s.mapBucket("acme", "clips", "")
	post := func(body string) (AcceptedJob, answer) {
		a := s.do(http.MethodPost, "/v1/submissions", s.key("acme", submit), body)
		var j AcceptedJob
		if a.status == http.StatusAccepted {
			a.into(&j)
		}
		return j, a
	}
	first, _ := post(`{"subject":"e1","object":{"bucket":"clips","key":"1","etag":"a"}}`)
	second, a := post(`{"subject":"e1","object":{"bucket":"clips","key":"1","etag":"a"}}`)
	require.Equal(t, first.Job, second.Job)
	require.Equal(t, "true", a.header.Get("Idempotent-Replayed"))
	other, _ := post(`{"subject":"e1","object":{"bucket":"clips","key":"1","etag":"b"}}`)
	require.NotEqual(t, first.Job, other.Job, "it was written anew")
	_, a = post(`{"subject":"e2","object":{"bucket":"clips","key":"1","etag":"a"}}`)
	a.problem(409, codeExists)
}

// A key is kept for as long as the body streams in, and not for much longer.
func TestReservationIsRenewed(t *testing.T) {
	s := newStage(t, func(s *Server) { s.renewEvery = time.Millisecond })
	ctx := context.WithValue(t.Context(), principalKey{}, Principal{Tenant: "acme"})
	kept, _, err := s.server.reserve(ctx, "k")
	require.NoError(t, err)
	for range 3 {
		s.pass(reserveFor - 5*time.Second)
		until := s.now()
		require.Eventually(t, func() bool { // the row's own time says when it was renewed
			s.pass(6 * time.Second)
			_, err := s.store.Reserve(ctx, "acme", "k", until)
			s.pass(-6 * time.Second)
			return errors.Is(err, results.ErrKeyBusy)
		}, time.Minute, 5*time.Millisecond)
	}
	kept.end()                          // as after a crash: nobody renews it
	s.pass(reserveFor + 10*time.Second) // the last renewal may have been one of those that the clock was ahead for
	_, err = s.store.Reserve(ctx, "acme", "k", s.now().Add(time.Second))
	require.NoError(t, err)
	kept.release()
	_, err = s.store.Reserve(ctx, "acme", "k", s.now().Add(time.Second))
	require.NoError(t, err)
}
