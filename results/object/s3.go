package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Sizes and times of the S3 store.
const (
	// partBytes is a part of an upload whose size is not known: the least that S3 takes, for a Put holds one part in memory. 10,000 parts,
	// the most that S3 takes, are 50 GB.
	partBytes = 5 << 20
	// firstBytes is the memory that a Put begins with: most keyframes and photos need no more.
	firstBytes = 256 << 10
	// tries is how often one request is sent; whoever called retries with more patience.
	tries = 3
	// abortTimeout bounds what is cleaned up after the caller's context has ended.
	abortTimeout = 10 * time.Second
)

// S3Config says where an S3 store is. Every field but Region and PublicURL is needed.
type S3Config struct {
	Endpoint  string // http://host:port or https://host
	Region    string // us-east-1 if empty
	Bucket    string // of our own objects
	AccessKey string
	SecretKey string
	PublicURL string // where clients reach the endpoint for presigned uploads, if not at Endpoint
}

// S3 is a Store in one bucket of an S3 service. With the same credentials it also reads uploads in other buckets: foreign.go.
type S3 struct {
	core   minio.Core
	bucket string
	public *url.URL // nil: the endpoint itself
}

// NewS3 makes the store. It asks the service nothing: Ping does. The error wraps ErrConfig and names every setting that is wrong.
func NewS3(c S3Config) (*S3, error) {
	var wrong []error
	need := func(name, value string) {
		if value == "" {
			wrong = append(wrong, fmt.Errorf("%w: %s is missing", ErrConfig, name))
		}
	}
	need("the bucket", c.Bucket)
	need("the access key", c.AccessKey)
	need("the secret key", c.SecretKey)
	endpoint, err := serviceURL("the endpoint", c.Endpoint)
	if err != nil {
		wrong = append(wrong, err)
	}
	var public *url.URL
	if c.PublicURL != "" {
		if public, err = serviceURL("the public address", c.PublicURL); err != nil {
			wrong = append(wrong, err)
		}
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	if c.Region == "" {
		c.Region = "us-east-1" // what MinIO answers to, and one question less to the service
	}
	secure := endpoint.Scheme == "https"
	transport, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	transport.DialContext = (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	transport.MaxIdleConnsPerHost = 64
	transport.ResponseHeaderTimeout = time.Minute
	core, err := minio.NewCore(endpoint.Host, &minio.Options{
		Creds: credentials.NewStaticV4(c.AccessKey, c.SecretKey, ""), Secure: secure, Region: c.Region, Transport: transport, MaxRetries: tries,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return &S3{core: *core, bucket: c.Bucket, public: public}, nil
}

func serviceURL(what, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("%w: %s %q is not of the form https://host:port", ErrConfig, what, text)
	}
	return u, nil
}

// Put sends an object of unknown size in parts, one in memory at a time; whatever fits into one part goes in one request.
func (s *S3) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	if err := CheckKey(key); err != nil {
		return fmt.Errorf("store an object: %w", err)
	}
	if err := s.put(ctx, key, &source{ctx: ctx, r: r, size: size}); err != nil {
		return fmt.Errorf("store object %s: %w", key, err)
	}
	return nil
}

func (s *S3) put(ctx context.Context, key string, src *source) error {
	var part bytes.Buffer
	if src.size >= 0 && src.size < partBytes {
		part.Grow(int(src.size) + bytes.MinRead)
	} else {
		part.Grow(firstBytes)
	}
	more, err := fill(&part, src)
	if err != nil {
		return err
	}
	if !more {
		if err := src.whole(); err != nil {
			return err
		}
		_, err := send(ctx, part.Bytes(), func(r io.Reader, n int64) error {
			_, err := s.core.Client.PutObject(ctx, s.bucket, key, r, n, minio.PutObjectOptions{DisableMultipart: true})
			return err
		})
		return err
	}
	return s.parts(ctx, key, src, &part)
}

// fill reads up to a part and says whether more may come.
func fill(part *bytes.Buffer, src *source) (bool, error) {
	part.Reset()
	n, err := io.Copy(part, io.LimitReader(src, partBytes))
	return n == partBytes, err
}

func (s *S3) parts(ctx context.Context, key string, src *source, part *bytes.Buffer) (err error) {
	id, err := s.core.NewMultipartUpload(ctx, s.bucket, key, minio.PutObjectOptions{})
	if err != nil {
		return s3Error(ctx, err)
	}
	defer func() {
		if err == nil {
			return
		}
		// The caller's context may be what ended: what was sent is taken back all the same.
		actx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
		defer cancel()
		if aerr := s.core.AbortMultipartUpload(actx, s.bucket, key, id); aerr != nil && !errors.Is(s3Error(actx, aerr), ErrNotFound) {
			err = errors.Join(err, fmt.Errorf("take back what was sent: %w", s3Error(actx, aerr)))
		}
	}()
	var done []minio.CompletePart
	for more := true; part.Len() > 0; {
		once, err := send(ctx, part.Bytes(), func(r io.Reader, n int64) error {
			sent, err := s.core.PutObjectPart(ctx, s.bucket, key, id, len(done)+1, r, n, minio.PutObjectPartOptions{})
			if err == nil {
				done = append(done, minio.CompletePart{PartNumber: sent.PartNumber, ETag: sent.ETag})
			}
			return err
		})
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if !once {
			part = new(bytes.Buffer) // the connection of a failed try may be reading the old one still
		}
		if more, err = fill(part, src); err != nil {
			return err
		}
	}
	if err := src.whole(); err != nil {
		return err
	}
	return insist(ctx, func() error {
		_, err := s.core.CompleteMultipartUpload(ctx, s.bucket, key, id, done, minio.PutObjectOptions{})
		return err
	})
}

// Get opens an object.
func (s *S3) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := CheckKey(key); err != nil {
		return nil, fmt.Errorf("read an object: %w", err)
	}
	body, _, _, err := s.core.GetObject(ctx, s.bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("read object %s: %w", key, s3Error(ctx, err))
	}
	return &remoteReader{ctx: ctx, body: body, what: "object " + key}, nil
}

// remoteReader gives errors in the middle of a body their type.
type remoteReader struct {
	ctx  context.Context // of the request whose answer this is
	body io.ReadCloser
	what string
}

func (r *remoteReader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("read %s: %w", r.what, s3Error(r.ctx, err))
	}
	return n, err
}

func (r *remoteReader) Close() error { return r.body.Close() }

// Delete removes an object and the parts of an upload of it that was cut off.
func (s *S3) Delete(ctx context.Context, key string) error {
	if err := CheckKey(key); err != nil {
		return fmt.Errorf("delete an object: %w", err)
	}
	err := insist(ctx, func() error { return s.core.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{}) })
	if err == nil {
		err = s3Error(ctx, s.core.RemoveIncompleteUpload(ctx, s.bucket, key))
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("delete object %s: %w", key, err)
	}
	return nil
}

// List walks the bucket in the order of the keys.
func (s *S3) List(ctx context.Context, prefix string, fn func(Info) error) error {
	return s.list(ctx, s.bucket, prefix, func(o Info) error {
		if ours := CheckKey(o.Key) == nil; ours {
			return fn(o)
		}
		return nil
	})
}

func (s *S3) list(ctx context.Context, bucket, prefix string, fn func(Info) error) error {
	lctx, cancel := context.WithCancel(ctx) // ends the pages that nobody wants any more
	defer cancel()
	for o := range s.core.ListObjectsIter(lctx, bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return fmt.Errorf("list bucket %s, objects %s*: %w", bucket, prefix, s3Error(ctx, o.Err))
		}
		if err := fn(Info{Key: o.Key, Bytes: o.Size, Changed: o.LastModified.UTC()}); err != nil {
			return fmt.Errorf("list bucket %s, objects %s*: %w", bucket, prefix, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("list bucket %s, objects %s*: %w", bucket, prefix, context.Cause(ctx))
	}
	return nil
}

// Ping asks for the bucket.
func (s *S3) Ping(ctx context.Context) error {
	there, err := s.core.BucketExists(ctx, s.bucket)
	if err = s3Error(ctx, err); err == nil && !there {
		err = ErrNoBucket
	}
	if err != nil {
		return fmt.Errorf("bucket %s: %w", s.bucket, err)
	}
	return nil
}

// send sends bytes, up to three times when the service is away, and says whether once was enough. Every try has a reader of its own that
// cannot be rewound: minio-go would rewind one that the connection of a try which was answered early still reads, and send what is mixed
// up of both.
func send(ctx context.Context, b []byte, do func(r io.Reader, n int64) error) (once bool, err error) {
	sent := 0
	for wait := 200 * time.Millisecond; ; wait *= 2 {
		err := insist(ctx, func() error {
			sent++
			return do(struct{ io.Reader }{bytes.NewReader(b)}, int64(len(b)))
		})
		if !errors.Is(err, ErrAway) || sent >= tries {
			return sent == 1, err
		}
		if err := pause(ctx, wait); err != nil {
			return false, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// insist sends a request again that was answered AccessDenied: MinIO says so, too, when the last object beside a new one is deleted at that
// very moment and takes their common folder along. Wrong keys and signatures have codes of their own and are not sent again.
func insist(ctx context.Context, do func() error) error {
	for wait := 10 * time.Millisecond; ; wait *= 4 {
		err := do()
		var answer minio.ErrorResponse
		if !errors.As(err, &answer) || answer.Code != minio.AccessDenied || wait > time.Second {
			return s3Error(ctx, err)
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// s3Error gives an error of the service its type. Whatever is no answer of the service means that it was not reached.
func s3Error(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	switch answer.Code {
	case minio.NoSuchKey, minio.NoSuchVersion, minio.NoSuchUpload, "MethodNotAllowed": // the last: the version is a delete marker
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case minio.NoSuchBucket:
		return fmt.Errorf("%w: %w", ErrNoBucket, err)
	case minio.PreconditionFailed:
		return fmt.Errorf("%w: %w", ErrChanged, err)
	case "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded":
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	if strings.Contains(answer.Message, "no space left on device") { // MinIO's internal error when the disk fills up while it writes
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	switch code := answer.StatusCode; {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return fmt.Errorf("%w: %w", ErrDenied, err)
	case code == http.StatusInsufficientStorage:
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case code == http.StatusNotFound:
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case code == http.StatusPreconditionFailed:
		return fmt.Errorf("%w: %w", ErrChanged, err)
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return fmt.Errorf("%w: %w", ErrAway, err)
	case code == 0: // made by the client itself
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	return err
}
