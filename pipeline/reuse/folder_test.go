package reuse

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

var errRefused = errors.New("this is no clip")

// fakeDecoder makes a clip of the take that the file's first byte names; files that begin with "x" are refused.
func fakeDecoder(t *testing.T, calls *atomic.Int64) Decode {
	return func(_ context.Context, m pipeline.Media) (*media.Clip, error) {
		calls.Add(1)
		path := string(m.(pipeline.File))
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if b[0] == 'x' {
			return nil, errRefused
		}
		clip := film(t, newStage(1, uint64(b[0]), 160, 120), 2, from(0), asIs)
		if clip.Info.SHA256, err = hashFile(path); err != nil {
			return nil, err
		}
		return clip, nil
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func TestFolderListsCachesAndSkips(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "b.mp4"), "b")
	write(t, filepath.Join(dir, "a.mp4"), "a")
	write(t, filepath.Join(dir, "notes.txt"), "x")
	write(t, filepath.Join(dir, ".hidden"), "h")
	write(t, filepath.Join(dir, "today.mp4"), "t")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	write(t, filepath.Join(dir, "sub", "c.mp4"), "c")
	require.NoError(t, os.Symlink(filepath.Join(dir, "gone"), filepath.Join(dir, "link.mp4")))
	var calls atomic.Int64
	var seen []int
	open := func(except string) *Folder {
		f, err := OpenFolder(context.Background(), FolderOptions{Dir: dir, Except: except, Decode: fakeDecoder(t, &calls), Progress: func(done, total int) { seen = append(seen, done, total) }})
		require.NoError(t, err)
		return f
	}
	f := open(filepath.Join(dir, "today.mp4"))
	require.Equal(t, 2, f.Len())
	require.Equal(t, []int{1, 3, 2, 3, 3, 3}, seen)
	list, err := f.Earlier(context.Background())
	require.NoError(t, err)
	require.Equal(t, "a.mp4", list[0].Job)
	require.Equal(t, "b.mp4", list[1].Job)
	require.Len(t, list[0].SHA256, 64)
	require.Len(t, f.Skipped(), 2)
	require.Equal(t, "link.mp4", f.Skipped()[0].Name)
	require.ErrorIs(t, f.Skipped()[0].Err, fs.ErrNotExist)
	require.Equal(t, "notes.txt", f.Skipped()[1].Name)
	require.ErrorIs(t, f.Skipped()[1].Err, errRefused)
	require.Equal(t, 2, f.Missing(), "a link to nowhere, and a file that the decoder broke off on for an unknown reason")
	require.Positive(t, f.AsOf())

	before := calls.Load()
	again, err := open("").Earlier(context.Background())
	require.NoError(t, err)
	require.Equal(t, before+2, calls.Load(), "only the refused file and the new one are decoded again")
	require.Len(t, again, 3)
	require.Equal(t, list[0], again[0])

	// A damaged fingerprint is made again, and one of another version, also of one that is read where there is no footage to make it of.
	stale := filepath.Join(dir, cacheFolder, list[0].SHA256+".fp")
	raw, err := os.ReadFile(stale)
	require.NoError(t, err)
	for _, old := range [][]byte{asVersion(raw, FormatVersion+1), asVersion(raw, withoutCells), raw[:len(raw)/2], raw[:3]} {
		require.NoError(t, os.WriteFile(stale, old, 0o600))
		before = calls.Load()
		again, err = open("").Earlier(context.Background())
		require.NoError(t, err)
		require.Equal(t, before+2, calls.Load())
		require.Equal(t, list[0], again[0])
	}
	left, err := filepath.Glob(filepath.Join(dir, cacheFolder, ".new-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// A cache that cannot be written costs time, nothing else. The cache's name is taken by a file, which stops even root.
func TestFolderWithoutACache(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.mp4"), "a")
	write(t, filepath.Join(dir, cacheFolder), "in the way")
	var calls atomic.Int64
	for range 2 {
		f, err := OpenFolder(context.Background(), FolderOptions{Dir: dir, Decode: fakeDecoder(t, &calls)})
		require.NoError(t, err)
		require.Equal(t, 1, f.Len())
	}
	require.EqualValues(t, 2, calls.Load())
}

// A fingerprint in the cache whose place is taken by a pipe is made again; waiting for a writer would never end.
func TestFolderDoesNotWaitOnAPipe(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.mp4")
	write(t, path, "a")
	sha, err := hashFile(path)
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(dir, cacheFolder), 0o700))
	pipe := filepath.Join(dir, cacheFolder, sha+".fp")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	_, err = hashFile(pipe)
	require.ErrorIs(t, err, pipeline.ErrNotRegular)
	var calls atomic.Int64
	f, err := OpenFolder(context.Background(), FolderOptions{Dir: dir, Decode: fakeDecoder(t, &calls)})
	require.NoError(t, err)
	require.Equal(t, 1, f.Len())
	require.EqualValues(t, 1, calls.Load())
}

func TestFolderErrors(t *testing.T) {
	_, err := OpenFolder(context.Background(), FolderOptions{Dir: filepath.Join(t.TempDir(), "none")})
	require.ErrorIs(t, err, fs.ErrNotExist)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.mp4"), "a")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var calls atomic.Int64
	_, err = OpenFolder(ctx, FolderOptions{Dir: dir, Decode: fakeDecoder(t, &calls)})
	require.ErrorIs(t, err, context.Canceled)
	empty, err := OpenFolder(context.Background(), FolderOptions{Dir: t.TempDir(), Decode: fakeDecoder(t, &calls)})
	require.NoError(t, err)
	require.Zero(t, empty.Len())
}

func TestFolderPicture(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.mp4"), "a")
	var calls atomic.Int64
	f, err := OpenFolder(context.Background(), FolderOptions{Dir: dir, Decode: fakeDecoder(t, &calls)})
	require.NoError(t, err)
	first, err := f.Picture(context.Background(), "a.mp4", 0)
	require.NoError(t, err)
	require.Equal(t, []byte{0xff, 0xd8}, first[:2])
	later, err := f.Picture(context.Background(), "a.mp4", 1100)
	require.NoError(t, err)
	require.NotEqual(t, first, later)
	require.EqualValues(t, 2, calls.Load(), "the stills of a clip are kept")
	_, err = f.Picture(context.Background(), "../secret", 0)
	require.ErrorContains(t, err, "none of that name")
	require.NoError(t, os.Remove(filepath.Join(dir, "a.mp4")))
	f.album = ""
	_, err = f.Picture(context.Background(), "a.mp4", 0)
	require.ErrorIs(t, err, fs.ErrNotExist)
}
