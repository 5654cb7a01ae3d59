package authenticity

import "sort"

// quantile gives the value below which the share q of the values lies (nearest rank); v stays as it is. It panics on an empty slice.
func quantile(v []float64, q float64) float64 {
	s := append([]float64(nil), v...)
	sort.Float64s(s)
	return s[int(q*float64(len(s)-1)+0.5)]
}
