package service

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/cmd/onsite/config"
	"onsite/models/manifest"
	"onsite/pipeline"
	"onsite/results"
	"onsite/results/storetest"
)

func TestPrint(t *testing.T) {
	print := printer()
	require.NotNil(t, print, "Chromium is in deploy/setup/apt-test.txt")
	pdf, err := print(t.Context(), []byte(`<!doctype html><title>x</title><p>结论 verdict</p>`))
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(pdf, []byte("%PDF-")))
	require.Greater(t, len(pdf), 1000)
}

// fakeBrowser stands in for Chromium for one test.
func fakeBrowser(t *testing.T, script string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "browser")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700))
	old := browser
	browser = func() string { return path }
	t.Cleanup(func() { browser = old })
	t.Setenv("TMPDIR", t.TempDir())
}

func TestPrintGivesNothingAway(t *testing.T) {
	fakeBrowser(t, "env; exit 3\n")
	t.Setenv("ONSITE_SECRET", "tell nobody")
	_, err := printer()(t.Context(), []byte("x"))
	require.ErrorContains(t, err, "HOME=")
	require.NotContains(t, err.Error(), "tell nobody")
}

// A browser that hangs is killed with its children, and leaves no folder.
func TestPrintLeavesNothing(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	fakeBrowser(t, "sh -c 'echo $$ > "+pid+"; while :; do mkdir -p \"$HOME/again\"; sleep 0.01; done' &\nwait\n")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := printPage(ctx, []byte("x"), time.Minute)
		done <- err
	}()
	child := 0
	require.Eventually(t, func() bool {
		raw, _ := os.ReadFile(pid)
		child, _ = strconv.Atoi(strings.TrimSpace(string(raw)))
		return child > 0
	}, time.Minute, 5*time.Millisecond)
	stop()
	require.ErrorIs(t, <-done, context.Canceled)
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
	require.True(t, err != nil || strings.Contains(string(stat), ") Z "), "%s", stat)
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestOldPrintsAreSwept(t *testing.T) {
	fakeBrowser(t, "")
	for name, age := range map[string]time.Duration{"onsite-print-1": 2 * time.Hour, "onsite-print-2": time.Minute, "other": 2 * time.Hour} {
		dir := filepath.Join(os.TempDir(), name)
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "profile"), 0o700))
		when := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(dir, when, when))
	}
	require.NotNil(t, printer())
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "*"))
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(os.TempDir(), "onsite-print-2"), filepath.Join(os.TempDir(), "other")}, left)
}

func TestManifestsByTheirSum(t *testing.T) {
	c := quick(t)
	c.Store.SQLite = filepath.Join(t.TempDir(), "onsite.db")
	store, err := OpenStore(t.Context(), c, slog.New(slog.DiscardHandler), MoveTables)
	require.NoError(t, err)
	defer store.Close()
	b := &base{cfg: config.Defaults(), steps: store, log: slog.New(slog.DiscardHandler)}
	all, err := manifest.Builtin()
	require.NoError(t, err)
	find := b.manifests()
	text := find(pipeline.ModelRef{SHA256: all[0].File.SHA256})
	require.Contains(t, string(text), all[0].Name)
	require.Nil(t, find(pipeline.ModelRef{SHA256: "none"}))
	added := storetest.NewModel(t, store, "", "mine")
	require.NoError(t, store.AddModel(t.Context(), added, results.AuditEntry{}))
	ref := pipeline.ModelRef{Task: added.Task, Name: added.Name, Version: added.Version, SHA256: added.SHA256}
	require.Equal(t, added.Manifest, find(ref), "one of the registry")
	ref.Name = "theirs"
	require.Nil(t, find(ref), "the same file under a name that is another's")
}
