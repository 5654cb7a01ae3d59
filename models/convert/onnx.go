package convert

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers below are those of onnx.proto3 (ONNX IR version 7, operator set 13).
const (
	irVersion = 7
	opset     = 13

	typeFloat = 1 // TensorProto.DataType
	typeInt64 = 7

	attrFloat  = 1 // AttributeProto.AttributeType
	attrInt    = 2
	attrString = 3
	attrInts   = 7
)

// attribute is one named setting of a node: a float32, an int, a string or a list of ints.
type attribute struct {
	name  string
	value any
}

// node is one operator of the ONNX graph.
type node struct {
	op      string
	in, out []string
	attrs   []attribute
}

// initialiser is one constant of the ONNX graph: floats or ints.
type initialiser struct {
	name string
	dims []int
	f    []float32
	i    []int64
}

// port is an input or output of the graph.
type port struct {
	name string
	dims []int
}

// message writes one embedded message.
func message(b []byte, field protowire.Number, body []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), body)
}

func text(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func number(b []byte, field protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(v))
}

// encode writes the graph as an ONNX file.
func (g *graph) encode() []byte {
	var body []byte
	for _, n := range g.nodes {
		body = message(body, 1, n.encode())
	}
	body = text(body, 2, "onsite")
	for _, c := range g.constants {
		body = message(body, 5, c.encode())
	}
	for _, p := range g.inputs {
		body = message(body, 11, p.encode())
	}
	for _, p := range g.outputs {
		body = message(body, 12, p.encode())
	}
	model := number(nil, 1, irVersion)
	model = text(model, 2, "onsite-convert")
	model = message(model, 7, body)
	return message(model, 8, number(nil, 2, opset))
}

func (n node) encode() []byte {
	var b []byte
	for _, s := range n.in {
		b = text(b, 1, s)
	}
	for _, s := range n.out {
		b = text(b, 2, s)
	}
	b = text(b, 3, n.out[0]) // nodes are named by what they give
	b = text(b, 4, n.op)
	for _, a := range n.attrs {
		b = message(b, 5, a.encode())
	}
	return b
}

func (a attribute) encode() []byte {
	b := text(nil, 1, a.name)
	switch v := a.value.(type) {
	case float32:
		b = protowire.AppendFixed32(protowire.AppendTag(b, 2, protowire.Fixed32Type), math.Float32bits(v))
		return number(b, 20, attrFloat)
	case int:
		return number(number(b, 3, int64(v)), 20, attrInt)
	case string:
		return number(text(b, 4, v), 20, attrString)
	case []int:
		for _, x := range v {
			b = number(b, 8, int64(x))
		}
		return number(b, 20, attrInts)
	}
	panic("convert: an attribute of no known type") // a fault of this package, never of the input
}

func (c initialiser) encode() []byte {
	var b []byte
	for _, d := range c.dims {
		b = number(b, 1, int64(d))
	}
	kind, raw := int64(typeFloat), make([]byte, 0, 4*len(c.f)+8*len(c.i))
	for _, v := range c.f {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	for _, v := range c.i {
		kind = typeInt64
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return message(text(number(b, 2, kind), 8, c.name), 9, raw)
}

func (p port) encode() []byte {
	var shape []byte
	for _, d := range p.dims {
		shape = message(shape, 1, number(nil, 1, int64(d)))
	}
	tensor := message(number(nil, 1, typeFloat), 2, shape)
	return message(text(nil, 1, p.name), 2, message(nil, 1, tensor))
}
