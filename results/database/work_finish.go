package database

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"onsite/results"
)

// Finish ends a job, with everything that belongs to its end, in one transaction.
func (s *Store) Finish(ctx context.Context, f results.Finish) error {
	return s.FinishMany(ctx, []results.Finish{f})[0]
}

// FinishMany ends several jobs, each for itself: group commit.
func (s *Store) FinishMany(ctx context.Context, list []results.Finish) []error {
	out := make([]error, len(list))
	var todo []int
	for i, f := range list {
		if out[i] = finishable(f); out[i] == nil {
			todo = append(todo, i)
		}
	}
	// Locks are taken in the order of the jobs' ids.
	slices.SortStableFunc(todo, func(a, b int) int {
		if list[a].Job < list[b].Job {
			return -1
		} else if list[a].Job > list[b].Job {
			return 1
		}
		return 0
	})
	now := s.Now()
	for group := range slices.Chunk(todo, maxGroup) {
		s.finishGroup(ctx, list, group, now, out)
	}
	for i := range out {
		if out[i] != nil {
			out[i] = fmt.Errorf("finish job %s: %w", list[i].Job, out[i])
		}
	}
	return out
}

// finishable finds what a caller of this package must not have let through.
func finishable(f results.Finish) error {
	switch {
	case f.State != results.Done && f.State != results.Refused && f.State != results.Dead:
		return fmt.Errorf("a job cannot end as %q", f.State)
	case (f.State == results.Done) != (f.Verdict != nil):
		return errors.New("a done job, and no other, has a verdict")
	case f.State != results.Done && (f.Print != nil || len(f.Evidence) > 0):
		return errors.New("a job without a verdict has neither fingerprint nor evidence")
	case f.Print == nil && len(f.Frames) > 0:
		return errors.New("hashes of frames belong to a fingerprint")
	case f.Event != "" && f.Message == "":
		return errors.New("an event needs the id of its message")
	}
	return nil
}

// finishGroup tries the whole group at once and, where that does not work out, one by one: what is wrong with one must not spoil the others.
func (s *Store) finishGroup(ctx context.Context, list []results.Finish, group []int, now time.Time, out []error) {
	var err error
	if s.postgres() {
		err = s.finishTogether(ctx, list, group, now, out)
	} else {
		err = s.finishInTurn(ctx, list, group, now, out)
	}
	if err == nil {
		return
	}
	if errors.Is(err, results.ErrAway) || ctx.Err() != nil || len(group) == 1 {
		for _, i := range group {
			out[i] = err
		}
		return
	}
	for _, i := range group {
		if err := s.finishInTurn(ctx, list, []int{i}, now, out); err != nil {
			out[i] = err
		}
	}
}

// finishInTurn ends one job after the other in one transaction. A stale one writes nothing; an error takes all back.
func (s *Store) finishInTurn(ctx context.Context, list []results.Finish, group []int, now time.Time, out []error) error {
	return s.db.Tx(ctx, func(q querier) error {
		for _, i := range group {
			err := finishOne(ctx, q, list[i], now)
			if err != nil && !errors.Is(err, results.ErrStale) {
				return err
			}
			out[i] = err
		}
		return nil
	})
}

func finishOne(ctx context.Context, q querier, f results.Finish, now time.Time) error {
	revision, failed, rule := 0, 0, ""
	if f.Verdict != nil {
		revision = firstRevision(f.Verdict)
	}
	var wrong any = ""
	if f.Error != nil {
		rule, wrong = f.Error.Rule, js(f.Error)
	}
	if f.State == results.Dead {
		failed = 1
	}
	var of owner
	err := q.QueryRow(ctx, `UPDATE jobs SET state = $3, ready = FALSE, held = FALSE, lease_until = 0, deadline = 0, error_rule = $4, error = $5,
		failures = failures + $6, revision = $7, updated_at = $8, finished_at = $8
		WHERE id = $1 AND token = $2 AND state = 'running' RETURNING id, tenant, subject, site`,
		f.Job, f.Token, string(f.State), rule, wrong, failed, revision, now).Scan(&of.job, &of.tenant, &of.subject, &of.site)
	if errors.Is(err, results.ErrNotFound) {
		return results.ErrStale
	} else if err != nil {
		return err
	}
	var b []statement
	if f.Verdict != nil {
		b = append(b, found(of, *f.Verdict, revision, now)...)
	}
	for _, e := range f.Evidence {
		b = append(b, do(`INSERT INTO evidence (job, revision, kind, idx, tenant, subject, object_key, sha256, bytes)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, of.job, revision, e.Kind, e.Index, of.tenant, of.subject, e.Key, e.SHA256, e.Bytes))
	}
	if p := f.Print; p != nil {
		b = append(b, do(`INSERT INTO prints (job, tenant, subject, site, as_of, scope, alike, format, sha256, packets, object_key, bytes, accepted_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
			of.job, of.tenant, of.subject, of.site, p.AsOf, scopeKind(p), p.Alike, p.Format, p.SHA256, p.Packets, p.Key, p.Bytes, p.AcceptedAt))
		b = append(b, framed(of.job, of.tenant, f.Frames)...)
	}
	if m := f.Media; m != nil {
		b = append(b, copied(of.job, *m))
	}
	for _, d := range f.Deadline {
		b = append(b, due(of, d.Kind, d.Due))
	}
	if f.Event != "" {
		b = append(b, announced(of.tenant, of.job, f.Message, f.Event, f.Payload, now))
	}
	b = append(b, kept(f.Keep...)...)
	b = append(b, audited(f.Audit)...)
	if len(b) == 0 {
		return nil
	}
	_, err = q.Batch(ctx, b)
	return err
}

// owner is what the job row says about whose it is; callers' words about that are not taken.
type owner struct{ job, tenant, subject, site string }

func firstRevision(v *results.Verdict) int { return max(1, v.Revision) }

// scopeKind is that of a print; nothing said is what policies have that say nothing.
func scopeKind(p *results.Print) string { return cmp.Or(p.Scope, "site") }

// found writes one revision of a verdict.
func found(of owner, v results.Verdict, revision int, now time.Time) []statement {
	created := v.CreatedAt
	if created.IsZero() {
		created = now
	}
	codes := distinct(v.Codes)
	b := []statement{do(`INSERT INTO verdicts (job, revision, tenant, subject, site, decision, codes, policy, body, submitted_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		of.job, revision, of.tenant, of.subject, of.site, string(v.Decision), js(codes), v.Policy, bytesOf(v.Body), v.SubmittedAt, created)}
	for _, code := range codes {
		b = append(b, do(`INSERT INTO verdict_codes (tenant, code, job, revision) VALUES ($1, $2, $3, $4)`, of.tenant, code, of.job, revision))
	}
	return b
}

func distinct[T ~string](codes []T) []string {
	out := make([]string, 0, len(codes))
	for _, c := range codes {
		if !slices.Contains(out, string(c)) {
			out = append(out, string(c))
		}
	}
	return out
}

// bytesOf keeps an empty value from being NULL.
func bytesOf(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// copied writes which object is our own copy of a job's media.
func copied(job string, m results.Media) statement {
	return do(`UPDATE submissions SET media_key = $2, media_sha256 = $3, media_bytes = $4,
		media_name = CASE WHEN $5::text = '' THEN media_name ELSE $5 END WHERE job = $1`, job, m.Key, m.SHA256, m.Bytes, m.Name)
}

// due says when something of a job must be gone.
func due(of owner, kind string, when time.Time) statement {
	return do(`INSERT INTO deadlines (tenant, job, kind, subject, due) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant, job, kind) DO UPDATE SET due = excluded.due`, of.tenant, of.job, kind, of.subject, when)
}

// announced writes an event's deliveries, one for each endpoint that wants it.
func announced(tenant, job, message, event string, payload []byte, now time.Time) statement {
	return do(`INSERT INTO webhook_deliveries (id, tenant, endpoint, message, type, payload, job, state, attempt, next_at, due_at, worker, last_status,
		last_error, created_at, done_at)
		SELECT $2::text || '.' || e.id, e.tenant, e.id, $2, $3::text, $4::bytea, $5::text, 'pending', 0, $6::bigint, 0, '', 0, '', $6, 0
		FROM webhook_endpoints e WHERE e.tenant = $1 AND e.disabled_at = 0 AND (e.events = '' OR e.events LIKE '%,' || $3 || ',%')`,
		tenant, message, event, bytesOf(payload), job, now)
}
