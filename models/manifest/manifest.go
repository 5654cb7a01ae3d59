package manifest

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"

	"onsite/models/plain"
)

// MaxBytes bounds one manifest file; the longest that we ship has 3 KB.
const MaxBytes = 64 << 10

// Manifest describes one model.
type Manifest struct {
	Task       string      `yaml:"task"`
	Name       string      `yaml:"name"`
	Version    string      `yaml:"version"`
	File       File        `yaml:"file"`
	Keys       *File       `yaml:"keys,omitempty"`       // text recognition: one character per line; speech: one token per line
	Background *File       `yaml:"background,omitempty"` // scene embedders: vectors of other places (onsite bench place --write-background), by which rooms are calibrated
	Source     Source      `yaml:"source"`
	Convert    *Convert    `yaml:"convert,omitempty"` // file is made at set-up out of another form of model
	Licence    Licence     `yaml:"licence"`
	Input      Input       `yaml:"input"`
	Outputs    []Output    `yaml:"outputs"`
	Decoder    Decoder     `yaml:"decoder"`
	Labels     []string    `yaml:"labels,omitempty"`   // detectors of objects: what each class is, in the model's order
	Optimise   string      `yaml:"optimise,omitempty"` // how far ONNX Runtime rewrites the graph: basic, extended, all (the default)
	Thresholds []Threshold `yaml:"thresholds,omitempty"`
	Golden     []Golden    `yaml:"golden,omitempty"`

	path string // the manifest's own file, for errors
	dir  string // folder of the ONNX file; empty: the cache's models folder
}

// File is one file of a model: its plain name, its size and its checksum. Member is its path inside the source's package.
type File struct {
	Name   string `yaml:"name"`
	Bytes  int64  `yaml:"bytes"`
	SHA256 string `yaml:"sha256"`
	Member string `yaml:"member,omitempty"`
}

// Source says where the files come from. NPM and Version name a package that the installer can fetch; without them the files are put in
// place by hand and Note says how.
type Source struct {
	NPM           string `yaml:"npm,omitempty"`
	Version       string `yaml:"version,omitempty"`
	TarballSHA256 string `yaml:"tarball_sha256,omitempty"`
	Note          string `yaml:"note,omitempty"`
	// Embedded says that the file is part of the program: it was made by this project and lies beside the built-in manifest.
	Embedded bool `yaml:"embedded,omitempty"`
}

// Convert says out of what the model's file is made, by package convert. The result is the same to the last bit everywhere, so that the
// file has a checksum like any other.
type Convert struct {
	From    string          `yaml:"from"` // tflite: one part; tfjs: two, the JSON file and the weights
	Parts   []ConvertPart   `yaml:"parts"`
	Outputs []ConvertOutput `yaml:"outputs"`
}

// ConvertPart is one file of the source's package that is converted. First and End, if set, are the bytes of it that matter: [First, End).
type ConvertPart struct {
	Member string `yaml:"member"`
	Bytes  int64  `yaml:"bytes"`
	SHA256 string `yaml:"sha256"`
	First  int64  `yaml:"first,omitempty"`
	End    int64  `yaml:"end,omitempty"`
}

// ConvertOutput is one output of the converted model: the tensor of the source, its name in the ONNX file, and whether a picture-shaped
// one is averaged over its pixels.
type ConvertOutput struct {
	Tensor string `yaml:"tensor"`
	Name   string `yaml:"name"`
	Mean   bool   `yaml:"mean,omitempty"`
}

// Licence is the SPDX name of the licence and what else a user must know about the origin.
type Licence struct {
	SPDX string `yaml:"spdx"`
	Note string `yaml:"note,omitempty"`
}

// Input says how the input tensor is made.
//
// Pictures (layout nchw): float32 [1, 3 or 1, H, W], or (layout nhwc) [1, H, W, 3 or 1]; a byte v of channel c becomes (v*scale - mean[c]) / std[c], with the channels in
// the order of colour. Width or Height 0 is dynamic: at least Multiple, at most Max; the picture's side must be a multiple of Multiple,
// except that the width of text lines is padded up to it with zeros. Align is where an embedder of faces wants the left eye, the right eye,
// the tip of the nose and the corners of the mouth (left as the picture shows it first), in pixels of its input; empty: where ArcFace
// wants them, scaled from 112 x 112 to the input's size.
//
// Sound (layout pcm): float32 [1, context+window] at rate samples per second, -1..1.
//
// Speech (layout wave): float32 [1, samples] at rate, -1..1 times scale, or with normalise of mean 0 and variance 1. Speech (layout fbank):
// float32 [1, frames, bins], Kaldi's log-mel filter bank between low_hz and high_hz (0 and less: counted from half the rate down) of samples
// times scale. length names a second input, int64 [1], that takes the number of samples or frames; many models have none.
//
// Features (layout vector): float32 [1, sum of the parts' sizes]: what other models measured, one part after the other.
type Input struct {
	Name     string      `yaml:"name"`
	Layout   string      `yaml:"layout"`
	Colour   string      `yaml:"colour,omitempty"` // rgb, bgr, grey
	Width    int         `yaml:"width,omitempty"`
	Height   int         `yaml:"height,omitempty"`
	Multiple int         `yaml:"multiple,omitempty"`
	Max      int         `yaml:"max,omitempty"`
	Scale    float64     `yaml:"scale,omitempty"`
	Mean     []float64   `yaml:"mean,omitempty"`
	Std      []float64   `yaml:"std,omitempty"`
	Align    [][]float64 `yaml:"align,omitempty"`
	Rate     int         `yaml:"rate,omitempty"`
	Window   int         `yaml:"window,omitempty"`
	Context  int         `yaml:"context,omitempty"`

	Bins      int     `yaml:"bins,omitempty"`
	LowHz     float64 `yaml:"low_hz,omitempty"`
	HighHz    float64 `yaml:"high_hz,omitempty"`
	Normalise bool    `yaml:"normalise,omitempty"`
	Length    string  `yaml:"length,omitempty"`
	Parts     []Part  `yaml:"parts,omitempty"`
}

// Part is one group of values of a vector input. Model is the sha256 of the ONNX file that makes them: the values of another model mean
// something else.
type Part struct {
	Name  string `yaml:"name"`
	Size  int    `yaml:"size"`
	Model string `yaml:"model"`
}

// Output is one output tensor; -1 in Shape is a dynamic axis. The last axis is the output's dimension. Uses lists the parts of a vector
// input that the output depends on. PoolOf names a feature map [N, C, H, W] inside the graph: the output is its means over the pixels, then
// its standard deviations, [1, 2C], and is added when the model is opened; the file needs no such output. It stands behind those that the decoder reads.
type Output struct {
	Name   string   `yaml:"name"`
	Shape  []int    `yaml:"shape"`
	Uses   []string `yaml:"uses,omitempty"`
	PoolOf string   `yaml:"pool_of,omitempty"`
}

// Decoder names the code that reads the outputs (in their order) and its parameters.
type Decoder struct {
	Name   string             `yaml:"name"`
	Params map[string]float64 `yaml:"params,omitempty"`
}

// Threshold is one calibrated value together with how it was found.
type Threshold struct {
	Name       string  `yaml:"name"`
	Value      float64 `yaml:"value"`
	Calibrated string  `yaml:"calibrated"`
}

// Golden is a self-test: a generated input and what the raw outputs must be, within Tolerance (relative to the value where that is
// above 1).
type Golden struct {
	Name      string         `yaml:"name"`
	Seed      uint32         `yaml:"seed"`
	Width     int            `yaml:"width,omitempty"`  // of a generated picture with a dynamic side
	Height    int            `yaml:"height,omitempty"` // of a generated picture with a dynamic side
	Tolerance float64        `yaml:"tolerance"`
	Expect    []GoldenOutput `yaml:"expect"`
}

// GoldenOutput is what one output tensor must hold: its first values in order and its Euclidean norm.
type GoldenOutput struct {
	Output string    `yaml:"output"`
	First  []float64 `yaml:"first"`
	Norm   float64   `yaml:"norm"`
}

//go:embed builtin
var builtin embed.FS

//go:embed further
var further embed.FS

// Embedded gives a file that is part of the program, by its name beside the built-in manifests.
func Embedded(name string) ([]byte, error) { return builtin.ReadFile("builtin/" + name) }

// Builtin gives the manifests of the models that Onsite ships with, sorted by task.
func Builtin() ([]Manifest, error) {
	return load(builtin, "builtin", "")
}

// Further gives the manifests of models that Onsite knows besides the built-in ones: others of the same tasks, so that swapping is real. They
// are used, and their files installed, only when somebody asks for one by name. Sorted by task, then name.
func Further() ([]Manifest, error) {
	names, err := fs.Glob(further, "further/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list the further model manifests: %w", err)
	}
	out := make([]Manifest, 0, len(names))
	for _, name := range names {
		data, err := fs.ReadFile(further, name)
		if err != nil {
			return nil, fmt.Errorf("read model manifest %s: %w", name, err)
		}
		m, err := Parse(name, data)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Task != out[j].Task {
			return out[i].Task < out[j].Task
		}
		return out[i].Name < out[j].Name
	})
	return out, nil
}

// Text gives the YAML of a manifest that Builtin or Further gave, as it was written: a template for another model of its task.
func (m Manifest) Text() ([]byte, error) {
	for _, files := range []embed.FS{builtin, further} {
		if data, err := files.ReadFile(filepath.ToSlash(m.path)); err == nil {
			return data, nil
		}
	}
	return os.ReadFile(m.path)
}

// LoadDir reads every *.yaml of a folder of extra models; their ONNX files lie in the same folder. Sorted by task; two manifests for
// one task are an error.
func LoadDir(dir string) ([]Manifest, error) {
	return load(os.DirFS(dir), ".", dir)
}

func load(files fs.FS, sub, dir string) ([]Manifest, error) {
	names, err := fs.Glob(files, filepath.ToSlash(filepath.Join(sub, "*.yaml")))
	if err != nil {
		return nil, fmt.Errorf("list model manifests in %s: %w", dir, err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("read model manifests: no *.yaml in %q", dir)
	}
	var out []Manifest
	var errs []error
	byTask := map[string]string{}
	for _, name := range names {
		path := filepath.Join(dir, name)
		data, err := readLimited(files, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("read model manifest %s: %w", path, err))
			continue
		}
		m, err := Parse(path, data)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if other, ok := byTask[m.Task]; ok {
			errs = append(errs, fmt.Errorf("model manifest %s: task: %s is already described by %s", path, m.Task, other))
			continue
		}
		byTask[m.Task] = path
		m.dir = dir
		out = append(out, m)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Task < out[j].Task })
	return out, nil
}

func readLimited(files fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(files, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for a writer for ever
		return nil, errors.New("it is no regular file")
	}
	if info.Size() > MaxBytes {
		return nil, fmt.Errorf("%d bytes, more than the limit of %d", info.Size(), MaxBytes)
	}
	return fs.ReadFile(files, name)
}

// Read reads one manifest; its files lie beside it.
func Read(path string) (Manifest, error) {
	dir := filepath.Dir(path)
	data, err := readLimited(os.DirFS(dir), filepath.Base(path))
	if err != nil {
		return Manifest{}, fmt.Errorf("read model manifest %s: %w", path, err)
	}
	m, err := Parse(path, data)
	if err != nil {
		return Manifest{}, err
	}
	return m.In(dir), nil
}

// Parse reads one manifest; path is for errors. Unknown keys are refused and the result is valid.
func Parse(path string, data []byte) (Manifest, error) {
	if len(data) > MaxBytes {
		return Manifest{}, fmt.Errorf("model manifest %s: %d bytes, more than the limit of %d", path, len(data), MaxBytes)
	}
	var m Manifest
	if err := Decode(data, &m); err != nil {
		return Manifest{}, fmt.Errorf("model manifest %s: %w", path, err)
	}
	m.path = path
	if err := m.Validate(); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// Decode reads plain YAML, as plain.Decode does: the package lists beside the manifests are read with it, too.
func Decode(data []byte, into any) error { return plain.Decode(data, into) }

// Pool gives the output that is taken from the inside of the graph (pool_of), where the manifest names one.
func (m Manifest) Pool() (Output, bool) {
	if i := slices.IndexFunc(m.Outputs, func(o Output) bool { return o.PoolOf != "" }); i >= 0 {
		return m.Outputs[i], true
	}
	return Output{}, false
}

// Path is where a file of the model lies: beside its manifest, or in dir for an embedded manifest.
func (m Manifest) Path(f File, dir string) string {
	if m.dir != "" {
		dir = m.dir
	}
	return filepath.Join(dir, f.Name)
}

// In gives the manifest with its files in the given folder, wherever the manifest itself was read.
func (m Manifest) In(dir string) Manifest {
	m.dir = dir
	return m
}

// Origin is the file that the manifest was read from, as it was named to Parse.
func (m Manifest) Origin() string { return m.path }

// Digest is the sha256, in hex, of what the manifest says, in a form that comments and the order of keys do not change: with the file's
// sha256 it pins a model and how it is used.
func (m Manifest) Digest() string {
	data, err := json.Marshal(m)
	if err != nil { // only a number that is none could do this, and Validate refuses those
		panic(fmt.Sprintf("digest of model manifest %s: %v", m.path, err))
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Files lists the model's files, the ONNX file first.
func (m Manifest) Files() []File {
	out := []File{m.File}
	if m.Keys != nil {
		out = append(out, *m.Keys)
	}
	if m.Background != nil {
		out = append(out, *m.Background)
	}
	return out
}

// Channels is the number of channels of the input tensor: 1 for grey, else 3.
func (m Manifest) Channels() int {
	if m.Input.Colour == Grey {
		return 1
	}
	return 3
}

// Dimension is the last axis of the first output: the length of an embedding, the number of classes.
func (m Manifest) Dimension() int {
	s := m.Outputs[0].Shape
	return s[len(s)-1]
}

// Threshold gives a calibrated value by name.
func (m Manifest) Threshold(name string) (float64, bool) {
	for _, t := range m.Thresholds {
		if t.Name == name {
			return t.Value, true
		}
	}
	return 0, false
}
