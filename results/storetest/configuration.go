package storetest

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/results"
)

var configurationCases = []Case{
	{Name: "sites by revision", Run: sites},
	{Name: "a site's objects", Run: siteObjects},
	{Name: "policies by revision", Run: policies},
	{Name: "changes at the same time", Run: siteRace},
}

func sites(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	site := results.Site{Tenant: tenant, ID: "store-17", CreatedAt: s.Now(), Doc: results.SiteDoc{Label: "上海店", Timezone: "Asia/Shanghai",
		SignNames: []string{"Lucky 咖啡"}, Geofence: []pipeline.Fence{{Latitude: 31.2, Longitude: 121.5, RadiusM: 80}}, Beacons: []string{"b1"},
		References: []results.SiteReference{{Kind: pipeline.ReferenceKind("logo"), Name: "logo.jpg", Key: tenant + "/_site.store-17/" + NewID(), SHA256: "00", Crop: &pipeline.Box{X: 1, Y: 2, W: 3, H: 4}, ValidFrom: "2026-01-01"}}}}
	_, err := s.PutSite(ctx, site, 1, results.AuditEntry{})
	require.ErrorIs(t, err, results.ErrConflict, "a revision that is not there")
	one, err := s.PutSite(ctx, site, 0, Audit(s, tenant, "site.changed"))
	require.NoError(t, err)
	require.Equal(t, 1, one.Rev)
	_, err = s.PutSite(ctx, site, 0, Audit(s, tenant, "site.changed"))
	require.ErrorIs(t, err, results.ErrConflict, "there is one")
	got, err := s.Site(ctx, tenant, "store-17", 0)
	require.NoError(t, err)
	require.Equal(t, one, got)

	site.Doc.Label = "moved"
	two, err := s.PutSite(ctx, site, 1, Audit(s, tenant, "site.changed"))
	require.NoError(t, err)
	require.Equal(t, 2, two.Rev)
	_, err = s.PutSite(ctx, site, 1, Audit(s, tenant, "site.changed"))
	require.ErrorIs(t, err, results.ErrConflict)
	three, err := s.PutSite(ctx, site, -1, Audit(s, tenant, "site.changed"))
	require.NoError(t, err)
	require.Equal(t, 3, three.Rev)
	old, err := s.Site(ctx, tenant, "store-17", 1)
	require.NoError(t, err)
	require.Equal(t, one, old, "an old revision stays as it was")

	site.Deleted, site.Doc = true, results.SiteDoc{}
	gone, err := s.PutSite(ctx, site, 3, Audit(s, tenant, "site.deleted"))
	require.NoError(t, err)
	require.Equal(t, 4, gone.Rev)
	for _, rev := range []int{0, 4, 9} {
		_, err = s.Site(ctx, tenant, "store-17", rev)
		require.ErrorIs(t, err, results.ErrNotFound, rev)
	}
	_, err = s.Site(ctx, tenant, "store-17", 3)
	require.NoError(t, err, "a verdict that used it can be made again")
	_, err = s.PutSite(ctx, site, -1, results.AuditEntry{})
	require.ErrorIs(t, err, results.ErrNotFound, "deleting it again")
	site.Deleted = false
	back, err := s.PutSite(ctx, site, 0, Audit(s, tenant, "site.changed"))
	require.NoError(t, err, "a deleted one makes room for a new one")
	require.Equal(t, 5, back.Rev)

	for i := range 4 {
		_, err := s.PutSite(ctx, results.Site{Tenant: tenant, ID: "t" + strconv.Itoa(i), CreatedAt: s.Now(), Doc: results.SiteDoc{Label: "x"}}, 0, Audit(s, tenant, "site.changed"))
		require.NoError(t, err)
	}
	_, err = s.PutSite(ctx, results.Site{Tenant: tenant, ID: "t1", Deleted: true, CreatedAt: s.Now()}, 1, Audit(s, tenant, "site.deleted"))
	require.NoError(t, err)
	first, err := s.Sites(ctx, tenant, results.Page{Limit: 2})
	require.NoError(t, err)
	rest, err := s.Sites(ctx, tenant, results.Page{After: first[1].ID, Limit: 10})
	require.NoError(t, err)
	var ids []string
	for _, one := range append(first, rest...) {
		ids = append(ids, one.ID+":"+strconv.Itoa(one.Rev))
	}
	require.Equal(t, []string{"store-17:5", "t0:1", "t2:1", "t3:1"}, ids)
	site.Tenant = "nobody"
	_, err = s.PutSite(ctx, site, 0, results.AuditEntry{})
	require.ErrorIs(t, err, results.ErrNotFound)
}

func siteObjects(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	key := tenant + "/_site.s/" + NewID()
	require.NoError(t, s.Pend(ctx, []string{key}))
	site := results.Site{Tenant: tenant, ID: "s", CreatedAt: s.Now(), Doc: results.SiteDoc{References: []results.SiteReference{{Key: key}}}}
	for range 2 { // the second revision names the same object
		_, err := s.PutSite(ctx, site, -1, Audit(s, tenant, "site.changed"))
		require.NoError(t, err)
	}
	require.Empty(t, pendingOf(t, s, tenant))
	site.Doc.References = nil
	_, err := s.PutSite(ctx, site, -1, Audit(s, tenant, "site.changed"))
	require.NoError(t, err)
	found, err := s.Referenced(ctx, []string{key})
	require.NoError(t, err)
	require.True(t, found[key], "an older revision names it")
}

func policies(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	p := results.Policy{Tenant: tenant, Name: "strict", Digest: "sha256:1", YAML: []byte("checks: {}\n"), CreatedAt: s.Now()}
	one, err := s.PutPolicy(ctx, p, 0, Audit(s, tenant, "policy.changed"))
	require.NoError(t, err)
	p.Digest = "sha256:2"
	two, err := s.PutPolicy(ctx, p, 1, Audit(s, tenant, "policy.changed"))
	require.NoError(t, err)
	_, err = s.PutPolicy(ctx, p, 1, Audit(s, tenant, "policy.changed"))
	require.ErrorIs(t, err, results.ErrConflict)
	got, err := s.Policy(ctx, tenant, "strict", 0)
	require.NoError(t, err)
	require.Equal(t, two, got)
	got, err = s.Policy(ctx, tenant, "strict", 1)
	require.NoError(t, err)
	require.Equal(t, one, got)
	p.Name = "another"
	other, err := s.PutPolicy(ctx, p, 0, Audit(s, tenant, "policy.changed"))
	require.NoError(t, err)
	all, err := s.Policies(ctx, tenant)
	require.NoError(t, err)
	require.Equal(t, []results.Policy{other, two}, all)
	p.Deleted, p.YAML = true, nil
	_, err = s.PutPolicy(ctx, p, 1, Audit(s, tenant, "policy.deleted"))
	require.NoError(t, err)
	_, err = s.Policy(ctx, tenant, "another", 0)
	require.ErrorIs(t, err, results.ErrNotFound)
	all, err = s.Policies(ctx, tenant)
	require.NoError(t, err)
	require.Equal(t, []results.Policy{two}, all)
}

func siteRace(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	const n = 10
	errs := make([]error, n)
	revs := make([]int, n)
	site := results.Site{Tenant: tenant, ID: "s", CreatedAt: s.Now()}
	together(n, func(i int) {
		got, err := s.PutSite(ctx, site, -1, Audit(s, tenant, "site.changed"))
		revs[i], errs[i] = got.Rev, err
	})
	seen := map[int]bool{}
	for i := range n {
		require.NoError(t, errs[i])
		require.False(t, seen[revs[i]], "a revision was given twice")
		seen[revs[i]] = true
	}
	together(n, func(i int) { _, errs[i] = s.PutSite(ctx, site, n, Audit(s, tenant, "site.changed")) })
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			require.ErrorIs(t, err, results.ErrConflict)
		}
	}
	require.Equal(t, 1, won)
}
