package service

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFolderIsHeldOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "data")
	f, err := OpenFolder(path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	_, err = OpenFolder(path)
	var why *Fault
	require.ErrorAs(t, err, &why)
	require.Contains(t, why.Text.EN, "another onsite (process "+strconv.Itoa(os.Getpid())+")")
	require.Contains(t, why.Text.EN, "--data")
	require.Contains(t, why.Text.ZH, "正在使用数据文件夹")

	require.NoError(t, f.Close())
	f, err = OpenFolder(path)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func TestFolderOfSomebodyElse(t *testing.T) {
	path := t.TempDir()
	require.NoError(t, os.Chmod(path, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(path, "thesis.doc"), nil, 0o600))
	_, err := OpenFolder(path)
	require.ErrorContains(t, err, "holds other things (thesis.doc ...)")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), info.Mode().Perm(), "untouched")
}

func TestFolderThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, path := range []string{file, filepath.Join(file, "below"), "/proc/onsite"} {
		_, err := OpenFolder(path)
		var why *Fault
		require.ErrorAs(t, err, &why)
		require.Contains(t, why.Text.EN, "cannot be used")
		require.Error(t, errors.Unwrap(why))
	}
}

func TestWriteSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, writeSecret(path, "one"))
	require.NoError(t, writeSecret(path, "two"))
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "two", string(raw))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left behind")
	require.Error(t, writeSecret(filepath.Join(path, "x"), "y"))
}
