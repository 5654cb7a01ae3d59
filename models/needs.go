package models

// #cgo LDFLAGS: -ldl
// #include <dlfcn.h>
// #include <stdlib.h>
import "C"

import (
	"debug/elf"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unsafe"
)

// Need is one shared library of others that a provider is linked with or opens.
type Need struct {
	Library string `json:"library"`
	Of      string `json:"of"`            // the product that brings it
	Why     string `json:"why,omitempty"` // it cannot be loaded; empty: it can
}

// file is the provider's part of ONNX Runtime, beside the core.
func (p Provider) file() string { return "libonnxruntime_providers_" + string(p) + ".so" }

// parts are the provider's files: TensorRT leaves to CUDA what it cannot do.
func (p Provider) parts() []Provider {
	switch p {
	case TensorRT:
		return []Provider{TensorRT, CUDA}
	case CUDA, OpenVINO:
		return []Provider{p}
	}
	return nil
}

// opened are the libraries that a provider opens by name when it runs, so that its file does not list them.
var opened = map[Provider][]string{CUDA: {"libcudnn.so.9"}}

// products names who brings a library, by how its name begins.
var products = []struct{ prefix, product string }{
	{"libcudnn", "cuDNN 9"}, {"libcublas", "CUDA 13: cuBLAS"}, {"libcudart", "CUDA 13: runtime"}, {"libcurand", "CUDA 13: cuRAND"}, {"libcufft", "CUDA 13: cuFFT"},
	{"libcuda.", "NVIDIA driver 580 or later"}, {"libnvinfer", "TensorRT 10"}, {"libnvonnxparser", "TensorRT 10"}, {"libopenvino", "OpenVINO"},
}

// Needs lists what a provider needs of the machine beyond the C library, and whether this process can load it. The processor needs nothing.
// An error says that the provider's own file beside ONNX Runtime (the path library) cannot be read.
func Needs(p Provider, library string) ([]Need, error) {
	var out []Need
	for _, part := range p.parts() {
		path := filepath.Join(filepath.Dir(library), part.file())
		f, err := elf.Open(path)
		if err != nil {
			return nil, fmt.Errorf("the provider's library cannot be read: %w", err)
		}
		names, err := f.ImportedLibraries()
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("the provider's library %s cannot be read: %w", path, err)
		}
		for _, name := range append(names, opened[part]...) {
			of := productOf(name)
			if of == "" || slices.ContainsFunc(out, func(n Need) bool { return n.Library == name }) {
				continue
			}
			out = append(out, Need{Library: name, Of: of, Why: loadable(name)})
		}
	}
	return out, nil
}

// productOf is empty for what any machine has.
func productOf(library string) string {
	for _, p := range products {
		if strings.HasPrefix(library, p.prefix) {
			return p.product
		}
	}
	return ""
}

// loadable loads a library as ONNX Runtime would, and says why it cannot. What was loaded stays: the provider is about to use it.
func loadable(name string) string {
	runtime.LockOSThread() // an error belongs to the thread that met it
	defer runtime.UnlockOSThread()
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	if C.dlopen(c, C.RTLD_LAZY) == nil {
		return C.GoString(C.dlerror())
	}
	return ""
}
