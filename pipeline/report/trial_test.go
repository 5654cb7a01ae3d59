package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

func TestTrialPageInBothLanguages(t *testing.T) {
	jpeg := []byte("\xff\xd8 not really a picture")
	in := Trial{
		Site: "store-9", Photo: `<b>wall</b>.jpg`, Outcome: pipeline.Uncertain,
		Picture:    Picture{JPEG: jpeg, W: 640, H: 480},
		Marks:      []Mark{{Outline: []pipeline.Point{{X: 10, Y: 20}, {X: 200, Y: 25}, {X: 190, Y: 180}, {X: 12, Y: 170}}, Good: true, Label: pipeline.Text{EN: "#1", ZH: "#1"}}},
		References: []Reference{{Kind: "logo", Name: "wall", JPEG: jpeg, W: 100, H: 80}, {Kind: "poster", Name: "not kept"}},
		Grids: []Grid{
			{Title: pipeline.Text{EN: "References", ZH: "参考图片"}, Heads: []pipeline.Text{{EN: "found", ZH: "找到"}}, Rows: [][]pipeline.Text{{{EN: "yes", ZH: "是"}}}},
			{Title: pipeline.Text{EN: "Empty", ZH: "空表"}, Heads: []pipeline.Text{{EN: "nothing", ZH: "无"}}},
		},
	}
	for _, lang := range []string{English, Chinese} {
		in.Lang = lang
		var out bytes.Buffer
		require.NoError(t, WriteTrial(&out, in))
		page := out.String()
		selfContained(t, page)
		require.Contains(t, page, "10,20 200,25 190,180 12,170", "the outline, in pixels of the photo")
		require.Contains(t, page, `id="r0"`)
		require.NotContains(t, page, `id="r1"`, "a reference without a picture")
		require.NotContains(t, page, "<b>wall", "outside words are text")
		require.Contains(t, page, "找到")
		require.NotContains(t, page, "空表", "a table without rows is left out")
		require.Equal(t, 1, strings.Count(page, " checked"))
	}
}
