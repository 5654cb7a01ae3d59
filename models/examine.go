package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	ort "github.com/yalue/onnxruntime_go"
	"golang.org/x/sys/unix"

	"onsite/models/manifest"
)

// Fault is something that is wrong with a model, for people and for programs.
type Fault struct {
	Code string `json:"code"`
	Text Text   `json:"text"`
}

// Text is a sentence in both languages.
type Text struct {
	EN string `json:"en"`
	ZH string `json:"zh"`
}

// Port is one input or output of the graph itself; -1 is a dynamic axis.
type Port struct {
	Name  string  `json:"name"`
	Shape []int64 `json:"shape"`
	Type  string  `json:"type"`
}

// plainName is what a model must be called to have a folder of its own.
var plainName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// NameFault says why a new model cannot be called as its manifest says, since its name becomes that of a folder; nil where it can. Examine does not
// ask: models of a registry that were uploaded under other names before this was asked go on.
func NameFault(man manifest.Manifest) *Fault {
	if plainName.MatchString(man.Name) {
		return nil
	}
	return &Fault{Code: "name", Text: Text{
		EN: fmt.Sprintf("name: %q cannot be the name of a folder; use lower-case letters, digits, dots, dashes and underscores, at most 64", man.Name),
		ZH: fmt.Sprintf("name：%q 不能作为文件夹名；请使用小写字母、数字、点、连字符和下划线，最多 64 个字符", man.Name),
	}}
}

// Examination is what Examine found. A model with faults may not be used.
type Examination struct {
	Task     Task    `json:"task"`
	Name     string  `json:"name"`
	Version  string  `json:"version"`
	SHA256   string  `json:"sha256"`   // that the manifest names
	Manifest string  `json:"manifest"` // digest of the manifest
	Passed   bool    `json:"passed"`
	Faults   []Fault `json:"faults"`
	Inputs   []Port  `json:"inputs,omitempty"` // as the graph has them
	Outputs  []Port  `json:"outputs,omitempty"`
	Golden   int     `json:"golden"` // samples that were compared
	// LatencyMS is the median, SlowestMS the worst time of one call of the session on one thread; CPUMS its CPU time.
	LatencyMS float64 `json:"latency_ms"`
	SlowestMS float64 `json:"slowest_ms"`
	CPUMS     float64 `json:"cpu_ms"`
	// MemoryBytes is how much the process grew by loading the model and running it, about; 0 where the system does not tell.
	MemoryBytes int64 `json:"memory_bytes"`
}

// ExamineOptions are what Examine needs besides the manifest.
type ExamineOptions struct {
	// Dir is the folder of the files, unless Manifest.In said another; Library is ONNX Runtime's path.
	Dir, Library string
	// Known are models that are in use or may be: a file that one of them feeds in another way is refused, since stored vectors are told apart
	// by the file.
	Known []manifest.Manifest
	// Uncalibrated lets an embedder pass that has no thresholds yet, NoGolden a model without golden samples: both are made by further steps.
	Uncalibrated, NoGolden bool
}

// examRuns is how many calls the latency is taken from.
const examRuns = 12

// exam is one examination in the making.
type exam struct {
	Examination
	man manifest.Manifest
	o   ExamineOptions
}

// Examine looks at everything that can be said of a model without data: its files, whether the graph is what the manifest says, golden samples,
// whether it gives numbers, repeats itself and minds its input, how long it takes and how much memory. What is wrong with the model is in the
// answer; errors are those of the machine.
func Examine(ctx context.Context, man manifest.Manifest, o ExamineOptions) (Examination, error) {
	e := &exam{man: man, o: o, Examination: Examination{
		Task: Task(man.Task), Name: man.Name, Version: man.Version, SHA256: man.File.SHA256, Manifest: man.Digest(), Faults: []Fault{},
	}}
	if err := startRuntime(o.Library); err != nil {
		return e.Examination, err
	}
	e.words()
	if data := e.files(); data != nil && e.graph(data) {
		if err := e.runs(ctx); err != nil {
			return e.Examination, err
		}
	}
	e.Passed = len(e.Faults) == 0
	return e.Examination, nil
}

func (e *exam) fault(code, en, zh string, args ...any) {
	e.Faults = append(e.Faults, Fault{Code: code, Text: Text{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)}})
}

// words looks at what the manifest alone tells.
func (e *exam) words() {
	if !e.man.Calibrated() && !e.o.Uncalibrated {
		e.fault("not_calibrated", "the manifest has no thresholds %q and %q: an embedder's scores mean nothing without; make them with `onsite models calibrate`",
			"清单中没有阈值 %q 和 %q：没有阈值，特征模型的分数没有意义；请用 `onsite models calibrate` 生成", manifest.Accept, manifest.Reject)
	}
	if len(e.man.Golden) == 0 && !e.o.NoGolden {
		e.fault("no_golden", "the manifest has no golden samples: nothing would show that the model runs elsewhere as it does here; record them with `onsite models check MANIFEST --record`",
			"清单中没有基准样本：无法证明模型在别处与此处结果一致；请用 `onsite models check MANIFEST --record` 记录")
	}
	for _, k := range e.man.Conflicts(e.o.Known) {
		e.fault("same_file", "the same file is known as %s %s with another input or decoder; vectors are told apart by their file's sha256, so one file can be used in one way only",
			"同一文件已以另一种输入或解码方式登记为 %s %s；特征向量按文件的 sha256 区分，因此一个文件只能有一种用法", k.Name, k.Version)
	}
}

// files gives the bytes of the model's file if all files are the ones that the manifest names.
func (e *exam) files() []byte {
	var first []byte
	good := true
	for i, f := range e.man.Files() {
		path := e.man.Path(f, e.o.Dir)
		read := os.ReadFile
		if e.man.Source.Embedded {
			read = func(string) ([]byte, error) { return manifest.Embedded(f.Name) }
		}
		data, err := read(path)
		if err != nil {
			good = false
			e.fault("file_missing", "%s cannot be read: %v", "无法读取 %s：%v", path, err)
			continue
		}
		sum := sha256.Sum256(data)
		got := hex.EncodeToString(sum[:])
		if got != f.SHA256 || int64(len(data)) != f.Bytes {
			good = false
			e.fault("file_differs", "%s has sha256 %s and %d bytes, the manifest says %s and %d; if this is the file you mean and trust, write its values into the manifest",
				"%s 的 sha256 为 %s，大小 %d 字节，而清单为 %s 和 %d；若确认这就是所需且可信的文件，请将其数值写入清单", path, got, len(data), f.SHA256, f.Bytes)
		}
		if i == 0 {
			first = data
		}
	}
	if !good {
		return nil
	}
	return first
}

// graph compares inputs and outputs with what the manifest says.
func (e *exam) graph(data []byte) bool {
	inputs, outputs, err := ort.GetInputOutputInfoWithONNXData(withPools(data, e.man.Outputs))
	if err != nil {
		e.fault("not_onnx", "ONNX Runtime %s cannot read the file: %v", "ONNX Runtime %s 无法读取该文件：%v", ort.GetVersion(), err)
		return false
	}
	for _, p := range inputs {
		e.Inputs = append(e.Inputs, portOf(p))
	}
	for _, p := range outputs {
		e.Outputs = append(e.Outputs, portOf(p))
	}
	before := len(e.Faults)
	m := &model{man: e.man}
	if at := slices.IndexFunc(e.Inputs, func(p Port) bool { return p.Name == e.man.Input.Name }); at < 0 {
		e.fault("input", "the graph has no input %q, it has %s", "模型没有输入 %q，只有 %s", e.man.Input.Name, listPorts(e.Inputs))
	} else if in := e.Inputs[at]; e.man.Input.Picture() {
		want := m.inputShape(max(e.man.Input.Width, 0), max(e.man.Input.Height, 0))
		if !fits(in.Shape, want) || in.Type != "float32" {
			e.fault("input", "the graph's input %s takes %s %v, the manifest feeds float32 %v (layout %s); change input.layout, width or height",
				"模型输入 %s 接受 %s %v，而清单提供 float32 %v（布局 %s）；请修改 input.layout、width 或 height", in.Name, in.Type, in.Shape, want, e.man.Input.Layout)
		}
	}
	for _, o := range e.man.Outputs {
		at := slices.IndexFunc(e.Outputs, func(p Port) bool { return p.Name == o.Name })
		if at < 0 {
			e.fault("output", "the graph has no output %q, it has %s", "模型没有输出 %q，只有 %s", o.Name, listPorts(e.Outputs))
			continue
		}
		want := make([]int64, len(o.Shape))
		for i, v := range o.Shape {
			want[i] = max(int64(v), 0) // -1: any
		}
		if p := e.Outputs[at]; !fits(p.Shape, want) || p.Type != "float32" {
			e.fault("output", "the graph's output %s gives %s %v, the manifest says float32 %v", "模型输出 %s 为 %s %v，而清单为 float32 %v", p.Name, p.Type, p.Shape, o.Shape)
		}
	}
	return len(e.Faults) == before
}

func portOf(i ort.InputOutputInfo) Port {
	word := strings.ToLower(strings.TrimPrefix(i.DataType.String(), "ONNX_TENSOR_ELEMENT_DATA_TYPE_"))
	if word == "float" {
		word = "float32"
	}
	return Port{Name: i.Name, Shape: i.Dimensions, Type: word}
}

func listPorts(ports []Port) string {
	words := make([]string, len(ports))
	for i, p := range ports {
		words[i] = strconv.Quote(p.Name)
	}
	return strings.Join(words, ", ")
}

// fits says whether a shape of the graph takes the wanted one; below 1 is any size on either side.
func fits(have, want []int64) bool {
	if len(have) != len(want) {
		return false
	}
	for i, v := range have {
		if v > 0 && want[i] > 0 && v != want[i] {
			return false
		}
	}
	return true
}

// runs loads the model and tries it out.
func (e *exam) runs(ctx context.Context) error {
	before := resident()
	set, err := OpenManifests(Options{Dir: e.o.Dir, Library: e.o.Library, Parallel: 1, Uncalibrated: true}, e.man)
	if err != nil {
		return err
	}
	defer func() { _ = set.Close() }()
	m := set.models[Task(e.man.Task)]
	first, err := set.raw(ctx, m, e.sample(7))
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		e.fault("run", "it does not run: %v", "无法运行：%v", err)
		return nil
	}
	again, err := set.raw(ctx, m, e.sample(7))
	if err != nil {
		return err
	}
	other, err := set.raw(ctx, m, e.sample(1009))
	if err != nil {
		return err
	}
	for _, o := range e.man.Outputs {
		e.values(o.Name, first[o.Name], again[o.Name], other[o.Name])
	}
	if err := e.golden(ctx, set); err != nil {
		return err
	}
	if err := e.time(ctx, set, m); err != nil {
		return err
	}
	e.MemoryBytes = max(0, resident()-before)
	return nil
}

// sample is a generated input of the size of the manifest's own samples.
func (e *exam) sample(seed uint32) manifest.Golden {
	g := manifest.Golden{Seed: seed}
	if len(e.man.Golden) > 0 {
		g.Width, g.Height = e.man.Golden[0].Width, e.man.Golden[0].Height
	}
	return g
}

// values looks at one output for the same input twice and for another one.
func (e *exam) values(name string, first, again, other []float32) {
	for _, v := range slices.Concat(first, other) {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			e.fault("not_a_number", "output %s holds values that are no numbers (NaN or infinite)", "输出 %s 含有非数值（NaN 或无穷）", name)
			return
		}
	}
	if !slices.Equal(first, again) {
		e.fault("not_repeatable", "output %s differs between two runs on the same input: verdicts could not be made again", "输出 %s 在相同输入的两次运行中不同：无法重现结论", name)
	}
	if e.man.Task == string(FaceEmbed) || e.man.Task == string(SceneEmbed) {
		if slices.Equal(first, other) {
			e.fault("constant", "output %s is the same for different inputs: the model does not look at its input", "输出 %s 对不同输入相同：模型未使用其输入", name)
		}
		if _, ok := normalise(first); !ok && name == e.man.Outputs[0].Name {
			e.fault("not_a_number", "output %s is a vector without a direction", "输出 %s 是没有方向的向量", name)
		}
	}
}

func (e *exam) golden(ctx context.Context, set *Set) error {
	if len(e.man.Golden) == 0 {
		return nil
	}
	if err := set.Check(ctx, Task(e.man.Task)); err != nil {
		if ctx.Err() != nil {
			return err
		}
		e.fault("golden_differs", "%v; the manifest's pre-processing or its samples are not this model's", "%v；清单的预处理或样本与该模型不符", err)
		return nil
	}
	e.Golden = len(e.man.Golden)
	return nil
}

// time measures single calls on one thread.
func (e *exam) time(ctx context.Context, set *Set, m *model) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	walls := make([]float64, examRuns)
	cpu, err := threadCPU()
	if err != nil {
		return err
	}
	for i := range walls {
		began := time.Now()
		if _, err := set.raw(ctx, m, e.sample(uint32(i))); err != nil {
			return err
		}
		walls[i] = float64(time.Since(began).Microseconds()) / 1000
	}
	after, err := threadCPU()
	if err != nil {
		return err
	}
	e.CPUMS = float64((after - cpu).Microseconds()) / 1000 / examRuns
	slices.Sort(walls)
	e.LatencyMS, e.SlowestMS = walls[examRuns/2], walls[examRuns-1]
	return nil
}

// threadCPU is the CPU time of the calling thread.
func threadCPU() (time.Duration, error) {
	var t unix.Timespec
	if err := clock(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0, fmt.Errorf("read the clock of the thread's processor time (CLOCK_THREAD_CPUTIME_ID): %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// clock is replaced by tests.
var clock = unix.ClockGettime

// resident is the memory of this process in bytes, 0 where the system does not tell.
func resident() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// recorded is how many values of an output a recorded sample holds, and recordTolerance how far another machine may be off.
const (
	recorded        = 6
	recordTolerance = 1e-4
)

// Record runs a model on the generated input and gives the golden sample of what came out here. It proves nothing about the model; it shows
// later, and elsewhere, that the same comes out.
func Record(ctx context.Context, man manifest.Manifest, o ExamineOptions) (manifest.Golden, error) {
	set, err := OpenManifests(Options{Dir: o.Dir, Library: o.Library, Parallel: 1, Uncalibrated: true}, man)
	if err != nil {
		return manifest.Golden{}, err
	}
	defer func() { _ = set.Close() }()
	g := manifest.Golden{Name: "pattern", Seed: 7, Tolerance: recordTolerance}
	out, err := set.raw(ctx, set.models[Task(man.Task)], g)
	if err != nil {
		return manifest.Golden{}, fmt.Errorf("record a golden sample: %w", err)
	}
	for _, port := range man.Outputs {
		values := out[port.Name]
		if len(values) == 0 {
			return manifest.Golden{}, errors.New("record a golden sample: output " + port.Name + " is empty")
		}
		sample := manifest.GoldenOutput{Output: port.Name}
		var norm float64
		for i, v := range values {
			if i < recorded {
				sample.First = append(sample.First, short(float64(v)))
			}
			norm += float64(v) * float64(v)
		}
		if sample.Norm = math.Sqrt(norm); math.IsNaN(sample.Norm) || math.IsInf(sample.Norm, 0) {
			return manifest.Golden{}, &OutputError{Task: Task(man.Task)}
		}
		sample.Norm = short(sample.Norm)
		g.Expect = append(g.Expect, sample)
	}
	return g, nil
}

// short is a number with eight digits, which is what a float32 holds.
func short(v float64) float64 {
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 8, 64), 64)
	return v
}
