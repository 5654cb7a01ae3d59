package database

import (
	"context"
	"fmt"
	"slices"
	"time"

	"onsite/results"
)

// recheckJobs bounds how many jobs are compared with one late print at a time; the rest of them come with the next call.
const recheckJobs = 200

// Recheck takes late prints with the jobs that did not see them. What was tried before, in vain, comes after what was not.
func (s *Store) Recheck(ctx context.Context, worker string, lease time.Duration, n int) ([]results.Late, error) {
	var all []results.Late
	err := s.db.Tx(ctx, func(q querier) error {
		all = nil
		now := s.Now()
		pairs, err := collect(ctx, q, func(r row) (p [2]string, err error) {
			err = r.Scan(&p[0], &p[1])
			return p, err
		}, `SELECT late, job FROM rechecks WHERE lease_until <= $1 OR lease_until > $2 ORDER BY lease_until, late, job LIMIT $3 FOR UPDATE SKIP LOCKED`,
			now, now.Add(lease+clockSlack), n*recheckJobs)
		if err != nil || len(pairs) == 0 {
			return err
		}
		var lates []string
		jobs := map[string][]string{}
		for _, p := range pairs {
			if !slices.Contains(lates, p[0]) {
				if len(lates) == n {
					break
				}
				lates = append(lates, p[0])
			}
			if len(jobs[p[0]]) < recheckJobs {
				jobs[p[0]] = append(jobs[p[0]], p[1])
			}
		}
		prints, err := collect(ctx, q, scanPrint, `SELECT `+printColumns+` FROM prints WHERE job = ANY($1) ORDER BY job`, lates)
		if err != nil {
			return err
		}
		var b []statement
		for _, p := range prints {
			all = append(all, lateOf(p, jobs[p.Job]))
			b = append(b, do(`UPDATE rechecks SET worker = $3, lease_until = $4 WHERE late = $1 AND job = ANY($2)`,
				p.Job, jobs[p.Job], worker, now.Add(lease)))
			lates = slices.DeleteFunc(lates, func(job string) bool { return job == p.Job })
		}
		if len(lates) > 0 { // their prints are gone: there is nothing to compare with
			b = append(b, do(`DELETE FROM rechecks WHERE late = ANY($1)`, lates))
		}
		_, err = q.Batch(ctx, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take late fingerprints: %w", err)
	}
	return all, nil
}

// look stands in the place of a job where the print's frames are to be looked for; see lookSQL.
const look = ""

func lateOf(p results.Print, jobs []string) results.Late {
	found := slices.DeleteFunc(slices.Clone(jobs), func(job string) bool { return job == look })
	return results.Late{Print: p, Jobs: found, Look: len(found) < len(jobs)}
}

// Rechecked says that these jobs were compared with the late print.
func (s *Store) Rechecked(ctx context.Context, l results.Late) error {
	jobs := l.Jobs
	if l.Look {
		jobs = append(slices.Clone(jobs), look)
	}
	if _, err := s.db.Exec(ctx, `DELETE FROM rechecks WHERE late = $1 AND job = ANY($2)`, l.Print.Job, jobs); err != nil {
		return fmt.Errorf("note that footage was compared with job %s: %w", l.Print.Job, err)
	}
	return nil
}
