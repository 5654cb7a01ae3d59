package database

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"onsite/results"
)

const endpointColumns = `id, tenant, url, events, keys, disabled_at, why, rev, created_at`

func scanEndpoint(r row) (results.Endpoint, error) {
	var e results.Endpoint
	var events string
	err := r.Scan(&e.ID, &e.Tenant, &e.URL, &events, &e.Keys, at(&e.DisabledAt), &e.Why, &e.Rev, at(&e.CreatedAt))
	if events != "" {
		e.Events = strings.Split(strings.Trim(events, ","), ",")
	}
	return e, err
}

// eventList is how an endpoint's events are stored, so that one of them can be found with LIKE.
func eventList(events []string) string {
	if len(events) == 0 {
		return ""
	}
	return "," + strings.Join(events, ",") + ","
}

// PutEndpoint writes a webhook endpoint.
func (s *Store) PutEndpoint(ctx context.Context, e results.Endpoint, ifRev int, a results.AuditEntry) (results.Endpoint, error) {
	for _, event := range e.Events {
		if event == "" || strings.ContainsAny(event, ",%_") {
			return results.Endpoint{}, fmt.Errorf("write webhook endpoint %s: %q is no type of message", e.ID, event)
		}
	}
	given := e
	err := s.db.Tx(ctx, func(q querier) error {
		e = given
		now := s.Now()
		if e.CreatedAt.IsZero() {
			e.CreatedAt = now
		}
		var err error
		e, err = collectOne(ctx, q, scanEndpoint, `INSERT INTO webhook_endpoints (id, tenant, url, events, keys, disabled_at, why, rev, created_at)
			SELECT $1::text, $2::text, $3::text, $4::text, $5::bytea, $6::bigint, $7::text, 1, $8::bigint
			WHERE $9::bigint <= 0 OR EXISTS (SELECT 1 FROM webhook_endpoints WHERE tenant = $2 AND id = $1)
			ON CONFLICT (tenant, id) DO UPDATE SET url = excluded.url, events = excluded.events, keys = excluded.keys,
				disabled_at = excluded.disabled_at, why = excluded.why, rev = webhook_endpoints.rev + 1
				WHERE $9 < 0 OR webhook_endpoints.rev = $9
			RETURNING `+endpointColumns,
			e.ID, e.Tenant, e.URL, eventList(e.Events), bytesOf(e.Keys), e.DisabledAt, e.Why, e.CreatedAt, ifRev)
		if errors.Is(err, results.ErrNotFound) {
			return results.ErrConflict
		} else if err != nil {
			return err
		}
		a.Digest = e.Digest()
		b := audited(a)
		if !e.DisabledAt.IsZero() {
			b = append(b, failed(e.Tenant, e.ID, e.Why, now))
		}
		_, err = q.Batch(ctx, b)
		return err
	})
	if err != nil {
		return results.Endpoint{}, fmt.Errorf("write webhook endpoint %s: %w", given.ID, err)
	}
	return e, nil
}

// Endpoint gives one of a tenant's endpoints.
func (s *Store) Endpoint(ctx context.Context, tenant, id string) (results.Endpoint, error) {
	e, err := collectOne(ctx, s.db, scanEndpoint, `SELECT `+endpointColumns+` FROM webhook_endpoints WHERE tenant = $1 AND id = $2`, tenant, id)
	if err != nil {
		return e, fmt.Errorf("read webhook endpoint %s: %w", id, err)
	}
	return e, nil
}

// Endpoints lists a tenant's endpoints.
func (s *Store) Endpoints(ctx context.Context, tenant string) ([]results.Endpoint, error) {
	all, err := collect(ctx, s.db, scanEndpoint, `SELECT `+endpointColumns+` FROM webhook_endpoints WHERE tenant = $1 ORDER BY id`, tenant)
	if err != nil {
		return nil, fmt.Errorf("list webhook endpoints: %w", err)
	}
	return all, nil
}

// DeleteEndpoint removes an endpoint with its deliveries and their log.
func (s *Store) DeleteEndpoint(ctx context.Context, tenant, id string, a results.AuditEntry) error {
	err := s.db.Tx(ctx, func(q querier) error {
		n, err := q.Exec(ctx, `DELETE FROM webhook_endpoints WHERE tenant = $1 AND id = $2`, tenant, id)
		if err == nil && n == 0 {
			err = results.ErrNotFound
		}
		if err != nil {
			return err
		}
		_, err = q.Batch(ctx, append([]statement{
			do(`DELETE FROM webhook_tries WHERE delivery IN (SELECT id FROM webhook_deliveries WHERE tenant = $1 AND endpoint = $2)`, tenant, id),
			do(`DELETE FROM webhook_deliveries WHERE tenant = $1 AND endpoint = $2`, tenant, id),
		}, audited(a)...))
		return err
	})
	if err != nil {
		return fmt.Errorf("delete webhook endpoint %s: %w", id, err)
	}
	return nil
}

// DisableEndpoint stops an endpoint; its pending deliveries fail.
func (s *Store) DisableEndpoint(ctx context.Context, tenant, id, why string, when time.Time) error {
	err := s.db.Tx(ctx, func(q querier) error {
		n, err := q.Exec(ctx, `UPDATE webhook_endpoints SET disabled_at = CASE WHEN disabled_at = 0 THEN $3::bigint ELSE disabled_at END,
			why = CASE WHEN disabled_at = 0 THEN $4::text ELSE why END, rev = rev + CASE WHEN disabled_at = 0 THEN 1 ELSE 0 END
			WHERE tenant = $1 AND id = $2`, tenant, id, when, why)
		if err == nil && n == 0 {
			err = results.ErrNotFound
		}
		if err != nil {
			return err
		}
		_, err = q.Batch(ctx, []statement{failed(tenant, id, why, s.Now())})
		return err
	})
	if err != nil {
		return fmt.Errorf("disable webhook endpoint %s: %w", id, err)
	}
	return nil
}

// failed gives up all pending deliveries of an endpoint.
func failed(tenant, endpoint, why string, now time.Time) statement {
	return do(`UPDATE webhook_deliveries SET state = 'failed', last_error = $3, done_at = $4, worker = ''
		WHERE tenant = $1 AND endpoint = $2 AND state = 'pending'`, tenant, endpoint, said(results.Disabled(why)), now)
}

const deliveryColumns = `id, tenant, endpoint, message, type, payload, job, state, attempt, next_at, last_status, last_error, created_at, done_at`

func scanDelivery(r row) (results.Delivery, error) {
	var d results.Delivery
	err := r.Scan(&d.ID, &d.Tenant, &d.Endpoint, &d.Message, &d.Type, &d.Payload, &d.Job, &d.State, &d.Attempt, at(&d.NextAt), &d.LastStatus,
		because(&d.LastError), at(&d.CreatedAt), at(&d.DoneAt))
	return d, err
}

// Deliveries lists an endpoint's deliveries, newest message first; endpoint "": of all of the tenant's.
func (s *Store) Deliveries(ctx context.Context, tenant, endpoint string, p results.Page) ([]results.Delivery, error) {
	q := query{text: `SELECT ` + deliveryColumns + ` FROM webhook_deliveries WHERE tenant = $1`, args: []any{tenant}}
	q.and(`endpoint = ?`, endpoint, endpoint != "")
	q.and(`id < ?`, p.After, p.After != "")
	q.end(`ORDER BY id DESC`, p)
	all, err := collect(ctx, s.db, scanDelivery, q.text, q.args...)
	if err != nil {
		return nil, fmt.Errorf("list webhook deliveries: %w", err)
	}
	return all, nil
}

// Deliver writes one message to one endpoint by itself.
func (s *Store) Deliver(ctx context.Context, d results.Delivery) error {
	n, err := s.db.Exec(ctx, `INSERT INTO webhook_deliveries (id, tenant, endpoint, message, type, payload, job, state, attempt, next_at, due_at, worker,
			last_status, last_error, created_at, done_at)
		SELECT $1::text, e.tenant, e.id, $2::text, $3::text, $4::bytea, $5::text, 'pending', 0, $6::bigint, 0, '', 0, '', $6, 0
		FROM webhook_endpoints e WHERE e.tenant = $7 AND e.id = $8`,
		d.Message+"."+d.Endpoint, d.Message, d.Type, bytesOf(d.Payload), d.Job, s.Now(), d.Tenant, d.Endpoint)
	if err == nil && n == 0 {
		err = results.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("write a message to webhook endpoint %s: %w", d.Endpoint, err)
	}
	return nil
}

// DeliveryTries is the log of one delivery, oldest first.
func (s *Store) DeliveryTries(ctx context.Context, tenant, delivery string) ([]results.DeliveryTry, error) {
	all, err := collect(ctx, s.db, func(r row) (t results.DeliveryTry, err error) {
		err = r.Scan(&t.Delivery, &t.Attempt, at(&t.At), &t.Status, because(&t.Error), &t.TookMS)
		return t, err
	}, `SELECT t.delivery, t.attempt, t.at, t.status, t.error, t.took_ms FROM webhook_tries t JOIN webhook_deliveries d ON d.id = t.delivery
		WHERE t.delivery = $2 AND d.tenant = $1 ORDER BY t.at, t.attempt`, tenant, delivery)
	if err != nil {
		return nil, fmt.Errorf("read the log of webhook delivery %s: %w", delivery, err)
	}
	return all, nil
}
