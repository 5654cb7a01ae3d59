package models

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// openBatched gives the installed models, run in batches of up to n.
func openBatched(t testing.TB, n int, delay time.Duration, tasks ...Task) *Set {
	t.Helper()
	o := DefaultOptions()
	o.Tasks, o.Batch, o.BatchDelay = tasks, n, delay
	s, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// rawOf runs a task on pictures side by side and gives the raw outputs of each.
func rawOf(t *testing.T, s *Set, task Task, imgs []Image) [][][]float32 {
	t.Helper()
	m, err := s.model(task)
	require.NoError(t, err)
	out, errs := make([][][]float32, len(imgs)), make([]error, len(imgs))
	var wait sync.WaitGroup
	for i, img := range imgs {
		wait.Go(func() {
			errs[i] = m.picture(t.Context(), img, func(o [][]float32, _, _ int) error {
				for _, v := range o {
					out[i] = append(out[i], append([]float32(nil), v...))
				}
				return nil
			})
		})
	}
	wait.Wait()
	require.NoError(t, errors.Join(errs...))
	return out
}

// Every value that a batch gives is the one that a single run gives, for every model that takes pictures, whatever else is in the batch.
func TestBatchGivesWhatSingleRunsGive(t *testing.T) {
	one := open(t)
	s := openBatched(t, 3, time.Hour) // a batch leaves when it is full
	for _, task := range s.Tasks() {
		m := s.models[task]
		if !m.how.batched() {
			continue
		}
		t.Run(string(task), func(t *testing.T) {
			require.NoError(t, s.Check(t.Context(), task))
			w, h := m.man.Input.Width, m.man.Input.Height
			imgs := make([]Image, 3)
			for i := range imgs {
				wide := w
				if w == 0 {
					wide = 96 + 64*(i/2) // two of one size and one of another
				}
				high := h
				if h == 0 {
					high = 64
				}
				imgs[i] = Pattern(wide, high, m.man.Channels(), uint32(3+i))
			}
			want := rawOf(t, one, task, imgs)
			got := rawOf(t, s, task, imgs)
			for i := range imgs {
				for k := range want[i] {
					require.Len(t, got[i][k], len(want[i][k]))
					for j, v := range want[i][k] {
						if d := math.Abs(float64(got[i][k][j] - v)); d > 1e-5*max(1, math.Abs(float64(v))) {
							t.Fatalf("picture %d, output %d[%d]: %g in a batch, %g by itself", i, k, j, got[i][k][j], v)
						}
					}
				}
			}
			st := s.Batches()[task]
			require.Equal(t, int64(1), st.Batches)
			require.Equal(t, int64(3), st.Items)
		})
	}
	require.Len(t, s.Batches(), 10)
}

// Callers of all kinds at once, some of whom leave: each gets his own answer, and closing waits for all.
func TestBatchesUnderLoad(t *testing.T) {
	s := openBatched(t, 8, 200*time.Microsecond, EyeState)
	require.NoError(t, s.Warm(t.Context()))
	one := open(t, EyeState)
	var want [5]float32
	for i := range want {
		v, err := one.EyeOpen(t.Context(), Pattern(24, 24, 1, uint32(i)))
		require.NoError(t, err)
		want[i] = v
	}
	var wait sync.WaitGroup
	for g := range 8 {
		wait.Go(func() {
			for n := range 40 {
				k := (g + n) % len(want)
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if n%9 == 4 {
					ctx, cancel = context.WithTimeout(ctx, 50*time.Microsecond)
				}
				got, err := s.EyeOpen(ctx, Pattern(24, 24, 1, uint32(k)))
				cancel()
				if err != nil && !errors.Is(err, context.DeadlineExceeded) || err == nil && got != want[k] {
					t.Errorf("got %g, %v, want %g", got, err, want[k])
				}
			}
		})
	}
	wait.Wait()
	require.NoError(t, s.Close())
	_, err := s.EyeOpen(t.Context(), Pattern(24, 24, 1, 1))
	require.ErrorIs(t, err, ErrClosed)
}

// BenchmarkBatch is one picture's share of a full batch on the processor, by batch size: what a batcher costs or gains there.
func BenchmarkBatch(b *testing.B) {
	for _, task := range []Task{FaceEmbed, EyeState, Liveness} {
		for _, n := range []int{1, 4, 16} {
			b.Run(string(task)+"/"+string(rune('0'+n/10))+string(rune('0'+n%10)), func(b *testing.B) {
				s := openBatched(b, max(n, 2), 0, task)
				require.NoError(b, s.Warm(b.Context()))
				m := s.models[task]
				imgs := make([]Image, n)
				for i := range imgs {
					imgs[i] = Pattern(m.man.Input.Width, m.man.Input.Height, m.man.Channels(), uint32(i))
				}
				before := cpuSeconds(b)
				for b.Loop() {
					parts, err := m.runTogether(imgs)
					if err != nil {
						b.Fatal(err)
					}
					for _, p := range parts {
						p.release()
					}
				}
				b.ReportMetric(1000*(cpuSeconds(b)-before)/float64(b.N*n), "cpu-ms/picture")
			})
		}
	}
}
