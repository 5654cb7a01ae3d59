package convert

import (
	"errors"
	"fmt"
	"strings"
)

// tfjsUnary and tfjsBinary are the operators that go over as they are.
var (
	tfjsUnary  = map[string]string{"Relu": "Relu", "Sigmoid": "Sigmoid"}
	tfjsBinary = map[string]string{"Add": "Add", "AddV2": "Add", "Mul": "Mul", "Maximum": "Max", "Minimum": "Min"}
)

// apply converts one node.
func (t *tfjs) apply(n *tfjsNode) (*value, error) {
	v, err := t.translate(n)
	if err != nil {
		return nil, n.at(err)
	}
	return v, nil
}

func (t *tfjs) translate(n *tfjsNode) (*value, error) {
	switch n.Op {
	case "Const":
		w := t.weights[n.Name]
		if w == nil {
			return nil, errors.New("the manifest lists no weights for it")
		}
		return w, nil
	case "Placeholder":
		return t.placeholder(n)
	case "Conv2D", "_FusedConv2D", "DepthwiseConv2dNative", "FusedDepthwiseConv2dNative":
		return t.conv(n, 1)
	case "_FusedMatMul":
		return t.dense(n)
	case "ConcatV2":
		return t.concat(n)
	}
	if n.Op == "Mul" {
		if v, err := t.hardSwish(n); v != nil || err != nil {
			return v, err
		}
	}
	x, err := t.input(n, 0)
	if err != nil {
		return nil, err
	}
	if op := tfjsBinary[n.Op]; op != "" {
		y, err := t.input(n, 1)
		if err != nil {
			return nil, err
		}
		return t.g.binary(op, x, y)
	}
	if op := tfjsUnary[n.Op]; op != "" {
		return t.g.unary(op, x)
	}
	switch n.Op {
	case "Identity":
		return x, nil
	case "Relu6":
		if x.constant() {
			return nil, errors.New("of a constant")
		}
		return t.g.activate(x, relu6)
	case "Softmax":
		return t.g.softmax(x)
	case "Mean":
		axes, err := t.list(n, 1)
		if err != nil {
			return nil, err
		}
		return t.g.mean(x, axes, n.Attr["keep_dims"].B)
	case "ResizeBilinear":
		size, err := t.list(n, 1)
		if err != nil {
			return nil, err
		}
		if len(size) != 2 {
			return nil, fmt.Errorf("a size of %d numbers", len(size))
		}
		return t.g.resize(x, size[0], size[1], n.Attr["align_corners"].B, n.Attr["half_pixel_centers"].B)
	}
	return nil, &UnknownError{What: "operator", Name: n.Op, Node: n.Name}
}

func (t *tfjs) placeholder(n *tfjsNode) (*value, error) {
	var shape []int
	for _, d := range n.Attr["shape"].Shape.Dim {
		size := int(d.Size)
		if size < 0 && len(shape) == 0 {
			size = 1 // any batch size: ours is 1
		}
		shape = append(shape, size)
	}
	return t.g.input(n.Name, shape)
}

func (t *tfjs) concat(n *tfjsNode) (*value, error) {
	if len(n.Input) < 2 {
		return nil, errors.New("an input is missing")
	}
	axis, err := t.list(n, len(n.Input)-1)
	if err != nil {
		return nil, err
	}
	if len(axis) != 1 {
		return nil, fmt.Errorf("an axis of %d numbers", len(axis))
	}
	var vs []*value
	for i := range len(n.Input) - 1 {
		v, err := t.input(n, i)
		if err != nil {
			return nil, err
		}
		vs = append(vs, v)
	}
	return t.g.concat(vs, axis[0])
}

// fusion reads what a fused node does after its main operator: a bias, an activation.
func (n *tfjsNode) fusion() (bias bool, a activation, err error) {
	for _, s := range n.Attr["fused_ops"].List.S {
		switch string(s) {
		case "BiasAdd":
			bias = true
		case "Relu":
			a = relu
		case "Relu6":
			a = relu6
		default:
			return false, 0, &UnknownError{What: "fused operator", Name: fmt.Sprintf("%q", s), Node: n.Name}
		}
	}
	return bias, a, nil
}

// conv converts a convolution. Weights are height x width x in x out, of a depthwise one height x width x in x multiplier.
// The result is multiplied by scale.
func (t *tfjs) conv(n *tfjsNode, scale float32) (*value, error) {
	x, err := t.input(n, 0)
	if err != nil {
		return nil, err
	}
	w, err := t.input(n, 1)
	if err != nil {
		return nil, err
	}
	if w.f == nil || len(w.shape) != 4 {
		return nil, fmt.Errorf("weights of shape %v", w.shape)
	}
	withBias, a, err := n.fusion()
	if err != nil {
		return nil, err
	}
	var bias *value
	if withBias {
		if bias, err = t.input(n, 2); err != nil {
			return nil, err
		}
		bias = &value{shape: bias.shape, f: scaled(bias.f, scale)}
	}
	if f := n.Attr["data_format"].S; f != nil && string(f) != "NHWC" {
		return nil, &UnknownError{What: "data format", Name: fmt.Sprintf("%q", f), Node: n.Name}
	}
	place := window{stride: [2]int{1, 1}, dilation: [2]int{1, 1}}
	for name, pair := range map[string]*[2]int{"strides": &place.stride, "dilations": &place.dilation} {
		if l := n.Attr[name].List.I; len(l) == 4 {
			*pair = [2]int{int(l[1]), int(l[2])}
		} else if len(l) != 0 {
			return nil, fmt.Errorf("%s has %d numbers, want 4", name, len(l))
		}
	}
	switch p := string(n.Attr["padding"].S); p {
	case "SAME":
		place.same = true
	case "VALID":
	default:
		return nil, &UnknownError{What: "padding", Name: fmt.Sprintf("%q", p), Node: n.Name}
	}
	order, groups, s := []int{3, 2, 0, 1}, 1, [4]int{w.shape[3], w.shape[2], w.shape[0], w.shape[1]}
	if strings.Contains(n.Op, "Depthwise") {
		order, groups, s = []int{2, 3, 0, 1}, w.shape[2], [4]int{w.shape[2] * w.shape[3], 1, w.shape[0], w.shape[1]}
	}
	return t.g.conv(x, scaled(permute(w.f, w.shape, order), scale), s, bias, groups, place, a)
}

func (t *tfjs) dense(n *tfjsNode) (*value, error) {
	x, err := t.input(n, 0)
	if err != nil {
		return nil, err
	}
	w, err := t.input(n, 1)
	if err != nil {
		return nil, err
	}
	if n.Attr["transpose_a"].B || n.Attr["transpose_b"].B {
		return nil, &UnknownError{What: "transposed matrix product", Name: n.Op, Node: n.Name}
	}
	withBias, a, err := n.fusion()
	if err != nil {
		return nil, err
	}
	var bias *value
	if withBias {
		if bias, err = t.input(n, 2); err != nil {
			return nil, err
		}
	}
	return t.g.dense(x, w, bias, a)
}

// hardSwish knows how MobileNet v3 (Howard et al. 2019) writes x * relu6(x + 3) / 6 after a convolution,
//
//	Mul(Mul(c, x), Relu6(Add(x, 3)))
//
// and makes two operators of it instead of four, which move half the memory; nil when the node is something else. In 16 bits c is a
// little less than 1/6: the convolution is scaled by 6c, so that the result stays what the source says.
func (t *tfjs) hardSwish(n *tfjsNode) (*value, error) {
	if len(n.Input) != 2 {
		return nil, nil
	}
	for k := range 2 {
		gate, part := t.nodes[n.Input[1-k]], t.nodes[n.Input[k]]
		if gate == nil || part == nil || gate.Op != "Relu6" || len(gate.Input) != 1 || part.Op != "Mul" {
			continue
		}
		x, three := t.scalarOf(t.nodes[gate.Input[0]], "Add")
		same, c := t.scalarOf(part, "Mul")
		if x == "" || x != same || three != 3 || !(c > 0) || t.uses[x] != 2 || t.open[x] || t.values[x] != nil {
			continue
		}
		source := t.nodes[x]
		if source == nil || !strings.HasPrefix(source.Op, "_FusedConv2D") && !strings.HasPrefix(source.Op, "FusedDepthwiseConv2d") {
			continue
		}
		if _, a, err := source.fusion(); err != nil || a != linear {
			continue
		}
		t.open[x] = true
		v, err := t.conv(source, 6*c)
		if err != nil {
			return nil, source.at(err)
		}
		delete(t.open, x)
		s, err := t.g.unary("HardSigmoid", v, attribute{"alpha", float32(1 / (36 * float64(c)))}, attribute{"beta", float32(0.5)})
		if err != nil {
			return nil, err
		}
		return t.g.binary("Mul", v, s)
	}
	return nil, nil
}

// scalarOf gives the other input of a node of two, one of which is a single number, and that number.
func (t *tfjs) scalarOf(n *tfjsNode, op string) (other string, c float32) {
	if n == nil || n.Op != op || len(n.Input) != 2 {
		return "", 0
	}
	for k := range 2 {
		if w := t.weights[n.Input[k]]; w != nil && len(w.shape) == 0 && len(w.f) == 1 {
			return n.Input[1-k], w.f[0]
		}
	}
	return "", 0
}

// scaled gives f times k.
func scaled(f []float32, k float32) []float32 {
	if k == 1 {
		return f
	}
	out := make([]float32, len(f))
	for i, v := range f {
		out[i] = v * k
	}
	return out
}
