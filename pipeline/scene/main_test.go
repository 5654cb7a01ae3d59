package scene

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

func TestMain(m *testing.M) {
	gocv.SetNumThreads(1) // as the program does
	goleak.VerifyTestMain(m)
}

// decoder runs the real decoder child.
func decoder(t testing.TB) Decode {
	t.Helper()
	d, err := media.NewDecoder(media.Options{})
	require.NoError(t, err, "the tests need the decoder child: run `make build` first")
	return func(ctx context.Context, m pipeline.Media) (*media.Clip, error) {
		return d.Decode(ctx, m, media.DefaultRequest())
	}
}

// textModels opens the real text models.
func textModels(t testing.TB) Models {
	t.Helper()
	o := models.DefaultOptions()
	o.Tasks = []models.Task{models.TextDetect, models.TextRecognize}
	set, err := models.Open(o)
	require.NoError(t, err, "the tests need the models: run `make setup` first")
	t.Cleanup(func() { require.NoError(t, set.Close()) })
	return set
}

// evalDir is the evaluation data, which is not part of the project.
func evalDir(t testing.TB, part string) string {
	t.Helper()
	dir := os.Getenv("ONSITE_EVAL")
	if dir == "" {
		t.Skip("ONSITE_EVAL names no evaluation data")
	}
	return filepath.Join(dir, part)
}

func mustDecode(t testing.TB, decode Decode, path string) *media.Clip {
	t.Helper()
	c, err := decode(context.Background(), pipeline.File(path))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}
