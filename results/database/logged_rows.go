package database

import (
	"context"
	"encoding/json"
	"fmt"

	"onsite/results"
)

// loggedRows lists what holds one state and no revisions: of each the newest entry has the digest.
func (s *Store) loggedRows(ctx context.Context, tenant string) (all []results.Logged, err error) {
	for _, from := range []struct {
		kind, sql string
		scan      func(row) (results.Logged, error)
	}{
		{results.LoggedSettings, `SELECT ` + tenantColumns + ` FROM tenants WHERE id = $1`, func(r row) (results.Logged, error) {
			t, err := scanTenant(r)
			return results.Logged{Name: results.LoggedSettings, Rev: t.Rev, Digest: t.Digest()}, err
		}},
		{results.LoggedKey, `SELECT ` + keyColumns + ` FROM api_keys WHERE tenant = $1 ORDER BY id`, func(r row) (results.Logged, error) {
			k, err := scanKey(r)
			return results.Logged{Name: k.ID, Digest: k.Digest()}, err
		}},
		{results.LoggedWebhook, `SELECT ` + endpointColumns + ` FROM webhook_endpoints WHERE tenant = $1 ORDER BY id`, func(r row) (results.Logged, error) {
			e, err := scanEndpoint(r)
			return results.Logged{Name: e.ID, Rev: e.Rev, Digest: e.Digest()}, err
		}},
		{results.LoggedBucket, `SELECT bucket, prefix, tenant, created_at FROM bucket_maps WHERE tenant = $1 ORDER BY bucket, prefix`, func(r row) (results.Logged, error) {
			m, err := scanMap(r)
			return results.Logged{Name: m.Place(), Digest: m.Digest()}, err
		}},
		{results.LoggedSubject, `SELECT ` + subjectColumns + ` FROM subjects WHERE tenant = $1 ORDER BY id`, func(r row) (results.Logged, error) {
			p, err := scanSubject(r)
			return results.Logged{Name: p.ID, Subject: p.ID, Rev: p.Rev, Deleted: !p.ErasedAt.IsZero(), Digest: p.Digest()}, err
		}},
		{results.LoggedChallenge, `SELECT ` + challengeColumns + ` FROM challenges WHERE tenant = $1 ORDER BY id`, func(r row) (results.Logged, error) {
			c, err := scanChallenge(r)
			return results.Logged{Name: c.ID, Subject: c.Subject, Digest: c.Digest()}, err
		}},
		{results.LoggedModel, `SELECT id, manifest FROM models WHERE tenant IN ('', $1) ORDER BY id`, func(r row) (m results.Logged, err error) {
			var manifest []byte
			err = r.Scan(&m.Name, &manifest)
			m.Digest = results.Sum(manifest)
			return m, err
		}},
	} {
		some, err := collect(ctx, s.db, from.scan, from.sql, tenant)
		if err != nil {
			return nil, fmt.Errorf("list every %s: %w", from.kind, err)
		}
		for _, one := range some {
			one.Kind = from.kind
			all = append(all, one)
		}
	}
	epochs, err := s.loggedEpochs(ctx, tenant)
	return append(all, epochs...), err
}

// loggedEpochs lists the epochs of models that are or were active, oldest first.
func (s *Store) loggedEpochs(ctx context.Context, tenant string) (all []results.Logged, err error) {
	t, err := collectOne(ctx, s.db, scanTenant, `SELECT `+tenantColumns+` FROM tenants WHERE id = $1`, tenant)
	if err != nil {
		return nil, fmt.Errorf("read the tenant: %w", err)
	}
	epochs, err := collect(ctx, s.db, scanEpoch, `SELECT `+epochColumns+` FROM model_epochs WHERE state IN ('active', 'past') ORDER BY number`)
	if err != nil {
		return nil, fmt.Errorf("list every %s: %w", results.LoggedEpoch, err)
	}
	var before results.EpochDoc
	for _, e := range epochs {
		doc, err := json.Marshal(e.Doc)
		if err != nil {
			return nil, err
		}
		all = append(all, results.Logged{Kind: results.LoggedEpoch, Name: fmt.Sprintf("epoch-%d", e.Number), Digest: results.Sum(doc), Deleted: e.State == results.EpochPast,
			Foreign: !e.ActiveAt.After(t.CreatedAt) || e.Doc.SameFor(before, tenant)})
		before = e.Doc
	}
	return all, nil
}
