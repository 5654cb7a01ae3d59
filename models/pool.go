package models

import (
	"encoding/binary"

	"onsite/models/manifest"
)

// The numbers of ONNX's protocol buffer fields (onnx.proto3) that withPools writes.
const (
	fieldModelGraph    = 7
	fieldGraphNode     = 1
	fieldGraphOutput   = 12
	fieldNodeInput     = 1
	fieldNodeOutput    = 2
	fieldNodeOp        = 4
	fieldNodeAttribute = 5
	fieldAttributeName = 1
	fieldAttributeInt  = 3
	fieldAttributeType = 20
	attributeInt       = 2
	fieldInfoName      = 1
	fieldInfoType      = 2
	fieldTypeTensor    = 1
	fieldTensorElem    = 1
	elemFloat          = 1
)

// withPools gives a graph the outputs that the manifest takes from its inside (pool_of): means, then standard deviations of a feature map
// [N, C, H, W] over its pixels, as [N, 2C]. The bytes of the file stay as they are, and so does its checksum: what is added stands behind them, as a
// reader of protocol buffers merges a message that occurs twice. The operators have this form in every version of ONNX from 7 on.
func withPools(data []byte, outputs []manifest.Output) []byte {
	out := data
	for _, o := range outputs {
		if o.PoolOf == "" {
			continue
		}
		name := func(step string) string { return o.Name + "_" + step }
		tensor := binary.AppendUvarint(binary.AppendUvarint(nil, fieldTensorElem<<3), elemFloat)
		var graph []byte
		for _, op := range [][]byte{
			operator("GlobalAveragePool", name("mean"), o.PoolOf),
			operator("Mul", name("square"), o.PoolOf, o.PoolOf),
			operator("GlobalAveragePool", name("mean_square"), name("square")),
			operator("Mul", name("square_mean"), name("mean"), name("mean")),
			operator("Sub", name("difference"), name("mean_square"), name("square_mean")),
			operator("Relu", name("variance"), name("difference")), // rounding may leave less than nothing
			operator("Sqrt", name("deviation"), name("variance")),
			bytesField(operator("Concat", name("both"), name("mean"), name("deviation")), fieldNodeAttribute, axis(1)),
			operator("Flatten", o.Name, name("both")),
		} {
			graph = bytesField(graph, fieldGraphNode, op)
		}
		graph = bytesField(graph, fieldGraphOutput, bytesField(bytesField(nil, fieldInfoName, []byte(o.Name)), fieldInfoType, bytesField(nil, fieldTypeTensor, tensor)))
		out = bytesField(out[:len(out):len(out)], fieldModelGraph, graph)
	}
	return out
}

// operator is a node of the given inputs with one output.
func operator(op, out string, in ...string) []byte {
	var n []byte
	for _, name := range in {
		n = bytesField(n, fieldNodeInput, []byte(name))
	}
	return bytesField(bytesField(n, fieldNodeOutput, []byte(out)), fieldNodeOp, []byte(op))
}

// axis is the attribute of that name.
func axis(v uint64) []byte {
	a := bytesField(nil, fieldAttributeName, []byte("axis"))
	a = binary.AppendUvarint(binary.AppendUvarint(a, fieldAttributeInt<<3), v)
	return binary.AppendUvarint(binary.AppendUvarint(a, fieldAttributeType<<3), attributeInt)
}

// bytesField appends a field that holds bytes: a text or another message.
func bytesField(to []byte, field uint64, value []byte) []byte {
	const bytesWire = 2
	to = binary.AppendUvarint(to, field<<3|bytesWire)
	return append(binary.AppendUvarint(to, uint64(len(value))), value...)
}
