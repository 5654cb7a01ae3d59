package scene

import (
	"context"
	"image"
	"image/color"
	"testing"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/pipeline"
)

// What is wrong with a picture decides what its taker is told.
func TestQualityOfAReference(t *testing.T) {
	blurred := gocv.NewMat()
	defer blurred.Close()
	require.NoError(t, gocv.GaussianBlur(drawn(t, 600, 400, 1), &blurred, image.Pt(0, 0), 14, 0, gocv.BorderDefault))
	flash := blank(t, 600, 400)
	require.NoError(t, gocv.Circle(&flash, image.Pt(300, 200), 180, color.RGBA{R: 255, G: 255, B: 255, A: 255}, -1))
	tiled := blank(t, 640, 480)
	one := blank(t, 40, 40)
	require.NoError(t, gocv.PutText(&one, "Rx", image.Pt(4, 28), gocv.FontHersheySimplex, .8, color.RGBA{R: 250, G: 30, B: 20, A: 255}, 2))
	for y := 0; y < 480; y += 40 {
		for x := 0; x < 640; x += 40 {
			part := tiled.Region(image.Rect(x, y, x+40, y+40))
			require.NoError(t, one.CopyTo(&part))
			require.NoError(t, part.Close())
		}
	}
	small := drawn(t, 60, 40, 5)
	for name, c := range map[string]struct {
		m    gocv.Mat
		want Trouble
		en   string
	}{
		"plain":   {blank(t, 600, 400), LittleTexture, "too little texture"},
		"blurred": {blurred, Blurred, "is blurred"},
		"flash":   {flash, Glare, "washed out over"},
		"tiles":   {tiled, Repeating, "repeats itself"},
		"small":   {small, TooSmall, "has only 60 x 40 pixels"},
	} {
		_, err := Prepare(context.Background(), &pipeline.Site{ID: "s", References: []pipeline.Reference{logo(name)}}, album{name: c.m}.decode)
		var bad *SiteError
		require.ErrorAs(t, err, &bad, name)
		require.Equal(t, c.want, bad.Problems[0].Trouble, "%s: %v", name, err)
		require.Contains(t, bad.Problems[0].Text.EN, c.en)
		require.Contains(t, bad.Problems[0].Text.EN, "stable keypoints; 12 are needed, from 40 on it is good")
		noEnglish(t, bad.Problems[0].Text.ZH)
	}
}
