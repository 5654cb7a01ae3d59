package index

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// file is a snapshot that is mapped into memory.
type file struct{ b []byte }

func (f *file) close() error { return unix.Munmap(f.b) }

// suffix is that of snapshot files.
const suffix = ".hashes"

// pathOf is where a tenant's snapshot lies. A digest, since nobody promises here which ids are names of files.
func pathOf(dir, tenant string) string {
	sum := sha256.Sum256([]byte(tenant))
	return filepath.Join(dir, hex.EncodeToString(sum[:16])+suffix)
}

// openFile maps a tenant's snapshot; fs.ErrNotExist, ErrFormat. Everything in it is read once, to test it.
func openFile(path, tenant string) (*segment, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < headSize || int64(int(info.Size())) != info.Size() {
		return nil, fmt.Errorf("open snapshot %s: %w: %d bytes", path, ErrFormat, info.Size())
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map snapshot %s: %w", path, err)
	}
	m := &file{b}
	s, err := parse(b, true)
	if err == nil && s.tenant() != tenant {
		err = fmt.Errorf("%w: it is another tenant's", ErrFormat)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open snapshot %s: %w", path, err), m.close())
	}
	s.file = m
	_ = unix.Madvise(b, unix.MADV_RANDOM) // from here on it is read here and there; without it we are only slower
	return s, nil
}

// toFile writes a plan as a tenant's snapshot, in place of the last one, and maps it. A crash leaves the old one or the new one.
func (p *plan) toFile(path string) (*segment, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "*"+suffix+".part") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("write snapshot: %w", err)
	}
	err = p.write(f)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write snapshot %s: %w", path, err), os.Remove(f.Name()))
	}
	return openFile(path, p.tenant)
}

// folder is where the snapshots of a shard lie.
func (s Shard) folder(dir string) string {
	if s.Whole() {
		return dir
	}
	return filepath.Join(dir, fmt.Sprintf("%d-of-%d", s.K, s.N))
}

// glob gives the paths in a folder that fit a pattern; the folder's own name is none: it may have brackets in it.
func glob(dir, pattern string) ([]string, error) {
	names, err := fs.Glob(os.DirFS(dir), pattern)
	for i, name := range names {
		names[i] = filepath.Join(dir, name)
	}
	return names, err
}

// folders are all folders below dir in which snapshots of shards may lie, and dir itself.
func folders(dir string) ([]string, error) {
	all, err := glob(dir, "*-of-*")
	return append(all, dir), err
}

// clearOthers removes the snapshots of other shards from a directory: nobody would delete in them what is deleted in the store. Those that
// another process uses stay, they are its own.
func clearOthers(dir, own string) error {
	all, err := folders(dir)
	for _, f := range all {
		if f == own {
			continue
		}
		switch lock, e := lockDir(f); {
		case errors.Is(e, ErrBusy), errors.Is(e, fs.ErrNotExist):
		case e != nil:
			err = errors.Join(err, e)
		default:
			err = errors.Join(err, clearFolder(f), lock.Close())
		}
	}
	return err
}

// Clear removes all snapshots of a directory: whoever keeps no index any more must not keep its hashes. One that is not there is clear.
func Clear(dir string) error {
	all, err := folders(dir)
	for _, f := range all {
		err = errors.Join(err, clearFolder(f))
	}
	return err
}

func clearFolder(dir string) error {
	all, err := glob(dir, "*"+suffix)
	for _, name := range all {
		if e := os.Remove(name); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return errors.Join(err, sweepParts(dir))
}

// sweepParts removes what a crash left half written.
func sweepParts(dir string) error {
	left, err := glob(dir, "*"+suffix+".part")
	for _, name := range left {
		if e := os.Remove(name); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// lockDir keeps others out of a directory until the file is closed.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrBusy
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
