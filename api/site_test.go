package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

const siteFile = `id: store-9
label: Octavia
timezone: Asia/Shanghai
sign: {names: [港记烧腊], foreign_names: [星巴克]}
geofence: [{latitude: 31.2, longitude: 121.4, radius_m: 150}]
beacons: [b-9]
references:
  - {kind: logo, name: wall, photo: pics/wall.jpg, crop: [10, 20, 110, 220]}
  - {kind: poster, name: spring, photo: "spring \"2026\".png", valid_from: 2026-03-01, valid_to: 2026-03-31, sites: [store-9, store-10]}
  - {kind: storefront, name: next door, photo: pics/wall.jpg, crop: [200, 20, 310, 220], negative: true}
`

func (d *desk) site(headers []string, file string, parts ...string) answer {
	d.t.Helper()
	return d.send(put, "/v1/sites/store-9", headers, append([]string{"site", file}, parts...)...)
}

var sitePictures = []string{"pics/wall.jpg", "picture of a wall", `spring "2026".png`, "picture of spring"}

func TestSites(t *testing.T) {
	d := newDesk(t)
	a := d.site(nil, siteFile, sitePictures...)
	require.Equal(t, http.StatusCreated, a.status, string(a.body))
	require.Equal(t, `"1"`, a.header.Get("ETag"))
	var s Site
	a.into(&s)
	require.Equal(t, "2026-03-31", s.References[1].ValidTo)
	require.Equal(t, 100, s.References[0].Crop.W)
	require.Equal(t, SiteSign{Names: []string{"港记烧腊"}, ForeignNames: []string{"星巴克"}}, *s.Sign)
	require.Equal(t, []string{"store-9", "store-10"}, s.References[1].Sites)
	require.True(t, s.References[2].Negative)
	require.InDelta(t, 150, s.Geofence[0].RadiusM, 0)
	d.tidy(2)

	d.site(nil, siteFile, sitePictures...).problem(428, codeIfMatch)
	d.site([]string{"If-Match", `"3"`}, siteFile, sitePictures...).problem(412, codeChanged)
	d.site([]string{"If-None-Match", `*`}, siteFile, sitePictures...).problem(412, codeChanged)
	d.tidy(2)

	// What was read can be sent back, changed; its photos need not be sent again.
	read := d.ok(200, get, "/v1/sites/store-9", nil)
	back := strings.Replace(string(read.body), "Octavia", "Octavia East", 1)
	var second Site
	d.ok(200, put, "/v1/sites/store-9", back, "If-Match", read.header.Get("ETag")).into(&second)
	require.Equal(t, "Octavia East", second.Label)
	require.Equal(t, s.References, second.References)
	d.tidy(2)

	// The same photo sent again is not kept twice; another one is.
	a = d.site([]string{"If-Match", `"2"`}, siteFile, "pics/wall.jpg", "picture of a wall", `spring "2026".png`, "picture of summer")
	require.Equal(t, 200, a.status, string(a.body))
	d.tidy(3)
	var first Site
	d.ok(200, get, "/v1/sites/store-9?rev=1", nil).into(&first)
	require.Equal(t, s, first, "earlier revisions stay")

	var all List[Site]
	d.ok(200, get, "/v1/sites", nil).into(&all)
	require.Len(t, all.Items, 2)
	other := d.key("other", admin)
	d.do(get, "/v1/sites/store-9", other, nil).problem(404, codeNotFound)
	d.do(del, "/v1/sites/store-9", other, nil).problem(404, codeNotFound)
	d.ask(del, "/v1/sites/store-9", nil, "If-Match", `"1"`).problem(412, codeChanged)
	d.ok(http.StatusNoContent, del, "/v1/sites/store-9", nil)
	d.ask(get, "/v1/sites/store-9", nil).problem(404, codeNotFound)
	d.submit(d.key("acme", submit), nil, "subject", "e1", "site", "store-9", "@media", "x").field(422, codeInvalid, "form.site", "unknown")
	require.Subset(t, d.actions(), []string{"site.changed", "site.deleted"})
}

func TestSitesOfTwoTenantsShareNothing(t *testing.T) {
	d := newDesk(t)
	require.Equal(t, http.StatusCreated, d.site(nil, siteFile, sitePictures...).status)
	var s Site
	d.ok(200, get, "/v1/sites/store-9", nil).into(&s)
	// Naming another tenant's photo by its digest gives nobody that photo.
	stolen := `{"id": "store-9", "references": [{"kind": "logo", "name": "x", "photo": "` + s.References[0].Photo + `"}]}`
	a := d.do(put, "/v1/sites/store-9", d.key("other", admin), stolen)
	a.field(422, codeSite, "site.references[0].photo", "unknown")
}

func TestSiteProblemsAreToldAtOnce(t *testing.T) {
	d := newDesk(t)
	d.site(nil, strings.NewReplacer("kind: logo", "kind: door", "2026-03-31", "2026-02-01", "radius_m: 150", "radius_m: 1").Replace(siteFile)).
		field(422, codeSite, "form.site.references[0].kind", "unknown_kind")
	p := d.site([]string{"Accept-Language", "zh"}, strings.NewReplacer("kind: logo", "kind: door", "2026-03-31", "2026-02-01", "radius_m: 150", "radius_m: 1").Replace(siteFile)).problem(422, codeSite)
	require.Len(t, p.Errors, 3)
	require.Contains(t, p.Errors[0].Detail+p.Errors[1].Detail, "必须")

	d.site(nil, siteFile).field(422, codeSite, "site.references[1].photo", "missing")
	d.site(nil, siteFile, "pics/wall.jpg", "grey wall", `spring "2026".png`, "grey").field(422, codeSite, "site.references[1].photo", "too_little_texture")
	d.site(nil, siteFile, append(sitePictures, "pics/else.jpg", "x")...).field(422, codeInvalid, "form.picselse.jpg", "unknown_field")
	d.site(nil, siteFile, append(sitePictures, "pics/wall.jpg", "x")...).field(422, codeInvalid, "form.picswall.jpg", "repeated")
	d.site(nil, siteFile, "pics/wall.jpg", "").field(422, codeInvalid, "form.pics/wall.jpg", "missing")
	d.send(put, "/v1/sites/store-9", nil, "pics/wall.jpg", "x", "site", siteFile).field(422, codeInvalid, "form.site", "order")
	d.send(put, "/v1/sites/store-9", nil).field(422, codeInvalid, "form.site", "missing")
	d.send(put, "/v1/sites/store-10", nil, append([]string{"site", siteFile}, sitePictures...)...).field(422, codeSite, "form.site.id", "path")
	d.site(nil, strings.Repeat("#", siteBytes+1)).field(413, codeTooLarge, "form.site", "too_large")
	d.site(nil, "id: &a store-9").problem(422, codeSite)
	d.ask(put, "/v1/sites/store-9", "").problem(400, codeNoBody)
	d.ask(put, "/v1/sites/store-9", siteFile).field(422, codeSite, "site.references[0].photo", "missing")
	d.core.err = errNoModels
	d.site(nil, siteFile, sitePictures...).problem(503, codeModels)
	d.core.err = nil
	d.tidy(0)
	d.ask(get, "/v1/sites/store-9", nil).problem(404, codeNotFound)

	d.server.Core = nil
	d.site(nil, siteFile, sitePictures...).problem(404, codeOff)
}

func TestSitePhotosAreSealedUnderTheirOwnKey(t *testing.T) {
	d := newDesk(t)
	require.Equal(t, http.StatusCreated, d.site(nil, siteFile, sitePictures...).status)
	row, err := d.store.Site(t.Context(), "acme", "store-9", 0)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(row.Doc.References[0].Key, "acme/"+results.SiteSubject("store-9")+"/"))
	raw, err := d.vault.Read(t.Context(), row.Doc.References[0].Key, 100)
	require.NoError(t, err)
	require.Equal(t, "picture of a wall", string(raw))
}
