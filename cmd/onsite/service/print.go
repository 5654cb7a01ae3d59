package service

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/goccy/go-yaml"

	"onsite/models/manifest"
	"onsite/pipeline"
	"onsite/results"
)

// printTimeout bounds the making of one PDF; two seconds are usual.
const printTimeout = time.Minute

// browser finds Chromium; "" when there is none.
var browser = sync.OnceValue(func() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
})

// Folders of a print are named so; one that is older than staleAfter is of a process that was killed, for a print takes a minute at most.
const (
	printPrefix = "onsite-print-"
	staleAfter  = time.Hour
)

// printer makes PDFs with headless Chromium, one at a time: each takes some hundred megabytes. It is nil where there is no Chromium. It begins
// with removing what killed processes left: the pages are about people.
func printer() func(ctx context.Context, html []byte) ([]byte, error) {
	if browser() == "" {
		return nil
	}
	sweepPrints(os.TempDir(), time.Now())
	turn := make(chan struct{}, 1)
	return func(ctx context.Context, html []byte) ([]byte, error) {
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return printPage(ctx, html, printTimeout)
	}
}

// sweepPrints removes old folders of prints; those of others, which it may not, stay.
func sweepPrints(in string, now time.Time) {
	all, err := os.ReadDir(in)
	if err != nil {
		return
	}
	for _, e := range all {
		if info, err := e.Info(); err == nil && e.IsDir() && strings.HasPrefix(e.Name(), printPrefix) && now.Sub(info.ModTime()) > staleAfter {
			_ = os.RemoveAll(filepath.Join(in, e.Name()))
		}
	}
}

// printPage prints a page of ours, which loads nothing from anywhere. Chromium and all its children are dead when it returns.
func printPage(ctx context.Context, html []byte, limit time.Duration) (pdf []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dir, err := os.MkdirTemp("", printPrefix)
	if err != nil {
		return nil, fmt.Errorf("print a page: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	in, out := filepath.Join(dir, "page.html"), filepath.Join(dir, "page.pdf")
	if err := os.WriteFile(in, html, 0o600); err != nil {
		return nil, fmt.Errorf("print a page: %w", err)
	}
	cmd := exec.CommandContext(ctx, browser(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-sync", //nolint:gosec // found on the PATH
		"--no-first-run", "--disable-breakpad", "--user-data-dir="+filepath.Join(dir, "profile"), "--no-pdf-header-footer", "--print-to-pdf="+out, (&url.URL{Scheme: "file", Path: in}).String())
	// Nothing of our own environment, which has secrets (ONSITE_*), and all that it writes in the folder.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "LANG=C.UTF-8"}
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killPrint(cmd) }
	cmd.WaitDelay = time.Second
	defer buryPrint(cmd) // before the folder is removed
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("print a page with %s: %w: %.200s", browser(), errors.Join(context.Cause(ctx), err), text)
	}
	if pdf, err = os.ReadFile(out); err != nil {
		return nil, fmt.Errorf("print a page with %s: it wrote nothing: %w", browser(), err)
	}
	return pdf, nil
}

// killPrint kills the process group that Chromium leads.
func killPrint(cmd *exec.Cmd) error {
	err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// buryPrint kills what is left of the group and waits until it is gone: a process that still writes would make the folder anew. Dead ones
// that nobody waits for (a container without an init) end the waiting after a second.
func buryPrint(cmd *exec.Cmd) {
	if cmd.Process == nil {
		return
	}
	for end := time.Now().Add(time.Second); killPrint(cmd) == nil && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
}

// manifests finds the manifest of a model by its sha256, among the built-in ones, those of worker.models and those of the registry.
func (b *base) manifests() func(pipeline.ModelRef) []byte {
	known := map[string][]byte{}
	all, err := manifest.Builtin()
	if err == nil && b.cfg.Worker.Models != "" {
		var own []manifest.Manifest
		own, err = manifest.LoadDir(b.cfg.Worker.Models)
		all = append(all, own...)
	}
	if err != nil { // whoever loads the models says it
		b.log.Warn("manifests of models cannot be read", "error", err.Error())
	}
	for _, m := range all {
		text, err := yaml.Marshal(m)
		if err != nil {
			b.log.Warn("a manifest cannot be written", "model", m.Name, "error", err.Error())
			continue
		}
		known[m.File.SHA256] = text
	}
	return func(ref pipeline.ModelRef) []byte {
		if text, ok := known[ref.SHA256]; ok {
			return text
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		m, err := b.steps.ModelByFile(ctx, ref) // of the registry, also a retired one
		if err != nil && !errors.Is(err, results.ErrNotFound) {
			b.log.Warn("the manifest of a model cannot be read from the registry", "model", ref.Name, "error", err.Error())
		}
		return m.Manifest
	}
}
