package intake

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// How a list is followed.
const (
	followBatch  = 64               // entries under way at a time
	followAtOnce = 8                // of them in the store at a time
	followBlock  = time.Second      // how long one question to Redis waits for an entry
	followTerm   = 10 * time.Second // how long a follower that died keeps the others from following
	followPause  = 200 * time.Millisecond
	followPauses = 5 * time.Second // the longest pause after errors
	followWords  = time.Minute     // between two lines about the same error
	followRole   = "intake."       // and the name of the list
)

// Follow takes the notifications that a bucket's service appends to a Redis list, until ctx ends. Of all processes that follow a list, one
// does at a time. An entry is moved to a second list before it is worked on and taken from there once the store has it: a kill at any
// moment loses nothing, and what is taken twice is a duplicate. Errors are logged and tried again.
func (in *Intake) Follow(ctx context.Context, rdb redis.UniversalClient, list, holder string) {
	f := follower{in: in, rdb: rdb, list: list, taken: takenList(list)}
	pause, said, saidAt := followPause, "", time.Time{}
	for ctx.Err() == nil {
		mine, err := in.o.Store.Elect(ctx, followRole+list, holder, followTerm)
		if err == nil && mine {
			err = f.turn(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if text := err.Error(); text != said || time.Since(saidAt) > followWords {
				said, saidAt = text, time.Now()
				in.o.Log.Error("bucket events wait: the Redis list cannot be followed; it is tried again", "list", list, "error", err)
			}
			sleep(ctx, pause)
			pause = min(2*pause, followPauses)
		case !mine:
			sleep(ctx, followTerm/4)
		default:
			pause = followPause
			if said != "" {
				said = ""
				in.o.Log.Info("bucket events are taken again", "list", list)
			}
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// takenList is the list of what is being worked on. In a cluster both lists must lie in one slot: the braces say so.
func takenList(list string) string {
	if strings.ContainsRune(list, '{') {
		return list + ":taken"
	}
	return "{" + list + "}:taken"
}

type follower struct {
	in          *Intake
	rdb         redis.UniversalClient
	list, taken string
}

// turn works off entries for less than a term, so that whoever follows stays elected.
func (f *follower) turn(ctx context.Context) error {
	end := time.Now().Add(followTerm / 4)
	for ctx.Err() == nil && time.Now().Before(end) {
		entries, err := f.next(ctx)
		if err != nil {
			return err
		}
		if err := f.take(ctx, entries); err != nil {
			return err
		}
	}
	return nil
}

// next gives what was begun and not finished, by whomever, else what is new.
func (f *follower) next(ctx context.Context) ([]string, error) {
	entries, err := f.rdb.LRange(ctx, f.taken, 0, followBatch-1).Result()
	if err != nil || len(entries) > 0 {
		return entries, f.fault("read", f.taken, err)
	}
	first, err := f.rdb.BLMove(ctx, f.list, f.taken, "LEFT", "RIGHT", followBlock).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, f.fault("read", f.list, err)
	}
	entries = append(entries, first)
	moves := make([]*redis.StringCmd, 0, followBatch-1)
	_, err = f.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for range followBatch - 1 {
			moves = append(moves, p.LMove(ctx, f.list, f.taken, "LEFT", "RIGHT"))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, f.fault("read", f.list, err) // what was moved is found in the other list
	}
	for _, m := range moves {
		if m.Err() == nil {
			entries = append(entries, m.Val())
		}
	}
	return entries, nil
}

func (f *follower) fault(what, list string, err error) error {
	switch {
	case err == nil:
		return nil
	case strings.HasPrefix(err.Error(), "WRONGTYPE"):
		return fmt.Errorf("%s Redis list %s: it is no list: set format=access in the bucket's notification target, and name a key of its own: %w", what, list, err)
	}
	return fmt.Errorf("%s Redis list %s: %w", what, list, err)
}

// take records entries, several at a time, and takes those that are in the store off the list.
func (f *follower) take(ctx context.Context, entries []string) error {
	if len(entries) == 0 {
		return nil
	}
	recorded := make([]bool, len(entries))
	var g errgroup.Group
	g.SetLimit(followAtOnce)
	for i, e := range entries {
		g.Go(func() error {
			err := f.in.Receive(ctx, SourceRedis, []byte(e))
			recorded[i] = err == nil
			return err
		})
	}
	err := g.Wait()
	_, rerr := f.rdb.Pipelined(context.WithoutCancel(ctx), func(p redis.Pipeliner) error {
		for i, e := range entries {
			if recorded[i] {
				p.LRem(ctx, f.taken, 1, e)
			}
		}
		return nil
	})
	return errors.Join(err, f.fault("take entries off", f.taken, rerr))
}
