package database

import (
	"context"
	"fmt"

	"onsite/results"
)

const printColumns = `job, tenant, subject, site, coalesce(seq, 0) AS seq, as_of, scope, alike, format, sha256, packets, object_key, bytes, accepted_at`

func scanPrint(r row) (results.Print, error) {
	var p results.Print
	err := r.Scan(&p.Job, &p.Tenant, &p.Subject, &p.Site, &p.Seq, &p.AsOf, &p.Scope, &p.Alike, &p.Format, &p.SHA256, &p.Packets, &p.Key, &p.Bytes, at(&p.AcceptedAt))
	return p, err
}

// Prints gives the fingerprints in scope of jobs accepted before the given one, newest first.
func (s *Store) Prints(ctx context.Context, scope results.Scope, before string, asOf int64) ([]results.Print, error) {
	most := scope.Newest
	if most <= 0 {
		most = 1 << 31 // all
	}
	args := []any{scope.Tenant, before, asOf, scope.Since, "", most, scope.Subject, scope.Site}
	if !scope.Since.IsZero() {
		args[4] = idAt(scope.Since.Add(-idEarly))
	}
	one := func(where string) string {
		return `SELECT ` + printColumns + ` FROM prints WHERE tenant = $1 AND job < $2 AND job >= $5 AND seq <= $3 AND accepted_at >= $4` + where +
			` ORDER BY job DESC LIMIT $6`
	}
	var q string
	switch scope.Kind {
	case "subject":
		q, args = one(` AND subject = $7`), args[:7]
	case "site":
		if scope.Site == "" {
			q, args = one(` AND subject = $7`), args[:7]
			break
		}
		// Each half reads its own index; together they have a job once.
		q = `SELECT * FROM (SELECT * FROM (` + one(` AND subject = $7`) + `) AS own UNION SELECT * FROM (` + one(` AND site = $8 AND site <> ''`) +
			`) AS here) AS either ORDER BY job DESC LIMIT $6`
	case "tenant":
		q, args = one(``), args[:6]
	default:
		return nil, fmt.Errorf("read earlier fingerprints: a scope is subject, site or tenant, not %q", scope.Kind)
	}
	all, err := collect(ctx, s.db, scanPrint, q, args...)
	if err != nil {
		return nil, fmt.Errorf("read earlier fingerprints: %w", err)
	}
	return all, nil
}

// Print gives the fingerprint of a job.
func (s *Store) Print(ctx context.Context, tenant, job string) (results.Print, error) {
	p, err := collectOne(ctx, s.db, scanPrint, `SELECT `+printColumns+` FROM prints WHERE job = $1 AND tenant = $2`, job, tenant)
	if err != nil {
		return p, fmt.Errorf("read the fingerprint of job %s: %w", job, err)
	}
	return p, nil
}

// SameBytes gives the first earlier job with the same file or the same coded packets.
func (s *Store) SameBytes(ctx context.Context, tenant, before string, asOf int64, sha256, packets string, except []string) (results.Print, error) {
	one := func(where string) string {
		return `SELECT * FROM (SELECT ` + printColumns + ` FROM prints WHERE tenant = $1 AND job < $2 AND seq <= $3 AND job <> ALL($6) AND ` + where + ` ORDER BY job LIMIT 1) AS `
	}
	p, err := collectOne(ctx, s.db, scanPrint, one(`sha256 = $4 AND $4 <> ''`)+`file UNION ALL `+one(`packets = $5 AND packets <> ''`)+`inside
		ORDER BY job LIMIT 1`, tenant, before, asOf, sha256, packets, except)
	if err != nil {
		return p, fmt.Errorf("look for the same bytes: %w", err)
	}
	return p, nil
}
