package bench

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

func TestSeriesCountsEveryClip(t *testing.T) {
	s := newSeries(3)
	require.Zero(t, s.typical())
	for _, v := range []float64{400, 410, 900} { // one run that something else slowed down
		s.add(0, v)
	}
	for _, v := range []float64{1200, 1210, 1190} {
		s.add(1, v)
	}
	require.InDelta(t, (410+1200)/2., s.typical(), 1e-9, "one median over all would be 900")
	low, high := s.ends()
	require.InDelta(t, 400, low, 0)
	require.InDelta(t, 1210, high, 0)
}

func TestComparisonWithTheNaivePipeline(t *testing.T) {
	verdict := func(face, live pipeline.Outcome) pipeline.Verdict {
		return pipeline.Verdict{Checks: map[pipeline.CheckName]pipeline.Check{pipeline.CheckFace: {Outcome: face}, pipeline.CheckLiveness: {Outcome: live}}}
	}
	j := &prepared{person: pipeline.File("p.jpg")}
	j.job.Media = pipeline.File("clip.mp4")
	says := func(face, live string, ms float64) Naive {
		return func(context.Context, pipeline.Media, pipeline.Media) (NaiveVerdict, error) {
			return NaiveVerdict{Face: face, Live: live, CPUMS: ms, Stages: map[string]float64{"decode": ms / 2}}, nil
		}
	}
	var c comparison
	require.NoError(t, c.run(t.Context(), nil, j, pipeline.Verdict{}, 0))
	require.Nil(t, c.result(), "not asked for")
	require.NoError(t, c.run(t.Context(), says("pass", "pass", 4000), j, verdict(pipeline.Pass, pipeline.Pass), 1000))
	require.NoError(t, c.run(t.Context(), says("fail", "pass", 6000), j, verdict(pipeline.Uncertain, pipeline.Pass), 1000))
	require.NoError(t, c.run(t.Context(), says("pass", "fail", 5000), j, verdict(pipeline.Pass, pipeline.Pass), 1000))
	require.NoError(t, c.run(t.Context(), says("pass", "pass", 5000), j, verdict(pipeline.Fail, pipeline.Pass), 1000))
	b := c.result()
	require.InDelta(t, 5, b.CPUSPerClip, 1e-9)
	require.InDelta(t, .5, b.SameDecisions, 1e-9)
	require.Equal(t, 4, b.Clips)
	require.Equal(t, Pair{File: "clip.mp4", NaiveMS: 4000, OnsiteMS: 1000}, b.Each[0])
	require.InDelta(t, 2500, b.Stages["decode"], 1e-9)
	require.Equal(t, []string{"clip.mp4: liveness pass, naive fail", "clip.mp4: face fail, naive pass"}, b.Differ)
	broken := func(context.Context, pipeline.Media, pipeline.Media) (NaiveVerdict, error) {
		return NaiveVerdict{}, errors.New("no")
	}
	require.ErrorContains(t, c.run(t.Context(), broken, j, pipeline.Verdict{}, 0), "clip.mp4")
}

func TestCompareWithAnEarlierRun(t *testing.T) {
	old := Result{CPUSPerClip: 2, BareDecodeMS: 500, Stages: map[string]float64{"face": 200, "gone": 5}}
	raw, err := json.Marshal(old)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "old.json")
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	r := Result{CPUSPerClip: 3, BareDecodeMS: 1000, Stages: map[string]float64{"face": 300, "new": 1}}
	require.NoError(t, r.Compare(path))
	require.Equal(t, &Compared{With: path, Machine: 2, Stages: map[string]float64{"face": 1.5}, Total: 1.5, Fair: .75}, r.Compared)
	r.Files = []string{"other.mp4"}
	require.ErrorContains(t, r.Compare(path), "other clips")
	require.NoError(t, os.WriteFile(path, []byte(`{"images": 3}`), 0o600))
	require.ErrorContains(t, r.Compare(path), "no CPU time")
	require.Error(t, r.Compare(path+".gone"))
}
