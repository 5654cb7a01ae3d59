package database

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// fresh is a verdict that has no position yet.
type fresh struct {
	tenant, job string
	revision    int
	seq         int64
}

// Sequence gives committed verdicts their positions. Only what is committed can be seen here, and the feed's row is held until the commit,
// so positions follow commits: whoever sees one position sees all before it.
func (s *Store) Sequence(ctx context.Context, n int) (map[string]int64, error) {
	var positions map[string]int64
	err := s.db.Tx(ctx, func(q querier) error {
		positions = map[string]int64{}
		list, err := collect(ctx, q, func(r row) (f fresh, err error) {
			err = r.Scan(&f.tenant, &f.job, &f.revision)
			return f, err
		}, `SELECT tenant, job, revision FROM verdicts WHERE seq IS NULL ORDER BY job, revision LIMIT $1 FOR UPDATE`, n)
		if err != nil || len(list) == 0 {
			return err
		}
		if err := advance(ctx, q, list, positions); err != nil {
			return err
		}
		if err := s.place(ctx, q, list); err != nil {
			return err
		}
		return s.missed(ctx, q, list)
	})
	if err != nil {
		return nil, fmt.Errorf("give verdicts their positions: %w", err)
	}
	return positions, nil
}

// advance moves the feeds on and gives each verdict its position.
func advance(ctx context.Context, q querier, list []fresh, positions map[string]int64) error {
	verdicts, done := map[string]int64{}, map[string]int64{}
	for _, f := range list {
		verdicts[f.tenant]++
		if f.revision == 1 {
			done[f.tenant]++
		}
	}
	var b []statement
	for _, tenant := range slices.Sorted(maps.Keys(verdicts)) { // in order, so that two sequencers wait for each other instead of dying
		b = append(b, statement{`INSERT INTO feed (tenant, position, done) VALUES ($1, $2, $3)
			ON CONFLICT (tenant) DO UPDATE SET position = feed.position + excluded.position, done = feed.done + excluded.done RETURNING position`,
			[]any{tenant, verdicts[tenant], done[tenant]}, func(r row) error {
				var position int64
				err := r.Scan(&position)
				positions[tenant] = position
				return err
			}})
	}
	if _, err := q.Batch(ctx, b); err != nil {
		return err
	}
	next := map[string]int64{}
	for i := range list {
		f := &list[i]
		next[f.tenant]++
		f.seq = positions[f.tenant] - verdicts[f.tenant] + next[f.tenant]
	}
	return nil
}

// place writes the positions into verdicts and prints.
func (s *Store) place(ctx context.Context, q querier, list []fresh) error {
	if s.postgres() {
		var jobs, firsts []string
		var revisions, seqs, firstSeqs []int64
		for _, f := range list {
			jobs, revisions, seqs = append(jobs, f.job), append(revisions, int64(f.revision)), append(seqs, f.seq)
			if f.revision == 1 {
				firsts, firstSeqs = append(firsts, f.job), append(firstSeqs, f.seq)
			}
		}
		_, err := q.Batch(ctx, []statement{
			do(`UPDATE verdicts v SET seq = n.seq FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS n (job, revision, seq)
				WHERE v.job = n.job AND v.revision = n.revision AND v.seq IS NULL`, jobs, revisions, seqs),
			do(`UPDATE prints p SET seq = n.seq FROM unnest($1::text[], $2::bigint[]) AS n (job, seq) WHERE p.job = n.job AND p.seq IS NULL`,
				firsts, firstSeqs),
		})
		return err
	}
	var b []statement
	for _, f := range list {
		b = append(b, do(`UPDATE verdicts SET seq = $3 WHERE job = $1 AND revision = $2`, f.job, f.revision, f.seq))
		if f.revision == 1 {
			b = append(b, do(`UPDATE prints SET seq = $2 WHERE job = $1 AND seq IS NULL`, f.job, f.seq))
		}
	}
	_, err := q.Batch(ctx, b)
	return err
}

// lateSQL finds jobs accepted after one of $1 that could not see its print: they began before its position was given. A later job that is
// compared with the whole tenant is one whoever's the print is.
const lateSQL = `INSERT INTO rechecks (late, job, tenant, worker, lease_until, created_at)
	SELECT late, job, tenant, '', 0, $2::bigint FROM (
		SELECT p.job AS late, q.job, p.tenant FROM prints p JOIN prints q ON q.tenant = p.tenant AND q.subject = p.subject
			WHERE p.job = ANY($1) AND q.job > p.job AND q.seq IS NOT NULL AND q.as_of < p.seq
		UNION SELECT p.job AS late, q.job, p.tenant FROM prints p JOIN prints q ON q.tenant = p.tenant AND q.site = p.site AND q.site <> ''
			WHERE p.job = ANY($1) AND q.job > p.job AND q.seq IS NOT NULL AND q.as_of < p.seq
		UNION SELECT p.job AS late, q.job, p.tenant FROM prints p JOIN prints q ON q.tenant = p.tenant AND q.sha256 = p.sha256
			WHERE p.job = ANY($1) AND q.job > p.job AND q.seq IS NOT NULL AND q.as_of < p.seq AND p.sha256 <> ''
		UNION SELECT p.job AS late, q.job, p.tenant FROM prints p JOIN prints q ON q.tenant = p.tenant AND q.packets = p.packets AND q.packets <> ''
			WHERE p.job = ANY($1) AND q.job > p.job AND q.seq IS NOT NULL AND q.as_of < p.seq
		UNION SELECT p.job AS late, q.job, p.tenant FROM prints p JOIN prints q ON q.tenant = p.tenant AND q.scope = 'tenant'
			WHERE p.job = ANY($1) AND q.job > p.job AND q.seq IS NOT NULL AND q.as_of < p.seq
	) AS pairs WHERE TRUE ON CONFLICT DO NOTHING`

// unseenSQL finds, for jobs $1 of tenant $3, earlier-accepted prints that got their position after the job began. There are as many
// positions since the earliest of their beginnings, $4, as jobs ran at the same time; only these are looked at.
const unseenSQL = `INSERT INTO rechecks (late, job, tenant, worker, lease_until, created_at)
	WITH recent AS MATERIALIZED (
		SELECT p.job, p.subject, p.site, p.sha256, p.packets, p.seq FROM verdicts v JOIN prints p ON p.job = v.job
		WHERE v.tenant = $3 AND v.seq > $4 AND v.seq IS NOT NULL AND v.revision = 1
	)
	SELECT p.job, q.job, q.tenant, '', 0, $2::bigint FROM prints q JOIN recent p ON p.job < q.job AND p.seq > q.as_of
		AND (p.subject = q.subject OR (p.site = q.site AND q.site <> '') OR (p.sha256 = q.sha256 AND q.sha256 <> '')
			OR (p.packets = q.packets AND q.packets <> '') OR q.scope = 'tenant')
	WHERE q.job = ANY($1) ON CONFLICT DO NOTHING`

// lookSQL leaves those of jobs $1 to be looked for by their frames that ran at the same time as another one, where the later-accepted of the
// two has more searched than its scope. Each of them sees what has a position before its own, so that one of a pair does.
const lookSQL = `INSERT INTO rechecks (late, job, tenant, worker, lease_until, created_at)
	SELECT p.job, '` + look + `', p.tenant, '', 0, $2::bigint FROM prints p WHERE p.job = ANY($1) AND (
		p.alike <> '' AND EXISTS (SELECT 1 FROM verdicts v JOIN prints q ON q.job = v.job
			WHERE v.tenant = p.tenant AND v.seq > p.as_of AND v.seq < p.seq AND v.seq IS NOT NULL AND v.revision = 1 AND v.job < p.job)
		OR EXISTS (SELECT 1 FROM prints q WHERE q.tenant = p.tenant AND q.alike <> '' AND q.job > p.job AND q.seq < p.seq)
	) ON CONFLICT DO NOTHING`

// missed notes which of the new prints others did not see, and which the new ones did not see themselves. A pair is found when the second
// of the two gets its position.
func (s *Store) missed(ctx context.Context, q querier, list []fresh) error {
	byTenant := map[string][]string{}
	var jobs []string
	for _, f := range list {
		if f.revision == 1 {
			jobs = append(jobs, f.job)
			byTenant[f.tenant] = append(byTenant[f.tenant], f.job)
		}
	}
	if len(jobs) == 0 {
		return nil
	}
	began := map[string]int64{}
	rs, err := q.Query(ctx, `SELECT tenant, min(as_of) FROM prints WHERE job = ANY($1) GROUP BY tenant`, jobs)
	if err != nil {
		return err
	}
	defer rs.Close()
	for rs.Next() {
		var tenant string
		var asOf int64
		if err := rs.Scan(&tenant, &asOf); err != nil {
			return err
		}
		began[tenant] = asOf
	}
	rs.Close()
	if err := rs.Err(); err != nil || len(began) == 0 {
		return err
	}
	now := s.Now()
	b := []statement{do(lateSQL, jobs, now), do(markedSQL, jobs, now), do(lookSQL, jobs, now)}
	for _, tenant := range slices.Sorted(maps.Keys(began)) {
		b = append(b, do(unseenSQL, byTenant[tenant], now, tenant, began[tenant]))
	}
	_, err = q.Batch(ctx, b)
	return err
}
