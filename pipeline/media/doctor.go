package media

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"onsite/pipeline/media/wire"
)

// Health is what the decoder's self-test found.
type Health struct {
	Path    string   // of the child program
	Libav   string   // versions of the libraries in it
	Walls   []string // that stand around it on this machine
	Missing []string // that this kernel does not have
	Tried   int      // forbidden things tried from inside
	Leaks   []string // those that went through: a fault
}

// Doctor runs the child's self-test: it raises its walls and tries from inside what they must forbid. An error (ErrDecoder) says that
// nothing can be decoded on this machine.
func (d *Decoder) Doctor(ctx context.Context) (Health, error) {
	h := Health{Path: d.path}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var out, said tail
	out.limit, said.limit = 64<<10, 4<<10
	cmd := exec.CommandContext(ctx, d.path, "--probe-sandbox") //nolint:gosec // the operator names the program
	open, err := os.Open(os.DevNull)
	if err != nil {
		return h, fmt.Errorf("%w: its self-test needs %s: %w", ErrDecoder, os.DevNull, err)
	}
	defer open.Close()
	cmd.ExtraFiles = []*os.File{open, open} // descriptor 3, as always, and one that is left open by mistake
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.Env = &out, &said, "/", childEnv
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return killGroup(cmd) }
	cmd.WaitDelay = 2 * time.Second
	runErr := cmd.Run()
	var p wire.Probe
	if err := json.Unmarshal(bytes.TrimSpace(out.kept), &p); err != nil {
		return h, fmt.Errorf("%w: its self-test gave no answer: %w (%s)", ErrDecoder, errOf(runErr, err), line(strings.ReplaceAll(said.String(), "\n", " "), 200))
	}
	h.Libav, h.Walls, h.Missing, h.Tried = line(p.Libav, 200), p.Sandbox, p.Missing, len(p.Attempts)
	for _, a := range p.Attempts {
		if !a.Denied {
			h.Leaks = append(h.Leaks, a.What)
		}
	}
	switch {
	case p.Error != "":
		return h, fmt.Errorf("%w: its sandbox cannot be built: %s", ErrDecoder, line(p.Error, 200))
	case runErr != nil:
		return h, fmt.Errorf("%w: its self-test failed: %w", ErrDecoder, runErr)
	case len(h.Leaks) > 0:
		return h, fmt.Errorf("%w: its sandbox lets through: %s", ErrDecoder, strings.Join(h.Leaks, ", "))
	}
	return h, nil
}

func errOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
