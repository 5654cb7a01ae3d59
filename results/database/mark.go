package database

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"onsite/results"
)

const markColumns = `tenant, id, kind, job, other, at_ms, hash, site, note, actor, seq, created_at, revoked_seq, revoked_at, revoked_by`

func scanMark(r row) (m results.Mark, err error) {
	err = r.Scan(&m.Tenant, &m.ID, &m.Kind, &m.Job, &m.Other, &m.AtMS, &m.Hash, &m.Site, &m.Note, &m.Actor, &m.Seq, at(&m.CreatedAt), &m.RevokedSeq, at(&m.RevokedAt), &m.RevokedBy)
	return m, err
}

// CreateMark implements results.Marks.
func (s *Store) CreateMark(ctx context.Context, m results.Mark, a ...results.AuditEntry) (results.Mark, error) {
	err := s.db.Tx(ctx, func(q querier) error {
		if err := s.holdJobs(ctx, q, m); err != nil {
			return err
		}
		seq, err := nextMark(ctx, q, m.Tenant)
		if err != nil {
			return err
		}
		if m.Kind == results.MarkBackground { // those who mark at the same time wait for each other at the position, so nobody counts too few
			var n int
			if err := q.QueryRow(ctx, `SELECT count(*) FROM marks WHERE tenant = $1 AND kind = 'background' AND revoked_seq = 0 AND site = $2`, m.Tenant, m.Site).Scan(&n); err != nil {
				return err
			}
			if n >= results.MaxBackgrounds {
				return results.ErrFull
			}
		}
		m.Seq, m.RevokedSeq, m.RevokedAt, m.RevokedBy = seq, 0, time.Time{}, ""
		a = marked(m, a)
		_, err = q.Batch(ctx, append([]statement{do(`INSERT INTO marks (`+markColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, 0, '')`,
			m.Tenant, m.ID, string(m.Kind), m.Job, m.Other, m.AtMS, m.Hash, m.Site, m.Note, m.Actor, seq, m.CreatedAt), s.again(m.Job)}, audited(a...)...))
		return err
	})
	return m, wrap(err, "mark job %s", m.Job)
}

// marked gives the entries about a mark with its id and digest.
func marked(m results.Mark, a []results.AuditEntry) []results.AuditEntry {
	a = slices.Clone(a)
	for i := range a {
		a[i].Target, a[i].Digest = m.ID, m.Digest()
	}
	return a
}

// holdJobs sees to it that a mark's jobs are the tenant's, and that neither they nor their subjects go before the transaction ends.
func (s *Store) holdJobs(ctx context.Context, q querier, m results.Mark) error {
	jobs := []string{m.Job}
	if m.Other != "" {
		jobs = append(jobs, m.Other)
	}
	subjects, err := collect(ctx, q, scanText, `SELECT subject FROM jobs WHERE tenant = $1 AND id = ANY($2) ORDER BY subject`, m.Tenant, jobs)
	if err != nil {
		return err
	}
	if len(subjects) != len(jobs) {
		return results.ErrNotFound
	}
	for _, subject := range subjects {
		if err := s.notErased(ctx, q, m.Tenant, subject); err != nil {
			return err
		}
	}
	held, err := collect(ctx, q, scanText, `SELECT id FROM jobs WHERE tenant = $1 AND id = ANY($2) ORDER BY id FOR KEY SHARE`, m.Tenant, jobs)
	if err == nil && len(held) != len(jobs) {
		err = results.ErrNotFound
	}
	return err
}

// nextMark takes the next position of a tenant's sequence of marks. Its row is held until the commit, so positions follow commits: what was
// in force at a position that somebody read does not change.
func nextMark(ctx context.Context, q querier, tenant string) (seq int64, err error) {
	err = q.QueryRow(ctx, `INSERT INTO mark_feed (tenant, position) VALUES ($1, 1) ON CONFLICT (tenant) DO UPDATE SET position = mark_feed.position + 1 RETURNING position`, tenant).Scan(&seq)
	return seq, err
}

// again leaves a marked job that has a print to whoever marks it, and to a worker if that does not say in time that it is done.
func (s *Store) again(job string) statement {
	now := s.Now()
	return do(`INSERT INTO rechecks (late, job, tenant, worker, lease_until, created_at) SELECT job, job, tenant, 'mark', $2::bigint, $3::bigint
		FROM prints WHERE job = $1 ON CONFLICT DO NOTHING`, job, now.Add(results.MarkPatience), now)
}

// markedSQL finds those of jobs $1 that were marked before they were done, or whose mark was taken back: they may not have seen that.
const markedSQL = `INSERT INTO rechecks (late, job, tenant, worker, lease_until, created_at)
	SELECT DISTINCT p.job, p.job, p.tenant, '', 0, $2::bigint FROM prints p JOIN marks m ON m.job = p.job WHERE p.job = ANY($1) ON CONFLICT DO NOTHING`

// RevokeMark implements results.Marks.
func (s *Store) RevokeMark(ctx context.Context, tenant, id, by string, when time.Time, a ...results.AuditEntry) (m results.Mark, err error) {
	err = s.db.Tx(ctx, func(q querier) error {
		seq, err := nextMark(ctx, q, tenant)
		if err != nil {
			return err
		}
		m, err = collectOne(ctx, q, scanMark, `UPDATE marks SET revoked_seq = $3, revoked_at = $4, revoked_by = $5 WHERE tenant = $1 AND id = $2 AND revoked_seq = 0
			RETURNING `+markColumns, tenant, id, seq, when, by)
		if errors.Is(err, results.ErrNotFound) {
			if _, there := readMark(ctx, q, tenant, id); there == nil {
				return results.ErrStale
			}
		}
		if err != nil {
			return err
		}
		_, err = q.Batch(ctx, append([]statement{s.again(m.Job)}, audited(marked(m, a)...)...))
		return err
	})
	return m, wrap(err, "revoke mark %s", id)
}

// marksOf gives the marks of a tenant's jobs that a query names; its second argument is given.
func (s *Store) marksOf(ctx context.Context, q querier, tenant, jobs string, arg any) ([]string, error) {
	return collect(ctx, q, scanText, `SELECT id FROM marks WHERE tenant = $1 AND (job IN (`+jobs+`) OR other <> '' AND other IN (`+jobs+`)) ORDER BY id`, tenant, arg)
}

// unmarked logs that marks go with what they were about: why is the id of the job that went, or of the entry of the subject's erasure. With
// it a mark that is not there without reason is missed ("onsite audit verify"). It stays provable: nothing in it is a person's.
func (s *Store) unmarked(tenant string, marks []string, when time.Time, why string) (b []statement) {
	for _, id := range marks {
		b = append(b, audited(results.AuditEntry{ID: ulid.Make().String(), Tenant: tenant, At: when, Actor: "system", Action: results.ActionUnmarked, Target: id, Digest: results.Sum([]byte(why))})...)
	}
	return b
}

// marksGone removes the marks of jobs that are removed.
func (s *Store) marksGone(ctx context.Context, q querier, jobs []string) ([]statement, error) {
	marks, err := collect(ctx, q, scanMark, `SELECT `+markColumns+` FROM marks WHERE job = ANY($1) UNION SELECT `+markColumns+` FROM marks WHERE other = ANY($1) AND other <> ''`, jobs)
	if err != nil {
		return nil, err
	}
	var b []statement
	for _, m := range marks {
		why := m.Job
		if !slices.Contains(jobs, why) {
			why = m.Other
		}
		b = append(append(b, do(`DELETE FROM marks WHERE tenant = $1 AND id = $2`, m.Tenant, m.ID)), s.unmarked(m.Tenant, []string{m.ID}, s.Now(), why)...)
	}
	return b, nil
}

// Mark implements results.Marks.
func (s *Store) Mark(ctx context.Context, tenant, id string) (results.Mark, error) {
	m, err := readMark(ctx, s.db, tenant, id)
	return m, wrap(err, "read mark %s", id)
}

func readMark(ctx context.Context, q querier, tenant, id string) (results.Mark, error) {
	return collectOne(ctx, q, scanMark, `SELECT `+markColumns+` FROM marks WHERE tenant = $1 AND id = $2`, tenant, id)
}

// Marks implements results.Marks.
func (s *Store) Marks(ctx context.Context, tenant string, f results.MarkFilter, p results.Page) ([]results.Mark, error) {
	q := query{text: `SELECT ` + markColumns + ` FROM marks WHERE tenant = $1`, args: []any{tenant}}
	q.and(`kind = ?`, string(f.Kind), f.Kind != "")
	q.and(`id < ?`, p.After, p.After != "")
	q.and(`? IN (job, other)`, f.Job, f.Job != "")
	if f.InForce {
		q.text += ` AND revoked_seq = 0`
	}
	q.end(`ORDER BY id DESC`, p)
	all, err := collect(ctx, s.db, scanMark, q.text, q.args...)
	return all, wrap(err, "list marks")
}

// MarksPosition implements results.Marks.
func (s *Store) MarksPosition(ctx context.Context, tenant string) (n int64, err error) {
	err = s.db.QueryRow(ctx, `SELECT position FROM mark_feed WHERE tenant = $1`, tenant).Scan(&n)
	if errors.Is(err, results.ErrNotFound) {
		return 0, nil
	}
	return n, wrap(err, "read the position of the marks")
}

// MarksFor implements results.Marks.
func (s *Store) MarksFor(ctx context.Context, tenant, job, site string, asOf int64) ([]results.Mark, error) {
	one := func(where string) string {
		return `SELECT ` + markColumns + ` FROM marks WHERE tenant = $1 AND ` + where + ` AND seq <= $2 AND (revoked_seq = 0 OR revoked_seq > $2)`
	}
	all, err := collect(ctx, s.db, scanMark, one(`job = $3 AND kind = 'pair'`)+` UNION ALL `+one(`other = $3 AND other <> ''`)+` UNION ALL `+
		one(`kind = 'background' AND site IN ('', $4)`)+` ORDER BY seq`, tenant, asOf, job, site)
	return all, wrap(err, "read the marks for job %s", job)
}
