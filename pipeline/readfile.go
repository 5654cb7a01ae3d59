package pipeline

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// What ReadFile and OpenRegular refuse; the errors they return name the path and unwrap to these.
var (
	ErrNotRegular = errors.New("it is a folder, a pipe or a device, not a file; give the path of a regular file")
	ErrTooLong    = errors.New("the file is too long")
)

// OpenRegular opens a regular file for reading. Opening a pipe would otherwise wait for a writer for ever, so it does not wait, and what
// is no regular file is refused with ErrNotRegular. The caller closes it.
func OpenRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("open %s: %w", path, ErrNotRegular)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ReadFile reads a regular file of at most limit bytes: settings and other short files that a person names. A longer one is refused with
// ErrTooLong before more than limit+1 bytes are in memory.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, err := OpenRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(raw)) > limit:
		return nil, fmt.Errorf("read %s: %w: more than %d bytes", path, ErrTooLong, limit)
	}
	return raw, nil
}
