package scene

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

func TestAreaUnderROC(t *testing.T) {
	require.InDelta(t, 1, areaUnderROC([]float64{3, 4}, []float64{1, 2}), 1e-12)
	require.InDelta(t, 0, areaUnderROC([]float64{0}, []float64{1, 2}), 1e-12)
	require.InDelta(t, .5, areaUnderROC([]float64{1}, []float64{1}), 1e-12)
	require.InDelta(t, .875, areaUnderROC([]float64{1, 2}, []float64{1, 1, 0, 0}), 1e-12)
}

func TestPlaceTable(t *testing.T) {
	yes, no := 4.0, .5
	var trials []placeTrial
	for range 3 {
		trials = append(trials, placeTrial{same: &yes, others: []float64{0, 1}})
	}
	trials = append(trials, placeTrial{same: &no, others: []float64{0, 1}}, placeTrial{others: []float64{3, 0}})
	got := placeTable(trials, 7)
	require.Equal(t, []int{7, 4, 10}, []int{got.Places, got.Queries, got.Strangers})
	require.InDelta(t, .75, *got.Top1, 1e-12)
	require.InDelta(t, .75, *got.TPRAtThreshold, 1e-12)
	require.InDelta(t, .1, *got.FMRAtThreshold, 1e-12)
	require.Nil(t, got.TPR, "ten strangers cannot show one in a hundred")
	require.LessOrEqual(t, got.AUCInterval[0], *got.AUC)
	require.GreaterOrEqual(t, got.AUCInterval[1], *got.AUC)

	for range 300 {
		trials = append(trials, placeTrial{others: []float64{0, 1}})
	}
	got = placeTable(trials, 7)
	require.InDelta(t, .75, *got.TPR, 1e-12)
	alone := placeTable([]placeTrial{{same: &yes}}, 1)
	require.Equal(t, 1, alone.Queries)
	require.Nil(t, alone.AUC, "one place has nothing to be mistaken for")
	require.Nil(t, alone.AUCInterval)
}

// colourModels gives a vector that says only what colour a picture has: a place is a colour.
type colourModels struct{ sceneFake }

func (colourModels) EmbedScene(_ context.Context, img models.Image) (models.Vector, models.Objects, error) {
	b, err := BuiltinBackground()
	v := make([]float32, len(b.Vectors[0]))
	for i, x := range img.Pix {
		v[i%3] += float32(x)
	}
	v[3] = float32(len(img.Pix)) * 40
	return models.Vector{Model: b.Model, V: unitLength(v)}, models.Objects{}, err
}

func TestBenchPlace(t *testing.T) {
	root := t.TempDir()
	paint := func(path string, b, g, r float64, corner uint8) {
		m := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(b, g, r, 0), 64, 96, gocv.MatTypeCV8UC3)
		defer m.Close()
		m.SetUCharAt(0, 0, corner) // other bytes, the same place
		raw, err := gocv.IMEncode(".png", m)
		require.NoError(t, err)
		defer raw.Close()
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, raw.GetBytes(), 0o600))
	}
	paint("places/red/1.png", 0, 0, 250, 1)
	paint("places/red/2.png", 0, 0, 250, 2)
	paint("places/red/3.png", 0, 5, 250, 3)
	paint("places/blue/1.png", 250, 0, 0, 1)
	paint("places/blue/2.png", 250, 0, 0, 2)
	paint("others/a/1.png", 0, 250, 0, 1)
	paint("others/a/2.png", 0, 0, 250, 1) // the very file of red/1
	decode := decoder(t)
	dec := func(ctx context.Context, m pipeline.Media) (*media.Clip, error) { return decode(ctx, m) }
	steps := 0
	got, err := BenchPlace(t.Context(), filepath.Join(root, "places"), PlaceOptions{Others: filepath.Join(root, "others"), Revisits: 10, Progress: func(_, all int) { steps, _ = steps+1, all }}, dec, colourModels{})
	require.NoError(t, err)
	require.Equal(t, []int{3, 5, 1, 5, 6}, []int{got.Places, got.Photos, got.Others, got.Queries, steps}, "a photo that is in the data is no other place")
	require.InDelta(t, 1, *got.AUC, 1e-12)
	require.InDelta(t, 1, *got.Top1, 1e-12)
	require.Equal(t, 6, got.Simulated.Queries)
	require.Equal(t, 6, got.SimulatedPerson.Queries)

	_, err = BenchPlace(t.Context(), filepath.Join(root, "places", "red"), PlaceOptions{}, dec, colourModels{})
	require.ErrorContains(t, err, "<place>/*.jpg")
	_, err = BackgroundOf(t.Context(), filepath.Join(root, "places", "red"), dec, colourModels{})
	require.ErrorContains(t, err, "9 vectors", "three photos make no background")
	paint("places/mess/x.png", 0, 0, 250, 7)
	require.NoError(t, os.WriteFile(filepath.Join(root, "places", "blue", "3.png"), []byte("no picture"), 0o600))
	asked := 0
	_, err = BackgroundOf(t.Context(), filepath.Join(root, "places", "mess"), func(ctx context.Context, m pipeline.Media) (*media.Clip, error) { asked++; return dec(ctx, m) }, colourModels{})
	require.ErrorContains(t, err, "3 vectors")
	require.Equal(t, 1, asked, "its neighbours are none of its photos")
}
