package convert

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRegressionsRefuse(t *testing.T) {
	good := Logistic{Name: "a", Weights: []float64{1, 2}, Bias: -1}
	one, err := Regressions("x", []Logistic{good})
	require.NoError(t, err)
	two, err := Regressions("x", []Logistic{good})
	require.NoError(t, err)
	require.Equal(t, one, two)
	for why, heads := range map[string][]Logistic{
		"want 1 to":                {},
		"the others have 2":        {good, {Name: "b", Weights: []float64{1}}},
		"no number of 32 bits":     {{Name: "c", Weights: []float64{math.NaN(), 1}}},
		"each side must be 1":      {{Name: "d"}},
		"a weight is no number of": {{Name: "e", Weights: []float64{1, 1}, Bias: math.Inf(1)}},
	} {
		_, err := Regressions("x", heads)
		require.ErrorContains(t, err, why)
	}
}
