package intake_test

import (
	"bytes"
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	client "github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/notification"
	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/results/object"
	"onsite/workers/intake"
)

func notify(t *testing.T, c *client.Client, bucket, arn string) {
	t.Helper()
	a, err := notification.NewArnFromString(arn)
	require.NoError(t, err)
	to := notification.NewConfig(a)
	to.AddEvents(notification.ObjectCreatedAll, notification.ObjectRemovedAll)
	config := notification.Configuration{}
	require.True(t, config.AddQueue(to))
	require.NoError(t, c.SetBucketNotification(t.Context(), bucket, config))
}

// webhook is the API's route in short: the secret, then everything recorded or an error.
func webhook(in *intake.Intake, seen func([]byte)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+hookSecret {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if len(body) == 0 { // MinIO looks whether somebody is there
			return
		}
		if seen != nil {
			seen(body)
		}
		if err := in.Receive(r.Context(), intake.SourceWebhook, body); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
}

// upload posts a file as the presigned form allows.
func upload(t *testing.T, p object.Post, file string) {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for k, v := range p.Fields {
		require.NoError(t, w.WriteField(k, v))
	}
	f, err := w.CreateFormFile("file", "clip.mp4")
	require.NoError(t, err)
	_, err = io.WriteString(f, file)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL, &body)
	require.NoError(t, err)
	req.Header.Set("Content-Type", w.FormDataContentType())
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
}

// From a presigned upload to a sealed copy of our own, both ways that a bucket can tell of it.
func TestBucketToCopy(t *testing.T) {
	for name, arn := range map[string]string{"redis": byRedis, "webhook": byWebhook} {
		t.Run(name, func(t *testing.T) {
			s := running(t)
			c, bucket := newBucket(t, arn, false)
			h := newHouse(t, bucket)
			in := h.intake(nil)
			var raw []byte
			if name == "webhook" {
				s.handle(webhook(in, func(b []byte) { raw = b }))
				defer s.handle(nil)
			} else {
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); in.Follow(ctx, s.rdb, listKey, "w1") }()
				defer func() { cancel(); <-done }()
			}
			s3 := openS3(t)
			const key = "acme/up load/ü+%26 &.mp4"
			job := h.claim(t, "acme", bucket, key)
			post, err := s3.PresignPost(t.Context(), bucket, key, 1000, nil, time.Minute)
			require.NoError(t, err)
			upload(t, post, "a clip")

			sub := h.started(t, job)
			require.Equal(t, "upload", sub.Source.Kind)
			require.Equal(t, key, sub.Source.Key)
			require.NotEmpty(t, sub.Source.ETag)
			// The bell rings after the commit, which is what the job showed.
			require.Eventually(t, func() bool { return h.bell.work() == 1 }, time.Minute, time.Millisecond)
			events := h.events(t, "acme")
			require.Len(t, events, 1)
			require.Equal(t, results.IntakeStarted, events[0].State)
			require.EqualValues(t, 6, events[0].Bytes)
			require.WithinDuration(t, time.Now(), events[0].HappenedAt, time.Minute)
			require.NotEmpty(t, events[0].Sequencer)
			if dir := os.Getenv("ONSITE_TEST_KEEP_EVENTS"); dir != "" && raw != nil { // for testdata
				require.NoError(t, os.WriteFile(filepath.Join(dir, "minio-webhook.json"), raw, 0o600))
			}

			ups := h.uploads(s3, in)
			m, err := ups.Fetch(t.Context(), sub)
			require.NoError(t, err)
			require.Equal(t, "a clip", h.read(t, m.Key))
			require.Equal(t, "ü+%26 &.mp4", m.Name)
			require.EqualValues(t, 6, m.Bytes)
			require.NoError(t, ups.Clean(t.Context(), sub, results.Done))
			_, err = c.StatObject(t.Context(), bucket, key, client.StatObjectOptions{})
			require.Error(t, err)
			if name == "webhook" {
				return
			}
			// That the bucket then tells of the removal starts nothing.
			require.Eventually(t, func() bool {
				for _, e := range h.events(t, "") {
					if e.State == results.IntakeIgnored && strings.Contains(e.Why.Say(), "ObjectRemoved") {
						return true
					}
				}
				return false
			}, time.Minute, 20*time.Millisecond)
			require.Equal(t, 1, h.jobs(t, "acme"))
		})
	}
}

// The receiver is down when the upload comes: MinIO keeps the notification and sends it again.
func TestWebhookDown(t *testing.T) {
	s := running(t)
	c, bucket := newBucket(t, byWebhook, true)
	h := newHouse(t, bucket)
	job := h.claim(t, "acme", bucket, "k")
	s.handle(nil)
	put := func(text string) client.UploadInfo {
		info, err := c.PutObject(t.Context(), bucket, "k", strings.NewReader(text), int64(len(text)), client.PutObjectOptions{})
		require.NoError(t, err)
		return info
	}
	first := put("first")
	s.handle(webhook(h.intake(nil), nil))
	defer s.handle(nil)
	sub := h.started(t, job)
	require.Equal(t, first.VersionID, sub.Source.Version)
	put("second") // the first writing counts
	require.Eventually(t, func() bool { return len(h.events(t, "acme")) == 2 }, time.Minute, 20*time.Millisecond)
	require.Equal(t, results.IntakeDuplicate, h.events(t, "acme")[1].State)
	m, err := h.uploads(openS3(t), nil).Fetch(t.Context(), sub)
	require.NoError(t, err)
	require.Equal(t, "first", h.read(t, m.Key))
	require.Equal(t, 1, h.jobs(t, "acme"))
}
