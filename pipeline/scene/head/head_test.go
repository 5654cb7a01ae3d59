package head

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/models/manifest"
)

// made gives pictures of two classes from several sources: the first feature tells the class, the second tells the source and would lead
// astray, the rest is noise.
func made(n, sources int) []Sample {
	r := rand.New(rand.NewPCG(7, 7))
	var out []Sample
	for i := range n {
		s := Sample{Class: "desk", Source: fmt.Sprint("s", i/2%sources), File: fmt.Sprintf("%04d.jpg", i), SHA256: fmt.Sprintf("%064d", i)}
		x := make([]float32, 24)
		for j := range x {
			x[j] = float32(r.NormFloat64())
		}
		x[0] += 1.5
		if i%2 == 1 {
			s.Class = "cafe"
			x[0] -= 3
		}
		x[1] += float32(i / 2 % sources)
		s.Input = Input{Office: x, COCO: make([]float32, 80)}
		out = append(out, s)
	}
	return out
}

func desk() Question {
	for _, q := range Questions() {
		if q.Name == Desk {
			return q
		}
	}
	panic("no question about desks")
}

func TestTrainFindsWhatTellsTheClass(t *testing.T) {
	samples := made(240, 8)
	heads, err := Train(t.Context(), []Question{desk()}, samples, nil, DefaultFitOptions(), nil)
	require.NoError(t, err)
	h := heads[0]
	row := h.Rows(Plain)
	require.Greater(t, *row.AUC, 0.9)
	require.InDelta(t, 0.98, *row.AUC, 0.03)
	require.True(t, row.CI95[0] <= *row.AUC && *row.AUC <= row.CI95[1])
	for j := 1; j < 24; j++ {
		require.Greater(t, h.Linear.Weights[0], 3*math.Abs(h.Linear.Weights[j]), "feature %d", j)
	}
	require.Zero(t, h.Linear.Weights[30], "a feature that never changes gets no weight")
	require.GreaterOrEqual(t, h.Yes-h.No, margin)
	part := row.Against["cafe"]
	require.Equal(t, 240, part.N)
	require.InDelta(t, *row.AUC, *part.AUC, 1e-12, "there is no other class")
}

func TestTrainRepeatsToTheBit(t *testing.T) {
	samples := made(120, 4)
	a, err := Train(t.Context(), []Question{desk()}, samples, nil, DefaultFitOptions(), nil)
	require.NoError(t, err)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(samples), func(i, j int) { samples[i], samples[j] = samples[j], samples[i] })
	b, err := Train(t.Context(), []Question{desk()}, samples, nil, DefaultFitOptions(), nil)
	require.NoError(t, err)
	require.Equal(t, a, b, "the order of the pictures must not matter")
}

func TestLeaveOutNeverSeesTheSource(t *testing.T) {
	// One source alone has the class the other way round: a head that had seen it would do better there.
	samples := made(200, 5)
	for i := range samples {
		if samples[i].Source == "s3" {
			samples[i].Input.Office[0] *= -1
		}
	}
	held, err := LeaveOut(t.Context(), desk(), samples, Sources(samples), DefaultFitOptions(), func(int) {})
	require.NoError(t, err)
	wrong, all := 0, 0
	for _, h := range held {
		if h.Source == "s3" {
			all++
			if (h.P > 0) != h.Yes {
				wrong++
			}
		}
	}
	require.Greater(t, float64(wrong)/float64(all), 0.8)
}

func TestPicturesThatAlwaysTrain(t *testing.T) {
	asked, always := made(40, 4), made(400, 4)
	for i := range always {
		always[i].Source = "always-" + always[i].Source
		always[i].Input.Office[0] *= -1 // the contrary
	}
	alone, err := Train(t.Context(), []Question{desk()}, asked, nil, DefaultFitOptions(), nil)
	require.NoError(t, err)
	require.Greater(t, *alone[0].Rows(Plain).AUC, 0.8)
	with, err := Train(t.Context(), []Question{desk()}, asked, always, DefaultFitOptions(), nil)
	require.NoError(t, err)
	require.Len(t, with[0].Held, len(asked), "the others are not asked")
	require.Less(t, *with[0].Rows(Plain).AUC, 0.2)
	_, err = Train(t.Context(), []Question{desk()}, always, always, DefaultFitOptions(), nil)
	require.ErrorContains(t, err, "both asked and always trained")
}

func TestDrawingsDoNotTrainAHeadForPhotos(t *testing.T) {
	q := desk()
	photos := made(80, 4)
	drawn := made(80, 4)
	for i := range drawn {
		drawn[i].Source = "drawn-" + drawn[i].Source
		drawn[i].Input.Office[0] *= -1 // they would teach the contrary
	}
	both := slices.Concat(photos, drawn)
	q.Photos = true
	want, err := Fit(q, photos, DefaultFitOptions())
	require.NoError(t, err)
	got, err := Fit(q, both, DefaultFitOptions())
	require.NoError(t, err)
	require.Equal(t, want, got)
	q.Photos = false
	got, err = Fit(q, both, DefaultFitOptions())
	require.NoError(t, err)
	require.NotEqual(t, want, got)
}

func TestGroupsThatAreFittedApart(t *testing.T) {
	samples := made(120, 4)
	for i := range samples {
		samples[i].Input.COCO[3] = samples[i].Input.Office[0]
	}
	q := desk()
	q.Apart = true
	sum, err := Fit(q, samples, DefaultFitOptions())
	require.NoError(t, err)
	in := samples[0].Input
	z, ok := sum.Logit(in)
	require.True(t, ok)
	want := 0.0
	for _, g := range q.Uses {
		one := q
		one.Uses = []string{g}
		l, err := Fit(one, samples, DefaultFitOptions())
		require.NoError(t, err)
		part, ok := l.Logit(in)
		require.True(t, ok)
		want += part
	}
	require.InDelta(t, want, z, 1e-9)
	q.L2 = 1
	strong, err := Fit(q, samples, DefaultFitOptions())
	require.NoError(t, err)
	require.Less(t, math.Abs(strong.Weights[0]), math.Abs(sum.Weights[0]), "the question's own penalty holds")
}

func TestTrainRefusals(t *testing.T) {
	one := made(20, 1)
	_, err := Train(t.Context(), []Question{desk()}, one, nil, DefaultFitOptions(), nil)
	require.ErrorContains(t, err, "leaving one out needs at least 2")
	only := made(20, 4)
	for i := range only {
		only[i].Class = "cafe"
	}
	_, err = Train(t.Context(), []Question{desk()}, only, nil, DefaultFitOptions(), nil)
	require.ErrorContains(t, err, "pictures for both answers")
	uneven := made(20, 4)
	uneven[5].Input.Office = uneven[5].Input.Office[:7]
	_, err = Train(t.Context(), []Question{desk()}, uneven, nil, DefaultFitOptions(), nil)
	require.ErrorContains(t, err, "features")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Train(ctx, []Question{desk()}, made(20, 4), nil, DefaultFitOptions(), nil)
	require.ErrorIs(t, err, context.Canceled)
}

func TestAUC(t *testing.T) {
	s := func(source string, yes bool, p float64) Scored { return Scored{Source: source, Yes: yes, P: p} }
	auc, _ := AUC([]Scored{s("a", true, .9), s("b", true, .5), s("c", false, .5), s("d", false, .1)})
	require.InDelta(t, 3.5/4, *auc, 1e-12, "a tie counts one half")
	auc, ci := AUC([]Scored{s("a", true, .9)})
	require.Nil(t, auc)
	require.Nil(t, ci)
	r := Rate([]Scored{s("a", true, .9), s("a", true, .4), s("b", false, .6), s("b", false, .1)}, 0.5)
	require.InDelta(t, 0.5, *r.Precision, 1e-12)
	require.InDelta(t, 0.5, *r.Recall, 1e-12)
	require.InDelta(t, 0.5, *r.FPR, 1e-12)
	require.InDelta(t, 0.5, *r.TPR, 1e-12, "no false alarm is allowed among two: only what is above all of them counts")
}

func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	put := func(name, body string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600))
	}
	put("desk/001_harbour.jpg", "a")
	put("desk/002_harbour.jpg", "b")
	put("cafe/7.jpg", "c")
	put("cafe/notes.txt", "no picture")
	got, err := Folder(dir)
	require.NoError(t, err)
	require.Len(t, got, 3)
	require.Equal(t, []string{"7", "harbour"}, Sources(got))
	put("../SOURCES.csv", "file,source\ndata/desk/001_harbour.jpg,one\nelse/desk/002_harbour.jpg,two\n")
	got, err = Folder(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"7", "harbour", "one"}, Sources(got))
	put("sources.csv", "file,source\ndesk/001_harbour.jpg,three\n")
	got, err = Folder(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"7", "harbour", "three"}, Sources(got))
	put("castle/1.jpg", "x")
	_, err = Folder(dir)
	require.ErrorContains(t, err, `no class: "castle"; want folders named`)
	_, err = Folder(t.TempDir())
	require.ErrorContains(t, err, "no pictures")
}

func TestCache(t *testing.T) {
	dir := t.TempDir()
	var asked atomic.Int32
	measure := func(ctx context.Context, _, variant string) (Input, error) {
		asked.Add(1)
		return Input{Office: []float32{float32(len(variant))}, Text: nil}, ctx.Err()
	}
	both := func(Sample) []string { return []string{Plain, Gray} }
	fill := func(version string) []Sample {
		out, _, _, err := Cache{Dir: dir, Versions: []string{version}}.Fill(t.Context(), "x", made(3, 2), both, measure, nil)
		require.NoError(t, err)
		return out
	}
	first := fill("1")
	require.EqualValues(t, 6, asked.Load())
	require.Equal(t, first, fill("1"))
	require.EqualValues(t, 6, asked.Load(), "nothing is measured twice")
	fill("2")
	require.EqualValues(t, 12, asked.Load(), "another model measures anew")
}

// fake answers with fixed probabilities.
type fake []float32

func (f fake) SceneHeads(context.Context, []float32) ([]float32, error) { return f, nil }

func small() manifest.Manifest {
	return manifest.Manifest{
		Name: "m", Version: "1", Input: manifest.Input{Parts: []manifest.Part{{Name: GroupOffice, Size: 2}, {Name: GroupText, Size: 1}}},
		Outputs:    []manifest.Output{{Name: Desk, Uses: []string{GroupOffice}}, {Name: Poster, Uses: []string{GroupOffice, GroupText}}},
		Thresholds: []manifest.Threshold{{Name: "desk_yes", Value: .7}, {Name: "desk_no", Value: .3}, {Name: "poster_yes", Value: .7}, {Name: "poster_no", Value: .3}},
	}
}

func TestSet(t *testing.T) {
	for p, says := range map[float32]int{.71: 1, .5: 0, .29: -1, float32(math.NaN()): 0} {
		s, err := New(fake{p, p}, small())
		require.NoError(t, err)
		votes, err := s.Score(t.Context(), Input{Office: []float32{0, 1}})
		require.NoError(t, err)
		require.Len(t, votes, 1, "a head whose features were not measured gives no vote")
		require.Equal(t, says, votes[Desk].Says, "P %v", p)
	}
	s, err := New(fake{.5, .5}, small())
	require.NoError(t, err)
	require.Equal(t, []string{GroupOffice}, s.Uses(Desk))
	require.Equal(t, []string{GroupOffice, GroupText}, s.Uses())
	_, err = s.Score(t.Context(), Input{Office: []float32{1}})
	require.ErrorContains(t, err, "train the heads again")
	bad := small()
	bad.Thresholds = bad.Thresholds[1:]
	_, err = New(fake{}, bad)
	require.ErrorContains(t, err, "desk_yes")
	require.NotContains(t, Names(), "logo", "a logo is never claimed from a generic head")
}

func TestExportIsReadAsItWasWritten(t *testing.T) {
	samples := made(60, 3)
	heads, err := Train(t.Context(), []Question{desk()}, samples, nil, DefaultFitOptions(), nil)
	require.NoError(t, err)
	model := fmt.Sprintf("%064d", 1)
	e := Export{
		Name: "test", Version: "1", Heads: heads, Samples: samples, Licence: manifest.Licence{SPDX: "MIT"}, Note: "Made up.", Options: DefaultFitOptions(),
		Parts: []manifest.Part{{Name: GroupOffice, Size: 24, Model: model}, {Name: GroupMean, Size: 5, Model: model}, {Name: GroupCOCO, Size: 80, Model: model}},
	}
	dir, again := t.TempDir(), t.TempDir()
	require.NoError(t, e.Write(dir))
	require.NoError(t, e.Write(again))
	for _, f := range []string{ModelFile, ManifestFile, ImageFile, CardFile} {
		a, err := os.ReadFile(filepath.Join(dir, f))
		require.NoError(t, err)
		b, err := os.ReadFile(filepath.Join(again, f))
		require.NoError(t, err)
		require.Equal(t, a, b, f)
	}
	loaded, err := manifest.LoadDir(dir)
	require.NoError(t, err)
	require.Equal(t, 109, loaded[0].Input.Size())
	set, err := New(fake{.5}, loaded[0])
	require.NoError(t, err)
	require.Equal(t, []string{Desk}, set.Names())
	trained, err := TrainedOn(dir)
	require.NoError(t, err)
	require.Len(t, trained, 60)
	require.Equal(t, []string{samples[3].File}, InSample(samples[3:4], trained))
	require.Empty(t, InSample([]Sample{{SHA256: "other"}}, trained))
}
