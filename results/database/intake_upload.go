package database

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"onsite/results"
)

const uploadColumns = `job, tenant, bucket, path, max_bytes, sub, created_at, expires_at, arrived_at`

func scanUpload(r row) (results.Upload, error) {
	var u results.Upload
	err := r.Scan(&u.Job, &u.Tenant, &u.Bucket, &u.Key, &u.MaxBytes, fromJSON(&u.Sub), at(&u.CreatedAt), at(&u.ExpiresAt), at(&u.ArrivedAt))
	return u, err
}

// emptied says that the claim's subject was erased. What is left of it says only that its object must not stay.
func emptied(u results.Upload) bool { return u.Job != "" && u.Sub.Job == "" }

// CreateUpload records a claim that waits for its object.
func (s *Store) CreateUpload(ctx context.Context, u results.Upload, idempotency, bodySHA256 string) (results.Upload, bool, error) {
	var again bool
	given := u
	err := s.db.Tx(ctx, func(q querier) error {
		u, again = given, false
		return s.createUpload(ctx, q, &u, &again, idempotency, bodySHA256)
	})
	if err != nil {
		return results.Upload{}, false, fmt.Errorf("record the upload of job %s: %w", u.Job, err)
	}
	return u, again, nil
}

func (s *Store) createUpload(ctx context.Context, q querier, u *results.Upload, again *bool, request, body string) error {
	now := s.Now()
	u.Sub.Job, u.Sub.Tenant = u.Job, u.Tenant
	if _, err := q.Batch(ctx, s.arriving(u.Bucket, u.Key)); err != nil {
		return err
	}
	before := prior{sub: u.Sub, request: request, body: body}
	if err := before.read(ctx, s, q); err != nil {
		return err
	}
	if job, err := before.answer(); err != nil {
		return err
	} else if job != "" {
		*u, err = collectOne(ctx, q, scanUpload, `SELECT `+uploadColumns+` FROM uploads WHERE job = $1 AND tenant = $2`, job, u.Tenant)
		*again = true
		if errors.Is(err, results.ErrNotFound) {
			return results.ErrKeyReuse // by a submission of another kind
		} else if emptied(*u) {
			return results.ErrErased
		}
		return err
	}
	there, err := collectOne(ctx, q, scanUpload, `SELECT `+uploadColumns+` FROM uploads WHERE bucket = $1 AND path = $2`, u.Bucket, u.Key)
	switch {
	case errors.Is(err, results.ErrNotFound):
	case err != nil:
		return err
	case there.Job == u.Job && there.Tenant == u.Tenant:
		*u, *again = there, true
		return nil
	case !there.ArrivedAt.IsZero() || there.ExpiresAt.After(now):
		return results.ErrExists
	}
	// A claim that nobody used in its time makes room for the new one.
	b := []statement{do(`DELETE FROM uploads WHERE bucket = $1 AND path = $2`, u.Bucket, u.Key)}
	if request != "" {
		b = append(b, took(u.Tenant, request, u.Job, body, now))
	}
	b = append(b, do(`INSERT INTO uploads (job, tenant, subject, bucket, path, max_bytes, sub, created_at, expires_at, arrived_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0)`,
		u.Job, u.Tenant, u.Sub.Subject, u.Bucket, u.Key, u.MaxBytes, js(u.Sub), u.CreatedAt, u.ExpiresAt))
	changed, err := q.Batch(ctx, b)
	if err == nil && request != "" && changed[1] == 0 {
		return fmt.Errorf("%w: %w", results.ErrAway, errRace) // another took the key since we looked
	}
	return err
}

// Upload gives the recorded claim of a job to come.
func (s *Store) Upload(ctx context.Context, tenant, job string) (results.Upload, error) {
	u, err := collectOne(ctx, s.db, scanUpload, `SELECT `+uploadColumns+` FROM uploads WHERE job = $1 AND tenant = $2`, job, tenant)
	if err == nil && emptied(u) {
		u, err = results.Upload{}, results.ErrErased
	}
	if err != nil {
		return u, fmt.Errorf("read the upload of job %s: %w", job, err)
	}
	return u, nil
}

// UploadAt gives the claim of an object of a bucket.
func (s *Store) UploadAt(ctx context.Context, bucket, key string) (results.Upload, error) {
	u, err := collectOne(ctx, s.db, scanUpload, `SELECT `+uploadColumns+` FROM uploads WHERE bucket = $1 AND path = $2`, bucket, key)
	if err == nil && emptied(u) {
		u, err = results.Upload{}, results.ErrErased
	}
	if err != nil {
		return u, fmt.Errorf("read the upload to bucket %s: %w", bucket, err)
	}
	return u, nil
}

// arriving makes a claim and the events of its object wait for each other. Else an event could look for a claim before it is committed, and
// the claim's maker for unclaimed events before that one is.
func (s *Store) arriving(bucket, key string) []statement {
	if !s.postgres() {
		return nil
	}
	sum := sha256.Sum256([]byte("object\x00" + bucket + "\x00" + key))
	return []statement{do(`SELECT pg_advisory_xact_lock($1::bigint)`, int64(binary.BigEndian.Uint64(sum[:8])))}
}

// Arrive records a bucket event and starts the job that waits for its object.
func (s *Store) Arrive(ctx context.Context, e results.IntakeEvent, src results.Source) (results.IntakeEvent, error) {
	given := named(e, s.Now())
	err := s.db.Tx(ctx, func(q querier) error {
		e = given
		if _, err := q.Batch(ctx, s.arriving(e.Bucket, e.Key)); err != nil {
			return err
		}
		start, err := s.judge(ctx, q, &e)
		if err != nil {
			return err
		}
		b := recorded(e, `DO UPDATE SET tenant = excluded.tenant, state = excluded.state, job = excluded.job, why = excluded.why`)
		if start != nil {
			start.Source, start.ReceivedAt = src, e.ReceivedAt
			b = append(b, do(`UPDATE uploads SET arrived_at = $2 WHERE job = $1`, start.Job, e.ReceivedAt))
			b = append(b, submitted(*start, s.Now(), arrived(e))...)
			b = append(b, audited(results.AuditEntry{ID: e.ID, Tenant: start.Tenant, At: s.Now(), Actor: "intake", Action: "submission.accepted",
				Subject: start.Subject, Target: start.Job})...)
		}
		_, err = q.Batch(ctx, b)
		return err
	})
	if err != nil {
		return given, fmt.Errorf("take the event of an object in bucket %s: %w", given.Bucket, err)
	}
	return e, nil
}

// written is when an event's object was written: what the bucket says, or else when its news came.
func written(e results.IntakeEvent) time.Time {
	if e.HappenedAt.IsZero() {
		return e.ReceivedAt
	}
	return e.HappenedAt
}

// arrived is when an object was there for us: when it was written, by a clock that may be ahead of ours, but not after its news.
func arrived(e results.IntakeEvent) time.Time {
	if at := written(e); at.Before(e.ReceivedAt) {
		return at
	}
	return e.ReceivedAt
}

// judge decides what becomes of an event, and gives the submission that it starts.
func (s *Store) judge(ctx context.Context, q querier, e *results.IntakeEvent) (*results.Submission, error) {
	e.State, e.Job, e.Why = "", "", nil
	var first, firstJob, mapped string
	var u results.Upload
	_, err := q.Batch(ctx, []statement{
		{`SELECT id, job FROM intake_events WHERE bucket = $1 AND path = $2 AND mark = $3 AND state = 'started'`,
			[]any{e.Bucket, e.Key, mark(*e)}, func(r row) error { return r.Scan(&first, &firstJob) }},
		{`SELECT tenant FROM bucket_maps WHERE bucket = $1 AND substr($2::text, 1, length(prefix)) = prefix ORDER BY length(prefix) DESC LIMIT 1`,
			[]any{e.Bucket, e.Key}, func(r row) error { return r.Scan(&mapped) }},
		{`SELECT ` + uploadColumns + ` FROM uploads WHERE bucket = $1 AND path = $2`,
			[]any{e.Bucket, e.Key}, func(r row) (err error) { u, err = scanUpload(r); return err }},
	})
	if err != nil {
		return nil, err
	}
	if mapped != "" {
		e.Tenant = mapped
	} else if u.Job != "" {
		e.Tenant = u.Tenant
	}
	switch {
	case emptied(u):
		e.State, e.Why, e.Raw, e.Key = results.IntakeUnclaimed, claimErased(), []byte{}, ""
	case first == e.ID:
		e.State, e.Job = results.IntakeStarted, firstJob // the same call again, after its answer got lost
		return nil, nil
	case first != "":
		e.State, e.Job = results.IntakeDuplicate, firstJob
	case u.Job == "" && e.Tenant == "":
		e.State, e.Why = results.IntakeForeign, results.Because("place_unmapped", "no tenant is mapped to this bucket and prefix", "没有租户映射到该存储桶和前缀")
	case u.Job == "":
		e.State, e.Why = results.IntakeUnclaimed, results.Because("claim_missing", "no claim is recorded for this object", "没有为该对象登记申报")
	case u.Tenant != e.Tenant:
		e.State, e.Why = results.IntakeUnclaimed, results.Because("claim_foreign", "the claim that is recorded for this object is another tenant's", "为该对象登记的申报属于其他租户")
	case !u.ArrivedAt.IsZero():
		e.State, e.Job = results.IntakeDuplicate, u.Job
		e.Why = results.Because("object_again", "the object was written again; its first writing counts", "该对象被再次写入；以首次写入为准")
	case written(*e).After(u.ExpiresAt):
		e.State = results.IntakeUnclaimed
		e.Why = results.Because("claim_ended", "the claim ended at %s, before the object was written", "申报已于 %s 失效，早于对象写入时间", u.ExpiresAt.Format(time.RFC3339))
	default:
		switch err := s.notErased(ctx, q, u.Tenant, u.Sub.Subject); {
		case errors.Is(err, results.ErrErased):
			e.State, e.Why = results.IntakeUnclaimed, claimErased()
		case err != nil:
			return nil, err
		default:
			e.State, e.Job = results.IntakeStarted, u.Job
			return &u.Sub, nil
		}
	}
	return nil, nil
}

func claimErased() *results.Why {
	return results.Because(erasedError.Rule, "the subject of the claim was erased", "申报的人员已被删除")
}

// mark tells one writing of an object from another, by the best that the bucket gives.
func mark(e results.IntakeEvent) string {
	switch {
	case e.Version != "" && e.Version != "null": // "null" is what a bucket without versions says
		return "v:" + e.Version
	case e.Sequencer != "":
		return "s:" + e.Sequencer
	case e.ETag != "":
		return "e:" + e.ETag
	}
	return ""
}
