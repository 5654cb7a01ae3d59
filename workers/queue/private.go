package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"onsite/pipeline"
)

// Private is a redis-server of our own: a child process on a Unix socket in the data folder, with an append-only file. It dies with this
// process, however that ends, and is started again when it dies alone.
type Private struct {
	folder string
	dir    *os.File // the folder: a short name for the socket, whatever its path
	lock   *os.File
	log    *slog.Logger
	binary string

	stop  context.CancelFunc
	owned sync.WaitGroup

	mu  sync.Mutex
	pid int // of the running child; 0: none

	words tail
}

const (
	socket = "redis.sock"
	// A Unix socket's address has 108 bytes. A longer path goes through the descriptor of its folder.
	maxSocketPath = 100
	startWithin   = 20 * time.Second // loading a long append-only file takes a while
	stopWithin    = 5 * time.Second
)

// errBusy says that another process has the folder.
var errBusy = errors.New("another process uses this folder")

// StartPrivate starts redis-server in a folder that it makes (0700), and waits until it answers. A *Problem says that redis-server is
// not installed, or that another process has the folder.
func StartPrivate(ctx context.Context, folder string, log *slog.Logger) (*Private, error) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, &Problem{Err: err, Text: pipeline.Text{
			EN: "redis-server was not found on the PATH; install it (Debian and Ubuntu: `apt-get install redis-server`; Fedora and RHEL: `dnf install redis`), or configure a Redis that runs already",
			ZH: "在 PATH 中找不到 redis-server；请安装（Debian/Ubuntu：`apt-get install redis-server`；Fedora/RHEL：`dnf install redis`），或配置一个已在运行的 Redis",
		}}
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return nil, fmt.Errorf("start the private redis: %w", err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	quiet()
	p := &Private{folder: folder, log: log, binary: binary}
	if err := p.prepare(ctx); err != nil {
		p.closeFiles()
		return nil, err
	}
	supervised, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.owned.Go(func() { p.supervise(supervised) })
	if err := p.wait(ctx); err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

// prepare makes the folder and takes it for this process. The lock is inherited by the child and so held until both are gone: a program
// that was killed and started again waits here until its former Redis has written its file and left.
func (p *Private) prepare(ctx context.Context) error {
	if err := os.MkdirAll(p.folder, 0o700); err != nil {
		return fmt.Errorf("start the private redis: make its folder: %w", err)
	}
	if err := os.Chmod(p.folder, 0o700); err != nil { //nolint:gosec // a folder: its owner has to enter it
		return fmt.Errorf("start the private redis: close its folder to others: %w", err)
	}
	var err error
	if p.dir, err = os.Open(p.folder); err != nil {
		return fmt.Errorf("start the private redis: %w", err)
	}
	if p.lock, err = os.OpenFile(filepath.Join(p.folder, "lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return fmt.Errorf("start the private redis: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*stopWithin)
	defer cancel()
	for {
		err := syscall.Flock(int(p.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("start the private redis: lock %s: %w", p.folder, err)
		}
		if !pause(ctx, 50*time.Millisecond) {
			return &Problem{Err: errBusy, Text: pipeline.Text{
				EN: fmt.Sprintf("the folder %s is in use by another process; stop it, or give another data folder", p.folder),
				ZH: fmt.Sprintf("文件夹 %s 正被另一个进程使用；请停止该进程，或指定其他数据文件夹", p.folder),
			}}
		}
	}
}

// Options say how to reach it.
func (p *Private) Options() Options {
	path := filepath.Join(p.folder, socket)
	if len(path) > maxSocketPath {
		path = fmt.Sprintf("/proc/self/fd/%d/%s", p.dir.Fd(), socket)
	}
	return Options{URL: (&url.URL{Scheme: "unix", Path: path}).String()}
}

// PID is the process id of the running child, 0 while there is none.
func (p *Private) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

// Close stops it in order: Redis writes its file, then leaves.
func (p *Private) Close() error {
	p.stop()
	p.owned.Wait()
	p.closeFiles()
	return nil
}

func (p *Private) closeFiles() {
	for _, f := range []*os.File{p.dir, p.lock} {
		if f != nil {
			f.Close()
		}
	}
}

// supervise keeps the child running until ctx ends. The kernel ties "dies with its parent" to the thread that started the child, so this
// goroutine keeps its thread for itself, and takes it along at the end.
func (p *Private) supervise(ctx context.Context) {
	runtime.LockOSThread()
	const first, longest = 100 * time.Millisecond, 5 * time.Second
	delay, short := first, 0
	for ctx.Err() == nil {
		began := time.Now()
		err := p.run(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > longest {
			delay, short = first, 0
		} else if short++; short == 3 {
			p.setAside()
		}
		p.log.Warn("the private redis ended and is started again", "error", err, "said", p.words.String(), "after", delay.String())
		if !pause(ctx, delay) {
			return
		}
		delay = min(2*delay, longest)
	}
}

// run is the life of one child.
func (p *Private) run(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, p.binary, //nolint:gosec // found on the PATH
		"--port", "0", "--unixsocket", socket, "--unixsocketperm", "700",
		"--dir", ".", "--daemonize", "no", "--databases", "1",
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
		"--maxmemory", "0", "--maxmemory-policy", "noeviction",
		"--loglevel", "warning", "--logfile", "")
	cmd.Dir = p.folder
	cmd.Env = []string{"LC_ALL=C"} // ours may hold secrets
	cmd.Stdout, cmd.Stderr = &p.words, &p.words
	cmd.ExtraFiles = []*os.File{p.lock}
	// A group of its own: an interrupt from the terminal is for us, who still need Redis to drain.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	cmd.Cancel = func() error {
		return errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Process.Signal(syscall.SIGCONT))
	}
	cmd.WaitDelay = stopWithin // then it is killed
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	p.setPID(cmd.Process.Pid)
	defer p.setPID(0)
	return cmd.Wait()
}

func (p *Private) setPID(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pid = pid
}

// setAside renames an append-only file that Redis could not start with, so that it starts empty: nothing in it is the truth. One broken
// file is kept for whoever wants to know why.
func (p *Private) setAside() {
	file := filepath.Join(p.folder, "appendonlydir")
	broken := file + ".broken"
	if _, err := os.Stat(file); err != nil {
		return
	}
	if err := errors.Join(os.RemoveAll(broken), os.Rename(file, broken)); err != nil {
		p.log.Warn("the private redis's broken file could not be set aside", "error", err)
		return
	}
	p.log.Warn("the private redis did not start three times; it starts without its file now, the jobs are in the store", "file", broken)
}

// wait returns when the child answers.
func (p *Private) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		err := p.ping(ctx)
		if err == nil {
			return nil
		}
		if !pause(ctx, 20*time.Millisecond) {
			return fmt.Errorf("start the private redis in %s: it does not answer: %w; it said: %s", p.folder, errors.Join(ErrAway, err), p.words.String())
		}
	}
}

// ping asks with a client of its own: one whose dial has failed would wait a second before it dials again.
func (p *Private) ping(ctx context.Context) error {
	client, err := p.Options().client(1)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Ping(ctx).Err()
}

// pause waits, and says false when ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// tail keeps the last lines that a child printed.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailBytes = 2048

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if extra := len(t.buf) - tailBytes; extra > 0 {
		t.buf = append([]byte(nil), t.buf[extra:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf))
}
