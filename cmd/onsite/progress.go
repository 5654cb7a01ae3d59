package main

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"onsite/pipeline"
	"onsite/pipeline/report"
	"onsite/pipeline/verify"
)

// patience is how long a command may be silent before it shows that it works.
const patience = time.Second

// progress shows on a terminal what is being done, once it has taken longer than patience; elsewhere it is silent.
type progress struct {
	mu    sync.Mutex
	env   *env
	began time.Time
	bar   *progressbar.ProgressBar
}

func newProgress(e *env) *progress { return &progress{env: e, began: time.Now()} }

// stage tells that a stage of the verification begins or ends.
func (p *progress) stage(s verify.Stage, done bool) {
	if !done {
		p.show(-1, 0, p.env.say(report.StageTitle(string(s))))
	}
}

// count gives a function that is told how many of how many are done.
func (p *progress) count(en, zh string) func(done, total int) {
	what := p.env.say(pipeline.Text{EN: en, ZH: zh})
	return func(done, total int) { p.show(total, done, what) }
}

func (p *progress) show(total, done int, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.env.terminal || time.Since(p.began) < patience {
		return
	}
	if p.bar == nil || p.bar.GetMax() != total {
		p.clear()
		p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(p.env.err), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetWidth(24), progressbar.OptionSetElapsedTime(false), progressbar.OptionSetPredictTime(false))
	}
	p.bar.Describe(what)
	_ = p.bar.Set(done)
}

// close takes the bar away.
func (p *progress) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}

// tableWidth is the terminal's width, 80 elsewhere.
func tableWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}
