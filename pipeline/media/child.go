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
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
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
		if errors.Is(ctx.Err(), context.DeadlineExceeded) && time.Since(start) >= d.timeout {
			return out, refuse(src.name, "too_much_processing", "", length(d.timeout))
		}
		return out, fmt.Errorf("decode %s: %w", src.name, context.Cause(ctx))
	case refusal != nil:
		return out, fromChild(src.name, refusal, d.limits)
	case readErr == nil && end != nil:
		out.end = *end
		return out, nil
	}
	return out, d.failure(src.name, cmd, readErr, waitErr, stderr.String())
}

// failure says why a child ended without a proper answer.
func (d *Decoder) failure(name string, cmd *exec.Cmd, readErr, waitErr error, stderr string) error {
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if errors.Is(readErr, wire.ErrProtocol) && (status.Signaled() || status.ExitStatus() == 2) {
		switch {
		case status.Signaled() && (status.Signal() == syscall.SIGXCPU || status.Signal() == syscall.SIGKILL && cpuOf(cmd) >= d.limits.CPU*95/100):
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

// tail keeps the first bytes of what the child says, and drops the rest.
type tail struct {
	bytes.Buffer
	limit int
}

func (t *tail) Write(p []byte) (int, error) {
	if room := t.limit - t.Len(); room > 0 {
		t.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
