package convert

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of onnx.proto3 that are read or written here.
const (
	modelGraph = 7

	graphNode, graphConstant, graphInput, graphOutput, graphValue = 1, 5, 11, 12, 13

	nodeInput, nodeOutput, nodeOp, nodeAttribute = 1, 2, 4, 5

	tensorDims, tensorInts, tensorName, tensorRaw = 1, 7, 8, 9

	attributeTensor = 5
)

// batchAxis is the name of the axis that Batched makes dynamic.
const batchAxis = "onsite_batch"

// Batched gives an ONNX model of pictures one by one ([1, ...] in, [1, ...] out) the same model for any number of them at once: the first axis of
// the inputs and outputs becomes dynamic, and so do the constants inside that have a 1 there (the shapes of Reshape, the sizes of Resize). The
// weights stay as they are. Whether the result gives the same values must be tried: a graph may treat the first axis in other ways.
func Batched(onnx []byte) ([]byte, error) {
	g, err := oneField(onnx, modelGraph)
	if err != nil {
		return nil, fmt.Errorf("make a model batched: %w", err)
	}
	b := &batcher{shapes: map[string]bool{}, sizes: map[string]bool{}, constants: map[string][]int64{}, names: map[string]bool{}}
	if err := eachField(g, b.look); err != nil {
		return nil, fmt.Errorf("make a model batched: %w", err)
	}
	var graph []byte
	err = eachField(g, func(f fieldOf) (err error) {
		graph, err = b.write(graph, f)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make a model batched: %w", err)
	}
	var out []byte
	err = eachField(onnx, func(f fieldOf) error {
		if f.number == modelGraph {
			out = message(out, modelGraph, graph)
		} else {
			out = append(out, f.raw...)
		}
		return nil
	})
	return out, err
}

// batcher is what the graph says about the tensors that hold shapes.
type batcher struct {
	shapes    map[string]bool    // second inputs of Reshape
	sizes     map[string]bool    // fourth inputs of Resize
	names     map[string]bool    // constants: old files list them as inputs, too
	constants map[string][]int64 // those that are lists of whole numbers
}

// look notes what a part of the graph is.
func (b *batcher) look(f fieldOf) error {
	switch f.number {
	case graphNode:
		n, err := readNode(f.value)
		if err != nil {
			return err
		}
		if n.op == "Reshape" && len(n.in) == 2 {
			b.shapes[n.in[1]] = true
		}
		if n.op == "Resize" && len(n.in) == 4 {
			b.sizes[n.in[3]] = true
		}
		if n.op == "Constant" && len(n.out) == 1 && n.tensor != nil {
			_, v, err := ints(n.tensor)
			if err != nil {
				return err
			}
			b.constants[n.out[0]] = v
		}
	case graphConstant:
		name, v, err := ints(f.value)
		if err != nil {
			return err
		}
		b.names[name], b.constants[name] = true, v
	}
	return nil
}

// write adds a part of the graph to the new one.
func (b *batcher) write(graph []byte, f fieldOf) ([]byte, error) {
	switch f.number {
	case graphValue: // shapes of tensors inside, which hold no longer
		return graph, nil
	case graphInput, graphOutput:
		if name, err := oneField(f.value, 1); err != nil {
			return nil, err
		} else if b.names[string(name)] {
			break
		}
		p, err := freeFirst(f.value)
		if err != nil {
			return nil, err
		}
		return message(graph, f.number, p), nil
	case graphConstant:
		name, v, err := ints(f.value)
		if err != nil {
			return nil, err
		}
		if b.shapes[name] && len(v) > 1 && v[0] == 1 {
			return message(graph, graphConstant, shapeOf(name, v)), nil
		}
	case graphNode:
		return b.writeNode(graph, f)
	}
	return append(graph, f.raw...), nil
}

func (b *batcher) writeNode(graph []byte, f fieldOf) ([]byte, error) {
	n, err := readNode(f.value)
	if err != nil {
		return nil, err
	}
	switch {
	case n.op == "Constant" && len(n.out) == 1 && b.shapes[n.out[0]]:
		if v := b.constants[n.out[0]]; len(v) > 1 && v[0] == 1 {
			return message(graph, graphConstant, shapeOf(n.out[0], v)), nil
		}
	case n.op == "Resize" && len(n.in) == 4:
		v := b.constants[n.in[3]]
		if len(v) != 4 || v[0] != 1 {
			break
		}
		// The wanted size is that of the input along the first axis, and the old one along the others.
		at := n.out[0] + "_" + batchAxis
		graph = message(graph, graphConstant, initialiser{name: at + "_zero", dims: []int{1}, i: []int64{0}}.encode())
		graph = message(graph, graphConstant, initialiser{name: at + "_rest", dims: []int{3}, i: v[1:]}.encode())
		graph = message(graph, graphNode, node{op: "Shape", in: []string{n.in[0]}, out: []string{at + "_shape"}}.encode())
		graph = message(graph, graphNode, node{op: "Gather", in: []string{at + "_shape", at + "_zero"}, out: []string{at + "_first"}}.encode())
		graph = message(graph, graphNode, node{op: "Concat", in: []string{at + "_first", at + "_rest"}, out: []string{at + "_size"}, attrs: []attribute{{"axis", 0}}}.encode())
		var resize []byte
		k := 0
		err := eachField(f.value, func(part fieldOf) error {
			if part.number != nodeInput {
				resize = append(resize, part.raw...)
				return nil
			}
			if k++; k == 4 {
				resize = text(resize, nodeInput, at+"_size")
			} else {
				resize = append(resize, part.raw...)
			}
			return nil
		})
		return message(graph, graphNode, resize), err
	}
	return append(graph, f.raw...), nil
}

// shapeOf is a shape whose first axis is that of what is reshaped: Reshape takes 0 for it.
func shapeOf(name string, v []int64) []byte {
	return initialiser{name: name, dims: []int{len(v)}, i: append([]int64{0}, v[1:]...)}.encode()
}

// freeFirst makes the first axis of an input or output (ValueInfoProto) dynamic. What is no tensor stays.
func freeFirst(port []byte) ([]byte, error) {
	return inside(port, []protowire.Number{2, 1, 2}, func(shape []byte) ([]byte, error) {
		var out []byte
		first := true
		err := eachField(shape, func(f fieldOf) error {
			if f.number == 1 && first {
				first = false
				out = message(out, 1, text(nil, 2, batchAxis))
			} else {
				out = append(out, f.raw...)
			}
			return nil
		})
		return out, err
	})
}

// inside changes the message at the end of a path of fields; what lies beside the path stays.
func inside(body []byte, path []protowire.Number, change func([]byte) ([]byte, error)) ([]byte, error) {
	if len(path) == 0 {
		return change(body)
	}
	var out []byte
	err := eachField(body, func(f fieldOf) error {
		if f.number != path[0] || f.kind != protowire.BytesType {
			out = append(out, f.raw...)
			return nil
		}
		part, err := inside(f.value, path[1:], change)
		out = message(out, f.number, part)
		return err
	})
	return out, err
}

// nodeParts is what matters of a node.
type nodeParts struct {
	op      string
	in, out []string
	tensor  []byte // of a Constant
}

func readNode(body []byte) (n nodeParts, err error) {
	err = eachField(body, func(f fieldOf) error {
		switch f.number {
		case nodeInput:
			n.in = append(n.in, string(f.value))
		case nodeOutput:
			n.out = append(n.out, string(f.value))
		case nodeOp:
			n.op = string(f.value)
		case nodeAttribute:
			if t, err := oneField(f.value, attributeTensor); err == nil {
				n.tensor = t
			}
		}
		return nil
	})
	if n.op == "Resize" && len(n.out) == 0 {
		err = errors.Join(err, errors.New("a Resize gives nothing"))
	}
	return n, err
}

// ints reads a TensorProto's name and, of a list of 64-bit whole numbers, the values; of any other, nil.
func ints(tensor []byte) (name string, v []int64, err error) {
	dims, kind := 0, uint64(0)
	var raw, list []byte
	err = eachField(tensor, func(f fieldOf) error {
		switch {
		case f.number == tensorDims:
			dims++
		case f.number == 2 && f.kind == protowire.VarintType:
			kind, _ = protowire.ConsumeVarint(f.value)
		case f.number == tensorName:
			name = string(f.value)
		case f.number == tensorRaw:
			raw = f.value
		case f.number == tensorInts && f.kind == protowire.BytesType:
			list = f.value
		case f.number == tensorInts:
			list = append(list, f.value...)
		}
		return nil
	})
	if err != nil || kind != typeInt64 || dims != 1 {
		return name, nil, err
	}
	for len(raw) >= 8 {
		v, raw = append(v, int64(binary.LittleEndian.Uint64(raw))), raw[8:]
	}
	for len(list) > 0 {
		x, n := protowire.ConsumeVarint(list)
		if n < 0 {
			return name, nil, protowire.ParseError(n)
		}
		v, list = append(v, int64(x)), list[n:]
	}
	return name, v, nil
}

// fieldOf is one field of a message: raw with its tag; value without tag and length.
type fieldOf struct {
	number     protowire.Number
	kind       protowire.Type
	raw, value []byte
}

// eachField hands over the fields of a message in order.
func eachField(body []byte, each func(fieldOf) error) error {
	for len(body) > 0 {
		number, kind, n := protowire.ConsumeTag(body)
		if n < 0 {
			return protowire.ParseError(n)
		}
		m := protowire.ConsumeFieldValue(number, kind, body[n:])
		if m < 0 {
			return protowire.ParseError(m)
		}
		f := fieldOf{number: number, kind: kind, raw: body[:n+m], value: body[n : n+m]}
		if kind == protowire.BytesType {
			f.value, _ = protowire.ConsumeBytes(f.value)
		}
		if err := each(f); err != nil {
			return err
		}
		body = body[n+m:]
	}
	return nil
}

// oneField gives the last field of a number, which must be there and be bytes.
func oneField(body []byte, number protowire.Number) (value []byte, err error) {
	found := false
	err = eachField(body, func(f fieldOf) error {
		if f.number == number && f.kind == protowire.BytesType {
			value, found = f.value, true
		}
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("it has no field %d", number)
	}
	return value, err
}
