package convert

import (
	"errors"
	"fmt"
	"math"
)

// Logistic is one logistic regression of a file of several: the output Name is 1/(1+exp(-(Weights . input + Bias))).
type Logistic struct {
	Name    string
	Weights []float64 // one per input value
	Bias    float64
}

// Regressions writes logistic regressions over one input vector as an ONNX file: for each a matrix product, a sum and a sigmoid, with an
// output [1, 1] of its name.
func Regressions(input string, heads []Logistic) ([]byte, error) {
	if len(heads) == 0 || len(heads) > maxOutputs {
		return nil, fmt.Errorf("write regressions: %d of them, want 1 to %d", len(heads), maxOutputs)
	}
	g := &graph{}
	n := len(heads[0].Weights)
	x, err := g.input(input, []int{1, n})
	if err != nil {
		return nil, fmt.Errorf("write regressions: %w", err)
	}
	for _, h := range heads {
		if err := h.write(g, x, n); err != nil {
			return nil, fmt.Errorf("write regression %s: %w", h.Name, err)
		}
	}
	return g.encode(), nil
}

func (h Logistic) write(g *graph, x *value, n int) error {
	if len(h.Weights) != n {
		return fmt.Errorf("it has %d weights, the others have %d", len(h.Weights), n)
	}
	w := make([]float32, n)
	for i, v := range append([]float64{h.Bias}, h.Weights...) {
		if math.IsNaN(v) || math.Abs(v) > math.MaxFloat32 {
			return errors.New("a weight is no number of 32 bits")
		}
		if i > 0 {
			w[i-1] = float32(v)
		}
	}
	weights, err := g.floats([]int{n, 1}, w)
	if err != nil {
		return err
	}
	bias, err := g.floats([]int{1}, []float32{float32(h.Bias)})
	if err != nil {
		return err
	}
	product, err := g.emit("MatMul", []int{1, 1}, false, []string{x.name, weights})
	if err != nil {
		return err
	}
	sum, err := g.emit("Add", []int{1, 1}, false, []string{product.name, bias})
	if err != nil {
		return err
	}
	g.nodes = append(g.nodes, node{op: "Sigmoid", in: []string{sum.name}, out: []string{h.Name}})
	g.outputs = append(g.outputs, port{name: h.Name, dims: []int{1, 1}})
	return nil
}
