package models

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"sync/atomic"

	"onsite/models/manifest"
)

// Set is the models of one process. It is safe for concurrent use: each model has one ONNX Runtime session, called from as many
// goroutines as there are cores. Sessions are made at the first use of their task.
//
// A Set never changes. To change a model, put another Set together (Compose): the two share all others, and either is closed when its last
// user is done.
type Set struct {
	models map[Task]*model
	closed atomic.Bool
}

// Open reads the manifests, loads ONNX Runtime and checks that the files of the wanted tasks are there. A model's file is read, and its
// sha256 compared, when its task is first used or warmed up; Warm does it at once.
func Open(o Options) (*Set, error) {
	manifests, err := readManifests(o.Manifests, o.Use)
	if err != nil {
		return nil, fmt.Errorf("open models: %w", err)
	}
	wanted := map[Task]bool{}
	for _, t := range o.Tasks {
		wanted[t] = true
	}
	s := &Set{models: map[Task]*model{}}
	var errs []error
	for _, man := range manifests {
		task := Task(man.Task)
		if o.Tasks != nil && !wanted[task] {
			continue
		}
		delete(wanted, task)
		errs = append(errs, o.calibrated(man), present(task, man, o.Dir))
		s.models[task] = newModel(task, man, o.Dir, o.how())
	}
	for t := range wanted {
		errs = append(errs, fmt.Errorf("open models: no manifest for task %q", t))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := o.start(); err != nil {
		return nil, err
	}
	return s, nil
}

// readManifests gives the built-in manifests with those of dir over them, and those of use over these.
func readManifests(dir string, use []manifest.Manifest) ([]manifest.Manifest, error) {
	base, err := manifest.Builtin()
	if err != nil {
		return nil, err
	}
	if dir != "" {
		extra, err := manifest.LoadDir(dir)
		if err != nil {
			return nil, err
		}
		base = append(base, extra...)
	}
	twice := map[string]bool{}
	for _, m := range use {
		if twice[m.Task] {
			return nil, fmt.Errorf("two models were chosen for %s; choose one", m.Task)
		}
		twice[m.Task] = true
	}
	byTask := map[string]manifest.Manifest{}
	for _, m := range append(base, use...) {
		byTask[m.Task] = m
	}
	out := make([]manifest.Manifest, 0, len(byTask))
	for _, m := range byTask {
		out = append(out, m)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Task < out[j].Task })
	return out, nil
}

// present reports a missing or wrongly sized file before anything runs.
func present(task Task, man manifest.Manifest, dir string) error {
	if man.Source.Embedded {
		return nil
	}
	var errs []error
	for _, f := range man.Files() {
		path := man.Path(f, dir)
		info, err := os.Stat(path) //nolint:gosec // G703: a manifest's file name is plain, and its folder is the user's to name
		if err == nil && info.Size() != f.Bytes {
			err = &SizeError{Bytes: info.Size(), Want: f.Bytes}
		}
		if err != nil {
			var pe *os.PathError
			if errors.As(err, &pe) {
				err = pe.Err
			}
			errs = append(errs, &MissingError{Task: task, Path: path, Err: err, Run: bringing(man)})
		}
	}
	return errors.Join(errs...)
}

// bringing is the command that brings the files of a further model; empty for the built-in ones.
func bringing(man manifest.Manifest) string {
	known, err := manifest.Further()
	if err != nil || !slices.ContainsFunc(known, func(m manifest.Manifest) bool { return m.Name == man.Name && m.Version == man.Version }) {
		return ""
	}
	if man.Source.NPM == "" {
		return "onsite models add " + man.Name + " FILE"
	}
	return "onsite models install --further " + man.Name
}

// Tasks lists the tasks of the Set, sorted.
func (s *Set) Tasks() []Task {
	out := make([]Task, 0, len(s.models))
	for t := range s.models {
		out = append(out, t)
	}
	sort.Slice(out, func(i, j int) bool { return out[i] < out[j] })
	return out
}

// Manifest gives the manifest of a task.
func (s *Set) Manifest(task Task) (manifest.Manifest, bool) {
	m, ok := s.models[task]
	if !ok {
		return manifest.Manifest{}, false
	}
	return m.man, true
}

// Background gives the file of vectors of other places that comes with the scene embedder; nil without one.
func (s *Set) Background() ([]byte, error) {
	m, ok := s.models[SceneEmbed]
	if !ok || m.man.Background == nil {
		return nil, nil
	}
	return m.read(*m.man.Background)
}

// InputSize is the width and height in pixels of the picture that a task wants; 0 is dynamic (TextMap: multiples of 32; ReadText: any
// width).
func (s *Set) InputSize(task Task) (w, h int) {
	m, ok := s.models[task]
	if !ok {
		return 0, 0
	}
	return m.man.Input.Width, m.man.Input.Height
}

// Threshold gives a calibrated value of a task's manifest by name.
func (s *Set) Threshold(task Task, name string) (float64, bool) {
	if s == nil { // a measurement without models
		return 0, false
	}
	m, ok := s.models[task]
	if !ok {
		return 0, false
	}
	return m.man.Threshold(name)
}

// Warm loads the given tasks (nil: all) and runs each once on an empty input, so that the first real call is not the slow one. It does
// not count as use in Refs or Stats.
func (s *Set) Warm(ctx context.Context, tasks ...Task) error {
	if len(tasks) == 0 {
		tasks = s.Tasks()
	}
	for _, t := range tasks {
		m, err := s.model(t)
		if err != nil {
			return err
		}
		if err := m.warm(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close waits for the calls in flight and frees the sessions and their memory, but for models that another Set still runs (Compose). Calls
// after it return ErrClosed.
func (s *Set) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	var errs []error
	for _, t := range s.Tasks() {
		errs = append(errs, s.models[t].leave())
	}
	trim()
	return errors.Join(errs...)
}

func (s *Set) model(task Task) (*model, error) {
	m, ok := s.models[task]
	if !ok {
		return nil, fmt.Errorf("run model %s: it was not opened (Options.Tasks)", task)
	}
	if s.closed.Load() {
		return nil, ErrClosed
	}
	return m, nil
}
