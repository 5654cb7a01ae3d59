package scene

import (
	"context"
	"errors"
	"image"
	"image/color"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

func logo(name string) pipeline.Reference {
	return pipeline.Reference{Kind: pipeline.RefLogo, Name: name, Media: pipeline.File(name)}
}

func run(t testing.TB, m Models, clip *media.Clip, s *Site, at time.Time) (pipeline.Check, Result) {
	t.Helper()
	c, r, err := Check(context.Background(), m, clip, s, at, DefaultConfig())
	require.NoError(t, err)
	return c, r
}

func TestLogoIsFoundWithItsOutline(t *testing.T) {
	picture := drawn(t, 600, 400, 1)
	site := prepared(t, album{"wall": picture}, &pipeline.Site{ID: "s", References: []pipeline.Reference{logo("wall")}})
	wall := drawn(t, 1280, 720, 2)
	hang(t, wall, picture, aslant)
	c, r := run(t, nil, clipOf(blank(t, 1280, 720), wall), site, time.Time{})
	require.Equal(t, pipeline.Pass, c.Outcome)
	require.Empty(t, c.Findings)
	require.InDelta(t, 1, *c.Score, 0)
	e := r.Elements[0]
	require.Equal(t, []any{Logo, pipeline.Pass, "wall", 1, int64(1000), false}, []any{e.Element, e.Outcome, e.Reference, *e.Keyframe, *e.AtMS, e.Mirrored})
	require.GreaterOrEqual(t, e.Score, e.Threshold)
	require.Greater(t, e.Coverage, .3)
	for i, want := range aslant {
		require.InDelta(t, want.X, e.Outline[i].X, 8, "corner %d", i)
		require.InDelta(t, want.Y, e.Outline[i].Y, 8, "corner %d", i)
	}
	require.Equal(t, "match", e.Evidence().Kind)
}

func TestMirroredClip(t *testing.T) {
	picture := drawn(t, 600, 400, 1)
	site := prepared(t, album{"wall": picture}, &pipeline.Site{ID: "s", References: []pipeline.Reference{logo("wall")}})
	wall := drawn(t, 1280, 720, 2)
	hang(t, wall, picture, aslant)
	require.NoError(t, gocv.Flip(wall, &wall, 1))
	c, r := run(t, nil, clipOf(wall), site, time.Time{})
	require.Equal(t, pipeline.Pass, c.Outcome)
	require.True(t, r.Mirrored)
	for i, want := range aslant {
		require.InDelta(t, 1279-want.X, r.Elements[0].Outline[i].X, 8, "corner %d", i)
		require.InDelta(t, want.Y, r.Elements[0].Outline[i].Y, 8, "corner %d", i)
	}
	require.Equal(t, "mirrored", r.Elements[0].Evidence().Transform)
}

func TestAbsenceHasItsOwnReasonPerElement(t *testing.T) {
	a := album{"a": drawn(t, 600, 400, 1), "b": drawn(t, 600, 400, 3), "c": drawn(t, 600, 400, 4), "d": drawn(t, 600, 400, 5)}
	site := prepared(t, a, &pipeline.Site{ID: "s", SignNames: []string{"港记烧腊"}, References: []pipeline.Reference{
		logo("a"),
		{Kind: pipeline.RefStorefront, Name: "b", Media: pipeline.File("b")},
		{Kind: pipeline.RefPoster, Name: "c", Media: pipeline.File("c")},
		{Kind: pipeline.RefDesk, Name: "d", Media: pipeline.File("d")},
	}})
	text := &fakeText{text: "新华书店", confidence: .95}
	c, r := run(t, text, clipOf(drawn(t, 1280, 720, 2)), site, time.Time{})
	require.Equal(t, pipeline.Fail, c.Outcome)
	var codes []pipeline.Code
	for _, f := range c.Findings {
		codes = append(codes, f.Code)
		require.NotEqual(t, pipeline.EnvironmentMismatch, f.Code, "absence never says that the place is another one")
		require.NotEmpty(t, f.Evidence)
	}
	require.Equal(t, []pipeline.Code{pipeline.SignNotRead, pipeline.LogoMissing, pipeline.StorefrontMismatch, pipeline.PosterMissing, pipeline.DeskMissing}, codes)
	require.Equal(t, "新华书店", c.Findings[0].Args["read"])
	require.Equal(t, "港记烧腊", c.Findings[0].Args["wanted"])
	require.Equal(t, "a", c.Findings[1].Args["name"])
	require.Equal(t, pipeline.Uncertain, r.Elements[4].Outcome, "a desk that is not found is uncertain: another angle hides it")
	require.Equal(t, WhyAngle, r.Elements[4].Why)
	require.Equal(t, []string{"新华书店"}, c.Detail["words"])
}

func TestPosterDates(t *testing.T) {
	spring, summer := drawn(t, 400, 600, 7), drawn(t, 400, 600, 8)
	day := func(m, d int) time.Time { return time.Date(2026, time.Month(m), d, 12, 0, 0, 0, time.UTC) }
	poster := func(name string, from, to time.Time) pipeline.Reference {
		return pipeline.Reference{Kind: pipeline.RefPoster, Name: name, Media: pipeline.File(name), ValidFrom: from, ValidTo: to}
	}
	site := prepared(t, album{"spring": spring, "summer": summer}, &pipeline.Site{ID: "s", References: []pipeline.Reference{
		poster("spring", day(3, 1), day(5, 31)), poster("summer", day(6, 1), day(8, 31)),
	}})
	wall := drawn(t, 1280, 720, 2)
	hang(t, wall, spring, [4]gocv.Point2f{{X: 300, Y: 150}, {X: 520, Y: 140}, {X: 530, Y: 480}, {X: 310, Y: 470}})
	for name, c := range map[string]struct {
		at      time.Time
		outcome pipeline.Outcome
		code    pipeline.Code
		why     string
	}{
		"hangs now":        {day(4, 1), pipeline.Pass, "", ""},
		"last day":         {day(5, 31), pipeline.Pass, "", ""},
		"over":             {day(7, 1), pipeline.Fail, pipeline.PosterOutdated, WhyOutdated},
		"over, none hangs": {day(10, 1), pipeline.Fail, pipeline.PosterOutdated, WhyOutdated},
		"no time given":    {time.Time{}, pipeline.Pass, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, r := run(t, nil, clipOf(wall), site, c.at)
			require.Equal(t, c.outcome, got.Outcome)
			require.Equal(t, c.why, r.Elements[0].Why)
			require.Equal(t, "spring", r.Elements[0].Reference)
			if c.code == "" {
				require.Empty(t, got.Findings)
				return
			}
			require.Equal(t, c.code, got.Findings[0].Code)
			require.Equal(t, map[string]string{"name": "spring", "until": "2026-05-31"}, got.Findings[0].Args)
			require.NotEmpty(t, got.Findings[0].Evidence[0].Outline)
		})
	}
	t.Run("no poster hangs and none is seen", func(t *testing.T) {
		got, r := run(t, nil, clipOf(drawn(t, 1280, 720, 9)), site, day(10, 1))
		require.Equal(t, pipeline.NotChecked, got.Outcome)
		require.Equal(t, WhyNoPoster, got.Why)
		require.Equal(t, WhyNoPoster, r.Elements[0].Why)
	})
	t.Run("wanted poster is missing", func(t *testing.T) {
		got, _ := run(t, nil, clipOf(drawn(t, 1280, 720, 9)), site, day(7, 1))
		require.Equal(t, pipeline.PosterMissing, got.Findings[0].Code)
		require.Equal(t, "summer", got.Findings[0].Args["name"])
	})
}

func TestSign(t *testing.T) {
	wall := drawn(t, 1280, 720, 2)
	// The line of fakeText: bright on the left, dark on the right.
	require.NoError(t, gocv.Rectangle(&wall, image.Rect(100, 60, 400, 220), color.RGBA{R: 250, G: 250, B: 250, A: 255}, -1))
	require.NoError(t, gocv.Rectangle(&wall, image.Rect(400, 60, 700, 220), color.RGBA{A: 255}, -1))
	site := prepared(t, nil, &pipeline.Site{ID: "s", SignNames: []string{"Gangji", "港记烧腊"}})
	for name, c := range map[string]struct {
		text     *fakeText
		flip     bool
		outcome  pipeline.Outcome
		mirrored bool
	}{
		"read":           {&fakeText{text: "港记烧腊", confidence: .9}, false, pipeline.Pass, false},
		"other alias":    {&fakeText{text: "GANG JI", confidence: .9}, false, pipeline.Pass, false},
		"badly read":     {&fakeText{text: "港记烧腊", confidence: .4}, false, pipeline.Uncertain, false},
		"another":        {&fakeText{text: "新华书店", confidence: .9}, false, pipeline.Fail, false},
		"nothing":        {&fakeText{}, false, pipeline.Fail, false},
		"mirrored":       {&fakeText{text: "港记烧腊", confidence: .9, mirrored: true}, true, pipeline.Pass, true},
		"straight still": {&fakeText{text: "港记烧腊", confidence: .9, mirrored: true}, false, pipeline.Pass, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := wall.Clone()
			defer m.Close()
			if c.flip {
				// Mirror the line in its own place.
				part := m.Region(image.Rect(100, 60, 700, 220))
				defer part.Close()
				flipped := gocv.NewMat()
				defer flipped.Close()
				require.NoError(t, gocv.Flip(part, &flipped, 1))
				require.NoError(t, flipped.CopyTo(&part))
			}
			got, r := run(t, c.text, clipOf(m), site, time.Time{})
			require.Equal(t, c.outcome, got.Outcome)
			e := r.Elements[0]
			require.Equal(t, c.mirrored, e.Mirrored)
			if c.outcome != pipeline.Pass {
				require.Equal(t, pipeline.SignNotRead, got.Findings[0].Code)
				return
			}
			require.Equal(t, c.text.text, e.Read)
			require.Equal(t, "text", e.Evidence().Kind)
			// The line of fakeText, grown by the detector's rule.
			require.InDelta(t, 160+480/2, float64(e.Box.X)+float64(e.Box.W)/2, 12)
			require.InDelta(t, 135, float64(e.Box.Y)+float64(e.Box.H)/2, 8)
			require.Greater(t, e.Box.H, 100)
		})
	}
	t.Run("stops at the first frame that has it", func(t *testing.T) {
		text := &fakeText{text: "港记烧腊", confidence: .9}
		_, r := run(t, text, clipOf(wall, drawn(t, 1280, 720, 4)), site, time.Time{})
		require.Equal(t, 1, text.maps)
		require.Len(t, r.Frames, 1)
	})
	t.Run("a failing model is an error", func(t *testing.T) {
		gone := errors.New("gone")
		_, _, err := Check(context.Background(), &fakeText{err: gone}, clipOf(wall), site, time.Time{}, DefaultConfig())
		require.ErrorIs(t, err, gone)
	})
}

func TestNotChecked(t *testing.T) {
	picture := drawn(t, 600, 400, 1)
	site := prepared(t, album{"wall": picture}, &pipeline.Site{ID: "s", References: []pipeline.Reference{logo("wall")}})
	busy := clipOf(drawn(t, 640, 360, 2))
	for name, c := range map[string]struct {
		clip *media.Clip
		site *Site
		why  string
	}{
		"no site":                      {busy, nil, WhyNoSite},
		"an empty site":                {busy, &Site{}, WhyNoSite},
		"no frames":                    {&media.Clip{}, site, WhyNoFrames},
		"a covered lens":               {clipOf(blank(t, 640, 360)), site, WhyLowQuality},
		"nothing enrolled":             {busy, site, WhyNoReference},
		"a covered lens before a sign": {clipOf(blank(t, 640, 360)), prepared(t, nil, &pipeline.Site{ID: "s", SignNames: []string{"A1"}}), WhyLowQuality},
	} {
		cfg := DefaultConfig()
		if c.why == WhyNoReference {
			cfg.Want = []Element{Desk}
		}
		got, _, err := Check(context.Background(), &fakeText{}, c.clip, c.site, time.Time{}, cfg)
		require.NoError(t, err)
		require.Equal(t, pipeline.NotChecked, got.Outcome, name)
		require.Equal(t, c.why, got.Why, name)
		require.Empty(t, got.Findings, name)
	}
	t.Run("one of two wanted is not enrolled", func(t *testing.T) {
		wall := drawn(t, 1280, 720, 2)
		hang(t, wall, picture, aslant)
		cfg := DefaultConfig()
		cfg.Want = []Element{Logo, Desk}
		got, _, err := Check(context.Background(), nil, clipOf(wall), site, time.Time{}, cfg)
		require.NoError(t, err)
		require.Equal(t, pipeline.Uncertain, got.Outcome, "what was not checked is no pass")
		require.Equal(t, pipeline.NotCheckedWanted, got.Findings[0].Code)
	})
}

func TestOddFrameSizes(t *testing.T) {
	picture := drawn(t, 600, 400, 1)
	site := prepared(t, album{"wall": picture}, &pipeline.Site{ID: "s", SignNames: []string{"A1"}, References: []pipeline.Reference{logo("wall")}})
	for _, size := range []image.Point{{X: 1, Y: 1}, {X: 2, Y: 2}, {X: 16, Y: 16}, {X: 1, Y: 1280}, {X: 1280, Y: 1}, {X: 3, Y: 700}} {
		c, _ := run(t, &fakeText{}, clipOf(blank(t, size.X, size.Y)), site, time.Time{})
		require.Equal(t, pipeline.NotChecked, c.Outcome, "%v", size)
		require.Equal(t, WhyLowQuality, c.Why, "%v", size)
	}
}

func TestSameInputSameAnswer(t *testing.T) {
	picture := drawn(t, 600, 400, 1)
	site := prepared(t, album{"wall": picture}, &pipeline.Site{ID: "s", SignNames: []string{"A1"}, References: []pipeline.Reference{logo("wall")}})
	wall := drawn(t, 1280, 720, 2)
	hang(t, wall, picture, aslant)
	c1, r1 := run(t, &fakeText{text: "B", confidence: 1}, clipOf(wall, drawn(t, 1280, 720, 3)), site, time.Time{})
	c2, r2 := run(t, &fakeText{text: "B", confidence: 1}, clipOf(wall, drawn(t, 1280, 720, 3)), site, time.Time{})
	r1.Spent, r2.Spent = Spent{}, Spent{}
	require.Equal(t, r1, r2)
	require.Equal(t, c1, c2)
}

func TestConfigNamesWhatCannotWork(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	for name, change := range map[string]func(*Config){
		"Frames": func(c *Config) { c.Frames = 0 }, "DoubtInliers": func(c *Config) { c.DoubtInliers = c.Inliers + 1 },
		"SignSimilarity": func(c *Config) { c.SignSimilarity = math.NaN() }, "Want": func(c *Config) { c.Want = []Element{"door"} },
	} {
		c := DefaultConfig()
		change(&c)
		require.ErrorContains(t, c.Validate(), name)
	}
}
