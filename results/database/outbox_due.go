package database

import (
	"cmp"
	"context"
	"slices"
	"time"

	"onsite/results"
)

// receiversSQL walks from endpoint to endpoint in the index, from the one after $3 on, and gives those with something due.
const receiversSQL = `WITH RECURSIVE t (name) AS (
		SELECT (SELECT endpoint FROM webhook_deliveries WHERE state = 'pending' AND endpoint > $3 ORDER BY endpoint LIMIT 1)
		UNION ALL
		SELECT (SELECT d.endpoint FROM webhook_deliveries d WHERE d.state = 'pending' AND d.endpoint > t.name ORDER BY d.endpoint LIMIT 1)
		FROM t WHERE t.name IS NOT NULL
	)
	SELECT name FROM t WHERE name IS NOT NULL AND name <> ALL($2) AND EXISTS (
		SELECT 1 FROM webhook_deliveries d WHERE d.state = 'pending' AND d.endpoint = t.name AND d.due_at <= $1) LIMIT $4`

const dueSQL = `WITH picked (pick) AS (
		SELECT id FROM webhook_deliveries WHERE state = 'pending' AND endpoint = $1 AND due_at <= $2 ORDER BY due_at, id LIMIT $3 FOR UPDATE SKIP LOCKED
	)
	UPDATE webhook_deliveries SET due_at = $4, worker = $5 FROM picked WHERE id = pick RETURNING ` + deliveryColumns

// Due takes pending deliveries whose time has come: of one endpoint after the other, and the next time from the one after the last, so
// that an endpoint with a long backlog does not hold up the others.
func (s *Store) Due(ctx context.Context, worker string, lease time.Duration, n int, skip []string) ([]results.Delivery, error) {
	var endpoints []string
	if err := s.look(ctx, s.senders.order(receiversSQL, []any{s.Now(), skip}, n, &endpoints)); err != nil {
		return nil, wrap(err, "look for webhook deliveries")
	}
	all, err := inTurn(&s.senders, endpoints, n, func(endpoints []string, most []int) ([][]results.Delivery, error) {
		took := make([][]results.Delivery, len(endpoints))
		now := s.Now()
		b := make([]statement, len(endpoints))
		for i, endpoint := range endpoints {
			b[i] = statement{dueSQL, []any{endpoint, now, most[i], now.Add(lease), worker}, func(r row) error {
				d, err := scanDelivery(r)
				took[i] = append(took[i], d)
				return err
			}}
		}
		err := again(ctx, func() error {
			clear(took)
			_, err := s.db.Batch(ctx, b)
			return err
		})
		for _, some := range took {
			slices.SortFunc(some, func(a, b results.Delivery) int { return cmp.Or(a.NextAt.Compare(b.NextAt), cmp.Compare(a.ID, b.ID)) })
		}
		return took, err
	})
	if len(all) > 0 {
		return all, nil // these are taken; what is wrong will show with the next call
	}
	return nil, wrap(err, "take webhook deliveries")
}

// Settle ends or reschedules a delivery and writes its log. One that ended meanwhile (its endpoint was disabled) stays as it is, but what
// was tried is noted; of one that was deleted nothing is.
func (s *Store) Settle(ctx context.Context, d results.Delivery, try results.DeliveryTry) error {
	next, done := d.NextAt, d.DoneAt
	if d.State != results.Pending && done.IsZero() {
		done = s.Now()
	}
	err := again(ctx, func() error {
		_, err := s.db.Batch(ctx, []statement{
			do(`UPDATE webhook_deliveries SET state = $3, attempt = $4, next_at = $5, due_at = $5, worker = '', last_status = $6, last_error = $7, done_at = $8
				WHERE id = $1 AND tenant = $2 AND state = 'pending'`,
				d.ID, d.Tenant, string(d.State), d.Attempt, next, d.LastStatus, said(d.LastError), done),
			do(`INSERT INTO webhook_tries (delivery, at, attempt, status, error, took_ms)
				SELECT $1::text, $2::bigint, $3::bigint, $4::bigint, $5::text, $6::bigint
				WHERE EXISTS (SELECT 1 FROM webhook_deliveries WHERE id = $1 AND tenant = $7) ON CONFLICT DO NOTHING`,
				d.ID, try.At, try.Attempt, try.Status, said(try.Error), try.TookMS, d.Tenant),
		})
		return err
	})
	return wrap(err, "settle webhook delivery %s", d.ID)
}

// Replay makes a delivery pending again, from the start of the schedule. ErrConflict when its endpoint is disabled or it is pending.
func (s *Store) Replay(ctx context.Context, tenant, delivery string) error {
	err := s.db.Tx(ctx, func(q querier) error {
		n, err := q.Exec(ctx, `UPDATE webhook_deliveries SET state = 'pending', attempt = 0, next_at = $3, due_at = 0, worker = '', done_at = 0
			WHERE id = $1 AND tenant = $2 AND state <> 'pending' AND EXISTS (SELECT 1 FROM webhook_endpoints e
				WHERE e.tenant = $2 AND e.id = webhook_deliveries.endpoint AND e.disabled_at = 0)`, delivery, tenant, s.Now())
		if err != nil || n == 1 {
			return err
		}
		var one int
		if err := q.QueryRow(ctx, `SELECT 1 FROM webhook_deliveries WHERE id = $1 AND tenant = $2`, delivery, tenant).Scan(&one); err != nil {
			return err
		}
		return results.ErrConflict
	})
	return wrap(err, "replay webhook delivery %s", delivery)
}

// Lag gives since when the oldest delivery is due (zero: none is), and how many are pending.
func (s *Store) Lag(ctx context.Context) (oldest time.Time, pending int64, err error) {
	var first *int64
	err = s.db.QueryRow(ctx, `SELECT min(CASE WHEN next_at <= $1 THEN next_at END), count(*) FROM webhook_deliveries WHERE state = 'pending'`,
		s.Now()).Scan(&first, &pending)
	if err == nil && first != nil {
		oldest = fromMillis(*first)
	}
	return oldest, pending, wrap(err, "measure the lag of webhooks")
}
