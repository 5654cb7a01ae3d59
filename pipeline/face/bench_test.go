package face

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

func TestRatesAtAFalseMatchRate(t *testing.T) {
	var trials []Trial
	for i := range 1000 {
		trials = append(trials, Trial{"a", "b", float64(i) / 1000})
	}
	for i := range 10 {
		trials = append(trials, Trial{"a", "a", 0.985 + float64(i)/1000})
	}
	r := rates(trials)
	tar, threshold, ok := r.tarAt(1e-2)
	require.True(t, ok)
	require.Greater(t, threshold, 0.989)
	require.LessOrEqual(t, above(r.different, threshold), 1e-2)
	require.InDelta(t, 0.5, tar, 0.11)
	_, _, ok = r.tarAt(1e-3)
	require.False(t, ok, "one pair above the threshold says nothing")
	require.Zero(t, above(nil, 0))
}

func TestGroupsLeaveTheProbeOut(t *testing.T) {
	var shots []shot
	for _, id := range []string{"a", "b"} {
		for i := range 4 {
			s := shot{identity: id, file: fmt.Sprintf("x/%s/%d.jpg", id, i), ok: true}
			s.vector.V = make([]float32, 9)
			at := i
			if id == "b" {
				at += 4
			}
			s.vector.V[at] = 0.6 // its own
			s.vector.V[8] = 0.8  // shared by all
			shots = append(shots, s)
		}
	}
	pairs, err := groupTrials(shots, 1)
	require.NoError(t, err)
	r := rates(pairs)
	require.Len(t, r.same, 12)      // 2 x (4 over 2)
	require.Len(t, r.different, 16) // 4 x 4
	for _, s := range append(r.same, r.different...) {
		require.InDelta(t, 0.64, s, 1e-6, "a photo was compared with itself")
	}
	groups, err := groupTrials(shots, 3)
	require.NoError(t, err)
	r = rates(groups)
	require.Len(t, r.same, 8)       // the three others, once
	require.Len(t, r.different, 32) // four groups of neighbours for each of 8 probes
	for _, s := range append(r.same, r.different...) {
		require.Less(t, s, 0.8, "a photo was in its own references")
	}
}

func TestCalibrationHoldsOnTheOtherHalf(t *testing.T) {
	var trials []Trial
	for i := range 60 {
		for k := range 60 {
			// Scores of different people between 0 and 0.4, of the same between 0.6 and 1, always the same ones.
			x := float64((i*7919+k*104729)%1000) / 1000
			a, b := fmt.Sprint("id", i), fmt.Sprint("id", k)
			if i == k {
				trials = append(trials, Trial{a, b, 0.6 + 0.4*x})
			} else {
				trials = append(trials, Trial{a, b, 0.4 * x})
			}
		}
	}
	c, err := calibrate(trials, 1e-2)
	require.NoError(t, err)
	again, err := calibrate(trials, 1e-2)
	require.NoError(t, err)
	require.Equal(t, c, again)
	require.InDelta(t, 0.396, c.Threshold, 0.01)
	require.LessOrEqual(t, c.CI95[0], c.Threshold)
	require.GreaterOrEqual(t, c.CI95[1], c.Threshold)
	require.InDelta(t, 1, c.HeldOut.TAR, 0)
	require.LessOrEqual(t, c.Median, c.Threshold)
	require.InDelta(t, 1e-2, c.HeldOut.FMR, 1e-2)
	_, err = calibrate(trials[:1], 1e-2)
	var few *TooFewError
	require.ErrorAs(t, err, &few)

	// Halves follow from names: enough people in all may be too few in one half, and the error says so.
	var lopsided []Trial
	for i := 0; len(lopsided) < 12; i++ {
		name := fmt.Sprint("id", i)
		if first, _ := halves([]Trial{{name, name, 1}}); len(first) == 1 || len(lopsided) == 11 {
			lopsided = append(lopsided, Trial{name, name, 1})
		}
	}
	_, err = calibrate(lopsided, 1e-2)
	require.ErrorAs(t, err, &few)
	require.Equal(t, 12, few.First+few.Second)
	require.Less(t, min(few.First, few.Second), few.Needed)
	require.Contains(t, err.Error(), fmt.Sprintf("has %d people", few.First))
	require.Contains(t, err.Error(), fmt.Sprintf("has %d; each needs at least 3", few.Second))
	require.Contains(t, few.Text().ZH, "每一半至少需要 3 人")
	require.Contains(t, (&TooFewError{First: 1, Second: 0, Needed: 3}).Error(), "1 person ")
}

// benchDir makes a folder of identities with empty files, and a decoder that draws the person whose number the file's name starts with.
func benchDir(t *testing.T, files ...string) (string, Decode) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "people")
	for _, f := range files {
		path := filepath.Join(dir, f)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, nil, 0o600))
	}
	return dir, func(_ context.Context, m pipeline.Media) (*media.Clip, error) {
		who := int(m.Name()[0] - '0')
		switch who {
		case 9:
			return nil, errors.New("damaged")
		case 0:
			return fakeClip(t, nil), nil
		}
		return fakeClip(t, []person{{who: who, at: at(320, 240, 200)}}), nil
	}
}

func TestBenchMeasuresAFolder(t *testing.T) {
	dir, decode := benchDir(t, "anna/1a.jpg", "anna/1b.jpg", "anna/1c.jpg", "bo/2a.jpg", "bo/2b.jpg", "bo/0.jpg", "cy/9.jpg", ".hidden/1.jpg", "pairs.csv")
	calls := 0
	o := BenchOptions{Config: DefaultConfig(), Progress: func(int, int) { calls++ }}
	for _, bare := range []bool{false, true} {
		o.Bare = bare
		r, err := Bench(context.Background(), dir, o, decode, &fakeModels{})
		require.NoError(t, err)
		require.Equal(t, 6, r.Images)
		require.Equal(t, 2, r.Identities)
		require.Equal(t, 1, r.NoFace)
		require.Len(t, r.Refused, 1)
		require.Equal(t, filepath.Join("people", "cy", "9.jpg"), r.Refused[0].File)
		require.Equal(t, 6, r.Same)
		require.Equal(t, 9, r.Different)
		require.InDelta(t, 4.0/6, r.TARAtThreshold, 1e-9, "the photo without a face counts as refused")
		require.Zero(t, r.FMRAtThreshold)
		require.Nil(t, r.TAR["1e-3"])
		text, err := json.Marshal(r)
		require.NoError(t, err)
		for _, key := range []string{"images", "no_face", "same", "different", "tar", "threshold", "tar_at_threshold", "fmr_at_threshold", "ms_per_image"} {
			require.Contains(t, string(text), `"`+key+`":`)
		}
		require.Contains(t, string(text), `"tar":{"1e-2":null,"1e-3":null}`)
	}
	require.Equal(t, 12, calls)
}

func TestBenchOfNamedPairs(t *testing.T) {
	dir, decode := benchDir(t, "anna/1a.jpg", "anna/1b.jpg", "bo/2a.jpg")
	csv := filepath.Join(t.TempDir(), "pairs.csv")
	run := func(text string) (BenchResult, error) {
		require.NoError(t, os.WriteFile(csv, []byte(text), 0o600))
		return Bench(context.Background(), dir, BenchOptions{Config: DefaultConfig(), Pairs: csv}, decode, &fakeModels{})
	}
	r, err := run("file_a,file_b,label\npeople/anna/1a.jpg,people/anna/1b.jpg,same\npeople/anna/1a.jpg,people/bo/2a.jpg,different\n")
	require.NoError(t, err)
	require.Equal(t, [2]int{1, 1}, [2]int{r.Same, r.Different})
	require.InDelta(t, 1, r.TARAtThreshold, 0)
	_, err = run("people/anna/1a.jpg,people/anna/1b.jpg,perhaps\n")
	require.ErrorContains(t, err, "row 1")
	_, err = run("people/anna/1a.jpg,people/gone/1.jpg,same\n")
	require.ErrorContains(t, err, "not in the folder")
}

func TestBenchRefusesWhatItCannotMeasure(t *testing.T) {
	dir, decode := benchDir(t, "anna/1a.jpg")
	ctx := context.Background()
	o := BenchOptions{Config: DefaultConfig()}
	_, err := Bench(ctx, filepath.Join(dir, "gone"), o, decode, &fakeModels{})
	require.Error(t, err)
	_, err = Bench(ctx, t.TempDir(), o, decode, &fakeModels{})
	require.ErrorContains(t, err, "holds no photos")
	_, err = Bench(ctx, dir, BenchOptions{Config: DefaultConfig(), References: 6}, decode, &fakeModels{})
	require.ErrorContains(t, err, "references")
	_, err = Bench(ctx, dir, BenchOptions{Config: DefaultConfig(), References: 2, Bare: true}, decode, &fakeModels{})
	require.ErrorContains(t, err, "references")
	bad, decodeBad := benchDir(t, "anna/9.jpg")
	_, err = Bench(ctx, bad, o, decodeBad, &fakeModels{})
	require.ErrorContains(t, err, "none of 1 files")
	_, err = Bench(ctx, dir, o, func(context.Context, pipeline.Media) (*media.Clip, error) {
		return nil, fmt.Errorf("%w: it is missing", media.ErrDecoder)
	}, &fakeModels{})
	require.ErrorIs(t, err, media.ErrDecoder)
}
