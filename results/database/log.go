package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"onsite/results"
	"onsite/results/audit"
)

// tenantsAtOnce bounds how many logs one call of SequenceAudit moves on, sequenceTime for how long it begins new ones.
const (
	tenantsAtOnce = 64
	sequenceTime  = time.Second
)

// SequenceAudit implements results.Log.
func (s *Store) SequenceAudit(ctx context.Context, n int) (placed int, more bool, err error) {
	var tenants []string
	// A look along the index from tenant to tenant: the entries that wait are not counted.
	if _, err := s.db.Batch(ctx, s.loggers.order(`SELECT DISTINCT tenant FROM audit WHERE seq IS NULL AND tenant > $1 ORDER BY tenant LIMIT $2`,
		nil, tenantsAtOnce+1, &tenants)); err != nil {
		return 0, false, fmt.Errorf("look whose audit entries wait: %w", err)
	}
	if more = len(tenants) > tenantsAtOnce; more {
		tenants = tenants[:tenantsAtOnce]
	}
	var errs []error
	begun := time.Now()
	for i, tenant := range tenants {
		if i > 0 && time.Since(begun) > sequenceTime {
			more = true
			break
		}
		took, err := s.sequenceAudit(ctx, tenant, n)
		s.loggers.took(tenant) // also one whose log is damaged: the others must have their turn
		placed += took
		more = more || took == n
		if err != nil {
			errs = append(errs, fmt.Errorf("give audit entries of tenant %s their places: %w", tenant, err))
			if ctx.Err() != nil || errors.Is(err, results.ErrAway) {
				break
			}
		}
	}
	return placed, more, errors.Join(errs...)
}

// sequenceAudit moves one tenant's log on. Its row is held until the commit, so that places follow each other without a gap.
func (s *Store) sequenceAudit(ctx context.Context, tenant string, n int) (placed int, err error) {
	err = s.db.Tx(ctx, func(q querier) error {
		empty, err := tlog.TreeHash(0, nil)
		if err != nil {
			return err
		}
		if _, err := q.Exec(ctx, `INSERT INTO audit_logs (tenant, size, root, signed) VALUES ($1, 0, $2, 0) ON CONFLICT (tenant) DO NOTHING`, tenant, empty[:]); err != nil {
			return err
		}
		var size int64
		if err := q.QueryRow(ctx, `SELECT size FROM audit_logs WHERE tenant = $1 FOR UPDATE`, tenant).Scan(&size); err != nil {
			return err
		}
		list, err := collect(ctx, q, scanAudit, `SELECT `+auditColumns+` FROM audit WHERE tenant = $1 AND seq IS NULL ORDER BY id LIMIT $2`, tenant, n)
		if err != nil || len(list) == 0 {
			placed = 0
			return err
		}
		salts, hidden, err := s.salts(ctx, q, tenant, list)
		if err != nil {
			return err
		}
		leaves := make([]tlog.Hash, len(list))
		for i, a := range list {
			salt := salts[audit.SaltOf(a)]
			switch {
			case hidden[a.ID]:
				salt = audit.NewSalt() // the subject was erased before its entry got its place: nobody keeps what hides it
			case salt == nil:
				salt = salts[""] // it was written after the erasure: that of the tenant, so that it can be checked
			}
			leaves[i] = audit.Leaf(audit.Nonce(salt, a.ID), a)
		}
		add, root, err := audit.Grow(size, leaves, audit.Hashes(func(indexes []int64) ([][]byte, error) { return readHashes(ctx, q, tenant, indexes) }))
		if err != nil {
			return err
		}
		placed = len(list)
		return s.keepLeaves(ctx, q, tenant, size, list, add, root)
	})
	if err != nil {
		return 0, err // nothing was written
	}
	return placed, nil
}

// salts gives the salts of the entries' subjects and that of the tenant, and makes those that are missing; there are none of erased subjects.
// The subjects are held against being erased meanwhile: a salt must not be made after that. hidden are the entries that were there when theirs was.
func (s *Store) salts(ctx context.Context, q querier, tenant string, list []results.AuditEntry) (salts map[string][]byte, hidden map[string]bool, err error) {
	subjects, ids := []string{""}, make([]string, 0, len(list))
	for _, a := range list {
		ids = append(ids, a.ID)
		if name := audit.SaltOf(a); !slices.Contains(subjects, name) {
			subjects = append(subjects, name)
		}
	}
	slices.Sort(subjects) // in order, so that nobody waits crosswise
	var hold [][2]string
	for _, name := range subjects {
		if name != "" {
			hold = append(hold, [2]string{tenant, name})
		}
	}
	var erased []string
	salts, hidden = map[string][]byte{}, map[string]bool{}
	_, err = q.Batch(ctx, append(s.alive(hold...),
		statement{`SELECT id FROM audit WHERE tenant = $1 AND id = ANY($2) AND hidden`, []any{tenant, ids}, func(r row) error {
			id, err := scanText(r)
			hidden[id] = true
			return err
		}},
		statement{`SELECT id FROM subjects WHERE tenant = $1 AND id = ANY($2) AND erased_at <> 0`, []any{tenant, subjects}, func(r row) error {
			var id string
			err := r.Scan(&id)
			erased = append(erased, id)
			return err
		}},
		statement{`SELECT subject, salt FROM audit_salts WHERE tenant = $1 AND subject = ANY($2)`, []any{tenant, subjects}, func(r row) error {
			var name string
			var salt []byte
			err := r.Scan(&name, &salt)
			salts[name] = salt
			return err
		}}))
	if err != nil {
		return nil, nil, err
	}
	var b []statement
	for _, name := range subjects {
		if salts[name] == nil && !slices.Contains(erased, name) {
			salts[name] = audit.NewSalt()
			b = append(b, do(`INSERT INTO audit_salts (tenant, subject, salt) VALUES ($1, $2, $3)`, tenant, name, salts[name]))
		}
	}
	if len(b) > 0 {
		_, err = q.Batch(ctx, b)
	}
	return salts, hidden, err
}

// keepLeaves writes the places of entries, the new hashes of the tree and its head.
func (s *Store) keepLeaves(ctx context.Context, q querier, tenant string, size int64, list []results.AuditEntry, add []tlog.Hash, root tlog.Hash) error {
	ids, places := make([]string, len(list)), make([]int64, len(list))
	for i, a := range list {
		ids[i], places[i] = a.ID, size+int64(i)
	}
	indexes, hashes := make([]int64, len(add)), make([][]byte, len(add))
	for i := range add {
		indexes[i], hashes[i] = tlog.StoredHashCount(size)+int64(i), add[i][:]
	}
	var b []statement
	if s.postgres() {
		b = append(b,
			do(`UPDATE audit a SET seq = n.seq FROM unnest($2::text[], $3::bigint[]) AS n (id, seq) WHERE a.tenant = $1 AND a.id = n.id AND a.seq IS NULL`, tenant, ids, places),
			do(`INSERT INTO audit_hashes (tenant, idx, hash) SELECT $1, n.idx, n.hash FROM unnest($2::bigint[], $3::bytea[]) AS n (idx, hash)`, tenant, indexes, hashes))
	} else {
		for i := range ids {
			b = append(b, do(`UPDATE audit SET seq = $3 WHERE tenant = $1 AND id = $2`, tenant, ids[i], places[i]))
		}
		for i := range indexes {
			b = append(b, do(`INSERT INTO audit_hashes (tenant, idx, hash) VALUES ($1, $2, $3)`, tenant, indexes[i], hashes[i]))
		}
	}
	b = append(b, do(`UPDATE audit_logs SET size = $2, root = $3 WHERE tenant = $1`, tenant, size+int64(len(list)), root[:]))
	_, err := q.Batch(ctx, b)
	return err
}

func readHashes(ctx context.Context, q querier, tenant string, indexes []int64) ([][]byte, error) {
	found := make(map[int64][]byte, len(indexes))
	if _, err := q.Batch(ctx, []statement{{`SELECT idx, hash FROM audit_hashes WHERE tenant = $1 AND idx = ANY($2)`, []any{tenant, indexes}, func(r row) error {
		var idx int64
		var hash []byte
		err := r.Scan(&idx, &hash)
		found[idx] = hash
		return err
	}}}); err != nil {
		return nil, err
	}
	out := make([][]byte, len(indexes))
	for i, x := range indexes {
		out[i] = found[x]
	}
	return out, nil
}

// AuditBacklog implements results.Log.
func (s *Store) AuditBacklog(ctx context.Context) (waiting int64, oldest time.Time, err error) {
	err = s.db.QueryRow(ctx, `SELECT count(*), min(at) FROM audit WHERE seq IS NULL`).Scan(&waiting, at(&oldest))
	return waiting, oldest, wrap(err, "count the audit entries that wait")
}

const headColumns = `tenant, size, root, signed`

func scanHead(r row) (h results.LogHead, err error) {
	err = r.Scan(&h.Tenant, &h.Size, &h.Root, &h.Signed)
	return h, err
}

// LogHeads implements results.Log.
func (s *Store) LogHeads(ctx context.Context) ([]results.LogHead, error) {
	all, err := collect(ctx, s.db, scanHead, `SELECT `+headColumns+` FROM audit_logs WHERE size > 0 ORDER BY tenant`)
	return all, wrap(err, "read the heads of the audit logs")
}

// LogHead implements results.Log.
func (s *Store) LogHead(ctx context.Context, tenant string) (results.LogHead, error) {
	h, err := scanHead(s.db.QueryRow(ctx, `SELECT `+headColumns+` FROM audit_logs WHERE tenant = $1 AND size > 0`, tenant))
	return h, wrap(err, "read the head of the audit log of tenant %s", tenant)
}

// LogHashes implements results.Log.
func (s *Store) LogHashes(ctx context.Context, tenant string, indexes []int64) ([][]byte, error) {
	all, err := readHashes(ctx, s.db, tenant, indexes)
	return all, wrap(err, "read the audit log of tenant %s", tenant)
}

const loggedColumns = `a.id, a.tenant, a.at, a.actor, a.action, a.subject, a.target, a.digest, a.seq, s.salt, a.hidden`

// loggedFrom joins entries with the salts that hide them; $1 is the tenant, $2 the action that the tenant's own salt hides, as it does what was
// written about a subject after its erasure.
const loggedFrom = ` FROM audit a LEFT JOIN audit_salts s ON s.tenant = a.tenant AND s.subject = CASE WHEN a.action = $2 OR NOT a.hidden
	AND EXISTS (SELECT 1 FROM subjects p WHERE p.tenant = a.tenant AND p.id = a.subject AND p.erased_at <> 0) THEN '' ELSE a.subject END WHERE a.tenant = $1`

func scanLogged(r row) (e results.LoggedEntry, err error) {
	var seq *int64
	var salt []byte
	a := &e.AuditEntry
	err = r.Scan(&a.ID, &a.Tenant, at(&a.At), &a.Actor, &a.Action, &a.Subject, &a.Target, &a.Digest, &seq, &salt, &e.Hidden)
	e.Seq = -1
	if seq != nil {
		e.Seq = *seq
		if salt != nil {
			e.Nonce = audit.Nonce(salt, a.ID)
		}
	}
	return e, err
}

// LogEntries implements results.Log.
func (s *Store) LogEntries(ctx context.Context, tenant string, from int64, n int) ([]results.LoggedEntry, error) {
	all, err := collect(ctx, s.db, scanLogged, `SELECT `+loggedColumns+loggedFrom+` AND a.seq >= $3 AND a.seq IS NOT NULL ORDER BY a.seq LIMIT $4`, tenant, audit.ActionErased, from, n)
	return all, wrap(err, "read the audit log of tenant %s", tenant)
}

// LogWaiting implements results.Log.
func (s *Store) LogWaiting(ctx context.Context, tenant, after string, n int) ([]results.LoggedEntry, error) {
	all, err := collect(ctx, s.db, scanLogged, `SELECT `+loggedColumns+loggedFrom+` AND a.seq IS NULL AND a.id > $3 ORDER BY a.id LIMIT $4`, tenant, audit.ActionErased, after, n)
	return all, wrap(err, "read the audit entries of tenant %s that wait", tenant)
}

// LogEntry implements results.Log.
func (s *Store) LogEntry(ctx context.Context, tenant, id string) (results.LoggedEntry, error) {
	e, err := scanLogged(s.db.QueryRow(ctx, `SELECT `+loggedColumns+loggedFrom+` AND a.id = $3`, tenant, audit.ActionErased, id))
	return e, wrap(err, "read audit entry %s", id)
}

// LogEntriesAbout implements results.Log.
func (s *Store) LogEntriesAbout(ctx context.Context, tenant, target string, n int) ([]results.LoggedEntry, error) {
	all, err := collect(ctx, s.db, scanLogged, `SELECT `+loggedColumns+loggedFrom+` AND a.target = $3 ORDER BY a.id LIMIT $4`, tenant, audit.ActionErased, target, n)
	return all, wrap(err, "look for the audit entries about %s", target)
}

const checkpointColumns = `tenant, size, note, at`

func scanCheckpoint(r row) (c results.Checkpoint, err error) {
	err = r.Scan(&c.Tenant, &c.Size, &c.Note, at(&c.At))
	return c, err
}

// PutCheckpoint implements results.Log.
func (s *Store) PutCheckpoint(ctx context.Context, c results.Checkpoint) error {
	_, err := s.db.Batch(ctx, []statement{
		do(`INSERT INTO audit_checkpoints (`+checkpointColumns+`) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant, size) DO NOTHING`, c.Tenant, c.Size, c.Note, c.At),
		do(`UPDATE audit_logs SET signed = $2 WHERE tenant = $1 AND signed < $2`, c.Tenant, c.Size),
	})
	return wrap(err, "keep a checkpoint of the audit log of tenant %s", c.Tenant)
}

// Checkpoint implements results.Log.
func (s *Store) Checkpoint(ctx context.Context, tenant string, least int64) (results.Checkpoint, error) {
	c, err := scanCheckpoint(s.db.QueryRow(ctx, `SELECT `+checkpointColumns+` FROM audit_checkpoints WHERE tenant = $1 AND size >= $2 ORDER BY size DESC LIMIT 1`, tenant, least))
	return c, wrap(err, "read the newest checkpoint of the audit log of tenant %s", tenant)
}

// Checkpoints implements results.Log.
func (s *Store) Checkpoints(ctx context.Context, tenant string, after int64, n int) ([]results.Checkpoint, error) {
	all, err := collect(ctx, s.db, scanCheckpoint, `SELECT `+checkpointColumns+` FROM audit_checkpoints WHERE tenant = $1 AND size > $2 ORDER BY size LIMIT $3`, tenant, after, n)
	return all, wrap(err, "read the checkpoints of the audit log of tenant %s", tenant)
}

// LogKey implements results.Log.
func (s *Store) LogKey(ctx context.Context, tenant string) (k results.LogKey, err error) {
	err = s.db.QueryRow(ctx, `SELECT tenant, public, sealed, created_at FROM audit_keys WHERE tenant = $1`, tenant).Scan(&k.Tenant, &k.Public, &k.Sealed, at(&k.CreatedAt))
	return k, wrap(err, "read the key of the audit log of tenant %s", tenant)
}

// CreateLogKey implements results.Log.
func (s *Store) CreateLogKey(ctx context.Context, k results.LogKey) (results.LogKey, error) {
	_, err := s.db.Exec(ctx, `INSERT INTO audit_keys (tenant, public, sealed, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant) DO NOTHING`,
		k.Tenant, k.Public, k.Sealed, k.CreatedAt)
	if err != nil {
		return k, wrap(err, "keep the key of the audit log of tenant %s", k.Tenant)
	}
	return s.LogKey(ctx, k.Tenant)
}
