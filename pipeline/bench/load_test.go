package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestArrivalsAreOpenAndTheSameClips(t *testing.T) {
	const n, rate = 2000, 4.0
	random, even := arrivals(n, 3, rate, SpacingRandom), arrivals(n, 3, rate, SpacingEven)
	for i := range n {
		require.Equal(t, random[i].clip, even[i].clip)
		require.Equal(t, time.Duration(float64(i+1)/rate*float64(time.Second)), even[i].at)
	}
	require.InDelta(t, n/rate, random[n-1].at.Seconds(), n/rate*.1, "random arrivals keep the rate")
}

func TestQueueByHand(t *testing.T) {
	second := time.Second
	list := []arrival{{0, 0}, {0, 0}, {1, 0}, {0, 10 * second}}
	service := []time.Duration{2 * second, 3 * second}
	require.Equal(t, []float64{2000, 2000, 5000, 2000}, queue(list, 2, service), "the third waits for the first to go")
	require.Equal(t, []float64{2000, 4000, 7000, 2000}, queue(list, 1, service))
}

// An M/D/1 queue waits rho / (2 (1 - rho)) services in the mean (Pollaczek and Khinchine).
func TestQueueAgainstTheFormula(t *testing.T) {
	const rho = .7
	sum := 0.0
	list := queue(arrivals(steadyArrivals, 1, rho, SpacingRandom), 1, []time.Duration{time.Second})
	for _, l := range list {
		sum += l/1000 - 1
	}
	require.InEpsilon(t, rho/(2*(1-rho)), sum/float64(len(list)), .05)
	for _, l := range queue(arrivals(1000, 1, rho, SpacingEven), 1, []time.Duration{time.Second}) {
		require.InDelta(t, 1000, l, 1e-3, "even arrivals below the capacity never wait")
	}
}
