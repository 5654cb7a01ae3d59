package face

import (
	"crypto/sha256"
	"errors"
	"math"
	"math/rand/v2"
	"sort"
)

// Trial is one comparison of a measurement: a probe of one identity against references of another or the same.
type Trial struct {
	Probe, Reference string // identities
	Score            float64
}

func (t Trial) same() bool { return t.Probe == t.Reference }

// noScore is the score of a comparison in which a photo showed no face: never a match. In a true acceptance rate it counts as a refusal.
const noScore = -1.0

// Rates are the error rates of a set of trials.
type Rates struct {
	same, different []float64 // scores, highest first
}

func rates(trials []Trial) Rates {
	var r Rates
	for _, t := range trials {
		if t.same() {
			r.same = append(r.same, t.Score)
		} else {
			r.different = append(r.different, t.Score)
		}
	}
	sort.Sort(sort.Reverse(sort.Float64Slice(r.same)))
	sort.Sort(sort.Reverse(sort.Float64Slice(r.different)))
	return r
}

// minCrossing is how many different pairs must lie above a threshold before a rate at it is given: fewer say nothing.
const minCrossing = 5

// tarAt is the part of same trials accepted at the lowest threshold whose false match rate is at most fmr, and that threshold; ok is false
// when fewer than minCrossing different pairs would cross.
func (r Rates) tarAt(fmr float64) (tar, threshold float64, ok bool) {
	crossing := fmr * float64(len(r.different))
	if crossing < minCrossing || len(r.same) == 0 {
		return 0, 0, false
	}
	threshold = math.Nextafter(r.different[int(crossing)], 2)
	return above(r.same, threshold), threshold, true
}

// above is the part of the scores (highest first) that are at least the threshold; 0 for none.
func above(scores []float64, threshold float64) float64 {
	if len(scores) == 0 {
		return 0
	}
	n := sort.Search(len(scores), func(i int) bool { return scores[i] < threshold })
	return float64(n) / float64(len(scores))
}

// Calibration is a threshold with what it was chosen on and what it did on the other half.
type Calibration struct {
	FMR        float64    `json:"fmr"`
	Threshold  float64    `json:"threshold"` // the upper end of CI95
	Median     float64    `json:"median"`
	CI95       [2]float64 `json:"ci95"`       // of the bootstrap
	Identities int        `json:"identities"` // of the half it was chosen on
	Different  int        `json:"different"`  // trials it was chosen on
	HeldOut    struct {
		Same      int     `json:"same"`
		Different int     `json:"different"`
		TAR       float64 `json:"tar"`
		FMR       float64 `json:"fmr"`
	} `json:"held_out"`
}

const (
	bootstraps    = 1000
	bootstrapSeed = 20261121
)

// calibrate chooses the threshold for a false match rate on one half of the identities, and measures it on the other. The bootstrap draws
// whole identities, not trials: photos of one person are not independent. The upper end of its 95 % interval is taken: with few identities
// the median is as likely too low as too high, and a false match costs more than a look by a person.
func calibrate(trials []Trial, fmr float64) (Calibration, error) {
	first, second := halves(trials)
	if len(first) < leastHalf || len(second) < leastHalf {
		return Calibration{}, &TooFewError{First: len(first), Second: len(second), Needed: leastHalf}
	}
	var chosen, held []Trial
	for _, t := range trials {
		switch {
		case first[t.Probe] && first[t.Reference]:
			chosen = append(chosen, t)
		case second[t.Probe] && second[t.Reference]:
			held = append(held, t)
		}
	}
	c := Calibration{FMR: fmr, Identities: len(first), Different: len(rates(chosen).different)}
	var err error
	if c.Median, c.CI95, err = bootstrap(chosen, names(first), fmr); err != nil {
		return Calibration{}, err
	}
	c.Threshold = c.CI95[1]
	h := rates(held)
	c.HeldOut.Same, c.HeldOut.Different = len(h.same), len(h.different)
	c.HeldOut.TAR, c.HeldOut.FMR = above(h.same, c.Threshold), above(h.different, c.Threshold)
	return c, nil
}

// halves splits the identities in two by a bit of the hash of their names, so that a person is always in the same half whatever else is in the
// data. With few people one half may be much smaller than the other.
func halves(trials []Trial) (first, second map[string]bool) {
	all := map[string]bool{}
	for _, t := range trials {
		all[t.Probe], all[t.Reference] = true, true
	}
	first, second = map[string]bool{}, map[string]bool{}
	for name := range all {
		if sum := sha256.Sum256([]byte(name)); sum[0]&1 == 0 {
			first[name] = true
		} else {
			second[name] = true
		}
	}
	return first, second
}

func names(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for n := range set {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// errNoStrangers says that nothing can be said of false matches.
var errNoStrangers = errors.New("calibrate the face threshold: no two different people could be compared in the half that it is chosen on; give photos of more people, each with one clear face")

// bootstrap gives the median and the 95 % interval of the threshold at a false match rate when identities are drawn with replacement. Without
// comparisons of different people it is errNoStrangers.
func bootstrap(trials []Trial, identities []string, fmr float64) (float64, [2]float64, error) {
	type entry struct {
		probe, reference int
		score            float64
	}
	at := map[string]int{}
	for i, n := range identities {
		at[n] = i
	}
	var different []entry
	for _, t := range trials {
		if !t.same() {
			different = append(different, entry{at[t.Probe], at[t.Reference], t.Score})
		}
	}
	sort.SliceStable(different, func(i, j int) bool { return different[i].score > different[j].score })
	random := rand.New(rand.NewPCG(bootstrapSeed, 1)) //nolint:gosec // a measurement that gives the same answer every time, no secret
	thresholds := make([]float64, 0, bootstraps)
	for range bootstraps {
		drawn := make([]float64, len(identities))
		for range identities {
			drawn[random.IntN(len(identities))]++
		}
		var total float64
		for _, e := range different {
			total += drawn[e.probe] * drawn[e.reference]
		}
		if total == 0 {
			continue
		}
		crossed := 0.0
		for _, e := range different {
			crossed += drawn[e.probe] * drawn[e.reference]
			if crossed > fmr*total {
				thresholds = append(thresholds, math.Nextafter(e.score, 2))
				break
			}
		}
	}
	if len(thresholds) == 0 {
		return 0, [2]float64{}, errNoStrangers
	}
	sort.Float64s(thresholds)
	q := func(p float64) float64 { return thresholds[int(p*float64(len(thresholds)-1))] }
	return q(0.5), [2]float64{q(0.025), q(0.975)}, nil
}
