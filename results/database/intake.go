package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pressly/goose/v3"

	"onsite/results"
)

// maxGroup bounds how many submissions or endings one statement takes, so that a group holds its locks for milliseconds.
const maxGroup = 256

// Accept writes submission and job in one transaction with the idempotency key.
func (s *Store) Accept(ctx context.Context, n results.NewSubmission) (results.Job, bool, error) {
	a := s.AcceptMany(ctx, []results.NewSubmission{n})[0]
	return a.Job, a.Again, a.Err
}

// AcceptMany accepts several submissions, each for itself: group commit.
func (s *Store) AcceptMany(ctx context.Context, list []results.NewSubmission) []results.Acceptance {
	out := make([]results.Acceptance, len(list))
	now := s.Now()
	var todo []int
	for i, n := range list {
		if err := acceptable(n); err != nil {
			out[i].Err = err
			continue
		}
		todo = append(todo, i)
	}
	todo, admitted := s.gate.admit(ctx, s, list, todo, out)
	for group := range slices.Chunk(todo, maxGroup) {
		s.acceptGroup(ctx, list, group, now, out)
	}
	s.gate.settle(list, admitted, out)
	for i := range out {
		if out[i].Err != nil {
			out[i].Err = fmt.Errorf("accept job %s: %w", list[i].Sub.Job, out[i].Err)
		}
	}
	return out
}

// acceptable finds what a caller of this package must not have let through.
func acceptable(n results.NewSubmission) error {
	if n.Sub.Job == "" || n.Sub.Tenant == "" || n.Sub.Subject == "" {
		return errors.New("a submission needs a job, a tenant and a subject")
	}
	return nil
}

// acceptGroup tries the whole group at once and, where that does not work out, one by one, so that each gets the answer it would have got
// alone.
func (s *Store) acceptGroup(ctx context.Context, list []results.NewSubmission, group []int, now time.Time, out []results.Acceptance) {
	var rest []int
	var err error
	if s.postgres() {
		rest, err = s.acceptTogether(ctx, list, group, now, out)
	} else {
		err = s.acceptInTurn(ctx, list, group, now, out)
	}
	switch {
	case err == nil:
		group = rest
	case errors.Is(err, results.ErrAway) || ctx.Err() != nil || (len(group) == 1 && !s.postgres()):
		for _, i := range group {
			out[i] = results.Acceptance{Err: err}
		}
		return
	}
	for _, i := range group {
		if err := s.acceptInTurn(ctx, list, []int{i}, now, out); err != nil {
			out[i] = results.Acceptance{Err: err}
		}
	}
}

// acceptInTurn accepts one after the other in one transaction. Answers that are not an acceptance are found before anything is written, so
// they leave nothing behind; an error takes all of them back.
func (s *Store) acceptInTurn(ctx context.Context, list []results.NewSubmission, group []int, now time.Time, out []results.Acceptance) error {
	return s.db.Tx(ctx, func(q querier) error {
		for _, i := range group {
			a, err := s.acceptOne(ctx, q, list[i], now)
			if err != nil {
				return err
			}
			out[i] = a
		}
		return nil
	})
}

func (s *Store) acceptOne(ctx context.Context, q querier, n results.NewSubmission, now time.Time) (results.Acceptance, error) {
	before := prior{sub: n.Sub, request: n.Idempotency, body: n.BodySHA256}
	if err := before.read(ctx, s, q); err != nil {
		return results.Acceptance{}, err
	}
	if job, answer := before.answer(); answer != nil {
		return results.Acceptance{Err: answer}, nil //nolint:nilerr // the answer to this submission is no fault of the transaction
	} else if job != "" {
		j, err := collectOne(ctx, q, scanJob, `SELECT `+jobColumns+` FROM jobs WHERE id = $1`, job)
		if errors.Is(err, results.ErrNotFound) {
			// The key belongs to a recorded claim whose object has not come.
			return results.Acceptance{Err: results.ErrKeyReuse}, nil
		}
		return results.Acceptance{Job: j, Again: true}, err
	}
	var b []statement
	if n.Idempotency != "" {
		b = append(b, took(n.Sub.Tenant, n.Idempotency, n.Sub.Job, n.BodySHA256, now))
	}
	b = append(b, submitted(n.Sub, now, now)...)
	b = append(b, kept(n.Keep...)...)
	b = append(b, audited(n.Audit)...)
	changed, err := q.Batch(ctx, b)
	if err != nil {
		return results.Acceptance{}, err
	}
	if n.Idempotency != "" && changed[0] == 0 {
		// Another took the key since we looked. Looking again in a new transaction finds it.
		return results.Acceptance{}, fmt.Errorf("%w: %w", results.ErrAway, errRace)
	}
	return results.Acceptance{Job: newJob(n.Sub, now)}, nil
}

// prior is what the store already knows when a submission or an upload's claim comes.
type prior struct {
	sub           results.Submission
	request, body string

	keyJob, keyBody string             // what the key was used for; empty: not used, or a reservation
	same            results.Submission // what the job's id is used for
	erased          int64
}

// read locks the subject against being erased and looks up key, subject and job.
func (p *prior) read(ctx context.Context, s *Store, q querier) error {
	_, err := q.Batch(ctx, append(s.alive([2]string{p.sub.Tenant, p.sub.Subject}),
		statement{`SELECT job, body FROM idempotency WHERE tenant = $1 AND request = $2`, []any{p.sub.Tenant, p.request},
			func(r row) error { return r.Scan(&p.keyJob, &p.keyBody) }},
		statement{`SELECT erased_at FROM subjects WHERE tenant = $1 AND id = $2`, []any{p.sub.Tenant, p.sub.Subject},
			func(r row) error { return r.Scan(&p.erased) }},
		statement{`SELECT tenant, subject, media_sha256 FROM submissions WHERE job = $1`, []any{p.sub.Job},
			func(r row) error { return r.Scan(&p.same.Tenant, &p.same.Subject, &p.same.Media.SHA256) }},
	))
	return err
}

// answer gives the job that this request made before, or why it is refused, or neither: it is new.
func (p *prior) answer() (job string, err error) {
	switch {
	case p.request != "" && p.keyJob != "":
		if p.keyBody != p.body {
			return "", results.ErrKeyReuse
		}
		return p.keyJob, nil
	case p.same.Tenant == p.sub.Tenant && p.same.Subject == p.sub.Subject && p.same.Media.SHA256 == p.sub.Media.SHA256:
		return p.sub.Job, nil // the same call again, after its answer got lost
	case p.same.Tenant != "":
		return "", results.ErrExists
	case p.erased != 0:
		return "", results.ErrErased
	}
	return "", nil
}

// took completes an idempotency key, reserved or not; it changes no row when the key is complete already.
func took(tenant, request, job, body string, now time.Time) statement {
	return do(`INSERT INTO idempotency (tenant, request, job, body, until, created_at) VALUES ($1, $2, $3, $4, 0, $5)
		ON CONFLICT (tenant, request) DO UPDATE SET job = excluded.job, body = excluded.body, until = 0 WHERE idempotency.job = ''`,
		tenant, request, job, body, now)
}

// submitted writes submission and job, and uses the challenge that it answers.
func submitted(sub results.Submission, now, arrived time.Time) []statement {
	return append([]statement{
		do(`INSERT INTO submissions (job, tenant, subject, site, policy, policy_rev, claim, priority, source, media_key, media_sha256,
			media_bytes, media_name, trace_parent, received_at, device)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
			sub.Job, sub.Tenant, sub.Subject, sub.Site, sub.Policy, sub.PolicyRev, string(sub.Claim), int(sub.Priority), js(sub.Source),
			sub.Media.Key, sub.Media.SHA256, sub.Media.Bytes, sub.Media.Name, sub.TraceParent, sub.ReceivedAt, sub.DeviceKey()),
		do(`INSERT INTO jobs (id, tenant, subject, site, priority, state, ready, attempt, token, failures, crashes, held, run_at, queued_at,
			lease_until, deadline, worker, error_rule, error, revision, trace_parent, created_at, updated_at, finished_at)
			VALUES ($1, $2, $3, $4, $5, 'accepted', TRUE, 0, 0, 0, 0, FALSE, $6, 0, 0, 0, '', '', '', 0, $7, $6, $6, 0)`,
			sub.Job, sub.Tenant, sub.Subject, sub.Site, int(sub.Priority), now, sub.TraceParent),
	}, answered(sub, arrived)...)
}

// newJob is the job that submitted writes.
func newJob(sub results.Submission, now time.Time) results.Job {
	return results.Job{ID: sub.Job, Tenant: sub.Tenant, Subject: sub.Subject, Site: sub.Site, Priority: sub.Priority, State: results.Accepted,
		RunAt: now, TraceParent: sub.TraceParent, CreatedAt: now, UpdatedAt: now}
}

// Reserve takes an idempotency key while a long upload runs.
func (s *Store) Reserve(ctx context.Context, tenant, key string, until time.Time) (earlier string, err error) {
	now := s.Now()
	err = s.db.Tx(ctx, func(q querier) error {
		earlier = ""
		n, err := q.Exec(ctx, `INSERT INTO idempotency (tenant, request, job, body, until, created_at) VALUES ($1, $2, '', '', $3, $4)
			ON CONFLICT (tenant, request) DO UPDATE SET until = excluded.until
			WHERE idempotency.job = '' AND idempotency.until <= excluded.created_at`, tenant, key, until, now)
		if err != nil || n == 1 {
			return err
		}
		err = q.QueryRow(ctx, `SELECT job FROM idempotency WHERE tenant = $1 AND request = $2`, tenant, key).Scan(&earlier)
		if errors.Is(err, results.ErrNotFound) { // was given back since
			return fmt.Errorf("%w: %w", results.ErrAway, errRace)
		}
		if err == nil && earlier == "" {
			return results.ErrKeyBusy
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("reserve an idempotency key: %w", err)
	}
	return earlier, nil
}

// Prolong keeps a reserved key for longer. A completed one stays as it is.
func (s *Store) Prolong(ctx context.Context, tenant, key string, until time.Time) error {
	if _, err := s.db.Exec(ctx, `UPDATE idempotency SET until = $3 WHERE tenant = $1 AND request = $2 AND job = '' AND until < $3`, tenant, key, until); err != nil {
		return fmt.Errorf("keep an idempotency key for longer: %w", err)
	}
	return nil
}

// Unreserve gives a reserved key back. A completed one stays.
func (s *Store) Unreserve(ctx context.Context, tenant, key string) error {
	if _, err := s.db.Exec(ctx, `DELETE FROM idempotency WHERE tenant = $1 AND request = $2 AND job = ''`, tenant, key); err != nil {
		return fmt.Errorf("give back an idempotency key: %w", err)
	}
	return nil
}

// postgres says whether the database has arrays, data-changing WITH, and several writers.
func (s *Store) postgres() bool { return s.db.dialect() == goose.DialectPostgres }

// collectOne reads one row; ErrNotFound when there is none.
func collectOne[T any](ctx context.Context, q querier, scan func(row) (T, error), query string, args ...any) (T, error) {
	return scan(q.QueryRow(ctx, query, args...))
}
