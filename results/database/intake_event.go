package database

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"onsite/results"
)

const eventColumns = `id, tenant, source, raw, bucket, path, version, sequencer, etag, bytes, state, job, why, happened_at, received_at`

func scanEvent(r row) (results.IntakeEvent, error) {
	var e results.IntakeEvent
	err := r.Scan(&e.ID, &e.Tenant, &e.Source, &e.Raw, &e.Bucket, &e.Key, &e.Version, &e.Sequencer, &e.ETag, &e.Bytes, &e.State, &e.Job, because(&e.Why),
		at(&e.HappenedAt), at(&e.ReceivedAt))
	return e, err
}

// named gives an event an id and a time where it has none.
func named(e results.IntakeEvent, now time.Time) results.IntakeEvent {
	if e.ID == "" {
		e.ID = ulid.Make().String()
	}
	if e.ReceivedAt.IsZero() {
		e.ReceivedAt = now
	}
	if e.Raw == nil {
		e.Raw = []byte{}
	}
	return e
}

// recorded writes an event; onConflict says what happens to one that is there.
func recorded(e results.IntakeEvent, onConflict string) []statement {
	return []statement{do(`INSERT INTO intake_events (`+eventColumns+`, mark)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT (id) `+onConflict,
		e.ID, e.Tenant, e.Source, e.Raw, e.Bucket, e.Key, e.Version, e.Sequencer, e.ETag, e.Bytes, string(e.State), e.Job, said(e.Why), e.HappenedAt,
		e.ReceivedAt, mark(e))}
}

// RecordEvent keeps an event that starts nothing.
func (s *Store) RecordEvent(ctx context.Context, e results.IntakeEvent) error {
	if e.State == results.IntakeStarted {
		return errors.New("record an intake event: only Arrive starts jobs")
	}
	_, err := s.db.Batch(ctx, recorded(named(e, s.Now()), `DO NOTHING`))
	if err != nil {
		return fmt.Errorf("record an intake event: %w", err)
	}
	return nil
}

// IntakeEvents lists events, newest first; state "": all.
func (s *Store) IntakeEvents(ctx context.Context, tenant string, state results.IntakeState, p results.Page) ([]results.IntakeEvent, error) {
	q := query{text: `SELECT ` + eventColumns + ` FROM intake_events WHERE tenant = $1`, args: []any{tenant}}
	q.and(`state = ?`, string(state), state != "")
	q.and(`id < ?`, p.After, p.After != "")
	q.end(`ORDER BY id DESC`, p)
	all, err := collect(ctx, s.db, scanEvent, q.text, q.args...)
	if err != nil {
		return nil, fmt.Errorf("list intake events: %w", err)
	}
	return all, nil
}

// Unclaimed gives events that came before their claim.
func (s *Store) Unclaimed(ctx context.Context, bucket, key string) ([]results.IntakeEvent, error) {
	all, err := collect(ctx, s.db, scanEvent, `SELECT `+eventColumns+` FROM intake_events WHERE bucket = $1 AND path = $2 AND state = 'unclaimed'
		ORDER BY id LIMIT 100`, bucket, key)
	if err != nil {
		return nil, fmt.Errorf("list events of bucket %s without a claim: %w", bucket, err)
	}
	return all, nil
}

// PutBucketMap says whose uploads lie under a prefix. A tenant cannot take a part of another's prefix, nor one around it: either would
// let it take the other's uploads.
func (s *Store) PutBucketMap(ctx context.Context, m results.BucketMap, a results.AuditEntry) error {
	err := s.db.Tx(ctx, func(q querier) error {
		if s.postgres() {
			if _, err := q.Exec(ctx, `LOCK TABLE bucket_maps IN SHARE ROW EXCLUSIVE MODE`); err != nil {
				return err
			}
		}
		there, err := collect(ctx, q, scanMap, `SELECT bucket, prefix, tenant, created_at FROM bucket_maps WHERE bucket = $1 AND tenant <> $2`,
			m.Bucket, m.Tenant)
		if err != nil {
			return err
		}
		for _, other := range there {
			if strings.HasPrefix(other.Prefix, m.Prefix) || strings.HasPrefix(m.Prefix, other.Prefix) {
				return results.ErrExists
			}
		}
		if m.CreatedAt.IsZero() {
			m.CreatedAt = s.Now()
		}
		n, err := q.Exec(ctx, `INSERT INTO bucket_maps (bucket, prefix, tenant, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			m.Bucket, m.Prefix, m.Tenant, m.CreatedAt)
		if err != nil || n == 0 { // it is there already
			return err
		}
		a.Target, a.Digest = m.Place(), m.Digest()
		_, err = q.Batch(ctx, audited(a))
		return err
	})
	if err != nil {
		return fmt.Errorf("map bucket %s, prefix %q: %w", m.Bucket, m.Prefix, err)
	}
	return nil
}

// DeleteBucketMap takes a mapping back; that there is none is ErrNotFound.
func (s *Store) DeleteBucketMap(ctx context.Context, tenant, bucket, prefix string, a results.AuditEntry) error {
	err := s.db.Tx(ctx, func(q querier) error {
		n, err := q.Exec(ctx, `DELETE FROM bucket_maps WHERE tenant = $1 AND bucket = $2 AND prefix = $3`, tenant, bucket, prefix)
		if err = one(n, err); err != nil {
			return err
		}
		a.Target = results.BucketMap{Bucket: bucket, Prefix: prefix}.Place()
		_, err = q.Batch(ctx, audited(a))
		return err
	})
	if err != nil {
		return fmt.Errorf("take back the mapping of bucket %s, prefix %q: %w", bucket, prefix, err)
	}
	return nil
}

// BucketMaps lists a tenant's mappings; tenant "": all.
func (s *Store) BucketMaps(ctx context.Context, tenant string) ([]results.BucketMap, error) {
	all, err := collect(ctx, s.db, scanMap, `SELECT bucket, prefix, tenant, created_at FROM bucket_maps WHERE tenant = $1 OR $1 = ''
		ORDER BY bucket, prefix`, tenant)
	if err != nil {
		return nil, fmt.Errorf("list mappings of buckets: %w", err)
	}
	return all, nil
}

func scanMap(r row) (results.BucketMap, error) {
	var m results.BucketMap
	err := r.Scan(&m.Bucket, &m.Prefix, &m.Tenant, at(&m.CreatedAt))
	return m, err
}
