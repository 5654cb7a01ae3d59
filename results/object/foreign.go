package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// Foreign is what a bucket says of an object that somebody uploaded. None of it proves anything but which bytes are meant.
type Foreign struct {
	Version string
	ETag    string
	Bytes   int64
	Changed time.Time
}

// Post is a presigned upload: a form that a client posts as multipart/form-data to URL, the fields first and the file last, as "file".
// It is a bearer of the right to upload: it belongs into no log.
type Post struct {
	URL       string            `json:"url"`
	Fields    map[string]string `json:"fields"`
	ExpiresAt time.Time         `json:"expires_at"`
}

// PresignPost allows one upload: to exactly this bucket and key, of 1 to maxBytes bytes, until expiry is over. contentTypes narrow what
// the client may say its file is in the field Content-Type: one type, or for several whatever begins as all of them do ("video/"); without any
// the form has no such field. What the bytes are is found out later, from the bytes.
func (s *S3) PresignPost(ctx context.Context, bucket, key string, maxBytes int64, contentTypes []string, expiry time.Duration) (Post, error) {
	p, err := s.presign(ctx, bucket, key, maxBytes, contentTypes, expiry)
	if err != nil {
		return Post{}, fmt.Errorf("presign an upload to bucket %s: %w", bucket, err)
	}
	return p, nil
}

func (s *S3) presign(ctx context.Context, bucket, key string, maxBytes int64, contentTypes []string, expiry time.Duration) (Post, error) {
	expires := time.Now().UTC().Add(expiry).Truncate(time.Second)
	policy := minio.NewPostPolicy()
	err := errors.Join(policy.SetBucket(bucket), policy.SetKey(key), policy.SetContentLengthRange(1, maxBytes), policy.SetExpires(expires),
		policy.SetSuccessStatusAction("204"))
	switch len(contentTypes) {
	case 0: // and the form must have no such field
	case 1:
		err = errors.Join(err, policy.SetContentType(contentTypes[0]))
	default:
		err = errors.Join(err, policy.SetContentTypeStartsWith(common(contentTypes)))
	}
	if err != nil {
		return Post{}, err
	}
	u, fields, err := s.core.PresignedPostPolicy(ctx, policy)
	if err != nil {
		return Post{}, s3Error(ctx, err)
	}
	if s.public != nil { // the signature is about the form, not about the host
		u.Scheme, u.Host = s.public.Scheme, s.public.Host
	}
	if len(contentTypes) > 1 {
		delete(fields, "Content-Type") // a beginning is not a value: the client adds its own
	}
	return Post{URL: u.String(), Fields: fields, ExpiresAt: expires}, nil
}

// common is the longest beginning that all share.
func common(texts []string) string {
	prefix := texts[0]
	for _, t := range texts[1:] {
		for !strings.HasPrefix(t, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	return prefix
}

// OpenForeign reads an object of any bucket that our credentials may read, pinned by version, by ETag or by both where they are known.
// ErrNotFound when it (or that version) is gone, ErrChanged when the bytes under that key are others by now.
func (s *S3) OpenForeign(ctx context.Context, bucket, key, version, etag string) (io.ReadCloser, Foreign, error) {
	opts := minio.GetObjectOptions{VersionID: version}
	if etag = strings.Trim(etag, `"`); etag != "" {
		if err := opts.SetMatchETag(etag); err != nil {
			return nil, Foreign{}, fmt.Errorf("read an upload in bucket %s: %w", bucket, err)
		}
	}
	body, info, _, err := s.core.GetObject(ctx, bucket, key, opts)
	if err != nil {
		return nil, Foreign{}, fmt.Errorf("read an upload in bucket %s: %w", bucket, s3Error(ctx, err))
	}
	found := Foreign{Version: info.VersionID, ETag: strings.Trim(info.ETag, `"`), Bytes: info.Size, Changed: info.LastModified.UTC()}
	if etag != "" && found.ETag != etag { // a service that does not know If-Match
		return nil, Foreign{}, errors.Join(fmt.Errorf("read an upload in bucket %s: %w", bucket, ErrChanged), body.Close())
	}
	return &remoteReader{ctx: ctx, body: body, what: "an upload in bucket " + bucket}, found, nil
}

// DeleteForeign removes one version of an upload, or with version "" the object and every version of it. That it is gone already is no error.
func (s *S3) DeleteForeign(ctx context.Context, bucket, key, version string) error {
	if err := s.deleteForeign(ctx, bucket, key, version); err != nil {
		return fmt.Errorf("delete an upload in bucket %s: %w", bucket, err)
	}
	return nil
}

func (s *S3) deleteForeign(ctx context.Context, bucket, key, version string) error {
	versions := []string{version}
	if version == "" {
		versions = nil
		lctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for o := range s.core.ListObjectsIter(lctx, bucket, minio.ListObjectsOptions{Prefix: key, WithVersions: true}) {
			if o.Err != nil {
				return s3Error(ctx, o.Err)
			}
			if o.Key == key { // not those that it is only the beginning of
				versions = append(versions, o.VersionID)
			}
		}
	}
	for _, v := range versions {
		err := s3Error(ctx, s.core.RemoveObject(ctx, bucket, key, minio.RemoveObjectOptions{VersionID: v}))
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

// ListForeign calls fn for every object of a bucket whose key begins with prefix.
func (s *S3) ListForeign(ctx context.Context, bucket, prefix string, fn func(Info) error) error {
	return s.list(ctx, bucket, prefix, fn)
}
