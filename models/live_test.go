package models

import (
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/models/manifest"
)

// eyes gives the manifest of the smallest model under a name.
func eyes(t testing.TB, name string) manifest.Manifest {
	t.Helper()
	ms, err := manifest.Builtin()
	require.NoError(t, err)
	for _, m := range ms {
		if m.Task == string(EyeState) {
			m.Name = name
			return m
		}
	}
	require.Fail(t, "there is no model for eye_state")
	return manifest.Manifest{}
}

// Models are swapped 200 times while jobs run: every job sees one set from its beginning to its end, none is refused, the replaced sets are
// closed, and the process does not grow.
func TestSwapUnderLoad(t *testing.T) {
	o := DefaultOptions()
	o.Tasks = []Task{FaceLandmark}
	base, err := Open(o)
	require.NoError(t, err)
	defer func() { require.NoError(t, base.Close()) }()
	man := eyes(t, "")
	next := func(n int) *Set {
		man.Name = fmt.Sprint("eyes ", n)
		one, err := OpenManifests(DefaultOptions(), man)
		require.NoError(t, err)
		require.NoError(t, one.Warm(t.Context()))
		both, err := Compose(base, one)
		require.NoError(t, err)
		require.NoError(t, one.Close())
		return both
	}
	live := NewLive(next(0))

	begin := make(chan struct{}) // each swap meets jobs that have just begun, and the machine is left some time
	var jobs atomic.Int64
	var wait sync.WaitGroup
	const callers = 3
	errs := make(chan error, callers)
	for range callers {
		wait.Go(func() { errs <- work(t, live, begin, &jobs) })
	}
	before := 0
	for n := range 200 {
		fresh := next(n + 1)
		for range callers {
			begin <- struct{}{}
		}
		old, err := live.Swap(fresh)
		require.NoError(t, err)
		require.NoError(t, old.Wait(t.Context()), "its jobs end")
		if n == 40 { // the allocator has what it wants by then
			debug.FreeOSMemory()
			before = residentMB(t)
		}
	}
	debug.FreeOSMemory()
	trim()
	after := residentMB(t)
	close(begin)
	wait.Wait()
	for range callers {
		require.NoError(t, <-errs)
	}
	require.NoError(t, live.Close())
	require.NoError(t, live.Close(), "closing twice is nothing")
	t.Logf("%d jobs over 200 swaps; resident after 40: %d MB, after 200: %d MB", jobs.Load(), before, after)
	require.EqualValues(t, 200*callers, jobs.Load())
	require.Less(t, after-before, 24)

	_, _, err = live.Use()
	require.ErrorIs(t, err, ErrClosed)
	last := next(201)
	_, err = live.Swap(last)
	require.ErrorIs(t, err, ErrClosed)
	require.True(t, last.closed.Load(), "a set that comes too late is not leaked")
}

// work runs a job for each beginning; each makes several calls and must find the set as it was.
func work(t *testing.T, live *Live, begin <-chan struct{}, jobs *atomic.Int64) error {
	var first error
	for range begin {
		if err := job(t, live); err != nil && first == nil {
			first = err
		}
		jobs.Add(1)
	}
	return first
}

func job(t *testing.T, live *Live) error {
	set, done, err := live.Use()
	if err != nil {
		return err
	}
	name := set.Ref(EyeState).Name
	for range 3 {
		if _, err = set.EyeOpen(t.Context(), Pattern(24, 24, 1, 1)); err != nil {
			break
		}
		if _, err = set.Landmarks(t.Context(), Pattern(64, 64, 1, 1)); err != nil {
			break
		}
	}
	if err == nil && set.Ref(EyeState).Name != name {
		err = fmt.Errorf("a job began with %s and ended with %s", name, set.Ref(EyeState).Name)
	}
	done()
	done() // once too often is nothing
	return err
}

// A set in use outlives its replacement.
func TestSwapWaitsForItsUsers(t *testing.T) {
	open := func(name string) *Set {
		s, err := OpenManifests(DefaultOptions(), eyes(t, name))
		require.NoError(t, err)
		return s
	}
	live := NewLive(open("first"))
	set, done, err := live.Use()
	require.NoError(t, err)
	old, err := live.Swap(open("second"))
	require.NoError(t, err)
	require.Equal(t, "first", set.Ref(EyeState).Name)
	_, err = set.EyeOpen(t.Context(), Pattern(24, 24, 1, 1))
	require.NoError(t, err, "the job in flight finishes on the old set")
	select {
	case <-old.t.gone:
		require.Fail(t, "the old set was closed under its user")
	default:
	}
	done()
	require.NoError(t, old.Wait(t.Context()))
	_, err = set.EyeOpen(t.Context(), Pattern(24, 24, 1, 1))
	require.ErrorIs(t, err, ErrClosed)
	require.NoError(t, live.Close())
}
