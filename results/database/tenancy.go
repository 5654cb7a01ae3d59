package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"onsite/results"
)

const tenantColumns = `id, name, settings, rev, created_at`

func scanTenant(r row) (t results.Tenant, err error) {
	err = r.Scan(&t.ID, &t.Name, fromJSON(&t.Settings), &t.Rev, at(&t.CreatedAt))
	return t, err
}

// CreateTenant implements results.Tenancy.
func (s *Store) CreateTenant(ctx context.Context, t results.Tenant) error {
	_, err := s.db.Exec(ctx, `INSERT INTO tenants (id, name, settings, rev, created_at) VALUES ($1, $2, $3, 1, $4)`,
		t.ID, t.Name, js(t.Settings), t.CreatedAt)
	return wrap(err, "create tenant %s", t.ID)
}

// Tenant implements results.Tenancy.
func (s *Store) Tenant(ctx context.Context, id string) (results.Tenant, error) {
	t, err := scanTenant(s.db.QueryRow(ctx, `SELECT `+tenantColumns+` FROM tenants WHERE id = $1`, id))
	return t, wrap(err, "read tenant %s", id)
}

// Tenants implements results.Tenancy.
func (s *Store) Tenants(ctx context.Context) ([]results.Tenant, error) {
	all, err := collect(ctx, s.db, scanTenant, `SELECT `+tenantColumns+` FROM tenants ORDER BY id`)
	return all, wrap(err, "list tenants")
}

// PutSettings implements results.Tenancy; a negative ifRev changes them whatever they are.
func (s *Store) PutSettings(ctx context.Context, tenant string, set results.Settings, ifRev int, a results.AuditEntry) (t results.Tenant, err error) {
	err = s.db.Tx(ctx, func(q querier) error {
		t, err = scanTenant(q.QueryRow(ctx, `UPDATE tenants SET settings = $2, rev = rev + 1 WHERE id = $1 AND (rev = $3 OR $3 < 0) RETURNING `+tenantColumns,
			tenant, js(set), ifRev))
		if err != nil {
			return err
		}
		a.Target, a.Digest = set.Target(), t.Digest()
		_, err = q.Batch(ctx, audited(a))
		return err
	})
	if errors.Is(err, results.ErrNotFound) { // no row changed: there is none, or it has another revision
		if _, err = s.Tenant(ctx, tenant); err == nil {
			err = results.ErrConflict
		}
	}
	return t, wrap(err, "change the settings of tenant %s", tenant)
}

const keyColumns = `id, tenant, name, roles, sha256, created_at, expires_at, revoked_at`

func scanKey(r row) (k results.APIKey, err error) {
	err = r.Scan(&k.ID, &k.Tenant, &k.Name, fromJSON(&k.Roles), &k.SHA256, at(&k.CreatedAt), at(&k.ExpiresAt), at(&k.RevokedAt))
	return k, err
}

// CreateKey implements results.Tenancy.
func (s *Store) CreateKey(ctx context.Context, k results.APIKey, a results.AuditEntry) error {
	a.Target, a.Digest = k.ID, k.Digest()
	_, err := s.db.Batch(ctx, append([]statement{do(`INSERT INTO api_keys (`+keyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		k.ID, k.Tenant, k.Name, js(k.Roles), k.SHA256, k.CreatedAt, k.ExpiresAt, k.RevokedAt)}, audited(a)...))
	return wrap(err, "create API key %s of tenant %s", k.ID, k.Tenant)
}

// Key implements results.Tenancy.
func (s *Store) Key(ctx context.Context, id string) (results.APIKey, error) {
	k, err := scanKey(s.db.QueryRow(ctx, `SELECT `+keyColumns+` FROM api_keys WHERE id = $1`, id))
	return k, wrap(err, "read API key %s", id)
}

// Keys implements results.Tenancy.
func (s *Store) Keys(ctx context.Context, tenant string) ([]results.APIKey, error) {
	all, err := collect(ctx, s.db, scanKey, `SELECT `+keyColumns+` FROM api_keys WHERE tenant = $1 ORDER BY id`, tenant)
	return all, wrap(err, "list API keys of tenant %s", tenant)
}

// RevokeKey implements results.Tenancy. A key that is revoked already stays as it is.
func (s *Store) RevokeKey(ctx context.Context, tenant, id string, when time.Time, a results.AuditEntry) error {
	err := s.db.Tx(ctx, func(q querier) error {
		k, err := scanKey(q.QueryRow(ctx, `UPDATE api_keys SET revoked_at = CASE WHEN revoked_at = 0 THEN $3::bigint ELSE revoked_at END WHERE tenant = $1 AND id = $2
			RETURNING `+keyColumns, tenant, id, when))
		if err != nil {
			return err
		}
		a.Target, a.Digest = k.ID, k.Digest()
		_, err = q.Batch(ctx, audited(a))
		return err
	})
	return wrap(err, "revoke API key %s of tenant %s", id, tenant)
}

// wrap says what was being done when an error came.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

// one makes results.ErrNotFound of a statement that changed nothing.
func one(changed int64, err error) error {
	if err == nil && changed == 0 {
		return results.ErrNotFound
	}
	return err
}
