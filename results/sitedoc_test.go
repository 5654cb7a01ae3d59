package results_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/results"
)

func TestSiteDocGivesBackTheSite(t *testing.T) {
	zone, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	site := &pipeline.Site{
		ID: "s", Revision: 4, Label: "Shop", Timezone: "Asia/Shanghai", SignNames: []string{"A"}, ForeignNames: []string{"B"}, Beacons: []string{"b"},
		Geofence: []pipeline.Fence{{Latitude: 31, Longitude: 121, RadiusM: 100}},
		References: []pipeline.Reference{
			{Kind: pipeline.RefLogo, Name: "wall", Media: pipeline.File("0"), Crop: &pipeline.Box{X: 1, Y: 2, W: 3, H: 4}},
			{Kind: pipeline.RefPoster, Name: "spring", Media: pipeline.File("1"),
				ValidFrom: time.Date(2026, 3, 1, 0, 0, 0, 0, zone), ValidTo: time.Date(2026, 4, 1, 0, 0, 0, -1, zone)},
			{Kind: pipeline.RefPoster, Name: "hours", Sites: []string{"s", "t"}, Media: pipeline.File("2"), ValidTo: time.Date(2026, 4, 1, 12, 0, 0, 0, zone)},
			{Kind: pipeline.RefLogo, Name: "next door", Media: pipeline.File("3"), Negative: true},
		},
	}
	doc := results.NewSiteDoc(site)
	require.Equal(t, "2026-03-01", doc.References[1].ValidFrom)
	require.Equal(t, "2026-03-31", doc.References[1].ValidTo)
	require.Equal(t, "2026-04-01T12:00:00+08:00", doc.References[2].ValidTo)
	for i := range doc.References {
		doc.References[i].Key = string(rune('0' + i))
	}
	back, err := results.Site{ID: "s", Rev: 4, Doc: doc}.Core(func(r results.SiteReference) pipeline.Media { return pipeline.File(r.Key) })
	require.NoError(t, err)
	for i := range back.References {
		require.True(t, site.References[i].ValidFrom.Equal(back.References[i].ValidFrom))
		require.True(t, site.References[i].ValidTo.Equal(back.References[i].ValidTo))
		back.References[i].ValidFrom, back.References[i].ValidTo = site.References[i].ValidFrom, site.References[i].ValidTo
	}
	require.Equal(t, site, back)

	doc.Timezone = "Nowhere/At_All"
	_, err = results.Site{ID: "s", Rev: 4, Doc: doc}.Core(func(results.SiteReference) pipeline.Media { return nil })
	require.ErrorContains(t, err, "site s, revision 4")
	doc.Timezone, doc.References[0].ValidFrom = "", "spring"
	_, err = results.Site{ID: "s", Rev: 4, Doc: doc}.Core(func(results.SiteReference) pipeline.Media { return nil })
	require.ErrorContains(t, err, "reference 0")
}
