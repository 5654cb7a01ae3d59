package core

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

// A face that other models found and aligned is another picture to the embedder: its template is stored apart, and that of before is not used.
func TestTemplatesAreNamedByAlignment(t *testing.T) {
	w := newWorld(t)
	w.person("ann", footage(t, "franck_02159.jpg"))
	photos, err := w.store.Photos(t.Context(), "t", "ann", 0)
	require.NoError(t, err)
	other := w.core.With(w.core.Verifier)
	require.Equal(t, w.core.EmbedModel(), other.EmbedModel())
	other.aligned = "another detector and landmarks" // as if those of the verifier were not the program's own
	t.Cleanup(other.Close)

	_, made, err := w.core.gather(t.Context(), "t", "ann", photos)
	require.NoError(t, err)
	require.NoError(t, w.core.keep(t.Context(), made))
	_, made, err = w.core.gather(t.Context(), "t", "ann", photos)
	require.NoError(t, err)
	require.Empty(t, made)
	_, made, err = other.gather(t.Context(), "t", "ann", photos)
	require.NoError(t, err)
	require.Len(t, made, 1, "what is stored was aligned otherwise")
	require.True(t, strings.HasPrefix(made[0].ModelSHA256, w.core.EmbedModel()+results.TemplateSuffix))
	require.NoError(t, other.keep(t.Context(), made))
	_, made, err = other.gather(t.Context(), "t", "ann", photos)
	require.NoError(t, err)
	require.Empty(t, made)
	row, why, err := other.Embed(t.Context(), photos[0])
	require.NoError(t, err)
	require.Nil(t, why)
	require.Equal(t, other.EmbedModel(), row.ModelSHA256)
}
