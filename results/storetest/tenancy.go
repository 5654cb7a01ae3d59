package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

var tenancyCases = []Case{
	{Name: "tenants", Run: func(t *testing.T, s results.Store) {
		ctx := t.Context()
		id := NewTenant(t, s)
		one, err := s.Tenant(ctx, id)
		require.NoError(t, err)
		require.Equal(t, "A company", one.Name)
		require.Equal(t, 1, one.Rev)
		require.WithinDuration(t, s.Now(), one.CreatedAt, time.Minute)
		require.Equal(t, time.UTC, one.CreatedAt.Location())
		require.ErrorIs(t, s.CreateTenant(ctx, results.Tenant{ID: id, CreatedAt: s.Now()}), results.ErrExists)
		_, err = s.Tenant(ctx, "nobody")
		require.ErrorIs(t, err, results.ErrNotFound)
		all, err := s.Tenants(ctx)
		require.NoError(t, err)
		require.Contains(t, all, one)
	}},
	{Name: "settings change by revision", Run: func(t *testing.T, s results.Store) {
		ctx := t.Context()
		id := NewTenant(t, s)
		set := results.Settings{LookAlike: true, MediaDays: 7}
		set.Appeal.ZH = "请联系人事"
		changed, err := s.PutSettings(ctx, id, set, 1, Audit(s, id, "settings.changed"))
		require.NoError(t, err)
		require.Equal(t, 2, changed.Rev)
		require.Equal(t, set, changed.Settings)
		_, err = s.PutSettings(ctx, id, results.Settings{}, 1, Audit(s, id, "settings.changed"))
		require.ErrorIs(t, err, results.ErrConflict)
		again, err := s.Tenant(ctx, id)
		require.NoError(t, err)
		require.Equal(t, changed, again, "a refused change changes nothing")
		_, err = s.PutSettings(ctx, id, results.Settings{}, -1, Audit(s, id, "settings.changed"))
		require.NoError(t, err)
		_, err = s.PutSettings(ctx, "nobody", results.Settings{}, 1, Audit(s, "nobody", "settings.changed"))
		require.ErrorIs(t, err, results.ErrNotFound)
	}},
	{Name: "keys", Run: func(t *testing.T, s results.Store) {
		ctx := t.Context()
		tenant := NewTenant(t, s)
		k := results.APIKey{ID: NewID(), Tenant: tenant, Name: "attendance", Roles: []results.Role{results.RoleSubmit, results.RoleRead},
			SHA256: []byte("0123456789abcdef0123456789abcdef"), CreatedAt: s.Now(), ExpiresAt: s.Now().Add(time.Hour)}
		require.NoError(t, s.CreateKey(ctx, k, Audit(s, k.Tenant, "key.created")))
		require.ErrorIs(t, s.CreateKey(ctx, k, Audit(s, k.Tenant, "key.created")), results.ErrExists)
		got, err := s.Key(ctx, k.ID)
		require.NoError(t, err)
		require.Equal(t, k, got)
		_, err = s.Key(ctx, "nothing")
		require.ErrorIs(t, err, results.ErrNotFound)

		when := s.Now()
		require.NoError(t, s.RevokeKey(ctx, tenant, k.ID, when, Audit(s, tenant, "key.revoked")))
		require.NoError(t, s.RevokeKey(ctx, tenant, k.ID, when.Add(time.Hour), Audit(s, tenant, "key.revoked")), "again")
		got, err = s.Key(ctx, k.ID)
		require.NoError(t, err, "a revoked key can be read")
		require.Equal(t, when, got.RevokedAt, "the first revocation counts")
		require.ErrorIs(t, s.RevokeKey(ctx, tenant, "nothing", when, Audit(s, tenant, "key.revoked")), results.ErrNotFound)
		all, err := s.Keys(ctx, tenant)
		require.NoError(t, err)
		require.Equal(t, []results.APIKey{got}, all)

		k.ID, k.Tenant = NewID(), "nobody"
		require.ErrorIs(t, s.CreateKey(ctx, k, Audit(s, k.Tenant, "key.created")), results.ErrNotFound, "a key of a tenant that is not there")
	}},
}
