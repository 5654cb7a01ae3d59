package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"onsite/models"
	"onsite/results"
	"onsite/results/object"
)

// Files brings model files from the object store to this machine, by their sha256.
type Files struct {
	Objects object.Store
	Dir     string // a folder of its own; several processes may share it
}

// Fetch gives a folder in which these files lie under their names, whole and with the right sha256. What is there is not fetched again.
func (f *Files) Fetch(ctx context.Context, files []results.ModelFile) (string, error) {
	h := sha256.New()
	for _, one := range files {
		if one.Name != filepath.Base(one.Name) || strings.HasPrefix(one.Name, ".") || !filepath.IsLocal(one.Name) {
			return "", &UnusableError{fmt.Errorf("%q is no plain file name", one.Name)}
		}
		fmt.Fprintf(h, "%s %s\n", one.Name, one.SHA256)
	}
	dir := filepath.Join(f.Dir, hex.EncodeToString(h.Sum(nil))[:32])
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("make the folder of a model's files: %w; name one that the process may write to in worker.registry_dir", err)
	}
	for _, one := range files {
		if err := f.fetch(ctx, filepath.Join(dir, one.Name), one); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func (f *Files) fetch(ctx context.Context, path string, one results.ModelFile) error {
	if sum, err := sumOf(path); err == nil && sum == one.SHA256 {
		return nil
	}
	r, err := f.Objects.Get(ctx, one.Key)
	if errors.Is(err, object.ErrNotFound) {
		return &UnusableError{fmt.Errorf("fetch model file %s: %w; add the model again", one.Name, err)}
	}
	if err != nil {
		return fmt.Errorf("fetch model file %s: %w", one.Name, err)
	}
	defer r.Close()
	into, err := os.CreateTemp(filepath.Dir(path), ".part-*")
	if err != nil {
		return fmt.Errorf("fetch model file %s: %w", one.Name, err)
	}
	defer os.Remove(into.Name()) //nolint:errcheck // it was renamed, mostly
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(into, h), io.LimitReader(r, one.Bytes+1))
	if err = errors.Join(err, into.Close()); err != nil {
		return fmt.Errorf("fetch model file %s: %w", one.Name, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != one.SHA256 {
		return &UnusableError{&models.ChecksumError{Path: one.Key, Want: one.SHA256, Got: got}}
	}
	if err := os.Rename(into.Name(), path); err != nil {
		return fmt.Errorf("fetch model file %s: %w", one.Name, err)
	}
	return nil
}

func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
