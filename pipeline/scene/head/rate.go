package head

import (
	"math"
	"math/rand/v2"
	"sort"
)

// Scored is one picture with a head's answer.
type Scored struct {
	Source  string
	Class   string
	Variant string
	Yes     bool
	P       float64
}

// Row is one line of a table of heads.
type Row struct {
	N         int         `json:"n"`
	Yes       int         `json:"yes"`
	Sources   int         `json:"sources"`
	AUC       *float64    `json:"auc"`
	CI95      *[2]float64 `json:"ci95"` // of the AUC, sources drawn with replacement
	TPR       *float64    `json:"tpr_at_fpr_5e-2"`
	Precision *float64    `json:"precision"` // at Threshold
	Recall    *float64    `json:"recall"`
	F1        *float64    `json:"f1"`
	FPR       *float64    `json:"fpr"`
	Threshold float64     `json:"threshold"` // from which on the head says yes
	// Against has the AUC against some of the classes only, by their names joined with +.
	Against map[string]Part `json:"against,omitempty"`
	// SaysYes counts, per class, the pictures at which the head says yes with its margin, and how many there are.
	SaysYes map[string][2]int `json:"says_yes"`
}

// Part is the AUC of yes against some classes.
type Part struct {
	N    int         `json:"n"`
	AUC  *float64    `json:"auc"`
	CI95 *[2]float64 `json:"ci95"`
}

// The bootstrap draws sources, because pictures of one source resemble each other.
const (
	bootstraps    = 1000
	bootstrapSeed = 20260301
)

// Rate makes the table's line of one head.
func Rate(scored []Scored, threshold float64) Row {
	r := Row{N: len(scored), Threshold: threshold, SaysYes: map[string][2]int{}}
	sources := map[string]bool{}
	var tp, fp, no float64
	for _, s := range scored {
		sources[s.Source] = true
		says := r.SaysYes[s.Class]
		says[1]++
		if s.P >= threshold {
			says[0]++
		}
		r.SaysYes[s.Class] = says
		switch {
		case s.Yes:
			r.Yes++
			if s.P >= threshold {
				tp++
			}
		default:
			no++
			if s.P >= threshold {
				fp++
			}
		}
	}
	r.Sources = len(sources)
	r.AUC, r.CI95 = AUC(scored)
	r.TPR = tprAt(scored, 0.05)
	r.Precision, r.Recall, r.FPR = ratio(tp, tp+fp), ratio(tp, float64(r.Yes)), ratio(fp, no)
	r.F1 = ratio(2*tp, tp+fp+float64(r.Yes))
	return r
}

func ratio(a, b float64) *float64 {
	if b == 0 {
		return nil
	}
	v := a / b
	return &v
}

// AUC gives the area under the ROC curve (ties count one half) and its 95 % interval; nil where an answer has no picture.
func AUC(scored []Scored) (auc *float64, ci95 *[2]float64) {
	at := map[string]int{}
	var names []string
	for _, s := range scored {
		if _, ok := at[s.Source]; !ok {
			names = append(names, s.Source)
			at[s.Source] = 0
		}
	}
	sort.Strings(names)
	for i, n := range names {
		at[n] = i
	}
	order := append([]Scored(nil), scored...)
	sort.SliceStable(order, func(i, j int) bool { return order[i].P < order[j].P })
	source := make([]int, len(order))
	drawn := make([]float64, len(names))
	for i, s := range order {
		source[i] = at[s.Source]
	}
	for i := range drawn {
		drawn[i] = 1
	}
	v := area(order, source, drawn)
	if math.IsNaN(v) {
		return nil, nil
	}
	random := rand.New(rand.NewPCG(bootstrapSeed, 2)) //nolint:gosec // a measurement that gives the same answer every time, no secret
	var all []float64
	for range bootstraps {
		clear(drawn)
		for range names {
			drawn[random.IntN(len(names))]++
		}
		if b := area(order, source, drawn); !math.IsNaN(b) {
			all = append(all, b)
		}
	}
	if len(all) == 0 {
		return &v, nil
	}
	sort.Float64s(all)
	q := func(p float64) float64 { return all[int(p*float64(len(all)-1))] }
	return &v, &[2]float64{q(0.025), q(0.975)}
}

// area is the share of (no, yes) pairs in the right order; each picture counts as often as its source was drawn. Sorted by P.
func area(order []Scored, source []int, drawn []float64) float64 {
	var below, yes, pairs float64 // below: weight of the no so far
	for i := 0; i < len(order); {
		var tieYes, tieNo float64
		j := i
		for ; j < len(order) && order[j].P == order[i].P; j++ {
			if order[j].Yes {
				tieYes += drawn[source[j]]
			} else {
				tieNo += drawn[source[j]]
			}
		}
		pairs += tieYes * (below + tieNo/2)
		below, yes = below+tieNo, yes+tieYes
		i = j
	}
	return pairs / (below * yes) // 0/0: no answer
}

// tprAt is the share of yes above the lowest threshold at which at most the given share of no is above it.
func tprAt(scored []Scored, fpr float64) *float64 {
	t := thresholdAt(scored, fpr)
	yes, hit := 0.0, 0.0
	no := 0
	for _, s := range scored {
		if !s.Yes {
			no++
			continue
		}
		yes++
		if s.P >= t {
			hit++
		}
	}
	if no == 0 {
		return nil
	}
	return ratio(hit, yes)
}

// thresholdAt is the lowest threshold at which at most the given share of no is at or above it.
func thresholdAt(scored []Scored, fpr float64) float64 {
	var no []float64
	for _, s := range scored {
		if !s.Yes {
			no = append(no, s.P)
		}
	}
	if len(no) == 0 {
		return 0
	}
	sort.Sort(sort.Reverse(sort.Float64Slice(no)))
	allowed := int(fpr * float64(len(no)))
	return math.Nextafter(no[min(allowed, len(no)-1)], 2)
}
