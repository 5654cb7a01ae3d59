package head

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/optimize"
)

// FitOptions are the settings of the training. They were chosen once, before the shipped heads were measured, and are not searched for.
type FitOptions struct {
	// L2 is the weight of the penalty on the squared coefficients, beside a loss that is a weighted mean over the pictures and
	// features that have the variance 1 per group.
	L2 float64
	// Iterations bounds the steps of the optimiser.
	Iterations int
}

// DefaultFitOptions gives the settings that the shipped heads were trained with.
func DefaultFitOptions() FitOptions { return FitOptions{L2: 0.01, Iterations: 300} }

// Linear is a trained head before calibration: its logit is the sum of Weights times features, plus Bias.
type Linear struct {
	Uses    []string
	Weights []float64 // per value of the groups in Uses, one group after the other, on raw features
	Bias    float64
}

// Logit gives the answer for one picture; ok is false where a group was not measured.
func (l Linear) Logit(in Input) (z float64, ok bool) {
	z = l.Bias
	at := 0
	for _, g := range l.Uses {
		v := in.group(g)
		if v == nil || at+len(v) > len(l.Weights) {
			return 0, false
		}
		for _, x := range v {
			z += l.Weights[at] * float64(x)
			at++
		}
	}
	return z, at == len(l.Weights)
}

// row concatenates the groups of one picture.
func row(in Input, uses []string) []float64 {
	var out []float64
	for _, g := range uses {
		for _, x := range in.group(g) {
			out = append(out, float64(x))
		}
	}
	return out
}

// Fit trains one head: L2-regularised logistic regression by L-BFGS, from zero. The same samples in the same order give the same bits.
//
// Both answers weigh the same, however many pictures they have, and within an answer the weight of a source grows with the square root of
// its pictures: a large source says more than a small one, but does not drown it. Features are standardised with these weights, and each
// group is scaled to the total variance 1, so that the 576 values of one group do not outvote the 24 of another.
//
// The groups of a question that says Apart are fitted one by one, and their logits are added.
func Fit(q Question, samples []Sample, o FitOptions) (Linear, error) {
	if q.L2 > 0 {
		o.L2 = q.L2
	}
	if !q.Apart {
		return fit(q, samples, o)
	}
	sum := Linear{Uses: q.Uses}
	for _, g := range q.Uses {
		q.Uses = []string{g}
		l, err := fit(q, samples, o)
		if err != nil {
			return Linear{}, err
		}
		sum.Weights = append(sum.Weights, l.Weights...)
		sum.Bias += l.Bias
	}
	return sum, nil
}

// fit trains one head on all groups of the question together.
func fit(q Question, samples []Sample, o FitOptions) (Linear, error) {
	var xs [][]float64
	var ys []float64
	var used []Sample
	for _, s := range samples {
		if !q.trains(s.Class, s.Source) {
			continue
		}
		x := row(s.Input, q.Uses)
		if len(xs) > 0 && len(x) != len(xs[0]) {
			return Linear{}, fmt.Errorf("train head %s: %s has %d features, the pictures before it have %d", q.Name, s.File, len(x), len(xs[0]))
		}
		y := -1.0
		if q.yes(s.Class) {
			y = 1
		}
		xs, ys, used = append(xs, x), append(ys, y), append(used, s)
	}
	if len(xs) == 0 || len(xs[0]) == 0 {
		return Linear{}, fmt.Errorf("train head %s: no features of the groups %v", q.Name, q.Uses)
	}
	w, err := weights(q, used)
	if err != nil {
		return Linear{}, err
	}
	mean, scale := standard(xs, w, groupSizes(used[0].Input, q.Uses))
	for _, x := range xs {
		for j := range x {
			x[j] = (x[j] - mean[j]) * scale[j]
		}
	}
	beta, err := minimise(xs, ys, w, o)
	if err != nil {
		return Linear{}, fmt.Errorf("train head %s: %w", q.Name, err)
	}
	l := Linear{Uses: q.Uses, Weights: beta[:len(beta)-1], Bias: beta[len(beta)-1]}
	for j := range l.Weights { // back to raw features
		l.Weights[j] *= scale[j]
		l.Bias -= l.Weights[j] * mean[j]
	}
	return l, nil
}

// weights gives each picture its share: one half for each answer, spread over its sources by the square root of their pictures.
func weights(q Question, samples []Sample) ([]float64, error) {
	type side struct {
		yes    bool
		source string
	}
	count := map[side]float64{}
	for _, s := range samples {
		count[side{q.yes(s.Class), s.Source}]++
	}
	var total [2]float64
	out := make([]float64, len(samples))
	for i, s := range samples {
		k := side{q.yes(s.Class), s.Source}
		out[i] = math.Sqrt(count[k]) / count[k]
		total[index(k.yes)] += out[i]
	}
	if total[0] == 0 || total[1] == 0 {
		return nil, fmt.Errorf("train head %s: it needs pictures for both answers: classes %v, and others", q.Name, q.Yes)
	}
	for i, s := range samples {
		out[i] /= 2 * total[index(q.yes(s.Class))]
	}
	return out, nil
}

func index(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func groupSizes(in Input, uses []string) []int {
	out := make([]int, len(uses))
	for i, g := range uses {
		out[i] = len(in.group(g))
	}
	return out
}

// quiet is the standard deviation below which a feature says nothing (a class that is never seen): its weight stays zero.
const quiet = 1e-4

// standard gives the weighted mean of each feature and what it is multiplied with.
func standard(xs [][]float64, w []float64, groups []int) (mean, scale []float64) {
	n := len(xs[0])
	mean, scale = make([]float64, n), make([]float64, n)
	for i, x := range xs {
		for j, v := range x {
			mean[j] += w[i] * v
		}
	}
	for i, x := range xs {
		for j, v := range x {
			scale[j] += w[i] * (v - mean[j]) * (v - mean[j])
		}
	}
	at := 0
	for _, g := range groups {
		alive := 0.0
		for j := at; j < at+g; j++ {
			if scale[j] > quiet*quiet {
				alive++
			}
		}
		for j := at; j < at+g; j++ {
			if scale[j] > quiet*quiet {
				scale[j] = 1 / math.Sqrt(scale[j]*alive)
			} else {
				scale[j] = 0
			}
		}
		at += g
	}
	return mean, scale
}

// minimise finds the coefficients, the bias last. The loss is convex: where it starts does not matter.
func minimise(xs [][]float64, ys, w []float64, o FitOptions) ([]float64, error) {
	n := len(xs[0])
	// loss and gradient are asked for at the same point: the margins are computed once
	last, kept := make([]float64, 0, n+1), make([]float64, len(xs))
	margins := func(beta []float64) []float64 {
		if slices.Equal(last, beta) {
			return kept
		}
		last = append(last[:0], beta...)
		for i, x := range xs {
			kept[i] = ys[i] * (floats.Dot(beta[:n], x) + beta[n])
		}
		return kept
	}
	p := optimize.Problem{
		Func: func(beta []float64) float64 {
			loss := 0.0
			for i, m := range margins(beta) {
				loss += w[i] * softplus(-m)
			}
			for _, b := range beta[:n] {
				loss += o.L2 / 2 * b * b
			}
			return loss
		},
		Grad: func(grad, beta []float64) {
			for j := range n {
				grad[j] = o.L2 * beta[j]
			}
			grad[n] = 0
			for i, m := range margins(beta) {
				g := -w[i] * ys[i] * sigmoid(-m)
				floats.AddScaled(grad[:n], g, xs[i])
				grad[n] += g
			}
		},
	}
	r, err := optimize.Minimize(p, make([]float64, n+1), &optimize.Settings{
		GradientThreshold: 1e-6, MajorIterations: o.Iterations, Concurrent: 0,
		Converger: &optimize.FunctionConverge{Absolute: 1e-10, Iterations: 10},
	}, &optimize.LBFGS{})
	if err != nil {
		return nil, err
	}
	return r.X, nil
}

// softplus is log(1+exp(z)) without overflow.
func softplus(z float64) float64 {
	if z > 0 {
		return z + math.Log1p(math.Exp(-z))
	}
	return math.Log1p(math.Exp(z))
}

func sigmoid(z float64) float64 {
	if z >= 0 {
		return 1 / (1 + math.Exp(-z))
	}
	e := math.Exp(z)
	return e / (1 + e)
}
