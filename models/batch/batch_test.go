package batch

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// long is a delay that no test waits for.
const long = time.Hour

// many calls Do for the items 0 to n-1 side by side.
func many(t *testing.T, b *Batcher[int, int], n int) (outs []int, errs []error) {
	t.Helper()
	outs, errs = make([]int, n), make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { outs[i], errs[i] = b.Do(t.Context(), i) })
	}
	wait.Wait()
	return outs, errs
}

func TestFullBatchesLeaveAtOnce(t *testing.T) {
	var sizes []int
	b := New(Options[int, int]{Max: 4, Delay: long, Run: func(items []int) ([]int, error) {
		sizes = append(sizes, len(items))
		out := make([]int, len(items))
		for i, v := range items {
			out[i] = v * v
		}
		return out, nil
	}})
	outs, errs := many(t, b, 12)
	b.Close()
	for i := range outs {
		require.NoError(t, errs[i])
		require.Equal(t, i*i, outs[i])
	}
	require.Equal(t, []int{4, 4, 4}, sizes)
	s := b.Stats()
	require.Equal(t, int64(3), s.Batches)
	require.Equal(t, int64(12), s.Items)
	require.Equal(t, int64(3), s.Sizes[2], "batches of 3 or 4")
	require.Positive(t, s.WaitNS)
	_, err := b.Do(t.Context(), 1)
	require.ErrorIs(t, err, ErrClosed)
}

func TestLoneItemLeavesAfterTheDelay(t *testing.T) {
	b := New(Options[int, int]{Max: 4, Delay: time.Millisecond, Run: func(items []int) ([]int, error) { return items, nil }})
	defer b.Close()
	out, err := b.Do(t.Context(), 7)
	require.NoError(t, err)
	require.Equal(t, 7, out)
	require.GreaterOrEqual(t, b.Stats().WaitNS, int64(time.Millisecond))
}

// While all runners are busy a batch grows, though its delay is over.
func TestBatchGrowsWhileBusy(t *testing.T) {
	started, free := make(chan int, 8), make(chan struct{})
	b := New(Options[int, int]{Max: 8, Run: func(items []int) ([]int, error) {
		started <- len(items)
		<-free
		return items, nil
	}})
	var wait sync.WaitGroup
	wait.Go(func() { _, _ = b.Do(t.Context(), 0) })
	require.Equal(t, 1, <-started)
	for i := range 5 {
		wait.Go(func() { _, _ = b.Do(t.Context(), i) })
	}
	require.Eventually(t, func() bool { return b.Stats().Waiting == 5 }, time.Minute, time.Millisecond)
	close(free)
	require.Greater(t, <-started, 1)
	wait.Wait()
	b.Close()
}

// One bad item fails by itself; the others of its batch do not.
func TestErrorsAreOfItems(t *testing.T) {
	bad := errors.New("item 2 is bad")
	b := New(Options[int, int]{Max: 4, Delay: long, Run: func(items []int) ([]int, error) {
		for _, v := range items {
			if v == 2 {
				return nil, bad
			}
		}
		return items, nil
	}})
	outs, errs := many(t, b, 4)
	b.Close()
	for i := range 4 {
		if i == 2 {
			require.ErrorIs(t, errs[i], bad)
			continue
		}
		require.NoError(t, errs[i])
		require.Equal(t, i, outs[i])
	}
	require.Equal(t, int64(1), b.Stats().Failed)
	require.Equal(t, int64(4), b.Stats().Alone)
}

func TestTooFewAnswersAreAnError(t *testing.T) {
	b := New(Options[int, int]{Max: 1, Run: func([]int) ([]int, error) { return nil, nil }})
	defer b.Close()
	_, err := b.Do(t.Context(), 1)
	require.ErrorContains(t, err, "0 answers to 1 items")
}

func TestContext(t *testing.T) {
	started, free := make(chan []int, 2), make(chan struct{})
	b := New(Options[int, int]{Max: 2, Delay: long, Run: func(items []int) ([]int, error) {
		started <- append([]int{}, items...)
		<-free
		return items, nil
	}})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Do(gone, 1)
	require.ErrorIs(t, err, context.Canceled)

	// An item whose caller leaves while it waits is not run.
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { _, err := b.Do(ctx, 1); left <- err }()
	require.Eventually(t, func() bool { return len(b.filling) == 1 }, time.Minute, time.Millisecond)
	leave()
	require.ErrorIs(t, <-left, context.Canceled)
	require.Equal(t, int64(1), b.Stats().Left)

	// One whose caller leaves while it runs is waited for, since it is being read.
	ctx, leave = context.WithCancel(t.Context())
	go func() { _, err := b.Do(ctx, 2); left <- err }()
	other := make(chan error, 1)
	go func() { _, err := b.Do(t.Context(), 3); other <- err }()
	require.ElementsMatch(t, []int{2, 3}, <-started, "the item that left makes room")
	leave()
	close(free)
	require.NoError(t, <-left)
	require.NoError(t, <-other)
	b.Close()
}

// Everybody gets an answer of his own item, or an error of his own, while the Batcher is closed over their heads.
func TestManyCallersAndClose(t *testing.T) {
	b := New(Options[int, int]{Max: 16, Delay: 100 * time.Microsecond, Runners: 2, Run: func(items []int) ([]int, error) {
		out := make([]int, len(items))
		for i, v := range items {
			out[i] = -v
		}
		return out, nil
	}})
	var wait sync.WaitGroup
	for g := range 32 {
		wait.Go(func() {
			for n := range 50 {
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if n%7 == 3 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(n)*time.Microsecond)
				}
				out, err := b.Do(ctx, g*1000+n)
				cancel()
				switch {
				case err == nil:
					if out != -(g*1000 + n) {
						t.Errorf("item %d got %d", g*1000+n, out)
					}
				case errors.Is(err, ErrClosed):
					return
				case !errors.Is(err, context.DeadlineExceeded):
					t.Error(err)
				}
				if g == 0 && n == 25 {
					go b.Close()
				}
			}
		})
	}
	wait.Wait()
	b.Close()
}

func BenchmarkDo(b *testing.B) {
	bt := New(Options[int, int]{Max: 16, Delay: 0, Run: func(items []int) ([]int, error) { return items, nil }})
	defer bt.Close()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := bt.Do(b.Context(), 1); err != nil {
				b.Fatal(err)
			}
		}
	})
}
