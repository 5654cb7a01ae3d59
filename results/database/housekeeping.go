package database

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/pressly/goose/v3"

	"onsite/results"
)

// Pend implements results.Housekeeping. The key of a model's file is the file's own, and may be pending from an earlier upload that was not ended:
// it counts from now on, so that the sweeper does not take it from under the new one.
func (s *Store) Pend(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	_, err := s.db.Exec(ctx, `INSERT INTO pending_objects (object_key, since) SELECT k.v, $2::bigint FROM unnest($1::text[]) AS k(v) WHERE TRUE ON CONFLICT (object_key) DO UPDATE SET since = excluded.since WHERE substr(excluded.object_key, 1, 8) = '`+results.ModelPrefix+`'`, keys, s.Now())
	return wrap(err, "note %d objects as pending", len(keys))
}

// Forget implements results.Housekeeping.
func (s *Store) Forget(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	_, err := s.db.Exec(ctx, `DELETE FROM pending_objects WHERE object_key = ANY($1)`, keys)
	return wrap(err, "forget %d pending objects", len(keys))
}

// Orphans implements results.Housekeeping.
func (s *Store) Orphans(ctx context.Context, before time.Time, n int) ([]string, error) {
	all, err := collect(ctx, s.db, scanText, `SELECT object_key FROM pending_objects WHERE since < $1 ORDER BY since, object_key LIMIT $2`, before, n)
	return all, wrap(err, "look for orphan objects")
}

func scanText(r row) (text string, err error) {
	err = r.Scan(&text)
	return text, err
}

// namers find the rows that name objects. A key says whose it is (tenant/subject/ulid), which finds the rows by their index.
var namers = []string{
	`SELECT object_key FROM photos WHERE object_key = ANY($1) AND object_key <> ''`,
	`SELECT object_key FROM site_objects WHERE object_key = ANY($1)`,
	`SELECT object_key FROM model_files WHERE object_key = ANY($1)`,
	`SELECT media_key FROM submissions WHERE tenant = ANY($2) AND subject = ANY($3) AND media_key = ANY($1)`,
	`SELECT object_key FROM evidence WHERE tenant = ANY($2) AND subject = ANY($3) AND object_key = ANY($1)`,
	`SELECT object_key FROM prints WHERE tenant = ANY($2) AND subject = ANY($3) AND object_key = ANY($1)`,
}

// Referenced implements results.Housekeeping.
func (s *Store) Referenced(ctx context.Context, keys []string) (map[string]bool, error) {
	found := map[string]bool{}
	tenants, subjects := make([]string, 0, len(keys)), make([]string, 0, len(keys))
	for _, key := range keys {
		tenant, rest, _ := strings.Cut(key, "/")
		subject, _, _ := strings.Cut(rest, "/")
		tenants, subjects = append(tenants, tenant), append(subjects, subject)
	}
	for _, query := range namers {
		args := []any{keys}
		if strings.Contains(query, "$3") {
			args = append(args, tenants, subjects)
		}
		some, err := collect(ctx, s.db, scanText, query, args...)
		if err != nil {
			return nil, wrap(err, "look who names %d objects", len(keys))
		}
		for _, key := range some {
			found[key] = true
		}
	}
	return found, nil
}

// Elect implements results.Housekeeping. A ttl of 0 gives the role up. On PostgreSQL its clock decides, not that of a machine; on SQLite an
// end that is too far away was written by a clock that was wrong, and does not count.
func (s *Store) Elect(ctx context.Context, role, holder string, ttl time.Duration) (bool, error) {
	query := `INSERT INTO elections (role, holder, until) VALUES ($1, $2, $4 + $3) ON CONFLICT (role) DO UPDATE SET holder = excluded.holder, until = excluded.until
		WHERE elections.holder = excluded.holder OR elections.until <= $4 OR elections.until > $4 + 10 * $3 + 60000`
	args := []any{role, holder, ttl.Milliseconds()}
	if s.db.dialect() == goose.DialectPostgres {
		query = strings.ReplaceAll(query, "$4", "(extract(epoch FROM clock_timestamp()) * 1000)::bigint")
		query = strings.ReplaceAll(query, "$3", "$3::bigint")
	} else {
		args = append(args, s.Now())
	}
	n, err := s.db.Exec(ctx, query, args...)
	return n == 1, wrap(err, "elect who plays %s", role)
}

// Append implements results.Housekeeping.
func (s *Store) Append(ctx context.Context, a results.AuditEntry) error {
	_, err := s.db.Batch(ctx, audited(a))
	return wrap(err, "append to the audit log")
}

const auditColumns = `id, tenant, at, actor, action, subject, target, digest`

func scanAudit(r row) (a results.AuditEntry, err error) {
	err = r.Scan(&a.ID, &a.Tenant, at(&a.At), &a.Actor, &a.Action, &a.Subject, &a.Target, &a.Digest)
	return a, err
}

// AuditLog implements results.Housekeeping: oldest first, by id.
func (s *Store) AuditLog(ctx context.Context, tenant string, p results.Page) ([]results.AuditEntry, error) {
	all, err := collect(ctx, s.db, scanAudit, `SELECT `+auditColumns+` FROM audit WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3`, tenant, p.After, limit(p))
	return all, wrap(err, "read the audit log of tenant %s", tenant)
}

// Remember implements results.Housekeeping.
func (s *Store) Remember(ctx context.Context, name string, value json.RawMessage) error {
	_, err := s.db.Exec(ctx, `INSERT INTO memory (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return wrap(err, "remember %s", name)
}

// Recall implements results.Housekeeping; results.ErrNotFound.
func (s *Store) Recall(ctx context.Context, name string) (value json.RawMessage, err error) {
	err = s.db.QueryRow(ctx, `SELECT value FROM memory WHERE name = $1`, name).Scan(fromJSON(&value))
	return value, wrap(err, "recall %s", name)
}
