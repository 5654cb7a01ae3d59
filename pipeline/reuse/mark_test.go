package reuse

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

// A marked pair leads to no finding, whether time or the very bytes said that it is a copy; the verdict says what was taken back, and by
// which mark. Other footage is compared as ever.
func TestMarkedPairUnraced(t *testing.T) {
	room := newStage(1, 7, 320, 240)
	query := fingerprint(t, film(t, room, 4, from(0), darker))
	original := stored(t, fingerprint(t, film(t, room, 4, from(0), asIs)))
	check := func(history ...Candidate) (pipeline.Check, Result) {
		c, res, err := Check(context.Background(), query, history, 0, DefaultConfig())
		require.NoError(t, err)
		require.Equal(t, len(history), res.Compared)
		return c, res
	}
	for name, earlier := range map[string]Fingerprint{"same recording": original, "same bytes": stored(t, query)} {
		t.Run(name, func(t *testing.T) {
			open, _ := check(Candidate{Job: "a", Fingerprint: earlier})
			require.Equal(t, pipeline.Fail, open.Outcome)
			c, res := check(Candidate{Job: "a", Fingerprint: earlier, Mark: "m1"})
			require.Equal(t, pipeline.Pass, c.Outcome)
			require.Empty(t, c.Findings)
			require.Less(t, *c.Score, *c.Threshold)
			require.False(t, c.Near)
			require.Len(t, res.Matches, 1)
			require.Equal(t, []any{Different, Same, "m1"}, []any{res.Matches[0].Verdict, res.Matches[0].Cleared, res.Matches[0].ClearedBy})
			var detail struct {
				Cleared []struct {
					Job, Verdict, Identical string
					ClearedBy               string `json:"cleared_by"`
					Score                   float64
				}
				Closest struct {
					ClearedBy string `json:"cleared_by"`
				}
			}
			raw, err := json.Marshal(c.Detail)
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(raw, &detail))
			require.Len(t, detail.Cleared, 1)
			require.Equal(t, "a", detail.Cleared[0].Job)
			require.Equal(t, "m1", detail.Cleared[0].ClearedBy)
			require.Equal(t, string(Same), detail.Cleared[0].Verdict)
			require.Greater(t, detail.Cleared[0].Score, DefaultConfig().Threshold)
			require.Equal(t, "m1", detail.Closest.ClearedBy)
		})
	}
	// The same bytes as a marked clip do not hide a copy of another one, nor a second upload of the same bytes.
	c, _ := check(Candidate{Job: "twin", Fingerprint: stored(t, query), Mark: "m1"}, Candidate{Job: "b", Fingerprint: original})
	require.Equal(t, pipeline.Fail, c.Outcome)
	require.Equal(t, "b", c.Findings[0].Args["job"])
	c, _ = check(Candidate{Job: "twin", Fingerprint: stored(t, query), Mark: "m1"}, Candidate{Job: "second", Fingerprint: stored(t, query)})
	require.Equal(t, pipeline.Fail, c.Outcome)
	require.Equal(t, "second", c.Findings[0].Args["job"])
	require.True(t, c.Findings[0].Certain)
	// What was different anyway was not cleared by anything.
	c, res := check(Candidate{Job: "other", Fingerprint: stored(t, fingerprint(t, film(t, newStage(2, 9, 320, 240), 2, from(0), asIs))), Mark: "m1"})
	require.Equal(t, pipeline.Pass, c.Outcome)
	require.NotContains(t, c.Detail, "cleared")
	require.Empty(t, res.Matches)
}

// A marked background no longer makes a question of pictures alone; what time proves it does not take back.
func TestMarkedBackgroundUnraced(t *testing.T) {
	still, moving := newStage(1, 0, 320, 240), newStage(1, 7, 320, 240)
	wall := fingerprint(t, photo(t, still, 0, asIs)).Stills[0]
	require.GreaterOrEqual(t, wall.Quality, minQuality)
	marked := DefaultConfig()
	marked.Backgrounds = []Background{{ID: "far", Hash: Bits256{1, 2, 3, 4}}, {ID: "wall", Hash: wall.PDQ[AsIs]}}
	clip := fingerprint(t, film(t, still, 2, from(0), darker))
	history := []Candidate{{Job: "monday", Fingerprint: stored(t, fingerprint(t, film(t, still, 3, from(0), asIs)))}}
	for name, query := range map[string]Fingerprint{"as it stands": clip, "mirrored": fingerprint(t, film(t, still, 2, from(0), mirror)), "as stored": stored(t, clip)} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, "wall", marked.Background(&query.Stills[0]))
			open, _, err := Check(context.Background(), query, history, 0, DefaultConfig())
			require.NoError(t, err)
			require.Equal(t, pipeline.Uncertain, open.Outcome)
			c, res, err := Check(context.Background(), query, history, 0, marked)
			require.NoError(t, err)
			require.Equal(t, pipeline.Pass, c.Outcome)
			require.Empty(t, c.Findings)
			require.Equal(t, "wall", res.Matches[0].ClearedBy)
			require.Equal(t, CannotTell, res.Matches[0].Cleared)
			require.Len(t, c.Detail["cleared"], 1)
		})
	}
	far := DefaultConfig()
	far.Backgrounds = marked.Backgrounds[:1]
	c, _, err := Check(context.Background(), clip, history, 0, far)
	require.NoError(t, err)
	require.Equal(t, pipeline.Uncertain, c.Outcome, "another background changes nothing")
	dull := wall
	dull.Quality = minQuality - 1
	require.Empty(t, marked.Background(&dull), "a hash without structure is near to nothing")

	recording := stored(t, fingerprint(t, film(t, moving, 4, from(0), asIs)))
	for _, s := range recording.Stills {
		marked.Backgrounds = append(marked.Backgrounds, Background{ID: "all", Hash: s.PDQ[AsIs]})
	}
	copied := fingerprint(t, film(t, moving, 4, from(0), darker))
	c, res, err := Check(context.Background(), copied, []Candidate{{Job: "tuesday", Fingerprint: recording}}, 0, marked)
	require.NoError(t, err)
	require.Equal(t, pipeline.Fail, c.Outcome, "time says the same recording, whatever the background")
	require.Empty(t, res.Matches[0].ClearedBy)
}

// Stills of a marked background are left out with their points, and nothing else is.
func TestWithoutBackground(t *testing.T) {
	still := newStage(1, 0, 320, 240)
	f := fingerprint(t, film(t, still, 2, from(0), asIs))
	cfg := DefaultConfig()
	same, mark := f.without(cfg)
	require.Empty(t, mark)
	require.Equal(t, f, same)
	cfg.Backgrounds = []Background{{ID: "m", Hash: f.Stills[0].PDQ[AsIs]}}
	left, mark := f.without(cfg)
	require.Equal(t, "m", mark)
	require.Empty(t, left.Stills)
	points, err := decodePoints(left.points)
	require.NoError(t, err)
	require.Empty(t, points)
	require.Empty(t, left.index)
	require.NotEmpty(t, f.Stills, "the fingerprint itself stays")
	require.NotEmpty(t, f.index)
	require.Equal(t, f.motion, left.motion)
	require.Equal(t, f.full, left.full)
}

func TestFlooded(t *testing.T) {
	f := fingerprint(t, photo(t, newStage(1, 7, 320, 240), 1, asIs))
	cfg := DefaultConfig().WithMarks(flood{})
	c, res, err := Check(context.Background(), f, nil, 0, cfg)
	require.NoError(t, err)
	require.Equal(t, 3, res.Flooded)
	require.Equal(t, 3, c.Detail["flooded"])
	require.Len(t, cfg.Backgrounds, 1)
	c, _, err = Check(context.Background(), f, nil, 0, DefaultConfig())
	require.NoError(t, err)
	require.NotContains(t, c.Detail, "flooded")
	raw, err := json.Marshal(cfg)
	require.NoError(t, err)
	plain, err := json.Marshal(DefaultConfig())
	require.NoError(t, err)
	require.JSONEq(t, string(plain), string(raw), "the recipe is that of the settings, whatever was marked")
}

type flood struct{ pipeline.History }

func (flood) Flooded() int              { return 3 }
func (flood) Backgrounds() []Background { return []Background{{ID: "m"}} }
func (flood) MarksAsOf() int64          { return 1 }

func FuzzParseBits256(f *testing.F) {
	f.Add(Bits256{1, 2, 3, 1 << 63}.String())
	f.Add("")
	f.Add("zz")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := ParseBits256(text)
		if err != nil {
			return
		}
		require.Equal(t, strings.ToLower(text), b.String())
	})
}
