package core

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/object"
)

// site gives the newest revision of a site, prepared, with where it lies and its number. A site without anything to look for has no place;
// one that was deleted since the job was accepted is nowhere, and has no revision either. With pinned inputs it is their revision.
func (c *Core) site(ctx context.Context, tenant, id string, pinned *past) (*verify.Place, *pipeline.Site, int, func(), error) {
	none := func() {}
	rev := 0
	if pinned != nil {
		if rev = pinned.SiteRev; rev == 0 {
			return nil, nil, 0, none, nil
		}
	}
	row, err := c.Store.Site(ctx, tenant, id, rev)
	switch {
	case errors.Is(err, results.ErrNotFound) && pinned != nil:
		return nil, nil, 0, nil, cannot("site_gone", "site %[1]s is not kept any more as it was then (revision %[2]d)", "不再保存地点 %[1]s 当时的版本（%[2]d）", id, rev)
	case errors.Is(err, results.ErrNotFound):
		return nil, nil, 0, none, nil
	case err != nil:
		return nil, nil, 0, nil, fmt.Errorf("read site %s: %w", id, err)
	}
	where := &pipeline.Site{ID: row.ID, Revision: row.Rev, Timezone: row.Doc.Timezone, Geofence: row.Doc.Geofence, Beacons: row.Doc.Beacons, WiFi: row.Doc.WiFi}
	if len(row.Doc.References) == 0 && len(row.Doc.SignNames) == 0 {
		return nil, where, row.Rev, none, nil
	}
	key := fmt.Sprintf("%s|%s|%d", tenant, id, row.Rev)
	place, release, err := c.sites.take(ctx, key, func(ctx context.Context) (*verify.Place, int64, error) {
		p, err := c.prepareSite(ctx, row)
		return p, 1, err
	})
	if err != nil {
		return nil, nil, 0, nil, err
	}
	return place, where, row.Rev, release, nil
}

// prepareSite decodes a site's references.
func (c *Core) prepareSite(ctx context.Context, row results.Site) (*verify.Place, error) {
	w := &watch{}
	s, err := row.Core(func(r results.SiteReference) pipeline.Media {
		return watched{sealed{c.Vault, r.Key, r.Name}, w}
	})
	if err != nil {
		return nil, err
	}
	p, err := c.Verifier.Prepare(ctx, s, false)
	if err != nil {
		// What is wrong with a site is told in words; that the photo could not be fetched just now is no fault of the site.
		if cause := w.first(); cause != nil && (ctx.Err() != nil || vaulted(cause)) {
			err = cause
		}
		return nil, fmt.Errorf("prepare site %s, revision %d: %w", row.ID, row.Rev, err)
	}
	return p, nil
}

// unopened says that media could not be opened for a reason that lies in the moment or the installation. The core says of every error of
// opening that the media is unreadable; what is behind that decides.
func unopened(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, media.ErrUnreadable) && vaulted(err)
}

// vaulted says that an error is one of the store, the vault or the objects that may pass.
func vaulted(err error) bool {
	for _, e := range []error{results.ErrAway, object.ErrAway, object.ErrDenied, object.ErrNoBucket, object.ErrConfig} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// watch notes the first error of opening media.
type watch struct {
	mu  sync.Mutex
	err error
}

func (w *watch) first() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// watched is media whose errors of opening are noted.
type watched struct {
	sealed
	watch *watch
}

// Open gives the plain bytes in memory.
func (m watched) Open(ctx context.Context) (*os.File, error) {
	f, err := m.sealed.Open(ctx)
	if err != nil {
		m.watch.mu.Lock()
		if m.watch.err == nil {
			m.watch.err = err
		}
		m.watch.mu.Unlock()
	}
	return f, err
}
