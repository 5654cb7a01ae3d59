package service

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/goccy/go-yaml"

	"onsite/models/manifest"
	"onsite/pipeline"
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

// printer makes PDFs with headless Chromium, one at a time: each takes some hundred megabytes. It is nil where there is no Chromium.
func printer() func(ctx context.Context, html []byte) ([]byte, error) {
	if browser() == "" {
		return nil
	}
	turn := make(chan struct{}, 1)
	return func(ctx context.Context, html []byte) ([]byte, error) {
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return printPage(ctx, html)
	}
}

// printPage prints a page of ours, which loads nothing from anywhere.
func printPage(ctx context.Context, html []byte) (pdf []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, printTimeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "onsite-print-")
	if err != nil {
		return nil, fmt.Errorf("print a page: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	in, out := filepath.Join(dir, "page.html"), filepath.Join(dir, "page.pdf")
	if err := os.WriteFile(in, html, 0o600); err != nil {
		return nil, fmt.Errorf("print a page: %w", err)
	}
	cmd := exec.CommandContext(ctx, browser(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-sync", //nolint:gosec // found on the PATH
		"--no-first-run", "--user-data-dir="+filepath.Join(dir, "profile"), "--no-pdf-header-footer", "--print-to-pdf="+out, (&url.URL{Scheme: "file", Path: in}).String())
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), "HOME="+dir)
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("print a page with %s: %w: %.200s", browser(), err, text)
	}
	if pdf, err = os.ReadFile(out); err != nil {
		return nil, fmt.Errorf("print a page with %s: it wrote nothing: %w", browser(), err)
	}
	return pdf, nil
}

// manifests finds the manifest of a model by its sha256, among the built-in ones and those of worker.models.
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
	return func(ref pipeline.ModelRef) []byte { return known[ref.SHA256] }
}
