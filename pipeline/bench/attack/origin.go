package attack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"onsite/pipeline"
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

// SourceError says that a file among the material cannot be read.
type SourceError struct {
	Path string
	Err  error
}

func (e *SourceError) Error() string { return "make a reuse suite: " + e.Err.Error() }
func (e *SourceError) Unwrap() error { return e.Err }

func unread(ctx context.Context, path string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("make a reuse suite: %w", err)
	}
	return &SourceError{path, err}
}

// MixedError says that a folder holds files of another suite, or, where none is noted in it, files in the places of one (Foreign: the first).
type MixedError struct {
	Dir, Foreign string
	What         pipeline.Text // with what the suite that is there was made
}

func (e *MixedError) Error() string { return "make a reuse suite: " + e.Text().EN }

// Text says so, and what to do.
func (e *MixedError) Text() pipeline.Text {
	if e.Foreign != "" {
		return pipeline.Text{
			EN: fmt.Sprintf("%s holds %s, and no suite is noted in it; name an empty folder", e.Dir, e.Foreign),
			ZH: fmt.Sprintf("%s 中有文件 %s，但没有测试集的记录；请指定空文件夹", e.Dir, e.Foreign),
		}
	}
	return pipeline.Text{
		EN: fmt.Sprintf("%s holds a suite that was made with %s; name an empty folder, or delete this one", e.Dir, e.What.EN),
		ZH: fmt.Sprintf("%s 中已有用其他条件生成的测试集（%s）；请指定空文件夹，或删除此文件夹", e.Dir, e.What.ZH),
	}
}

func what(en, zh string, args ...any) pipeline.Text {
	return pipeline.Text{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)}
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
		if differs := before.other(&now); differs != (pipeline.Text{}) {
			return &MixedError{Dir: s.dir, What: differs}
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("make a reuse suite: %w", err)
	}
	// Somebody else's list would be overwritten.
	if _, err := os.Lstat(filepath.Join(s.dir, Table)); err == nil {
		return &MixedError{Dir: s.dir, Foreign: Table}
	}
	for _, sub := range []string{"library", "query"} {
		there, err := os.ReadDir(filepath.Join(s.dir, sub))
		if err != nil {
			return fmt.Errorf("make a reuse suite: %w", err)
		}
		if len(there) > 0 {
			return &MixedError{Dir: s.dir, Foreign: filepath.Join(sub, there[0].Name())}
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(now); err != nil {
		return fmt.Errorf("make a reuse suite: %w", err)
	}
	return replace(path, b.Bytes())
}

// other says how the origin of what is there differs; empty for not at all.
func (o *origin) other(now *origin) pipeline.Text {
	switch {
	case o.Maker != now.Maker:
		return what("another version of the transforms (%d, now %d)", "改动方式的版本为 %d，现为 %d", o.Maker, now.Maker)
	case o.Seed != now.Seed:
		return what("seed %d, not %d", "种子为 %d，而非 %d", o.Seed, now.Seed)
	case o.Seconds != now.Seconds:
		return what("cuts of %g s, not %g s", "片段为 %g 秒，而非 %g 秒", o.Seconds, now.Seconds)
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
			return what("fewer sources: %s was not among them", "素材较少，没有 %s", s.File)
		case b.SHA256 != s.SHA256:
			return what("another file of the name %s", "%s 是同名的另一文件", s.File)
		case b != s:
			return what("another scene or person of %s", "%s 的场景或人员不同", s.File)
		}
	}
	if len(o.Sources) != len(now.Sources) {
		return what("%d sources, not %d", "素材为 %d 个，而非 %d 个", len(o.Sources), len(now.Sources))
	}
	return pipeline.Text{}
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
