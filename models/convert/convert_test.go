package convert

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	ort "github.com/yalue/onnxruntime_go"
)

// run runs an ONNX file with one input, x, and one output on ONNX Runtime.
func run(t *testing.T, onnx []byte, inShape []int64, values []float32, out string, outShape []int64) []float32 {
	t.Helper()
	if !ort.IsInitialized() {
		ort.SetSharedLibraryPath(filepath.Join(os.Getenv("ONSITE_CACHE"), "runtime", "libonnxruntime.so.1"))
		require.NoError(t, ort.InitializeEnvironment(ort.WithLogLevelError()), "these tests need the installed runtime; ONSITE_CACHE is %q", os.Getenv("ONSITE_CACHE"))
	}
	s, err := ort.NewDynamicAdvancedSessionWithONNXData(onnx, []string{"x"}, []string{out}, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Destroy()) }()
	x, err := ort.NewTensor(inShape, values)
	require.NoError(t, err)
	defer func() { require.NoError(t, x.Destroy()) }()
	y, err := ort.NewEmptyTensor[float32](outShape)
	require.NoError(t, err)
	defer func() { require.NoError(t, y.Destroy()) }()
	require.NoError(t, s.Run([]ort.Value{x}, []ort.Value{y}))
	return append([]float32(nil), y.GetData()...)
}

// js builds a small graph model of TensorFlow.js.
type js struct {
	nodes   []map[string]any
	weights []map[string]any
	data    bytes.Buffer
}

func (j *js) node(op, name string, attrs map[string]any, in ...string) {
	j.nodes = append(j.nodes, map[string]any{"op": op, "name": name, "input": in, "attr": attrs})
}

func (j *js) floats(name string, shape []int, v ...float32) {
	j.node("Const", name, nil)
	j.weights = append(j.weights, map[string]any{"name": name, "shape": shape, "dtype": "float32"})
	_ = binary.Write(&j.data, binary.LittleEndian, v)
}

func (j *js) ints(name string, shape []int, v ...int32) {
	j.node("Const", name, nil)
	j.weights = append(j.weights, map[string]any{"name": name, "shape": shape, "dtype": "int32"})
	_ = binary.Write(&j.data, binary.LittleEndian, v)
}

func (j *js) file(t testing.TB) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"modelTopology": map[string]any{"node": j.nodes}, "weightsManifest": []any{map[string]any{"weights": j.weights}}})
	require.NoError(t, err)
	return b
}

func list(v ...int) map[string]any {
	out := make([]string, len(v))
	for i, x := range v {
		out[i] = fmt.Sprint(x)
	}
	return map[string]any{"list": map[string]any{"i": out}}
}

func word(s string) map[string]any {
	return map[string]any{"s": base64.StdEncoding.EncodeToString([]byte(s))}
}

func words(s ...string) map[string]any {
	out := make([]string, len(s))
	for i, x := range s {
		out[i] = base64.StdEncoding.EncodeToString([]byte(x))
	}
	return map[string]any{"list": map[string]any{"s": out}}
}

func dims(v ...int) map[string]any {
	var d []any
	for _, x := range v {
		d = append(d, map[string]any{"size": fmt.Sprint(x)})
	}
	return map[string]any{"shape": map[string]any{"dim": d}}
}

// swish is a picture of 5 x 4 with two channels through a convolution (3 x 3, stride 2, SAME), h-swish, a depthwise convolution and a mean.
func swish() *js {
	j := &js{}
	j.node("Placeholder", "x", map[string]any{"shape": dims(-1, 5, 4, 2)})
	w := make([]float32, 3*3*2*3)
	for i := range w {
		w[i] = float32(i%7)/4 - .7
	}
	j.floats("w", []int{3, 3, 2, 3}, w...)
	j.floats("b", []int{3}, .5, -1, 2)
	j.node("_FusedConv2D", "c", map[string]any{"strides": list(1, 2, 2, 1), "padding": word("SAME"), "fused_ops": words("BiasAdd"), "data_format": word("NHWC")}, "x", "w", "b")
	j.floats("sixth", []int{}, 0.16662598)
	j.floats("three", []int{}, 3)
	j.node("Mul", "m", nil, "sixth", "c")
	j.node("Add", "a", nil, "c", "three")
	j.node("Relu6", "r", nil, "a")
	j.node("Mul", "h", nil, "m", "r")
	j.floats("d", []int{1, 1, 3, 1}, 2, -1, .5)
	j.node("DepthwiseConv2dNative", "e", map[string]any{"strides": list(1, 1, 1, 1), "padding": word("VALID")}, "h", "d")
	j.ints("axes", []int{2}, 1, 2)
	j.node("Mean", "mean", map[string]any{"keep_dims": map[string]any{"b": true}}, "e", "axes")
	j.node("Mul", "out", nil, "e", "mean")
	return j
}

// expectSwish computes the same by hand: 3 x 2 pixels, channels last.
func expectSwish(x, w []float32) []float64 {
	bias, deep := []float64{.5, -1, 2}, []float64{2, -1, .5}
	out := make([]float64, 3*2*3)
	mean := make([]float64, 3)
	for oy := range 3 {
		for ox := range 2 {
			for o := range 3 {
				sum := bias[o]
				for ky := range 3 {
					for kx := range 3 {
						// SAME: 5 rows with stride 2 are padded by 1 and 1, 4 columns by 0 and 1.
						y, xx := oy*2+ky-1, ox*2+kx
						if y < 0 || y >= 5 || xx >= 4 {
							continue
						}
						for c := range 2 {
							sum += float64(x[(y*4+xx)*2+c]) * float64(w[((ky*3+kx)*2+c)*3+o])
						}
					}
				}
				v := sum * float64(float32(0.16662598)) * math.Min(6, math.Max(0, sum+3)) * deep[o]
				out[(oy*2+ox)*3+o] = v
				mean[o] += v / 6
			}
		}
	}
	for i := range out {
		out[i] *= mean[i%3]
	}
	return out
}

// picture gives 5 x 4 x 2 values, channels last, and the same channels first.
func picture() (last, first []float32) {
	last, first = make([]float32, 40), make([]float32, 40)
	for i := range last {
		last[i] = float32(math.Sin(float64(i) * 1.3))
		first[i%2*20+i/2] = last[i]
	}
	return last, first
}

func TestTFJSComputesTheSame(t *testing.T) {
	j := swish()
	onnx, err := TFJS(j.file(t), j.data.Bytes(), []Output{{Tensor: "out", Name: "y"}})
	require.NoError(t, err)
	again, err := TFJS(j.file(t), j.data.Bytes(), []Output{{Tensor: "out", Name: "y"}})
	require.NoError(t, err)
	require.Equal(t, onnx, again, "the same bytes in give the same bytes out")
	require.Contains(t, string(onnx), "HardSigmoid")
	require.NotContains(t, string(onnx), "Clip", "h-swish is two operators")

	last, first := picture()
	w := make([]float32, 54)
	for i := range w {
		w[i] = float32(i%7)/4 - .7
	}
	got := run(t, onnx, []int64{1, 2, 5, 4}, first, "y", []int64{1, 3, 3, 2})
	for i, want := range expectSwish(last, w) {
		require.InDelta(t, want, got[i%3*6+i/3], 1e-4, "pixel %d, channel %d", i/3, i%3)
	}
}

func TestTFJSDense(t *testing.T) {
	j := &js{}
	j.node("Placeholder", "x", map[string]any{"shape": dims(1, 1, 2, 3)})
	j.floats("low", []int{}, -1)
	j.floats("per", []int{3}, 1, 2, 3)
	j.node("Maximum", "a", nil, "x", "low")
	j.node("Mul", "b", nil, "a", "per")
	j.ints("axes", []int{2}, 1, 2)
	j.node("Mean", "m", nil, "b", "axes")
	j.floats("w", []int{3, 2}, 1, 0, 0, 1, 1, 1)
	j.floats("bias", []int{2}, .5, -.5)
	j.node("_FusedMatMul", "d", map[string]any{"fused_ops": words("BiasAdd", "Relu")}, "m", "w", "bias")
	j.node("Softmax", "s", nil, "d")
	onnx, err := TFJS(j.file(t), j.data.Bytes(), []Output{{Tensor: "s:0", Name: "y"}})
	require.NoError(t, err)
	got := run(t, onnx, []int64{1, 3, 1, 2}, []float32{1, 3, -5, 1, .1, .3}, "y", []int64{1, 2})
	// means after the floor and the factors: 2, (-1+1)/2*2 = 0, .2*3 = .6; dense: 2+.6+.5 = 3.1 and 0+.6-.5 = .1
	e := math.Exp(3.1) / (math.Exp(3.1) + math.Exp(.1))
	require.InDeltaSlice(t, []float64{e, 1 - e}, []float64{float64(got[0]), float64(got[1])}, 1e-5)
}

func TestTFJSRefuses(t *testing.T) {
	want := []Output{{Tensor: "out", Name: "y"}}
	for _, c := range []struct {
		name   string
		change func(j *js)
		says   string
	}{
		{"operator", func(j *js) { j.nodes[3]["op"] = "FancyConv" }, `operator FancyConv (node c)`},
		{"fused", func(j *js) { j.nodes[3]["attr"].(map[string]any)["fused_ops"] = words("BiasAdd", "Elu") }, `"Elu"`},
		{"padding", func(j *js) { delete(j.nodes[3]["attr"].(map[string]any), "padding") }, "padding"},
		{"format", func(j *js) { j.nodes[3]["attr"].(map[string]any)["data_format"] = word("NCHW") }, `"NCHW"`},
		{"strides", func(j *js) { j.nodes[3]["attr"].(map[string]any)["strides"] = list(1, 0, 1, 1) }, "stride of 0"},
		{"cycle", func(j *js) { j.nodes[3]["input"] = []string{"h", "w", "b"} }, "depends on itself"},
		{"missing node", func(j *js) { j.nodes[3]["input"] = []string{"nobody", "w", "b"} }, `no node "nobody"`},
		{"channels", func(j *js) { j.weights[0]["shape"] = []int{3, 3, 3, 2} }, "for 3 channels has 2"},
		{"weights too long", func(j *js) { j.weights[0]["shape"] = []int{3, 3, 200, 3} }, "want 21600 bytes"},
		{"weights too short", func(j *js) { j.data.WriteByte(0) }, "the manifest lists"},
		{"type", func(j *js) { j.weights[0]["dtype"] = "complex64" }, "data type complex64"},
		{"quantised", func(j *js) { j.weights[0]["quantization"] = map[string]any{"dtype": "uint8"} }, "stored as uint8"},
		{"side", func(j *js) { j.nodes[0]["attr"] = map[string]any{"shape": dims(1, 5, -1, 2)} }, "each side must be"},
		{"axes", func(j *js) { j.nodes[13]["input"] = []string{"e", "three"} }, "whole numbers"},
		{"twice", func(j *js) { j.nodes[2]["name"] = "w" }, "two nodes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := swish()
			c.change(j)
			onnx, err := TFJS(j.file(t), j.data.Bytes(), want)
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, "convert a TensorFlow.js model")
			require.Nil(t, onnx)
		})
	}
	j := swish()
	var unknown *UnknownError
	j.nodes[3]["op"] = "FancyConv"
	_, err := TFJS(j.file(t), j.data.Bytes(), want)
	require.ErrorAs(t, err, &unknown)
	_, err = TFJS([]byte("{"), nil, want)
	require.ErrorContains(t, err, "JSON")
	_, err = TFJS(swish().file(t), swish().data.Bytes(), []Output{{Tensor: "w", Name: "y"}})
	require.ErrorContains(t, err, "constant")
	_, err = TFJS(swish().file(t), swish().data.Bytes(), nil)
	require.ErrorContains(t, err, "0 outputs")
}

func TestHalves(t *testing.T) {
	for bits, want := range map[uint16]float32{0x3c00: 1, 0xc000: -2, 0x7bff: 65504, 0x0001: 5.9604645e-08, 0x3555: 0.33325195, 0x8000: 0} {
		got := halves(binary.LittleEndian.AppendUint16(nil, bits))
		require.Equal(t, want, got[0], "%04x", bits) //nolint:testifylint // widening is exact
	}
	require.True(t, math.IsInf(float64(halves([]byte{0, 0xfc})[0]), -1))
	require.True(t, math.IsNaN(float64(halves([]byte{1, 0x7c})[0])))
}

func TestPermute(t *testing.T) {
	require.Equal(t, []float32{1, 4, 2, 5, 3, 6}, permute([]float32{1, 2, 3, 4, 5, 6}, []int{2, 3}, []int{1, 0}))
}

func FuzzTFJS(f *testing.F) {
	j := swish()
	f.Add(j.file(f), j.data.Bytes())
	f.Add([]byte(strings.Replace(string(j.file(f)), "Relu6", "Mean", 1)), j.data.Bytes())
	f.Add([]byte(`{"modelTopology":{"node":[{"name":"out","op":"Identity","input":["out"]}]}}`), []byte{})
	f.Fuzz(func(t *testing.T, topology, weights []byte) {
		onnx, err := TFJS(topology, weights, []Output{{Tensor: "out", Name: "y"}})
		require.Equal(t, err != nil, onnx == nil)
	})
}
