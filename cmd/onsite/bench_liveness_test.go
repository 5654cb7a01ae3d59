package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What nothing can be measured on, or made of, is a mistake in the arguments, and the message names which.
func TestBenchLivenessBadInput(t *testing.T) {
	empty, out := t.TempDir(), filepath.Join(t.TempDir(), "suite")
	none, full := filepath.Join(empty, "none"), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(full, "a.mp4"), nil, 0o600))
	for _, c := range []struct {
		want string
		args []string
	}{
		{"--data " + none + ": no such file", []string{"--data", none}},
		{"--data " + empty + ": nothing is in it", []string{"--data", empty}},
		{"--clips " + none + ": no such file", []string{"--make", out, "--clips", none}},
		{"--clips " + empty + ": nothing is in it", []string{"--make", out, "--clips", empty}},
		{"--seconds: 0, want 1 or more", []string{"--make", out, "--clips", empty, "--seconds", "0"}},
		{"--species nosuch: no species is called that; there are still,", []string{"--make", out, "--clips", full, "--species", "nosuch"}},
		{"--species nosuch：没有该攻击种类", []string{"--lang", "zh", "--make", out, "--clips", full, "--species", "nosuch"}},
		{"--seconds：0.1，应不小于 1", []string{"--lang", "zh", "--make", out, "--clips", empty, "--seconds", "0.1"}},
	} {
		code, _, errOut := onsite(t, append([]string{"bench", "liveness"}, c.args...)...)
		require.Equal(t, exitUsage, code, c.args)
		require.Contains(t, errOut, c.want)
	}
	require.NoDirExists(t, out, "nothing is made of what is refused")
}
