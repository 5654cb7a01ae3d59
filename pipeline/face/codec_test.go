package face

import (
	"encoding/binary"
	"hash/crc32"
	"image"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"onsite/models"
)

func someTemplate() Template {
	return Template{
		Name: "张三 1.jpg", SHA256: strings.Repeat("ab", 32), Vector: models.Vector{Model: strings.Repeat("01", 32), V: []float32{0.6, -0.8, 0}},
		Quality: Quality{Size: 120, Sharpness: 88.5, Brightness: 120, Contrast: 40, Residual: 2.5, Weight: 0.9}, Box: image.Rect(10, 20, 110, 140),
	}
}

func TestTemplateRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := someTemplate()
		want.Name = rapid.StringN(0, 100, maxName).Draw(t, "name")
		v := rapid.SliceOfN(rapid.Float64Range(-1, 1), 1, 600).Draw(t, "vector")
		var norm float64
		for _, x := range v {
			norm += x * x
		}
		if norm < 1e-6 {
			t.Skip("no direction")
		}
		want.Vector.V = make([]float32, len(v))
		for i, x := range v {
			want.Vector.V[i] = float32(x / math.Sqrt(norm))
		}
		want.Quality.Fault = rapid.SampledFrom(faults).Draw(t, "fault")
		raw, err := want.MarshalBinary()
		require.NoError(t, err)
		require.LessOrEqual(t, len(raw), maxTemplate)
		var got Template
		require.NoError(t, got.UnmarshalBinary(raw))
		require.Equal(t, want, got)
		clear(raw) // the template must not live in the bytes that it was read from
		require.Equal(t, want, got)
	})
}

func TestTemplateRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Template){
		"no vector":     func(t *Template) { t.Vector.V = nil },
		"not a unit":    func(t *Template) { t.Vector.V = []float32{1, 1} },
		"no number":     func(t *Template) { t.Vector.V[0] = float32(math.NaN()) },
		"no model":      func(t *Template) { t.Vector.Model = "" },
		"model is none": func(t *Template) { t.Vector.Model = "fr_feature" },
		"photo is none": func(t *Template) { t.SHA256 = "x" },
		"long name":     func(t *Template) { t.Name = strings.Repeat("x", maxName+1) },
		"bad quality":   func(t *Template) { t.Quality.Weight = math.Inf(1) },
		"bad box":       func(t *Template) { t.Box = image.Rectangle{Min: image.Pt(5, 5)} },
		"huge vector":   func(t *Template) { t.Vector.V = make([]float32, maxDimension+1) },
	} {
		tt := someTemplate()
		spoil(&tt)
		_, err := tt.MarshalBinary()
		require.Error(t, err, name)
	}
	raw, err := someTemplate().MarshalBinary()
	require.NoError(t, err)
	const vector = 6 + 64
	for name, spoil := range map[string]func([]byte) []byte{
		"empty":          func([]byte) []byte { return nil },
		"wrong mark":     func(b []byte) []byte { b[0] = 'X'; return b },
		"newer version":  func(b []byte) []byte { b[4] = 9; return b },
		"one bit wrong":  func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"cut":            func(b []byte) []byte { return b[:len(b)-5] },
		"longer":         func(b []byte) []byte { return append(b[:len(b)-4], 0, 0, 0, 0, 0) },
		"huge vector":    func(b []byte) []byte { b[vector+1] = 0xff; return b },
		"other length":   func(b []byte) []byte { b[vector]--; return b },
		"vector is long": func(b []byte) []byte { b[vector+2+3] = 0x7f; return b },
		"unknown fault":  func(b []byte) []byte { b[vector+2+12+20+40] = 99; return b },
	} {
		b := spoil(append([]byte{}, raw...))
		if name != "one bit wrong" && len(b) > 4 { // what lies behind the checksum must be refused by itself
			binary.LittleEndian.PutUint32(b[len(b)-4:], crc32.ChecksumIEEE(b[:len(b)-4]))
		}
		var got Template
		require.ErrorIs(t, got.UnmarshalBinary(b), ErrTemplate, name)
		require.Equal(t, Template{}, got, name)
	}
}

func FuzzTemplate(f *testing.F) {
	raw, err := someTemplate().MarshalBinary()
	require.NoError(f, err)
	f.Add(raw)
	f.Add([]byte("ONST"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 4 { // else the checksum keeps everything out
			binary.LittleEndian.PutUint32(raw[len(raw)-4:], crc32.ChecksumIEEE(raw[:len(raw)-4]))
		}
		var a, b Template
		if a.UnmarshalBinary(raw) != nil {
			return
		}
		again, err := a.MarshalBinary()
		require.NoError(t, err)
		require.NoError(t, b.UnmarshalBinary(again))
		require.Equal(t, a, b)
	})
}
