package spoof

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Options say what to make.
type Options struct {
	Clips    string   // folder of real clips, or of folders of one person each: the folder's name, or the file's up to "__", names the person
	Seed     uint64   // of all choices
	Species  []string // only these, by name or group; empty: all
	Seconds  float64  // length of a cut; 0: 6
	Side     int      // longer side in pixels; 0: 512
	Progress func(done, total int)
}

// Row is one file of the suite.
type Row struct {
	File    string // relative to the suite, real/... or fake/<species>/...
	Person  string
	Species string // "real" for honest clips
	Group   string // species that are left out together
	Source  string // the clip it was made of, and from which second
}

// MinSeconds is the least length of a cut: a loop of it, or a joint in it, needs some time before and after.
const MinSeconds = 1.0

// Table is the name of the list of files in a suite.
const Table = "suite.csv"

// Make writes a suite into dir: dir/real/PERSON__CLIP__plain.mp4 and so on, dir/fake/SPECIES/PERSON__CLIP.mp4, and dir/suite.csv. Files that
// are there already are kept, so that an interrupted run goes on, and so are their lines of the list; what it returns is this run's. A file of others
// in it is a ForeignError, and a clip that ffmpeg cannot read a SourceError, before anything is made.
func Make(ctx context.Context, dir string, o Options) ([]Row, error) {
	if o.Seconds == 0 {
		o.Seconds = 6
	}
	if o.Side == 0 {
		o.Side = 512
	}
	if o.Seconds < MinSeconds {
		return nil, fmt.Errorf("make a suite: cuts of %g s are too short, want %g s or more", o.Seconds, MinSeconds)
	}
	kinds, err := chosen(o.Species)
	if err != nil {
		return nil, err
	}
	clips, err := list(o.Clips)
	if err != nil {
		return nil, err
	}
	for i := range clips {
		if _, err := probe(ctx, clips[i].path); err != nil && ctx.Err() == nil && !errors.Is(err, ErrNoFFmpeg) {
			return nil, &SourceError{clips[i].path, err}
		} else if err != nil {
			return nil, err
		}
	}
	if err := onlyOurs(dir, clips); err != nil {
		return nil, err
	}
	s := suite{dir: dir, o: o}
	var rows []Row
	total, done := len(clips)*(len(kinds)+len(honest)), 0
	for i := range clips {
		c := &clips[i]
		if s.film, err = loadFilm(ctx, c.path, c.from, o.Seconds, o.Side); err != nil {
			return nil, err
		}
		if s.second, err = loadFilm(ctx, c.path, c.from+o.Seconds, o.Seconds, o.Side); err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			s.second = s.film // the take is too short for another part
		}
		s.other = nil
		if other := stranger(clips, i); other != nil {
			if s.other, err = loadFilm(ctx, other.path, other.from, o.Seconds, o.Side); err != nil {
				return nil, err
			}
		}
		for k, kind := range append(slices.Clone(honest), kinds...) {
			row := Row{Person: c.person, Species: "real", Source: fmt.Sprintf("%s@%.1f", filepath.Base(c.path), c.from), File: c.file(kind, k < len(honest))}
			if k >= len(honest) {
				row.Species, row.Group = kind.name, kind.group
			}
			if err := s.draw(ctx, kind, &row); err != nil {
				return nil, err
			}
			rows = append(rows, row)
			if done++; o.Progress != nil {
				o.Progress(done, total)
			}
		}
	}
	return rows, s.table(rows)
}

// suite is the state of a run: the films of the clip at hand.
type suite struct {
	dir                 string
	o                   Options
	film, second, other *film
}

// draw makes one file, unless it is there, and gives its row the extension of its codec.
func (s *suite) draw(ctx context.Context, kind species, row *Row) error {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d|%s|%s|%s", s.o.Seed, row.Person, row.Source, kind.name))
	r := rand.New(rand.NewPCG(binary.LittleEndian.Uint64(sum[:8]), binary.LittleEndian.Uint64(sum[8:16]))) //nolint:gosec // G404: reproducible choices, no secret
	shot := kind.make(take{r: r, film: s.film, second: s.second, other: s.other})
	row.File += cmp.Or(shot.codec.ext, ".mp4")
	path := filepath.Join(s.dir, row.File)
	if info, err := os.Stat(path); err == nil && info.Size() > 0 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	return save(ctx, path, &shot)
}

// table writes the list: this run's files, and of earlier ones those that are still there.
func (s *suite) table(rows []Row) error {
	rows, err := withEarlier(s.dir, rows)
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, Table)
	f, err := os.Create(path + ".part")
	if err != nil {
		return fmt.Errorf("write the list of the suite: %w", err)
	}
	w := csv.NewWriter(f)
	_ = w.Write([]string{"file", "person", "species", "group", "source"})
	for _, r := range rows {
		_ = w.Write([]string{r.File, r.Person, r.Species, r.Group, r.Source})
	}
	w.Flush()
	err = errors.Join(w.Error(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path) // whole, or as it was
	}
	if err != nil {
		return fmt.Errorf("write the list of the suite: %w", err)
	}
	return nil
}

func withEarlier(dir string, rows []Row) ([]Row, error) {
	earlier, err := ReadTable(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return rows, nil
	}
	if err != nil {
		return nil, err
	}
	made := make(map[string]bool, len(rows))
	for _, r := range rows {
		made[r.File] = true
	}
	all := slices.Clone(rows)
	for _, r := range earlier {
		if info, err := os.Stat(filepath.Join(dir, r.File)); err == nil && info.Mode().IsRegular() && !made[r.File] {
			all = append(all, r)
		}
	}
	return all, nil
}

// ReadTable reads the list of a suite.
func ReadTable(dir string) ([]Row, error) {
	f, err := os.Open(filepath.Join(dir, Table))
	if err != nil {
		return nil, fmt.Errorf("read the list of a suite: %w", err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	var out []Row
	for i, r := range all {
		if i == 0 {
			continue
		}
		if len(r) != 5 {
			return nil, fmt.Errorf("read %s: line %d has %d fields, want file, person, species, group, source", f.Name(), i+1, len(r))
		}
		out = append(out, Row{r[0], r[1], r[2], r[3], r[4]})
	}
	return out, nil
}

// cut is one part of a clip.
type cut struct {
	path, person string
	from         float64
}

func (c *cut) name() string {
	base := strings.TrimSuffix(filepath.Base(c.path), filepath.Ext(c.path))
	return c.person + "__" + strings.ReplaceAll(base, c.person+"__", "")
}

// file is where what is made of a cut lies in the suite, without the extension of its codec.
func (c *cut) file(kind species, real bool) string {
	if real {
		return filepath.Join("real", c.name()+"__"+kind.name)
	}
	return filepath.Join("fake", kind.name, c.name())
}

// SourceError says that a file among the clips cannot be read.
type SourceError struct {
	Path string
	Err  error
}

func (e *SourceError) Error() string { return "make a suite: " + e.Err.Error() }
func (e *SourceError) Unwrap() error { return e.Err }

// ForeignError says that a folder holds a file that no run made: it would be measured with the suite, or overwritten.
type ForeignError struct{ Dir, File string }

func (e *ForeignError) Error() string {
	return fmt.Sprintf("make a suite: %s holds %s, which is not of this suite; name an empty folder", e.Dir, e.File)
}

// onlyOurs refuses a folder that holds files of others. What the list of an earlier run names, and what can be made of these clips, is ours; so are
// files that were being written when a run was interrupted.
func onlyOurs(dir string, clips []cut) error {
	ours := map[string]bool{}
	for i := range clips {
		for _, k := range honest {
			ours[clips[i].file(k, true)] = true
		}
		for _, k := range all {
			ours[clips[i].file(k, false)] = true
		}
	}
	before, err := ReadTable(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &ForeignError{dir, Table}
	}
	for _, r := range before {
		ours[strings.TrimSuffix(r.File, filepath.Ext(r.File))] = true
	}
	err = filepath.WalkDir(dir, func(path string, f fs.DirEntry, err error) error {
		if err != nil || f.IsDir() {
			return err //nolint:wrapcheck // names the folder
		}
		name, err := filepath.Rel(dir, path)
		switch {
		case err != nil:
			return err //nolint:wrapcheck // names both folders
		case name == Table, ours[strings.TrimSuffix(name, filepath.Ext(name))], strings.Contains(filepath.Base(name), ".part"):
			return nil
		}
		return &ForeignError{dir, name}
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// list finds the clips of a folder and of its folders, by name.
func list(dir string) ([]cut, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("list the clips: %w", err)
	}
	var out []cut
	for _, pattern := range []string{"*", "*/*"} {
		files, err := fs.Glob(os.DirFS(dir), pattern) // a pattern in the folder's own name is none
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", dir, err)
		}
		for _, name := range files {
			f := filepath.Join(dir, name)
			if !slices.Contains([]string{".mp4", ".mov", ".webm", ".mkv"}, strings.ToLower(filepath.Ext(f))) {
				continue
			}
			person, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(f), filepath.Ext(f)), "__")
			if pattern == "*/*" {
				person = filepath.Base(filepath.Dir(f))
			}
			out = append(out, cut{path: f, person: person})
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("list %s: no clips (mp4, mov, webm, mkv) in it or in its folders", dir)
	}
	return out, nil
}

// stranger is the next clip of another person; nil when there is none.
func stranger(clips []cut, i int) *cut {
	for k := 1; k < len(clips); k++ {
		if c := &clips[(i+k)%len(clips)]; c.person != clips[i].person {
			return c
		}
	}
	return nil
}

// SpeciesError says that no species and no family of attacks has a name.
type SpeciesError struct{ Name string }

func (e *SpeciesError) Error() string {
	return fmt.Sprintf("make a suite: no species is called %s; there are %s", e.Name, strings.Join(Species(), ", "))
}

func chosen(names []string) ([]species, error) {
	if len(names) == 0 {
		return all, nil
	}
	var out []species
	for _, name := range names {
		n := len(out)
		for _, s := range all {
			if s.name == name || s.group == name {
				out = append(out, s)
			}
		}
		if len(out) == n {
			return nil, &SpeciesError{Name: name}
		}
	}
	return out, nil
}

// Species lists the names.
func Species() []string {
	var out []string
	for _, s := range all {
		out = append(out, s.name)
	}
	return out
}
