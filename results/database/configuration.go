package database

import (
	"context"
	"errors"
	"slices"

	"onsite/results"
)

const siteColumns = `tenant, id, rev, doc, created_at, deleted`

func scanSite(r row) (s results.Site, err error) {
	err = r.Scan(&s.Tenant, &s.ID, &s.Rev, fromJSON(&s.Doc), at(&s.CreatedAt), &s.Deleted)
	return s, err
}

// revision says which revision a new one of a configuration becomes, by what the caller saw. present is the newest (0: none).
func revision(present int, deleted, deleting bool, ifRev int) (int, error) {
	gone := present == 0 || deleted
	switch {
	case gone && deleting:
		return 0, results.ErrNotFound
	case ifRev < 0, ifRev == 0 && gone, ifRev == present && !gone:
		return present + 1, nil
	}
	return 0, results.ErrConflict
}

// addRevision runs put with the next revision of a row of a table, as ifRev allows. Two who add at the same time: one wins the key, and
// the other begins anew and sees that.
func (s *Store) addRevision(ctx context.Context, table, column, tenant, id string, ifRev int, deleting bool, put func(rev int) []statement) error {
	return s.db.Tx(ctx, func(q querier) error {
		var present int
		var deleted bool
		err := q.QueryRow(ctx, `SELECT rev, deleted FROM `+table+` WHERE tenant = $1 AND `+column+` = $2 ORDER BY rev DESC LIMIT 1`, tenant, id).Scan(&present, &deleted)
		if err != nil && !errors.Is(err, results.ErrNotFound) {
			return err
		}
		rev, err := revision(present, deleted, deleting, ifRev)
		if err != nil {
			return err
		}
		_, err = q.Batch(ctx, put(rev))
		if errors.Is(err, results.ErrExists) {
			return errors.Join(errRace, results.ErrConflict)
		}
		return err
	})
}

// PutSite implements results.Configuration. The objects that the site names are no longer pending.
func (s *Store) PutSite(ctx context.Context, site results.Site, ifRev int, a results.AuditEntry) (results.Site, error) {
	digest, err := site.Digest()
	if err != nil {
		return site, err
	}
	a.Digest = digest
	err = s.addRevision(ctx, "sites", "id", site.Tenant, site.ID, ifRev, site.Deleted, func(rev int) []statement {
		site.Rev = rev
		b := []statement{do(`INSERT INTO sites (`+siteColumns+`) VALUES ($1, $2, $3, $4, $5, $6)`, site.Tenant, site.ID, rev, js(site.Doc), site.CreatedAt, site.Deleted)}
		var keys []string
		for _, r := range site.Doc.References {
			keys = append(keys, r.Key)
			b = append(b, do(`INSERT INTO site_objects (object_key, tenant, site) VALUES ($1, $2, $3) ON CONFLICT (object_key) DO NOTHING`, r.Key, site.Tenant, site.ID))
		}
		return slices.Concat(b, kept(keys...), audited(a))
	})
	return site, wrap(err, "change site %s", site.ID)
}

// Site implements results.Configuration.
func (s *Store) Site(ctx context.Context, tenant, id string, rev int) (results.Site, error) {
	site, err := scanSite(s.db.QueryRow(ctx, `SELECT `+siteColumns+` FROM sites WHERE tenant = $1 AND id = $2 AND (rev = $3 OR $3 = 0) ORDER BY rev DESC LIMIT 1`, tenant, id, rev))
	if err == nil && site.Deleted {
		err = results.ErrNotFound
	}
	return site, wrap(err, "read site %s", id)
}

// Sites implements results.Configuration.
func (s *Store) Sites(ctx context.Context, tenant string, p results.Page) ([]results.Site, error) {
	all, err := collect(ctx, s.db, scanSite, `SELECT `+siteColumns+` FROM sites s WHERE tenant = $1 AND id > $2 AND NOT deleted
		AND rev = (SELECT max(rev) FROM sites n WHERE n.tenant = s.tenant AND n.id = s.id) ORDER BY id LIMIT $3`, tenant, p.After, limit(p))
	return all, wrap(err, "list sites of tenant %s", tenant)
}

// SiteRevisions implements results.Configuration.
func (s *Store) SiteRevisions(ctx context.Context, tenant string) ([]results.Site, error) {
	all, err := collect(ctx, s.db, scanSite, `SELECT `+siteColumns+` FROM sites WHERE tenant = $1 ORDER BY id, rev`, tenant)
	return all, wrap(err, "list the revisions of sites of tenant %s", tenant)
}

const policyColumns = `tenant, name, rev, digest, yaml, created_at, deleted`

func scanPolicy(r row) (p results.Policy, err error) {
	err = r.Scan(&p.Tenant, &p.Name, &p.Rev, &p.Digest, &p.YAML, at(&p.CreatedAt), &p.Deleted)
	return p, err
}

// PutPolicy implements results.Configuration.
func (s *Store) PutPolicy(ctx context.Context, p results.Policy, ifRev int, a results.AuditEntry) (results.Policy, error) {
	if p.YAML == nil { // NULL is not an empty policy
		p.YAML = []byte{}
	}
	a.Digest = results.Sum(p.YAML)
	err := s.addRevision(ctx, "policies", "name", p.Tenant, p.Name, ifRev, p.Deleted, func(rev int) []statement {
		p.Rev = rev
		return append([]statement{do(`INSERT INTO policies (`+policyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			p.Tenant, p.Name, rev, p.Digest, p.YAML, p.CreatedAt, p.Deleted)}, audited(a)...)
	})
	return p, wrap(err, "change policy %s", p.Name)
}

// Policy implements results.Configuration.
func (s *Store) Policy(ctx context.Context, tenant, name string, rev int) (results.Policy, error) {
	p, err := scanPolicy(s.db.QueryRow(ctx, `SELECT `+policyColumns+` FROM policies WHERE tenant = $1 AND name = $2 AND (rev = $3 OR $3 = 0) ORDER BY rev DESC LIMIT 1`, tenant, name, rev))
	if err == nil && p.Deleted {
		err = results.ErrNotFound
	}
	return p, wrap(err, "read policy %s", name)
}

// Policies implements results.Configuration.
func (s *Store) Policies(ctx context.Context, tenant string) ([]results.Policy, error) {
	all, err := collect(ctx, s.db, scanPolicy, `SELECT `+policyColumns+` FROM policies s WHERE tenant = $1 AND NOT deleted
		AND rev = (SELECT max(rev) FROM policies n WHERE n.tenant = s.tenant AND n.name = s.name) ORDER BY name`, tenant)
	return all, wrap(err, "list policies of tenant %s", tenant)
}
