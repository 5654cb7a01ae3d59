package archive

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"onsite/pipeline/reuse/index"
	"onsite/results"
	"onsite/results/database"
	"onsite/results/storetest"
)

// twoStores is a primary and its standby, which takes over with less.
type twoStores struct {
	at atomic.Pointer[database.Store]
}

func (s *twoStores) Frames(ctx context.Context, tenant string, f results.FrameFilter, n int) ([]results.JobFrames, error) {
	return s.at.Load().Frames(ctx, tenant, f, n)
}

func (s *twoStores) NewFrames(ctx context.Context, tenant string, after int64, n int) ([]results.JobFrames, error) {
	return s.at.Load().NewFrames(ctx, tenant, after, n)
}

func (s *twoStores) Position(ctx context.Context, tenant string) (int64, error) {
	return s.at.Load().Position(ctx, tenant)
}

func (s *twoStores) Positions(ctx context.Context) (map[string]int64, error) {
	return s.at.Load().Positions(ctx)
}

func (s *twoStores) FramesGone(ctx context.Context, after results.FramesGone, n int) ([]results.FramesGone, error) {
	return s.at.Load().FramesGone(ctx, after, n)
}

func (s *twoStores) Now() time.Time { return s.at.Load().Now() }

// A standby that lacks the last rows takes over while workers run. What comes then has the numbers of what was lost, and is found.
func TestStoreThatWentBack(t *testing.T) {
	for _, shards := range []int{1, 2} {
		t.Run(fmt.Sprint(shards), func(t *testing.T) {
			dir := t.TempDir()
			opened := func(name string) *database.Store {
				s, err := database.Open(t.Context(), database.Options{SQLite: filepath.Join(dir, name)})
				require.NoError(t, err)
				require.NoError(t, s.Migrate(t.Context()))
				return s
			}
			first := opened("a.db")
			tenant := storetest.NewTenant(t, first)
			clips := clipsOf(10)
			submit(t, first, tenant, "e1", &clips[0])
			require.NoError(t, first.Close())
			raw, err := os.ReadFile(filepath.Join(dir, "a.db"))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "b.db"), raw, 0o600))
			primary, standby := opened("a.db"), opened("b.db")
			t.Cleanup(func() { require.NoError(t, primary.Close()); require.NoError(t, standby.Close()) })
			both := &twoStores{}
			both.at.Store(primary)
			for i := 1; i < 9; i++ {
				submit(t, primary, tenant, "e1", &clips[i])
			}
			all := workersOf(t, both, shards)
			q := index.Query{Tenant: tenant, Frames: asked(&clips[9]), Radius: index.MaxRadius, AsOf: position(t, primary, tenant)}
			for _, w := range all {
				got, err := w.Find(t.Context(), q)
				require.NoError(t, err)
				require.Empty(t, got.Matches)
			}
			both.at.Store(standby)
			for range 4 {
				submit(t, standby, tenant, "e1", &clips[9])
			}
			q.AsOf = position(t, standby, tenant)
			require.Less(t, q.AsOf, position(t, primary, tenant))
			want, err := New(Options{Store: standby}).Find(t.Context(), q)
			require.NoError(t, err)
			require.Len(t, want.Matches, 4)
			for _, w := range all {
				require.EventuallyWithT(t, func(c *assert.CollectT) { // as soon as it has looked at the positions
					got, err := w.Find(t.Context(), q)
					require.NoError(c, err)
					require.Equal(c, want, got)
				}, soon, time.Millisecond)
				require.Contains(t, w.log.String(), "the index is filled anew")
				at, err := w.Index.UpTo(tenant)
				require.NoError(t, err)
				require.Equal(t, q.AsOf, at)
			}
		})
	}
}

// slowFeed is a store whose feed of new rows hangs, and whose positions cannot be read then.
type slowFeed struct {
	Store
	on atomic.Bool
}

func (s *slowFeed) NewFrames(ctx context.Context, tenant string, after int64, n int) ([]results.JobFrames, error) {
	if s.on.Load() {
		<-ctx.Done()
		return nil, fmt.Errorf("read new frames: %w", ctx.Err())
	}
	return s.Store.NewFrames(ctx, tenant, after, n)
}

func (s *slowFeed) Positions(ctx context.Context) (map[string]int64, error) {
	if s.on.Load() {
		return nil, results.ErrAway
	}
	return s.Store.Positions(ctx)
}

// One question that waits for the store keeps no other beyond its own time.
func TestAQuestionEndsInItsTime(t *testing.T) {
	s := openStore(t)
	slow := &slowFeed{Store: s}
	all, q := pair(t, slow, s)
	slow.on.Store(true)
	clips := clipsOf(2)
	submit(t, s, q.Tenant, "e2", &clips[1])
	q.AsOf = position(t, s, q.Tenant)
	long, cancel := context.WithCancel(t.Context())
	var first sync.WaitGroup
	first.Go(func() { _, _ = all[0].Find(long, q) })
	require.Eventually(t, func() bool { return len(all[0].tenant(q.Tenant).one) == 1 }, soon, time.Millisecond)
	short, end := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer end()
	_, err := all[0].Find(short, q)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, long.Err())
	cancel()
	first.Wait()
	slow.on.Store(false)
}

// A shard that is being filled says so at once; of many searches one at a time waits for a shard that hangs.
func TestAShardThatKeepsWaiting(t *testing.T) {
	s := openStore(t)
	all, q := pair(t, s, s)
	want, err := New(Options{Store: s}).Find(t.Context(), q)
	require.NoError(t, err)

	x, err := index.Open("", index.Options{Shard: index.Shard{K: 2, N: 2}})
	require.NoError(t, err)
	defer func() { require.NoError(t, x.Close()) }()
	empty := New(Options{Store: s, Index: x, Token: token, Timeout: 100 * time.Millisecond}) // nobody fills it; its patience is 20 s
	h, err := empty.Handler()
	require.NoError(t, err)
	all[1].answer(h)
	got, err := all[0].Find(t.Context(), q)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Contains(t, all[0].log.String(), "is being filled")

	hanging := make(chan struct{})
	var waiting atomic.Int32
	all[1].answer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		waiting.Add(1)
		select {
		case <-hanging:
		case <-r.Context().Done():
		}
	}))
	var one sync.WaitGroup
	one.Go(func() { _, _ = all[0].Find(t.Context(), q) })
	require.Eventually(t, func() bool { return waiting.Load() == 1 }, soon, time.Millisecond)
	for range 3 {
		got, err = all[0].Find(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.EqualValues(t, 1, waiting.Load())
	close(hanging)
	one.Wait()
}
