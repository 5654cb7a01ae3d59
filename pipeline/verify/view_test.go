package verify

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/reuse"
	"onsite/pipeline/scene"
)

// Views decide nothing: one that cannot be kept takes them all out of the fingerprint and ends no job.
func TestViewsThatCannotBeKept(t *testing.T) {
	sha := strings.Repeat("ab", 32)
	seen := func(v ...float32) scene.View { return scene.View{Vector: models.Vector{Model: sha, V: v}} }
	for name, views := range map[string][]scene.View{
		"kept":           {seen(1, 2), seen(2, 1)},
		"no direction":   {seen(1, 2), seen(0, 0)},
		"other length":   {seen(1, 2), seen(1)},
		"too long":       {seen(append(make([]float32, 2048), 1)...)},
		"no digest name": {{Vector: models.Vector{Model: "x", V: []float32{1}}}},
	} {
		r := run{checks: map[pipeline.CheckName]pipeline.Check{pipeline.CheckScene: {Outcome: pipeline.Pass}}}
		r.print.SHA256, r.shown.scene.Views = sha, views
		r.keepViews()
		check := r.get(pipeline.CheckScene)
		require.Equal(t, pipeline.Pass, check.Outcome, name)
		if name == "kept" {
			require.Len(t, r.print.Views.Of, 2)
			require.Empty(t, check.Detail)
			continue
		}
		require.Equal(t, reuse.Views{}, r.print.Views, name)
		require.NotEmpty(t, check.Detail["views_left_out"], name)
	}
}
