package models

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"onsite/models/manifest"
)

// AddedDir is the folder of the models that were added on this machine: one folder each, named by the model, with its manifest and its files.
func AddedDir() string { return filepath.Join(CacheDir(), "added") }

// ManifestFile is the name of the manifest in a folder of AddedDir.
const ManifestFile = "manifest.yaml"

// Choice is a model that can be chosen by name.
type Choice struct {
	manifest.Manifest
	Origin string // "built in", "further" (known to the program, used on demand) or "added" (on this machine)
	Broken error  // of an added model: why its manifest cannot be read. Only its Name is known then, that of its folder
}

// BrokenError says that the manifest of a model that was added on this machine cannot be read.
type BrokenError struct {
	Name string // of the model's folder
	Dir  string
	Err  error
}

func (e *BrokenError) Error() string {
	return fmt.Sprintf("model %s was added on this machine, and its manifest cannot be read: %v; correct it, or remove the folder %s", e.Name, e.Err, e.Dir)
}

func (e *BrokenError) Unwrap() error { return e.Err }

// Here says whether the model's files are in dir, or beside its manifest: by their sizes, not by their checksums.
func (c Choice) Here(dir string) bool { return present(Task(c.Task), c.Manifest, dir) == nil }

// The origins of a Choice.
const (
	OriginBuiltin = "built in"
	OriginFurther = "further"
	OriginAdded   = "added"
)

// Choices lists the models that can be chosen by name: the built-in ones, the further ones and those added to the given folder, in that order. An
// added one whose manifest cannot be read is among them, and Broken.
func Choices(added string) ([]Choice, error) {
	var out []Choice
	for _, group := range []struct {
		origin string
		read   func() ([]manifest.Manifest, error)
	}{
		{OriginBuiltin, manifest.Builtin},
		{OriginFurther, manifest.Further},
	} {
		ms, err := group.read()
		if err != nil {
			return nil, err
		}
		for _, m := range ms {
			out = append(out, Choice{Manifest: m, Origin: group.origin})
		}
	}
	mine, err := readAdded(added)
	return append(out, mine...), err
}

func readAdded(dir string) ([]Choice, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || dir == "" {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the added models: %w", err)
	}
	var out []Choice
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		m, err := manifest.Read(filepath.Join(dir, e.Name(), ManifestFile))
		if err != nil {
			m.Name, err = e.Name(), &BrokenError{Name: e.Name(), Dir: filepath.Join(dir, e.Name()), Err: err}
		}
		out = append(out, Choice{Manifest: m, Origin: OriginAdded, Broken: err})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

// NameError says that no model of a name can be chosen, that a word is no choice, or that several tasks know the name.
type NameError struct {
	Word  string
	Known []string // names that would do
	Tasks []string // that know the name; nil where none does
}

func (e *NameError) Error() string {
	if e.Tasks != nil {
		return fmt.Sprintf("choose a model: %q is one of several tasks (%s); write TASK=NAME, for instance %s=%s", e.Word, strings.Join(e.Tasks, ", "), e.Tasks[0], e.Word)
	}
	return fmt.Sprintf("choose a model: %q is not one of %s, and no manifest's path (a path ends in .yaml)", e.Word, strings.Join(e.Known, ", "))
}

// Choose finds a model by its name, by TASK=NAME, or by the path of a manifest (TASK=PATH or PATH, ending in .yaml) with its files beside it.
// A name that several tasks know needs the task.
func Choose(word, added string) (manifest.Manifest, error) {
	task, name, found := strings.Cut(word, "=")
	if !found || strings.HasSuffix(task, ".yaml") {
		task, name = "", word
	}
	if strings.HasSuffix(name, ".yaml") {
		m, err := manifest.Read(name)
		if err == nil && task != "" && task != m.Task {
			err = fmt.Errorf("choose a model: %s is one for %s, not for %s", name, m.Task, task)
		}
		return m, err
	}
	all, err := Choices(added)
	if err != nil {
		return manifest.Manifest{}, err
	}
	var hits []Choice
	var known []string
	for _, c := range all {
		if c.Broken != nil && c.Name == name {
			return manifest.Manifest{}, c.Broken
		}
		if c.Broken != nil || task != "" && c.Task != task {
			continue
		}
		known = append(known, c.Name)
		if c.Name == name {
			hits = append(hits, c)
		}
	}
	if len(hits) == 0 {
		return manifest.Manifest{}, &NameError{Word: word, Known: known}
	}
	var tasks []string
	for _, h := range hits {
		tasks = append(tasks, h.Task)
	}
	sort.Strings(tasks)
	if tasks = slices.Compact(tasks); len(tasks) > 1 {
		return manifest.Manifest{}, &NameError{Word: word, Known: known, Tasks: tasks}
	}
	// An added model of a further one's name is that one, once its file was there.
	return hits[len(hits)-1].Manifest, nil
}

// Choose adds the models that the words choose to Use.
func (o *Options) Choose(words ...string) error {
	for _, w := range words {
		m, err := Choose(w, AddedDir())
		if err != nil {
			return err
		}
		o.Use = append(o.Use, m)
	}
	return nil
}
