package models

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"onsite/models/manifest"
)

// Options says which models to open and where their files are.
type Options struct {
	// Dir is the folder of the ONNX files.
	Dir string
	// Library is the path of ONNX Runtime's shared library. One process can load only one.
	Library string
	// Manifests is a folder of extra manifests with their ONNX files beside them; a manifest there replaces the built-in one of its
	// task. Empty: built-in models only.
	Manifests string
	// Use lists manifests that replace the built-in ones, and those of Manifests, of their tasks; their files lie in Dir or where
	// Manifest.In says. Choose finds them by name.
	Use []manifest.Manifest
	// Uncalibrated opens an embedder of faces without thresholds too: to check it, to calibrate it. Nothing may be decided with it.
	Uncalibrated bool
	// Tasks lists the tasks that will be used: their files must be there when Open returns. Nil: all.
	Tasks []Task
	// Parallel bounds how many calls of one model run at once, and so the memory; further callers wait. Zero: one per core.
	Parallel int
	// Provider runs the models; empty: the processor. OptionsFor sets the Library that has it, too.
	Provider Provider
	// Device is the number of the provider's device; 0 is its first.
	Device int
	// Batch is how many pictures of different calls one run of a model takes together at most, and BatchDelay how long the first of them waits
	// for others. Zero: 16 and 2 ms on a GPU; on the processor each runs by itself, as batches gain nothing there.
	Batch      int
	BatchDelay time.Duration
}

// LibraryFile is the name of ONNX Runtime's shared library in the cache's runtime folder.
const LibraryFile = "libonnxruntime.so.1"

// DefaultOptions takes models and runtime from CacheDir.
func DefaultOptions() Options {
	cache := CacheDir()
	return Options{Dir: filepath.Join(cache, "models"), Library: filepath.Join(cache, "runtime", LibraryFile)}
}

// CacheDir is where installed files are looked for: $ONSITE_CACHE, else .cache beside the folder of the running program (a checkout's
// bin/), else the user's cache folder.
func CacheDir() string {
	if dir := os.Getenv("ONSITE_CACHE"); dir != "" {
		return dir
	}
	if exe, err := os.Executable(); err == nil {
		dir := filepath.Join(filepath.Dir(filepath.Dir(exe)), ".cache")
		if info, err := os.Stat(filepath.Join(dir, "models")); err == nil && info.IsDir() {
			return dir
		}
	}
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "onsite")
	}
	return filepath.Join(os.TempDir(), "onsite")
}

// Fix is what a user does about a missing or wrong file.
const Fix = "run `make setup` or `onsite models install`"

// CalibrationError says that an embedder of faces has no thresholds: its vectors can be compared, and nothing follows.
type CalibrationError struct{ Manifest, Name string }

func (e *CalibrationError) Error() string {
	return fmt.Sprintf("open model face_embed: %s (%s): its manifest has no thresholds %q and %q; calibrate it first: onsite models calibrate --manifest %s --data DIR --write", e.Name, e.Manifest, manifest.Accept, manifest.Reject, e.Manifest)
}

// ErrClosed is what calls on a closed Set return.
var ErrClosed = errors.New("the models are closed")

// SizeError says that a model's file is not as long as its manifest says.
type SizeError struct{ Bytes, Want int64 }

func (e *SizeError) Error() string {
	return fmt.Sprintf("has %d bytes, the manifest says %d", e.Bytes, e.Want)
}

// Chinese is the error in Chinese.
func (e *SizeError) Chinese() string {
	return fmt.Sprintf("有 %d 字节，而清单为 %d 字节", e.Bytes, e.Want)
}

// MissingError says that a file which a model needs cannot be read.
type MissingError struct {
	Task Task // empty: the runtime library
	Path string
	Err  error
	Run  string // the command that brings the file; empty: as Fix says
}

func (e *MissingError) Error() string {
	what := "ONNX Runtime"
	if e.Task != "" {
		what = "model " + string(e.Task)
	}
	return fmt.Sprintf("open %s: %s: %v; %s", what, e.Path, e.Err, e.Fix())
}

// Fix says what to do.
func (e *MissingError) Fix() string {
	if e.Run != "" {
		return "run `" + e.Run + "`"
	}
	return Fix
}

// Unwrap gives the file system's error.
func (e *MissingError) Unwrap() error { return e.Err }

// NotReadyError says that there are no models yet, for a reason that no file is to blame for: they are being loaded. It passes by itself.
type NotReadyError struct{ Why string }

func (e *NotReadyError) Error() string { return e.Why }

// ChecksumError says that a model file is not the one its manifest names.
type ChecksumError struct {
	Task      Task
	Path      string
	Want, Got string // sha256, hex
}

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("open model %s: %s has sha256 %s, the manifest says %s; delete the file and %s", e.Task, e.Path, e.Got, e.Want, Fix)
}

// Unusable says whether an error means that the models cannot be used on this installation as it is: a file is missing or wrong, or what was to
// run them is not there. No input is to blame, and none gets an outcome from it.
func Unusable(err error) bool {
	var missing *MissingError
	var wrong *ChecksumError
	var provider *ProviderError
	var early *NotReadyError
	return errors.As(err, &early) || errors.As(err, &missing) || errors.As(err, &wrong) || errors.As(err, &provider)
}

// InputError says that a caller gave a picture or sound that the model cannot take.
type InputError struct {
	Task Task
	Why  string
}

func (e *InputError) Error() string { return fmt.Sprintf("run model %s: %s", e.Task, e.Why) }

// OutputError says that a model gave values that are no numbers, or a vector without a direction.
type OutputError struct{ Task Task }

func (e *OutputError) Error() string {
	return fmt.Sprintf("run model %s: it gave values that are no numbers; check it with `onsite models check`", e.Task)
}

// calibrated refuses an embedder without thresholds.
func (o Options) calibrated(man manifest.Manifest) error {
	if o.Uncalibrated || man.Calibrated() {
		return nil
	}
	return &CalibrationError{Manifest: man.Origin(), Name: man.Name}
}

func (o Options) parallel() int {
	if o.Parallel > 0 {
		return o.Parallel
	}
	return runtime.GOMAXPROCS(0)
}
