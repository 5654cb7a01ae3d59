package models

import (
	"encoding/binary"
	"math"
)

// The few fields of ONNX's protocol buffers (onnx.proto3) that a test needs to write a model of its own.

func varint(b []byte, field int, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(field)<<3), v)
}

func message(b []byte, field int, body []byte) []byte {
	b = binary.AppendUvarint(b, uint64(field)<<3|2)
	return append(binary.AppendUvarint(b, uint64(len(body))), body...)
}

func text(b []byte, field int, s string) []byte { return message(b, field, []byte(s)) }

// floats is a TensorProto of float32.
func floats(name string, dims []int64, values []float32) []byte {
	var t, raw []byte
	for _, d := range dims {
		t = varint(t, 1, uint64(d))
	}
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return message(text(varint(t, 2, 1), 8, name), 9, raw)
}

// whole is a TensorProto of int64.
func whole(name string, values ...int64) []byte {
	var raw []byte
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return message(text(varint(varint(nil, 1, uint64(len(values))), 2, 7), 8, name), 9, raw)
}

// node is a NodeProto; attributes are an int64 or a list of them.
func node(op string, inputs, outputs []string, attributes map[string]any) []byte {
	var n []byte
	for _, s := range inputs {
		n = text(n, 1, s)
	}
	for _, s := range outputs {
		n = text(n, 2, s)
	}
	n = text(n, 4, op)
	for name, values := range attributes {
		a := text(nil, 1, name)
		switch values := values.(type) {
		case int:
			a = varint(varint(a, 3, uint64(values)), 20, 2) // INT
		case []int:
			for _, v := range values {
				a = varint(a, 8, uint64(v))
			}
			a = varint(a, 20, 7) // INTS
		}
		n = message(n, 5, a)
	}
	return n
}

// port is a ValueInfoProto; a name in dims is a dynamic axis. elem: 1 float32, 7 int64.
func port(name string, elem uint64, dims ...any) []byte {
	var shape []byte
	for _, d := range dims {
		var dim []byte
		switch d := d.(type) {
		case int:
			dim = varint(nil, 1, uint64(d))
		case string:
			dim = text(nil, 2, d)
		}
		shape = message(shape, 1, dim)
	}
	tensor := message(varint(nil, 1, elem), 2, shape)
	return message(text(nil, 1, name), 2, message(nil, 1, tensor))
}

// onnx is a ModelProto of opset 13.
func onnx(nodes, weights, inputs, outputs [][]byte) []byte {
	var g []byte
	for _, n := range nodes {
		g = message(g, 1, n)
	}
	g = text(g, 2, "test")
	for _, w := range weights {
		g = message(g, 5, w)
	}
	for _, i := range inputs {
		g = message(g, 11, i)
	}
	for _, o := range outputs {
		g = message(g, 12, o)
	}
	m := message(varint(nil, 1, 8), 7, g)
	return message(m, 8, varint(text(nil, 1, ""), 2, 13))
}
