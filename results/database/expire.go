package database

import (
	"context"
	"slices"
	"time"

	"onsite/results"
)

const (
	// keepRequests is how long an idempotency key is remembered: much longer than any client tries again.
	keepRequests = 7 * 24 * time.Hour
	// keepDeliveries is how long the delivery log goes back: as far as a message can be sent again by hand.
	keepDeliveries = 30 * 24 * time.Hour
	// keepClaims is how long a claim whose object never came is kept: S3 lets a presigned upload wait for a week at most.
	keepClaims = 8 * 24 * time.Hour
	// keepEvents is how long bucket events can be looked at.
	keepEvents = 90 * 24 * time.Hour
)

// Expire implements results.Housekeeping. It also forgets old idempotency keys, claims and challenges that nobody used, old bucket events and old lines of the delivery
// log, n at a time.
func (s *Store) Expire(ctx context.Context, now time.Time, n int) (keys []string, err error) {
	err = s.db.Tx(ctx, func(q querier) error {
		keys = nil
		// Several sweepers take different ones. What is not finished is not expired: its time comes a day later.
		due, err := collect(ctx, q, scanDeadline, `SELECT tenant, subject, kind, job, due FROM deadlines WHERE due <= $1 ORDER BY due LIMIT $2 FOR UPDATE SKIP LOCKED`, now, n)
		if err != nil {
			return err
		}
		jobs := map[string][]string{} // by kind
		for _, d := range due {
			jobs[d.Kind] = append(jobs[d.Kind], d.Job)
		}
		busy, err := s.unfinished(ctx, q, due)
		if err != nil {
			return err
		}
		for kind := range jobs {
			jobs[kind] = slices.DeleteFunc(jobs[kind], func(job string) bool { return busy[job] })
		}
		// A verdict's end is the end of all that belongs to the job, whatever else was to be kept longer.
		gone := jobs[results.DeadlineVerdict]
		for _, kind := range []string{results.DeadlineMedia, results.DeadlineKeyframes, results.DeadlinePrint} {
			jobs[kind] = append(jobs[kind], gone...)
		}
		b := slices.Concat(s.expireMedia(jobs[results.DeadlineMedia], &keys), s.expireKeyframes(jobs[results.DeadlineKeyframes], &keys),
			s.expirePrints(jobs[results.DeadlinePrint], &keys))
		last, err := s.expireJobs(ctx, q, gone)
		if err != nil {
			return err
		}
		b = append(b, last...)
		for _, d := range due {
			switch {
			case busy[d.Job]:
				b = append(b, do(`UPDATE deadlines SET due = $4 WHERE tenant = $1 AND job = $2 AND kind = $3`, d.Tenant, d.Job, d.Kind, now.Add(24*time.Hour)))
			case d.Kind == results.DeadlineVerdict:
				b = append(b, do(`DELETE FROM deadlines WHERE tenant = $1 AND job = $2`, d.Tenant, d.Job))
			default:
				b = append(b, do(`DELETE FROM deadlines WHERE tenant = $1 AND job = $2 AND kind = $3`, d.Tenant, d.Job, d.Kind))
			}
		}
		b = append(b,
			do(`DELETE FROM frame_gone WHERE at < $1`, now.Add(-keepGone)),
			do(`DELETE FROM idempotency WHERE (tenant, request) IN (SELECT tenant, request FROM idempotency WHERE created_at < $1 AND until < $2 ORDER BY created_at LIMIT $3)`,
				now.Add(-keepRequests), now, n),
			do(`DELETE FROM uploads WHERE job IN (SELECT job FROM uploads WHERE arrived_at = 0 AND expires_at < $1 ORDER BY expires_at LIMIT $2)`, now.Add(-keepClaims), n),
			do(`DELETE FROM challenges WHERE (tenant, id) IN (SELECT tenant, id FROM challenges WHERE job = '' AND expires_at < $1 ORDER BY expires_at LIMIT $2)`,
				now.Add(-results.KeepChallenges), n),
			do(`DELETE FROM intake_events WHERE id IN (SELECT id FROM intake_events WHERE id < $1 AND received_at < $2 ORDER BY id LIMIT $3)`,
				idAt(now.Add(-keepEvents+idLate)), now.Add(-keepEvents), n),
			do(`DELETE FROM webhook_tries WHERE delivery IN (SELECT id FROM webhook_deliveries WHERE state <> 'pending' AND done_at < $1 ORDER BY done_at, id LIMIT $2)`, now.Add(-keepDeliveries), n),
			do(`DELETE FROM webhook_deliveries WHERE id IN (SELECT id FROM webhook_deliveries WHERE state <> 'pending' AND done_at < $1 ORDER BY done_at, id LIMIT $2)`, now.Add(-keepDeliveries), n),
		)
		_, err = q.Batch(ctx, b)
		return err
	})
	return keys, wrap(err, "remove what has been kept long enough")
}

func scanDeadline(r row) (d results.Deadline, err error) {
	err = r.Scan(&d.Tenant, &d.Subject, &d.Kind, &d.Job, at(&d.Due))
	return d, err
}

// unfinished locks the deadlines' jobs and gives those that are not at their end: a dead one that somebody requeued. The lock keeps two
// sweepers who have different deadlines of one job out of each other's way.
func (s *Store) unfinished(ctx context.Context, q querier, due []results.Deadline) (map[string]bool, error) {
	var jobs []string
	for _, d := range due {
		jobs = append(jobs, d.Job)
	}
	busy := map[string]bool{}
	_, err := q.Batch(ctx, []statement{{`SELECT id, state FROM jobs WHERE id = ANY($1) ORDER BY id FOR UPDATE`, []any{jobs}, func(r row) error {
		var j results.Job
		err := r.Scan(&j.ID, &j.State)
		if !j.Final() {
			busy[j.ID] = true
		}
		return err
	}}})
	return busy, err
}

// pendInto notes objects as pending and gives their keys. Nobody is writing them, so they are pending since ever: the sweeper need not wait.
func pendInto(keys *[]string, from string, jobs []string) statement {
	return statement{`INSERT INTO pending_objects (object_key, since) ` + from + ` ON CONFLICT (object_key) DO UPDATE SET since = 0 RETURNING object_key`,
		[]any{jobs}, func(r row) error {
			key, err := scanText(r)
			*keys = append(*keys, key)
			return err
		}}
}

func (s *Store) expireMedia(jobs []string, keys *[]string) []statement {
	if len(jobs) == 0 {
		return nil
	}
	return []statement{
		pendInto(keys, `SELECT media_key, 0 FROM submissions WHERE job = ANY($1) AND media_key <> ''`, jobs),
		do(`UPDATE submissions SET media_key = '' WHERE job = ANY($1)`, jobs),
	}
}

func (s *Store) expireKeyframes(jobs []string, keys *[]string) []statement {
	if len(jobs) == 0 {
		return nil
	}
	return []statement{
		pendInto(keys, `SELECT object_key, 0 FROM evidence WHERE job = ANY($1)`, jobs),
		do(`DELETE FROM evidence WHERE job = ANY($1)`, jobs),
	}
}

func (s *Store) expirePrints(jobs []string, keys *[]string) []statement {
	if len(jobs) == 0 {
		return nil
	}
	return []statement{
		pendInto(keys, `SELECT object_key, 0 FROM prints WHERE job = ANY($1)`, jobs),
		do(`DELETE FROM rechecks WHERE late = ANY($1)`, jobs),
		do(goneSQL+`job = ANY($2)`+goneAgain, s.Now(), jobs),
		do(`DELETE FROM prints WHERE job = ANY($1)`, jobs), // and with them the hashes of their frames
	}
}

// expireJobs removes the last of a job: its verdicts and itself.
func (s *Store) expireJobs(ctx context.Context, q querier, jobs []string) ([]statement, error) {
	if len(jobs) == 0 {
		return nil, nil
	}
	all, err := collect(ctx, q, func(r row) (v results.Verdict, err error) {
		err = r.Scan(&v.Tenant, &v.Job, &v.Revision, &v.Seq, fromJSON(&v.Codes))
		return v, err
	}, `SELECT tenant, job, revision, coalesce(seq, 0), codes FROM verdicts WHERE job = ANY($1)`, jobs)
	if err != nil {
		return nil, err
	}
	var b []statement
	for _, v := range all {
		for _, code := range v.Codes {
			b = append(b, do(`DELETE FROM verdict_codes WHERE tenant = $1 AND code = $2 AND job = $3 AND revision = $4`, v.Tenant, string(code), v.Job, v.Revision))
		}
		if v.Revision == 1 && v.Seq > 0 {
			b = append(b, do(`UPDATE feed SET done = done - 1 WHERE tenant = $1`, v.Tenant))
		}
	}
	if err := leaveComparisons(ctx, q, `job = ANY($1)`, jobs); err != nil {
		return nil, err
	}
	gone, err := s.marksGone(ctx, q, jobs)
	if err != nil {
		return nil, err
	}
	return append(append(b, gone...),
		do(`DELETE FROM verdicts WHERE job = ANY($1)`, jobs),
		do(`DELETE FROM rechecks WHERE late = ANY($1)`, jobs),
		do(`DELETE FROM challenges WHERE job = ANY($1) AND job <> ''`, jobs),
		do(`DELETE FROM model_shadows WHERE job = ANY($1)`, jobs),
		do(`DELETE FROM reverifications WHERE job = ANY($1)`, jobs),
		do(`DELETE FROM uploads WHERE job = ANY($1)`, jobs),
		do(`DELETE FROM jobs WHERE id = ANY($1)`, jobs),
		do(`DELETE FROM submissions WHERE job = ANY($1)`, jobs),
	), nil
}
