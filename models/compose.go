package models

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"onsite/models/manifest"
)

// OpenManifests opens just these models, whose files lie in o.Dir; o.Manifests and o.Tasks count for nothing. Two manifests of one task are
// an error.
func OpenManifests(o Options, manifests ...manifest.Manifest) (*Set, error) {
	s := &Set{models: map[Task]*model{}}
	var errs []error
	for _, man := range manifests {
		task := Task(man.Task)
		if s.models[task] != nil {
			errs = append(errs, fmt.Errorf("open models: two manifests for task %q", task))
			continue
		}
		errs = append(errs, o.calibrated(man), present(task, man, o.Dir))
		s.models[task] = newModel(task, man, o.Dir, o.how())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := o.start(); err != nil {
		return nil, err
	}
	return s, nil
}

// Compose gives a Set that runs the models of over where they have the task (the last one counts), and those of base for all other tasks. It
// shares their sessions: each is freed when the last Set that runs it is closed. So a set that differs in one model costs the memory of that
// model, and jobs that run on the old set finish on it.
func Compose(base *Set, over ...*Set) (*Set, error) {
	s := &Set{models: map[Task]*model{}}
	for _, from := range append([]*Set{base}, over...) {
		for task, m := range from.models {
			s.models[task] = m
		}
	}
	kept := make([]*model, 0, len(s.models))
	for _, m := range s.models {
		if !m.share() {
			for _, k := range kept {
				_ = k.leave() // it has another owner still, or frees what nobody runs
			}
			return nil, fmt.Errorf("put a set of models together: model %s: %w", m.task, ErrClosed)
		}
		kept = append(kept, m)
	}
	return s, nil
}

// Digest is one sha256 over the manifests of all models of the Set, as a verdict names its set: "sha256:...".
func (s *Set) Digest() string {
	h := sha256.New()
	for _, t := range s.Tasks() {
		fmt.Fprintf(h, "%s %s\n", t, s.ManifestDigest(t))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// ManifestDigest is the sha256 of a task's manifest, hex; empty if the Set has none. The file's sha256 is part of the manifest.
func (s *Set) ManifestDigest(task Task) string {
	m, ok := s.models[task]
	if !ok {
		return ""
	}
	return m.man.Digest()
}
