package core

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func one(v string) func(context.Context) (string, int64, error) {
	return func(context.Context) (string, int64, error) { return v, 1, nil }
}

func TestShelfMakesOnce(t *testing.T) {
	s := newShelf[string](10, 0, nil)
	began, finish := make(chan struct{}), make(chan struct{})
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			v, release, err := s.take(t.Context(), "k", func(context.Context) (string, int64, error) {
				close(began) // twice would panic
				<-finish
				return "v", 1, nil
			})
			require.NoError(t, err)
			require.Equal(t, "v", v)
			release()
			release() // twice is once
		})
	}
	<-began
	close(finish)
	wait.Wait()
	require.EqualValues(t, 1, s.made)
}

// What does not fit is put away, the least recently used first, but never while somebody uses it.
func TestShelfPutsAwayUnused(t *testing.T) {
	var dropped []string
	s := newShelf(2, 0, func(v string) { dropped = append(dropped, v) })
	_, releaseA, err := s.take(t.Context(), "a", one("a"))
	require.NoError(t, err)
	for _, k := range []string{"b", "c", "d"} {
		_, release, err := s.take(t.Context(), k, one(k))
		require.NoError(t, err)
		release()
	}
	require.Equal(t, []string{"b"}, dropped, "a is in use")
	releaseA()
	require.Equal(t, []string{"b", "a"}, dropped)
	_, release, err := s.take(t.Context(), "c", func(context.Context) (string, int64, error) { return "", 0, errBoom })
	require.NoError(t, err, "c is kept")
	release()
	s.forget(func(string) bool { return true })
	require.ElementsMatch(t, []string{"b", "a", "c", "d"}, dropped)
	require.Zero(t, s.cost)
}

func TestShelfForgets(t *testing.T) {
	now := time.Now()
	s := newShelf[string](100, time.Minute, nil)
	s.now = func() time.Time { return now }
	for _, k := range []string{"t|a|1", "t|a|2", "t|ab|3"} {
		_, release, err := s.take(t.Context(), k, one(k))
		require.NoError(t, err)
		release()
	}
	s.forget(func(key string) bool { return isOf(key, "t", "a") })
	require.Len(t, s.slots, 1)
	now = now.Add(2 * time.Minute)
	_, release, err := s.take(t.Context(), "t|c|4", one("4"))
	require.NoError(t, err)
	release()
	require.Len(t, s.slots, 1, "nobody asked for it")
	require.EqualValues(t, 1, s.cost)

	// Forgotten while it is made: the maker gets it, nobody after it.
	_, release, err = s.take(t.Context(), "t|d|5", func(context.Context) (string, int64, error) {
		s.forget(func(key string) bool { return strings.HasPrefix(key, "t|d|") })
		return "5", 1, nil
	})
	require.NoError(t, err)
	release()
	require.Len(t, s.slots, 1)
	require.EqualValues(t, 1, s.cost)
}

func TestShelfErrors(t *testing.T) {
	s := newShelf[string](10, 0, nil)
	_, _, err := s.take(t.Context(), "k", func(context.Context) (string, int64, error) { return "", 0, errBoom })
	require.ErrorIs(t, err, errBoom)
	require.Empty(t, s.slots)
	require.Panics(t, func() {
		_, _, _ = s.take(t.Context(), "k", func(context.Context) (string, int64, error) { panic("x") })
	})
	require.Empty(t, s.slots)

	// The maker goes away: who waits makes it itself.
	gone, cancel := context.WithCancel(t.Context())
	began := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		_, _, err := s.take(gone, "k", func(ctx context.Context) (string, int64, error) { close(began); <-ctx.Done(); return "", 0, ctx.Err() })
		done <- err
	}()
	<-began
	short, end := context.WithCancel(t.Context())
	end()
	_, _, err = s.take(short, "k", one("v"))
	require.ErrorIs(t, err, context.Canceled, "nobody waits longer than he may")
	waits := make(chan string, 1)
	go func() {
		v, release, err := s.take(t.Context(), "k", one("mine"))
		if err == nil {
			release()
		}
		waits <- v
	}()
	require.Eventually(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.slots["k"].users == 2 }, time.Minute, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.Equal(t, "mine", <-waits)
}
