package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "ons_abcdefghijkl_secret"

func serve(t *testing.T, h http.HandlerFunc) (*Client, *[]time.Duration) {
	t.Helper()
	s := httptest.NewServer(h)
	var waits []time.Duration
	c, err := New(Options{Server: s.URL + "/", Key: key + "\n", Lang: "zh", Waiting: func(_ error, after time.Duration) { waits = append(waits, after) }})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close(); s.Close() })
	return c, &waits
}

func TestNewRefuses(t *testing.T) {
	for _, o := range []Options{
		{Server: "127.0.0.1:8420", Key: key}, {Server: "ftp://x", Key: key}, {Server: "http://u:p@x", Key: key}, {Server: "http://x?a=b", Key: key}, {Server: "http://", Key: key},
		{Server: "http://x", Key: ""}, {Server: "http://x", Key: "wrongkey"}, {Server: "http://x", Key: "ons_a\nb"},
	} {
		_, err := New(o)
		var misuse *Misuse
		require.ErrorAs(t, err, &misuse, o.Server)
		require.NotEmpty(t, misuse.Text.ZH)
		if o.Key != "" {
			require.NotContains(t, err.Error(), o.Key)
		}
	}
}

func TestAsksWithKeyAndLanguage(t *testing.T) {
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "Bearer "+key, r.Header.Get("Authorization"))
		assert.Equal(t, "zh", r.Header.Get("Accept-Language"))
		assert.Equal(t, "/v1/sites/a%2Fb", r.URL.EscapedPath())
		_, _ = io.WriteString(w, `{"id":"a/b","revision":3,"new":1}`)
	})
	s, err := c.Site(t.Context(), "a/b")
	require.NoError(t, err)
	require.Equal(t, 3, s.Revision)
	require.JSONEq(t, `{"id":"a/b","revision":3,"new":1}`, string(s.Raw))
}

func TestProblems(t *testing.T) {
	c, waits := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(422)
		_, _ = io.WriteString(w, `{"code":"invalid","title":"T","detail":"D","errors":[{"field":"f","code":"c","detail":"d","fix":"x"}]}`)
	})
	_, err := c.Subject(t.Context(), "e1")
	var p *Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, 422, p.Status)
	require.Equal(t, "T: D; f: d; x", p.Error())
	require.Empty(t, *waits, "what is wrong stays wrong")

	c, _ = serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusForbidden) })
	_, err = c.Subject(t.Context(), "e1")
	require.ErrorAs(t, err, &p)
	require.Equal(t, "http_403", p.Code)

	c, _ = serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") })
	_, err = c.Subject(t.Context(), "e1")
	require.ErrorContains(t, err, "is it an Onsite server")

	// A redirect is not followed: the key would go elsewhere.
	c, _ = serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://example.com/", http.StatusFound)
	})
	_, err = c.Subject(t.Context(), "e1")
	require.ErrorAs(t, err, &p)
	require.Equal(t, http.StatusFound, p.Status)
}

func TestRepeatsWhatMayBeRepeated(t *testing.T) {
	var n atomic.Int32
	media := filepath.Join(t.TempDir(), "clip.mp4")
	require.NoError(t, os.WriteFile(media, []byte("footage"), 0o600))
	c, waits := serve(t, func(w http.ResponseWriter, r *http.Request) {
		f, _, err := r.FormFile("media")
		assert.NoError(t, err)
		raw, err := io.ReadAll(f)
		assert.NoError(t, err)
		assert.Equal(t, "footage", string(raw), "each try sends the whole file")
		assert.Positive(t, r.ContentLength)
		assert.Equal(t, "e1", r.FormValue("subject"))
		if n.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"code":"queue_full","title":"full"}`)
			return
		}
		w.Header().Set("Idempotent-Replayed", "true")
		_, _ = io.WriteString(w, `{"job":"j"}`)
	})
	var sent, total int64
	a, err := c.Submit(t.Context(), Claim{Subject: "e1"}, File{Name: "clip.mp4", Path: media}, "k", func(s, of int64) { sent, total = s, of })
	require.NoError(t, err)
	require.True(t, a.Repeated)
	require.Equal(t, []time.Duration{time.Second}, *waits)
	require.Equal(t, total, sent)

	n.Store(0)
	_, err = c.Submit(t.Context(), Claim{Subject: "e1"}, File{Name: "clip.mp4", Path: media}, "", nil)
	var p *Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, time.Second, p.RetryAfter)
	require.Len(t, *waits, 1, "without a key it is sent once")
}

// trip answers without a network.
type trip func(*http.Request) string

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(f(r))), Request: r}, nil
}

// A service that has just started refuses rows, not the list.
func TestEnrolsOnceTheModelsAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n int
		answers := []string{
			`{"enrolled":1,"refused":1,"rows":[{"subject":"e0","status":"enrolled"},{"subject":"e1","status":"refused","problem":{"code":"models_loading","title":"loading"}}]}`,
			`{"enrolled":1,"unchanged":1,"rows":[{"subject":"e0","status":"unchanged"},{"subject":"e1","status":"enrolled","added":["ann.jpg"]}]}`,
		}
		var waits []time.Duration
		c, err := New(Options{Server: "http://x", Key: key, Waiting: func(_ error, after time.Duration) { waits = append(waits, after) }, HTTP: &http.Client{Transport: trip(func(r *http.Request) string {
			f, _, err := r.FormFile("ann.jpg")
			require.NoError(t, err, "each time all photos are sent")
			require.NoError(t, f.Close())
			n++
			return answers[n-1]
		})}})
		require.NoError(t, err)
		began := time.Now()
		a, err := c.Bulk(t.Context(), []byte("list"), []File{{Name: "ann.jpg", Bytes: []byte("picture")}}, false, nil)
		require.NoError(t, err)
		require.Equal(t, []time.Duration{loadingWait}, waits)
		require.Equal(t, loadingWait, time.Since(began))
		require.Equal(t, []string{"enrolled", "enrolled"}, []string{a.Rows[0].Status, a.Rows[1].Status})
		require.Nil(t, a.Rows[1].Problem)
		require.Equal(t, []int{2, 0, 0}, []int{a.Enrolled, a.Unchanged, a.Refused})
	})

	// Tried often enough, the rows say it.
	c, waits := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"refused":1,"rows":[{"subject":"e1","status":"refused","problem":{"code":"models_loading","title":"loading"}}]}`)
	})
	c.o.Tries = 1
	a, err := c.Bulk(t.Context(), []byte("list"), nil, false, nil)
	require.NoError(t, err)
	require.Equal(t, codeLoading, a.Rows[0].Problem.Code)
	require.Empty(t, *waits)
}

// However long a server wants us to wait, and however often.
func TestWaitsWithinABound(t *testing.T) {
	after, again := retry(&Problem{Status: http.StatusServiceUnavailable, RetryAfter: time.Hour}, 1)
	require.True(t, again)
	require.Equal(t, longestWait, after)
	after, _ = retry(&Problem{Status: http.StatusServiceUnavailable, RetryAfter: 5 * time.Second}, 1)
	require.Equal(t, 5*time.Second, after)
}

func TestUnreachable(t *testing.T) {
	c, err := New(Options{Server: "http://127.0.0.1:1", Key: key, Tries: 2})
	require.NoError(t, err)
	_, err = c.Subject(t.Context(), "e1")
	var away *Unreachable
	require.ErrorAs(t, err, &away)
	require.Contains(t, away.Error(), "no answer from http://127.0.0.1:1")
	require.NotEmpty(t, away.Words().ZH)

	ctx, cancel := context.WithCancel(t.Context())
	c, _ = serve(t, func(w http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	_, err = c.Subject(ctx, "e1")
	require.ErrorIs(t, err, context.Canceled)
}

func TestFilesOfOurs(t *testing.T) {
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{}`)
	})
	dir := t.TempDir()
	var own *FileError
	_, err := c.Enrol(t.Context(), "e1", []File{{Name: "a", Path: filepath.Join(dir, "gone.jpg")}}, nil)
	require.ErrorAs(t, err, &own)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = c.Enrol(t.Context(), "e1", []File{{Name: "a", Path: dir}}, nil)
	require.ErrorAs(t, err, &own)

	// A file that shrinks while it is sent is no whole file.
	path := filepath.Join(dir, "a.jpg")
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("x"), 1<<20), 0o600))
	_, err = c.Submit(t.Context(), Claim{Subject: "e1"}, File{Name: "a", Path: path}, "", func(sent, _ int64) {
		if sent < 100_000 {
			require.NoError(t, os.Truncate(path, 10))
		}
	})
	require.Error(t, err)
}

func TestNamesSurviveTheForm(t *testing.T) {
	names := []string{`a "b".jpg`, `back\slash`, "张三/1.jpg", "semi;colon=x.jpg"}
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		m, err := r.MultipartReader()
		assert.NoError(t, err)
		var got []string
		for {
			p, err := m.NextPart()
			if errors.Is(err, io.EOF) {
				break
			}
			assert.NoError(t, err)
			got = append(got, p.FormName())
		}
		assert.Equal(t, append([]string{"people"}, names...), got)
		_, _ = io.WriteString(w, `{"rows":[]}`)
	})
	var files []File
	for _, n := range names {
		files = append(files, File{Name: n, Bytes: []byte("x")})
	}
	_, err := c.Bulk(t.Context(), []byte("subject\n"), files, true, nil)
	require.NoError(t, err)
}
