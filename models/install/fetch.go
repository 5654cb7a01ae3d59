package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Fetcher gets the tarball of a package into dir and returns its path.
type Fetcher interface {
	Fetch(ctx context.Context, npm, version, dir string) (string, error)
}

// NPM fetches with the npm program on the PATH: `npm pack`, which downloads one tarball and runs no script of it. Where from is npm's
// own configuration.
type NPM struct {
	// Program is the npm executable; empty: "npm" on the PATH.
	Program string
}

// Fetch runs npm pack.
func (n NPM) Fetch(ctx context.Context, npm, version, dir string) (string, error) {
	program := n.Program
	if program == "" {
		program = "npm"
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%w; install Node.js with npm (Debian: apt-get install npm), or fetch the packages elsewhere with `npm pack` and give their folder with --from", err)
	}
	cmd := exec.CommandContext(ctx, path, "pack", npm+"@"+version, "--ignore-scripts", "--loglevel=error", "--pack-destination", dir) //nolint:gosec // G204: name and version matched a strict pattern
	cmd.Dir = dir                                                                                                                     // a package.json of the caller's folder must not matter
	var stderr bytes.Buffer
	cmd.Stderr = &tail{buf: &stderr, limit: 4096}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("npm pack: %w: %s; check the network and `npm config get registry`, or fetch the package elsewhere with `npm pack %s@%s` and give its folder with --from", err, oneLine(stderr.String()), npm, version)
	}
	found, err := fs.Glob(os.DirFS(dir), "*.tgz")
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("npm pack left %d tarballs in %s, want one", len(found), dir)
	}
	return filepath.Join(dir, found[0]), nil
}

// Folder takes tarballs that lie in a folder under the names that `npm pack` gives them, for machines without a network.
type Folder string

// Fetch finds the tarball.
func (f Folder) Fetch(_ context.Context, npm, version, _ string) (string, error) {
	name := strings.ReplaceAll(strings.TrimPrefix(npm, "@"), "/", "-") + "-" + version + ".tgz"
	path := filepath.Join(string(f), name)
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("%s is not there; make it with `npm pack %s@%s`", path, npm, version)
		}
		return "", err
	}
	return path, nil
}

// tail keeps the first bytes of what a program says and drops the rest.
type tail struct {
	buf   *bytes.Buffer
	limit int
}

func (t *tail) Write(p []byte) (int, error) {
	if room := t.limit - t.buf.Len(); room > 0 {
		t.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

var _ io.Writer = (*tail)(nil)

// oneLine folds a program's message into one line.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 400 {
		s = s[:400] + "..."
	}
	if s == "" {
		return "it said nothing"
	}
	return s
}
