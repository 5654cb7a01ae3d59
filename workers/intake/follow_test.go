package intake_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/workers/intake"
	"onsite/workers/queue/queuetest"
)

// follow runs a follower until stop is called.
func follow(t *testing.T, in *intake.Intake, rdb redis.UniversalClient, holder string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); in.Follow(ctx, rdb, "events", holder) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

const takenKey = "{events}:taken"

// push is what MinIO does.
func push(t *testing.T, rdb redis.UniversalClient, raw ...[]byte) {
	t.Helper()
	for _, r := range raw {
		require.NoError(t, rdb.RPush(context.Background(), "events", r).Err())
	}
}

// empty waits until nothing is left in Redis.
func empty(t *testing.T, rdb redis.UniversalClient) {
	t.Helper()
	require.Eventually(t, func() bool {
		n, err := rdb.Exists(context.Background(), "events", takenKey).Result()
		return err == nil && n == 0
	}, time.Minute, 20*time.Millisecond)
}

func TestFollow(t *testing.T) {
	srv := queuetest.Start(t)
	rdb := srv.Client()
	h := newHouse(t, "own")
	const n = 200
	jobs := map[string]bool{}
	for i := range n {
		key := fmt.Sprint("k", i)
		jobs[h.claim(t, "acme", "own", key)] = true
		push(t, rdb, written("own", key, "01"))
		if i%10 == 0 {
			push(t, rdb, written("own", key, "01"), []byte("garbage"))
		}
	}
	// What an earlier follower was at when it was killed.
	lost := h.claim(t, "acme", "own", "lost")
	jobs[lost] = true
	require.NoError(t, rdb.RPush(t.Context(), takenKey, written("own", "lost", "01")).Err())
	follow(t, h.intake(nil), rdb, "w1")
	empty(t, rdb)
	for job := range jobs {
		_, err := h.Job(t.Context(), "acme", job)
		require.NoError(t, err)
	}
	require.Len(t, h.events(t, ""), n/10)
	require.Equal(t, n+1, h.jobs(t, "acme"))
	// Still there for what comes now.
	job := h.claim(t, "acme", "own", "late")
	push(t, rdb, written("own", "late", "01"))
	h.started(t, job)
}

// A follower stops at any moment with entries in its hands: the next one has them.
func TestFollowerDies(t *testing.T) {
	srv := queuetest.Start(t)
	rdb := srv.Client()
	h := newHouse(t, "own")
	f := &failing{house: h, arrive: results.ErrAway}
	const n = 100
	for i := range n {
		key := fmt.Sprint("k", i)
		h.claim(t, "acme", "own", key)
		push(t, rdb, written("own", key, "01"))
	}
	stop := follow(t, h.intake(f), rdb, "w1")
	require.Eventually(t, func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.arrived > 0 }, time.Minute, time.Millisecond)
	stop()
	left, err := rdb.LLen(t.Context(), takenKey).Result()
	require.NoError(t, err)
	require.Positive(t, left)
	follow(t, h.intake(nil), rdb, "w1")
	empty(t, rdb)
	require.Equal(t, n, h.jobs(t, "acme"))
}

// The store is away for a while, then Redis is: nothing is lost, and nobody has to help.
func TestFollowThroughFaults(t *testing.T) {
	srv := queuetest.Start(t)
	rdb := srv.Client()
	h := newHouse(t, "own")
	f := &failing{house: h, arrive: results.ErrAway}
	follow(t, h.intake(f), rdb, "w1")
	first := h.claim(t, "acme", "own", "k1")
	push(t, rdb, written("own", "k1", "01"))
	require.Eventually(t, func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.arrived > 1 }, time.Minute, 10*time.Millisecond)
	f.mu.Lock()
	f.arrive = nil
	f.mu.Unlock()
	h.started(t, first)

	srv.Down()
	second := h.claim(t, "acme", "own", "k2")
	srv.Up()
	push(t, rdb, written("own", "k2", "01"))
	h.started(t, second)
	empty(t, rdb)
}

// Of several processes one follows; when it stops, another takes over.
func TestOneFollows(t *testing.T) {
	srv := queuetest.Start(t)
	rdb := srv.Client()
	h := newHouse(t, "own")
	elected := &electing{house: h}
	in := h.intake(elected)
	follow(t, in, rdb, "w1")
	follow(t, in, rdb, "w2")
	for i := range 20 {
		job := h.claim(t, "acme", "own", fmt.Sprint("k", i))
		push(t, rdb, written("own", fmt.Sprint("k", i), "01"))
		h.started(t, job)
	}
	elected.mu.Lock()
	defer elected.mu.Unlock()
	require.Len(t, elected.won, 1, "%v", elected.won)
}

type electing struct {
	*house
	mu  sync.Mutex
	won map[string]bool
}

func (e *electing) Elect(ctx context.Context, role, holder string, ttl time.Duration) (bool, error) {
	ok, err := e.house.Elect(ctx, role, holder, ttl)
	e.mu.Lock()
	defer e.mu.Unlock()
	if ok {
		if e.won == nil {
			e.won = map[string]bool{}
		}
		e.won[holder] = true
	}
	return ok, err
}

// A key that holds something else is said so, with what to do, and followed once it is put right.
func TestFollowNoList(t *testing.T) {
	srv := queuetest.Start(t)
	rdb := srv.Client()
	require.NoError(t, rdb.HSet(t.Context(), "events", "bucket/key", "{}").Err())
	h := newHouse(t, "own")
	log := &lines{}
	in := intake.New(intake.Options{Store: h, UploadBucket: "own", Log: log.logger()})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); in.Follow(ctx, rdb, "events", "w1") }()
	defer func() { cancel(); <-done }()
	log.wait(t, "format=access")
	require.NoError(t, rdb.Del(t.Context(), "events").Err())
	job := h.claim(t, "acme", "own", "k")
	push(t, rdb, written("own", "k", "01"))
	h.started(t, job)
	log.wait(t, "taken again")
}
