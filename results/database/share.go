package database

import (
	"context"
	"crypto/sha256"
	"encoding/binary"

	"github.com/pressly/goose/v3"

	"onsite/results"
)

// What several transactions have in common. All of it is made of statements, so that it fits into a batch.

// audited writes an audit entry. One without an action is none: nothing is written.
func audited(entries ...results.AuditEntry) (b []statement) {
	for _, a := range entries {
		if a.Action != "" {
			b = append(b, do(`INSERT INTO audit (tenant, id, at, actor, action, subject, target, digest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
				a.Tenant, a.ID, a.At, a.Actor, a.Action, a.Subject, a.Target, a.Digest))
		}
	}
	return b
}

// kept takes object keys off the pending ones, since a row names them now.
func kept(keys ...string) []statement {
	if len(keys) == 0 {
		return nil
	}
	return []statement{do(`DELETE FROM pending_objects WHERE object_key = ANY($1)`, keys)}
}

// alive holds subjects for the length of the transaction against being erased: with it as the first statement, what the next ones read of
// erased_at stays true until the commit. Several may hold a subject at once; EraseSubject waits for them and they for it. On SQLite there is
// one writer, so there is nothing to do.
func (s *Store) alive(subjects ...[2]string) []statement { return s.subjectLock("_shared", subjects) }

// notErased holds a subject and says whether it was erased; one that nobody has made was not. It comes before the lock of any job's row,
// as in EraseSubject, so that the two do not wait for each other.
func (s *Store) notErased(ctx context.Context, q querier, tenant, subject string) error {
	var erased int64
	_, err := q.Batch(ctx, append(s.alive([2]string{tenant, subject}), statement{`SELECT erased_at FROM subjects WHERE tenant = $1 AND id = $2`,
		[]any{tenant, subject}, func(r row) error { return r.Scan(&erased) }}))
	if err == nil && erased != 0 {
		err = results.ErrErased
	}
	return err
}

// dying keeps everybody else out while a subject is erased.
func (s *Store) dying(tenant, subject string) []statement {
	return s.subjectLock("", [][2]string{{tenant, subject}})
}

func (s *Store) subjectLock(shared string, subjects [][2]string) []statement {
	if s.db.dialect() != goose.DialectPostgres || len(subjects) == 0 {
		return nil
	}
	locks := make([]int64, 0, len(subjects))
	for _, one := range subjects {
		// Two subjects with the same number would wait for each other now and then, no more.
		sum := sha256.Sum256([]byte("subject\x00" + one[0] + "\x00" + one[1]))
		locks = append(locks, int64(binary.BigEndian.Uint64(sum[:8])))
	}
	return []statement{do(`SELECT pg_advisory_xact_lock`+shared+`(n) FROM unnest($1::bigint[]) AS n`, locks)}
}

// limit is how many entries a page has.
func limit(p results.Page) int {
	if p.Limit <= 0 {
		return 100
	}
	return min(p.Limit, 500)
}
