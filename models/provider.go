package models

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	ort "github.com/yalue/onnxruntime_go"

	"onsite/models/manifest"
)

// Provider names what runs the models' graphs: an execution provider of ONNX Runtime. The choice is strict: what cannot run there, or would
// quietly run on the processor instead, is a *ProviderError.
type Provider string

// The providers.
const (
	CPU      Provider = "cpu"
	CUDA     Provider = "cuda"     // NVIDIA's GPUs
	TensorRT Provider = "tensorrt" // the same, through compiled engines; what TensorRT does not know runs on CUDA
	OpenVINO Provider = "openvino" // Intel's; needs a build of ONNX Runtime that has it, named by Options.Library
)

// Providers lists them.
var Providers = []Provider{CPU, CUDA, TensorRT, OpenVINO}

// ort is the provider's name inside ONNX Runtime, as its profiles write it.
func (p Provider) ort() string {
	return map[Provider]string{
		CPU: "CPUExecutionProvider", CUDA: "CUDAExecutionProvider", TensorRT: "TensorrtExecutionProvider", OpenVINO: "OpenVINOExecutionProvider",
	}[p]
}

// GPUFolder is the cache's folder of the GPU runtime: a core and its providers of one version. One process loads one runtime, so that it
// is apart from the other.
const GPUFolder = "gpu"

// OptionsFor are the default options with the provider and the runtime that has it.
func OptionsFor(p Provider) Options {
	o := DefaultOptions()
	if o.Provider = p; p == CUDA || p == TensorRT {
		o.Library = filepath.Join(CacheDir(), GPUFolder, LibraryFile)
	}
	return o
}

// ProviderError says why the wanted provider is not used.
type ProviderError struct {
	Provider Provider
	Why, ZH  string // the reason in English and in Chinese, each with what to do
	Err      error
}

func (e *ProviderError) Error() string {
	return fmt.Sprintf("the provider %s is not used: %s", e.Provider, e.Why)
}

// Chinese is the same sentence in Chinese.
func (e *ProviderError) Chinese() string {
	return fmt.Sprintf("未能使用推理后端 %s：%s", e.Provider, e.ZH)
}

// Unwrap gives ONNX Runtime's error, if there is one.
func (e *ProviderError) Unwrap() error { return e.Err }

// checkProvider says what is missing for the provider before ONNX Runtime is asked: it names no file in the errors that it returns.
func checkProvider(p Provider, library string) error {
	if !slices.Contains(Providers, p) {
		return &ProviderError{Provider: p, Why: "there is no such provider; take cpu, cuda, tensorrt or openvino", ZH: "没有这种后端；请用 cpu、cuda、tensorrt 或 openvino"}
	}
	needs, err := Needs(p, library)
	if err != nil {
		fix, zh := "run `onsite models install --group gpu`", "请运行 onsite models install --group gpu"
		if p == OpenVINO {
			fix, zh = "name a build of ONNX Runtime with OpenVINO (worker.runtime)", "请用 worker.runtime 指定带有 OpenVINO 的 ONNX Runtime"
		}
		return &ProviderError{Provider: p, Why: err.Error() + "; " + fix, ZH: err.Error() + "；" + zh, Err: err}
	}
	var en, zh []string
	for _, n := range needs {
		if n.Why != "" {
			en = append(en, fmt.Sprintf("%s (%s)", n.Library, n.Of))
			zh = append(zh, fmt.Sprintf("%s（%s）", n.Library, n.Of))
		}
	}
	if len(en) > 0 {
		return &ProviderError{
			Provider: p, Why: "this machine lacks " + strings.Join(en, ", ") + "; install them, `make setup-gpu` checks them all",
			ZH: "本机缺少 " + strings.Join(zh, "、") + "；请安装，可用 make setup-gpu 逐项检查",
		}
	}
	return nil
}

// provide adds the provider to a session's options.
func provide(o *ort.SessionOptions, p Provider, device int) error {
	var err error
	switch p {
	case CUDA:
		err = provideCUDA(o, device)
	case TensorRT:
		if err = provideTensorRT(o, device); err == nil {
			err = provideCUDA(o, device)
		}
	case OpenVINO:
		err = o.AppendExecutionProviderOpenVINO(map[string]string{"device_type": openVINODevice(device), "num_of_threads": "1", "precision": "FP32"})
	case CPU, "":
	}
	if err != nil {
		return &ProviderError{
			Provider: p, Why: fmt.Sprintf("ONNX Runtime does not take it: %v; see what it wrote to stderr, and run `onsite doctor --provider %s`", err, p),
			ZH: fmt.Sprintf("ONNX Runtime 未接受：%v；请查看其 stderr 输出，并运行 onsite doctor --provider %s", err, p), Err: err,
		}
	}
	return nil
}

// openVINODevice is the processor for device 0, else a GPU by its number from 1.
func openVINODevice(device int) string {
	if device == 0 {
		return "CPU"
	}
	return "GPU." + strconv.Itoa(device-1)
}

// provideCUDA: no TF32, so that products keep 24 bits as on the processor; the convolutions' algorithm by rule instead of by a race, so
// that two starts give the same.
func provideCUDA(o *ort.SessionOptions, device int) (err error) {
	c, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Destroy()) }()
	err = c.Update(map[string]string{
		"device_id": strconv.Itoa(device), "use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested",
	})
	if err != nil {
		return err
	}
	return o.AppendExecutionProviderCUDA(c)
}

// provideTensorRT keeps compiled engines in the cache: compiling one takes tens of seconds.
func provideTensorRT(o *ort.SessionOptions, device int) (err error) {
	engines := filepath.Join(CacheDir(), GPUFolder, "engines")
	if err := os.MkdirAll(engines, 0o755); err != nil {
		return fmt.Errorf("make the folder of TensorRT's engines: %w", err)
	}
	t, err := ort.NewTensorRTProviderOptions()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Destroy()) }()
	err = t.Update(map[string]string{
		"device_id": strconv.Itoa(device), "trt_fp16_enable": "0", "trt_engine_cache_enable": "1", "trt_engine_cache_path": engines,
		"trt_timing_cache_enable": "1", "trt_timing_cache_path": engines,
	})
	if err != nil {
		return err
	}
	return o.AppendExecutionProviderTensorRT(t)
}

// runsOn is the provider of one model: what takes a fraction of a millisecond, and a state from call to call, stays on the processor whatever
// is chosen, where a copy to a GPU and back would cost more than the work.
func runsOn(p Provider, man manifest.Manifest) Provider {
	if man.Input.Layout == manifest.PCM || man.Input.Layout == manifest.Vec || p == "" {
		return CPU
	}
	return p
}

// RuntimeDigest is the sha256 over the names and checksums of ONNX Runtime's own files in a folder, in the order of their names: the core
// and the providers beside it are one runtime.
func RuntimeDigest(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("digest of ONNX Runtime: %w", err)
	}
	all, n := sha256.New(), 0
	for _, e := range entries { // sorted by name
		if !strings.HasPrefix(e.Name(), "libonnxruntime") || e.IsDir() {
			continue
		}
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", fmt.Errorf("digest of ONNX Runtime: %w", err)
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return "", fmt.Errorf("digest of ONNX Runtime: %w", err)
		}
		fmt.Fprintf(all, "%x  %s\n", h.Sum(nil), e.Name())
		n++
	}
	if n == 0 {
		return "", fmt.Errorf("digest of ONNX Runtime: %s has no libonnxruntime*", dir)
	}
	return hex.EncodeToString(all.Sum(nil)), nil
}
