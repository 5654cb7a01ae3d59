package convert

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// chain is a model [1, 4, 2, 2] -> Reshape to [1, 16] by a constant, or by a Constant node -> output, with a Resize on the way.
func chain(t testing.TB) []byte {
	t.Helper()
	var g []byte
	sizes := initialiser{name: "sizes", dims: []int{4}, i: []int64{1, 4, 4, 4}}
	shape := initialiser{name: "shape", dims: []int{2}, i: []int64{1, 64}}
	again := number(message(text(nil, 1, "value"), attributeTensor, initialiser{dims: []int{2}, i: []int64{1, -1}}.encode()), 20, 4) // AttributeProto.TENSOR
	for _, n := range []node{
		{op: "Resize", in: []string{"x", "", "", "sizes"}, out: []string{"big"}, attrs: []attribute{{"mode", "nearest"}}},
		{op: "Reshape", in: []string{"big", "shape"}, out: []string{"flat"}},
		{op: "Reshape", in: []string{"flat", "again"}, out: []string{"y"}},
	} {
		g = message(g, graphNode, n.encode())
	}
	g = message(g, graphNode, message(node{op: "Constant", out: []string{"again"}}.encode(), nodeAttribute, again))
	for _, c := range []initialiser{sizes, shape} {
		g = message(g, graphConstant, c.encode())
	}
	g = message(g, graphInput, port{name: "x", dims: []int{1, 4, 2, 2}}.encode())
	g = message(g, graphOutput, port{name: "y", dims: []int{1, 64}}.encode())
	return message(number(nil, 1, irVersion), modelGraph, g)
}

// namesOf lists the operators and the constants' values of a model.
func namesOf(t *testing.T, onnx []byte) (ops []string, constants map[string][]int64, first []string) {
	t.Helper()
	g, err := oneField(onnx, modelGraph)
	require.NoError(t, err)
	constants = map[string][]int64{}
	require.NoError(t, eachField(g, func(f fieldOf) error {
		switch f.number {
		case graphNode:
			n, err := readNode(f.value)
			require.NoError(t, err)
			ops = append(ops, n.op)
		case graphConstant:
			name, v, err := ints(f.value)
			require.NoError(t, err)
			constants[name] = v
		case graphInput, graphOutput:
			_, err := inside(f.value, []protowire.Number{2, 1, 2, 1}, func(dim []byte) ([]byte, error) {
				if name, err := oneField(dim, 2); err == nil {
					first = append(first, string(name))
				}
				return dim, nil
			})
			require.NoError(t, err)
		}
		return nil
	}))
	return ops, constants, first
}

func TestBatched(t *testing.T) {
	got, err := Batched(chain(t))
	require.NoError(t, err)
	ops, constants, first := namesOf(t, got)
	require.Equal(t, []string{"Shape", "Gather", "Concat", "Resize", "Reshape", "Reshape"}, ops)
	require.Equal(t, []int64{0, 64}, constants["shape"], "Reshape takes 0 for the axis of its input")
	require.Equal(t, []int64{0, -1}, constants["again"])
	require.Equal(t, []int64{4, 4, 4}, constants["big_onsite_batch_rest"])
	require.Equal(t, []string{batchAxis, batchAxis}, first)

	again, err := Batched(chain(t))
	require.NoError(t, err)
	require.Equal(t, got, again)
	_, err = Batched([]byte("no model"))
	require.ErrorContains(t, err, "make a model batched")
}

func FuzzBatched(f *testing.F) {
	f.Add(chain(f))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		out, err := Batched(raw)
		if err == nil {
			_, err = Batched(out)
			require.NoError(t, err, "what it writes it reads")
		}
	})
}
