package models

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Placement says where ONNX Runtime really ran one model's graph: what a profile of one run shows. Being asked for a provider and using it are
// two things: what a provider does not know is given to the processor without a word.
type Placement struct {
	Task   Task           `json:"task"`
	Wanted Provider       `json:"wanted"`
	Nodes  map[string]int `json:"nodes"`           // by ONNX Runtime's name of the provider
	Heavy  []string       `json:"heavy,omitempty"` // operators with real work that ran on the processor, each once, sorted
}

// heavy are the operators that make a network's cost. Others (shapes, slices, small sums) ONNX Runtime puts on the processor on purpose, where
// the values lie already.
var heavy = map[string]bool{
	"Conv": true, "ConvTranspose": true, "FusedConv": true, "Gemm": true, "FusedGemm": true, "MatMul": true, "FusedMatMul": true, "LSTM": true, "GRU": true,
	"BatchNormalization": true, "MaxPool": true, "GlobalAveragePool": true, "Resize": true, "PRelu": true,
}

// maxProfile bounds a profile; one run of our largest model writes 300 KB.
const maxProfile = 64 << 20

// parsePlacement reads a profile of ONNX Runtime: a JSON list of events, those of category Node with operator and provider.
func parsePlacement(task Task, wanted Provider, profile []byte) (Placement, error) {
	var events []struct {
		Cat  string         `json:"cat"`
		Name string         `json:"name"`
		Args map[string]any `json:"args"`
	}
	if err := json.Unmarshal(profile, &events); err != nil {
		return Placement{}, fmt.Errorf("read the profile of model %s: %w", task, err)
	}
	p := Placement{Task: task, Wanted: wanted, Nodes: map[string]int{}}
	missed := map[string]bool{}
	for _, e := range events {
		provider, _ := e.Args["provider"].(string)
		if e.Cat != "Node" || provider == "" || !strings.HasSuffix(e.Name, "_kernel_time") {
			continue
		}
		p.Nodes[provider]++
		if op, _ := e.Args["op_name"].(string); provider == CPU.ort() && wanted != CPU && heavy[op] {
			missed[op] = true
		}
	}
	if len(p.Nodes) == 0 {
		return Placement{}, fmt.Errorf("read the profile of model %s: it names no operator that ran", task)
	}
	p.Heavy = slices.Sorted(maps.Keys(missed))
	return p, nil
}

// check says what is wrong where the graph did not run as it was wanted.
func (p Placement) check() error {
	switch {
	case p.Nodes[p.Wanted.ort()] == 0:
		where := strings.Join(slices.Sorted(maps.Keys(p.Nodes)), ", ")
		return &ProviderError{
			Provider: p.Wanted, Why: fmt.Sprintf("no operator of model %s ran there, all on %s; choose the provider that this model can use, or another model", p.Task, where),
			ZH: fmt.Sprintf("模型 %s 没有任何算子在其上运行，全部在 %s；请选择该模型可用的后端，或更换模型", p.Task, where),
		}
	case len(p.Heavy) > 0:
		what := strings.Join(p.Heavy, ", ")
		return &ProviderError{
			Provider: p.Wanted, Why: fmt.Sprintf("operators of model %s ran on the processor instead: %s; choose the provider that this model can use, or another model", p.Task, what),
			ZH: fmt.Sprintf("模型 %s 的部分算子改在 CPU 上运行：%s；请选择该模型可用的后端，或更换模型", p.Task, what),
		}
	}
	return nil
}

// profileFolder makes a folder for one profile.
func profileFolder() (dir string, remove func() error, err error) {
	dir, err = os.MkdirTemp("", "onsite-profile-")
	if err != nil {
		return "", nil, fmt.Errorf("make a folder for a profile: %w", err)
	}
	return dir, func() error { return os.RemoveAll(dir) }, nil
}

// readProfile gives the one profile that a folder holds.
func readProfile(dir string) ([]byte, error) {
	files, err := fs.Glob(os.DirFS(dir), "*.json")
	if err != nil || len(files) != 1 {
		return nil, fmt.Errorf("ONNX Runtime wrote %d profiles into %s, want one", len(files), dir)
	}
	path := filepath.Join(dir, files[0])
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read a profile: %w", err)
	}
	if info.Size() > maxProfile {
		return nil, fmt.Errorf("read a profile: %s has %d bytes, the limit is %d", path, info.Size(), maxProfile)
	}
	return os.ReadFile(path)
}
