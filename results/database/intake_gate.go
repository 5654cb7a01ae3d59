package database

import (
	"context"
	"sync"
	"time"

	"onsite/results"
)

// gate keeps tenants within their number of unfinished jobs. Counting up to 20,000 rows with every submission would cost more than the
// submission, and a counter in a row would make all commits of a tenant wait for each other. So each process counts now and then and
// follows its own acceptances in between; what other processes accepted and what was finished is seen with the next count. The bound may
// be passed by what the other processes accept in countFresh; it is there to shed load, not to be exact.
type gate struct {
	mu     sync.Mutex
	levels map[string]*level
}

const (
	countFresh = time.Second
	// countShare is the part of the time that counting may take where a tenant stands at its bound.
	countShare = 20
)

// level is what is known of one tenant.
type level struct {
	mu       sync.Mutex
	waiting  int // counted, and admitted since
	under    int // of those: admitted, and not yet answered
	counted  time.Time
	took     time.Duration
	hasCount bool
}

// admit gives those of todo that may go on, and those among them that it counted. The others are answered with ErrFull, unless they
// were accepted earlier under the same key: these go on to get that answer.
func (g *gate) admit(ctx context.Context, s *Store, list []results.NewSubmission, todo []int, out []results.Acceptance) (open, admitted []int) {
	for _, i := range todo {
		n := list[i]
		if n.MaxWaiting <= 0 {
			open = append(open, i)
			continue
		}
		ok, err := g.level(n.Sub.Tenant).enter(ctx, s, n.Sub.Tenant, n.MaxWaiting)
		if err == nil && !ok {
			err = results.ErrFull
			if again, aerr := s.answered(ctx, n); aerr != nil {
				err = aerr
			} else if again {
				open = append(open, i)
				continue
			}
		}
		if err != nil {
			out[i].Err = err
			continue
		}
		open, admitted = append(open, i), append(admitted, i)
	}
	return open, admitted
}

// settle takes those off the count again that were not accepted.
func (g *gate) settle(list []results.NewSubmission, admitted []int, out []results.Acceptance) {
	for _, i := range admitted {
		l := g.level(list[i].Sub.Tenant)
		l.mu.Lock()
		l.under--
		if out[i].Err != nil || out[i].Again {
			l.waiting--
		}
		l.mu.Unlock()
	}
}

func (g *gate) level(tenant string) *level {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.levels[tenant]
	if l == nil {
		if g.levels == nil {
			g.levels = map[string]*level{}
		}
		l = &level{}
		g.levels[tenant] = l
	}
	return l
}

// enter says whether one more job fits, and counts it.
func (l *level) enter(ctx context.Context, s *Store, tenant string, most int) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	age := time.Since(l.counted)
	stale := !l.hasCount || age > countFresh
	if stale || (l.waiting >= most && (l.took < time.Millisecond || age > countShare*l.took)) {
		began := time.Now()
		var n int
		err := s.db.QueryRow(ctx, `SELECT count(*) FROM (SELECT 1 FROM jobs WHERE tenant = $1 AND state IN ('accepted', 'queued', 'running')
			AND state <> 'done' LIMIT $2) AS unfinished`, tenant, most).Scan(&n)
		if err != nil {
			return false, err
		}
		l.waiting, l.counted, l.took, l.hasCount = n+l.under, time.Now(), time.Since(began), true
	}
	if l.waiting >= most {
		return false, nil
	}
	l.waiting++
	l.under++
	return true, nil
}

// answered says whether this request was accepted before.
func (s *Store) answered(ctx context.Context, n results.NewSubmission) (bool, error) {
	if n.Idempotency == "" {
		return false, nil
	}
	var jobs int
	err := s.db.QueryRow(ctx, `SELECT count(*) FROM idempotency WHERE tenant = $1 AND request = $2 AND job <> ''`,
		n.Sub.Tenant, n.Idempotency).Scan(&jobs)
	return jobs > 0, err
}
