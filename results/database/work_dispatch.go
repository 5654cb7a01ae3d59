package database

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"onsite/results"
)

// Dispatch moves up to n ready jobs to queued. Within a priority every tenant with ready jobs has one turn after the other; the next call
// goes on with the tenant after the last one, so that no tenant waits for another's backlog however small n is. The backlog is never
// sorted or counted: the first entries of each tenant are read from the index jobs_ready, jobs whose worker died before all others.
func (s *Store) Dispatch(ctx context.Context, n int, last results.Priority) ([]results.Job, error) {
	var all []results.Job
	if err := s.wake(ctx); err != nil {
		return nil, fmt.Errorf("dispatch jobs: %w", err)
	}
	for priority := results.PriorityClockIn; priority <= last && len(all) < n; priority++ {
		some, err := s.dispatch(ctx, priority, n-len(all))
		all = append(all, some...)
		if err != nil {
			if len(all) > 0 {
				return all, nil // these are queued; what is wrong will show with the next call
			}
			return nil, fmt.Errorf("dispatch jobs: %w", err)
		}
	}
	return all, nil
}

// wake makes jobs ready whose time has come. Usually there are none, and this is one look into an index.
func (s *Store) wake(ctx context.Context) error {
	now := s.Now()
	_, err := s.db.Exec(ctx, `WITH due (pick) AS (
			SELECT id FROM jobs WHERE state = 'accepted' AND NOT ready AND NOT held AND run_at <= $1 ORDER BY run_at LIMIT 1000 FOR UPDATE SKIP LOCKED
		)
		UPDATE jobs SET ready = TRUE, updated_at = $1 FROM due WHERE id = pick`, now)
	return err
}

func (s *Store) dispatch(ctx context.Context, priority results.Priority, n int) ([]results.Job, error) {
	t := &s.turns[priority]
	var tenants []string
	if err := s.look(ctx, t.order(tenantsSQL, []any{int(priority)}, n, &tenants)); err != nil {
		return nil, err
	}
	return inTurn(t, tenants, n, func(tenants []string, most []int) ([][]results.Job, error) {
		took := make([][]results.Job, len(tenants))
		now := s.Now()
		b := make([]statement, len(tenants))
		for i, tenant := range tenants {
			b[i] = statement{dispatchSQL, []any{int(priority), tenant, most[i], now}, func(r row) error {
				j, err := scanJob(r)
				took[i] = append(took[i], j)
				return err
			}}
		}
		err := again(ctx, func() error {
			clear(took)
			_, err := s.db.Batch(ctx, b)
			return err
		})
		for _, jobs := range took {
			slices.SortFunc(jobs, first)
		}
		return took, err
	})
}

// first orders jobs whose worker died before others, then by age.
func first(a, b results.Job) int {
	if a.Crashed() != b.Crashed() {
		if a.Crashed() {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.ID, b.ID)
}

// Rescue takes jobs whose worker died and that wait for too long, from the index jobs_again, and from the few that are queued.
func (s *Store) Rescue(ctx context.Context, p results.Priority, after time.Duration, n int) ([]results.Job, error) {
	var jobs []results.Job
	err := again(ctx, func() error {
		jobs = nil
		now := s.Now()
		add := func(r row) error {
			j, err := scanJob(r)
			jobs = append(jobs, j)
			return err
		}
		args := []any{int(p), now.Add(-after), n, now}
		if _, err := s.db.Batch(ctx, []statement{{takeSQL("ready AND error_rule = 'crashed' AND priority = $1 AND run_at <= $2 ORDER BY run_at, id"), args, add}}); err != nil || len(jobs) > 0 {
			return err
		}
		_, err := s.db.Batch(ctx, []statement{{takeSQL("state = 'queued' AND error_rule = 'crashed' AND priority = $1 AND queued_at <= $2 ORDER BY queued_at, id"), args, add}})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take jobs that nobody takes: %w", err)
	}
	inOrder(jobs)
	return jobs, nil
}

// takeSQL queues the first $3 jobs of a condition with a new attempt, at the time $4.
func takeSQL(which string) string {
	return `WITH picked (pick) AS (SELECT id FROM jobs WHERE ` + which + ` LIMIT $3 FOR UPDATE SKIP LOCKED)
	UPDATE jobs SET state = 'queued', ready = FALSE, attempt = attempt + 1, queued_at = $4, updated_at = $4
	FROM picked WHERE id = pick RETURNING ` + jobColumns
}

// tenantsSQL walks from tenant to tenant in the index, from the one after $2 on.
const tenantsSQL = `WITH RECURSIVE t (tenant) AS (
		SELECT (SELECT tenant FROM jobs WHERE ready AND priority = $1 AND tenant > $2 ORDER BY tenant LIMIT 1)
		UNION ALL
		SELECT (SELECT j.tenant FROM jobs j WHERE j.ready AND j.priority = $1 AND j.tenant > t.tenant ORDER BY j.tenant LIMIT 1)
		FROM t WHERE t.tenant IS NOT NULL
	)
	SELECT tenant FROM t WHERE tenant IS NOT NULL LIMIT $3`

var dispatchSQL = takeSQL(`ready AND priority = $1 AND tenant = $2 ORDER BY CASE WHEN error_rule = 'crashed' THEN 0 ELSE 1 END, created_at, id`)
