package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What cannot be measured is said before minutes are spent, and in words.
func TestBenchCoreFlags(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.mp4")
	require.NoError(t, os.WriteFile(text, []byte("no clip"), 0o600))
	for flag, want := range map[string]benchCoreCmd{
		"--runs 0":               {},
		"--workers -1":           {Runs: 1, Workers: -1},
		"--load 2":               {Runs: 1, Load: 2, Arrivals: 1},
		"--arrivals 0":           {Runs: 1, Load: .5},
		"--compare " + text:      {Runs: 1, Compare: text},
		"--html " + dir + "/x/y": {Runs: 1, HTML: dir + "/x/y"},
	} {
		err := want.check()
		var usage *usageError
		require.ErrorAs(t, err, &usage, flag)
		require.Contains(t, usage.text.EN, flag)
		require.Contains(t, usage.text.ZH, flag)
	}
	require.NoError(t, (&benchCoreCmd{Runs: 1, Load: .7, Arrivals: 1, HTML: filepath.Join(dir, "page.html")}).check())
	require.NoFileExists(t, filepath.Join(dir, "page.html"), "to look whether it can be written leaves nothing")
	require.NoError(t, (&benchCoreCmd{Runs: 1, HTML: text}).check())
	require.FileExists(t, text, "what was there stays")
	_, err := cutClip(t.Context(), text, filepath.Join(dir, "cut"))
	var usage *usageError
	require.ErrorAs(t, err, &usage)
	require.Contains(t, usage.text.EN, text)
}

// WebM as a browser records it says nowhere how long it is.
func TestClipLength(t *testing.T) {
	args := []string{"-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10", "-t", "2", "-c:v", "libvpx", "-deadline", "realtime", "-live", "1"}
	for name, want := range map[string]float64{"live.webm": 1.9, "whole.webm": 2} {
		use := args
		if name == "whole.webm" {
			use = args[:len(args)-2]
		}
		length, err := clipLength(t.Context(), ffmpeg(t, name, use...))
		require.NoError(t, err, name)
		require.InDelta(t, want, length, .01, name)
	}
}

func TestHarnessTakesNoFilledFolder(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "clip.mp4"), nil, 0o600))
	_, _, _, _, err := harness{Dir: dir}.open(&env{}) //nolint:dogsled // the error alone
	require.ErrorContains(t, err, "not empty")
	_, _, _, done, err := harness{Dir: filepath.Join(dir, "new")}.open(&env{}) //nolint:dogsled // the same
	require.NoError(t, err)
	done(false)
}
