package scene

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/models"
	"onsite/models/manifest"
	"onsite/pipeline"
	"onsite/pipeline/scene/head"
)

// fakeHeads says how sure each head is.
type fakeHeads struct {
	fakeScene
	p     map[string]float32
	asked int
	other string // sha256 of the model that the heads were trained on
}

var headNames = []string{head.Cafe, head.Home, head.Desk, head.Storefront, head.Poster}

func (f *fakeHeads) SceneHeads(context.Context, []float32) ([]float32, error) {
	f.asked++
	out := make([]float32, len(headNames))
	for i, n := range headNames {
		out[i] = f.p[n]
	}
	return out, nil
}

func (f *fakeHeads) Manifest(models.Task) (manifest.Manifest, bool) {
	m := manifest.Manifest{Input: manifest.Input{Parts: []manifest.Part{{Name: head.GroupText, Size: 9, Model: f.other}}}}
	for _, n := range headNames {
		m.Outputs = append(m.Outputs, manifest.Output{Name: n, Uses: []string{head.GroupText}})
		m.Thresholds = append(m.Thresholds, manifest.Threshold{Name: n + "_yes", Value: .8}, manifest.Threshold{Name: n + "_no", Value: .2})
	}
	return m, true
}

// A general impression contradicts only with a margin, where nothing of the site was found and nothing speaks for it; and it proves nothing.
func TestAGeneralImpression(t *testing.T) {
	picture := drawn(t, 600, 400, 1)
	site := prepared(t, album{"a": picture}, &pipeline.Site{ID: "s", References: []pipeline.Reference{{Kind: pipeline.RefStorefront, Name: "a", Media: pipeline.File("a")}}})
	wall := drawn(t, 1280, 720, 2)
	hang(t, wall, picture, aslant)
	for name, c := range map[string]struct {
		p     map[string]float32
		want  []Element
		seen  bool
		off   bool
		says  string
		asked int
	}{
		"a cafe":               {map[string]float32{head.Cafe: .9}, nil, false, false, "a cafe", 1},
		"perhaps a cafe":       {map[string]float32{head.Cafe: .7}, nil, false, false, "", 1},
		"a cafe or a shop":     {map[string]float32{head.Cafe: .9, head.Storefront: .9}, nil, false, false, "", 1},
		"a home":               {map[string]float32{head.Home: .95}, nil, false, false, "a home", 1},
		"the storefront is in": {map[string]float32{head.Cafe: .9}, nil, true, false, "", 0},
		"a cafe with a desk":   {map[string]float32{head.Cafe: .9, head.Desk: .9}, nil, false, false, "", 1},
		"a home with a desk":   {map[string]float32{head.Home: .9, head.Desk: .9}, []Element{Logo, Screen}, false, false, "", 1},
		"a desk may be there":  {map[string]float32{head.Home: .9}, []Element{Storefront, Desk}, false, false, "", 1},
		"a screen in a cafe":   {map[string]float32{head.Cafe: .9}, []Element{Storefront, Screen}, false, false, "a cafe", 1},
		"not asked for":        {map[string]float32{head.Cafe: .9}, nil, false, true, "", 0},
	} {
		cfg := DefaultConfig()
		cfg.Heads, cfg.Want = !c.off, c.want
		m := &fakeHeads{p: c.p}
		view := drawn(t, 1280, 720, 2)
		if c.seen {
			view = wall
		}
		got, r, err := Check(context.Background(), m, clipOf(view), site, time.Time{}, cfg)
		require.NoError(t, err, name)
		require.Equal(t, c.asked, m.asked, name)
		if c.says == "" {
			require.Empty(t, r.Against, name)
			continue
		}
		f := mismatches(got)
		require.Len(t, f, 1, name)
		require.Equal(t, pipeline.Uncertain, f[0].Outcome, name)
		require.Equal(t, c.says, f[0].Args["place_en"], name)
		require.Equal(t, ByHead, r.Against[0].Means)
	}
	cfg := DefaultConfig()
	cfg.Heads = true
	_, _, err := Check(context.Background(), &fakeScene{}, clipOf(drawn(t, 1280, 720, 2)), site, time.Time{}, cfg)
	require.ErrorContains(t, err, "general impression", "a missing model is an error")
	_, _, err = Check(context.Background(), &fakeHeads{other: "abc"}, clipOf(drawn(t, 1280, 720, 2)), site, time.Time{}, cfg)
	require.ErrorContains(t, err, "train them again", "features of another model mean something else")
}

// A picture with too little detail to match may still show what detectors and heads know.
func TestLittleDetailTakesBackNothing(t *testing.T) {
	site := prepared(t, nil, &pipeline.Site{ID: "s", SignNames: []string{"A1"}})
	cfg := DefaultConfig()
	cfg.Want = []Element{Screen}
	c, _, err := Check(context.Background(), &fakeScene{score: .8}, clipOf(blank(t, 640, 360)), site, time.Time{}, cfg)
	require.NoError(t, err)
	require.Equal(t, pipeline.Pass, c.Outcome)
	c, _, err = Check(context.Background(), &fakeScene{score: .1}, clipOf(blank(t, 640, 360)), site, time.Time{}, cfg)
	require.NoError(t, err)
	require.Equal(t, WhyLowQuality, c.Why)
}

// Without the inner output of a detector its heads would give no vote, and nobody would be told.
func TestHeadsAskForTheInnerOutput(t *testing.T) {
	all, err := manifest.Builtin()
	require.NoError(t, err)
	set := shelf{}
	for _, m := range all {
		set[models.Task(m.Task)] = m
	}
	require.NoError(t, HeadsFit(set, set[models.SceneHead]))
	for _, task := range []models.Task{models.TextDetect, models.SceneEmbed} {
		was := set[task]
		bare := was
		bare.Outputs = was.Outputs[:len(was.Outputs)-1]
		set[task] = bare
		err := HeadsFit(set, set[models.SceneHead])
		require.ErrorContains(t, err, "pool_of", task)
		require.ErrorContains(t, err, string(task))
		bare.Outputs = append(bare.Outputs[:len(bare.Outputs):len(bare.Outputs)], manifest.Output{Name: "pool", Shape: []int{1, 2}, PoolOf: "x"})
		set[task] = bare
		require.ErrorContains(t, HeadsFit(set, set[models.SceneHead]), "shape [1, ", "one of another size is not it")
		set[task] = was
	}
}

// shelf has manifests by task.
type shelf map[models.Task]manifest.Manifest

func (s shelf) Manifest(task models.Task) (manifest.Manifest, bool) {
	m, ok := s[task]
	return m, ok
}
