package object

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// The two halves of a folder. Objects and unfinished files lie on the same file system, so that a rename finishes an object.
const (
	objectsDir = "objects"
	tempDir    = "temp"
)

// minFreeBytes is the room below which Ping says that there is no space: enough for the longest clips that are uploaded meanwhile.
const minFreeBytes = 64 << 20

// Folder is a Store on the local disk. Folders are 0700 and files 0600; every path is resolved beneath the root by the kernel (os.Root), so
// neither a key nor a link planted in the tree leads out of it.
type Folder struct {
	root *os.Root
	name string
	dirs sync.Mutex // making folders and syncing their parents: whoever finds one there may rely on it
}

// NewFolder opens a folder, makes it if it is not there, and removes what an earlier process left unfinished.
func NewFolder(name string) (*Folder, error) {
	if err := os.MkdirAll(name, 0o700); err != nil {
		return nil, fmt.Errorf("make the object folder %s: %w", name, local(err))
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("open the object folder %s: %w", name, local(err))
	}
	f := &Folder{root: root, name: name}
	for _, dir := range []string{objectsDir, tempDir} {
		if err := f.ensure(dir); err != nil {
			return nil, errors.Join(fmt.Errorf("make the object folder %s/%s: %w", name, dir, local(err)), root.Close())
		}
	}
	if err := f.sweep(); err != nil {
		return nil, errors.Join(fmt.Errorf("clear the object folder %s/%s: %w", name, tempDir, err), root.Close())
	}
	return f, nil
}

// Close lets go of the folder.
func (f *Folder) Close() error { return f.root.Close() }

// sweep removes unfinished files whose writer is gone: a living one holds a lock on its file.
func (f *Folder) sweep() error {
	entries, err := fs.ReadDir(f.root.FS(), tempDir)
	if err != nil {
		return local(err)
	}
	for _, e := range entries {
		name := path.Join(tempDir, e.Name())
		file, err := f.root.OpenFile(name, os.O_RDWR|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue // gone already, or not a file of ours
		}
		if unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			if err := f.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return errors.Join(local(err), file.Close())
			}
		}
		file.Close()
	}
	return nil
}

// temp makes a locked file for an object that is being written.
func (f *Folder) temp() (*os.File, string, error) {
	for {
		var b [16]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, "", err
		}
		name := path.Join(tempDir, hex.EncodeToString(b[:]))
		file, err := f.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, "", local(err)
		}
		var st unix.Stat_t
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			err = unix.Fstat(int(file.Fd()), &st)
		}
		if err == nil && st.Nlink == 1 {
			return file, name, nil
		}
		// Another process that starts now took it for a dead one's before it was locked: once more.
		file.Close()
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, "", errors.Join(local(err), f.root.Remove(name))
		}
	}
}

// Put writes a temporary file, syncs it, renames it to its name and syncs the folder.
func (f *Folder) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	if err := CheckKey(key); err != nil {
		return fmt.Errorf("store an object: %w", err)
	}
	file, temp, err := f.temp()
	if err != nil {
		return fmt.Errorf("store object %s: %w", key, err)
	}
	if err := f.write(ctx, file, temp, key, r, size); err != nil {
		file.Close()
		if rerr := f.root.Remove(temp); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
		return fmt.Errorf("store object %s: %w", key, err)
	}
	return nil
}

func (f *Folder) write(ctx context.Context, file *os.File, temp, key string, r io.Reader, size int64) error {
	src := &source{ctx: ctx, r: r, size: size}
	if _, err := io.Copy(file, src); err != nil {
		if src.err != nil {
			return src.err
		}
		return local(err)
	}
	if err := src.whole(); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return local(err)
	}
	if err := f.rename(temp, path.Join(objectsDir, key)); err != nil {
		return err
	}
	if err := file.Close(); err != nil { // all is synced: this tells only of a broken file system
		return errors.Join(local(err), f.root.Remove(path.Join(objectsDir, key)))
	}
	return nil
}

// rename moves a finished file to its place. A Delete in another process may take away the empty folder in between; then it is made again.
func (f *Folder) rename(from, to string) error {
	dir := path.Dir(to)
	for try := 0; ; try++ {
		err := f.ensure(dir)
		if err == nil {
			if err = f.root.Rename(from, to); err == nil {
				break
			}
		}
		if try == 10 || !errors.Is(err, fs.ErrNotExist) {
			return local(err)
		}
	}
	if err := f.sync(dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // whoever deleted the object already took its folder, too
		return errors.Join(local(err), f.root.Remove(to))
	}
	return nil
}

// ensure makes a folder and those above it, and syncs the parent of each that it made.
func (f *Folder) ensure(dir string) error {
	f.dirs.Lock()
	defer f.dirs.Unlock()
	at := ""
	for part := range strings.SplitSeq(dir, "/") {
		parent := at
		at = path.Join(at, part)
		err := f.root.Mkdir(at, 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = f.sync(parent)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *Folder) sync(dir string) error {
	if dir == "" {
		dir = "."
	}
	d, err := f.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Get opens an object's file.
func (f *Folder) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := CheckKey(key); err != nil {
		return nil, fmt.Errorf("read an object: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read object %s: %w", key, context.Cause(ctx))
	}
	file, err := f.root.OpenFile(path.Join(objectsDir, key), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("read object %s: %w", key, f.missing(err))
	}
	return &localReader{file: file, key: key}, nil
}

// missing tells a missing object from a missing store: a disk that is not mounted must not look like objects that were deleted.
func (f *Folder) missing(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return local(err)
	}
	if here, serr := f.present(); serr != nil || !here {
		return fmt.Errorf("%w: the folder %s is gone", ErrAway, f.name)
	}
	return ErrNotFound
}

// present says whether the folder that was opened still is what its path names.
func (f *Folder) present() (bool, error) {
	if _, err := f.root.Stat(objectsDir); err != nil {
		return false, err
	}
	open, err := f.root.Stat(".")
	if err != nil {
		return false, err
	}
	named, err := os.Stat(f.name)
	if err != nil {
		return false, err
	}
	return os.SameFile(open, named), nil
}

type localReader struct {
	file *os.File
	key  string
}

func (r *localReader) Read(p []byte) (int, error) {
	n, err := r.file.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("read object %s: %w", r.key, local(err))
	}
	return n, err
}

func (r *localReader) Close() error { return r.file.Close() }

// Delete removes an object's file, and the folders that it leaves empty: their names are subjects.
func (f *Folder) Delete(ctx context.Context, key string) error {
	if err := CheckKey(key); err != nil {
		return fmt.Errorf("delete an object: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete object %s: %w", key, context.Cause(ctx))
	}
	name := path.Join(objectsDir, key)
	if err := f.root.Remove(name); err != nil {
		if err = f.missing(err); errors.Is(err, ErrNotFound) {
			return nil
		}
		return fmt.Errorf("delete object %s: %w", key, err)
	}
	dir := path.Dir(name)
	if err := f.sync(dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // another Delete may have taken the empty folder away
		return fmt.Errorf("delete object %s: %w", key, local(err))
	}
	f.dirs.Lock()
	defer f.dirs.Unlock()
	for ; dir != objectsDir; dir = path.Dir(dir) {
		if f.root.Remove(dir) != nil { // not empty
			break
		}
	}
	return nil
}

// List walks the tree in the order of the keys.
func (f *Folder) List(ctx context.Context, prefix string, fn func(Info) error) error {
	if err := f.walk(ctx, "", prefix, fn); err != nil {
		return fmt.Errorf("list objects %s*: %w", prefix, err)
	}
	return nil
}

func (f *Folder) walk(ctx context.Context, dir, prefix string, fn func(Info) error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	entries, err := fs.ReadDir(f.root.FS(), path.Join(objectsDir, dir))
	if err != nil {
		if err = f.missing(err); errors.Is(err, ErrNotFound) {
			return nil // deleted while we walk
		}
		return err
	}
	// Keys are ordered by their bytes, in which "a-b/" comes before "a/": a folder counts with its slash.
	full := func(e fs.DirEntry) string {
		name := dir + e.Name()
		if e.IsDir() {
			name += "/"
		}
		return name
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(full(a), full(b)) })
	for _, e := range entries {
		name := full(e)
		switch {
		case e.IsDir():
			if strings.HasPrefix(name, prefix) || strings.HasPrefix(prefix, name) {
				if err := f.walk(ctx, name, prefix, fn); err != nil {
					return err
				}
			}
		case strings.HasPrefix(name, prefix) && CheckKey(name) == nil:
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return local(err)
			}
			if err := fn(Info{Key: name, Bytes: info.Size(), Changed: info.ModTime().UTC()}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Ping writes, reads and removes a small file, and looks for free space.
func (f *Folder) Ping(ctx context.Context) error {
	if err := f.ping(ctx); err != nil {
		return fmt.Errorf("the object folder %s: %w", f.name, err)
	}
	return nil
}

func (f *Folder) ping(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if here, err := f.present(); err != nil || !here {
		return fmt.Errorf("%w: the folder is gone", ErrAway)
	}
	file, name, err := f.temp()
	if err != nil {
		return err
	}
	var st unix.Statfs_t
	_, err = file.WriteString("ping")
	err = errors.Join(err, unix.Fstatfs(int(file.Fd()), &st), file.Close(), f.root.Remove(name))
	if err != nil {
		return local(err)
	}
	if st.Bavail*uint64(st.Bsize) < minFreeBytes {
		return fmt.Errorf("%w: %d MiB are free, fewer than %d", ErrNoSpace, st.Bavail*uint64(st.Bsize)>>20, minFreeBytes>>20)
	}
	return nil
}

// local gives an error of the file system its type.
func local(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", ErrDenied, err)
	case errors.Is(err, unix.EIO), errors.Is(err, unix.EROFS), errors.Is(err, unix.ESTALE), errors.Is(err, unix.ENOTCONN), errors.Is(err, unix.ENOTDIR),
		errors.Is(err, unix.ENODEV), errors.Is(err, unix.EHOSTDOWN), errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrClosed):
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	return err
}
