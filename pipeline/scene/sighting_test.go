package scene

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

// counting counts the passes.
type counting struct {
	sceneFake
	office, scene *int
}

func (c counting) DetectObjects(ctx context.Context, img models.Image) (models.Objects, error) {
	*c.office++
	return c.sceneFake.DetectObjects(ctx, img)
}

func (c counting) EmbedScene(ctx context.Context, img models.Image) (models.Vector, models.Objects, error) {
	*c.scene++
	return c.sceneFake.EmbedScene(ctx, img)
}

func TestNoPassRunsTwiceOnAFrame(t *testing.T) {
	at := func(score float32, class int) models.Detection {
		return models.Detection{Class: class, Box: models.Box{X1: .25, Y1: .5, X2: .5, Y2: 1, Score: score}}
	}
	var office, scene int
	m := counting{sceneFake{
		objects: models.Objects{Found: []models.Detection{at(.6, 1), at(.4, 1), at(.7, 2)}, Scores: []float32{0, .6, .7}},
		coco:    models.Objects{Found: []models.Detection{at(.8, 1), at(.35, 0), at(.2, 0)}, Scores: []float32{.35, .8}},
		vector:  models.Vector{Model: "m", V: []float32{1}},
	}, &office, &scene}
	img := gocv.NewMatWithSize(100, 200, gocv.MatTypeCV8UC3)
	defer img.Close()
	f := media.Frame{Index: 3, Image: img}
	s := newSearch(m, &Site{}, time.Time{}, DefaultConfig(), false)
	_, err := s.measure(t.Context(), f, Want{Office: true})
	require.NoError(t, err)
	got, err := s.measure(t.Context(), f, Want{Office: true, Scene: true})
	require.NoError(t, err)
	again, err := s.measure(t.Context(), f, Want{Office: true, Scene: true})
	require.NoError(t, err)
	require.Equal(t, []int{1, 1}, []int{office, scene})
	require.Equal(t, got, again)
	require.Equal(t, "m", got.Model)
	require.Len(t, got.Office, 3)
	require.Len(t, got.Objects, 6)
	require.Equal(t, 3, s.looked[0].Index)

	list := s.measures.sightings()
	require.Len(t, list, 3)
	require.Equal(t, []any{ObjectScreen, 2, 3, pipeline.Box{X: 50, Y: 50, W: 50, H: 50}}, []any{list[0].Object, list[0].Count, *list[0].Keyframe, list[0].Box},
		"the office detector saw two screens, the other one: two")
	require.InDelta(t, .8, list[0].Score, 1e-6)
	require.Equal(t, []any{ObjectDesk, 1}, []any{list[1].Object, list[1].Count})
	require.Equal(t, []any{ObjectPerson, 1}, []any{list[2].Object, list[2].Count}, "a weak person does not count")

	s.models = nil
	_, err = s.measure(t.Context(), f, Want{Office: true})
	require.ErrorContains(t, err, "no models")
}
