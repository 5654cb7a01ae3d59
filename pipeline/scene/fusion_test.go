package scene

import (
	"context"
	"errors"
	"image"
	"image/color"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline"
)

func negative(name string) pipeline.Reference {
	r := logo(name)
	r.Negative = true
	return r
}

func mismatches(c pipeline.Check) (out []pipeline.Finding) {
	for _, f := range c.Findings {
		if f.Code == pipeline.EnvironmentMismatch {
			out = append(out, f)
		}
	}
	return out
}

func TestAnotherPlaceIsSaidOnlyWhereNothingOfTheSiteIsSeen(t *testing.T) {
	ours, theirs := drawn(t, 600, 400, 1), drawn(t, 600, 400, 3)
	site := prepared(t, album{"ours": ours, "cafe next door": theirs}, &pipeline.Site{ID: "s", References: []pipeline.Reference{logo("ours"), negative("cafe next door")}})
	left := [4]gocv.Point2f{{X: 100, Y: 150}, {X: 410, Y: 150}, {X: 410, Y: 360}, {X: 100, Y: 360}}
	both, cafe, empty := drawn(t, 1280, 720, 2), drawn(t, 1280, 720, 2), drawn(t, 1280, 720, 2)
	hang(t, both, ours, aslant)
	hang(t, both, theirs, left)
	hang(t, cafe, theirs, left)

	c, r := run(t, nil, clipOf(both), site, time.Time{})
	require.Equal(t, pipeline.Pass, c.Outcome, "the cafe next door may be in view, too")
	require.Empty(t, r.Against)

	c, _ = run(t, nil, clipOf(empty), site, time.Time{})
	require.Empty(t, mismatches(c), "absence alone is no contradiction")

	c, r = run(t, nil, clipOf(cafe), site, time.Time{})
	require.Equal(t, pipeline.Fail, c.Outcome)
	found := mismatches(c)
	require.Len(t, found, 1)
	require.Equal(t, pipeline.Fail, found[0].Outcome)
	require.Equal(t, map[string]string{"name": "cafe next door"}, found[0].Args)
	require.Equal(t, "cafe next door", found[0].Evidence[0].Reference)
	require.Len(t, found[0].Evidence[0].Outline, 4)
	require.Equal(t, ByReference, r.Against[0].Means)
}

func TestANameOfAnotherPlace(t *testing.T) {
	wall := drawn(t, 1280, 720, 2)
	require.NoError(t, gocv.Rectangle(&wall, image.Rect(100, 60, 700, 220), color.RGBA{R: 250, G: 250, B: 250, A: 255}, -1))
	site := prepared(t, nil, &pipeline.Site{ID: "s", SignNames: []string{"港记烧腊"}, ForeignNames: []string{"星巴克咖啡"}})
	c, r := run(t, &fakeText{text: "星巴克咖啡", confidence: .9}, clipOf(wall), site, time.Time{})
	require.Equal(t, pipeline.Fail, c.Outcome)
	require.Equal(t, map[string]string{"name": "星巴克咖啡", "read": "星巴克咖啡"}, mismatches(c)[0].Args)
	require.Equal(t, ByText, r.Against[0].Means)
	require.Equal(t, "text", mismatches(c)[0].Evidence[0].Kind)

	c, _ = run(t, &fakeText{text: "港记烧腊", confidence: .9}, clipOf(wall), site, time.Time{})
	require.Equal(t, pipeline.Pass, c.Outcome)
	c, _ = run(t, &fakeText{text: "新华书店", confidence: .9}, clipOf(wall), site, time.Time{})
	require.Empty(t, mismatches(c), "a name that nobody enrolled says nothing")
}

// template is a poster of one design, whose block of content is drawn from a seed.
func template(t testing.TB, seed int64) gocv.Mat {
	m := drawn(t, 400, 600, 31)
	body := drawn(t, 340, 260, seed)
	part := m.Region(image.Rect(30, 220, 370, 480))
	defer part.Close()
	require.NoError(t, body.CopyTo(&part))
	return m
}

func TestAPosterOfTheSameDesignIsAnotherOne(t *testing.T) {
	today, last := template(t, 41), template(t, 42)
	day := func(d int) time.Time { return time.Date(2026, 11, d, 12, 0, 0, 0, time.UTC) }
	poster := func(name string, from, to int) pipeline.Reference {
		return pipeline.Reference{Kind: pipeline.RefPoster, Name: name, Media: pipeline.File(name), ValidFrom: day(from), ValidTo: day(to)}
	}
	corners := [4]gocv.Point2f{{X: 300, Y: 150}, {X: 540, Y: 140}, {X: 545, Y: 510}, {X: 305, Y: 500}}
	show := func(p gocv.Mat) gocv.Mat {
		wall := drawn(t, 1280, 720, 2)
		hang(t, wall, p, corners)
		return wall
	}
	a := album{"today": today, "last week": last}
	one := prepared(t, a, &pipeline.Site{ID: "s", References: []pipeline.Reference{poster("today", 22, 28)}})
	c, _ := run(t, nil, clipOf(show(today)), one, day(23))
	require.Equal(t, pipeline.Pass, c.Outcome)
	c, r := run(t, nil, clipOf(show(last)), one, day(23))
	require.Equal(t, pipeline.Fail, c.Outcome, "%+v", r.Elements)
	require.Equal(t, pipeline.PosterDiffers, c.Findings[0].Code)
	require.Equal(t, WhyDiffers, r.Elements[0].Why)
	require.Equal(t, "today", c.Findings[0].Args["name"])
	require.NotEmpty(t, c.Findings[0].Args["differ"])

	both := prepared(t, a, &pipeline.Site{ID: "s", References: []pipeline.Reference{poster("today", 22, 28), poster("last week", 15, 21)}})
	c, r = run(t, nil, clipOf(show(last)), both, day(23))
	require.Equal(t, pipeline.PosterOutdated, c.Findings[0].Code)
	require.Equal(t, "last week", r.Elements[0].Reference)
	require.Equal(t, "2026-11-21", c.Findings[0].Args["until"])
	c, r = run(t, nil, clipOf(show(today)), both, day(23))
	require.Equal(t, pipeline.Pass, c.Outcome)
	require.Equal(t, "today", r.Elements[0].Reference)
	require.Equal(t, High, r.Elements[0].Sure)

	t.Run("a person in front changes nothing", func(t *testing.T) {
		wall := show(today)
		require.NoError(t, gocv.Circle(&wall, image.Pt(330, 470), 90, color.RGBA{R: 20, G: 10, B: 15, A: 255}, -1))
		c, r := run(t, nil, clipOf(wall), both, day(23))
		require.Equal(t, pipeline.Pass, c.Outcome, "%+v", r.Elements)
		require.Positive(t, r.Elements[0].Covered)
	})
	t.Run("mirrored", func(t *testing.T) {
		wall := show(last)
		require.NoError(t, gocv.Flip(wall, &wall, 1))
		c, r := run(t, nil, clipOf(wall), both, day(23))
		require.Equal(t, pipeline.PosterOutdated, c.Findings[0].Code)
		require.True(t, r.Elements[0].Mirrored)
	})
	t.Run("of another site", func(t *testing.T) {
		p := poster("today", 22, 28)
		p.Sites = []string{"store-2"}
		s := prepared(t, a, &pipeline.Site{ID: "s", References: []pipeline.Reference{p, poster("last week", 1, 30)}})
		c, _ := run(t, nil, clipOf(show(today)), s, day(23))
		require.Equal(t, pipeline.PosterOutdated, c.Findings[0].Code)
		require.Equal(t, "store-2", c.Findings[0].Args["elsewhere"])
	})
	t.Run("nearly the same twice is refused", func(t *testing.T) {
		s := &pipeline.Site{ID: "s", References: []pipeline.Reference{poster("today", 22, 28), {Kind: pipeline.RefPoster, Name: "next week", Media: pipeline.File("today"), ValidFrom: day(29)}}}
		_, err := Prepare(context.Background(), s, a.decode)
		var bad *SiteError
		require.ErrorAs(t, err, &bad)
		require.Equal(t, Alike, bad.Problems[0].Trouble)
		require.Equal(t, "references[1].photo", bad.Problems[0].Field)
		require.Contains(t, bad.Error(), "today")
	})
	t.Run("one's own as another place is refused", func(t *testing.T) {
		n := negative("today")
		n.Name = "next door"
		_, err := Prepare(context.Background(), &pipeline.Site{ID: "s", References: []pipeline.Reference{poster("today", 22, 28), n}}, a.decode)
		var bad *SiteError
		require.ErrorAs(t, err, &bad)
		require.Equal(t, Alike, bad.Problems[0].Trouble)
	})
}

func TestTheDateOnAPoster(t *testing.T) {
	picture := drawn(t, 400, 600, 31)
	site := prepared(t, album{"sale": picture}, &pipeline.Site{ID: "s", References: []pipeline.Reference{{Kind: pipeline.RefPoster, Name: "sale", Media: pipeline.File("sale")}}})
	wall := drawn(t, 1280, 720, 2)
	hang(t, wall, picture, [4]gocv.Point2f{{X: 300, Y: 150}, {X: 540, Y: 140}, {X: 545, Y: 510}, {X: 305, Y: 500}})
	cfg := DefaultConfig()
	cfg.Today = true
	text := &fakeText{text: "11.22-11.28 ¥19.9", confidence: .9}
	look := func(d int) (pipeline.Check, Result) {
		c, r, err := Check(context.Background(), text, clipOf(wall), site, time.Date(2026, 11, d, 9, 0, 0, 0, time.UTC), cfg)
		require.NoError(t, err)
		return c, r
	}
	c, r := look(25)
	require.Equal(t, pipeline.Pass, c.Outcome)
	require.Equal(t, []string{"11.22-11.28"}, r.Elements[0].Dates)
	require.Equal(t, []string{"¥19.9"}, r.Elements[0].Prices)
	c, r = look(29)
	require.Equal(t, pipeline.Fail, c.Outcome)
	require.Equal(t, WhyOver, r.Elements[0].Why)
	require.Equal(t, pipeline.PosterOutdated, c.Findings[0].Code)
	require.Equal(t, "11.22-11.28", c.Findings[0].Args["read"])
	require.NotEmpty(t, c.Findings[0].Evidence)
	// At 17:00 UTC on the 28th it is the 29th in Shanghai.
	there := prepared(t, album{"sale": picture}, &pipeline.Site{ID: "s", Timezone: "Asia/Shanghai", References: []pipeline.Reference{
		{Kind: pipeline.RefPoster, Name: "sale", Media: pipeline.File("sale"), ValidTo: time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)}}})
	night := time.Date(2026, 11, 28, 17, 0, 0, 0, time.UTC)
	_, r, err := Check(context.Background(), text, clipOf(wall), site, night, cfg)
	require.NoError(t, err)
	require.Equal(t, pipeline.Pass, r.Elements[0].Outcome)
	c, r, err = Check(context.Background(), text, clipOf(wall), there, night, cfg)
	require.NoError(t, err)
	require.Equal(t, WhyOver, r.Elements[0].Why)
	require.Equal(t, pipeline.Uncertain, c.Outcome, "the enrolled days hold: what was read on it is a doubt")
	cfg.Today = false
	c, _ = look(29)
	require.Equal(t, pipeline.Pass, c.Outcome, "unless the policy wants today's")
}

// fakeScene finds one object in every picture.
type fakeScene struct {
	fakeText
	score          float32
	office, scenes int
}

func (f *fakeScene) InputSize(models.Task) (w, h int) { return 64, 64 }
func (f *fakeScene) Labels(models.Task) []string      { return []string{"background", "laptop", "person"} }
func (f *fakeScene) found(class int) models.Objects {
	return models.Objects{Found: []models.Detection{{Class: class, Box: models.Box{X1: .25, Y1: .25, X2: .5, Y2: .75, Score: f.score}}}}
}
func (f *fakeScene) DetectObjects(context.Context, models.Image) (models.Objects, error) {
	f.office++
	return f.found(1), nil
}
func (f *fakeScene) EmbedScene(context.Context, models.Image) (models.Vector, models.Objects, error) {
	f.scenes++
	return models.Vector{}, f.found(2), nil
}

func TestScreensAndPeopleAreObjects(t *testing.T) {
	site := prepared(t, nil, &pipeline.Site{ID: "s", SignNames: []string{"A1"}})
	clip := clipOf(drawn(t, 1280, 720, 2))
	cfg := DefaultConfig()
	cfg.Want = []Element{Screen, Person}
	m := &fakeScene{score: .8}
	c, r, err := Check(context.Background(), m, clip, site, time.Time{}, cfg)
	require.NoError(t, err)
	require.Equal(t, pipeline.Pass, c.Outcome)
	require.Equal(t, []any{Screen, ByObject, ObjectLaptop, 0}, []any{r.Elements[0].Element, r.Elements[0].Means, r.Elements[0].Object, *r.Elements[0].Keyframe})
	require.Equal(t, &pipeline.Box{X: 320, Y: 180, W: 320, H: 360}, r.Elements[0].Box)
	require.Equal(t, "object", r.Elements[0].Evidence().Kind)
	require.Equal(t, []int{1, 1, 0}, []int{m.office, m.scenes, m.maps}, "no text is read for objects")

	m = &fakeScene{score: .1}
	c, _, err = Check(context.Background(), m, clip, site, time.Time{}, cfg)
	require.NoError(t, err)
	require.Equal(t, pipeline.Uncertain, c.Outcome, "a detector that finds nothing proves nothing")
	require.Equal(t, []pipeline.Code{pipeline.ScreenMissing, pipeline.PersonMissing}, []pipeline.Code{c.Findings[0].Code, c.Findings[1].Code})

	cfg.People = 1
	m = &fakeScene{score: .1}
	_, r, err = Check(context.Background(), m, clip, site, time.Time{}, cfg)
	require.NoError(t, err)
	require.Equal(t, []any{pipeline.Pass, ByFace}, []any{r.Elements[1].Outcome, r.Elements[1].Means}, "the face check saw somebody")

	_, _, err = Check(context.Background(), &fakeText{}, clip, site, time.Time{}, cfg)
	require.ErrorContains(t, err, "look for objects", "without the models there is an error, never silence")
	_, _, err = Check(context.Background(), &fakeText{err: errors.New("x")}, clip, site, time.Time{}, cfg)
	require.Error(t, err)
}
