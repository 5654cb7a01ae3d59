package face

import (
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/models"
)

// thresholds is a set whose manifests have thresholds of their own, and a frame.
type thresholds struct{ Models }

func (thresholds) Threshold(task models.Task, name string) (float64, bool) {
	v, ok := map[string]float64{"face_embed.accept": 0.7, "face_embed.reject": 0.6, "face_detect.certain": 0.8}[string(task)+"."+name]
	return v, ok
}

func (thresholds) FaceAlignment() (w, h int, points [5]models.Point) {
	return 80, 60, [5]models.Point{{X: 30, Y: 20}, {X: 50, Y: 20}, {X: 40, Y: 30}, {X: 33, Y: 40}, {X: 47, Y: 40}}
}

func builtin(t *testing.T) *models.Set {
	t.Helper()
	o := models.DefaultOptions()
	o.Tasks = []models.Task{models.FaceDetect, models.FaceEmbed}
	set, err := models.Open(o) // loads nothing yet
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, set.Close()) })
	return set
}

// The numbers that belong to a model come from its manifest; those of the built-in ones are the defaults, which were calibrated with them.
func TestConfigOfTheModels(t *testing.T) {
	set := builtin(t)
	require.Equal(t, DefaultConfig(), ConfigFor(set))
	require.Equal(t, DefaultConfig(), ConfigFor((*models.Set)(nil)), "a measurement without models")
	c := ConfigFor(thresholds{})
	require.InDelta(t, 0.7, c.Threshold, 0)
	require.InDelta(t, 0.6, c.Reject, 0)
	require.InDelta(t, 0.8, c.CertainFace, 0)
	d := DefaultConfig()
	require.InDelta(t, d.Sure/(d.Threshold-d.Reject), c.Sure/(c.Threshold-c.Reject), 1e-9, "in units of the embedder's own scores")
	require.InDelta(t, d.Near/(d.Threshold-d.Reject), c.Near/(c.Threshold-c.Reject), 1e-9)
	require.NoError(t, c.Validate())
}

// A face is brought to where the embedder's manifest wants it; ArcFace's frame stays what it was.
func TestFrameOfTheModels(t *testing.T) {
	set := builtin(t)
	require.Equal(t, arcFace, frameOf(set))
	f := frameOf(thresholds{})
	require.Equal(t, []int{80, 60}, []int{f.w, f.h})
	require.Equal(t, Point{30, 20}, f.points[0])
}
