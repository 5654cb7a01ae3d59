package api

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline/scene"
)

func TestTryAPhotoOnASite(t *testing.T) {
	d := newDesk(t)
	require.Equal(t, http.StatusCreated, d.site(nil, siteFile, sitePictures...).status)
	try := func(path string, parts ...string) answer { return d.send(post, path, nil, parts...) }

	a := try("/v1/sites/store-9/test?at=2026-03-05T09:00:00Z", "photo", "picture of today")
	require.Equal(t, http.StatusOK, a.status, string(a.body))
	var trial scene.Trial
	require.NoError(t, json.Unmarshal(a.body, &trial))
	require.Len(t, trial.References, 3)
	require.Equal(t, "spring", trial.References[1].Name)
	require.True(t, trial.References[1].Now, "the time came through")
	require.Contains(t, d.core.looked, "picture of spring", "the site's own photos were opened")
	d.tidy(2) // the photo is not kept

	p := try("/v1/sites/store-9/test", "photo", "a text").problem(422, codeInvalid)
	require.Equal(t, "form.photo", p.Errors[0].Field)
	require.Equal(t, "media_unknown", p.Errors[0].Code)
	try("/v1/sites/store-9/test", "picture", "x").problem(400, codeUnreadable)
	try("/v1/sites/nowhere/test", "photo", "picture").problem(404, codeNotFound)
	d.tidy(2)
}
