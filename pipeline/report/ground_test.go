package report

import (
	"bytes"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

func sampleGround() *Ground {
	return &Ground{
		Fences: []pipeline.Fence{{Latitude: 31.2353, Longitude: 121.4767, RadiusM: 150}},
		Points: []GroundPoint{
			{Kind: "claimed", At: pipeline.Location{Latitude: 31.2381, Longitude: 121.4791, AccuracyM: 35}, Label: pipeline.Text{EN: "reported by the device", ZH: "设备上报的位置"}, Note: pipeline.Text{EN: "240 m outside the site", ZH: "在该地点范围外 240 米"}},
			{Kind: "file", At: pipeline.Location{Latitude: 31.2359, Longitude: 121.4722}, Label: pipeline.Text{EN: "stored in the file", ZH: "文件中保存的位置"}, Note: pipeline.Text{EN: "700 m from A", ZH: "距 A 700 米"}, Good: true},
			{Kind: "earlier", At: pipeline.Location{Latitude: 31.2321, Longitude: 121.4843, AccuracyM: 60}, Label: pipeline.Text{EN: "earlier upload", ZH: "先前的提交"}, Note: pipeline.Text{EN: "830 m from A, 25 minutes between", ZH: "距 A 830 米，间隔 25 分钟"}, Good: true},
		},
	}
}

func TestGroundIsDrawnToScale(t *testing.T) {
	b := newBuilder(Input{})
	require.Nil(t, b.groundOf(nil))
	require.Nil(t, b.groundOf(&Ground{}))
	got := b.groundOf(sampleGround())
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(s, 64)
		require.NoError(t, err)
		return v
	}
	scale := (number(got.BarTo) - number(got.BarX)) / 200 // pixels per metre
	require.Equal(t, "200 m", got.BarText)
	require.InDelta(t, 150*scale, number(got.Fences[0].R), 1)
	require.InDelta(t, 35*scale, number(got.Points[0].R), 1)
	require.Empty(t, got.Points[1].R, "accuracy not said")
	require.Less(t, number(got.Points[0].Y), number(got.Fences[0].Y), "north is up")
	require.Greater(t, number(got.Points[0].X), number(got.Fences[0].X), "east is right")
	require.Len(t, got.Lines, 2)
	for _, p := range got.Points {
		require.InDelta(t, groundW/2, number(p.X), groundW/2)
		require.InDelta(t, groundH/2, number(p.Y), groundH/2)
	}
	far := sampleGround()
	far.Points[2].At = pipeline.Location{Latitude: 39.9, Longitude: 116.4}
	got = b.groundOf(far)
	require.Equal(t, "200 km", got.BarText)
	require.Equal(t, "6", got.Fences[0].R, "the site stays visible")
	across := b.groundOf(&Ground{Points: []GroundPoint{{At: pipeline.Location{Latitude: 0, Longitude: 179.999}}, {At: pipeline.Location{Latitude: 0, Longitude: -179.999}}}})
	require.Equal(t, "50 m", across.BarText, "across the date line")
	alone := b.groundOf(&Ground{Points: []GroundPoint{{At: pipeline.Location{Latitude: 1, Longitude: 1}}}})
	require.Equal(t, "10 m", alone.BarText)
}

func TestPageHasTheMap(t *testing.T) {
	in := sample(t, "pass")
	var without bytes.Buffer
	require.NoError(t, Write(&without, in))
	require.NotContains(t, without.String(), `class="ground"`)
	in.Ground = sampleGround()
	for _, lang := range []string{English, Chinese} {
		in.Lang = lang
		var page bytes.Buffer
		require.NoError(t, Write(&page, in))
		require.Contains(t, page.String(), `class="ground"`)
		require.Contains(t, page.String(), "25 minutes between")
		require.Contains(t, page.String(), "设备上报的位置")
		if dir := os.Getenv("ONSITE_PAGES"); dir != "" { // to look at them
			require.NoError(t, os.WriteFile(dir+"/ground."+lang+".html", page.Bytes(), 0o644))
		}
	}
}
