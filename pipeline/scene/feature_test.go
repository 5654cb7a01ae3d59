package scene

import (
	"context"
	"image"
	"image/color"
	"testing"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"
	"golang.org/x/sys/unix"

	"onsite/models"
	"onsite/pipeline"
)

// featureModels opens the real models of the features.
func featureModels(t testing.TB) *models.Set {
	t.Helper()
	o := models.DefaultOptions()
	o.Tasks = []models.Task{models.TextDetect, models.TextRecognize, models.ObjectDetect, models.SceneEmbed}
	set, err := models.Open(o)
	require.NoError(t, err, "the tests need the models: run `make setup` first")
	t.Cleanup(func() { require.NoError(t, set.Close()) })
	return set
}

// write puts a line of dark letters on a picture.
func write(t testing.TB, m gocv.Mat, at image.Point) {
	t.Helper()
	require.NoError(t, gocv.PutText(&m, "OPEN 24 HOURS", at, gocv.FontHersheySimplex, 1.6, color.RGBA{R: 20, G: 20, B: 20}, 4))
}

// cpuMS is the CPU time of this process in milliseconds.
func cpuMS(b *testing.B) float64 {
	b.Helper()
	var u unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6
}

func TestFeaturesOfASign(t *testing.T) {
	x := NewExtractor(featureModels(t))
	m := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(200, 180, 160, 0), 480, 640, gocv.MatTypeCV8UC3)
	defer m.Close()
	f, err := x.Features(t.Context(), m, Everything)
	require.NoError(t, err)
	require.Zero(t, f.Text.Boxes)
	require.Len(t, f.Text.Values(), 9)
	require.Len(t, f.Office, 24)
	require.Len(t, f.OfficeMean, 576)
	require.Len(t, f.COCO, 80)
	require.Len(t, f.COCOPool, 960)
	require.Len(t, f.TextPool, 384)
	require.Len(t, f.Embedding, 528)
	require.Len(t, f.Model, 64)

	write(t, m, image.Pt(60, 300))
	g, err := x.Features(t.Context(), m, Want{Text: true})
	require.NoError(t, err)
	require.Nil(t, g.Office)
	require.Nil(t, g.Embedding)
	require.Positive(t, g.Text.Boxes)
	require.Greater(t, g.Text.CentreY, .5, "the text stands in the lower half")
	require.Greater(t, g.Text.Widest, g.Text.Tallest)
	require.Less(t, g.Text.Area, .5)

	empty := gocv.NewMat()
	defer empty.Close()
	_, err = x.Features(t.Context(), empty, Everything)
	require.ErrorContains(t, err, "empty")
}

// sceneFake answers with fixed detections.
type sceneFake struct {
	Models
	objects, coco models.Objects
	vector        models.Vector
}

func (f sceneFake) DetectObjects(context.Context, models.Image) (models.Objects, error) {
	return f.objects, nil
}

func (f sceneFake) EmbedScene(context.Context, models.Image) (models.Vector, models.Objects, error) {
	return f.vector, f.coco, nil
}

func (f sceneFake) InputSize(models.Task) (int, int) { return 32, 32 }

func (f sceneFake) Labels(t models.Task) []string {
	if t == models.ObjectDetect {
		return []string{"background", "computer monitor", "desk"}
	}
	return []string{"person", "tv"}
}

func TestFeaturesSpeakOnsitesWords(t *testing.T) {
	box := models.Box{X1: .25, Y1: .5, X2: .5, Y2: 1, Score: .8}
	x := NewExtractor(sceneFake{
		objects: models.Objects{Found: []models.Detection{{Box: box, Class: 1}, {Box: box, Class: 2}, {Box: box, Class: 9}}},
		coco:    models.Objects{Found: []models.Detection{{Box: box, Class: 1}}},
	})
	m := gocv.NewMatWithSize(100, 200, gocv.MatTypeCV8UC3)
	defer m.Close()
	f, err := x.Features(t.Context(), m, Want{Office: true, Scene: true})
	require.NoError(t, err)
	want := pipeline.Box{X: 50, Y: 50, W: 50, H: 50}
	for i, c := range []Object{{ObjectScreen, 0, want, models.ObjectDetect}, {ObjectDesk, 0, want, models.ObjectDetect}, {ObjectScreen, 0, want, models.SceneEmbed}} {
		require.Equal(t, c.Class, f.Objects[i].Class)
		require.Equal(t, c.Box, f.Objects[i].Box)
		require.Equal(t, c.By, f.Objects[i].By)
		require.InDelta(t, .8, f.Objects[i].Score, 1e-6)
	}
	require.Len(t, f.Objects, 3, "a class without a label is no object")
}

// BenchmarkFeatures is the price of each pass on a 720p frame, one thread.
func BenchmarkFeatures(b *testing.B) {
	x := NewExtractor(featureModels(b))
	m := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(200, 180, 160, 0), 720, 1280, gocv.MatTypeCV8UC3)
	defer m.Close()
	write(b, m, image.Pt(100, 400))
	for _, c := range []struct {
		name string
		want Want
	}{{"office", Want{Office: true}}, {"scene", Want{Scene: true}}, {"text", Want{Text: true}}} {
		b.Run(c.name, func(b *testing.B) {
			_, err := x.Features(b.Context(), m, c.want)
			require.NoError(b, err)
			before := cpuMS(b)
			for b.Loop() {
				if _, err := x.Features(b.Context(), m, c.want); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((cpuMS(b)-before)/float64(b.N), "cpu-ms/op")
		})
	}
}
