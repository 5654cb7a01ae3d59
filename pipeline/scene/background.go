package scene

import (
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"onsite/pipeline"
)

// Background is what pictures of other places look like to a scene embedder: what a site's room photos are calibrated by. Model is the
// sha256 of the model that made the vectors; each has length 1.
type Background struct {
	Model   string
	Vectors [][]float32
}

// Limits of a background.
const (
	fewestBackground = 20 // below it mean and spread say little
	mostBackground   = 2000
	maxBackground    = 4 << 20 // bytes of the file
	maxDimension     = 8192
)

// backgroundFile is the form of a stored background: vectors of signed bytes in base64, which cost less than .01 of a cosine.
type backgroundFile struct {
	Model   string   `json:"model"`
	Made    string   `json:"made"` // from which pictures, under which licence
	Vectors []string `json:"vectors"`
}

//go:embed background.json
var builtinBackground []byte

// BuiltinBackground gives the background that Onsite ships: 18 rooms and buildings from photos in npm packages under the MIT licence
// (material-dashboard 3.1.0, material-kit 2.0.4, soft-ui-design-system 1.0.4), each also seen twice by a simulated visitor. Only the
// vectors are here, not the photos. `onsite bench place --write-background` makes one from any folder.
func BuiltinBackground() (Background, error) {
	b, err := ParseBackground(builtinBackground)
	if err != nil {
		return Background{}, fmt.Errorf("read the built-in background: %w", err)
	}
	return b, nil
}

// ParseBackground reads a stored background.
func ParseBackground(data []byte) (Background, error) {
	if len(data) > maxBackground {
		return Background{}, fmt.Errorf("a background of %d bytes, at most %d are accepted", len(data), maxBackground)
	}
	var f backgroundFile
	if err := json.Unmarshal(data, &f); err != nil {
		return Background{}, fmt.Errorf("a background is JSON with model, made and vectors: %w", err)
	}
	b, err := unpack(&pipeline.RoomVectors{Model: f.Model, Vectors: f.Vectors})
	if err != nil {
		return Background{}, err
	}
	return b, b.validate()
}

// pack writes the vectors as they are stored. A vector without a direction (all zero, or no numbers) is refused: no comparison with it means anything.
func (b Background) pack() (*pipeline.RoomVectors, error) {
	out := &pipeline.RoomVectors{Model: b.Model, Vectors: []string{}}
	for i, v := range b.Vectors {
		if unitLength(v) == nil {
			return nil, fmt.Errorf("vector %d of a background has no direction", i)
		}
		var top float64
		for _, x := range v {
			top = max(top, math.Abs(float64(x)))
		}
		raw := make([]byte, len(v))
		for k, x := range v {
			raw[k] = byte(int8(math.Round(float64(x) / top * 127)))
		}
		out.Vectors = append(out.Vectors, base64.StdEncoding.EncodeToString(raw))
	}
	return out, nil
}

// unpack is the other way round; there may be too few for a background of their own.
func unpack(p *pipeline.RoomVectors) (Background, error) {
	b := Background{Model: p.Model}
	for i, s := range p.Vectors {
		raw, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return Background{}, fmt.Errorf("vector %d of a background: %w", i, err)
		}
		v := make([]float32, len(raw))
		for k, x := range raw {
			v[k] = float32(int8(x))
		}
		if v = unitLength(v); v == nil {
			return Background{}, fmt.Errorf("vector %d of a background has no direction", i)
		}
		b.Vectors = append(b.Vectors, v)
	}
	return b, nil
}

// Bytes is the stored form; made says from which pictures the vectors come, and under which licence.
func (b Background) Bytes(made string) ([]byte, error) {
	p, err := b.pack()
	if err != nil {
		return nil, err
	}
	f := backgroundFile{Model: b.Model, Made: made, Vectors: p.Vectors}
	out, err := json.MarshalIndent(f, "", " ")
	return append(out, '\n'), err
}

func (b Background) validate() error {
	if len(b.Vectors) < fewestBackground || len(b.Vectors) > mostBackground {
		return fmt.Errorf("a background of %d vectors, want %d to %d", len(b.Vectors), fewestBackground, mostBackground)
	}
	if b.Model == "" {
		return errors.New("a background names no model")
	}
	n := len(b.Vectors[0])
	for i, v := range b.Vectors {
		if len(v) != n || n == 0 || n > maxDimension {
			return fmt.Errorf("vector %d of a background has %d values, the first has %d, at most %d are accepted", i, len(v), n, maxDimension)
		}
	}
	return nil
}

// With adds vectors of other sites of the tenant, made by the same model, to a background.
func (b Background) With(more Background) (Background, error) {
	if len(more.Vectors) > 0 && more.Model != b.Model {
		return Background{}, &OtherModelError{Want: b.Model, Got: more.Model}
	}
	out := Background{Model: b.Model, Vectors: append(append([][]float32(nil), b.Vectors...), more.Vectors...)}
	return out, out.validate()
}

// OtherModelError says that vectors of two models were to be compared. Both are sha256 of model files.
type OtherModelError struct{ Want, Got string }

func (e *OtherModelError) Error() string {
	return fmt.Sprintf("scene embeddings of different models cannot be compared: %.12s and %.12s; make the background again with `onsite bench place --write-background`", e.Want, e.Got)
}

// unitLength gives a copy of length 1, nil without a direction.
func unitLength(v []float32) []float32 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if !(sum > 0) || math.IsInf(sum, 0) {
		return nil
	}
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(float64(x) / math.Sqrt(sum))
	}
	return out
}
