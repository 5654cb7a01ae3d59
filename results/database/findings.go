package database

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"onsite/results"
)

const verdictColumns = `v.job, v.tenant, v.subject, v.site, v.revision, coalesce(v.seq, 0), v.decision, v.codes, v.policy, v.body, v.submitted_at, v.created_at`

func scanVerdict(r row) (results.Verdict, error) {
	var v results.Verdict
	err := r.Scan(&v.Job, &v.Tenant, &v.Subject, &v.Site, &v.Revision, &v.Seq, &v.Decision, fromJSON(&v.Codes), &v.Policy, &v.Body,
		at(&v.SubmittedAt), at(&v.CreatedAt))
	return v, err
}

// Verdict gives one revision of a job's verdict; 0: the newest.
func (s *Store) Verdict(ctx context.Context, tenant, job string, revision int) (results.Verdict, error) {
	v, err := collectOne(ctx, s.db, scanVerdict, `SELECT `+verdictColumns+` FROM verdicts v WHERE v.job = $1 AND v.tenant = $2 AND (v.revision = $3 OR $3 = 0)
		ORDER BY v.revision DESC LIMIT 1`, job, tenant, revision)
	if err != nil {
		return v, fmt.Errorf("read the verdict of job %s: %w", job, err)
	}
	return v, nil
}

// VerdictRevisions gives all revisions, oldest first.
func (s *Store) VerdictRevisions(ctx context.Context, tenant, job string) ([]results.Verdict, error) {
	all, err := collect(ctx, s.db, scanVerdict, `SELECT `+verdictColumns+` FROM verdicts v WHERE v.job = $1 AND v.tenant = $2 ORDER BY v.revision`, job, tenant)
	if err != nil {
		return nil, fmt.Errorf("read the verdicts of job %s: %w", job, err)
	}
	return all, nil
}

// Verdicts lists verdicts, newest job first, and of one job the newest revision first.
func (s *Store) Verdicts(ctx context.Context, tenant string, f results.VerdictFilter, p results.Page) ([]results.Verdict, error) {
	q := query{text: `SELECT ` + verdictColumns + ` FROM verdicts v WHERE v.tenant = $1`, args: []any{tenant}}
	of := "v"
	if f.Code != "" {
		q.text = `SELECT ` + verdictColumns + ` FROM verdict_codes c JOIN verdicts v ON v.job = c.job AND v.revision = c.revision WHERE c.tenant = $1`
		of = "c"
	}
	q.and(`c.code = ?`, string(f.Code), f.Code != "")
	q.and(`v.subject = ?`, f.Subject, f.Subject != "")
	q.and(`v.site = ?`, f.Site, f.Site != "")
	q.and(`v.decision = ?`, string(f.Decision), f.Decision != "")
	holds := `instr(v.body, ?) > 0`
	if s.postgres() {
		holds = `position(?::bytea IN v.body) > 0`
	}
	q.and(holds, []byte(`","sha256":"`+f.Model), f.Model != "") // after a text: that of a model, not of the media or a picture
	q.and(holds, []byte(`"recipe":"`+f.Recipe+`"`), f.Recipe != "")
	q.within("v.submitted_at", of+".job", f.From, f.To)
	if !f.AllRevisions {
		q.text += ` AND NOT EXISTS (SELECT 1 FROM verdicts later WHERE later.job = v.job AND later.revision > v.revision)`
	}
	if p.After != "" {
		job, revision, err := verdictPlace(p.After)
		if err != nil {
			return nil, err
		}
		q.args = append(q.args, job, revision)
		q.text += ` AND (` + of + `.job, ` + of + `.revision) < ($` + strconv.Itoa(len(q.args)-1) + `::text, $` + strconv.Itoa(len(q.args)) + `::bigint)`
	}
	q.end(`ORDER BY `+of+`.job DESC, `+of+`.revision DESC`, p)
	all, err := collect(ctx, s.db, scanVerdict, q.text, q.args...)
	if err != nil {
		return nil, fmt.Errorf("list verdicts: %w", err)
	}
	return all, nil
}

// verdictPlace reads a place in a list of verdicts: job.revision.
func verdictPlace(after string) (job string, revision int, err error) {
	job, number, ok := strings.Cut(after, ".")
	if ok {
		revision, err = strconv.Atoi(number)
	}
	if !ok || err != nil {
		return "", 0, fmt.Errorf("list verdicts: the place %q has not the form job.revision", after)
	}
	return job, revision, nil
}

// Changes gives verdicts after a position of the feed.
func (s *Store) Changes(ctx context.Context, tenant string, after int64, most int) ([]results.Verdict, error) {
	all, err := collect(ctx, s.db, scanVerdict, `SELECT `+verdictColumns+` FROM verdicts v WHERE v.tenant = $1 AND v.seq > $2 AND v.seq IS NOT NULL
		ORDER BY v.seq LIMIT $3`, tenant, after, limit(results.Page{Limit: most}))
	if err != nil {
		return nil, fmt.Errorf("read the changes of verdicts: %w", err)
	}
	return all, nil
}

// Position is the newest position of the tenant's feed; 0 before the first verdict.
func (s *Store) Position(ctx context.Context, tenant string) (int64, error) {
	var n int64
	err := s.db.QueryRow(ctx, `SELECT position FROM feed WHERE tenant = $1`, tenant).Scan(&n)
	if err != nil && !errors.Is(err, results.ErrNotFound) {
		return 0, fmt.Errorf("read the position of the feed: %w", err)
	}
	return n, nil
}

// Revise writes a further revision of a finished job's verdict with its event; ErrErased when the subject was erased meanwhile.
func (s *Store) Revise(ctx context.Context, v results.Verdict, a results.AuditEntry, event, message string, payload []byte) error {
	err := s.db.Tx(ctx, func(q querier) error {
		now := s.Now()
		of := owner{job: v.Job, tenant: v.Tenant}
		if err := q.QueryRow(ctx, `SELECT subject FROM jobs WHERE id = $1 AND tenant = $2`, v.Job, v.Tenant).Scan(&of.subject); err != nil {
			return err
		}
		if err := s.notErased(ctx, q, of.tenant, of.subject); err != nil {
			return err
		}
		err := q.QueryRow(ctx, `UPDATE jobs SET revision = $3, updated_at = $4 WHERE id = $1 AND tenant = $2 AND state = 'done' AND revision = $3 - 1
			RETURNING site`, v.Job, v.Tenant, v.Revision, now).Scan(&of.site)
		if errors.Is(err, results.ErrNotFound) {
			return results.ErrConflict
		} else if err != nil {
			return err
		}
		b := found(of, v, v.Revision, now)
		if event != "" {
			b = append(b, announced(of.tenant, of.job, message, event, payload, now))
		}
		_, err = q.Batch(ctx, append(b, audited(a)...))
		return err
	})
	if err != nil {
		return fmt.Errorf("write revision %d of the verdict of job %s: %w", v.Revision, v.Job, err)
	}
	return nil
}

// Reverified implements results.Findings.
func (s *Store) Reverified(ctx context.Context, r results.Reverification, a results.AuditEntry) error {
	a.ID, a.Digest = r.ID, results.Sum(r.Body)
	err := s.db.Tx(ctx, func(q querier) error {
		var subject string
		if err := q.QueryRow(ctx, `SELECT subject FROM verdicts WHERE job = $1 AND tenant = $2 AND revision = 1`, r.Job, r.Tenant).Scan(&subject); err != nil {
			return err
		}
		if err := s.notErased(ctx, q, r.Tenant, subject); err != nil {
			return err
		}
		_, err := q.Batch(ctx, append([]statement{do(`INSERT INTO reverifications (`+reverifiedColumns+`) VALUES ($1, $2, $3, $4, $5, $6)`,
			r.Tenant, r.ID, r.Job, subject, bytesOf(r.Body), r.CreatedAt)}, audited(a)...))
		return err
	})
	return wrap(err, "keep what came of making the verdict of job %s again", r.Job)
}

const reverifiedColumns = `tenant, id, job, subject, body, created_at`

// Reverifications implements results.Findings.
func (s *Store) Reverifications(ctx context.Context, tenant, job string, p results.Page) ([]results.Reverification, error) {
	q := query{text: `SELECT ` + reverifiedColumns + ` FROM reverifications WHERE tenant = $1`, args: []any{tenant}}
	q.and(`job = ?`, job, job != "")
	q.and(`id < ?`, p.After, p.After != "")
	q.end(`ORDER BY id DESC`, p)
	all, err := collect(ctx, s.db, func(r row) (v results.Reverification, err error) {
		err = r.Scan(&v.Tenant, &v.ID, &v.Job, &v.Subject, &v.Body, at(&v.CreatedAt))
		return v, err
	}, q.text, q.args...)
	return all, wrap(err, "list the verdicts that were made again")
}

// Evidence gives the stored pictures of all revisions of a job's verdict.
func (s *Store) Evidence(ctx context.Context, tenant, job string) ([]results.Evidence, error) {
	all, err := collect(ctx, s.db, func(r row) (e results.Evidence, err error) {
		err = r.Scan(&e.Job, &e.Revision, &e.Tenant, &e.Subject, &e.Kind, &e.Index, &e.Key, &e.SHA256, &e.Bytes)
		return e, err
	}, `SELECT job, revision, tenant, subject, kind, idx, object_key, sha256, bytes FROM evidence WHERE job = $1 AND tenant = $2
		ORDER BY revision, kind, idx`, job, tenant)
	if err != nil {
		return nil, fmt.Errorf("read the evidence of job %s: %w", job, err)
	}
	return all, nil
}
