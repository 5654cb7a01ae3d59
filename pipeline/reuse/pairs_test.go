package reuse

import (
	"context"
	"encoding/json"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPairsTableUnraced(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"a", "b"} {
		write(t, filepath.Join(dir, n), n)
	}
	write(t, filepath.Join(dir, "copy"), "a")
	path := filepath.Join(dir, "pairs.csv")
	write(t, path, "query,original,label,transform,severity\n"+filepath.Join(dir, "copy")+",a,same,none,\nb,a,different,other,1\n") // from the root, too
	var calls atomic.Int64
	r, err := Pairs(context.Background(), path, fakeDecoder(t, &calls), DefaultConfig(), nil)
	require.NoError(t, err)
	require.Len(t, r.Pairs, 2)
	require.True(t, r.Pairs[0].Reused)
	require.False(t, r.Pairs[1].Reused)
	require.InDelta(t, 1, *r.Recall, 0)
	require.Equal(t, map[string]float64{"none": 1}, r.RecallByTransform)
	require.Zero(t, r.FalseMatches)
	require.EqualValues(t, 3, calls.Load())
	var keys map[string]any
	raw, err := json.Marshal(r)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &keys))
	for _, k := range []string{"pairs", "recall", "recall_by_transform", "false_matches", "ms_per_query"} {
		require.Contains(t, keys, k)
	}
	for _, k := range []string{"query", "original", "label", "transform", "score", "content", "reused"} {
		require.Contains(t, keys["pairs"].([]any)[0], k)
	}
}

func TestPairsRefusesBadTables(t *testing.T) {
	dir := t.TempDir()
	var calls atomic.Int64
	for text, want := range map[string]string{
		"":                                       "no header",
		"query,label\na,same\n":                  `no column "original"`,
		"query,original,label\n":                 "no pairs",
		"query,original,label\na,b,perhaps\n":    "line 2",
		"query,original,label\na,b,same\n,b,x\n": "line 3",
		"query,original,label\nmissing,b,same\n": "missing",
	} {
		path := filepath.Join(dir, "p.csv")
		write(t, path, text)
		_, err := Pairs(context.Background(), path, fakeDecoder(t, &calls), DefaultConfig(), nil)
		require.ErrorContains(t, err, want)
	}
	_, err := Pairs(context.Background(), filepath.Join(dir, "none.csv"), nil, DefaultConfig(), nil)
	require.Error(t, err)
}

func TestSummariseCounts(t *testing.T) {
	r := PairsReport{RecallByTransform: map[string]float64{}, ByTransform: map[string]Recall{}, Pairs: []PairRow{
		{Label: "same", Transform: "crop", Reused: true, Outcome: "fail"}, {Label: "same", Transform: "crop", Outcome: "uncertain"}, {Label: "same", Transform: "blur", Outcome: "pass"},
		{Label: "different", Reused: true, Outcome: "fail"}, {Label: "different", Outcome: "uncertain"}, {Label: "different", Outcome: "pass"},
	}}
	r.summarise()
	require.InDelta(t, 1.0/3, *r.Recall, 1e-9)
	require.InDelta(t, 2.0/3, *r.Asked, 1e-9)
	require.Equal(t, 1, r.FalseMatches)
	require.Equal(t, 1, r.FalseAsked)
	require.Equal(t, Recall{Same: 2, Reused: 0.5, Asked: 1}, r.ByTransform["crop"])
	require.Equal(t, map[string]float64{"crop": 0.5, "blur": 0}, r.RecallByTransform)
}
