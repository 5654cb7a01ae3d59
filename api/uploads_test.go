package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/results/object"
)

// recorded asks for an upload of acme and gives the answer and its URL's path.
func (s *stage) recorded(body string, headers ...string) (UploadAnswer, string) {
	s.t.Helper()
	a := s.do(http.MethodPost, "/v1/uploads", s.key("acme", submit), body, headers...)
	require.Equal(s.t, http.StatusCreated, a.status, string(a.body))
	var u UploadAnswer
	a.into(&u)
	require.Equal(s.t, "/v1/uploads/"+u.Job, a.header.Get("Location"))
	require.Equal(s.t, "waiting", u.State)
	require.NotNil(s.t, u.Upload)
	return u, strings.TrimPrefix(u.Upload.URL, s.http.URL)
}

func TestUploadToThisServer(t *testing.T) {
	s := newStage(t)
	for method, send := range map[string]func(path string) answer{
		http.MethodPut: func(path string) answer {
			return s.do(http.MethodPut, path, "", strings.NewReader("footage"), "Content-Type", "video/mp4")
		},
		http.MethodPost: func(path string) answer {
			body, kind := form(t, "x-amz-meta-subject", "e2", "@file", "footage")
			return s.do(http.MethodPost, path, "", body, "Content-Type", kind)
		},
	} {
		u, path := s.recorded(`{"subject":"e1","site":"store-17"}`)
		require.True(t, strings.HasPrefix(u.Upload.URL, s.http.URL+"/v1/uploads/"+u.Job+"/content?"))
		a := send(path)
		require.Equal(t, http.StatusAccepted, a.status, string(a.body))
		var got AcceptedJob
		a.into(&got)
		require.Equal(t, u.Job, got.Job, method)
		sub, err := s.store.Submission(t.Context(), u.Job)
		require.NoError(t, err)
		require.Equal(t, "e1", sub.Subject, "the claim counts, not what is sent with the file")
		require.Equal(t, "acme", sub.Tenant)
		plain, err := s.vault.Read(t.Context(), sub.Media.Key, 100)
		require.NoError(t, err)
		require.Equal(t, "footage", string(plain))
		var now UploadAnswer
		s.do(http.MethodGet, "/v1/uploads/"+u.Job, s.key("acme", submit), nil).into(&now)
		require.Equal(t, "arrived", now.State)
		require.Nil(t, now.Upload)
		objects := s.objects()
		again := send(path)
		again.problem(409, codeUsed)
		require.Equal(t, "/v1/jobs/"+u.Job, again.header.Get("Location"))
		require.Equal(t, objects, s.objects(), "it takes one upload")
	}
	require.NotContains(t, s.logs.String(), "signature")
}

func TestUploadURLsThatAreWrong(t *testing.T) {
	s := newStage(t, func(s *Server) { s.Limits.MediaBytes = 100; s.Limits.UploadTTL = time.Minute })
	u, path := s.recorded(`{"subject":"e1","max_bytes":10}`)
	require.EqualValues(t, 10, u.MaxBytes)
	other, _ := s.recorded(`{"subject":"e2"}`)
	put := func(path, body string) answer { return s.do(http.MethodPut, path, "", strings.NewReader(body)) }
	parsed, err := url.Parse(path)
	require.NoError(t, err)
	q := parsed.Query()
	with := func(name, value string) string {
		c := parsed.Query()
		c.Set(name, value)
		return parsed.Path + "?" + c.Encode()
	}
	put(with("signature", strings.Repeat("0", 32)), "x").problem(403, codeBadSignature)
	put(with("signature", "zz"), "x").problem(403, codeBadSignature)
	put(with("expires", q.Get("expires")+"0"), "x").problem(403, codeBadSignature)
	put(strings.Replace(path, u.Job, other.Job, 1), "x").problem(403, codeBadSignature)
	put(parsed.Path, "x").field(422, codeInvalid, "query.signature", "missing")
	put(with("expires", "soon"), "x").field(422, codeInvalid, "query.expires", "type")
	put(path, "eleven byte").field(413, codeTooLarge, "file", "too_large")
	chunked := s.request(http.MethodPut, path, "", struct{ *strings.Reader }{strings.NewReader("eleven byte")})
	chunked.ContentLength = -1
	resp, err := s.http.Client().Do(chunked)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode, "also when the length was not announced")
	put(path, "").field(422, codeInvalid, "body", "missing")
	body, kind := form(t, "@file", "eleven byte")
	s.do(http.MethodPost, path, "", body, "Content-Type", kind).field(413, codeTooLarge, "form.file", "too_large")
	body, kind = form(t, "key", "x")
	s.do(http.MethodPost, path, "", body, "Content-Type", kind).field(422, codeInvalid, "form.file", "missing")
	body, kind = form(t, "@file", "x", "key", "x")
	s.do(http.MethodPost, path, "", body, "Content-Type", kind).field(422, codeInvalid, "form.key", "order")
	var many []string
	for i := range maxPostFields + 1 {
		many = append(many, fmt.Sprint("x-amz-", i), "x")
	}
	body, kind = form(t, append(many, "@file", "x")...)
	s.do(http.MethodPost, path, "", body, "Content-Type", kind).field(422, codeInvalid, "form", "too_many")
	s.do(http.MethodPost, path, "", strings.NewReader("x"), "Content-Type", "video/mp4").problem(415, codeContentType)
	s.clean()
	require.Equal(t, http.StatusAccepted, put(path, "0123456789").status, "no fault used it up")

	late, latePath := s.recorded(`{"subject":"e1"}`)
	s.pass(61 * time.Second)
	put(latePath, "x").problem(410, codeExpired)
	var now UploadAnswer
	s.do(http.MethodGet, "/v1/uploads/"+late.Job, s.key("acme", submit), nil).into(&now)
	require.Equal(t, "expired", now.State)
}

func TestUploadClaimsThatAreWrong(t *testing.T) {
	s := newStage(t, func(s *Server) { s.Limits.MediaBytes = 100 })
	key := s.key("acme", submit)
	post := func(body string) answer { return s.do(http.MethodPost, "/v1/uploads", key, body) }
	post(`{"subject":"nobody"}`).field(422, codeInvalid, "body.subject", "unknown")
	post(`{}`).field(422, codeInvalid, "body.subject", "missing")
	post(`{"subject":"e1","max_bytes":101}`).field(413, codeTooLarge, "body.max_bytes", "too_large")
	post(`{"subject":"e1","max_bytes":0}`).field(422, codeInvalid, "body.max_bytes", "too_small")
	post(`{"subject":"e1","key":"x"}`).field(422, codeInvalid, "body.key", "unknown_field")
	post(`{"subject":`).problem(400, codeUnreadable)
	post(``).problem(400, codeNoBody)
	s.do(http.MethodPost, "/v1/uploads", key, `{}`, "Content-Type", "text/plain").problem(415, codeContentType)
}

func TestUploadIdempotency(t *testing.T) {
	s := newStage(t)
	first, path := s.recorded(`{"subject":"e1"}`, "Idempotency-Key", "u1")
	again := s.do(http.MethodPost, "/v1/uploads", s.key("acme", submit), `{ "subject": "e1" }`, "Idempotency-Key", "u1")
	require.Equal(t, http.StatusCreated, again.status)
	require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
	var second UploadAnswer
	again.into(&second)
	require.Equal(t, first, second, "the same URL")
	s.do(http.MethodPost, "/v1/uploads", s.key("acme", submit), `{"subject":"e2"}`, "Idempotency-Key", "u1").problem(422, codeKeyReuse)
	require.Equal(t, http.StatusAccepted, s.do(http.MethodPut, path, "", strings.NewReader("x")).status)
}

type fakePresigner struct{ err error }

func (f fakePresigner) PresignPost(_ context.Context, bucket, key string, maxBytes int64, _ []string, expiry time.Duration) (object.Post, error) {
	return object.Post{URL: "https://s3.example/" + bucket, Fields: map[string]string{"key": key, "max": fmt.Sprint(maxBytes), "for": expiry.Round(time.Second).String()}}, f.err
}

func TestUploadToABucket(t *testing.T) {
	p := &fakePresigner{}
	s := newStage(t, func(s *Server) { s.Presigner, s.UploadBucket = p, "incoming" })
	u, _ := s.recorded(`{"subject":"e1","max_bytes":5000}`)
	require.Equal(t, "https://s3.example/incoming", u.Upload.URL)
	require.Equal(t, "5000", u.Upload.Fields["max"])
	require.Regexp(t, `^acme/_upload/[0-9A-Z]{26}$`, u.Upload.Fields["key"], "the key says nothing of the person")
	there, err := s.store.UploadAt(t.Context(), "incoming", u.Upload.Fields["key"])
	require.NoError(t, err)
	require.Equal(t, u.Job, there.Job)
	event, err := s.store.Arrive(t.Context(), results.IntakeEvent{Source: "webhook", Raw: []byte("{}"), Bucket: "incoming", Key: there.Key, ETag: "e", ReceivedAt: s.now()},
		results.Source{Kind: "upload", Bucket: "incoming", Key: there.Key, ETag: "e"})
	require.NoError(t, err)
	require.Equal(t, results.IntakeStarted, event.State)
	var now UploadAnswer
	s.do(http.MethodGet, "/v1/uploads/"+u.Job, s.key("acme", submit), nil).into(&now)
	require.Equal(t, "arrived", now.State)

	// A URL to this server for an upload of the bucket: there is none.
	expires := there.ExpiresAt.Unix()
	s.do(http.MethodPut, fmt.Sprintf("/v1/uploads/%s/content?expires=%d&signature=%s", u.Job, expires, s.server.uploadSignature(u.Job, expires)), "", strings.NewReader("x")).problem(404, codeNotFound)

	p.err = object.ErrAway
	s.do(http.MethodPost, "/v1/uploads", s.key("acme", submit), `{"subject":"e1"}`).problem(503, codeAway)
}

func TestPublicURL(t *testing.T) {
	s := newStage(t, func(s *Server) { s.PublicURL = "https://onsite.example/" })
	u, _ := s.recorded(`{"subject":"e1"}`)
	require.True(t, strings.HasPrefix(u.Upload.URL, "https://onsite.example/v1/uploads/"), u.Upload.URL)
}

type fakeEvents struct {
	got     []string
	err     error
	claimed func(ctx context.Context, bucket, key string) error
}

func (f *fakeEvents) Claimed(ctx context.Context, bucket, key string) error {
	return f.claimed(ctx, bucket, key)
}

func (f *fakeEvents) Receive(_ context.Context, source string, body []byte) error {
	if f.err == nil {
		f.got = append(f.got, source+" "+string(body))
	}
	return f.err
}

func TestBucketNotifications(t *testing.T) {
	events := &fakeEvents{}
	s := newStage(t, func(s *Server) { s.Events, s.EventSecret = events, "bucket secret" })
	send := func(auth string) answer {
		return s.do(http.MethodPost, "/v1/events/s3", "", `{"Records":[]}`, "Authorization", auth)
	}
	send("").problem(401, codeBadKey)
	send("Bearer bucket secre").problem(401, codeBadKey)
	send("Bearer "+s.key("acme", admin)).problem(401, codeBadKey)
	require.Empty(t, events.got)
	require.Equal(t, 200, send("Bearer bucket secret").status)
	require.Equal(t, 200, send("bucket secret").status, "some services send no scheme")
	require.Equal(t, []string{`webhook {"Records":[]}`, `webhook {"Records":[]}`}, events.got)
	events.err = fmt.Errorf("record: %w", results.ErrAway)
	send("Bearer bucket secret").problem(503, codeAway)
	events.err = errors.New("broken")
	send("Bearer bucket secret").problem(500, codeInternal)
	events.err, events.got = nil, nil
	for _, n := range []int{1<<20 + 1, 8 << 20, 8<<20 + 1, 20 << 20} { // what is refused a bucket sends again for ever
		a := s.do(http.MethodPost, "/v1/events/s3", "", io.LimitReader(endless{}, int64(n)), "Authorization", "Bearer bucket secret")
		require.Equal(t, 200, a.status, string(a.body))
		require.Len(t, events.got[len(events.got)-1], len("webhook ")+min(n, 8<<20+1), "the intake sees that it is too long")
	}
	s.do(http.MethodPost, "/v1/events/s3", "", "", "Authorization", "Bearer bucket secret").problem(400, codeNoBody)

	off := newStage(t)
	off.do(http.MethodPost, "/v1/events/s3", "", `{}`, "Authorization", "Bearer ").problem(404, codeOff)
}

// endless is a body of as many bytes as anybody wants.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestUploadOfAnObjectOfAnothersBucket(t *testing.T) {
	events := &fakeEvents{}
	s := newStage(t, func(s *Server) { s.Events = events })
	s.mapBucket("acme", "cameras", "in/")
	src := results.Source{Kind: "bucket", Bucket: "cameras"}
	arrive := func(e results.IntakeEvent) results.IntakeEvent {
		from := src
		from.Key = e.Key
		got, err := s.store.Arrive(t.Context(), e, from)
		require.NoError(t, err)
		return got
	}
	events.claimed = func(ctx context.Context, bucket, key string) error {
		early, err := s.store.Unclaimed(ctx, bucket, key)
		for _, e := range early {
			arrive(e)
		}
		return err
	}
	post := func(object string, headers ...string) answer {
		return s.do(http.MethodPost, "/v1/uploads", s.key("acme", submit), `{"subject":"e1","object":`+object+`}`, headers...)
	}
	post(`{"bucket":"cameras","key":"out/1"}`).field(422, codeInvalid, "body.object", "not_mapped")
	post(`{"bucket":"cameras"}`).field(422, codeInvalid, "body.object.key", "missing")

	a := post(`{"bucket":"cameras","key":"in/1"}`, "Idempotency-Key", "o1")
	require.Equal(t, http.StatusCreated, a.status, string(a.body))
	var u UploadAnswer
	a.into(&u)
	require.Equal(t, "waiting", u.State)
	require.Nil(t, u.Upload, "who writes the object needs no form of ours")
	event := arrive(results.IntakeEvent{Source: "webhook", Raw: []byte("{}"), Bucket: "cameras", Key: "in/1", ETag: "e", ReceivedAt: s.now()})
	require.Equal(t, results.IntakeStarted, event.State)
	require.Equal(t, u.Job, event.Job)
	again := post(`{"bucket":"cameras","key":"in/1"}`, "Idempotency-Key", "o1")
	again.into(&u)
	require.Equal(t, "arrived", u.State)
	require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
	post(`{"bucket":"cameras","key":"in/1"}`).problem(409, codeExists)

	// An event that came before its claim.
	early := arrive(results.IntakeEvent{Source: "webhook", Raw: []byte("{}"), Bucket: "cameras", Key: "in/2", ETag: "e", ReceivedAt: s.now()})
	require.Equal(t, results.IntakeUnclaimed, early.State)
	a = post(`{"bucket":"cameras","key":"in/2"}`)
	require.Equal(t, http.StatusCreated, a.status, string(a.body))
	a.into(&u)
	require.Equal(t, "arrived", u.State)
	_, err := s.store.Submission(t.Context(), u.Job)
	require.NoError(t, err)

	events.claimed = func(context.Context, string, string) error { return results.ErrAway }
	post(`{"bucket":"cameras","key":"in/3"}`).problem(503, codeUnknown)
}

func TestUploadReplayedAfterItCame(t *testing.T) {
	s := newStage(t)
	_, path := s.recorded(`{"subject":"e1"}`, "Idempotency-Key", "u1")
	require.Equal(t, http.StatusAccepted, s.do(http.MethodPut, path, "", strings.NewReader("x")).status)
	var u UploadAnswer
	s.do(http.MethodPost, "/v1/uploads", s.key("acme", submit), `{"subject":"e1"}`, "Idempotency-Key", "u1").into(&u)
	require.Equal(t, "arrived", u.State)
	require.Nil(t, u.Upload, "its URL was used")
}
