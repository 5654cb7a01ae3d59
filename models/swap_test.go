package models

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/models/manifest"
)

// swapper is a process in small: a Set in use that is replaced while jobs run. A job takes part in it by composing its own Set of it, so that
// the sessions live until the last job that began on them has ended.
type swapper struct {
	base *Set // what does not change
	man  manifest.Manifest
	now  atomic.Pointer[Set]
	jobs atomic.Int64
}

func newSwapper(t testing.TB, swapped Task, tasks ...Task) *swapper {
	o := DefaultOptions()
	o.Tasks = tasks
	base, err := Open(o)
	require.NoError(t, err)
	ms, err := manifest.Builtin()
	require.NoError(t, err)
	s := &swapper{base: base}
	for _, m := range ms {
		if m.Task == string(swapped) {
			s.man = m
		}
	}
	s.now.Store(s.next(t, 0))
	return s
}

// next loads the swapped model anew, under another name.
func (s *swapper) next(t testing.TB, n int) *Set {
	s.man.Name = fmt.Sprint("model ", n)
	one, err := OpenManifests(DefaultOptions(), s.man)
	require.NoError(t, err)
	require.NoError(t, one.Warm(t.Context()))
	both, err := Compose(s.base, one)
	require.NoError(t, err)
	require.NoError(t, one.Close())
	return both
}

// job runs some calls on the set that is in use when it begins, and to its end.
func (s *swapper) job(run func(*Set) error) error {
	for {
		mine, err := Compose(s.now.Load())
		if errors.Is(err, ErrClosed) { // replaced in this moment: the next one is there
			continue
		}
		if err != nil {
			return err
		}
		task := Task(s.man.Task)
		name := mine.Ref(task).Name
		err = run(mine)
		if err == nil && mine.Ref(task).Name != name {
			err = fmt.Errorf("a job began with %s and ended with %s", name, mine.Ref(task).Name)
		}
		s.jobs.Add(1)
		return errors.Join(err, mine.Close())
	}
}

// swap replaces the set n times under jobs of several callers that begin with each, and gives the memory in MB after a fifth of the swaps,
// when the allocator has what it wants, and after the last.
func (s *swapper) swap(t testing.TB, swaps, callers int, run func(*Set) error) (early, late int) {
	begin := make(chan struct{}) // each swap meets jobs that have just begun, and the machine is left some time
	errs := make(chan error, callers)
	var wait sync.WaitGroup
	for range callers {
		wait.Go(func() {
			var first error
			for range begin {
				if err := s.job(run); first == nil {
					first = err
				}
			}
			errs <- first
		})
	}
	for n := range swaps {
		fresh := s.next(t, n+1)
		for range callers {
			begin <- struct{}{}
		}
		require.NoError(t, s.now.Swap(fresh).Close())
		if n == swaps/5 {
			debug.FreeOSMemory()
			trim()
			early = residentMB(t)
		}
	}
	debug.FreeOSMemory()
	trim()
	late = residentMB(t)
	close(begin)
	wait.Wait()
	for range callers {
		require.NoError(t, <-errs)
	}
	last := s.now.Load()
	require.NoError(t, last.Close())
	require.NoError(t, s.base.Close())
	for task, m := range last.models {
		require.True(t, m.closed, "nobody uses %s any more", task)
	}
	return early, late
}

// Models are swapped 200 times while jobs run: every job sees one set from its beginning to its end, none is refused, the replaced sets are
// freed, and the process does not grow.
func TestSwapUnderLoad(t *testing.T) {
	s := newSwapper(t, EyeState, FaceLandmark)
	early, late := s.swap(t, 200, 2, func(set *Set) error {
		for range 3 {
			if _, err := set.EyeOpen(t.Context(), Pattern(24, 24, 1, 1)); err != nil {
				return err
			}
			if _, err := set.Landmarks(t.Context(), Pattern(64, 64, 1, 1)); err != nil {
				return err
			}
		}
		return nil
	})
	require.EqualValues(t, 400, s.jobs.Load())
	t.Logf("resident after 40 swaps: %d MB, after 200: %d MB", early, late)
	require.Less(t, late-early, 24)
}

// BenchmarkSwap swaps the real embedder under jobs that detect and embed: go test ./models -run - -bench Swap -benchtime 200x. It reports the memory
// after a fifth of the swaps and after the last.
func BenchmarkSwap(b *testing.B) {
	s := newSwapper(b, FaceEmbed, FaceDetect, FaceLandmark, Liveness)
	early, late := s.swap(b, b.N, 2, func(set *Set) error {
		if _, err := set.DetectFaces(b.Context(), Pattern(320, 240, 3, 1)); err != nil {
			return err
		}
		_, err := set.Embed(b.Context(), Pattern(112, 112, 3, 1))
		return err
	})
	b.ReportMetric(float64(early), "early-MB")
	b.ReportMetric(float64(late), "late-MB")
	b.ReportMetric(float64(s.jobs.Load()), "jobs")
}

// residentMB is the memory of this process in MB.
func residentMB(t testing.TB) int {
	t.Helper()
	n := resident()
	require.Positive(t, n)
	return int(n >> 20)
}
