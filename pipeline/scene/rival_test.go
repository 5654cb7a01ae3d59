package scene

import (
	"context"
	"image"
	"image/color"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline"
)

// price is a poster whose price alone is drawn from a seed: so little differs that either of two is found in the other's place.
func price(t testing.TB, seed int64) gocv.Mat {
	m := drawn(t, 400, 600, 31)
	body := drawn(t, 150, 100, seed)
	part := m.Region(priceAt)
	defer part.Close()
	require.NoError(t, body.CopyTo(&part))
	return m
}

var priceAt = image.Rect(100, 300, 250, 400)

func rivalSite(t *testing.T, today, last gocv.Mat) (*Site, time.Time) {
	day := func(d int) time.Time { return time.Date(2026, 11, d, 12, 0, 0, 0, time.UTC) }
	poster := func(name string, from, to int) pipeline.Reference {
		return pipeline.Reference{Kind: pipeline.RefPoster, Name: name, Media: pipeline.File(name), ValidFrom: day(from), ValidTo: day(to)}
	}
	site := prepared(t, album{"today": today, "last week": last}, &pipeline.Site{ID: "s", References: []pipeline.Reference{poster("today", 22, 28), poster("last week", 15, 21)}})
	require.NotEmpty(t, site.refs[0].rivals)
	return site, day(23)
}

// onWall hangs a poster on a wall of its own.
func onWall(t *testing.T, p gocv.Mat, wall int64) gocv.Mat {
	m := drawn(t, 1280, 720, wall)
	hang(t, m, p, [4]gocv.Point2f{{X: 300, Y: 100}, {X: 640, Y: 95}, {X: 645, Y: 610}, {X: 305, Y: 600}})
	return m
}

func TestLastWeeksPosterIsLookedForThoughTodaysWasFoundAtOnce(t *testing.T) {
	today, last := price(t, 41), price(t, 42)
	site, at := rivalSite(t, today, last)
	for name, views := range map[string][]gocv.Mat{
		"one view":  {onWall(t, last, 2)},
		"two views": {onWall(t, last, 2), onWall(t, last, 5)},
	} {
		c, r := run(t, nil, clipOf(views...), site, at)
		require.Equal(t, pipeline.PosterOutdated, c.Findings[0].Code, "%s: %+v", name, r.Elements)
		require.Equal(t, "last week", r.Elements[0].Reference, name)
	}
	c, r := run(t, nil, clipOf(onWall(t, today, 2), onWall(t, today, 5)), site, at)
	require.Equal(t, pipeline.Pass, c.Outcome, "%+v", r.Elements)
}

func TestAPosterWhoseDifferenceIsHiddenCouldBeEither(t *testing.T) {
	hide := func(m gocv.Mat) gocv.Mat {
		require.NoError(t, gocv.Rectangle(&m, priceAt.Inset(-60), color.RGBA{R: 15, G: 10, B: 12, A: 255}, -1))
		return m
	}
	site, at := rivalSite(t, price(t, 41), price(t, 42))
	c, r := run(t, nil, clipOf(onWall(t, hide(price(t, 41)), 2)), site, at)
	require.Equal(t, pipeline.Uncertain, c.Outcome, "%+v", r.Elements)
	require.Equal(t, WhyDiffers, r.Elements[0].Why)
	require.Equal(t, pipeline.PosterDiffers, c.Findings[0].Code)
}

func TestAnotherPlaceIsSeenWhereTheSiteHasOnlyAName(t *testing.T) {
	theirs := drawn(t, 600, 400, 3)
	site := prepared(t, album{"next door": theirs}, &pipeline.Site{ID: "s", SignNames: []string{"港记烧腊"}, References: []pipeline.Reference{negative("next door")}})
	wall := drawn(t, 1280, 720, 2)
	hang(t, wall, theirs, aslant)
	c, r := run(t, &fakeText{text: "新华书店", confidence: .9}, clipOf(wall), site, time.Time{})
	require.Equal(t, pipeline.Fail, c.Outcome)
	require.Len(t, mismatches(c), 1, "%+v", r.Elements)
	require.Equal(t, "next door", r.Against[0].Reference)
}

func TestAFewPointsAccuseNobody(t *testing.T) {
	n := 9
	for points, want := range map[int]pipeline.Outcome{5: pipeline.Uncertain, n: pipeline.Fail} {
		c := Contradiction{Means: ByReference, Reference: "next door", Score: float64(points), Threshold: float64(n)}
		require.Equal(t, want, c.finding().Outcome, points)
	}
}

func TestTheNameOfAnotherPlaceIsComparedAsThePolicyAsks(t *testing.T) {
	wall := drawn(t, 1280, 720, 2)
	require.NoError(t, gocv.Rectangle(&wall, image.Rect(100, 60, 700, 220), color.RGBA{R: 250, G: 250, B: 250, A: 255}, -1))
	site := prepared(t, nil, &pipeline.Site{ID: "s", ForeignNames: []string{"STARBUCKS"}, SignNames: []string{"港记烧腊"}})
	for similarity, found := range map[float64]int{1: 0, .7: 1} {
		cfg := DefaultConfig()
		cfg.SignSimilarity = similarity
		c, _, err := Check(context.Background(), &fakeText{text: "STARBXCKZ", confidence: .9}, clipOf(wall), site, time.Time{}, cfg)
		require.NoError(t, err)
		require.Len(t, mismatches(c), found, "similarity %v", similarity)
	}
}

func TestTasksNameEachModelOnce(t *testing.T) {
	site := prepared(t, nil, &pipeline.Site{ID: "s", SignNames: []string{"A1"}})
	cfg := DefaultConfig()
	cfg.Heads = true
	require.Equal(t, []models.Task{models.TextDetect, models.TextRecognize, models.ObjectDetect, sceneHead, models.SceneEmbed}, site.Tasks(cfg))
	cfg.Want = []Element{Logo}
	require.Equal(t, []models.Task{models.TextDetect, models.ObjectDetect, sceneHead, models.SceneEmbed}, site.Tasks(cfg), "the heads ask where text is")
}
