package convert

import (
	"encoding/binary"
	"math"
	"testing"

	flatbuffers "github.com/google/flatbuffers/go"
	"github.com/stretchr/testify/require"
)

// lite builds a small TensorFlow Lite file, the way the schema says: tensors with their buffers, operators, one graph.
type lite struct {
	b         *flatbuffers.Builder
	tensors   []flatbuffers.UOffsetT
	buffers   []flatbuffers.UOffsetT
	codes     []flatbuffers.UOffsetT
	operators []flatbuffers.UOffsetT
}

func newLite() *lite {
	l := &lite{b: flatbuffers.NewBuilder(1024)}
	l.buffer(nil)
	return l
}

func (l *lite) int32s(v ...int32) flatbuffers.UOffsetT {
	l.b.StartVector(4, len(v), 4)
	for i := len(v) - 1; i >= 0; i-- {
		l.b.PrependInt32(v[i])
	}
	return l.b.EndVector(len(v))
}

func (l *lite) offsets(v []flatbuffers.UOffsetT) flatbuffers.UOffsetT {
	l.b.StartVector(4, len(v), 4)
	for i := len(v) - 1; i >= 0; i-- {
		l.b.PrependUOffsetT(v[i])
	}
	return l.b.EndVector(len(v))
}

func (l *lite) buffer(data []byte) int {
	var at flatbuffers.UOffsetT
	if data != nil {
		at = l.b.CreateByteVector(data)
	}
	l.b.StartObject(1)
	if data != nil {
		l.b.PrependUOffsetTSlot(0, at, 0)
	}
	l.buffers = append(l.buffers, l.b.EndObject())
	return len(l.buffers) - 1
}

func (l *lite) tensor(name string, kind byte, data []byte, shape ...int32) int32 {
	buffer := 0
	if data != nil {
		buffer = l.buffer(data)
	}
	n, s := l.b.CreateString(name), l.int32s(shape...)
	l.b.StartObject(4)
	l.b.PrependUOffsetTSlot(0, s, 0)
	l.b.PrependByteSlot(1, kind, 0)
	l.b.PrependUint32Slot(2, uint32(buffer), 0)
	l.b.PrependUOffsetTSlot(3, n, 0)
	l.tensors = append(l.tensors, l.b.EndObject())
	return int32(len(l.tensors) - 1)
}

// operator adds an operator; options are (field, value, is a byte) of its options table.
func (l *lite) operator(code int32, in, out []int32, options ...[3]int32) {
	l.b.StartObject(4)
	l.b.PrependByteSlot(0, byte(code), 0)
	l.b.PrependInt32Slot(3, code, 0)
	l.codes = append(l.codes, l.b.EndObject())
	l.b.StartObject(8)
	for _, o := range options {
		if o[2] != 0 {
			l.b.PrependByteSlot(int(o[0]), byte(o[1]), 255)
		} else {
			l.b.PrependInt32Slot(int(o[0]), o[1], -99)
		}
	}
	table := l.b.EndObject()
	i, o := l.int32s(in...), l.int32s(out...)
	l.b.StartObject(5)
	l.b.PrependUint32Slot(0, uint32(len(l.codes)-1), 0)
	l.b.PrependUOffsetTSlot(1, i, 0)
	l.b.PrependUOffsetTSlot(2, o, 0)
	l.b.PrependUOffsetTSlot(4, table, 0)
	l.operators = append(l.operators, l.b.EndObject())
}

func (l *lite) file(inputs ...int32) []byte {
	tensors, in, ops := l.offsets(l.tensors), l.int32s(inputs...), l.offsets(l.operators)
	l.b.StartObject(5)
	l.b.PrependUOffsetTSlot(0, tensors, 0)
	l.b.PrependUOffsetTSlot(1, in, 0)
	l.b.PrependUOffsetTSlot(3, ops, 0)
	graph := l.b.EndObject()
	graphs, codes, buffers := l.offsets([]flatbuffers.UOffsetT{graph}), l.offsets(l.codes), l.offsets(l.buffers)
	l.b.StartObject(8)
	l.b.PrependUint32Slot(0, 3, 0)
	l.b.PrependUOffsetTSlot(1, codes, 0)
	l.b.PrependUOffsetTSlot(2, graphs, 0)
	l.b.PrependUOffsetTSlot(4, buffers, 0)
	l.b.FinishWithFileIdentifier(l.b.EndObject(), []byte("TFL3"))
	return l.b.FinishedBytes()
}

func raw(v ...float32) []byte {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// small is a picture of 2 x 2 with two channels through a 1 x 1 convolution with relu6, an addition, a reshape and a concatenation. The
// weights are of 16 bits.
func small(conv int32) []byte {
	l := newLite()
	x := l.tensor("x", tfliteFloat32, nil, 1, 2, 2, 2)
	half := l.tensor("half", tfliteFloat16, []byte{0, 0x3c, 0, 0x40, 0, 0xbc, 0, 0x38}, 2, 1, 1, 2) // 1 2 -1 .5
	w := l.tensor("w", tfliteFloat32, nil, 2, 1, 1, 2)
	l.operator(6, []int32{half}, []int32{w})
	b := l.tensor("b", tfliteFloat32, raw(.25, 0), 2)
	c := l.tensor("c", tfliteFloat32, nil, 1, 2, 2, 2)
	l.operator(conv, []int32{x, w, b}, []int32{c}, [3]int32{0, 0, 1}, [3]int32{1, 1, 0}, [3]int32{2, 1, 0}, [3]int32{3, 3, 1})
	s := l.tensor("s", tfliteFloat32, nil, 1, 2, 2, 2)
	l.operator(0, []int32{c, x}, []int32{s})
	flat := l.tensor("flat", tfliteFloat32, nil, 1, 8)
	l.operator(22, []int32{s}, []int32{flat})
	two := l.tensor("two", tfliteFloat32, nil, 1, 16)
	l.operator(2, []int32{flat, flat}, []int32{two}, [3]int32{0, 1, 0})
	return l.file(x)
}

func TestTFLiteComputesTheSame(t *testing.T) {
	onnx, err := TFLite(small(3), []Output{{Tensor: "two", Name: "y"}})
	require.NoError(t, err)
	again, err := TFLite(small(3), []Output{{Tensor: "two", Name: "y"}})
	require.NoError(t, err)
	require.Equal(t, onnx, again, "the same bytes in give the same bytes out")
	last := []float32{1, 2, 3, 4, -5, 1, .5, .5} // pixel by pixel
	got := run(t, onnx, []int64{1, 2, 2, 2}, []float32{1, 3, -5, .5, 2, 4, 1, .5}, "y", []int64{1, 16})
	for i := range 8 {
		a, b := float64(last[i/2*2]), float64(last[i/2*2+1])
		want := a + 2*b + .25
		if i%2 == 1 {
			want = -a + .5*b
		}
		want = math.Min(6, math.Max(0, want)) + float64(last[i])
		require.InDelta(t, want, got[i], 1e-5)
		require.InDelta(t, want, got[8+i], 1e-5)
	}
	mean, err := TFLite(small(3), []Output{{Tensor: "x", Name: "m", Mean: true}})
	require.NoError(t, err)
	require.InDeltaSlice(t, []float32{-.125, 1.875}, run(t, mean, []int64{1, 2, 2, 2}, []float32{1, 3, -5, .5, 2, 4, 1, .5}, "m", []int64{1, 2}), 1e-6)
}

func TestTFLiteRefuses(t *testing.T) {
	want := []Output{{Tensor: "two", Name: "y"}}
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"operator":   {small(119), "operator number 119"},
		"no file":    {[]byte("TFL3TFL3TFL"), "convert a TensorFlow Lite model"},
		"other file": {[]byte("\x08\x00\x00\x00ONNX0000"), "no TensorFlow Lite file"},
		"cut off":    {small(3)[:200], "outside the file"},
	} {
		t.Run(name, func(t *testing.T) {
			onnx, err := TFLite(c.data, want)
			require.ErrorContains(t, err, c.says)
			require.Nil(t, onnx)
		})
	}
	_, err := TFLite(small(3), []Output{{Tensor: "nobody", Name: "y"}})
	require.ErrorContains(t, err, `no tensor "nobody"`)
	var unknown *UnknownError
	_, err = TFLite(small(119), want)
	require.ErrorAs(t, err, &unknown)
}

func FuzzTFLite(f *testing.F) {
	f.Add(small(3))
	f.Add(small(4))
	f.Add([]byte("\x04\x00\x00\x00TFL3\x04\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		onnx, err := TFLite(data, []Output{{Tensor: "two", Name: "y"}})
		require.Equal(t, err != nil, onnx == nil)
	})
}
