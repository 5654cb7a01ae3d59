package attack

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// originFile says in a suite's folder what its files were made from.
const originFile = "suite.json"

// makerVersion changes with what the transforms or the library cuts do: files of two versions are no one suite.
const makerVersion = 1

// origin is what decides what is in the files of a suite. Kinds and the number of easy pairs only say which of them are made and paired.
type origin struct {
	Maker   int      `json:"maker"`
	Seed    uint64   `json:"seed"`
	Seconds float64  `json:"seconds"`
	Sources []source `json:"sources"`
}

// source is one clip or photo, with what the table of scenes says about it.
type source struct {
	File   string `json:"file"`
	Photo  bool   `json:"photo"`
	SHA256 string `json:"sha256"`
	Scene  string `json:"scene"`
	Person string `json:"person"`
}

// MixedError says that a folder holds files of another suite.
type MixedError struct{ Dir, What string }

func (e *MixedError) Error() string {
	return fmt.Sprintf("make a reuse suite: %s holds a suite that was made with %s; name an empty folder, or delete this one", e.Dir, e.What)
}

// sameOrigin compares what the suite is made from with what the folder says about the files that are there, and notes it in an empty one.
func (s *suite) sameOrigin() error {
	now := origin{Maker: makerVersion, Seed: s.o.Seed, Seconds: s.o.Seconds}
	for _, c := range s.cuts {
		if c.from > 0 {
			continue // the end of a source that is listed already
		}
		sum, err := digest(c.path)
		if err != nil {
			return fmt.Errorf("make a reuse suite: %w", err)
		}
		now.Sources = append(now.Sources, source{c.file, c.photo, sum, c.place.scene, c.place.person})
	}
	path := filepath.Join(s.dir, originFile)
	raw, err := os.ReadFile(path)
	switch {
	case err == nil:
		var before origin
		if err := json.Unmarshal(raw, &before); err != nil {
			return fmt.Errorf("make a reuse suite: %s does not say what the suite was made from: %w; name an empty folder", path, err)
		}
		if what := before.other(&now); what != "" {
			return &MixedError{s.dir, what}
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("make a reuse suite: %w", err)
	}
	for _, sub := range []string{"library", "query"} {
		there, err := os.ReadDir(filepath.Join(s.dir, sub))
		if err != nil {
			return fmt.Errorf("make a reuse suite: %w", err)
		}
		if len(there) > 0 {
			return &MixedError{s.dir, "sources and options that nobody noted (no " + originFile + ")"}
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(now); err != nil {
		return fmt.Errorf("make a reuse suite: %w", err)
	}
	if err := os.WriteFile(path+".part", b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("make a reuse suite: %w", err)
	}
	return os.Rename(path+".part", path)
}

// other says how the origin of what is there differs; "" for not at all.
func (o *origin) other(now *origin) string {
	switch {
	case o.Maker != now.Maker:
		return fmt.Sprintf("another version of the transforms (%d, now %d)", o.Maker, now.Maker)
	case o.Seed != now.Seed:
		return fmt.Sprintf("seed %d, not %d", o.Seed, now.Seed)
	case o.Seconds != now.Seconds:
		return fmt.Sprintf("cuts of %g s, not %g s", o.Seconds, now.Seconds)
	}
	type key struct {
		file  string
		photo bool
	}
	before := map[key]source{}
	for _, s := range o.Sources {
		before[key{s.File, s.Photo}] = s
	}
	for _, s := range now.Sources {
		b, ok := before[key{s.File, s.Photo}]
		switch {
		case !ok:
			return "fewer sources: " + s.File + " was not among them"
		case b.SHA256 != s.SHA256:
			return "another file of the name " + s.File
		case b != s:
			return "another scene or person of " + s.File
		}
	}
	if len(o.Sources) != len(now.Sources) {
		return fmt.Sprintf("%d sources, not %d", len(o.Sources), len(now.Sources))
	}
	return ""
}

// digest is the sha256 of a file, in hex.
func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read a source: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read source %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
