package database

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"onsite/pipeline"
	"onsite/results"
)

// clockSlack is how far in the future a time may lie that was the present when it was written. What lies further was written under a clock
// that has been set back since, and must not make a job wait.
const clockSlack = time.Minute

// Claim takes a queued job of exactly this attempt.
func (s *Store) Claim(ctx context.Context, job string, attempt int, worker string, lease, deadline time.Duration) (results.Lease, error) {
	now := s.Now()
	var l results.Lease
	err := again(ctx, func() error {
		l = results.Lease{}
		_, err := s.db.Batch(ctx, []statement{
			{`UPDATE jobs SET state = 'running', token = token + 1, worker = $3, lease_until = $4, deadline = $5, updated_at = $6
				WHERE id = $1 AND attempt = $2 AND state = 'queued' RETURNING ` + jobColumns,
				[]any{job, attempt, worker, now.Add(min(lease, deadline)), now.Add(deadline), now},
				func(r row) (err error) { l.Job, err = scanJob(r); return err }},
			{`SELECT ` + submissionColumns + ` FROM submissions WHERE job = $1`, []any{job},
				func(r row) (err error) { l.Sub, err = scanSubmission(r); return err }},
		})
		return err
	})
	if err == nil && l.Job.ID == "" {
		err = results.ErrStale
	}
	if err != nil {
		return results.Lease{}, fmt.Errorf("claim attempt %d of job %s: %w", attempt, job, err)
	}
	l.Token = l.Job.Token
	return l, nil
}

// Renew extends the leases of a worker's running jobs. A row that somebody holds at this moment (it is being finished) is passed over
// this time, so that one commit that hangs does not cost the worker all its leases; it still is the worker's own.
func (s *Store) Renew(ctx context.Context, worker string, lease time.Duration) ([]string, error) {
	now := s.Now()
	var mine []string
	err := again(ctx, func() error {
		mine = nil
		_, err := s.db.Batch(ctx, []statement{
			do(`WITH mine (pick) AS (
					SELECT id FROM jobs WHERE worker = $1 AND state = 'running' AND deadline > $2 ORDER BY id FOR UPDATE SKIP LOCKED
				)
				UPDATE jobs SET lease_until = CASE WHEN deadline < $3 THEN deadline ELSE $3 END FROM mine WHERE id = pick`,
				worker, now, now.Add(lease)),
			{`SELECT id FROM jobs WHERE worker = $1 AND state = 'running' AND deadline > $2 ORDER BY id`, []any{worker, now}, func(r row) error {
				var id string
				err := r.Scan(&id)
				mine = append(mine, id)
				return err
			}},
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("renew the leases of worker %s: %w", worker, err)
	}
	return mine, nil
}

// Release puts a job back that an attempt could not finish.
func (s *Store) Release(ctx context.Context, r results.Release) error {
	failed := 0
	if r.Count {
		failed = 1
	}
	now := s.Now()
	runAt := r.RunAt
	if runAt.IsZero() {
		runAt = now
	}
	put := do(`UPDATE jobs SET state = 'accepted', ready = $3, held = $4, failures = failures + $5, run_at = $6,
		lease_until = 0, deadline = 0, worker = '', error_rule = $7, error = $8, updated_at = $9
		WHERE id = $1 AND token = $2 AND state = 'running'`,
		r.Job, r.Token, !r.Hold && !runAt.After(now), r.Hold, failed, runAt, r.Error.Rule, js(r.Error), now)
	var own []statement
	if r.Media != nil {
		own = append(own, copied(r.Job, *r.Media))
	}
	own = append(own, kept(r.Keep...)...)
	var err error
	if len(own) == 0 {
		err = released(ctx, s.db, put)
	} else {
		err = s.db.Tx(ctx, func(q querier) error {
			if err := released(ctx, q, put); err != nil {
				return err
			}
			_, err := q.Batch(ctx, own)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("put back job %s: %w", r.Job, err)
	}
	return nil
}

// released puts a job back if its token still is the newest.
func released(ctx context.Context, q querier, put statement) error {
	n, err := q.Exec(ctx, put.sql, put.args...)
	if err == nil && n == 0 {
		err = results.ErrStale
	}
	return err
}

// crashed is what is said about a job whose worker went away.
func crashed(dead bool) results.JobError {
	if dead {
		return results.JobError{Rule: results.RuleCrashed, Text: pipeline.Text{
			EN: "the worker stopped in the middle of this job, again and again; look at the workers' logs, then requeue it",
			ZH: "处理此任务时工作进程多次中断；请检查工作进程日志后重新排队"}}
	}
	return results.JobError{Rule: results.RuleCrashed, Text: pipeline.Text{
		EN: "the worker stopped in the middle of this job; it runs again", ZH: "处理此任务时工作进程中断；将重新运行"}}
}

// Reclaim puts running jobs without a live lease back to accepted, and gives up those that crashed too often.
func (s *Store) Reclaim(ctx context.Context, maxLease time.Duration, maxCrashes int) ([]results.Job, error) {
	var all []results.Job
	err := s.db.Tx(ctx, func(q querier) error {
		now := s.Now()
		if err := unstick(ctx, q, now); err != nil {
			return err
		}
		var err error
		all, err = collect(ctx, q, scanJob, `WITH lapsed (pick, total) AS (
				SELECT id, crashes + CASE WHEN lease_until <= $1 THEN 1 ELSE 0 END FROM jobs
				WHERE state = 'running' AND (lease_until <= $1 OR lease_until > $2) ORDER BY id LIMIT 500 FOR UPDATE SKIP LOCKED
			)
			UPDATE jobs SET crashes = total, lease_until = 0, deadline = 0, updated_at = $1, error_rule = 'crashed',
				state = CASE WHEN total >= $3 THEN 'dead' ELSE 'accepted' END, ready = total < $3,
				run_at = CASE WHEN total >= $3 THEN run_at ELSE $1 END, finished_at = CASE WHEN total >= $3 THEN $1 ELSE 0 END,
				error = CASE WHEN total >= $3 THEN $4 ELSE $5 END
			FROM lapsed WHERE id = pick RETURNING `+jobColumns,
			now, now.Add(maxLease), maxCrashes, js(crashed(true)), js(crashed(false)))
		if err != nil {
			return err
		}
		inOrder(all)
		return givenUp(ctx, q, all, now)
	})
	if err != nil {
		return nil, fmt.Errorf("take back the jobs of lost workers: %w", err)
	}
	return all, nil
}

// givenUp writes what belongs to the end of those jobs that are dead now: event, audit, and how long their media stays.
func givenUp(ctx context.Context, q querier, jobs []results.Job, now time.Time) error {
	days := map[string]int{}
	for _, j := range jobs {
		if j.State == results.Dead {
			days[j.Tenant] = results.Settings{}.Filled().MediaDays
		}
	}
	if len(days) == 0 {
		return nil
	}
	rs, err := q.Query(ctx, `SELECT id, settings FROM tenants WHERE id = ANY($1)`, slices.Collect(maps.Keys(days)))
	if err != nil {
		return err
	}
	defer rs.Close()
	for rs.Next() {
		var id string
		var set results.Settings
		if err := rs.Scan(&id, fromJSON(&set)); err != nil {
			return err
		}
		days[id] = set.Filled().MediaDays
	}
	rs.Close()
	if err := rs.Err(); err != nil {
		return err
	}
	var b []statement
	for _, j := range jobs {
		if j.State != results.Dead {
			continue
		}
		e := results.Event{Type: results.EventJobDead, Timestamp: now, Data: results.EventData{Tenant: j.Tenant, Job: j.ID, Subject: j.Subject,
			Site: j.Site, State: j.State, Rule: j.Error.Rule}}
		b = append(b, announced(j.Tenant, j.ID, ulid.Make().String(), e.Type, e.Payload(), now),
			due(owner{j.ID, j.Tenant, j.Subject, j.Site}, results.DeadlineMedia, now.AddDate(0, 0, days[j.Tenant])))
		b = append(b, audited(results.AuditEntry{ID: ulid.Make().String(), Tenant: j.Tenant, At: now, Actor: "reconciler",
			Action: results.EventJobDead, Subject: j.Subject, Target: j.ID})...)
	}
	_, err = q.Batch(ctx, b)
	return err
}

// unstick makes jobs ready that wait for a time which was computed under a clock that has been set back since.
func unstick(ctx context.Context, q querier, now time.Time) error {
	_, err := q.Exec(ctx, `WITH stuck (pick) AS (
			SELECT id FROM jobs WHERE state = 'accepted' AND NOT ready AND NOT held AND updated_at > $2 ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED
		)
		UPDATE jobs SET ready = TRUE, run_at = $1, updated_at = $1 FROM stuck WHERE id = pick`, now, now.Add(clockSlack))
	return err
}

// Waiting lists queued jobs whose task was written before the given time, or, by a clock that was wrong, long after now.
func (s *Store) Waiting(ctx context.Context, before time.Time, n int) ([]results.Job, error) {
	all, err := collect(ctx, s.db, scanJob, `SELECT `+jobColumns+` FROM jobs WHERE state = 'queued' AND (queued_at < $1 OR queued_at > $2)
		ORDER BY queued_at, id LIMIT $3`, before, s.Now().Add(clockSlack), n)
	if err != nil {
		return nil, fmt.Errorf("list queued jobs: %w", err)
	}
	return all, nil
}

// Unqueue puts queued jobs of exactly these attempts back to accepted.
func (s *Store) Unqueue(ctx context.Context, jobs []results.Job) (int, error) {
	if len(jobs) == 0 {
		return 0, nil
	}
	now := s.Now()
	b := make([]statement, len(jobs))
	jobs = slices.Clone(jobs)
	inOrder(jobs) // as everybody locks several jobs
	for i, j := range jobs {
		b[i] = do(`UPDATE jobs SET state = 'accepted', ready = TRUE, run_at = $3, updated_at = $3
			WHERE id = $1 AND attempt = $2 AND state = 'queued'`, j.ID, j.Attempt, now)
	}
	var n int64
	err := again(ctx, func() error {
		n = 0
		changed, err := s.db.Batch(ctx, b)
		for _, c := range changed {
			n += c
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("put back jobs whose tasks are lost: %w", err)
	}
	return int(n), nil
}

func inOrder(jobs []results.Job) {
	slices.SortFunc(jobs, func(a, b results.Job) int { return cmp.Compare(a.ID, b.ID) })
}

// prefixed puts a table's short name before each of a list of columns.
func prefixed(table, columns string) string {
	all := strings.Split(columns, ",")
	for i, c := range all {
		all[i] = table + "." + strings.TrimSpace(c)
	}
	return strings.Join(all, ", ")
}
