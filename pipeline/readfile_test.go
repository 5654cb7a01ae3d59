package pipeline

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(path("five"), []byte("12345"), 0o600))
	require.NoError(t, os.WriteFile(path("empty"), nil, 0o600))
	require.NoError(t, os.Symlink(path("five"), path("link")))
	require.NoError(t, syscall.Mkfifo(path("pipe"), 0o600))

	for _, name := range []string{"five", "link"} {
		raw, err := ReadFile(path(name), 5)
		require.NoError(t, err)
		require.Equal(t, "12345", string(raw))
	}
	raw, err := ReadFile(path("empty"), 0)
	require.NoError(t, err)
	require.Empty(t, raw)

	for _, c := range []struct {
		name string
		is   error
	}{
		{"pipe", ErrNotRegular}, // nobody writes to it: waiting would never end
		{".", ErrNotRegular},
		{"none", fs.ErrNotExist},
	} {
		_, err := ReadFile(path(c.name), 5)
		require.ErrorIs(t, err, c.is, c.name)
		require.ErrorContains(t, err, path(c.name))
	}
	_, err = ReadFile(path("five"), 4)
	require.ErrorIs(t, err, ErrTooLong)
	require.ErrorContains(t, err, "more than 4 bytes")
}
