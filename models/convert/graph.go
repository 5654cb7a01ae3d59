package convert

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Limits. The largest model that we convert has 10 MB, 280 constants and 550 nodes.
const (
	maxBytes   = 64 << 20 // of one source file
	maxValues  = 32 << 20 // values of all constants together
	maxNodes   = 20_000
	maxSide    = 1 << 16 // one side of a tensor
	maxRank    = 6
	maxOutputs = 16
)

// Output is one wanted output of the converted model.
type Output struct {
	// Tensor is its name in the source.
	Tensor string
	// Name is its name in the ONNX file.
	Name string
	// Mean averages a picture-shaped tensor over its pixels: H x W x C becomes a vector of C.
	Mean bool
}

// UnknownError says that a model uses something that this converter does not know.
type UnknownError struct {
	What string // "operator", "data type" ...
	Name string
	Node string // where; may be empty
}

func (e *UnknownError) Error() string {
	if e.Node == "" {
		return fmt.Sprintf("the %s %s is not known to this converter", e.What, e.Name)
	}
	return fmt.Sprintf("the %s %s (node %s) is not known to this converter", e.What, e.Name, e.Node)
}

// value is one tensor. Its shape is in the source's order (batch, height, width, channels); first says that the ONNX graph has it with
// the channels first.
type value struct {
	name  string // in the ONNX graph; empty: a constant that was not written yet
	shape []int
	first bool
	f     []float32 // constants
	i     []int64
}

func (v *value) constant() bool { return v.f != nil || v.i != nil }

// graph is the ONNX graph in the making.
type graph struct {
	nodes     []node
	constants []initialiser
	inputs    []port
	outputs   []port
	values    int
	count     int
}

func (g *graph) fresh() string {
	g.count++
	return "v" + strconv.Itoa(g.count)
}

// product is the number of values of a shape, or an error where a side is not usable.
func product(shape []int) (int, error) {
	if len(shape) > maxRank {
		return 0, fmt.Errorf("a tensor has %d axes, at most %d are accepted", len(shape), maxRank)
	}
	n := 1
	for _, d := range shape {
		if d < 1 || d > maxSide {
			return 0, fmt.Errorf("a tensor of shape %v: each side must be 1 to %d", shape, maxSide)
		}
		if n *= d; n > maxValues {
			return 0, fmt.Errorf("a tensor of shape %v has more than %d values", shape, maxValues)
		}
	}
	return n, nil
}

// hold counts the values of constants, which are what takes memory.
func (g *graph) hold(n int) error {
	if g.values += n; g.values > maxValues {
		return fmt.Errorf("the constants have more than %d values", maxValues)
	}
	return nil
}

// floats writes a constant and gives its name.
func (g *graph) floats(dims []int, f []float32) (string, error) {
	if err := g.hold(len(f)); err != nil {
		return "", err
	}
	name := g.fresh()
	g.constants = append(g.constants, initialiser{name: name, dims: dims, f: f})
	return name, nil
}

// ints writes a list of whole numbers.
func (g *graph) ints(v ...int) string {
	name := g.fresh()
	c := initialiser{name: name, dims: []int{len(v)}}
	for _, x := range v {
		c.i = append(c.i, int64(x))
	}
	g.constants = append(g.constants, c)
	return name
}

// emit adds an operator with one output of the given shape.
func (g *graph) emit(op string, shape []int, first bool, in []string, attrs ...attribute) (*value, error) {
	if _, err := product(shape); err != nil {
		return nil, fmt.Errorf("%s gives %w", op, err)
	}
	if len(g.nodes) >= maxNodes {
		return nil, fmt.Errorf("the model has more than %d nodes", maxNodes)
	}
	v := &value{name: g.fresh(), shape: shape, first: first}
	g.nodes = append(g.nodes, node{op: op, in: in, out: []string{v.name}, attrs: attrs})
	return v, nil
}

// input adds an input of the graph; pictures come channels first.
func (g *graph) input(name string, shape []int) (*value, error) {
	if _, err := product(shape); err != nil {
		return nil, err
	}
	v := &value{name: name, shape: shape, first: len(shape) == 4}
	g.inputs = append(g.inputs, port{name: name, dims: v.dims()})
	return v, nil
}

// dims is the shape in the order of the ONNX graph.
func (v *value) dims() []int {
	if !v.first {
		return v.shape
	}
	return []int{v.shape[0], v.shape[3], v.shape[1], v.shape[2]}
}

// plain gives a value in the source's order of axes, written to the graph.
func (g *graph) plain(v *value) (*value, error) {
	if v.i != nil {
		return nil, errors.New("a list of whole numbers cannot be computed with")
	}
	if v.constant() {
		name, err := g.floats(v.shape, v.f)
		return &value{name: name, shape: v.shape}, err
	}
	if !v.first {
		return v, nil
	}
	return g.emit("Transpose", v.shape, false, []string{v.name}, attribute{"perm", []int{0, 2, 3, 1}})
}

// channelsFirst gives a value in the order N x C x H x W; constants of fewer axes are filled up with sides of 1 in front, as broadcasting
// does.
func (g *graph) channelsFirst(v *value) (*value, error) {
	switch {
	case v.i != nil:
		return nil, errors.New("a list of whole numbers cannot be computed with")
	case v.constant():
		if len(v.shape) > 4 {
			return nil, fmt.Errorf("a constant of shape %v does not fit a picture", v.shape)
		}
		s := append(slices.Repeat([]int{1}, 4-len(v.shape)), v.shape...)
		name, err := g.floats([]int{s[0], s[3], s[1], s[2]}, permute(v.f, s, []int{0, 3, 1, 2}))
		return &value{name: name, shape: s, first: true}, err
	case v.first:
		return v, nil
	case len(v.shape) != 4:
		return nil, fmt.Errorf("a tensor of shape %v does not fit a picture", v.shape)
	}
	return g.emit("Transpose", v.shape, true, []string{v.name}, attribute{"perm", []int{0, 3, 1, 2}})
}

// permute reorders the axes of a tensor of shape s.
func permute(f []float32, s, order []int) []float32 {
	step := make([]int, len(s)) // of the source
	for n, k := 1, len(s)-1; k >= 0; k-- {
		step[k], n = n, n*s[k]
	}
	out := make([]float32, 0, len(f))
	at := make([]int, len(s))
	for range f {
		from := 0
		for k, axis := range order {
			from += at[k] * step[axis]
		}
		out = append(out, f[from])
		for k := len(at) - 1; k >= 0; k-- {
			if at[k]++; at[k] < s[order[k]] {
				break
			}
			at[k] = 0
		}
	}
	return out
}

// finish names the wanted outputs and writes the file.
func (g *graph) finish(outs []Output, find func(string) (*value, error)) ([]byte, error) {
	if len(outs) == 0 || len(outs) > maxOutputs {
		return nil, fmt.Errorf("%d outputs are wanted, want 1 to %d", len(outs), maxOutputs)
	}
	for _, o := range outs {
		v, err := find(o.Tensor)
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", o.Name, err)
		}
		if v.constant() {
			return nil, fmt.Errorf("output %s: %s is a constant", o.Name, o.Tensor)
		}
		if o.Mean {
			if v, err = g.mean(v, []int{1, 2}, false); err != nil {
				return nil, fmt.Errorf("output %s: %w", o.Name, err)
			}
		}
		g.nodes = append(g.nodes, node{op: "Identity", in: []string{v.name}, out: []string{o.Name}})
		g.outputs = append(g.outputs, port{name: o.Name, dims: v.dims()})
	}
	return g.encode(), nil
}
