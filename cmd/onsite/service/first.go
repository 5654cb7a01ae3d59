package service

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/oklog/ulid/v2"

	"onsite/api"
	"onsite/results"
)

var tenantID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// FirstTenant is the tenant that serve makes, and keyFile holds its first admin key.
const (
	FirstTenant = "default"
	keyFile     = "admin-key"
)

// AddTenant makes a tenant.
func AddTenant(ctx context.Context, s results.Store, id, name string) (results.Tenant, error) {
	if !tenantID.MatchString(id) {
		return results.Tenant{}, fault(nil,
			fmt.Sprintf("%q is no tenant id; take a-z, 0-9 and -, beginning with a letter or digit, 63 characters at most", id),
			fmt.Sprintf("“%s” 不是有效的租户标识；请使用 a-z、0-9 和 -，以字母或数字开头，最多 63 个字符", id))
	}
	t := results.Tenant{ID: id, Name: name, Rev: 1, CreatedAt: s.Now()}
	switch err := s.CreateTenant(ctx, t); {
	case errors.Is(err, results.ErrExists):
		return t, fault(err, fmt.Sprintf("there is a tenant %s already; choose another id", id), fmt.Sprintf("租户 %s 已存在；请换一个标识", id))
	case err != nil:
		return t, fmt.Errorf("add tenant %s: %w", id, err)
	}
	return t, nil
}

// AddKey makes an API key of a tenant and gives its text, which is stored nowhere.
func AddKey(ctx context.Context, s results.Store, tenant, name string, roles []results.Role, lives time.Duration) (string, results.APIKey, error) {
	if _, err := s.Tenant(ctx, tenant); errors.Is(err, results.ErrNotFound) {
		return "", results.APIKey{}, fault(err,
			fmt.Sprintf("there is no tenant %s; \"onsite tenant list\" shows them, \"onsite tenant add %s\" makes it", tenant, tenant),
			fmt.Sprintf("没有租户 %s；可用 onsite tenant list 查看，或用 onsite tenant add %s 创建", tenant, tenant))
	} else if err != nil {
		return "", results.APIKey{}, fmt.Errorf("add a key: look for tenant %s: %w", tenant, err)
	}
	text, key, err := api.NewKey(tenant, name, roles, s.Now())
	if err != nil {
		return "", key, err
	}
	if lives > 0 {
		key.ExpiresAt = key.CreatedAt.Add(lives)
	}
	if err := s.CreateKey(ctx, key, ByOperator(s, tenant, "key.created")); err != nil {
		return "", key, fmt.Errorf("add key %s of tenant %s: %w", key.ID, tenant, err)
	}
	return text, key, nil
}

// ByOperator makes the audit entry of what was done at the command line of the service's own machine; the store adds what it is about.
func ByOperator(s results.Store, tenant, action string) results.AuditEntry {
	return results.AuditEntry{ID: ulid.Make().String(), Tenant: tenant, At: s.Now(), Actor: "operator", Action: action}
}

// first makes the first tenant and its admin key at the first start. The text of the key is written before the store knows its sum: a start
// that broke off between the two is repeated, and no key is ever valid that nobody has.
func (b *base) first(ctx context.Context) (text string, err error) {
	tenants, err := b.store.Tenants(ctx)
	if err != nil {
		return "", fmt.Errorf("look whether the store is new: %w", err)
	}
	switch {
	case len(tenants) == 0:
		if _, err := AddTenant(ctx, b.store, FirstTenant, ""); err != nil {
			return "", err
		}
	case len(tenants) > 1 || tenants[0].ID != FirstTenant:
		return "", nil
	}
	keys, err := b.store.Keys(ctx, FirstTenant)
	if err != nil || len(keys) > 0 {
		return "", err
	}
	text, key, err := api.NewKey(FirstTenant, "first admin key", []results.Role{results.RoleAdmin}, b.store.Now())
	if err != nil {
		return "", err
	}
	if err := writeSecret(b.folder.Join(keyFile), text+"\n"); err != nil {
		return "", folderFault(b.folder.Path, err)
	}
	if err := b.store.CreateKey(ctx, key, ByOperator(b.store, FirstTenant, "key.created")); err != nil {
		return "", fmt.Errorf("store the first admin key: %w", err)
	}
	return text, nil
}
