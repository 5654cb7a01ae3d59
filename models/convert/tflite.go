package convert

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	flatbuffers "github.com/google/flatbuffers/go"
)

// tfliteOperators names the operators of TensorFlow Lite's schema (BuiltinOperator) that are known here.
var tfliteOperators = map[int32]string{0: "ADD", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 6: "DEQUANTIZE", 22: "RESHAPE"}

// The tensor types of the schema that are known here.
const (
	tfliteFloat32 = 0
	tfliteFloat16 = 1
	tfliteInt32   = 2
)

// TFLite converts a TensorFlow Lite model with weights of 32 or 16 bits (not a quantised one) to ONNX.
func TFLite(data []byte, outs []Output) (onnx []byte, err error) {
	defer func() {
		if err != nil {
			onnx, err = nil, fmt.Errorf("convert a TensorFlow Lite model: %w", err)
		}
	}()
	if len(data) < 8 || len(data) > maxBytes || string(data[4:8]) != "TFL3" {
		return nil, fmt.Errorf("%d bytes that are no TensorFlow Lite file of at most %d bytes", len(data), maxBytes)
	}
	// The flatbuffers runtime follows offsets without looking; a wrong one makes it read outside the slice, which Go turns into a panic.
	defer func() {
		if r := recover(); r != nil {
			fault, ok := r.(error)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("an offset points outside the file: %w", fault)
		}
	}()
	t := &tflite{g: &graph{}, byName: map[string]int{}}
	if err := t.read(data); err != nil {
		return nil, err
	}
	for i := range t.operators {
		if err := t.convert(t.operators[i]); err != nil {
			return nil, fmt.Errorf("operator %d: %w", i, err)
		}
	}
	return t.g.finish(outs, func(name string) (*value, error) {
		i, ok := t.byName[name]
		if !ok {
			return nil, fmt.Errorf("the model has no tensor %q", name)
		}
		return t.value(i)
	})
}

// tflite is one file being converted.
type tflite struct {
	g         *graph
	tensors   []tfliteTensor
	operators []tfliteOperator
	byName    map[string]int
}

type tfliteTensor struct {
	name  string
	shape []int
	kind  byte
	data  []byte // constants
	value *value
}

type tfliteOperator struct {
	name    string
	in, out []int
	options *flatbuffers.Table // may be nil
}

// field gives the position of a table's field, 0 if it is not there. Fields are counted from 0, as in the schema.
func field(t *flatbuffers.Table, n int) flatbuffers.UOffsetT {
	return flatbuffers.UOffsetT(t.Offset(flatbuffers.VOffsetT(4 + 2*n)))
}

func int32Field(t *flatbuffers.Table, n int, missing int32) int32 {
	if t == nil {
		return missing
	}
	if o := field(t, n); o != 0 {
		return t.GetInt32(t.Pos + o)
	}
	return missing
}

func byteField(t *flatbuffers.Table, n int) byte {
	if t == nil {
		return 0
	}
	if o := field(t, n); o != 0 {
		return t.GetByte(t.Pos + o)
	}
	return 0
}

// vector gives the start and the length of a vector field.
func vector(t *flatbuffers.Table, n int) (start flatbuffers.UOffsetT, length int, err error) {
	o := field(t, n)
	if o == 0 {
		return 0, 0, nil
	}
	start, length = t.Vector(o), t.VectorLen(o)
	if length < 0 || length > len(t.Bytes) {
		return 0, 0, fmt.Errorf("a list of %d items in a file of %d bytes", length, len(t.Bytes))
	}
	return start, length, nil
}

// tables gives the items of a vector of tables.
func tables(t *flatbuffers.Table, n int) ([]*flatbuffers.Table, error) {
	start, length, err := vector(t, n)
	if err != nil {
		return nil, err
	}
	if length > maxNodes {
		return nil, fmt.Errorf("a list of %d items, at most %d are accepted", length, maxNodes)
	}
	out := make([]*flatbuffers.Table, length)
	for i := range out {
		at := start + flatbuffers.UOffsetT(4*i)
		out[i] = &flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(at)}
	}
	return out, nil
}

// numbers gives a vector of int32.
func numbers(t *flatbuffers.Table, n int) ([]int, error) {
	start, length, err := vector(t, n)
	if err != nil {
		return nil, err
	}
	if length > maxNodes {
		return nil, fmt.Errorf("a list of %d numbers, at most %d are accepted", length, maxNodes)
	}
	out := make([]int, length)
	for i := range out {
		out[i] = int(t.GetInt32(start + flatbuffers.UOffsetT(4*i)))
	}
	return out, nil
}

// content gives a vector of bytes.
func content(t *flatbuffers.Table, n int) ([]byte, error) {
	start, length, err := vector(t, n)
	if err != nil || length == 0 {
		return nil, err
	}
	if int64(start)+int64(length) > int64(len(t.Bytes)) {
		return nil, fmt.Errorf("%d bytes at %d in a file of %d", length, start, len(t.Bytes))
	}
	return t.Bytes[start : int(start)+length], nil
}

// read walks the file: Model{operator_codes 1, subgraphs 2, buffers 4}, SubGraph{tensors 0, inputs 1, operators 3}.
func (t *tflite) read(data []byte) error {
	model := &flatbuffers.Table{Bytes: data, Pos: flatbuffers.GetUOffsetT(data)}
	codes, err := tables(model, 1)
	if err != nil {
		return err
	}
	subgraphs, err := tables(model, 2)
	if err != nil {
		return err
	}
	buffers, err := tables(model, 4)
	if err != nil {
		return err
	}
	if len(subgraphs) != 1 {
		return fmt.Errorf("%d graphs in one file, want 1", len(subgraphs))
	}
	if err := t.readTensors(subgraphs[0], buffers); err != nil {
		return err
	}
	if err := t.readOperators(subgraphs[0], codes); err != nil {
		return err
	}
	inputs, err := numbers(subgraphs[0], 1)
	if err != nil {
		return err
	}
	for _, i := range inputs {
		if i < 0 || i >= len(t.tensors) || t.tensors[i].kind != tfliteFloat32 || t.tensors[i].data != nil {
			return fmt.Errorf("input %d is not a tensor of 32-bit floats", i)
		}
		if t.tensors[i].value, err = t.g.input(t.tensors[i].name, t.tensors[i].shape); err != nil {
			return fmt.Errorf("input %s: %w", t.tensors[i].name, err)
		}
	}
	return nil
}

// readTensors reads Tensor{shape 0, type 1, buffer 2, name 3} with Buffer{data 0}.
func (t *tflite) readTensors(graph *flatbuffers.Table, buffers []*flatbuffers.Table) error {
	list, err := tables(graph, 0)
	if err != nil {
		return err
	}
	for _, table := range list {
		shape, err := numbers(table, 0)
		if err != nil {
			return err
		}
		name, err := content(table, 3)
		if err != nil {
			return err
		}
		x := tfliteTensor{name: string(name), shape: shape, kind: byteField(table, 1)}
		b := int(int32Field(table, 2, 0))
		if b < 0 || b >= len(buffers) {
			return fmt.Errorf("tensor %q has buffer %d of %d", x.name, b, len(buffers))
		}
		if x.data, err = content(buffers[b], 0); err != nil {
			return fmt.Errorf("tensor %q: %w", x.name, err)
		}
		t.byName[x.name] = len(t.tensors)
		t.tensors = append(t.tensors, x)
	}
	return nil
}

// readOperators reads Operator{opcode_index 0, inputs 1, outputs 2, builtin_options 4} with OperatorCode{deprecated_builtin_code 0,
// custom_code 1, builtin_code 3}.
func (t *tflite) readOperators(graph *flatbuffers.Table, codes []*flatbuffers.Table) error {
	list, err := tables(graph, 3)
	if err != nil {
		return err
	}
	for _, table := range list {
		k := int(int32Field(table, 0, 0))
		if k < 0 || k >= len(codes) {
			return fmt.Errorf("an operator has code %d of %d", k, len(codes))
		}
		code := max(int32(byteField(codes[k], 0)), int32Field(codes[k], 3, 0))
		op := tfliteOperator{name: tfliteOperators[code]}
		if op.in, err = numbers(table, 1); err != nil {
			return err
		}
		if op.out, err = numbers(table, 2); err != nil {
			return err
		}
		if op.name == "" {
			custom, err := content(codes[k], 1)
			if err != nil {
				return err
			}
			name := fmt.Sprintf("number %d of the TensorFlow Lite schema", code)
			if len(custom) > 0 {
				name = fmt.Sprintf("%q (custom)", custom)
			}
			return &UnknownError{What: "operator", Name: name}
		}
		if len(op.out) != 1 || op.out[0] < 0 || op.out[0] >= len(t.tensors) {
			return fmt.Errorf("%s gives the tensors %v, want one of %d", op.name, op.out, len(t.tensors))
		}
		if o := field(table, 4); o != 0 {
			op.options = &flatbuffers.Table{Bytes: table.Bytes, Pos: table.Indirect(table.Pos + o)}
		}
		t.operators = append(t.operators, op)
	}
	return nil
}

// value gives a tensor that is already known: an input, a constant, or what an earlier operator gave.
func (t *tflite) value(i int) (*value, error) {
	if i < 0 || i >= len(t.tensors) {
		return nil, fmt.Errorf("tensor %d of %d", i, len(t.tensors))
	}
	x := &t.tensors[i]
	if x.value == nil && x.data != nil {
		v, err := constantOf(x.shape, x.kind, x.data)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", x.name, err)
		}
		x.value = v
	}
	if x.value == nil {
		return nil, fmt.Errorf("tensor %q is used before anything gives it", x.name)
	}
	return x.value, nil
}

// constantOf decodes little-endian values.
func constantOf(shape []int, kind byte, data []byte) (*value, error) {
	n, err := product(shape)
	if err != nil {
		return nil, err
	}
	width, known := map[byte]int{tfliteFloat32: 4, tfliteFloat16: 2, tfliteInt32: 4}[kind]
	if !known {
		return nil, &UnknownError{What: "data type", Name: fmt.Sprintf("number %d of the TensorFlow Lite schema", kind)}
	}
	if len(data) != n*width {
		return nil, fmt.Errorf("%d bytes for shape %v of %d bytes each", len(data), shape, width)
	}
	v := &value{shape: shape}
	switch kind {
	case tfliteFloat16:
		v.f = halves(data)
	case tfliteFloat32:
		v.f = singles(data)
	default:
		v.i = wholes(data)
	}
	return v, nil
}

func singles(data []byte) []float32 {
	out := make([]float32, len(data)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return out
}

func wholes(data []byte) []int64 {
	out := make([]int64, len(data)/4)
	for i := range out {
		out[i] = int64(int32(binary.LittleEndian.Uint32(data[4*i:])))
	}
	return out
}

// halves widens IEEE 754 half precision, which is exact.
func halves(data []byte) []float32 {
	out := make([]float32, len(data)/2)
	for i := range out {
		h := binary.LittleEndian.Uint16(data[2*i:])
		sign, exponent, fraction := float64(1), int(h>>10&31), float64(h&1023)
		if h>>15 != 0 {
			sign = -1
		}
		switch exponent {
		case 0:
			out[i] = float32(sign * math.Ldexp(fraction, -24))
		case 31:
			out[i] = float32(sign * math.Inf(1))
			if fraction != 0 {
				out[i] = float32(math.NaN())
			}
		default:
			out[i] = float32(sign * math.Ldexp(1024+fraction, exponent-25))
		}
	}
	return out
}

// convert translates one operator.
func (t *tflite) convert(op tfliteOperator) error {
	in := make([]*value, 0, len(op.in))
	for _, i := range op.in {
		if i == -1 { // an optional input that is not given
			in = append(in, nil)
			continue
		}
		v, err := t.value(i)
		if err != nil {
			return fmt.Errorf("%s: %w", op.name, err)
		}
		in = append(in, v)
	}
	v, err := t.apply(op, in)
	if err != nil {
		return fmt.Errorf("%s: %w", op.name, err)
	}
	x := &t.tensors[op.out[0]]
	if x.value != nil {
		return fmt.Errorf("%s: tensor %q is given twice", op.name, x.name)
	}
	if !slices.Equal(v.shape, x.shape) {
		return fmt.Errorf("%s: tensor %q comes out with shape %v, the file says %v", op.name, x.name, v.shape, x.shape)
	}
	x.value = v
	return nil
}

// fused reads the schema's ActivationFunctionType.
func fused(t *flatbuffers.Table, n int) (activation, error) {
	switch b := byteField(t, n); b {
	case 0:
		return linear, nil
	case 1:
		return relu, nil
	case 3:
		return relu6, nil
	default:
		return 0, &UnknownError{What: "activation", Name: fmt.Sprintf("number %d of the TensorFlow Lite schema", b)}
	}
}

func (t *tflite) apply(op tfliteOperator, in []*value) (*value, error) {
	least := map[string]int{"ADD": 2, "CONCATENATION": 1, "CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "DEQUANTIZE": 1, "RESHAPE": 1}[op.name]
	if len(in) < least || slices.Contains(in[:least], nil) {
		return nil, errors.New("an input is missing")
	}
	switch op.name {
	case "DEQUANTIZE": // 16-bit weights widened to 32 bits: done when they were read
		if in[0].f == nil || t.tensors[op.in[0]].kind != tfliteFloat16 {
			return nil, &UnknownError{What: "data type", Name: fmt.Sprintf("number %d of the TensorFlow Lite schema", t.tensors[op.in[0]].kind)}
		}
		return in[0], nil
	case "CONV_2D", "DEPTHWISE_CONV_2D":
		return t.conv(op, in)
	case "ADD":
		a, err := fused(op.options, 0)
		if err != nil {
			return nil, err
		}
		v, err := t.g.binary("Add", in[0], in[1])
		if err != nil {
			return nil, err
		}
		return t.g.activate(v, a)
	case "RESHAPE":
		return t.g.reshape(in[0], t.tensors[op.out[0]].shape)
	case "CONCATENATION":
		if slices.Contains(in, nil) {
			return nil, errors.New("an input is missing")
		}
		if a, err := fused(op.options, 1); err != nil || a != linear {
			return nil, errors.Join(errors.New("a concatenation with an activation"), err)
		}
		return t.g.concat(in, int(int32Field(op.options, 0, 0)))
	}
	return nil, &UnknownError{What: "operator", Name: op.name}
}

// conv reads Conv2DOptions{padding 0, stride_w 1, stride_h 2, activation 3, dilation_w 4, dilation_h 5} and
// DepthwiseConv2DOptions{padding 0, stride_w 1, stride_h 2, depth_multiplier 3, activation 4, dilation_w 5, dilation_h 6}. Weights are
// out x height x width x in, of a depthwise one 1 x height x width x out.
func (t *tflite) conv(op tfliteOperator, in []*value) (*value, error) {
	w := in[1]
	if w.f == nil || len(w.shape) != 4 {
		return nil, fmt.Errorf("weights of shape %v", w.shape)
	}
	var bias *value
	if len(in) > 2 {
		bias = in[2]
	}
	at, groups, order := 3, 1, []int{0, 3, 1, 2}
	if op.name == "DEPTHWISE_CONV_2D" {
		if len(in[0].shape) != 4 || w.shape[0] != 1 || w.shape[3]%in[0].shape[3] != 0 {
			return nil, fmt.Errorf("weights of shape %v for a tensor of shape %v", w.shape, in[0].shape)
		}
		at, groups, order = 4, in[0].shape[3], []int{3, 0, 1, 2}
	}
	a, err := fused(op.options, at)
	if err != nil {
		return nil, err
	}
	place := window{same: byteField(op.options, 0) == 0,
		stride:   [2]int{int(int32Field(op.options, 2, 1)), int(int32Field(op.options, 1, 1))},
		dilation: [2]int{int(int32Field(op.options, at+2, 1)), int(int32Field(op.options, at+1, 1))}}
	s := [4]int{w.shape[order[0]], w.shape[order[1]], w.shape[order[2]], w.shape[order[3]]}
	return t.g.conv(in[0], permute(w.f, w.shape, order), s, bias, groups, place, a)
}
