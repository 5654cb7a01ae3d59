package object_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"onsite/results/object"
	"onsite/results/object/objecttest"
)

func openFolder(t *testing.T, dir string) *object.Folder {
	t.Helper()
	f, err := object.NewFolder(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}

func temps(t *testing.T, dir string) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "temp", "*"))
	require.NoError(t, err)
	return left
}

func TestFolder(t *testing.T) {
	objecttest.Run(t, func(t *testing.T) objecttest.Subject {
		dir := t.TempDir()
		return objecttest.Subject{Store: openFolder(t, dir), Unfinished: func(t *testing.T, _ string) []string { return temps(t, dir) }}
	})
}

// Every folder is 0700 and every file 0600, whatever the umask says.
func TestFolderModes(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	dir := filepath.Join(t.TempDir(), "a", "objects")
	f := openFolder(t, dir)
	require.NoError(t, f.Put(t.Context(), "t/e1/x", strings.NewReader("x"), 1))
	seen := 0
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		require.NoError(t, err)
		seen++
		want := os.FileMode(0o600)
		if info.IsDir() {
			want = 0o700
		}
		require.Equal(t, want, info.Mode().Perm(), path)
		return nil
	}))
	require.Equal(t, 6, seen)
	require.NoError(t, f.Delete(t.Context(), "t/e1/x"))
	require.NoFileExists(t, filepath.Join(dir, "objects", "t"), "the names of subjects go with their last object")
}

// A link in the tree leads nowhere: neither out of the folder nor to a file of somebody else.
func TestFolderLinks(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	f := openFolder(t, dir)
	secret := filepath.Join(outside, "secret")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "objects", "t", "e1"), 0o700))
	require.NoError(t, os.Symlink(secret, filepath.Join(dir, "objects", "t", "e1", "x")))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "objects", "t", "e2")))
	_, err := f.Get(t.Context(), "t/e1/x")
	require.Error(t, err)
	_, err = f.Get(t.Context(), "t/e2/secret")
	require.Error(t, err)
	require.Error(t, f.Put(t.Context(), "t/e2/new", strings.NewReader("x"), 1))
	require.NoFileExists(t, filepath.Join(outside, "new"))
	require.Empty(t, temps(t, dir))
	// Putting over a link replaces the link.
	require.NoError(t, f.Put(t.Context(), "t/e1/x", strings.NewReader("mine"), 4))
	b, err := os.ReadFile(secret)
	require.NoError(t, err)
	require.Equal(t, "secret", string(b))
}

// What a killed process left is removed at the next start; what a living one writes is not.
func TestFolderLeftovers(t *testing.T) {
	if os.Getenv("ONSITE_TEST_WRITER") != "" {
		writeForEver()
	}
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestFolderLeftovers$")
	cmd.Env = append(os.Environ(), "ONSITE_TEST_WRITER="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = io.ReadFull(out, make([]byte, 1)) // it is in the middle of a Put
	require.NoError(t, err)
	require.Len(t, temps(t, dir), 1)

	f := openFolder(t, dir)
	require.Len(t, temps(t, dir), 1, "the other process still lives")
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Len(t, temps(t, dir), 1)
	openFolder(t, dir)
	require.Empty(t, temps(t, dir))
	_, err = f.Get(t.Context(), "t/e1/x")
	require.ErrorIs(t, err, object.ErrNotFound)
}

func writeForEver() {
	f, err := object.NewFolder(os.Getenv("ONSITE_TEST_WRITER"))
	if err != nil {
		panic(err)
	}
	sent := false
	err = f.Put(context.Background(), "t/e1/x", readFunc(func(p []byte) (int, error) {
		if sent {
			_, _ = os.Stdout.WriteString("!")
			select {} // until we are killed
		}
		sent = true
		return copy(p, bytes.Repeat([]byte("x"), 1000)), nil
	}), -1)
	panic(err)
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// A disk that is full says so, leaves nothing, and takes objects again when there is room.
func TestFolderFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("no tmpfs can be mounted here:", err)
	}
	defer func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) }()
	f, err := object.NewFolder(dir)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, f.Put(t.Context(), "t/e1/small", bytes.NewReader(make([]byte, 200<<10)), -1))
	err = f.Put(t.Context(), "t/e1/big", bytes.NewReader(make([]byte, 2<<20)), -1)
	require.ErrorIs(t, err, object.ErrNoSpace)
	require.ErrorContains(t, err, "t/e1/big")
	require.Empty(t, temps(t, dir))
	_, err = f.Get(t.Context(), "t/e1/big")
	require.ErrorIs(t, err, object.ErrNotFound)
	require.ErrorIs(t, f.Ping(t.Context()), object.ErrNoSpace)
	require.NoError(t, f.Put(t.Context(), "t/e1/other", bytes.NewReader(make([]byte, 500<<10)), -1))
	// No room for one more name.
	for i := 0; ; i++ {
		if err = f.Put(t.Context(), "t/e1/n"+strings.Repeat("x", i%100)+string(rune('a'+i/100)), bytes.NewReader(make([]byte, 4096)), -1); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, object.ErrNoSpace)
}

// A folder that is gone (a disk that is not mounted) is a store that is away, not one whose objects were deleted.
func TestFolderGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	f := openFolder(t, dir)
	require.NoError(t, f.Put(t.Context(), "t/e1/x", strings.NewReader("x"), 1))
	require.NoError(t, os.Rename(dir, dir+".away"))
	_, err := f.Get(t.Context(), "t/e1/y")
	require.ErrorIs(t, err, object.ErrAway)
	require.ErrorIs(t, f.Ping(t.Context()), object.ErrAway)
	require.NoError(t, os.Rename(dir+".away", dir))
	require.NoError(t, f.Ping(t.Context()))
	_, err = f.Get(t.Context(), "t/e1/y")
	require.ErrorIs(t, err, object.ErrNotFound)

	_, err = object.NewFolder("/proc/onsite-cannot-be")
	require.Error(t, err)
	_, err = object.NewFolder(filepath.Join(dir, "objects", "t", "e1", "x"))
	require.Error(t, err, "a file is no folder")
}

func TestFolderClosed(t *testing.T) {
	f, err := object.NewFolder(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.ErrorIs(t, f.Put(t.Context(), "t/e1/x", strings.NewReader("x"), 1), object.ErrAway)
	_, err = f.Get(t.Context(), "t/e1/x")
	require.ErrorIs(t, err, object.ErrAway)
}

func BenchmarkFolderPut(b *testing.B) {
	for _, n := range []int{64 << 10, 4 << 20} {
		b.Run(map[int]string{64 << 10: "64KiB", 4 << 20: "4MiB"}[n], func(b *testing.B) {
			f, err := object.NewFolder(b.TempDir())
			require.NoError(b, err)
			data := make([]byte, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				if err := f.Put(b.Context(), "t/e1/x", bytes.NewReader(data), int64(n)); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			if err := errors.Join(f.Close()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
