package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A suite is made, evaluated as a whole, and read by --pairs as it is.
func TestBenchReuseSuite(t *testing.T) {
	clips, suite, plots := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "plots")
	for name, source := range map[string]string{"a.mp4": "testsrc2", "b.mp4": "mandelbrot"} {
		made := ffmpeg(t, name, "-f", "lavfi", "-i", source+"=size=128x96:rate=10", "-t", "2", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
		require.NoError(t, os.Rename(made, filepath.Join(clips, name)))
	}
	code, out, errOut := onsite(t, "bench", "reuse", "--make", suite, "--clips", clips, "--kinds", "remux,crop10", "--json")
	require.Zero(t, code, errOut)
	require.Contains(t, out, `"queries": 4`)

	code, out, errOut = onsite(t, "bench", "reuse", "--suite", suite, "--plots", plots, "--json")
	require.Zero(t, code, errOut)
	var r struct {
		Video struct {
			Same, Easy int
			Kinds      []struct {
				Transform string
				Reused    struct{ Hits, N int }
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Equal(t, []int{4, 4}, []int{r.Video.Same, r.Video.Easy})
	require.Equal(t, "remux", r.Video.Kinds[1].Transform)
	require.Equal(t, 2, r.Video.Kinds[1].Reused.Hits, "another container does not hide the same packets")
	require.FileExists(t, filepath.Join(plots, "clips-transforms.svg"))

	code, out, errOut = onsite(t, "bench", "reuse", "--pairs", filepath.Join(suite, "suite.csv"), "--json")
	require.Zero(t, code, errOut)
	var pairs struct{ Pairs []any }
	require.NoError(t, json.Unmarshal([]byte(out), &pairs))
	require.Len(t, pairs.Pairs, 8)
}

func TestBenchReuseBadInput(t *testing.T) {
	empty, table := t.TempDir(), filepath.Join(t.TempDir(), "pairs.csv")
	require.NoError(t, os.WriteFile(table, []byte("query,original,label\nnosuch.mp4,other.mp4,same\n"), 0o600))
	out := filepath.Join(t.TempDir(), "suite")
	for _, c := range []struct {
		want string
		args []string
	}{
		{"--pairs", nil},
		{"--clips FOLDER", []string{"--make", t.TempDir()}},
		{"--make", []string{"--suite", t.TempDir()}},
		{"half", []string{"--suite", t.TempDir(), "--half", "c"}},
		{"--easy: 0, want 1", []string{"--make", out, "--clips", empty, "--easy", "0"}},
		{"--easy: -1, want 1", []string{"--make", out, "--clips", empty, "--easy=-1"}},
		{"crop99", []string{"--make", out, "--clips", empty, "--kinds", "crop99"}},
		{"has no files", []string{"--make", out, "--clips", empty}},
		{"--photos", []string{"--make", out, "--photos", filepath.Join(empty, "none")}},
		{"--seconds", []string{"--make", out, "--clips", empty, "--seconds", "0"}},
		{"--seconds", []string{"--make", out, "--clips", empty, "--seconds", "61"}},
		{"suite.csv is not in it", []string{"--suite", empty}},
		{"--splits", []string{"--suite", empty, "--splits", "0"}},
		{"line 2, nosuch.mp4: no such file", []string{"--pairs", table}},
		{"请修复该文件", []string{"--lang", "zh", "--pairs", table}},
		{"no such file", []string{"--pairs", filepath.Join(empty, "none.csv")}},
	} {
		code, _, errOut := onsite(t, append([]string{"bench", "reuse"}, c.args...)...)
		require.Equal(t, exitUsage, code, c.args)
		require.Contains(t, errOut, c.want)
	}
	require.NoDirExists(t, out, "nothing is made of what is refused")
}
