package liveness

import "sort"

// halves gives the places 0..n-1 in an order of which every beginning is spread: both ends, the middle, the middles of what is left.
func halves(n int) []int {
	if n == 0 {
		return nil
	}
	out := []int{0}
	if n > 1 {
		out = append(out, n-1)
	}
	gaps := [][2]int{{0, n - 1}}
	for len(gaps) > 0 {
		a, b := gaps[0][0], gaps[0][1]
		gaps = gaps[1:]
		if b-a < 2 {
			continue
		}
		m := (a + b) / 2
		out = append(out, m)
		gaps = append(gaps, [2]int{a, m}, [2]int{m, b})
	}
	return out
}

// settled tells whether left further votes, each of a weight of at most 1, can change nothing that the outcome hangs on: that the weighted median lies
// above the threshold and the band in which it would be near, that there are enough votes and weight, that there is enough light. Where it lies
// below, how far below counts as well, and what the same faces look like in other colours: then all of them are asked about.
func (b *ballot) settled(left int, c *Config) bool {
	if len(b.votes) < c.MinVotes || b.weight() < b.need(c) {
		return false
	}
	high, lit := 0.0, 0.0
	for i := range b.votes {
		v := &b.votes[i]
		if v.live >= c.Threshold+c.Near {
			high += v.weight
		}
		lit += v.weight * v.light
	}
	all, rest := b.weight(), float64(left)
	if lit/(all+rest) < c.DarkFace {
		return false
	}
	return high > all-high+rest
}

// byTime orders the votes as the clip shows them.
func (b *ballot) byTime() {
	sort.SliceStable(b.votes, func(i, j int) bool { return b.votes[i].frame < b.votes[j].frame })
}
