package database

import (
	"context"
	"errors"

	"onsite/results"
)

const comparisonColumns = `id, scope, models, epoch, ask, state, total, done, gone, digest, summary, passed, why, actor, created_at, changed_at`

func scanComparison(r row) (c results.ModelComparison, err error) {
	err = r.Scan(&c.ID, &c.Scope, fromJSON(&c.Models), &c.Epoch, fromJSON(&c.Ask), &c.State, &c.Total, &c.Done, &c.Gone, &c.Digest, fromJSON(&c.Summary), &c.Passed,
		because(&c.Why), &c.Actor, at(&c.Created), at(&c.Changed))
	return c, err
}

// BeginComparison implements results.Comparisons.
func (s *Store) BeginComparison(ctx context.Context, c results.ModelComparison, jobs []results.ComparedJob, a results.AuditEntry) error {
	err := s.db.Tx(ctx, func(q querier) error {
		b := []statement{do(`INSERT INTO model_comparisons (id, scope, model, models, epoch, ask, state, total, done, gone, digest, summary, passed, why, actor, created_at, changed_at)
			VALUES ($1, $2, $3, $4, $5, $6, 'running', $7, 0, 0, '', '', FALSE, '', $8, $9, $9)`,
			c.ID, c.Scope, c.Models[0], js(c.Models), c.Epoch, raw(c.Ask), len(jobs), c.Actor, c.Created)}
		for _, j := range jobs {
			b = append(b, do(`INSERT INTO model_compared (comparison, job, tenant, subject, state, body) VALUES ($1, $2, $3, $4, 'waiting', $5)`, c.ID, j.Job, j.Tenant, j.Subject, raw(j.Body)))
		}
		logged, err := everywhere(ctx, q, c.Scope, a)
		if err == nil {
			_, err = q.Batch(ctx, append(b, logged...))
		}
		if errors.Is(err, results.ErrExists) {
			err = errors.Join(results.ErrConflict, err)
		}
		return err
	})
	return wrap(err, "begin a comparison of models")
}

// Comparison implements results.Comparisons.
func (s *Store) Comparison(ctx context.Context, id string) (results.ModelComparison, error) {
	c, err := collectOne(ctx, s.db, scanComparison, `SELECT `+comparisonColumns+` FROM model_comparisons WHERE id = $1`, id)
	return c, wrap(err, "read comparison %s", id)
}

// ListComparisons implements results.Comparisons.
func (s *Store) ListComparisons(ctx context.Context, scope string, p results.Page) ([]results.ModelComparison, error) {
	q := query{text: `SELECT ` + comparisonColumns + ` FROM model_comparisons WHERE scope = $1`, args: []any{scope}}
	q.and(`id < ?`, p.After, p.After != "")
	q.end(`ORDER BY id DESC`, p)
	all, err := collect(ctx, s.db, scanComparison, q.text, q.args...)
	return all, wrap(err, "list comparisons of models")
}

// RunningComparisons implements results.Comparisons.
func (s *Store) RunningComparisons(ctx context.Context) ([]string, error) {
	all, err := collect(ctx, s.db, scanText, `SELECT id FROM model_comparisons WHERE state = 'running' ORDER BY id`)
	return all, wrap(err, "list comparisons of models that run")
}

// ChangeComparison implements results.Comparisons.
func (s *Store) ChangeComparison(ctx context.Context, c results.ModelComparison, from results.ComparisonState, a results.AuditEntry) error {
	err := s.db.Tx(ctx, func(q querier) error {
		n, err := q.Exec(ctx, `UPDATE model_comparisons SET state = $3, why = $4, changed_at = $5 WHERE id = $1 AND state = $2`, c.ID, string(from), string(c.State), said(c.Why), s.Now())
		if err == nil && n == 0 {
			err = results.ErrStale
		}
		if err != nil {
			return err
		}
		b, err := everywhere(ctx, q, c.Scope, a)
		if err != nil {
			return err
		}
		if !c.State.Open() {
			b = append(b, do(`DELETE FROM model_compared WHERE comparison = $1`, c.ID))
		}
		_, err = q.Batch(ctx, b)
		return err
	})
	return wrap(err, "change comparison %s", c.ID)
}

func scanCompared(r row) (j results.ComparedJob, err error) {
	err = r.Scan(&j.Comparison, &j.Job, &j.Tenant, &j.Subject, &j.State, fromJSON(&j.Body))
	return j, err
}

const comparedColumns = `comparison, job, tenant, subject, state, body`

// NextCompared implements results.Comparisons.
func (s *Store) NextCompared(ctx context.Context, id string) (results.ComparedJob, error) {
	j, err := collectOne(ctx, s.db, scanCompared, `SELECT `+comparedColumns+` FROM model_compared WHERE comparison = $1 AND state = 'waiting' ORDER BY job LIMIT 1`, id)
	return j, wrap(err, "look for the next job of comparison %s", id)
}

// PutCompared implements results.Comparisons.
func (s *Store) PutCompared(ctx context.Context, j results.ComparedJob) error {
	err := s.db.Tx(ctx, func(q querier) error {
		// The comparison before its jobs, as everybody does who changes both.
		if _, err := q.Batch(ctx, []statement{do(`SELECT id FROM model_comparisons WHERE id = $1 FOR UPDATE`, j.Comparison)}); err != nil {
			return err
		}
		n, err := q.Exec(ctx, `UPDATE model_compared SET state = $3, body = $4 WHERE comparison = $1 AND job = $2 AND state = 'waiting'`, j.Comparison, j.Job, string(j.State), raw(j.Body))
		if err != nil || n == 0 {
			return err
		}
		count := `done = done + 1`
		if j.State != results.ComparedDone {
			count = `gone = gone + 1`
		}
		_, err = q.Exec(ctx, `UPDATE model_comparisons SET `+count+`, why = '', changed_at = $2 WHERE id = $1`, j.Comparison, s.Now())
		return err
	})
	return wrap(err, "note what candidates say of job %s", j.Job)
}

// leaveComparisons takes jobs out of the comparisons that are under way: what was found of them goes, and they count as gone.
func leaveComparisons(ctx context.Context, q querier, which string, args ...any) error {
	ids, err := collect(ctx, q, scanText, `SELECT id FROM model_comparisons WHERE id IN (SELECT comparison FROM model_compared WHERE `+which+`) ORDER BY id FOR UPDATE`, args...)
	if err != nil || len(ids) == 0 {
		return err
	}
	left, err := collect(ctx, q, scanCompared, `DELETE FROM model_compared WHERE `+which+` RETURNING `+comparedColumns, args...)
	if err != nil {
		return err
	}
	done, gone := map[string]int{}, map[string]int{}
	for _, j := range left {
		switch j.State {
		case results.ComparedDone:
			done[j.Comparison]++
			gone[j.Comparison]++
		case results.ComparedWaits:
			gone[j.Comparison]++
		}
	}
	var b []statement
	for _, id := range ids {
		b = append(b, do(`UPDATE model_comparisons SET done = done - $2, gone = gone + $3 WHERE id = $1`, id, done[id], gone[id]))
	}
	_, err = q.Batch(ctx, b)
	return err
}

// CountCompared implements results.Comparisons.
func (s *Store) CountCompared(ctx context.Context, id string, state results.ComparedState) (int64, error) {
	n, err := collectOne(ctx, s.db, func(r row) (n int64, err error) { return n, r.Scan(&n) }, `SELECT COUNT(*) FROM model_compared WHERE comparison = $1 AND state = $2`, id, string(state))
	return n, wrap(err, "count the jobs of comparison %s", id)
}

// ComparedJobs implements results.Comparisons.
func (s *Store) ComparedJobs(ctx context.Context, id, after string, n int) ([]results.ComparedJob, error) {
	all, err := collect(ctx, s.db, scanCompared, `SELECT `+comparedColumns+` FROM model_compared WHERE comparison = $1 AND state = 'done' AND job > $2 ORDER BY job LIMIT $3`, id, after, n)
	return all, wrap(err, "list the jobs of comparison %s", id)
}

// EndComparison implements results.Comparisons.
func (s *Store) EndComparison(ctx context.Context, c results.ModelComparison, pack []byte, a results.AuditEntry) error {
	err := s.db.Tx(ctx, func(q querier) error {
		n, err := q.Exec(ctx, `UPDATE model_comparisons SET state = 'done', gone = total - done, digest = $2, summary = $3, passed = $4, why = '', changed_at = $5 WHERE id = $1 AND state = 'running'`,
			c.ID, c.Digest, raw(c.Summary), c.Passed, s.Now())
		if err == nil && n == 0 {
			err = results.ErrStale
		}
		if err != nil {
			return err
		}
		b, err := everywhere(ctx, q, c.Scope, a)
		if err != nil {
			return err
		}
		b = append(b, do(`INSERT INTO model_comparison_packages (comparison, pack) VALUES ($1, $2)`, c.ID, pack), do(`DELETE FROM model_compared WHERE comparison = $1`, c.ID))
		for _, id := range c.Models {
			b = append(b, do(`UPDATE models SET report = $2, passed = $3, changed_at = CASE WHEN changed_at < $4 THEN $4 ELSE changed_at + 1 END WHERE id = $1 AND state <> 'retired'`,
				id, raw(c.Summary), c.Passed, s.Now()))
		}
		_, err = q.Batch(ctx, b)
		return err
	})
	return wrap(err, "end comparison %s", c.ID)
}

// ComparisonPackage implements results.Comparisons.
func (s *Store) ComparisonPackage(ctx context.Context, id string) ([]byte, error) {
	pack, err := collectOne(ctx, s.db, func(r row) (b []byte, err error) { return b, r.Scan(&b) }, `SELECT pack FROM model_comparison_packages WHERE comparison = $1`, id)
	return pack, wrap(err, "read the package of comparison %s", id)
}
