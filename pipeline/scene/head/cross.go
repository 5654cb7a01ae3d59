package head

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
)

// Trained is one head with its calibration, ready to be exported.
type Trained struct {
	Question Question
	Linear   Linear   // its logit is calibrated: sigmoid(logit) is P
	Yes, No  float64  // thresholds of Says
	Held     []Scored // calibrated answers to pictures of sources that were left out
}

// Rates of error that the thresholds are set to, on sources that were left out. The rest between the two thresholds is "cannot tell".
const (
	falseYes = 0.05 // share of the no at or above Yes
	falseNo  = 0.05 // share of the yes at or below No
	margin   = 0.05 // what Yes and No keep from each other at least
)

// Train trains every question on all samples. Calibration and thresholds come from the answers to pictures whose source was left out of
// the training, never from the training itself. The pictures of always train every round and are never asked; it may be nil. Progress may
// be nil; it hears how many of the rounds are done.
func Train(ctx context.Context, questions []Question, samples, always []Sample, o FitOptions, progress func(done, of int)) ([]Trained, error) {
	sources := Sources(samples)
	for _, s := range always {
		if slices.Contains(sources, s.Source) {
			return nil, fmt.Errorf("train the scene heads: the source %s is both asked and always trained: rename one of them", s.Source)
		}
	}
	samples = sorted(slices.Concat(samples, always))
	if len(sources) < 2 {
		return nil, fmt.Errorf("train the scene heads: %d source(s); leaving one out needs at least 2 (sources.csv names them)", len(sources))
	}
	out := make([]Trained, 0, len(questions))
	for i, q := range questions {
		t, err := trainOne(ctx, q, samples, sources, o, func(done int) {
			if progress != nil {
				progress(i*len(sources)+done, len(questions)*len(sources))
			}
		})
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func trainOne(ctx context.Context, q Question, samples []Sample, sources []string, o FitOptions, progress func(done int)) (Trained, error) {
	full, err := Fit(q, samples, o)
	if err != nil {
		return Trained{}, err
	}
	held, err := LeaveOut(ctx, q, samples, sources, o, progress)
	if err != nil {
		return Trained{}, err
	}
	slope, offset := calibrate(q, held)
	for j := range full.Weights {
		full.Weights[j] *= slope
	}
	full.Bias = full.Bias*slope + offset
	scored := make([]Scored, len(held))
	var trainable []Scored
	for i, h := range held {
		scored[i] = h
		scored[i].P = sigmoid(slope*h.P + offset)
		if q.trains(h.Class, h.Source) {
			trainable = append(trainable, scored[i])
		}
	}
	t := Trained{Question: q, Linear: full, Held: scored}
	t.Yes, t.No = thresholds(trainable)
	return t, nil
}

// Rows makes the table's line on left-out pictures of one variant.
func (t Trained) Rows(variant string) Row {
	var part []Scored
	for _, h := range t.Held {
		if h.Variant == variant {
			part = append(part, h)
		}
	}
	return RateQuestion(t.Question, part, t.Yes)
}

// LeaveOut gives, for every sample, the logit of a head that was trained without the sample's source (in the field P).
func LeaveOut(ctx context.Context, q Question, samples []Sample, sources []string, o FitOptions, progress func(done int)) ([]Scored, error) {
	var out []Scored
	for i, source := range sources {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("train head %s: %w", q.Name, err)
		}
		var train, held []Sample
		for _, s := range samples {
			if s.Source == source {
				held = append(held, s)
			} else {
				train = append(train, s)
			}
		}
		l, err := Fit(q, train, o)
		if err != nil {
			return nil, fmt.Errorf("without the source %s: %w", source, err)
		}
		for _, s := range held {
			z, ok := l.Logit(s.Input)
			if !ok {
				return nil, fmt.Errorf("train head %s: %s lacks features of the groups %v", q.Name, s.File, q.Uses)
			}
			out = append(out, Scored{Source: s.Source, Class: s.Class, Variant: s.Variant, Yes: q.yes(s.Class), P: z})
		}
		progress(i + 1)
	}
	return out, nil
}

// RateQuestion makes the line of one head, with the AUC against the classes that its question names.
func RateQuestion(q Question, scored []Scored, threshold float64) Row {
	r := Rate(scored, threshold)
	for _, classes := range q.Against {
		var part []Scored
		for _, s := range scored {
			if s.Yes || slices.Contains(classes, s.Class) {
				part = append(part, s)
			}
		}
		if len(part) == r.Yes || r.Yes == 0 {
			continue
		}
		if r.Against == nil {
			r.Against = map[string]Part{}
		}
		name := classes[0]
		for _, c := range classes[1:] {
			name += "+" + c
		}
		p := Part{N: len(part)}
		p.AUC, p.CI95 = AUC(part)
		r.Against[name] = p
	}
	return r
}

// calibrate fits slope and offset of Platt's method (J. Platt, 1999) on left-out logits, with the weights of the training, so that P is the
// probability on data with as many yes as no. The slope is kept positive: a head that answers the wrong way round on other sources
// must not be turned round by its calibration.
func calibrate(q Question, held []Scored) (slope, offset float64) {
	var samples []Sample
	var xs [][]float64
	var ys []float64
	for _, h := range held {
		if !q.trains(h.Class, h.Source) {
			continue
		}
		samples = append(samples, Sample{Class: h.Class, Source: h.Source})
		xs = append(xs, []float64{h.P})
		ys = append(ys, float64(2*index(h.Yes)-1))
	}
	w, err := weights(q, samples)
	if err != nil {
		return 1, 0
	}
	b, err := minimise(xs, ys, w, FitOptions{L2: 1e-3, Iterations: 200})
	if err != nil || b[0] <= 0.05 {
		return 1, 0
	}
	return b[0], b[1]
}

// thresholds sets from where a head says yes and up to where it says no, with a gap between them.
func thresholds(scored []Scored) (yes, no float64) {
	yes = thresholdAt(scored, falseYes)
	var ps []float64
	for _, s := range scored {
		if s.Yes {
			ps = append(ps, s.P)
		}
	}
	sort.Float64s(ps)
	no = 0
	if len(ps) > 0 {
		no = math.Nextafter(ps[min(int(falseNo*float64(len(ps))), len(ps)-1)], 0)
	}
	yes, no = min(max(yes, 0.5), 0.99), min(max(no, 0.01), 0.5)
	if yes-no < margin {
		no = yes - margin
	}
	return math.Round(yes*1e4) / 1e4, math.Round(no*1e4) / 1e4
}

// Sources lists the sources of samples, sorted.
func Sources(samples []Sample) []string {
	var out []string
	for _, s := range samples {
		out = append(out, s.Source)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// sorted gives the samples in the order of class, file and checksum, whatever order they came in: sums of floating-point numbers depend
// on it.
func sorted(samples []Sample) []Sample {
	out := slices.Clone(samples)
	slices.SortFunc(out, func(a, b Sample) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.File, b.File), cmp.Compare(a.SHA256, b.SHA256), cmp.Compare(a.Variant, b.Variant))
	})
	return out
}
