package vault_test

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/results/vault"
)

func TestKEKFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "kek")
	_, err := vault.LoadKEK(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	made, err := vault.NewKEK(path)
	require.NoError(t, err)
	st, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), st.Mode().Perm())
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1)
	loaded, err := vault.LoadKEK(path)
	require.NoError(t, err)
	require.Equal(t, made.ID(), loaded.ID())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	env, err := vault.KEKFromEnv(string(text))
	require.NoError(t, err)
	require.Equal(t, made.ID(), env.ID())
	require.NotContains(t, string(text), made.ID())

	_, err = vault.NewKEK(path)
	require.ErrorIs(t, err, fs.ErrExist, "a key is never replaced")
	again, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, text, again)

	for _, mode := range []fs.FileMode{0o644, 0o640, 0o604, 0o660, 0o602, 0o610} {
		require.NoError(t, os.Chmod(path, mode))
		_, err = vault.LoadKEK(path)
		require.ErrorIs(t, err, vault.ErrKEK, mode)
		require.ErrorContains(t, err, "chmod 600 "+path)
		require.NotContains(t, err.Error(), strings.TrimSpace(string(text)))
	}
	require.NoError(t, os.Chmod(path, 0o400))
	_, err = vault.LoadKEK(path)
	require.NoError(t, err)
	_, err = vault.LoadKEK(filepath.Dir(path))
	require.ErrorIs(t, err, vault.ErrKEK)
}

// Two processes that start at once end up with one key.
func TestKEKRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	var wg sync.WaitGroup
	ids := make([]string, 8)
	errs := make([]error, 8)
	for i := range ids {
		wg.Go(func() {
			k, err := vault.NewKEK(path)
			if errors.Is(err, fs.ErrExist) {
				k, err = vault.LoadKEK(path)
			}
			if errs[i] = err; err == nil {
				ids[i] = k.ID()
			}
		})
	}
	wg.Wait()
	for i := range ids {
		require.NoError(t, errs[i])
		require.Equal(t, ids[0], ids[i])
	}
}

func TestKEKText(t *testing.T) {
	good := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	_, err := vault.KEKFromEnv(" " + good + "\n")
	require.NoError(t, err)
	for _, bad := range []string{"", "secret-but-no-base64!", "c2hvcnQ=", good + good, base64.StdEncoding.EncodeToString(make([]byte, 32)), good[:len(good)-1]} {
		_, err := vault.KEKFromEnv(bad)
		require.ErrorIs(t, err, vault.ErrKEK, bad)
		if bad != "" {
			require.NotContains(t, err.Error(), bad, "a key that is nearly right is no less secret")
		}
	}
	path := filepath.Join(t.TempDir(), "kek")
	require.NoError(t, os.WriteFile(path, []byte("hello"), 0o600))
	_, err = vault.LoadKEK(path)
	require.ErrorIs(t, err, vault.ErrKEK)
	require.ErrorContains(t, err, path)
	_, err = vault.NewKEK("/proc/onsite/kek")
	require.Error(t, err)
}

func TestKEKDerive(t *testing.T) {
	b, other := newBench(t), newBench(t)
	x, err := b.kek.Derive("cursors", 32)
	require.NoError(t, err)
	require.Len(t, x, 32)
	again, err := b.kek.Derive("cursors", 32)
	require.NoError(t, err)
	require.Equal(t, x, again)
	y, err := b.kek.Derive("links", 32)
	require.NoError(t, err)
	require.NotEqual(t, x, y)
	z, err := other.kek.Derive("cursors", 32)
	require.NoError(t, err)
	require.NotEqual(t, x, z)
}

// Another key than the one a store was begun with says so by name, at the start and at every use.
func TestWrongKEK(t *testing.T) {
	b := newBench(t)
	s := b.put(t, "t", "e1", []byte("x"))
	require.NoError(t, b.Check(t.Context()))
	require.NoError(t, b.Check(t.Context()))
	wrong := newBench(t)
	v := vault.New(b.store, b.objects, wrong.kek)
	for what, err := range map[string]error{
		"check": v.Check(t.Context()),
		"open":  func() error { _, err := v.Open(t.Context(), s.Key); return err }(),
		"seal":  func() error { _, err := v.SealBytes(t.Context(), "t", "e1", "r", nil); return err }(),
	} {
		var kek *vault.KEKError
		require.ErrorAs(t, err, &kek, what)
		require.Equal(t, kek.Want, b.kek.ID())
		require.Equal(t, kek.Have, wrong.kek.ID())
		require.NotErrorIs(t, err, vault.ErrForged, what)
		require.Contains(t, kek.Text().EN, kek.Want)
		require.Contains(t, kek.Text().ZH, kek.Have)
	}
	b.store.fail = results.ErrAway
	require.ErrorIs(t, b.Check(t.Context()), results.ErrAway)
}
