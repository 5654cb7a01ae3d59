package object_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/minio/minio-go/v7"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"onsite/results/object"
	"onsite/results/object/objecttest"
	"onsite/results/object/objecttest/minio"
)

var shared struct {
	once   sync.Once
	server *minio.Server
	err    error
	dir    string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.server != nil {
		shared.server.Stop()
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	if code == 0 {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		if err := goleak.Find(goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// server is the MinIO that the tests of this package share.
func server(t *testing.T) *minio.Server {
	t.Helper()
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "onsite-minio-"); shared.err == nil { //nolint:usetesting // outlives the test that starts it
			shared.server, shared.err = minio.Start(context.Background(), minio.Options{Dir: shared.dir})
		}
	})
	require.NoError(t, shared.err)
	return shared.server
}

var buckets int

// newBucket makes a bucket of the test's own.
func newBucket(t *testing.T, s *minio.Server, versions bool) string {
	t.Helper()
	buckets++
	name := fmt.Sprintf("test-%d", buckets)
	c, err := s.Client()
	require.NoError(t, err)
	require.NoError(t, c.MakeBucket(t.Context(), name, client.MakeBucketOptions{}))
	if versions {
		require.NoError(t, c.EnableVersioning(t.Context(), name))
	}
	return name
}

func config(s *minio.Server, bucket string) object.S3Config {
	return object.S3Config{Endpoint: s.Endpoint, Bucket: bucket, AccessKey: s.AccessKey, SecretKey: s.SecretKey}
}

func openS3(t *testing.T, c object.S3Config) *object.S3 {
	t.Helper()
	s, err := object.NewS3(c)
	require.NoError(t, err)
	return s
}

func TestS3(t *testing.T) {
	srv := server(t)
	c, err := srv.Client()
	require.NoError(t, err)
	objecttest.Run(t, func(t *testing.T) objecttest.Subject {
		bucket := newBucket(t, srv, false)
		return objecttest.Subject{Store: openS3(t, config(srv, bucket)), Unfinished: func(t *testing.T, key string) []string {
			var left []string
			for u := range c.ListIncompleteUploads(t.Context(), bucket, key, true) {
				require.NoError(t, u.Err)
				left = append(left, u.UploadID)
			}
			return left
		}}
	})
}

// More objects than one page of a list holds.
func TestS3Pages(t *testing.T) {
	srv := server(t)
	s := openS3(t, config(srv, newBucket(t, srv, false)))
	const n = 1010
	var wg sync.WaitGroup
	for w := range 10 {
		wg.Go(func() {
			for i := w; i < n; i += 10 {
				if err := s.Put(t.Context(), fmt.Sprintf("t/e1/%04d", i), strings.NewReader("x"), 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := 0
	require.NoError(t, s.List(t.Context(), "", func(i object.Info) error {
		require.Equal(t, fmt.Sprintf("t/e1/%04d", seen), i.Key)
		seen++
		return nil
	}))
	require.Equal(t, n, seen)
}

// A Put that was cut off by a kill leaves parts: deleting the object, as whoever looks after orphans does, takes them away.
func TestS3DeleteTakesParts(t *testing.T) {
	srv := server(t)
	bucket := newBucket(t, srv, false)
	s := openS3(t, config(srv, bucket))
	c, err := srv.Client()
	require.NoError(t, err)
	core := client.Core{Client: c}
	const key = "t/e1/x"
	id, err := core.NewMultipartUpload(t.Context(), bucket, key, client.PutObjectOptions{})
	require.NoError(t, err)
	_, err = core.PutObjectPart(t.Context(), bucket, key, id, 1, strings.NewReader("part"), 4, client.PutObjectPartOptions{})
	require.NoError(t, err)
	require.NoError(t, s.Delete(t.Context(), key))
	list, err := core.ListMultipartUploads(t.Context(), bucket, key, "", "", "", 10)
	require.NoError(t, err)
	require.Empty(t, list.Uploads)
}

func TestS3Config(t *testing.T) {
	_, err := object.NewS3(object.S3Config{Endpoint: "localhost:9000", PublicURL: "ftp://x"})
	require.ErrorIs(t, err, object.ErrConfig)
	for _, word := range []string{"endpoint", "localhost:9000", "bucket", "access key", "secret key", "public address", "ftp://x"} {
		require.ErrorContains(t, err, word, "all errors at once")
	}
	for _, bad := range []string{"", "http://", "https://host/path", "s3://bucket", "://"} {
		_, err := object.NewS3(object.S3Config{Endpoint: bad, Bucket: "b", AccessKey: "a", SecretKey: "s"})
		require.ErrorIs(t, err, object.ErrConfig, bad)
		require.NotContains(t, err.Error(), "bucket is missing")
	}
}

// all does everything that a store can do, side by side, and gives the errors.
func all(ctx context.Context, s *object.S3) map[string]error {
	errs := map[string]error{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for what, do := range map[string]func() error{
		"put":            func() error { return s.Put(ctx, "t/e1/x", strings.NewReader("x"), 1) },
		"parts":          func() error { return s.Put(ctx, "t/e1/y", bytes.NewReader(make([]byte, 6<<20)), -1) },
		"get":            func() error { _, err := s.Get(ctx, "t/e1/x"); return err },
		"delete":         func() error { return s.Delete(ctx, "t/e1/x") },
		"list":           func() error { return s.List(ctx, "", func(object.Info) error { return nil }) },
		"ping":           func() error { return s.Ping(ctx) },
		"foreign":        func() error { _, _, err := s.OpenForeign(ctx, "uploads", "a", "", ""); return err },
		"delete foreign": func() error { return s.DeleteForeign(ctx, "uploads", "a", "") },
		"list foreign":   func() error { return s.ListForeign(ctx, "uploads", "", func(object.Info) error { return nil }) },
	} {
		wg.Go(func() {
			err := do()
			mu.Lock()
			defer mu.Unlock()
			errs[what] = err
		})
	}
	wg.Wait()
	return errs
}

func TestS3Errors(t *testing.T) {
	srv := server(t)
	bucket := newBucket(t, srv, false)
	t.Run("wrong secret", func(t *testing.T) {
		c := config(srv, bucket)
		c.SecretKey = "wrong-wrong"
		for what, err := range all(t.Context(), openS3(t, c)) {
			require.ErrorIs(t, err, object.ErrDenied, what)
			require.NotContains(t, err.Error(), c.SecretKey)
		}
	})
	t.Run("unknown access key", func(t *testing.T) {
		c := config(srv, bucket)
		c.AccessKey = "nobody-at-all"
		for what, err := range all(t.Context(), openS3(t, c)) {
			require.ErrorIs(t, err, object.ErrDenied, what)
		}
	})
	t.Run("no such bucket", func(t *testing.T) {
		for what, err := range all(t.Context(), openS3(t, config(srv, "nowhere"))) {
			require.ErrorIs(t, err, object.ErrNoBucket, what)
			require.NotErrorIs(t, err, object.ErrNotFound, "an object store without its bucket is not one without the object: %s", what)
		}
	})
	t.Run("nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		c := config(srv, bucket)
		c.Endpoint = "http://" + l.Addr().String()
		require.NoError(t, l.Close())
		for what, err := range all(t.Context(), openS3(t, c)) {
			require.ErrorIs(t, err, object.ErrAway, what)
		}
	})
	t.Run("no name", func(t *testing.T) {
		c := config(srv, bucket)
		c.Endpoint = "http://onsite-test.invalid:9000"
		require.ErrorIs(t, openS3(t, c).Ping(t.Context()), object.ErrAway)
	})
	t.Run("answers that are none of S3", func(t *testing.T) {
		for status, want := range map[int]error{503: object.ErrAway, 500: object.ErrAway, 429: object.ErrAway, 507: object.ErrNoSpace, 403: object.ErrDenied, 401: object.ErrDenied} {
			addr := speak(t, fmt.Sprintf("HTTP/1.1 %d x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno", status))
			c := config(srv, bucket)
			c.Endpoint = "http://" + addr
			err := openS3(t, c).Put(t.Context(), "t/e1/x", strings.NewReader("x"), 1)
			require.ErrorIs(t, err, want, "%d", status)
		}
	})
	t.Run("full", func(t *testing.T) {
		const body = `<?xml version="1.0"?><Error><Code>XMinioStorageFull</Code><Message>Storage backend has reached its minimum free drive threshold.</Message></Error>`
		addr := speak(t, fmt.Sprintf("HTTP/1.1 507 x\r\nContent-Type: application/xml\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body))
		c := config(srv, bucket)
		c.Endpoint = "http://" + addr
		require.ErrorIs(t, openS3(t, c).Put(t.Context(), "t/e1/x", strings.NewReader("x"), 1), object.ErrNoSpace)
	})
	t.Run("a body that breaks off", func(t *testing.T) {
		addr := speak(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nEtag: \"e\"\r\nLast-Modified: Mon, 02 Jan 2023 15:04:05 GMT\r\nConnection: close\r\n\r\nhalf")
		c := config(srv, bucket)
		c.Endpoint = "http://" + addr
		r, err := openS3(t, c).Get(t.Context(), "t/e1/x")
		require.NoError(t, err)
		defer r.Close()
		b, err := io.ReadAll(r)
		require.ErrorIs(t, err, object.ErrAway)
		require.Equal(t, "half", string(b))
	})
}

// speak answers every connection with the same words.
func speak(t *testing.T, words string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = io.WriteString(c, words)
			}
			c.Close()
		}
	}()
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		<-done
	})
	return l.Addr().String()
}

// The service dies in the middle and comes back.
func TestS3AwayAndBack(t *testing.T) {
	srv, err := minio.Start(t.Context(), minio.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	defer func() { srv.Kill() }()
	s := openS3(t, config(srv, newBucket(t, srv, false)))
	require.NoError(t, s.Put(t.Context(), "t/e1/before", strings.NewReader("before"), -1))
	sent := 0
	err = s.Put(t.Context(), "t/e1/x", readFunc(func(p []byte) (int, error) {
		if sent += len(p); sent > 12<<20 {
			srv.Kill()
		}
		return len(p), nil
	}), -1)
	require.ErrorIs(t, err, object.ErrAway)
	require.ErrorIs(t, s.Ping(t.Context()), object.ErrAway)

	srv, err = srv.Again(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Ping(t.Context()))
	_, err = s.Get(t.Context(), "t/e1/x")
	require.ErrorIs(t, err, object.ErrNotFound)
	r, err := s.Get(t.Context(), "t/e1/before")
	require.NoError(t, err)
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.Equal(t, "before", string(b))

	// It hangs: the caller's deadline counts.
	require.NoError(t, srv.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Put(ctx, "t/e1/x", strings.NewReader("x"), 1), context.DeadlineExceeded)
	require.NoError(t, srv.Resume())
	require.NoError(t, s.Put(t.Context(), "t/e1/x", strings.NewReader("x"), 1))
}

// form posts a file as a browser would.
func form(t *testing.T, p object.Post, change map[string]string, file []byte) int {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	fields := map[string]string{}
	for k, v := range p.Fields {
		fields[k] = v
	}
	for k, v := range change {
		fields[k] = v
	}
	for k, v := range fields {
		require.NoError(t, w.WriteField(k, v))
	}
	f, err := w.CreateFormFile("file", "a.mp4")
	require.NoError(t, err)
	_, err = f.Write(file)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL, &body)
	require.NoError(t, err)
	req.Header.Set("Content-Type", w.FormDataContentType())
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	return resp.StatusCode
}

func TestPresignPost(t *testing.T) {
	srv := server(t)
	uploads := newBucket(t, srv, false)
	s := openS3(t, config(srv, "own"))
	ctx := t.Context()
	p, err := s.PresignPost(ctx, uploads, "t/01J/clip +.mp4", 100, nil, time.Minute)
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprint(p), srv.SecretKey)
	require.WithinDuration(t, time.Now().Add(time.Minute), p.ExpiresAt, 30*time.Second)

	require.Equal(t, 400, form(t, p, nil, nil), "empty")
	require.Equal(t, 400, form(t, p, nil, make([]byte, 101)), "too long")
	require.Equal(t, 403, form(t, p, map[string]string{"key": "t/01J/other.mp4"}, []byte("x")), "another key")
	require.Equal(t, 403, form(t, p, map[string]string{"x-amz-signature": strings.Repeat("0", 64)}, []byte("x")), "forged")
	require.Equal(t, 403, form(t, p, map[string]string{"policy": "e30="}, []byte("x")), "another policy")
	require.Equal(t, 204, form(t, p, nil, make([]byte, 100)))
	r, found, err := s.OpenForeign(ctx, uploads, "t/01J/clip +.mp4", "", "")
	require.NoError(t, err)
	require.EqualValues(t, 100, found.Bytes)
	require.NoError(t, r.Close())

	one, err := s.PresignPost(ctx, uploads, "one", 100, []string{"video/mp4"}, time.Minute)
	require.NoError(t, err)
	require.Equal(t, "video/mp4", one.Fields["Content-Type"])
	require.Equal(t, 403, form(t, one, map[string]string{"Content-Type": "text/html"}, []byte("x")))
	require.Equal(t, 204, form(t, one, nil, []byte("x")))
	some, err := s.PresignPost(ctx, uploads, "some", 100, []string{"video/mp4", "video/quicktime"}, time.Minute)
	require.NoError(t, err)
	require.Equal(t, 403, form(t, some, map[string]string{"Content-Type": "text/html"}, []byte("x")))
	require.Equal(t, 204, form(t, some, map[string]string{"Content-Type": "video/quicktime"}, []byte("x")))

	late, err := s.PresignPost(ctx, uploads, "late", 100, nil, -time.Minute)
	require.NoError(t, err)
	require.Equal(t, 403, form(t, late, nil, []byte("x")), "over")

	for _, bad := range []struct {
		bucket, key string
		max         int64
	}{{"", "k", 1}, {uploads, "", 1}, {uploads, "k", 0}} {
		_, err = s.PresignPost(ctx, bad.bucket, bad.key, bad.max, nil, time.Minute)
		require.Error(t, err)
	}
	c := config(srv, "own")
	c.PublicURL = "https://uploads.example.com"
	p, err = openS3(t, c).PresignPost(ctx, uploads, "k", 1, nil, time.Minute)
	require.NoError(t, err)
	require.Equal(t, "https://uploads.example.com/"+uploads+"/", p.URL)
}

func TestForeign(t *testing.T) {
	srv := server(t)
	c, err := srv.Client()
	require.NoError(t, err)
	ctx := t.Context()
	put := func(bucket, key, text string) client.UploadInfo {
		info, err := c.PutObject(ctx, bucket, key, strings.NewReader(text), int64(len(text)), client.PutObjectOptions{})
		require.NoError(t, err)
		return info
	}
	s := openS3(t, config(srv, "own"))
	read := func(bucket, key, version, etag string) (string, error) {
		r, found, err := s.OpenForeign(ctx, bucket, key, version, etag)
		if err != nil {
			return "", err
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		require.EqualValues(t, len(b), found.Bytes)
		require.Equal(t, version, found.Version)
		require.NotEmpty(t, found.ETag)
		return string(b), nil
	}
	t.Run("by etag", func(t *testing.T) {
		b := newBucket(t, srv, false)
		first := put(b, "d/ü +&%.mp4", "first")
		text, err := read(b, "d/ü +&%.mp4", "", first.ETag)
		require.NoError(t, err)
		require.Equal(t, "first", text)
		put(b, "d/ü +&%.mp4", "second")
		_, err = read(b, "d/ü +&%.mp4", "", `"`+first.ETag+`"`)
		require.ErrorIs(t, err, object.ErrChanged)
		put(b, "d/ü +&%.mp4.x", "another")
		require.NoError(t, s.DeleteForeign(ctx, b, "d/ü +&%.mp4", ""))
		_, err = read(b, "d/ü +&%.mp4", "", first.ETag)
		require.ErrorIs(t, err, object.ErrNotFound)
		require.NoError(t, s.DeleteForeign(ctx, b, "d/ü +&%.mp4", ""))
		left := []string{}
		require.NoError(t, s.ListForeign(ctx, b, "d/", func(i object.Info) error { left = append(left, i.Key); return nil }))
		require.Equal(t, []string{"d/ü +&%.mp4.x"}, left)
	})
	t.Run("by version", func(t *testing.T) {
		b := newBucket(t, srv, true)
		first, second := put(b, "k", "first"), put(b, "k", "second")
		text, err := read(b, "k", first.VersionID, "")
		require.NoError(t, err)
		require.Equal(t, "first", text)
		text, err = read(b, "k", first.VersionID, first.ETag)
		require.NoError(t, err)
		require.Equal(t, "first", text)
		_, err = read(b, "k", first.VersionID, second.ETag)
		require.ErrorIs(t, err, object.ErrChanged)
		require.NoError(t, s.DeleteForeign(ctx, b, "k", first.VersionID))
		_, err = read(b, "k", first.VersionID, "")
		require.ErrorIs(t, err, object.ErrNotFound)
		text, err = read(b, "k", second.VersionID, "")
		require.NoError(t, err)
		require.Equal(t, "second", text)
		require.NoError(t, c.RemoveObject(ctx, b, "k", client.RemoveObjectOptions{})) // a delete marker, as a lifecycle rule makes it
		_, err = read(b, "k", "", second.ETag)
		require.ErrorIs(t, err, object.ErrNotFound)
		require.NoError(t, s.DeleteForeign(ctx, b, "k", ""))
		_, err = read(b, "k", second.VersionID, "")
		require.ErrorIs(t, err, object.ErrNotFound)
		for o := range c.ListObjects(ctx, b, client.ListObjectsOptions{WithVersions: true, Recursive: true}) {
			t.Errorf("left: %v", o)
		}
	})
}

// A Put holds one part in memory, however long the object is.
func TestS3Memory(t *testing.T) {
	srv := server(t)
	s := openS3(t, config(srv, newBucket(t, srv, false)))
	const n = 64 << 20
	before, most, next := held(), uint64(0), 0
	sent := 0
	require.NoError(t, s.Put(t.Context(), "t/e1/x", readFunc(func(p []byte) (int, error) {
		if sent >= n {
			return 0, io.EOF
		}
		if sent >= next {
			most, next = max(most, held()), next+8<<20
		}
		p = p[:min(len(p), n-sent)]
		sent += len(p)
		return len(p), nil
	}), -1))
	require.Less(t, most, before+24<<20, "of %d bytes", n)
}

// held is the memory that is in use now.
func held() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A service whose disk is full says so, and takes objects again when there is room.
func TestS3Full(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=48m"); err != nil {
		t.Skip("no tmpfs can be mounted here:", err)
	}
	defer func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) }()
	srv, err := minio.Start(t.Context(), minio.Options{Dir: dir})
	require.NoError(t, err)
	defer srv.Kill()
	s := openS3(t, config(srv, newBucket(t, srv, false)))
	const n = 20 << 20
	require.NoError(t, s.Put(t.Context(), "t/e1/first", bytes.NewReader(make([]byte, n)), n))
	for key, size := range map[string]int64{"t/e1/parts": -1, "t/e1/whole": n} {
		for i := 0; err == nil && i < 5; i++ {
			err = s.Put(t.Context(), fmt.Sprint(key, i), io.LimitReader(zeros{}, n), size)
		}
		require.ErrorIs(t, err, object.ErrNoSpace)
		err = nil
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
