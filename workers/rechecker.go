package workers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"onsite/results"
)

// RecheckerStore is what the rechecker needs of the results store.
type RecheckerStore interface {
	Recheck(ctx context.Context, worker string, lease time.Duration, n int) ([]results.Late, error)
	Rechecked(ctx context.Context, l results.Late) error
}

// Rechecker compares jobs with footage that came too late for them. Every worker runs one.
type Rechecker struct {
	Store RecheckerStore
	Core  Core
	Bell  Bell // nil: poll only
	Name  string

	Parallel int           // prints at once; 1, because a morning's jobs go first
	Lease    time.Duration // how long one is taken; comparing may take three quarters of it; 1 min
	Poll     time.Duration // 1 s

	Logger  *slog.Logger
	Metrics *Metrics
}

// Run rechecks until ctx ends, and waits for what runs then.
func (r *Rechecker) Run(ctx context.Context) error {
	own := *r
	if own.Parallel <= 0 {
		own.Parallel = 1
	}
	fill(&own.Lease, time.Minute)
	fill(&own.Poll, time.Second)
	own.Logger = logger(own.Logger)
	worker := own.Name + "-" + ulid.Make().String()[16:]
	ear := listen(ctx, own.Bell, results.BellFeed)
	failing := false
	for {
		limited, cancel := context.WithTimeout(ctx, 2*patience)
		late, err := own.Store.Recheck(limited, worker, own.Lease, own.Parallel)
		cancel()
		if err != nil && !failing && ctx.Err() == nil {
			own.Logger.Warn("late footage could not be looked for; trying again", "error", err)
		}
		failing = err != nil
		var running sync.WaitGroup
		for _, l := range late {
			running.Go(func() { own.recheck(ctx, l) })
		}
		running.Wait()
		if len(late) == own.Parallel && ctx.Err() == nil {
			continue // there may be more
		}
		wake := ear
		if failing {
			wake = nil
		}
		if !sleep(ctx, own.Poll, wake) {
			return nil
		}
	}
}

// recheck compares one print. What fails stays taken until its lease is over, which is its backoff; what can never succeed is over.
func (r *Rechecker) recheck(ctx context.Context, l results.Late) {
	began := time.Now()
	call, end := context.WithTimeout(ctx, r.Lease*3/4)
	err := r.call(call, l)
	cut := call.Err() != nil
	end()
	limited, cancel := context.WithTimeout(ctx, r.Lease/4)
	defer cancel()
	if err != nil {
		if ctx.Err() != nil {
			return
		}
		v := Judge(err)
		attrs := []any{"job", l.Print.Job, "rule", v.Rule}
		if !v.Private {
			attrs = append(attrs, "error", err)
		}
		if cut || !final(err) {
			r.Logger.Warn("late footage could not be compared; trying again", attrs...)
			return
		}
		r.Logger.Warn("late footage cannot be compared any more", attrs...)
	}
	if err := r.Store.Rechecked(limited, l); err != nil {
		r.Logger.Warn("late footage was compared, but that could not be noted; it will be again", "job", l.Print.Job, "error", err)
		return
	}
	r.Metrics.Stage("recheck", time.Since(began))
}

// final says that an error is about what was asked for, in each of its parts: the others that a comparison has may do better the next time.
func final(err error) bool {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if all, ok := e.(interface{ Unwrap() []error }); ok {
			return !slices.ContainsFunc(all.Unwrap(), func(part error) bool { return !final(part) })
		}
	}
	v := Judge(err)
	return v.Action == Refuse || v.Action == GiveUp
}

func (r *Rechecker) call(ctx context.Context, l results.Late) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.Logger.Error("the comparison with late footage crashed", "job", l.Print.Job, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			err = fmt.Errorf("compare late footage: %w", &crash{value: p})
		}
	}()
	return r.Core.Recheck(ctx, l)
}
