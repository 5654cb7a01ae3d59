package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one child that a supervisor starts again whenever it ends, as systemd would.
type process struct {
	name string
	path string
	args []string
	env  []string
	log  string // file that its output is added to

	mu      sync.Mutex
	cmd     *exec.Cmd
	wanted  bool
	starts  int
	lastErr error
	ended   chan struct{} // closed when the supervisor is gone
}

// restartPause is how long a supervisor waits before it starts a process again: systemd's RestartSec=100ms.
const restartPause = 100 * time.Millisecond

// start begins supervision.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted, p.ended = true, make(chan struct{})
	if err := p.spawn(); err != nil {
		close(p.ended)
		return err
	}
	go p.supervise()
	return nil
}

// spawn starts the child; the caller holds the lock.
func (p *process) spawn() error {
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", p.name, err)
	}
	defer out.Close()
	//nolint:gosec,noctx // the program under test, which outlives every context but the harness's own
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.starts++
	return nil
}

func (p *process) supervise() {
	defer close(p.ended)
	for {
		p.mu.Lock()
		cmd := p.cmd
		p.mu.Unlock()
		err := cmd.Wait()
		p.mu.Lock()
		p.lastErr = err
		if !p.wanted {
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		time.Sleep(restartPause) // a supervisor's pause, not a wait for something
		p.mu.Lock()
		if !p.wanted {
			p.mu.Unlock()
			return
		}
		if err := p.spawn(); err != nil {
			p.lastErr = err
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
}

// signal sends a signal to the child of this moment.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil && p.cmd.Process != nil {
		_ = p.cmd.Process.Signal(s) // it may have ended just now: then the fault was before us
	}
}

func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.cmd.Process == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// misconfigured says that the child ended with the exit state for wrong arguments and settings: it would every time.
func (p *process) misconfigured() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	var exit *exec.ExitError
	return errors.As(p.lastErr, &exit) && exit.ExitCode() == 2
}

// stop ends supervision and the child: in order, and by force after the given time.
func (p *process) stop(patience time.Duration) {
	p.mu.Lock()
	if !p.wanted {
		p.mu.Unlock()
		return
	}
	p.wanted = false
	p.mu.Unlock()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.signal(syscall.SIGKILL)
		<-p.ended
	}
}

// tail is the end of the child's log, for errors.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}

// children gives the processes below a parent, at any depth, whose program has this name.
func children(parent int, program string) []int {
	type entry struct {
		ppid int
		name string
	}
	all := map[int]entry{}
	dirs, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, d := range dirs {
		b, err := os.ReadFile(d)
		if err != nil {
			continue // it ended meanwhile
		}
		// pid (comm) state ppid ...: comm may hold spaces and brackets.
		open, end := strings.IndexByte(string(b), '('), strings.LastIndexByte(string(b), ')')
		if open < 0 || end < open {
			continue
		}
		pid, err1 := strconv.Atoi(strings.TrimSpace(string(b[:open])))
		rest := strings.Fields(string(b[end+1:]))
		if err1 != nil || len(rest) < 2 {
			continue
		}
		ppid, err2 := strconv.Atoi(rest[1])
		if err2 != nil {
			continue
		}
		all[pid] = entry{ppid: ppid, name: string(b[open+1 : end])}
	}
	var out []int
	for pid, e := range all {
		if !isProgram(e.name, program) {
			continue
		}
		for up := e.ppid; up > 1; up = all[up].ppid {
			if up == parent {
				out = append(out, pid)
				break
			}
		}
	}
	return out
}

// isProgram says whether a process's name is that of a program: the kernel keeps 15 bytes of it.
func isProgram(name, program string) bool { return name == program[:min(len(program), 15)] }

// until calls fn every few milliseconds until it is true or ctx ends.
func until(ctx context.Context, what string, fn func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !fn() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, errors.Join(ctx.Err(), context.Cause(ctx)))
		case <-tick.C:
		}
	}
	return nil
}
