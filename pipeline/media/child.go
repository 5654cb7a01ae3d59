package media

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"onsite/pipeline/media/wire"
)

// pipeBytes is the size of the answer pipe; a motion frame and most of a small still fit, so that the child seldom waits.
const pipeBytes = 1 << 20

// childEnv is the child's whole environment.
var childEnv = []string{"GOMAXPROCS=1", "GOTRACEBACK=none", "LC_ALL=C"}

// lastWords is how long a child may live after its last record.
const lastWords = 2 * time.Second

// done is what a child that ended well leaves.
type done struct {
	end   wire.End
	usage Usage
}

// runChild starts the child on the file, reads its answer into the sink and waits for it. Whatever happens, the child and
// its group are dead and waited for when it returns.
func (d *Decoder) runChild(ctx context.Context, src *source, req wire.Request, sink wire.Sink) (done, error) {
	raw, err := json.Marshal(req)
	if err != nil {
		return done{}, fmt.Errorf("decode %s: %w", src.name, err)
	}
	if err := ctx.Err(); err != nil {
		return done{}, fmt.Errorf("decode %s: %w", src.name, context.Cause(ctx))
	}
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, d.timeout, errTimeout)
	defer cancel()
	answer, write, err := os.Pipe()
	if err != nil {
		return done{}, fmt.Errorf("decode %s: make a pipe: %w", src.name, err)
	}
	defer answer.Close()
	_, _ = unix.FcntlInt(write.Fd(), unix.F_SETPIPE_SZ, pipeBytes) // only faster; refused when the user's pipes are full

	stderr := tail{limit: 4 << 10}
	cmd := exec.CommandContext(ctx, d.path) //nolint:gosec // the operator names the program
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(raw), write, &stderr
	cmd.ExtraFiles = []*os.File{src.file} // descriptor 3
	cmd.Env = childEnv
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return killGroup(cmd) }
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Start(); err != nil {
		if ctx.Err() != nil { // no fault of the program
			_ = write.Close()
			return done{}, d.stopped(ctx, src.name)
		}
		return done{}, errors.Join(fmt.Errorf("decode %s: %w: start %s: %w", src.name, ErrDecoder, d.path, err), write.Close())
	}
	_ = write.Close()
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		waitWithoutReaping(cmd.Process.Pid)
		_ = killGroup(cmd) // whatever it may have left in its group; its number is still taken, so no other group is hit
	}()
	end, refusal, readErr := wire.Read(answer, bounds(src, req), sink)
	if readErr != nil {
		_ = killGroup(cmd) // nothing more is read
	}
	select {
	case <-exited:
	case <-time.After(lastWords):
		_ = killGroup(cmd)
		<-exited
	}
	waitErr := cmd.Wait()
	out := done{usage: usageOf(cmd, start)}
	switch {
	case ctx.Err() != nil && end == nil && refusal == nil:
		return out, d.stopped(ctx, src.name)
	case refusal != nil:
		return out, fromChild(src.name, refusal, d.limits)
	case readErr == nil && end != nil:
		out.end = *end
		return out, nil
	}
	return out, d.failure(src.name, cmd, readErr, waitErr, stderr.String())
}

// errTimeout is the cause of a context that ended with the decoder's own timeout, not with the caller's patience.
var errTimeout = errors.New("the decoder's timeout is over")

// stopped says why a child was not run to its end: the media's cost, or the caller's wish.
func (d *Decoder) stopped(ctx context.Context, name string) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, errTimeout) {
		return refuse(name, "too_much_processing", "", length(d.timeout))
	}
	return fmt.Errorf("decode %s: %w", name, cause)
}

// limitSlack is how much less than the limit a child may have run when the kernel ends it for its processor time: the limit goes by ticks of the
// clock, which on a busy machine may fall on a process that ran for a part of them only.
const limitSlack = 300 * time.Millisecond

// failure says why a child ended without a proper answer.
func (d *Decoder) failure(name string, cmd *exec.Cmd, readErr, waitErr error, stderr string) error {
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if errors.Is(readErr, wire.ErrProtocol) && (status.Signaled() || status.ExitStatus() == 2) {
		switch {
		case status.Signaled() && (status.Signal() == syscall.SIGXCPU || status.Signal() == syscall.SIGKILL && cpuOf(cmd) >= d.limits.CPU-max(d.limits.CPU/20, limitSlack)):
			return refuse(name, "too_much_processing", "", length(d.limits.CPU))
		case strings.Contains(stderr, "out of memory") || strings.Contains(stderr, "cannot allocate memory") || strings.Contains(stderr, "bad_alloc"):
			return refuse(name, "too_much_memory", "", amount(d.limits.MemoryBytes))
		case status.Signaled() && status.Signal() != syscall.SIGKILL:
			return refuse(name, "decoder_crashed", " ("+status.Signal().String()+")", "")
		case status.ExitStatus() == 2: // a Go panic, or a signal that the Go runtime turned into one
			return refuse(name, "decoder_crashed", "", "")
		}
	}
	if stderr = line(strings.ReplaceAll(stderr, "\n", " "), 200); stderr != "" {
		stderr = " (it said: " + stderr + ")"
	}
	if waitErr == nil {
		waitErr = errors.New("exit status 0")
	}
	return fmt.Errorf("decode %s: %w: %w; %w%s", name, ErrDecoder, readErr, waitErr, stderr)
}

// waitWithoutReaping returns when the process has ended and leaves its status to be fetched.
func waitWithoutReaping(pid int) {
	for {
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// killGroup kills the child and everything it may have started.
func killGroup(cmd *exec.Cmd) error {
	err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

func cpuOf(cmd *exec.Cmd) time.Duration {
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

func usageOf(cmd *exec.Cmd, start time.Time) Usage {
	u := Usage{Wall: time.Since(start), CPU: cpuOf(cmd)}
	if r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.PeakRSS = r.Maxrss * 1024
	}
	return u
}

// tail keeps the first bytes of what the child says, and drops the rest. The buffer is no embedded one: io.Copy would find its ReadFrom,
// which knows no limit.
type tail struct {
	kept  []byte
	limit int
}

func (t *tail) Write(p []byte) (int, error) {
	if room := t.limit - len(t.kept); room > 0 {
		t.kept = append(t.kept, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.kept) }

// Len is the number of bytes kept.
func (t *tail) Len() int { return len(t.kept) }
