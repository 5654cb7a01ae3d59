package reuse

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

// One room, two takes: only copies of the first take are copies, however they were changed.
func TestCheckTellsCopiesFromOtherTakesUnraced(t *testing.T) {
	first, second, elsewhere := newStage(1, 7, 320, 240), newStage(1, 8, 320, 240), newStage(2, 9, 320, 240)
	earlier := stored(t, fingerprint(t, film(t, first, 8, from(0), asIs)))
	history := []Candidate{{Job: "monday", Fingerprint: earlier}}
	for name, c := range map[string]struct {
		stage            *stage
		seconds          float64
		when             func(float64) float64
		change           change
		outcome          pipeline.Outcome
		transform        string
		speed            float64
		reversed         bool
		theirFrom, theTo float64 // seconds
	}{
		"darker":              {first, 8, from(0), darker, pipeline.Fail, "none", 1, false, 0, 8},
		"mirrored":            {first, 8, from(0), mirror, pipeline.Fail, "mirrored", 1, false, 0, 8},
		"upside down":         {first, 8, from(0), turnHalf, pipeline.Fail, "rotated_180", 1, false, 0, 8},
		"cropped, trimmed":    {first, 4, from(3), cropped, pipeline.Fail, "cropped", 1, false, 3, 7},
		"faster":              {first, 6, func(t float64) float64 { return 1.25 * t }, asIs, pipeline.Fail, "none", 1.25, false, 0, 7.5},
		"backwards":           {first, 8, func(t float64) float64 { return 8 - t }, asIs, pipeline.Fail, "none", 1, true, 8, 0},
		"other take":          {second, 8, from(0), asIs, pipeline.Pass, "none", 1, false, 0, 0},
		"later part":          {first, 8, from(100), asIs, pipeline.Pass, "none", 1, false, 0, 0},
		"other take mirrored": {second, 8, from(0), mirror, pipeline.Pass, "mirrored", 1, false, 0, 0},
		"other room":          {elsewhere, 8, from(0), asIs, pipeline.Pass, "none", 1, false, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := fingerprint(t, film(t, c.stage, c.seconds, c.when, c.change))
			check, res, err := Check(context.Background(), f, history, 0, DefaultConfig())
			require.NoError(t, err)
			require.Len(t, res.Matches, 1)
			m := res.Matches[0]
			t.Logf("S %.2f, %+v, content %.2f, %d points", m.S, m.Parts, m.Content, m.Inliers)
			require.Equal(t, c.outcome, check.Outcome, "%+v", m)
			if c.outcome == pipeline.Pass {
				require.Empty(t, check.Findings)
				require.Equal(t, c.stage != elsewhere, res.SamePlace)
				require.Empty(t, m.Pairs)
				return
			}
			require.Equal(t, pipeline.FootageReused, check.Findings[0].Code)
			require.False(t, check.Findings[0].Certain)
			require.Equal(t, "monday", check.Findings[0].Args["job"])
			require.Equal(t, c.transform, m.Transform)
			require.InDelta(t, c.speed, m.Speed, 0.06)
			require.Equal(t, c.reversed, m.Reversed)
			require.InDelta(t, c.theirFrom, float64(m.TheirFromMS)/1000, 0.5)
			require.InDelta(t, c.theTo, float64(m.TheirToMS)/1000, 0.5)
			require.NotEmpty(t, m.Pairs)
			for _, p := range m.Pairs {
				require.InDelta(t, c.when(float64(p.OurMS)/1000), float64(p.TheirMS)/1000, 0.35)
			}
			e := check.Findings[0].Evidence[0]
			require.Equal(t, "segment", e.Kind)
			require.LessOrEqual(t, *e.TheirFromMS, *e.TheirToMS)
		})
	}
}

func TestCheckIdenticalBytesAreCertain(t *testing.T) {
	f := fingerprint(t, film(t, newStage(1, 7, 320, 240), 4, from(0), asIs))
	remuxed := f
	remuxed.SHA256 = f.PacketsSHA256
	picture := fingerprint(t, photo(t, newStage(1, 7, 320, 240), 1, asIs))
	for name, c := range map[string]struct {
		query Fingerprint
		with  Fingerprint
		how   string
	}{"file": {f, f, "file"}, "packets": {remuxed, f, "packets"}, "photo": {picture, picture, "file"}} {
		t.Run(name, func(t *testing.T) {
			check, res, err := Check(context.Background(), c.query, []Candidate{{Job: "a", Fingerprint: stored(t, c.with)}}, 0, DefaultConfig())
			require.NoError(t, err)
			require.Equal(t, pipeline.Fail, check.Outcome)
			require.True(t, check.Findings[0].Certain)
			require.Equal(t, c.how, res.Matches[0].Identical)
			require.InDelta(t, 1, *check.Score, 0)
		})
	}
}

// Without motion nothing can be told in time: near-identical pictures are left to a person, others pass.
func TestCheckWithoutMotionAsksUnraced(t *testing.T) {
	still, moving := newStage(1, 0, 320, 240), newStage(1, 7, 320, 240)
	clip := fingerprint(t, film(t, still, 4, from(0), darker))
	earlierStill := Candidate{Job: "still", Fingerprint: stored(t, fingerprint(t, film(t, still, 5, from(0), asIs)))}
	earlierPhoto := Candidate{Job: "photo", Fingerprint: stored(t, fingerprint(t, photo(t, moving, 1, asIs)))}
	for name, c := range map[string]struct {
		query   Fingerprint
		earlier Candidate
		outcome pipeline.Outcome
	}{
		"still clip again":         {clip, earlierStill, pipeline.Uncertain},
		"same photo, mirrored":     {fingerprint(t, photo(t, moving, 1, mirror)), earlierPhoto, pipeline.Uncertain},
		"same photo, cropped":      {fingerprint(t, photo(t, moving, 1, cropped)), earlierPhoto, pipeline.Uncertain},
		"photo of another room":    {fingerprint(t, photo(t, newStage(3, 7, 320, 240), 1, asIs)), earlierPhoto, pipeline.Pass},
		"moving clip, still one":   {fingerprint(t, film(t, moving, 5, from(0), asIs)), earlierStill, pipeline.Pass},
		"clip against that moment": {fingerprint(t, film(t, moving, 5, from(0), asIs)), earlierPhoto, pipeline.Pass},
	} {
		t.Run(name, func(t *testing.T) {
			check, res, err := Check(context.Background(), c.query, []Candidate{c.earlier}, 0, DefaultConfig())
			require.NoError(t, err)
			require.Equal(t, c.outcome, check.Outcome, "%+v", res.Matches)
			require.Less(t, *check.Score, DefaultConfig().Threshold)
			if c.outcome == pipeline.Uncertain {
				require.Equal(t, pipeline.SameContent, check.Findings[0].Code)
			}
		})
	}
}

// The copy must be found among many clips of the same room, and only some may get the full score.
func TestCheckFindsTheCopyInALongHistoryUnraced(t *testing.T) {
	var history []Candidate
	const clips = 14
	for i := range clips {
		f := fingerprint(t, film(t, newStage(1, uint64(20+i), 320, 240), 5, from(0), asIs))
		history = append(history, Candidate{Job: string(rune('a' + i)), Fingerprint: stored(t, f)})
	}
	q := fingerprint(t, film(t, newStage(1, 29, 320, 240), 5, from(0.5), func(p []byte, w, h int) ([]byte, int, int) {
		p, w, h = mirror(p, w, h)
		return cropped(p, w, h)
	}))
	check, res, err := Check(context.Background(), q, history, 0, DefaultConfig())
	require.NoError(t, err)
	require.Equal(t, pipeline.Fail, check.Outcome)
	require.Equal(t, "j", res.Matches[0].Job)
	require.Equal(t, clips, res.Compared)
	require.Len(t, res.Matches, DefaultConfig().Full)
	again, _, err := Check(context.Background(), q, history, 0, DefaultConfig())
	require.NoError(t, err)
	require.Equal(t, check, again, "the same input must give the same answer")

	elsewhere := fingerprint(t, film(t, newStage(2, 40, 320, 240), 5, from(0), asIs))
	check, res, err = Check(context.Background(), elsewhere, history, 0, DefaultConfig())
	require.NoError(t, err)
	require.Equal(t, pipeline.Pass, check.Outcome)
	require.Equal(t, clips, res.Compared)
	require.Less(t, len(res.Matches), DefaultConfig().Full, "what has nothing in common at first sight gets no full score")

	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err = Check(canceled, q, history, 0, DefaultConfig())
	require.ErrorIs(t, err, context.Canceled)
}

func TestCheckEmptyHistoryPasses(t *testing.T) {
	check, res, err := Check(context.Background(), fingerprint(t, photo(t, newStage(1, 7, 64, 48), 0, asIs)), nil, 0, DefaultConfig())
	require.NoError(t, err)
	require.Equal(t, pipeline.Pass, check.Outcome)
	require.Zero(t, res.Compared)
}

// Earlier footage that could not be read was not compared with: that is no pass, whatever was compared besides.
func TestCheckWithMissingHistoryDoesNotPass(t *testing.T) {
	query := fingerprint(t, photo(t, newStage(1, 7, 64, 48), 0, asIs))
	other := Candidate{Job: "other", Fingerprint: stored(t, fingerprint(t, photo(t, newStage(3, 7, 320, 240), 1, asIs)))}
	for name, history := range map[string][]Candidate{"nothing readable": nil, "some readable": {other}} {
		t.Run(name, func(t *testing.T) {
			check, _, err := Check(context.Background(), query, history, 2, DefaultConfig())
			require.NoError(t, err)
			require.Equal(t, pipeline.Uncertain, check.Outcome)
			require.Equal(t, 2, check.Detail["missing"])
			require.Equal(t, []pipeline.Finding{{Code: pipeline.HistoryIncomplete, Outcome: pipeline.Uncertain, Args: map[string]string{"missing": "2"}}}, check.Findings)
		})
	}
	check, _, err := Check(context.Background(), query, []Candidate{{Job: "same", Fingerprint: query}}, 1, DefaultConfig())
	require.NoError(t, err)
	require.Equal(t, pipeline.Fail, check.Outcome)
	require.Len(t, check.Findings, 1, "a proven copy needs no doubt beside it")
	require.Equal(t, 1, check.Detail["missing"])
	check, _, err = Check(context.Background(), query, []Candidate{other}, 0, DefaultConfig())
	require.NoError(t, err)
	require.Equal(t, pipeline.Pass, check.Outcome)
	require.NotContains(t, check.Detail, "missing")
}

// Where every picture is like so much earlier footage that none of it was looked up, nothing was compared: that is no pass, unless an
// investigator said that the pictures are a background.
func TestCheckOfFloodedPicturesDoesNotPass(t *testing.T) {
	fp := Fingerprint{Stills: []Still{{Quality: 80}, {Quality: 80}, {Quality: 10}}}
	fp.Stills[0].PDQ[AsIs], fp.Stills[1].PDQ[AsIs] = Bits256{1 << 60}, Bits256{^uint64(0), ^uint64(0)}
	for i := range fp.Stills[1].PDQ { // far from the first in all forms
		fp.Stills[1].PDQ[i] = Bits256{^uint64(0), ^uint64(0)}
	}
	first, second := Background{ID: "m1", Hash: fp.Stills[0].PDQ[AsIs]}, Background{ID: "m2", Hash: fp.Stills[1].PDQ[AsIs]}
	for name, c := range map[string]struct {
		flooded int
		marks   []Background
		outcome pipeline.Outcome
	}{
		"none":                     {0, nil, pipeline.Pass},
		"one of two":               {1, nil, pipeline.Pass},
		"all":                      {2, nil, pipeline.Uncertain},
		"all, one is a background": {2, []Background{first}, pipeline.Uncertain},
		"all are backgrounds":      {2, []Background{first, second}, pipeline.Pass},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.Flooded, cfg.Backgrounds = c.flooded, c.marks
			check, _, err := Check(t.Context(), fp, nil, 0, cfg)
			require.NoError(t, err)
			require.Equal(t, c.outcome, check.Outcome)
			if c.outcome == pipeline.Uncertain {
				require.Equal(t, []pipeline.Finding{{Code: pipeline.HistoryIncomplete, Outcome: pipeline.Uncertain, Args: map[string]string{"flooded": "2"}}}, check.Findings)
			}
		})
	}
}

func TestConfigValidate(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	for _, spoil := range []func(*Config){
		func(c *Config) { c.Threshold = 1.1 }, func(c *Config) { c.Weak = 0 }, func(c *Config) { c.Weak = 0.45 }, func(c *Config) { c.CannotTell = 0.9 },
		func(c *Config) { c.Full = 0 }, func(c *Config) { c.LowMotion = -1 }, func(c *Config) { c.Threshold = math.NaN() },
	} {
		c := DefaultConfig()
		spoil(&c)
		require.Error(t, c.Validate())
		_, _, err := Check(context.Background(), Fingerprint{}, nil, 0, c)
		require.Error(t, err)
	}
}

func TestScoreKeepsTheOrder(t *testing.T) {
	require.InDelta(t, 0.5, Score(sameRecordingS), 1e-12)
	require.Zero(t, Score(-1))
	require.Zero(t, Score(math.NaN()))
	last := -1.0
	for s := 0.0; s < 5; s += 0.25 {
		require.Greater(t, Score(s), last)
		last = Score(s)
	}
	require.Less(t, last, 1.0)
}
