package intake_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	client "github.com/minio/minio-go/v7"
	"github.com/stretchr/testify/require"

	"onsite/pipeline/media"
	"onsite/results"
	"onsite/results/object"
	"onsite/workers/intake"
)

func refusal(t *testing.T, err error, rule string) {
	t.Helper()
	var r *media.Refusal
	require.ErrorAs(t, err, &r)
	require.Equal(t, rule, r.Rule)
	require.NotEmpty(t, r.Text.EN)
	require.NotEmpty(t, r.Text.ZH)
}

func TestFetch(t *testing.T) {
	c, bucket := newBucket(t, "", false)
	h := newHouse(t, bucket)
	ups := h.uploads(openS3(t), nil)
	put := func(key, text string) string {
		info, err := c.PutObject(t.Context(), bucket, key, strings.NewReader(text), int64(len(text)), client.PutObjectOptions{})
		require.NoError(t, err)
		return info.ETag
	}
	nothingLeft := func() {
		t.Helper()
		orphans, err := h.Orphans(t.Context(), h.Now().Add(time.Hour), 10)
		require.NoError(t, err)
		require.Empty(t, orphans)
		require.NoError(t, h.objects.List(t.Context(), "", func(i object.Info) error { return errors.New(i.Key) }))
	}
	sub := results.Submission{Job: "01J", Tenant: "acme", Subject: "e1", Source: results.Source{Kind: "upload", Bucket: bucket, Key: "a/k.mp4"}}

	_, err := ups.Fetch(t.Context(), sub)
	refusal(t, err, intake.RuleGone)
	sub.Source.ETag = put("a/k.mp4", "first")
	m, err := ups.Fetch(t.Context(), sub)
	require.NoError(t, err)
	require.Equal(t, "first", h.read(t, m.Key))
	require.Equal(t, "k.mp4", m.Name)
	require.NoError(t, h.vault.Discard(t.Context(), m.Key))

	put("a/k.mp4", "second")
	_, err = ups.Fetch(t.Context(), sub)
	refusal(t, err, intake.RuleChanged)
	nothingLeft()

	put("long", strings.Repeat("x", 1001))
	sub.Source = results.Source{Bucket: bucket, Key: "long"}
	_, err = ups.Fetch(t.Context(), sub)
	refusal(t, err, intake.RuleBytes)
	nothingLeft()

	put("fits", strings.Repeat("x", 1000))
	sub.Source.Key = "fits"
	_, err = ups.Fetch(t.Context(), sub)
	require.NoError(t, err)

	sub.Source.Bucket = "no-such-bucket"
	_, err = ups.Fetch(t.Context(), sub)
	require.ErrorIs(t, err, object.ErrNoBucket)
	var r *media.Refusal
	require.NotErrorAs(t, err, &r, "a setting that is wrong is not the upload's fault")
}

// bucketOf is a bucket that says what it is told.
type bucketOf struct {
	intake.Bucket
	body io.Reader
	said int64
	err  error
}

func (b bucketOf) OpenForeign(context.Context, string, string, string, string) (io.ReadCloser, object.Foreign, error) {
	return io.NopCloser(b.body), object.Foreign{Bytes: b.said}, b.err
}

func (b bucketOf) DeleteForeign(context.Context, string, string, string) error { return b.err }

// A service that says too little sends too much; one that breaks off is away; nothing is left of either.
func TestFetchStreams(t *testing.T) {
	h := newHouse(t, "own")
	sub := results.Submission{Job: "01J", Tenant: "acme", Subject: "e1", Source: results.Source{Kind: "upload", Bucket: "own", Key: "k"}}
	_, err := h.uploads(bucketOf{body: strings.NewReader(strings.Repeat("x", 5000)), said: 10}, nil).Fetch(t.Context(), sub)
	refusal(t, err, intake.RuleBytes)
	_, err = h.uploads(bucketOf{body: io.MultiReader(strings.NewReader("half"), &broken{object.ErrAway}), said: 10}, nil).Fetch(t.Context(), sub)
	require.ErrorIs(t, err, object.ErrAway)
	for _, away := range []error{object.ErrAway, object.ErrDenied} {
		_, err = h.uploads(bucketOf{err: away}, nil).Fetch(t.Context(), sub)
		require.ErrorIs(t, err, away)
	}
	require.NoError(t, h.objects.List(t.Context(), "", func(i object.Info) error { return errors.New(i.Key) }))
	require.ErrorIs(t, h.uploads(bucketOf{err: object.ErrAway}, nil).Clean(t.Context(), sub, results.Done), object.ErrAway)
}

type broken struct{ err error }

func (b *broken) Read([]byte) (int, error) { return 0, b.err }

func TestClean(t *testing.T) {
	c, bucket := newBucket(t, "", true)
	h := newHouse(t, bucket)
	ups := h.uploads(openS3(t), nil)
	there := func() int {
		n := 0
		for o := range c.ListObjects(t.Context(), bucket, client.ListObjectsOptions{WithVersions: true, Recursive: true}) {
			require.NoError(t, o.Err)
			n++
		}
		return n
	}
	for range 2 {
		_, err := c.PutObject(t.Context(), bucket, "k", strings.NewReader("x"), 1, client.PutObjectOptions{})
		require.NoError(t, err)
	}
	own := results.Submission{Source: results.Source{Kind: "upload", Bucket: bucket, Key: "k"}}
	for what, keep := range map[string]struct {
		sub   results.Submission
		state results.JobState
	}{
		"not finished":          {own, results.Accepted},
		"dead, without a copy":  {own, results.Dead},
		"somebody else's":       {results.Submission{Source: results.Source{Kind: "bucket", Bucket: bucket, Key: "k"}}, results.Done},
		"in somebody's bucket":  {results.Submission{Source: results.Source{Kind: "upload", Bucket: "theirs", Key: "k"}}, results.Done},
		"through the API":       {results.Submission{Source: results.Source{Kind: "api"}}, results.Done},
		"to the API itself":     {results.Submission{Source: results.Source{Kind: "upload", Bucket: "(here)", Key: "k"}}, results.Done},
		"without a bucket name": {results.Submission{Source: results.Source{Kind: "upload"}}, results.Done},
	} {
		require.NoError(t, ups.Clean(t.Context(), keep.sub, keep.state), what)
		require.Equal(t, 2, there(), what)
	}
	own.Media.Key = "acme/e1/x"
	require.NoError(t, ups.Clean(t.Context(), own, results.Dead))
	require.Zero(t, there(), "with every version")
	require.NoError(t, ups.Clean(t.Context(), own, results.Done), "gone already")
}

// Uploads whose notification was lost are found, and what nobody needs is removed.
func TestScan(t *testing.T) {
	c, bucket := newBucket(t, "", false)
	h := newHouse(t, bucket)
	in := h.intake(nil)
	s3 := openS3(t)
	put := func(key string) {
		_, err := c.PutObject(t.Context(), bucket, key, strings.NewReader(key), int64(len(key)), client.PutObjectOptions{})
		require.NoError(t, err)
	}
	there := func() string {
		var keys []string
		require.NoError(t, s3.ListForeign(t.Context(), bucket, "", func(i object.Info) error { keys = append(keys, i.Key); return nil }))
		return strings.Join(keys, " ")
	}
	lost := h.claim(t, "acme", bucket, "lost")
	put("lost")
	put("nobody")
	arrived := h.claim(t, "acme", bucket, "arrived")
	put("arrived")
	require.NoError(t, in.Receive(t.Context(), "webhook", written(bucket, "arrived", "01")))
	h.claimUntil(t, "acme", bucket, "late", h.Now().Add(-time.Minute))
	put("late")

	ups := intake.NewUploads(intake.UploadOptions{Store: h, Bucket: s3, Vault: h.vault, Intake: in, UploadBucket: bucket, MaxBytes: 1000, Stray: time.Hour})
	found, err := ups.Scan(t.Context())
	require.NoError(t, err)
	require.Equal(t, intake.Scanned{Objects: 4}, found, "their notifications may come still")

	ups = h.uploads(s3, in)
	found, err = ups.Scan(t.Context())
	require.NoError(t, err)
	require.Equal(t, intake.Scanned{Objects: 4, Started: 1}, found)
	sub, err := h.Submission(t.Context(), lost)
	require.NoError(t, err)
	m, err := ups.Fetch(t.Context(), sub)
	require.NoError(t, err)
	require.Equal(t, "lost", h.read(t, m.Key))
	require.Equal(t, results.IntakeDuplicate, take(t, in, written(bucket, "lost", "01")).State, "its notification comes after all")
	require.Equal(t, 2, h.jobs(t, "acme"))

	// Those jobs end; the worker was killed before it removed the originals.
	finish(t, h, arrived, results.Refused)
	finish(t, h, lost, results.Dead)
	found, err = ups.Scan(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, found.Removed)
	require.Equal(t, "late lost nobody", there(), "a dead job may be requeued")

	ups = intake.NewUploads(intake.UploadOptions{Store: h, Bucket: s3, Vault: h.vault, Intake: in, UploadBucket: bucket, Settle: time.Nanosecond, Stray: time.Nanosecond})
	found, err = ups.Scan(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, found.Removed)
	require.Equal(t, "lost", there())

	none := intake.NewUploads(intake.UploadOptions{Store: h, Bucket: s3})
	found, err = none.Scan(t.Context())
	require.NoError(t, err)
	require.Zero(t, found)
	gone := intake.NewUploads(intake.UploadOptions{Store: h, Bucket: s3, UploadBucket: "no-such-bucket"})
	_, err = gone.Scan(t.Context())
	require.ErrorIs(t, err, object.ErrNoBucket)
}

// What an erased person uploaded goes at once, arrived or not, and what is uploaded afterwards by a URL that is still valid.
func TestScanErased(t *testing.T) {
	c, bucket := newBucket(t, "", false)
	h := newHouse(t, bucket)
	in, s3 := h.intake(nil), openS3(t)
	put := func(key string) {
		_, err := c.PutObject(t.Context(), bucket, key, strings.NewReader(key), int64(len(key)), client.PutObjectOptions{})
		require.NoError(t, err)
	}
	for _, key := range []string{"arrived", "lost", "later"} {
		h.claim(t, "acme", bucket, key)
	}
	put("arrived")
	put("lost")
	require.NoError(t, in.Receive(t.Context(), "webhook", written(bucket, "arrived", "01")))
	_, err := h.EraseSubject(t.Context(), "acme", "e1", h.Now(), results.AuditEntry{ID: "a2", Tenant: "acme", At: h.Now(), Action: "subject.erased"})
	require.NoError(t, err)

	found, err := h.uploads(s3, in).Scan(t.Context())
	require.NoError(t, err)
	require.Equal(t, intake.Scanned{Objects: 2, Removed: 2}, found)
	put("later")
	require.NoError(t, in.Receive(t.Context(), "webhook", written(bucket, "later", "02")))
	require.Equal(t, 1, h.jobs(t, "acme"))
	found, err = h.uploads(s3, in).Scan(t.Context())
	require.NoError(t, err)
	require.Equal(t, intake.Scanned{Objects: 1, Removed: 1}, found)
}

// finish ends a job as a worker does.
func finish(t *testing.T, h *house, job string, state results.JobState) {
	t.Helper()
	queued, err := h.Dispatch(t.Context(), 10, results.PriorityBulk)
	require.NoError(t, err)
	_ = queued
	j, err := h.Job(t.Context(), "", job)
	require.NoError(t, err)
	lease, err := h.Claim(t.Context(), job, j.Attempt, "w1", time.Minute, time.Minute)
	require.NoError(t, err)
	require.NoError(t, h.Finish(t.Context(), results.Finish{Job: job, Token: lease.Token, State: state, Error: &results.JobError{Rule: "x"},
		Audit: results.AuditEntry{ID: job, Tenant: "acme", At: h.Now(), Action: "job.ended", Target: job}}))
}

func TestWatch(t *testing.T) {
	c, bucket := newBucket(t, "", false)
	h := newHouse(t, bucket)
	job := h.claim(t, "acme", bucket, "k")
	_, err := c.PutObject(t.Context(), bucket, "k", strings.NewReader("x"), 1, client.PutObjectOptions{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	ups := h.uploads(openS3(t), h.intake(nil))
	go func() { defer close(done); ups.Watch(ctx, "w1", 20*time.Millisecond) }()
	h.started(t, job)
	cancel()
	<-done
}
