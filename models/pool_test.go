package models

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	ort "github.com/yalue/onnxruntime_go"

	"onsite/models/manifest"
)

// A graph whose map is twice its input, two channels of 2 x 2 pixels.
func TestPoolsAreMeansAndDeviationsOfAnInnerMap(t *testing.T) {
	require.NoError(t, startRuntime(DefaultOptions().Library))
	data := onnx(
		[][]byte{node("Add", []string{"x", "x"}, []string{"map"}, nil), node("Relu", []string{"map"}, []string{"y"}, nil)}, nil,
		[][]byte{port("x", 1, "n", 2, 2, 2)}, [][]byte{port("y", 1, "n", 2, 2, 2)},
	)
	whole := append([]byte(nil), data...)
	outputs := []manifest.Output{{Name: "y"}, {Name: "pool", Shape: []int{1, 4}, PoolOf: "map"}}
	session, err := ort.NewDynamicAdvancedSessionWithONNXData(withPools(data, outputs), []string{"x"}, []string{"y", "pool"}, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, session.Destroy()) }()
	require.Equal(t, whole, data, "the file's own bytes stay as they are")
	x, err := ort.NewTensor(ort.NewShape(2, 2, 2, 2), []float32{1, 2, 3, 4, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 4})
	require.NoError(t, err)
	defer func() { require.NoError(t, x.Destroy()) }()
	out := make([]ort.Value, 2)
	require.NoError(t, session.Run([]ort.Value{x}, out))
	pool := out[1].(*ort.Tensor[float32])
	require.Equal(t, ort.NewShape(2, 4), pool.GetShape())
	require.InDeltaSlice(t, []float32{5, -2, float32(math.Sqrt(5)), 0, 0, 2, 0, float32(math.Sqrt(12))}, pool.GetData(), 1e-5)
	for _, o := range out {
		require.NoError(t, o.Destroy())
	}
	require.Equal(t, data, withPools(data, outputs[:1]), "nothing is added where no pool is asked for")
}
