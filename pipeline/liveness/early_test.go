package liveness

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

func TestHalves(t *testing.T) {
	require.Empty(t, halves(0))
	for n := 1; n < 40; n++ {
		got := halves(n)
		sorted := slices.Sorted(slices.Values(got))
		require.Len(t, got, n)
		for i, v := range sorted {
			require.Equal(t, i, v)
		}
	}
	require.Equal(t, []int{0, 9, 4}, halves(10)[:3])
}

// Whatever the votes that are left say, the outcome that was settled stays.
func TestSettledIsSettled(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	cfg := DefaultConfig()
	outcome := func(b *ballot) pipeline.Outcome {
		out := pipeline.Check{Outcome: pipeline.Pass, Threshold: &cfg.Threshold, Detail: map[string]any{}}
		judgeSubject(&out, b, false, &cfg)
		return out.Outcome
	}
	random := func() vote {
		return vote{live: r.Float64(), light: 255 * r.Float64(), weight: 1 - r.Float64()}
	}
	stopped := 0
	for range 3000 {
		b := ballot{share: r.Float64()}
		bias := r.Float64()
		for range 1 + r.IntN(10) {
			v := random()
			v.live, v.light, v.weight = (v.live+3*bias)/4, 90+v.light/2, (1+v.weight)/2
			b.votes = append(b.votes, v)
		}
		left := r.IntN(6)
		if !b.settled(left, &cfg) {
			continue
		}
		stopped++
		want := outcome(&b)
		hesitates := b.hesitates(&cfg)
		for range 5 {
			more := ballot{votes: slices.Clone(b.votes)}
			for range left {
				more.votes = append(more.votes, random())
			}
			require.Equal(t, want, outcome(&more))
			require.Equal(t, hesitates, more.hesitates(&cfg), "the signs ask it")
		}
	}
	require.Greater(t, stopped, 100)
}

// Somebody beside the subject is judged at another threshold than what is settled of the subject.
func TestEarlyExitAsksAllOfTheOthersUnraced(t *testing.T) {
	live := person{live: same(0.95, 10), size: 120, x: 240, light: 120}
	for _, c := range []struct {
		live []float64
		want pipeline.Outcome
	}{
		{[]float64{0.2, 0.4, 0.4, 0.2, 0.4, 0.4, 0.4, 0.4, 0.4, 0.2}, pipeline.Pass}, // both ends and the middle say less than the rest
		{[]float64{0.4, 0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1, 0.1, 0.4}, pipeline.Fail},
	} {
		clip, found := painted(t, media.Video, 10, live, person{live: c.live, size: 90, x: 20, light: 120})
		cfg := DefaultConfig()
		cfg.MaxOthers = 10
		whole, err := Check(t.Context(), &grey{}, clip, found, &Track{}, cfg)
		require.NoError(t, err)
		cfg.EarlyExit = true
		early, err := Check(t.Context(), &grey{}, clip, found, &Track{}, cfg)
		require.NoError(t, err)
		require.Equal(t, c.want, whole.Outcome)
		require.Equal(t, c.want, early.Outcome)
		require.Equal(t, whole.Detail["others"], early.Detail["others"])
		require.NotNil(t, early.Detail["stopped_early"], "of the subject something is settled")
	}
}

func TestEarlyExitAsksLessUnraced(t *testing.T) {
	for _, c := range []struct {
		live []float64
		want pipeline.Outcome
		all  bool
	}{
		{same(0.95, 10), pipeline.Pass, false},
		{same(0.05, 10), pipeline.Fail, true},
		{[]float64{0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.9}, pipeline.Pass, true},
	} {
		clip, found := painted(t, media.Video, 10, person{live: c.live, size: 120, x: 240, light: 120})
		cfg := DefaultConfig()
		cfg.MaxVotes = len(c.live)
		full, early := &grey{}, &grey{}
		a, err := Check(t.Context(), full, clip, found, &Track{}, cfg)
		require.NoError(t, err)
		cfg.EarlyExit = true
		b, err := Check(t.Context(), early, clip, found, &Track{}, cfg)
		require.NoError(t, err)
		require.Equal(t, c.want, a.Outcome)
		require.Equal(t, a.Outcome, b.Outcome)
		if b.Outcome == pipeline.Pass {
			require.Equal(t, early.calls, b.Frames, "the verdict says how many faces it rests on")
		}
		require.Nil(t, a.Detail["stopped_early"])
		if c.all {
			require.Equal(t, full.calls, early.calls)
			require.Equal(t, a, b)
		} else {
			require.Less(t, early.calls, full.calls)
			require.Equal(t, map[string]any{"faces_not_asked": full.calls - early.calls}, b.Detail["stopped_early"])
		}
	}
}
