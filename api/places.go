package api

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// places bounds what many requests hold for long: open streams, media that are sent. One tenant gets half of them at most, so that no
// tenant's slow clients take all.
type places struct {
	all   *semaphore.Weighted
	share int64 // of one tenant

	mu sync.Mutex
	of map[string]*tenantPlaces // those tenants that have or want a place
}

type tenantPlaces struct {
	own  *semaphore.Weighted
	uses int // requests that have or want one
}

func newPlaces(n int) *places {
	return &places{all: semaphore.NewWeighted(int64(n)), share: int64(max(1, n/2)), of: map[string]*tenantPlaces{}}
}

// Why nobody enters.
var (
	errShareFull = errors.New("the tenant has as many places as it may")
	errFull      = errors.New("all places are taken")
)

// enter takes a place for a tenant and waits for it as long as patience lasts; 0: not at all. errShareFull, errFull.
func (p *places) enter(ctx context.Context, tenant string, patience time.Duration) (leave func(), err error) {
	mine := p.use(tenant)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !take(ctx, mine.own) {
		p.forget(tenant)
		return nil, errShareFull
	}
	if !take(ctx, p.all) {
		mine.own.Release(1)
		p.forget(tenant)
		return nil, errFull
	}
	return func() {
		p.all.Release(1)
		mine.own.Release(1)
		p.forget(tenant)
	}, nil
}

func take(ctx context.Context, s *semaphore.Weighted) bool {
	return s.TryAcquire(1) || s.Acquire(ctx, 1) == nil
}

func (p *places) use(tenant string) *tenantPlaces {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.of[tenant]
	if t == nil {
		t = &tenantPlaces{own: semaphore.NewWeighted(p.share)}
		p.of[tenant] = t
	}
	t.uses++
	return t
}

func (p *places) forget(tenant string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.of[tenant]
	if t.uses--; t.uses == 0 {
		delete(p.of, tenant)
	}
}

// taken counts those that have or want a place.
func (p *places) taken() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.of {
		n += t.uses
	}
	return n
}
