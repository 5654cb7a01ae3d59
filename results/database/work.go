package database

import (
	"context"
	"errors"
	"fmt"

	"onsite/results"
)

const jobColumns = `id, tenant, subject, site, priority, state, attempt, token, failures, crashes, held, run_at, queued_at, lease_until,
	deadline, worker, error, revision, trace_parent, created_at, updated_at, finished_at`

func scanJob(r row) (results.Job, error) {
	var j results.Job
	err := r.Scan(&j.ID, &j.Tenant, &j.Subject, &j.Site, &j.Priority, &j.State, &j.Attempt, &j.Token, &j.Failures, &j.Crashes, &j.Held,
		at(&j.RunAt), at(&j.QueuedAt), at(&j.LeaseUntil), at(&j.Deadline), &j.Worker, fromJSON(&j.Error), &j.Revision, &j.TraceParent,
		at(&j.CreatedAt), at(&j.UpdatedAt), at(&j.FinishedAt))
	return j, err
}

const submissionColumns = `job, tenant, subject, site, policy, policy_rev, claim, priority, source, media_key, media_sha256, media_bytes,
	media_name, trace_parent, received_at`

func scanSubmission(r row) (results.Submission, error) {
	var u results.Submission
	err := r.Scan(&u.Job, &u.Tenant, &u.Subject, &u.Site, &u.Policy, &u.PolicyRev, fromJSON(&u.Claim), &u.Priority, fromJSON(&u.Source),
		&u.Media.Key, &u.Media.SHA256, &u.Media.Bytes, &u.Media.Name, &u.TraceParent, at(&u.ReceivedAt))
	return u, err
}

// Job gives a job; tenant "": of any tenant.
func (s *Store) Job(ctx context.Context, tenant, id string) (results.Job, error) {
	j, err := collectOne(ctx, s.db, scanJob, `SELECT `+jobColumns+` FROM jobs WHERE id = $1 AND (tenant = $2 OR $2 = '')`, id, tenant)
	if err != nil {
		return j, fmt.Errorf("read job %s: %w", id, err)
	}
	return j, nil
}

// Jobs lists jobs, newest first. Those of a subject or a site are found by their submissions, and so are all of a tenant; those in states
// that few jobs are in are found by their state.
func (s *Store) Jobs(ctx context.Context, tenant string, f results.JobFilter, p results.Page) ([]results.Job, error) {
	few := len(f.States) > 0 && f.Subject == "" && f.Site == ""
	for _, state := range f.States {
		few = few && state != results.Done
	}
	var q query
	if few {
		q = query{text: `SELECT ` + jobColumns + ` FROM jobs j WHERE j.tenant = $1 AND j.state <> 'done'`, args: []any{tenant}}
	} else {
		q = query{text: `SELECT ` + prefixed("j", jobColumns) + ` FROM submissions u JOIN jobs j ON j.id = u.job WHERE u.tenant = $1`, args: []any{tenant}}
	}
	id := "u.job"
	if few {
		id = "j.id"
	}
	q.and(`u.subject = ?`, f.Subject, f.Subject != "")
	q.and(`u.site = ?`, f.Site, f.Site != "")
	states := make([]string, len(f.States))
	for i, state := range f.States {
		states[i] = string(state)
	}
	q.and(`j.state = ANY(?)`, states, len(states) > 0)
	if f.Held != nil {
		q.and(`j.held = ?`, *f.Held, true)
	}
	q.within("j.created_at", id, f.From, f.To)
	q.and(id+` < ?`, p.After, p.After != "")
	q.end(`ORDER BY `+id+` DESC`, p)
	all, err := collect(ctx, s.db, scanJob, q.text, q.args...)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	return all, nil
}

// Submission gives what a job is about.
func (s *Store) Submission(ctx context.Context, job string) (results.Submission, error) {
	u, err := collectOne(ctx, s.db, scanSubmission, `SELECT `+submissionColumns+` FROM submissions WHERE job = $1`, job)
	if err != nil {
		return u, fmt.Errorf("read the submission of job %s: %w", job, err)
	}
	return u, nil
}

// Counts says how many jobs are in which state. Done ones are counted by the sequencer as they pass; the others are few.
func (s *Store) Counts(ctx context.Context, tenant string) (results.Counts, error) {
	c := results.Counts{ByState: map[results.JobState]int64{}}
	var done, fresh int64
	whose := `tenant = $1 AND `
	args := []any{tenant}
	if tenant == "" {
		whose, args = ``, nil
	}
	b := []statement{
		{`SELECT state, count(*) FROM jobs WHERE ` + whose + `state <> 'done' GROUP BY state`, args, func(r row) error {
			var state results.JobState
			var n int64
			err := r.Scan(&state, &n)
			c.ByState[state] = n
			return err
		}},
		{`SELECT count(*) FROM jobs WHERE ` + whose + `held`, args, func(r row) error { return r.Scan(&c.Held) }},
		{`SELECT coalesce(sum(done), 0)::bigint FROM feed WHERE ` + whose + `position > 0`, args, func(r row) error { return r.Scan(&done) }},
		{`SELECT count(*) FROM verdicts WHERE ` + whose + `seq IS NULL AND revision = 1`, args, func(r row) error { return r.Scan(&fresh) }},
	}
	oldest := func(r row) error {
		var first *int64
		if err := r.Scan(&first); err != nil || first == nil {
			return err
		}
		if t := fromMillis(*first); c.Oldest.IsZero() || t.Before(c.Oldest) {
			c.Oldest = t
		}
		return nil
	}
	for priority := results.PriorityClockIn; priority <= results.PriorityBulk; priority++ {
		if tenant == "" {
			b = append(b, statement{oldestSQL, []any{int(priority)}, oldest})
		} else {
			b = append(b, statement{`SELECT created_at FROM jobs WHERE ready AND priority = $1 AND tenant = $2 ORDER BY created_at LIMIT 1`,
				[]any{int(priority), tenant}, oldest})
		}
	}
	if err := s.look(ctx, b); err != nil {
		return results.Counts{}, fmt.Errorf("count jobs: %w", err)
	}
	if n := done + fresh; n > 0 {
		c.ByState[results.Done] = n
	}
	return c, nil
}

// oldestSQL looks at the first ready job of each tenant instead of at all of them.
const oldestSQL = `WITH RECURSIVE t (tenant) AS (
		SELECT (SELECT tenant FROM jobs WHERE ready AND priority = $1 ORDER BY tenant LIMIT 1)
		UNION ALL
		SELECT (SELECT j.tenant FROM jobs j WHERE j.ready AND j.priority = $1 AND j.tenant > t.tenant ORDER BY j.tenant LIMIT 1)
		FROM t WHERE t.tenant IS NOT NULL
	)
	SELECT min((SELECT j.created_at FROM jobs j WHERE j.ready AND j.priority = $1 AND j.tenant = t.tenant ORDER BY j.created_at LIMIT 1)) FROM t
	WHERE t.tenant IS NOT NULL`

// look reads with several statements: in one round trip on PostgreSQL, without taking the writer's turn on SQLite.
func (s *Store) look(ctx context.Context, b []statement) error {
	if s.postgres() {
		_, err := s.db.Batch(ctx, b)
		return err
	}
	for _, one := range b {
		rs, err := s.db.Query(ctx, one.sql, one.args...)
		if err != nil {
			return err
		}
		for rs.Next() {
			if err = one.each(rs); err != nil {
				break
			}
		}
		rs.Close()
		if err == nil {
			err = rs.Err()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Requeue makes a dead or held job accepted again, by hand, with a clean slate.
func (s *Store) Requeue(ctx context.Context, tenant, job string, a results.AuditEntry) (results.Job, error) {
	var j results.Job
	err := s.db.Tx(ctx, func(q querier) error {
		var subject string
		if err := q.QueryRow(ctx, `SELECT subject FROM jobs WHERE id = $1 AND tenant = $2`, job, tenant).Scan(&subject); err != nil {
			return err
		}
		if err := s.notErased(ctx, q, tenant, subject); err != nil {
			return err
		}
		var err error
		j, err = collectOne(ctx, q, scanJob, `UPDATE jobs SET state = 'accepted', ready = TRUE, held = FALSE, failures = 0, crashes = 0, run_at = $3,
			finished_at = 0, updated_at = $3 WHERE id = $1 AND tenant = $2 AND (state = 'dead' OR (state = 'accepted' AND held))
			RETURNING `+jobColumns, job, tenant, s.Now())
		if errors.Is(err, results.ErrNotFound) {
			return results.ErrConflict
		}
		if err != nil {
			return err
		}
		_, err = q.Batch(ctx, audited(a))
		return err
	})
	if err != nil {
		return results.Job{}, fmt.Errorf("requeue job %s: %w", job, err)
	}
	return j, nil
}

// Unhold makes all held jobs with this error rule accepted again.
func (s *Store) Unhold(ctx context.Context, rule string) (int, error) {
	n, err := s.db.Exec(ctx, `UPDATE jobs SET held = FALSE, ready = TRUE, run_at = $2, updated_at = $2
		WHERE id IN (SELECT id FROM jobs WHERE held AND error_rule = $1 AND state = 'accepted' ORDER BY id FOR UPDATE)`, rule, s.Now())
	if err != nil {
		return 0, fmt.Errorf("go on with the jobs that wait for %s: %w", rule, err)
	}
	return int(n), nil
}
