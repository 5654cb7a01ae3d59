package convert

import (
	"errors"
	"fmt"
	"slices"
)

// activation is what follows an operator in the same node of the source.
type activation int

const (
	linear activation = iota
	relu
	relu6
)

func (g *graph) activate(v *value, a activation) (*value, error) {
	switch a {
	case relu:
		return g.emit("Relu", v.shape, v.first, []string{v.name})
	case relu6:
		low, err := g.floats(nil, []float32{0})
		if err != nil {
			return nil, err
		}
		high, err := g.floats(nil, []float32{6})
		if err != nil {
			return nil, err
		}
		return g.emit("Clip", v.shape, v.first, []string{v.name, low, high})
	}
	return v, nil
}

// unary applies an operator of one input, value by value.
func (g *graph) unary(op string, v *value, attrs ...attribute) (*value, error) {
	if v.constant() {
		return nil, fmt.Errorf("%s of a constant", op)
	}
	return g.emit(op, v.shape, v.first, []string{v.name}, attrs...)
}

// window is how a convolution or a pool moves over the picture: vertical, horizontal.
type window struct {
	stride, dilation [2]int
	same             bool // TensorFlow's SAME padding, else VALID
}

// place gives the output's sides and the padding (top, left, bottom, right) for a kernel over h x w.
func (w window) place(h, wd int, kernel [2]int) (out [2]int, pads []int, err error) {
	var before, after [2]int
	for k, side := range []int{h, wd} {
		s, d := w.stride[k], w.dilation[k]
		if s < 1 || s > 64 || d < 1 || d > 64 || kernel[k] < 1 || kernel[k] > 64 {
			return out, nil, fmt.Errorf("a stride of %d, a dilation of %d or a kernel of %d is not in 1..64", s, d, kernel[k])
		}
		reach := (kernel[k]-1)*d + 1
		if w.same {
			out[k] = (side + s - 1) / s
			total := max(0, (out[k]-1)*s+reach-side)
			before[k], after[k] = total/2, total-total/2
			continue
		}
		if side < reach {
			return out, nil, fmt.Errorf("a kernel of %d does not fit a side of %d", reach, side)
		}
		out[k] = (side-reach)/s + 1
	}
	return out, []int{before[0], before[1], after[0], after[1]}, nil
}

// conv is a convolution of a picture with weights in ONNX's order (out x in/groups x height x width); bias may be nil.
func (g *graph) conv(x *value, weights []float32, shape [4]int, bias *value, groups int, w window, a activation) (*value, error) {
	if x.constant() || len(x.shape) != 4 {
		return nil, fmt.Errorf("a convolution of a tensor of shape %v", x.shape)
	}
	if x.shape[3] != shape[1]*groups {
		return nil, fmt.Errorf("a convolution for %d channels has %d", shape[1]*groups, x.shape[3])
	}
	x, err := g.channelsFirst(x)
	if err != nil {
		return nil, err
	}
	out, pads, err := w.place(x.shape[1], x.shape[2], [2]int{shape[2], shape[3]})
	if err != nil {
		return nil, err
	}
	name, err := g.floats(shape[:], weights)
	if err != nil {
		return nil, err
	}
	in := []string{x.name, name}
	if bias != nil {
		if bias.f == nil || len(bias.f) != shape[0] {
			return nil, fmt.Errorf("a convolution with %d filters has a bias of shape %v", shape[0], bias.shape)
		}
		b, err := g.floats([]int{shape[0]}, bias.f)
		if err != nil {
			return nil, err
		}
		in = append(in, b)
	}
	y, err := g.emit("Conv", []int{x.shape[0], out[0], out[1], shape[0]}, true, in, attribute{"dilations", w.dilation[:]}, attribute{"group", groups},
		attribute{"kernel_shape", []int{shape[2], shape[3]}}, attribute{"pads", pads}, attribute{"strides", w.stride[:]})
	if err != nil {
		return nil, err
	}
	return g.activate(y, a)
}

// binary applies an operator of two inputs with broadcasting.
func (g *graph) binary(op string, a, b *value) (*value, error) {
	if a.constant() && b.constant() {
		return nil, fmt.Errorf("%s of two constants", op)
	}
	var err error
	first := a.first || b.first
	for _, v := range []**value{&a, &b} {
		if first {
			*v, err = g.channelsFirst(*v)
		} else {
			*v, err = g.plain(*v)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
	}
	shape, err := broadcast(a.shape, b.shape)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return g.emit(op, shape, first, []string{a.name, b.name})
}

func broadcast(a, b []int) ([]int, error) {
	n := max(len(a), len(b))
	out := make([]int, n)
	side := func(s []int, k int) int {
		if k += len(s) - n; k >= 0 {
			return s[k]
		}
		return 1
	}
	for k := range out {
		x, y := side(a, k), side(b, k)
		if x != y && x != 1 && y != 1 {
			return nil, fmt.Errorf("shapes %v and %v do not go together", a, b)
		}
		out[k] = max(x, y)
	}
	return out, nil
}

// mean averages over the given axes (of the source's order); only the two of the pixels are known, of a picture.
func (g *graph) mean(v *value, axes []int, keep bool) (*value, error) {
	if v.constant() || len(v.shape) != 4 || !slices.Equal(axes, []int{1, 2}) {
		return nil, fmt.Errorf("a mean of shape %v over the axes %v; only those of a picture's pixels are known", v.shape, axes)
	}
	v, err := g.channelsFirst(v)
	if err != nil {
		return nil, err
	}
	n, c := v.shape[0], v.shape[3]
	if v, err = g.emit("GlobalAveragePool", []int{n, 1, 1, c}, true, []string{v.name}); err != nil || keep {
		return v, err
	}
	return g.emit("Reshape", []int{n, c}, false, []string{v.name, g.ints(n, c)})
}

// reshape orders the same values into another shape.
func (g *graph) reshape(v *value, shape []int) (*value, error) {
	if v.constant() {
		return nil, errors.New("a reshape of a constant")
	}
	have, err := product(v.shape)
	if err != nil {
		return nil, err
	}
	want, err := product(shape)
	if err != nil {
		return nil, err
	}
	if have != want {
		return nil, fmt.Errorf("a reshape of %v to %v", v.shape, shape)
	}
	if v, err = g.plain(v); err != nil {
		return nil, err
	}
	return g.emit("Reshape", slices.Clone(shape), false, []string{v.name, g.ints(shape...)})
}

// concat joins tensors along an axis of the source's order.
func (g *graph) concat(vs []*value, axis int) (*value, error) {
	if len(vs) == 0 {
		return nil, errors.New("a concatenation of nothing")
	}
	rank := len(vs[0].shape)
	if axis < 0 {
		axis += rank
	}
	if axis < 0 || axis >= rank {
		return nil, fmt.Errorf("a concatenation of %d axes along axis %d", rank, axis)
	}
	first := vs[0].first
	shape := slices.Clone(vs[0].shape)
	shape[axis] = 0
	var in []string
	for _, v := range vs {
		if v.constant() || len(v.shape) != rank {
			return nil, fmt.Errorf("a concatenation of shapes %v and %v", vs[0].shape, v.shape)
		}
		for k := range shape {
			if k != axis && v.shape[k] != shape[k] {
				return nil, fmt.Errorf("a concatenation of shapes %v and %v along axis %d", vs[0].shape, v.shape, axis)
			}
		}
		shape[axis] += v.shape[axis]
		var err error
		if first {
			v, err = g.channelsFirst(v)
		} else {
			v, err = g.plain(v)
		}
		if err != nil {
			return nil, err
		}
		in = append(in, v.name)
	}
	if first {
		axis = []int{0, 2, 3, 1}[axis]
	}
	return g.emit("Concat", shape, first, in, attribute{"axis", axis})
}

// resize enlarges or shrinks a picture, bilinear.
func (g *graph) resize(v *value, h, w int, alignCorners, halfPixel bool) (*value, error) {
	if v.constant() || len(v.shape) != 4 || h < 1 || w < 1 {
		return nil, fmt.Errorf("a resize of shape %v to %d x %d", v.shape, h, w)
	}
	v, err := g.channelsFirst(v)
	if err != nil {
		return nil, err
	}
	how := "asymmetric"
	switch {
	case alignCorners:
		how = "align_corners"
	case halfPixel:
		how = "half_pixel"
	}
	shape := []int{v.shape[0], h, w, v.shape[3]}
	return g.emit("Resize", shape, true, []string{v.name, "", "", g.ints(shape[0], shape[3], h, w)},
		attribute{"coordinate_transformation_mode", how}, attribute{"mode", "linear"})
}

// dense is a fully connected layer: x (rows x in) times weights (in x out), plus a bias.
func (g *graph) dense(x, weights, bias *value, a activation) (*value, error) {
	if x.constant() || len(x.shape) != 2 || weights.f == nil || len(weights.shape) != 2 || weights.shape[0] != x.shape[1] {
		return nil, fmt.Errorf("a matrix product of shapes %v and %v", x.shape, weights.shape)
	}
	x, err := g.plain(x)
	if err != nil {
		return nil, err
	}
	n := weights.shape[1]
	w, err := g.floats(weights.shape, weights.f)
	if err != nil {
		return nil, err
	}
	in := []string{x.name, w}
	if bias != nil {
		if bias.f == nil || len(bias.f) != n {
			return nil, fmt.Errorf("a matrix product with %d columns has a bias of shape %v", n, bias.shape)
		}
		b, err := g.floats([]int{n}, bias.f)
		if err != nil {
			return nil, err
		}
		in = append(in, b)
	}
	y, err := g.emit("Gemm", []int{x.shape[0], n}, false, in)
	if err != nil {
		return nil, err
	}
	return g.activate(y, a)
}

// softmax is over the last axis.
func (g *graph) softmax(v *value) (*value, error) {
	if v.constant() || len(v.shape) == 0 {
		return nil, fmt.Errorf("a softmax of shape %v", v.shape)
	}
	v, err := g.plain(v)
	if err != nil {
		return nil, err
	}
	return g.emit("Softmax", v.shape, false, []string{v.name}, attribute{"axis", len(v.shape) - 1})
}
