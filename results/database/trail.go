package database

import (
	"context"
	"encoding/json"
	"fmt"

	"onsite/pipeline"
	"onsite/results"
)

// Steps implements results.Trail.
func (s *Store) Steps(ctx context.Context, f results.StepFilter) ([]pipeline.Step, error) {
	if f.Newest <= 0 {
		return nil, nil
	}
	const columns = `SELECT job, subject, site, claim, received_at FROM submissions WHERE tenant = $1 AND `
	const where = ` AND received_at >= $3 AND (received_at < $4 OR (received_at = $4 AND job < $5)) AND claim <> '{}' ORDER BY received_at DESC, job DESC LIMIT $6`
	query, args := columns+`subject = $2`+where, []any{f.Tenant, f.Subject, f.Since, f.Before, f.Job, f.Newest}
	if f.Device != "" {
		query, args = columns+`device = $7 AND device <> '' AND subject <> $2`+where, append(args, results.DeviceKey(f.Tenant, f.Device))
	}
	all, err := collect(ctx, s.db, scanStep, query, args...)
	return all, wrap(err, "list earlier claims of %s", f.Subject)
}

func scanStep(r row) (step pipeline.Step, err error) {
	var claim json.RawMessage
	if err := r.Scan(&step.Job, &step.Subject, &step.Site, fromJSON(&claim), at(&step.Received)); err != nil {
		return step, err
	}
	var c pipeline.Claim
	if err := json.Unmarshal(claim, &c); err != nil {
		return step, fmt.Errorf("read the claim of job %s: %w", step.Job, err)
	}
	step.TakenAt, step.Location = c.TakenAt, c.Location
	if c.Device != nil {
		step.Device = c.Device.ID
	}
	return step, nil
}
