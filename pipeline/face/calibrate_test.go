package face

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// crowd makes trials of n people whose scores are drawn around 0.7 for the same and 0.1 for different ones.
func crowd(n int) (out []Trial) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		for j := range n {
			score := 0.1 + 0.1*random.NormFloat64()
			if i == j {
				score = 0.7 + 0.1*random.NormFloat64()
			}
			out = append(out, Trial{Probe: fmt.Sprint("p", i), Reference: fmt.Sprint("p", j), Score: score})
		}
	}
	return out
}

func TestThresholdsOfACrowd(t *testing.T) {
	pool := crowd(200)
	c, err := calibrate(pool, 1e-3)
	require.NoError(t, err)
	require.Less(t, c.CI95[0], c.Median)
	require.InDelta(t, 0.1+0.1*3.09, c.Median, 0.04, "the 99.9 % quantile of the different ones")
	th := Thresholds{Accept: c, Supports: 3 / float64(c.Identities*(c.Identities-1)/2)}
	th.warn(1e-3)
	require.Empty(t, th.Warnings, "100 people in a half are enough for 1e-3")
	th.warn(1e-5)
	require.GreaterOrEqual(t, len(th.Warnings), 2)
	for _, w := range th.Warnings {
		require.NotContains(t, w.EN+w.ZH, "%!")
	}
	require.Contains(t, th.Warnings[0].EN, "too small for the claim")

	at := c.at(pool, 0.2)
	require.InDelta(t, 0.2, at.Threshold, 0)
	require.Greater(t, at.HeldOut.FMR, c.HeldOut.FMR)
	require.GreaterOrEqual(t, at.HeldOut.TAR, c.HeldOut.TAR)
}

// Where no two different people can be compared there is no threshold.
func TestNoStrangers(t *testing.T) {
	var alone []Trial
	for _, c := range crowd(40) {
		if c.same() {
			alone = append(alone, c)
		}
	}
	_, err := calibrate(alone, 1e-3)
	require.ErrorIs(t, err, errNoStrangers)
	_, _, err = bootstrap([]Trial{{Probe: "a", Reference: "b", Score: 0.2}}, []string{"a", "b"}, 1e-3)
	require.NoError(t, err, "draws without a pair are left out")
}

func TestEnough(t *testing.T) {
	for fmr, want := range map[float64]int{1e-2: 25, 1e-3: 78, 1e-4: 246} {
		n := enough(fmr)
		require.Equal(t, want, n, fmr)
		require.LessOrEqual(t, 3/float64(n*(n-1)/2), fmr)
		require.Greater(t, 3/float64((n-1)*(n-2)/2), fmr, "one less is not enough")
	}
	_, err := Calibrate(t.Context(), t.TempDir(), CalibrateOptions{FMR: 0.5}, nil, nil)
	require.ErrorContains(t, err, "0.5")
	th := Thresholds{Images: 9, NoFace: 2, Accept: Calibration{Identities: 3}, Supports: 1}
	th.warn(1e-3)
	require.True(t, strings.HasPrefix(th.Warnings[len(th.Warnings)-1].ZH, "9 张照片中有 2 张"))
}
