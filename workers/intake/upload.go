package intake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/oklog/ulid/v2"

	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/results"
	"onsite/results/object"
	"onsite/results/vault"
)

// Bucket is what this package needs of *object.S3.
type Bucket interface {
	OpenForeign(ctx context.Context, bucket, key, version, etag string) (io.ReadCloser, object.Foreign, error)
	DeleteForeign(ctx context.Context, bucket, key, version string) error
	ListForeign(ctx context.Context, bucket, prefix string, fn func(object.Info) error) error
}

// Vault is what this package needs of *vault.Vault.
type Vault interface {
	Put(ctx context.Context, tenant, subject string, r io.Reader) (vault.Sealed, error)
}

// UploadOptions are those of Uploads.
type UploadOptions struct {
	Store        Store
	Bucket       Bucket
	Vault        Vault
	Intake       *Intake // starts the jobs of uploads whose notification was lost
	UploadBucket string  // our own bucket for uploads; "" if there is none
	MaxBytes     int64   // of one upload
	Log          *slog.Logger
	// Settle is how long an upload waits for its notification before Scan looks for its claim itself (2 min), Stray how long an object
	// without any claim or job is left alone (24 h).
	Settle, Stray time.Duration
}

// Uploads brings objects of buckets into our own keeping.
type Uploads struct{ o UploadOptions }

// NewUploads makes them.
func NewUploads(o UploadOptions) *Uploads {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Settle == 0 {
		o.Settle = 2 * time.Minute
	}
	if o.Stray == 0 {
		o.Stray = 24 * time.Hour
	}
	return &Uploads{o}
}

// The rules under which a worker's copy is refused, beside those of the decoder.
const (
	RuleChanged = "upload_changed"
	RuleGone    = "upload_gone"
	RuleBytes   = "too_many_bytes"
)

// Fetch makes our own copy of the object of a submission, sealed with the subject's key: exactly the version or the ETag of the event that
// started the job, and no more than MaxBytes. The copy is pending until a row names it. A *media.Refusal says that no other attempt would
// get it: it is gone, was changed since, or is too long; other errors are those of object and vault.
func (u *Uploads) Fetch(ctx context.Context, sub results.Submission) (results.Media, error) {
	m, err := u.fetch(ctx, sub)
	if err != nil {
		return results.Media{}, fmt.Errorf("copy the upload of job %s: %w", sub.Job, err)
	}
	return m, nil
}

func (u *Uploads) fetch(ctx context.Context, sub results.Submission) (results.Media, error) {
	s := sub.Source
	name := label(s.Key)
	body, found, err := u.o.Bucket.OpenForeign(ctx, s.Bucket, s.Key, s.Version, s.ETag)
	switch {
	case errors.Is(err, object.ErrNoBucket): // a setting, not this upload
		return results.Media{}, fmt.Errorf("%w: %w", object.ErrForeign, err)
	case errors.Is(err, object.ErrNotFound):
		return results.Media{}, refuse(RuleGone, name)
	case errors.Is(err, object.ErrChanged):
		return results.Media{}, refuse(RuleChanged, name)
	case err != nil:
		return results.Media{}, fmt.Errorf("%w: %w", object.ErrForeign, err)
	}
	defer body.Close()
	if found.Bytes > u.o.MaxBytes {
		return results.Media{}, tooLong(name, found.Bytes, u.o.MaxBytes)
	}
	// The length is what the service says; the bytes are counted all the same.
	src := &bounded{r: body, name: name, most: u.o.MaxBytes}
	sealed, err := u.o.Vault.Put(ctx, sub.Tenant, sub.Subject, src)
	if err != nil {
		return results.Media{}, err
	}
	return results.Media{Key: sealed.Key, SHA256: sealed.SHA256, Bytes: sealed.Bytes, Name: name}, nil
}

// bounded ends with a refusal after the most bytes that are taken.
type bounded struct {
	r    io.Reader
	name string
	most int64
	n    int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.n += int64(n); b.n > b.most {
		return n, tooLong(b.name, b.n, b.most)
	}
	return n, err
}

// label is the last part of a key, for people.
func label(key string) string {
	name := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, path.Base(key))
	if r := []rune(name); len(r) > 120 {
		name = string(r[:120])
	}
	return name
}

func refuse(rule, name string) *media.Refusal {
	texts := map[string]pipeline.Text{
		RuleChanged: {EN: "the uploaded file was replaced by another one before it could be looked at. Submit it again, and upload it once.",
			ZH: "上传的文件在处理前已被另一个文件替换。请重新提交，且只上传一次。"},
		RuleGone: {EN: "the uploaded file was removed before it could be looked at. Submit it again.",
			ZH: "上传的文件在处理前已被删除。请重新提交。"},
	}
	return &media.Refusal{Rule: rule, Name: name, Text: texts[rule]}
}

func tooLong(name string, bytes, most int64) *media.Refusal {
	value, limit := megabytes(bytes), megabytes(most)
	return &media.Refusal{Rule: RuleBytes, Name: name, Value: value, Limit: limit, Text: pipeline.Text{
		EN: "the file has " + value + " or more, the limit is " + limit + ". Record a shorter clip or choose a lower quality.",
		ZH: "文件大小至少为 " + value + "，上限为 " + limit + "。请录制更短的视频或降低画质。",
	}}
}

func megabytes(n int64) string { return strconv.FormatFloat(float64(n)/1e6, 'f', 1, 64) + " MB" }

// Clean removes the original of a finished job from our own bucket, with all its versions; from other buckets it removes nothing. A dead
// job whose media we have no copy of keeps it: a person may requeue it. What cannot be removed now, Scan removes.
func (u *Uploads) Clean(ctx context.Context, sub results.Submission, end results.JobState) error {
	s := sub.Source
	if s.Kind != kindUpload || u.o.UploadBucket == "" || s.Bucket != u.o.UploadBucket || !over(end, sub.Media) {
		return nil
	}
	if err := u.o.Bucket.DeleteForeign(ctx, s.Bucket, s.Key, ""); err != nil {
		return fmt.Errorf("remove the original of job %s: %w", sub.Job, err)
	}
	return nil
}

// over says that a job will not need its original again.
func over(state results.JobState, m results.Media) bool {
	return state == results.Done || state == results.Refused || state == results.Dead && m.Key != ""
}

// Scanned is what a Scan found and did.
type Scanned struct {
	Objects int // in the bucket
	Started int // jobs whose notification had been lost
	Removed int // originals of finished jobs, and objects of nobody
}

// Scan looks through our own bucket for uploads, which is nearly empty while all goes well: it starts the jobs of uploads whose
// notification never came, and removes originals that are no longer needed. One process calls it now and then.
func (u *Uploads) Scan(ctx context.Context) (Scanned, error) {
	var s Scanned
	if u.o.UploadBucket == "" {
		return s, nil
	}
	now := u.o.Store.Now()
	err := u.o.Bucket.ListForeign(ctx, u.o.UploadBucket, "", func(o object.Info) error {
		s.Objects++
		if now.Sub(o.Changed) < u.o.Settle {
			return nil
		}
		return u.look(ctx, o, now, &s)
	})
	if err != nil {
		return s, fmt.Errorf("look through the uploads: %w", err)
	}
	return s, nil
}

// Watch scans again and again until ctx ends, in one process at a time. Errors are logged and tried again.
func (u *Uploads) Watch(ctx context.Context, holder string, every time.Duration) {
	for ctx.Err() == nil {
		mine, err := u.o.Store.Elect(ctx, scanRole, holder, every+every/2)
		var s Scanned
		if err == nil && mine {
			s, err = u.Scan(ctx)
		}
		switch {
		case err != nil && ctx.Err() == nil:
			u.o.Log.Error("uploads cannot be looked through; it is tried again", "error", err)
		case s.Started > 0 || s.Removed > 0:
			u.o.Log.Info("looked through the uploads", "objects", s.Objects, "started", s.Started, "removed", s.Removed)
		}
		sleep(ctx, every)
	}
}

// scanRole is what is elected for Watch.
const scanRole = "intake.scan"

// look decides about one object of our own bucket.
func (u *Uploads) look(ctx context.Context, o object.Info, now time.Time, s *Scanned) error {
	stray := now.Sub(o.Changed) > u.o.Stray
	claim, err := u.o.Store.UploadAt(ctx, u.o.UploadBucket, o.Key)
	switch {
	case errors.Is(err, results.ErrErased): // nobody may have it any more, nor what comes by a URL that is still valid
		return u.remove(ctx, o, true, s)
	case errors.Is(err, results.ErrNotFound):
		return u.remove(ctx, o, stray, s)
	case err != nil:
		return err
	case claim.ArrivedAt.IsZero() && o.Changed.After(claim.ExpiresAt):
		return u.remove(ctx, o, stray, s)
	case claim.ArrivedAt.IsZero():
		return u.recover(ctx, o, now, s)
	}
	job, err := u.o.Store.Job(ctx, "", claim.Job)
	if errors.Is(err, results.ErrNotFound) { // expired, or erased
		return u.remove(ctx, o, stray, s)
	}
	if err != nil || !job.Final() {
		return err
	}
	sub, err := u.o.Store.Submission(ctx, claim.Job)
	if err != nil && !errors.Is(err, results.ErrNotFound) {
		return err
	}
	return u.remove(ctx, o, over(job.State, sub.Media), s)
}

func (u *Uploads) remove(ctx context.Context, o object.Info, really bool, s *Scanned) error {
	if !really {
		return nil
	}
	if err := u.o.Bucket.DeleteForeign(ctx, u.o.UploadBucket, o.Key, ""); err != nil {
		return err
	}
	s.Removed++
	return nil
}

// recover starts the job of an upload whose notification never came. The object as it is now is pinned by its ETag.
func (u *Uploads) recover(ctx context.Context, o object.Info, now time.Time, s *Scanned) error {
	body, found, err := u.o.Bucket.OpenForeign(ctx, u.o.UploadBucket, o.Key, "", "")
	if errors.Is(err, object.ErrNotFound) {
		return nil // removed since
	}
	if err != nil {
		return err
	}
	body.Close()
	e := results.IntakeEvent{ID: ulid.Make().String(), Source: SourceScan, Bucket: u.o.UploadBucket, Key: o.Key, Version: found.Version, ETag: found.ETag,
		Bytes: found.Bytes, HappenedAt: found.Changed, ReceivedAt: now, Raw: []byte("{}")}
	if err := u.o.Intake.take(ctx, &e); err != nil {
		return err
	}
	if e.State == results.IntakeStarted {
		u.o.Log.Warn("the notification of an upload never came; its job was started all the same", "job", e.Job)
		s.Started++
	}
	return nil
}
