package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// State is what Check found about one file.
type State string

// The states of a file.
const (
	Present State = "present"
	Missing State = "missing"
	Wrong   State = "wrong"
)

// Item is one wanted file and its state.
type Item struct {
	Group   string `json:"group"`
	Package string `json:"package"`
	Path    string `json:"path"`
	State   State  `json:"state"`
	Why     string `json:"why,omitempty"` // of a wrong file
	Want    string `json:"want"`          // sha256
	Got     string `json:"got,omitempty"` // sha256 of a wrong file, if it was read
}

// Check says which wanted files are present, missing or wrong, in the order of the lists. With verify every file is read and compared;
// without, files that were compared before and have not changed since are taken as right.
func Check(ctx context.Context, o Options, verify bool) ([]Item, error) {
	packages, err := o.list()
	if err != nil {
		return nil, err
	}
	known := readStamps(o.Cache)
	var out []Item
	for _, p := range packages {
		for _, f := range p.Files {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			item := Item{Group: f.group, Package: p.id(), Path: f.path(o.Cache), State: Present, Want: f.SHA256}
			state, err := inspect(o.Cache, f, known, verify)
			item.State = state
			if state == Wrong {
				item.Why = err.Error()
				var sum *ChecksumError
				if errors.As(err, &sum) {
					item.Got = sum.Got
				}
			}
			out = append(out, item)
		}
	}
	return out, nil
}

// inspect says in which state a file of the cache is; the error says why it is wrong.
func inspect(cache string, f File, known stamps, verify bool) (State, error) {
	path := f.path(cache)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Missing, nil
	}
	if err != nil {
		return Wrong, err
	}
	if !info.Mode().IsRegular() {
		return Wrong, fmt.Errorf("%s is not a regular file", path)
	}
	if info.Size() != f.Bytes {
		return Wrong, fmt.Errorf("%s has %d bytes, want %d", path, info.Size(), f.Bytes)
	}
	if !verify && known.has(f, info) {
		return Present, nil
	}
	got, err := hashFile(path)
	if err != nil {
		return Wrong, err
	}
	if got != f.SHA256 {
		return Wrong, &ChecksumError{What: path, Want: f.SHA256, Got: got}
	}
	known.set(f, info)
	return Present, nil
}

// stamps remember which files were compared with their checksum, by size and time, so that the next look need not read them.
type stamps map[string]stamp

type stamp struct {
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
	MTime  int64  `json:"mtime_ns"`
}

const stampFile = ".installed.json"

// maxStamps bounds the stamp file; ours has about 30 entries of 150 bytes.
const maxStamps = 1 << 20

// readStamps gives what is remembered; a missing or damaged file means nothing is.
func readStamps(cache string) stamps {
	path := filepath.Join(cache, stampFile)
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxStamps {
		return stamps{}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return stamps{}
	}
	return parseStamps(data)
}

func parseStamps(data []byte) stamps {
	s := stamps{}
	if err := json.Unmarshal(data, &s); err != nil || s == nil {
		return stamps{}
	}
	return s
}

func (f File) key() string { return f.group + "/" + f.Name }

func (s stamps) has(f File, info fs.FileInfo) bool {
	return s[f.key()] == stamp{SHA256: f.SHA256, Bytes: info.Size(), MTime: info.ModTime().UnixNano()}
}

func (s stamps) set(f File, info fs.FileInfo) {
	s[f.key()] = stamp{SHA256: f.SHA256, Bytes: info.Size(), MTime: info.ModTime().UnixNano()}
}

// add remembers a file that was just put in place.
func (s stamps) add(cache string, f File) error {
	info, err := os.Lstat(f.path(cache))
	if err != nil {
		return err
	}
	s.set(f, info)
	return nil
}

// write replaces the stamp file as a whole.
func (s stamps) write(cache string) error {
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	tmp := filepath.Join(cache, stampFile+".new")
	if err := os.WriteFile(tmp, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("remember what is installed: %w", err)
	}
	return os.Rename(tmp, filepath.Join(cache, stampFile))
}
