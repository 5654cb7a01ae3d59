// Package objecttest holds what every object.Store must do.
package objecttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results/object"
)

// Subject is what is tested.
type Subject struct {
	// Store is empty when a test begins.
	Store object.Store
	// Unfinished lists what is left of Puts that failed, for the given key: files, parts of uploads.
	Unfinished func(t *testing.T, key string) []string
}

// Run tests an implementation. open gives an empty store.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s Subject)
	}{
		{"gives back what was put", roundTrip},
		{"replaces", replaces},
		{"refuses keys that are none", refusesKeys},
		{"says what is not there", notThere},
		{"leaves nothing of a reader that failed", failedReader},
		{"leaves nothing of a wrong size", wrongSize},
		{"leaves nothing when the context ends", cancelled},
		{"lists in order", lists},
		{"never shows a part", neverAPart},
		{"takes puts and deletes side by side", sideBySide},
		{"pings", pings},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// noise is n bytes that do not compress and are the same every time.
func noise(n int, seed byte) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

// only hides everything of a reader but Read, so that no store can look at its size.
func only(r io.Reader) io.Reader { return struct{ io.Reader }{r} }

func get(t *testing.T, s object.Store, key string) []byte {
	t.Helper()
	r, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return b
}

func keys(t *testing.T, s object.Store, prefix string) []string {
	t.Helper()
	found := []string{}
	require.NoError(t, s.List(t.Context(), prefix, func(i object.Info) error {
		found = append(found, i.Key)
		return nil
	}))
	return found
}

// theKey is the object of tests that need one only.
const theKey = "t/e1/a"

// nothing says that the store holds nothing, nor does anything unfinished lie about.
func nothing(t *testing.T, s Subject) {
	t.Helper()
	_, err := s.Store.Get(t.Context(), theKey)
	require.ErrorIs(t, err, object.ErrNotFound)
	require.Empty(t, keys(t, s.Store, ""))
	require.Empty(t, s.Unfinished(t, theKey))
}

// The sizes around which a store may change its way: nothing, a buffer, a part, several parts.
var sizes = []int{0, 1, 256 << 10, 5<<20 - 1, 5 << 20, 5<<20 + 1, 11<<20 + 5}

func roundTrip(t *testing.T, s Subject) {
	for _, n := range sizes {
		plain := noise(n, 1)
		for _, known := range []bool{true, false} {
			size := int64(-1)
			if known {
				size = int64(n)
			}
			key := fmt.Sprintf("t/e1/%d-%v", n, known)
			require.NoError(t, s.Store.Put(t.Context(), key, only(bytes.NewReader(plain)), size), key)
			require.Equal(t, sha256.Sum256(plain), sha256.Sum256(get(t, s.Store, key)), key)
			require.Empty(t, s.Unfinished(t, key))
		}
	}
}

func replaces(t *testing.T, s Subject) {
	const key = theKey
	for _, n := range []int{5<<20 + 1, 10, 0, 3} {
		plain := noise(n, byte(n))
		require.NoError(t, s.Store.Put(t.Context(), key, bytes.NewReader(plain), int64(n)))
		require.True(t, bytes.Equal(plain, get(t, s.Store, key)), n)
	}
	require.Equal(t, []string{key}, keys(t, s.Store, ""))
}

func refusesKeys(t *testing.T, s Subject) {
	for _, key := range []string{"", "a", "a/b", "a/b/c/d", "/b/c", "a//c", "a/b/", "../b/c", "a/../c", "a/b/..", "a/./c", "a/b/.", `a/b\..\c/d`, `a/b/c\d`,
		"a/b/c d", "a/b/c\x00", "a/b/c\n", "a/b/ü", "a/b/%2e%2e", "a/b/" + strings.Repeat("x", 300), "a/b/*", "~/b/c$"} {
		ctx := t.Context()
		require.ErrorIs(t, s.Store.Put(ctx, key, strings.NewReader("x"), 1), object.ErrKey, "%q", key)
		_, err := s.Store.Get(ctx, key)
		require.ErrorIs(t, err, object.ErrKey, "%q", key)
		require.ErrorIs(t, s.Store.Delete(ctx, key), object.ErrKey, "%q", key)
	}
	require.Empty(t, keys(t, s.Store, ""))
	// And takes the odd ones that are some: pseudo-subjects, dots that lead nowhere.
	for _, key := range []string{"t/_site.store-17/01J", "t/_tenant/a:b", ".../.a/...", ".temp/a/b", "temp/objects/x"} {
		require.NoError(t, s.Store.Put(t.Context(), key, strings.NewReader(key), -1), key)
		require.Equal(t, key, string(get(t, s.Store, key)))
		require.NoError(t, s.Store.Delete(t.Context(), key), key)
	}
	require.Empty(t, keys(t, s.Store, ""))
}

func notThere(t *testing.T, s Subject) {
	ctx := t.Context()
	_, err := s.Store.Get(ctx, "t/e1/a")
	require.ErrorIs(t, err, object.ErrNotFound)
	require.ErrorContains(t, err, "t/e1/a")
	require.NoError(t, s.Store.Delete(ctx, "t/e1/a"))
	require.NoError(t, s.Store.Put(ctx, "t/e1/a", strings.NewReader("x"), 1))
	_, err = s.Store.Get(ctx, "t/e1/b")
	require.ErrorIs(t, err, object.ErrNotFound)
	_, err = s.Store.Get(ctx, "t/e1/a.part")
	require.ErrorIs(t, err, object.ErrNotFound)
	require.NoError(t, s.Store.Delete(ctx, "t/e1/a"))
	require.NoError(t, s.Store.Delete(ctx, "t/e1/a"))
	nothing(t, s)
}

var errBroken = errors.New("the client went away")

func failedReader(t *testing.T, s Subject) {
	const key = theKey
	for _, n := range []int{0, 100, 300 << 10, 5 << 20, 6 << 20} {
		plain := noise(n, 2)
		for _, size := range []int64{-1, 20 << 20} {
			r := io.MultiReader(bytes.NewReader(plain), iotest.ErrReader(errBroken))
			err := s.Store.Put(t.Context(), key, r, size)
			require.ErrorIs(t, err, errBroken, n)
			require.NotErrorIs(t, err, object.ErrAway, n)
			nothing(t, s)
		}
	}
	// What was there before stays.
	require.NoError(t, s.Store.Put(t.Context(), key, strings.NewReader("before"), 6))
	require.ErrorIs(t, s.Store.Put(t.Context(), key, io.MultiReader(strings.NewReader("after"), iotest.ErrReader(errBroken)), -1), errBroken)
	require.Equal(t, "before", string(get(t, s.Store, key)))
}

func wrongSize(t *testing.T, s Subject) {
	const key = theKey
	for _, n := range []int64{10, 6 << 20} {
		require.ErrorIs(t, s.Store.Put(t.Context(), key, only(bytes.NewReader(noise(int(n), 3))), n+1), object.ErrShort)
		nothing(t, s)
		require.ErrorIs(t, s.Store.Put(t.Context(), key, only(bytes.NewReader(noise(int(n), 3))), n-1), object.ErrLong)
		nothing(t, s)
	}
}

func cancelled(t *testing.T, s Subject) {
	const key = theKey
	for _, n := range []int{0, 6 << 20} {
		ctx, cancel := context.WithCancel(t.Context())
		first := bytes.NewReader(noise(n, 4))
		r := readerFunc(func(p []byte) (int, error) {
			k, err := first.Read(p)
			if errors.Is(err, io.EOF) {
				cancel()
				return 1, nil // and never an end
			}
			return k, err
		})
		require.ErrorIs(t, s.Store.Put(ctx, key, r, -1), context.Canceled)
		nothing(t, s)
		_, err := s.Store.Get(ctx, key)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, s.Store.Delete(ctx, key), context.Canceled)
		require.ErrorIs(t, s.Store.List(ctx, "", func(object.Info) error { return nil }), context.Canceled)
		cancel()
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func lists(t *testing.T, s Subject) {
	ctx := t.Context()
	// "a-b/" comes before "a/" in the order of bytes, though "a" comes before "a-b".
	want := []string{"a-b/e/1", "a/e-2/1", "a/e/1", "a/e/10", "a/e/2", "a/e1/1", "b/e/1"}
	for _, key := range []string{"b/e/1", "a/e/2", "a/e1/1", "a/e/10", "a-b/e/1", "a/e-2/1", "a/e/1"} {
		require.NoError(t, s.Store.Put(ctx, key, strings.NewReader(key), -1))
	}
	begun := time.Now()
	require.Equal(t, want, keys(t, s.Store, ""))
	require.Equal(t, want[1:6], keys(t, s.Store, "a/"))
	require.Equal(t, want[:6], keys(t, s.Store, "a"))
	require.Equal(t, []string{"a/e/1", "a/e/10", "a/e/2"}, keys(t, s.Store, "a/e/"))
	require.Equal(t, []string{"a/e/1", "a/e/10"}, keys(t, s.Store, "a/e/1"))
	require.Equal(t, []string{"b/e/1"}, keys(t, s.Store, "b/e/1"))
	require.Empty(t, keys(t, s.Store, "c"))
	require.Empty(t, keys(t, s.Store, "b/e/1/"))
	require.NoError(t, s.Store.List(ctx, "b/", func(i object.Info) error {
		require.EqualValues(t, 5, i.Bytes)
		require.WithinDuration(t, begun, i.Changed, time.Minute)
		require.Equal(t, time.UTC, i.Changed.Location())
		return nil
	}))
	stop := errors.New("enough")
	seen := 0
	require.ErrorIs(t, s.Store.List(ctx, "", func(object.Info) error {
		if seen++; seen == 2 {
			return stop
		}
		return nil
	}), stop)
	require.Equal(t, 2, seen)
	// Deleting what is listed is allowed.
	require.NoError(t, s.Store.List(ctx, "", func(i object.Info) error { return s.Store.Delete(ctx, i.Key) }))
	require.Empty(t, keys(t, s.Store, ""))
}

func neverAPart(t *testing.T, s Subject) {
	const key, n, rounds = theKey, 5<<20 + 1, 2
	ctx := t.Context()
	allowed := map[[32]byte]bool{}
	contents := make([][]byte, 0, 2)
	for seed := range byte(2) {
		c := noise(n, seed)
		contents = append(contents, c)
		allowed[sha256.Sum256(c)] = true
	}
	require.NoError(t, s.Store.Put(ctx, key, bytes.NewReader(contents[0]), n))
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	fail := make(chan error, 16)
	for _, c := range contents {
		writers.Go(func() {
			for range rounds {
				if err := s.Store.Put(ctx, key, only(bytes.NewReader(c)), -1); err != nil {
					fail <- err
					return
				}
			}
		})
	}
	readers.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			r, err := s.Store.Get(ctx, key)
			if err != nil {
				fail <- err
				return
			}
			h := sha256.New()
			_, err = io.Copy(h, r)
			r.Close()
			if err != nil {
				fail <- err
				return
			}
			if !allowed[[32]byte(h.Sum(nil))] {
				fail <- errors.New("a reader saw a part")
				return
			}
		}
	})
	writers.Wait()
	close(done)
	readers.Wait()
	close(fail)
	for err := range fail {
		require.NoError(t, err)
	}
}

func sideBySide(t *testing.T, s Subject) {
	ctx := t.Context()
	var wg sync.WaitGroup
	fail := make(chan error, 64)
	for w := range 8 {
		wg.Go(func() {
			for i := range 25 {
				key := fmt.Sprintf("t/e%d/%d-%d", i%2, w, i) // subjects whose folder is empty time and again
				err := s.Store.Put(ctx, key, strings.NewReader(key), -1)
				if err == nil {
					err = s.Store.Delete(ctx, key)
				}
				if err != nil {
					fail <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(fail)
	for err := range fail {
		require.NoError(t, err)
	}
	require.Empty(t, keys(t, s.Store, ""))
}

func pings(t *testing.T, s Subject) {
	require.NoError(t, s.Store.Ping(t.Context()))
	require.Empty(t, keys(t, s.Store, ""))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, s.Store.Ping(ctx))
}
