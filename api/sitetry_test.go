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

// A site with rooms is written together with what the rooms of the others look like; nothing of it is shown.
func TestRoomsOfTheOtherSites(t *testing.T) {
	d := newDesk(t)
	write := func(key, id, what string, headers ...string) {
		t.Helper()
		file := "id: " + id + "\nreferences:\n- {kind: " + what + ", name: one, photo: one.jpg}\n- {kind: " + what + ", name: two, photo: two.jpg}\n"
		body, kind := pieces(t, "site", file, "one.jpg", "picture 1 of "+id, "two.jpg", "picture 2 of "+id)
		a := d.do(put, "/v1/sites/"+id, key, body, append(headers, "Content-Type", kind)...)
		require.Less(t, a.status, 300, string(a.body))
		require.NotContains(t, string(a.body), "vectors")
	}
	around := func(id string) []string {
		row, err := d.store.Site(t.Context(), "acme", id, 0)
		require.NoError(t, err)
		if row.Doc.Around == nil {
			return nil
		}
		require.Equal(t, "m", row.Doc.Around.Model)
		return row.Doc.Around.Vectors
	}
	write(d.admin, "a", "room")
	write(d.admin, "b", "room")
	write(d.admin, "c", "poster")
	write(d.key("other", admin), "z", "room")
	require.Nil(t, around("a"), "it was the first")
	require.Equal(t, []string{"picture 1 of a", "picture 2 of a"}, around("b"))
	require.Nil(t, around("c"), "it has no rooms")
	write(d.admin, "a", "room", "If-Match", `"1"`)
	require.Equal(t, []string{"picture 1 of b", "picture 2 of b"}, around("a"), "neither its own nor another company's")
}
