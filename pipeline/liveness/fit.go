package liveness

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// sample is one file of a suite to fit the weights of the signs to.
type sample struct {
	person, species string
	group           string // the species' family, empty for an honest file
	cues            cues
}

// surfaceGroups are the families that the signs of this package are there for. Loops, splices and frozen pictures show a live face; they are
// for package authenticity.
var surfaceGroups = []string{"still", "print", "screen"}

const (
	fitSteps = 4000
	fitRate  = 0.5
	// fitDecay keeps weights near their prior that few files speak for or against.
	fitDecay = 0.01
	// fitHonest is how much all honest files together weigh against all attacks: an honest person who is bothered is the worse mistake.
	fitHonest = 3.0
)

// fitWeights fits a logistic model to the signs, with weights of 0 and more (a sign that speaks for a live person is no sign), by projected
// gradient descent. Families of attacks count the same, whatever their number of files.
func fitWeights(samples []sample) weights {
	count := map[string]float64{}
	for i := range samples {
		count[samples[i].group]++
	}
	families := 0.0
	for g := range count {
		if g != "" {
			families++
		}
	}
	x := make([][]float64, len(samples))
	for i := range samples {
		x[i] = make([]float64, len(signs))
		for k, s := range signs {
			if v, ok := s.of(samples[i].cues); ok {
				x[i][k] = v
			}
		}
	}
	w, bias := make([]float64, len(signs)), -2.0
	for k, s := range signs {
		w[k] = s.prior
	}
	for range fitSteps {
		grad, gb := make([]float64, len(signs)), 0.0
		for i := range samples {
			odds := bias
			for k := range signs {
				odds += w[k] * x[i][k]
			}
			p := 1 / (1 + math.Exp(-odds))
			want, weight := 1.0, 1/(count[samples[i].group]*math.Max(families, 1))
			if samples[i].group == "" {
				want, weight = 0, fitHonest/count[""]
			}
			d := (p - want) * weight
			gb += d
			for k := range signs {
				grad[k] += d * x[i][k]
			}
		}
		bias -= fitRate * gb
		for k := range w {
			w[k] = math.Max(0, math.Min(signs[k].most, w[k]-fitRate*(grad[k]+fitDecay*(w[k]-signs[k].prior))))
		}
	}
	out := weights{Bias: cents(bias), Signs: map[string]float64{}}
	for k, s := range signs {
		if v := cents(w[k]); v > 0 {
			out.Signs[s.name] = v
		}
	}
	return out
}

func cents(v float64) float64 { return math.Round(v*100) / 100 }

// Refit fits the weights of the signs to the measured files of a suite (BenchItem.Person and Group must be known) and gives the JSON of weights.json.
func Refit(items []BenchItem, how string) ([]byte, error) {
	samples := samplesOf(items)
	honest := slices.ContainsFunc(samples, func(s sample) bool { return s.group == "" })
	attack := slices.ContainsFunc(samples, func(s sample) bool { return s.group != "" })
	if !honest || !attack {
		return nil, fmt.Errorf("fit the weights of liveness: %d files of a suite with honest clips and stills, prints or screens are needed", len(samples))
	}
	w := fitWeights(samples)
	w.Fitted = how
	raw, err := json.MarshalIndent(w, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("fit the weights of liveness: %w", err)
	}
	return append(raw, '\n'), nil
}

func samplesOf(items []BenchItem) []sample {
	var out []sample
	for i := range items {
		if it := &items[i]; it.Person != "" && len(it.Cues) > 0 && (it.Species == realSpecies || slices.Contains(surfaceGroups, it.Group)) {
			out = append(out, sample{it.Person, it.Species, it.Group, it.Cues})
		}
	}
	return out
}

// heldOut gives every file of a suite the outcome that it would have had with weights that were fitted without its person and, for an attack, also
// without its species.
func heldOut(items []BenchItem, cfg *Config) {
	samples := samplesOf(items)
	type key struct{ person, species string }
	known := map[key]*weights{}
	for i := range items {
		it := &items[i]
		if it.Person == "" || it.Error != "" {
			continue
		}
		k := key{it.Person, it.Species}
		w := known[k]
		if w == nil {
			var rest []sample
			for _, s := range samples {
				if s.person != it.Person && (s.group == "" || s.species != it.Species) {
					rest = append(rest, s)
				}
			}
			fit := fitWeights(rest)
			w = &fit
			known[k] = w
		}
		it.HeldOut = worse(worse(it.Votes, it.Authenticity), bySigns(w, it.Cues, it.Hesitates, cfg))
	}
}
