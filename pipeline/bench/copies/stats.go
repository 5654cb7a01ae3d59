package copies

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
)

// Share is a part of a number of pairs, with an interval from resampling families.
type Share struct {
	Hits int         `json:"hits"`
	N    int         `json:"n"`
	Rate *float64    `json:"rate"` // null without pairs
	CI95 *[2]float64 `json:"ci95"` // null with fewer than two families
}

// resamples is how often families are drawn anew for an interval.
const resamples = 1000

// count counts the pairs for which hit holds and resamples their families. seed makes it reproducible.
func count(rows []*Row, seed uint64, hit func(*Row) bool) Share {
	per := map[string]*[2]int{}
	var s Share
	for _, r := range rows {
		c := per[r.Family]
		if c == nil {
			c = new([2]int)
			per[r.Family] = c
		}
		c[1]++
		s.N++
		if hit(r) {
			c[0]++
			s.Hits++
		}
	}
	if s.N == 0 {
		return s
	}
	s.interval(per, seed)
	return s
}

// interval fills in rate and interval from hits and pairs per family; there is at least one pair.
func (s *Share) interval(per map[string]*[2]int, seed uint64) {
	rate := float64(s.Hits) / float64(s.N)
	s.Rate = &rate
	if len(per) < 2 {
		return
	}
	families := slices.Sorted(maps.Keys(per))
	r := rand.New(rand.NewPCG(seed, 7)) //nolint:gosec // G404: reproducible, no secret
	got := make([]float64, resamples)
	for i := range got {
		var hits, n int
		for range families {
			c := per[families[r.IntN(len(families))]]
			hits, n = hits+c[0], n+c[1]
		}
		got[i] = float64(hits) / float64(n)
	}
	slices.Sort(got)
	s.CI95 = &[2]float64{got[resamples*25/1000], got[resamples*975/1000-1]}
	// Where all pairs are alike resampling gives no width. What n families without an exception prove at 95 % is 1 - 0.05^(1/n).
	switch limit := math.Pow(0.05, 1/float64(len(families))); s.Hits {
	case 0:
		s.CI95[1] = 1 - limit
	case s.N:
		s.CI95[0] = limit
	}
}

// tally counts test pairs of all runs by family: a pair counts once per run.
type tally struct {
	all Share
	per map[string]*[2]int
}

func (t *tally) add(r *Row, hit bool) {
	if t.per == nil {
		t.per = map[string]*[2]int{}
	}
	c := t.per[r.Family]
	if c == nil {
		c = new([2]int)
		t.per[r.Family] = c
	}
	t.all.N, c[1] = t.all.N+1, c[1]+1
	t.all.Hits, c[0] = t.all.Hits+one(hit), c[0]+one(hit)
}

// share is the rate over the pairs of all runs, with an interval from resampling families: more runs make it no narrower.
func (t *tally) share(seed uint64) Share {
	if t.all.N > 0 {
		t.all.interval(t.per, seed)
	}
	return t.all
}

// A chooser gives a threshold (a score at or above it counts) by the pairs of one half of the families; ok is false where they give none.
type chooser func(rows []*Row) (t float64, ok bool)

// keepOut gives the lowest threshold at which no honest pair is called a copy.
func keepOut(m Measure, honest func(*Row) bool) chooser {
	return func(rows []*Row) (float64, bool) {
		top := math.Inf(-1)
		for _, r := range rows {
			if !r.Same && honest(r) {
				top = max(top, r.Scores[m])
			}
		}
		return math.Nextafter(top, math.Inf(1)), !math.IsInf(top, -1)
	}
}

// foundShare is the share of the copies that thresholds of keepIn find.
const foundShare = 0.95

// keepIn gives the highest threshold at which foundShare of the copies are called so: of an operating point that is set by what must be found, the most careful.
func keepIn(m Measure) chooser {
	return func(rows []*Row) (float64, bool) {
		var same []float64
		for _, r := range rows {
			if r.Same {
				same = append(same, r.Scores[m])
			}
		}
		slices.Sort(same)
		if len(same) == 0 {
			return 0, false
		}
		return same[int(float64(len(same))*(1-foundShare)+1e-9)], true
	}
}

// HeldOut is what thresholds that were chosen on one half of the families do on the other half, over all splits, both ways round.
type HeldOut struct {
	Runs      int                `json:"runs"`
	Threshold [3]float64         `json:"threshold"`      // least, median, greatest
	Recall    float64            `json:"recall"`         // mean over runs; those whose test half has no copies are none
	Worst     float64            `json:"worst_recall"`   // of a run
	WorstHard *float64           `json:"worst_hard"`     // share of look-alikes called a copy, of a run; null without
	ByTag     map[string]float64 `json:"recall_by_kind"` // pooled over the copies of all runs
	// Copies, look-alikes and strangers of the test halves of all runs; a pair counts once per run, and intervals come from resampling families.
	Copies     Share `json:"copies"`
	Lookalikes Share `json:"look_alikes"`
	Strangers  Share `json:"strangers"`
}

// heldOut runs the protocol for one measure. It is nil when there are too few families for any run.
func heldOut(rows []*Row, all []Row, m Measure, seed uint64, splits int, choose chooser) *HeldOut {
	out := HeldOut{ByTag: map[string]float64{}, Worst: 1}
	var thresholds []float64
	var copies, lookalikes, strangers tally
	tags := map[string][2]int{}
	worstHard := 0.0
	for split := range splits {
		half := halves(all, seed, split)
		for _, first := range []bool{true, false} {
			t, ok := choose(within(rows, half, first))
			test := within(rows, half, !first)
			same := slices.DeleteFunc(slices.Clone(test), func(r *Row) bool { return !r.Same })
			if !ok || len(same) == 0 {
				continue // no run: nothing of it counts
			}
			found, hard, wrong := 0, 0, 0
			for _, r := range test {
				called := r.Scores[m] >= t
				switch {
				case r.Same:
					c := tags[r.tag()]
					tags[r.tag()] = [2]int{c[0] + one(called), c[1] + 1}
					found += one(called)
					copies.add(r, called)
				case r.hard():
					hard++
					wrong += one(called)
					lookalikes.add(r, called)
				default:
					strangers.add(r, called)
				}
			}
			thresholds = append(thresholds, t)
			recall := float64(found) / float64(len(same))
			out.Recall += recall
			out.Worst = min(out.Worst, recall)
			if hard > 0 {
				worstHard = max(worstHard, float64(wrong)/float64(hard))
			}
		}
	}
	out.Runs = len(thresholds)
	if out.Runs == 0 {
		return nil
	}
	slices.Sort(thresholds)
	out.Threshold = [3]float64{thresholds[0], thresholds[out.Runs/2], thresholds[out.Runs-1]}
	out.Recall /= float64(out.Runs)
	for tag, c := range tags {
		out.ByTag[tag] = float64(c[0]) / float64(c[1])
	}
	out.Copies, out.Lookalikes, out.Strangers = copies.share(seed), lookalikes.share(seed), strangers.share(seed)
	if out.Lookalikes.N > 0 {
		out.WorstHard = &worstHard
	}
	return &out
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Point is one threshold of a curve.
type Point struct {
	Threshold float64 `json:"threshold"`
	Recall    float64 `json:"recall"`
	False     float64 `json:"false"` // share of the honest pairs
}

// curve is recall against false calls over all thresholds at which the false calls change.
func curve(rows []*Row, m Measure, honest func(*Row) bool) []Point {
	var same, other []float64
	for _, r := range rows {
		switch {
		case r.Same:
			same = append(same, r.Scores[m])
		case honest(r):
			other = append(other, r.Scores[m])
		}
	}
	if len(same) == 0 || len(other) == 0 {
		return nil
	}
	slices.Sort(same)
	slices.Sort(other)
	above := func(s []float64, t float64) float64 {
		i, _ := slices.BinarySearch(s, t)
		return float64(len(s)-i) / float64(len(s))
	}
	out := []Point{}
	add := func(t float64) {
		p := Point{t, above(same, t), above(other, t)}
		if len(out) == 0 || out[len(out)-1].False != p.False || out[len(out)-1].Recall != p.Recall {
			out = append(out, p)
		}
	}
	add(math.Nextafter(other[len(other)-1], math.Inf(1)))
	for i := len(other) - 1; i >= 0; i-- {
		if i == 0 || other[i] != other[i-1] {
			add(other[i])
		}
	}
	return out
}
