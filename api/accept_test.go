package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

// pausedIntake commits only when it is told to, so that a test sees who waits for whom.
type pausedIntake struct {
	results.Intake
	begun chan int      // size of each batch, when its commit begins
	gate  chan struct{} // one entry lets one commit end; nil: all
	panic atomic.Bool
	short atomic.Bool
}

func (p *pausedIntake) AcceptMany(ctx context.Context, n []results.NewSubmission) []results.Acceptance {
	if p.begun != nil {
		p.begun <- len(n)
	}
	if p.gate != nil {
		<-p.gate
	}
	if p.panic.Load() {
		panic("store broke")
	}
	out := make([]results.Acceptance, len(n))
	for i := range n {
		out[i].Job.ID = n[i].Sub.Job
		if ctx.Err() != nil {
			out[i].Err = ctx.Err()
		}
	}
	if p.short.Load() {
		return out[:0]
	}
	return out
}

func newSub(i int) results.NewSubmission {
	return results.NewSubmission{Sub: results.Submission{Job: fmt.Sprint("job", i)}}
}

// waitQueue waits until n calls stand in the collector's queue.
func waitQueue(t *testing.T, c *collector, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.queue) == n
	}, time.Minute, time.Millisecond)
}

func idle(t *testing.T, c *collector) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Zero(t, c.active, "a leader's place got lost")
	require.Empty(t, c.queue)
}

func TestCollectorCommitsTogetherWhatComesTogether(t *testing.T) {
	store := &pausedIntake{begun: make(chan int, 100), gate: make(chan struct{}, 100)}
	var rings atomic.Int32
	c := &collector{store: store, rung: func(context.Context) { rings.Add(1) }}
	var wg sync.WaitGroup
	send := func(i int) {
		wg.Go(func() {
			a := c.accept(t.Context(), newSub(i))
			require.NoError(t, a.Err)
			require.Equal(t, fmt.Sprint("job", i), a.Job.ID, "everyone gets the answer to his own")
		})
	}
	for i := range acceptLeaders { // those who come first are committed at once, alone
		send(i)
		require.Equal(t, 1, <-store.begun)
	}
	for i := range 50 { // the others wait for a commit to end, and then go together
		send(acceptLeaders + i)
	}
	waitQueue(t, c, 50)
	store.gate <- struct{}{}
	require.Equal(t, 50, <-store.begun)
	close(store.gate)
	wg.Wait()
	idle(t, c)
	require.EqualValues(t, acceptLeaders+1, rings.Load(), "one ring per commit")
}

func TestCollectorBoundsABatch(t *testing.T) {
	store := &pausedIntake{begun: make(chan int, 100), gate: make(chan struct{}, 100)}
	c := &collector{store: store, rung: func(context.Context) {}}
	var wg sync.WaitGroup
	for i := range acceptLeaders {
		wg.Go(func() { c.accept(t.Context(), newSub(i)) })
		<-store.begun
	}
	for i := range acceptBatch + 10 {
		wg.Go(func() { c.accept(t.Context(), newSub(100+i)) })
	}
	waitQueue(t, c, acceptBatch+10)
	store.gate <- struct{}{}
	require.Equal(t, acceptBatch, <-store.begun)
	close(store.gate)
	wg.Wait()
	idle(t, c)
}

func TestCollectorLetsGoOfAClientWhoWaits(t *testing.T) {
	store := &pausedIntake{begun: make(chan int, 100), gate: make(chan struct{}, 100)}
	c := &collector{store: store, rung: func(context.Context) {}}
	var wg sync.WaitGroup
	for i := range acceptLeaders {
		wg.Go(func() { c.accept(t.Context(), newSub(i)) })
		<-store.begun
	}
	ctx, cancel := context.WithCancel(t.Context())
	var gone results.Acceptance
	wg.Go(func() { gone = c.accept(ctx, newSub(100)) })
	waitQueue(t, c, 1)
	cancel()
	waitQueue(t, c, 0)
	close(store.gate)
	wg.Wait()
	require.ErrorIs(t, gone.Err, context.Canceled)
	require.True(t, unwritten(gone.Err))
	idle(t, c)
}

// A client who goes away while its submission is being written does not take it back, nor the others' with it.
func TestCollectorEndsACommitThatBegan(t *testing.T) {
	store := &pausedIntake{begun: make(chan int, 1), gate: make(chan struct{})}
	c := &collector{store: store, rung: func(context.Context) {}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan results.Acceptance, 1)
	go func() { done <- c.accept(ctx, newSub(1)) }()
	<-store.begun
	cancel()
	close(store.gate)
	require.NoError(t, (<-done).Err)
	idle(t, c)
}

func TestCollectorSurvivesABrokenStore(t *testing.T) {
	store := &pausedIntake{}
	c := &collector{store: store, rung: func(context.Context) {}}
	store.panic.Store(true)
	a := c.accept(t.Context(), newSub(1))
	require.ErrorContains(t, a.Err, "panic: string")
	require.False(t, unwritten(a.Err), "its commit may have happened")
	store.panic.Store(false)
	store.short.Store(true)
	require.ErrorContains(t, c.accept(t.Context(), newSub(1)).Err, "0 answers")
	store.short.Store(false)
	require.NoError(t, c.accept(t.Context(), newSub(1)).Err)
	idle(t, c)
}

// Many come and many of them go away again: nobody is forgotten, no leader's place is lost.
func TestCollectorUnderATraffic(t *testing.T) {
	store := &pausedIntake{}
	c := &collector{store: store, rung: func(context.Context) {}}
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for k := range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				if (i+k)%3 == 0 {
					go cancel()
				}
				a := c.accept(ctx, newSub(i*1000+k))
				cancel()
				if a.Err != nil && !errors.Is(a.Err, context.Canceled) {
					t.Errorf("%v", a.Err)
				}
			}
		})
	}
	wg.Wait()
	idle(t, c)
}

type countedWork struct {
	results.Work
	n      atomic.Int64
	asked  atomic.Int32
	broken atomic.Bool
}

func (c *countedWork) Counts(context.Context, string) (results.Counts, error) {
	c.asked.Add(1)
	if c.broken.Load() {
		return results.Counts{}, results.ErrAway
	}
	return results.Counts{ByState: map[results.JobState]int64{results.Accepted: c.n.Load(), results.Done: 1_000_000}}, nil
}

func TestWaitingCountsOnceASecond(t *testing.T) {
	work := &countedWork{}
	work.n.Store(5)
	now := time.Now()
	w := &waiting{store: work, clock: func() time.Time { return now }}
	for range 10 {
		n, err := w.jobs(t.Context(), "t")
		require.NoError(t, err)
		require.EqualValues(t, 5, n, "finished jobs wait for nothing")
	}
	require.EqualValues(t, 1, work.asked.Load())
	work.n.Store(6)
	now = now.Add(2 * countTTL)
	n, err := w.jobs(t.Context(), "t")
	require.NoError(t, err)
	require.EqualValues(t, 6, n)
	work.broken.Store(true)
	now = now.Add(2 * countTTL)
	_, err = w.jobs(t.Context(), "t")
	require.ErrorIs(t, err, results.ErrAway)
}
