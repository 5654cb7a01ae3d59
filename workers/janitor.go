package workers

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"onsite/results/object"
)

// JanitorStore is what the janitor needs of the results store.
type JanitorStore interface {
	Elector
	Orphans(ctx context.Context, before time.Time, n int) ([]string, error)
	Referenced(ctx context.Context, keys []string) (map[string]bool, error)
	Forget(ctx context.Context, keys []string) error
	Expire(ctx context.Context, now time.Time, n int) ([]string, error)
	Now() time.Time
}

// Objects deletes objects; that one is gone already is no error. object.Store is one.
type Objects interface {
	Delete(ctx context.Context, key string) error
}

// Janitor deletes objects that a crash left behind, and what is past its deadline. One process at a time plays it.
type Janitor struct {
	Store   JanitorStore
	Objects Objects
	Name    string

	Every  time.Duration // 1 min
	Orphan time.Duration // how long an object may lie unnamed; 3 h, far more than an upload or an attempt may take (1 h)
	TTL    time.Duration // of the role; 3 times Every

	Logger  *slog.Logger
	Metrics *Metrics
}

// maxSweep bounds one look at the store.
const maxSweep = 500

// Run cleans until ctx ends.
func (j *Janitor) Run(ctx context.Context) error {
	own := *j
	fill(&own.Every, time.Minute)
	fill(&own.Orphan, 3*time.Hour)
	fill(&own.TTL, 3*own.Every)
	own.Logger = logger(own.Logger)
	r := NewRole(own.Store, "janitor", own.Name, own.TTL, own.Logger)
	defer r.Resign()
	for {
		if r.Play(ctx) {
			own.sweep(ctx, r)
		}
		if !pause(ctx, own.Every) {
			return nil
		}
	}
}

// sweep goes on while there is more, and while it is still the one.
func (j *Janitor) sweep(ctx context.Context, r *Role) {
	for _, round := range []struct {
		name string
		do   func(context.Context) (int, error)
	}{{"expired", j.expire}, {"orphans", j.orphans}} {
		for ctx.Err() == nil && r.Play(ctx) {
			n, err := round.do(ctx)
			if err != nil && ctx.Err() == nil {
				j.Logger.Warn("cleaning broke off; trying again", "of", round.name, "error", err)
			}
			j.Metrics.action(round.name, n)
			if n > 0 {
				j.Logger.Info("objects were deleted", "of", round.name, "objects", n)
			}
			if err != nil || n < maxSweep {
				break
			}
		}
	}
}

// expire deletes what is past its deadline. The rows go first, and note their objects as pending: what cannot be deleted now is an orphan
// later.
func (j *Janitor) expire(ctx context.Context) (int, error) {
	limited, cancel := context.WithTimeout(ctx, 10*patience)
	defer cancel()
	keys, err := j.Store.Expire(limited, j.Store.Now(), maxSweep)
	if err != nil {
		return 0, err
	}
	return j.remove(ctx, keys)
}

// orphans deletes what was written long ago and never named by a row.
func (j *Janitor) orphans(ctx context.Context) (int, error) {
	limited, cancel := context.WithTimeout(ctx, 10*patience)
	defer cancel()
	keys, err := j.Store.Orphans(limited, j.Store.Now().Add(-j.Orphan), maxSweep)
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	named, err := j.Store.Referenced(limited, keys)
	if err != nil {
		return 0, err
	}
	var keep, drop []string
	for _, k := range keys {
		if named[k] {
			keep = append(keep, k)
		} else {
			drop = append(drop, k)
		}
	}
	if len(keep) > 0 { // their row took them, and somehow not off the list
		if err := j.Store.Forget(limited, keep); err != nil {
			return 0, err
		}
	}
	return j.remove(ctx, drop)
}

// remove deletes objects, then forgets them: in this order a crash in between only deletes again.
func (j *Janitor) remove(ctx context.Context, keys []string) (int, error) {
	var gone []string
	var failed error
	for _, k := range keys {
		limited, cancel := context.WithTimeout(ctx, 10*patience)
		err := j.Objects.Delete(limited, k)
		cancel()
		if err == nil {
			gone = append(gone, k)
			continue
		}
		failed = err
		if away(err) || errors.Is(err, object.ErrAway) {
			break // the others would only wait for the same
		}
	}
	if len(gone) > 0 {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*patience)
		defer cancel()
		if err := j.Store.Forget(limited, gone); err != nil {
			return len(gone), err
		}
	}
	return len(gone), failed
}
