package service

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockFile marks a data folder and is held by the one process that uses it.
const lockFile = "onsite.lock"

// Folder is the data folder of serve, held by this process alone until Close.
type Folder struct {
	Path string // absolute
	lock *os.File
}

// OpenFolder makes or takes a data folder: only its owner may look into it, and only one process may use it.
func OpenFolder(path string) (*Folder, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, folderFault(path, err)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, folderFault(abs, err)
	}
	if err := ours(abs); err != nil {
		return nil, err
	}
	if err := os.Chmod(abs, 0o700); err != nil { //nolint:gosec // a folder needs its x bit
		return nil, folderFault(abs, err)
	}
	// The descriptor is closed on exec (Go opens everything so): a redis-server that outlives us does not hold the folder.
	lock, err := os.OpenFile(filepath.Join(abs, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, folderFault(abs, err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer lock.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, folderFault(abs, fmt.Errorf("lock %s: %w", lockFile, err))
		}
		holder := ""
		if raw, rerr := os.ReadFile(filepath.Join(abs, lockFile)); rerr == nil {
			if pid, aerr := strconv.Atoi(string(bytes.TrimSpace(raw))); aerr == nil {
				holder = fmt.Sprintf(" (process %d)", pid)
			}
		}
		return nil, fault(err,
			fmt.Sprintf("another onsite%s uses the data folder %s; stop it, or name another folder with --data", holder, abs),
			fmt.Sprintf("另一个 onsite 进程%s正在使用数据文件夹 %s；请先停止它，或用 --data 指定其他文件夹", holder, abs))
	}
	f := &Folder{Path: abs, lock: lock}
	err = lock.Truncate(0)
	if err == nil {
		_, err = lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, folderFault(abs, err)
	}
	return f, nil
}

// ours refuses a folder in which other things lie: its mode would change, and its files might be taken for ours.
func ours(abs string) error {
	entries, err := os.ReadDir(abs)
	if err != nil {
		return folderFault(abs, err)
	}
	if len(entries) == 0 {
		return nil
	}
	for _, name := range []string{lockFile, "onsite.db", "kek"} { // the latter two of a folder that was restored from a backup
		if _, err := os.Lstat(filepath.Join(abs, name)); err == nil {
			return nil
		}
	}
	return fault(nil,
		fmt.Sprintf("the folder %s holds other things (%s ...) and is no data folder of Onsite; name an empty or a new one with --data", abs, entries[0].Name()),
		fmt.Sprintf("文件夹 %s 中有其他内容（%s 等），不是 Onsite 的数据文件夹；请用 --data 指定一个空的或新的文件夹", abs, entries[0].Name()))
}

func folderFault(path string, err error) error {
	why := err
	var pe *fs.PathError
	if errors.As(err, &pe) {
		why = pe.Err
	}
	zh := why.Error()
	switch {
	case errors.Is(err, fs.ErrPermission):
		zh = "没有权限"
	case errors.Is(err, fs.ErrNotExist):
		zh = "不存在，也无法创建"
	case errors.Is(err, syscall.ENOTDIR):
		zh = "不是文件夹"
	case errors.Is(err, syscall.EROFS):
		zh = "文件系统为只读"
	}
	if errors.Is(err, syscall.ENOSPC) {
		return fault(err, fmt.Sprintf("the disk of the data folder %s is full; make room, then start again", path),
			fmt.Sprintf("数据文件夹 %s 所在磁盘已满；请清理空间后重新启动", path))
	}
	return fault(err,
		fmt.Sprintf("the data folder %s cannot be used: %v; check that this user may write there, or name another with --data", path, why),
		fmt.Sprintf("无法使用数据文件夹 %s：%s；请确认当前用户有写权限，或用 --data 指定其他文件夹", path, zh))
}

// Join gives a path in the folder.
func (f *Folder) Join(name string) string { return filepath.Join(f.Path, name) }

// Close lets the folder go. The lock file stays: removing it would let two processes hold two files of one name.
func (f *Folder) Close() error { return f.lock.Close() }

// writeSecret puts a secret into a file that only its owner can read, whole or not at all.
func writeSecret(path, text string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // gone when it was renamed
	_, err = tmp.WriteString(text)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
