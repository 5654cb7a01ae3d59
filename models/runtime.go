package models

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"onsite/models/manifest"
)

// ONNX Runtime's environment lives once per process and to its end: destroying and recreating it is not safe while sessions exist, and
// gains nothing.
var environment struct {
	sync.Mutex
	library string
}

// startRuntime loads the shared library, or checks that the one already loaded is the wanted one.
func startRuntime(library string) error {
	path, err := filepath.Abs(library)
	if err != nil {
		return &MissingError{Path: library, Err: err}
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return &MissingError{Path: library, Err: err}
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		if err == nil {
			err = fmt.Errorf("not a regular file (%s)", info.Mode().Type())
		}
		return &MissingError{Path: library, Err: err}
	}
	environment.Lock()
	defer environment.Unlock()
	if environment.library == path {
		return nil
	}
	if environment.library != "" {
		return fmt.Errorf("open ONNX Runtime: %s: this process already uses %s; one process can load only one", path, environment.library)
	}
	ort.SetSharedLibraryPath(path)
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return fmt.Errorf("open ONNX Runtime: %s: %w; %s", path, err, Fix)
	}
	if err := ort.DisableTelemetry(); err != nil {
		return fmt.Errorf("open ONNX Runtime: %s: switch telemetry off: %w", path, err)
	}
	environment.library = path
	return nil
}

// RuntimeVersion is the version of the loaded ONNX Runtime, or empty before the first Open.
func RuntimeVersion() string {
	environment.Lock()
	defer environment.Unlock()
	if environment.library == "" {
		return ""
	}
	return ort.GetVersion()
}

// sessionOptions: one thread, no spinning, everything in order, so that the same input gives the same bits and N callers use N cores.
func sessionOptions(optimise string, h how) (*ort.SessionOptions, error) {
	level := ort.GraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll)
	switch optimise {
	case manifest.Basic:
		level = ort.GraphOptimizationLevelEnableBasic
	case manifest.Extended:
		level = ort.GraphOptimizationLevelEnableExtended
	}
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	steps := []func() error{
		func() error { return o.SetIntraOpNumThreads(1) },
		func() error { return o.SetInterOpNumThreads(1) },
		func() error { return o.SetExecutionMode(ort.ExecutionModeSequential) },
		func() error { return o.SetGraphOptimizationLevel(level) },
		func() error { return o.SetLogSeverityLevel(ort.LoggingLevelError) },
		func() error { return o.AddSessionConfigEntry("session.intra_op.allow_spinning", "0") },
		func() error { return o.AddSessionConfigEntry("session.inter_op.allow_spinning", "0") },
		func() error { return provide(o, h.provider, h.device) },
	}
	if h.profile != "" {
		steps = append(steps, func() error { return o.EnableProfiling(filepath.Join(h.profile, "run")) })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, errors.Join(fmt.Errorf("set session options: %w", err), o.Destroy())
		}
	}
	return o, nil
}
