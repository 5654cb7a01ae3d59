package database

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"onsite/results"
)

// Logged implements results.Log.
func (s *Store) Logged(ctx context.Context, tenant string) (all []results.Logged, err error) {
	for _, from := range []struct{ kind, sql string }{
		{results.LoggedPolicy, `SELECT name, rev, deleted, yaml FROM policies WHERE tenant = $1 ORDER BY name, rev`},
		{results.LoggedSite, `SELECT id, rev, deleted, doc FROM sites WHERE tenant = $1 ORDER BY id, rev`},
	} {
		some, err := collect(ctx, s.db, func(r row) (c results.Logged, err error) {
			var stored []byte
			err = r.Scan(&c.Name, &c.Rev, &c.Deleted, &stored)
			c.Kind, c.Digest = from.kind, results.Sum(stored)
			return c, err
		}, from.sql, tenant)
		if err != nil {
			return nil, fmt.Errorf("list the revisions of every %s: %w", from.kind, err)
		}
		all = append(all, some...)
	}
	photos, err := s.enrolments(ctx, tenant)
	if err != nil {
		return nil, fmt.Errorf("list the revisions of every enrolment: %w", err)
	}
	consents, err := collect(ctx, s.db, func(r row) (results.Logged, error) {
		c, err := scanConsent(r)
		return results.Logged{Kind: results.LoggedConsent, Name: c.ID, Subject: c.Subject, Purpose: c.Purpose, Rev: 1, Deleted: !c.WithdrawnAt.IsZero(), Digest: c.Digest()}, err
	}, `SELECT `+consentColumns+` FROM consents WHERE tenant = $1 ORDER BY id`, tenant)
	if err != nil {
		return nil, fmt.Errorf("list every consent: %w", err)
	}
	marks, err := collect(ctx, s.db, scanMark, `SELECT `+markColumns+` FROM marks WHERE tenant = $1 ORDER BY id`, tenant)
	if err != nil {
		return nil, fmt.Errorf("list every mark: %w", err)
	}
	rows, err := s.loggedRows(ctx, tenant)
	if err != nil {
		return nil, err
	}
	all = slices.Concat(all, photos, consents, rows)
	for _, m := range marks {
		if m.RevokedSeq != 0 {
			all = append(all, results.Logged{Kind: results.LoggedMark, Name: m.ID, Rev: 2, Deleted: true, Digest: m.Digest()})
		}
		m.RevokedSeq, m.RevokedBy = 0, ""
		all = append(all, results.Logged{Kind: results.LoggedMark, Name: m.ID, Rev: 1, Digest: m.Digest()})
	}
	return all, nil
}

// enrolments gives every change of somebody's photos, as far as rows of photos tell.
func (s *Store) enrolments(ctx context.Context, tenant string) ([]results.Logged, error) {
	rows, err := collect(ctx, s.db, scanPhoto, `SELECT `+photoColumns+` FROM photos WHERE tenant = $1`, tenant)
	if err != nil {
		return nil, err
	}
	type change struct {
		subject string
		rev     int
	}
	add, remove := map[change][]results.Photo{}, map[change][]string{}
	seen := map[change]bool{}
	for _, p := range rows {
		came, went := change{p.Subject, p.FromRev}, change{p.Subject, p.ToRev}
		add[came], seen[came] = append(add[came], p), true
		if p.ToRev != 0 {
			remove[went], seen[went] = append(remove[went], p.ID), true
		}
	}
	var all []results.Logged
	for _, c := range slices.SortedFunc(maps.Keys(seen), func(a, b change) int { return cmp.Or(cmp.Compare(a.subject, b.subject), cmp.Compare(a.rev, b.rev)) }) {
		all = append(all, results.Logged{Kind: results.LoggedEnrolment, Name: c.subject, Subject: c.subject, Rev: c.rev, Digest: results.EnrolmentDigest(c.rev, add[c], remove[c])})
	}
	return all, nil
}
