package bench

import "slices"

// series are the measured values of each clip. Clips differ by far more than runs do (a phone's clip without B-frames costs 2.5 times one with
// them), so one median over both would be the dearest run of the cheaper clip.
type series [][]float64

func newSeries(clips int) series { return make(series, clips) }

func (s series) add(clip int, v float64) { s[clip] = append(s[clip], v) }

// typical is the mean over the clips of each one's median; 0 without values.
func (s series) typical() float64 {
	sum, n := 0.0, 0
	for _, runs := range s {
		if len(runs) > 0 {
			sum, n = sum+quantile(runs, .5), n+1
		}
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

// ends are the lowest and the highest value; 0 without values.
func (s series) ends() (low, high float64) {
	all := slices.Concat(s...)
	if len(all) == 0 {
		return 0, 0
	}
	return slices.Min(all), slices.Max(all)
}
