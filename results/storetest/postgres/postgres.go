// Package postgres runs a real PostgreSQL server of its own, on a Unix socket in a folder of its own, for tests, measurements and the fault
// harness: start, restart, kill, freeze. It knows nothing of package testing and imports nothing of Onsite.
package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrMissing says that PostgreSQL is not installed.
var ErrMissing = errors.New("PostgreSQL's server programs are not installed; on Debian: apt-get install postgresql")

// Options of a server. The zero value is for tests: a folder that Remove takes away, and nothing written through to the disk.
type Options struct {
	Dir      string            // data folder, made when it is not there; "": a new temporary one. The user postgres must be able to reach it
	Fsync    bool              // what is committed survives a power cut, as in production; off is several times faster
	Settings map[string]string // of postgresql.conf
	Network  netip.Prefix      // it also listens on this address, for everybody in this network, without a password; zero: on its socket only
}

// Server is a running (or stopped) PostgreSQL.
type Server struct {
	o       Options
	bin     string
	socket  string // folder
	owner   *syscall.Credential
	temp    bool
	mu      sync.Mutex
	pid     int
	exited  chan struct{} // of the present process
	exitErr error
	log     tail
}

const prefix = "onsite-postgres-"

// New prepares a server: finds the programs, makes the data folder (initdb, about a second). Start starts it.
func New(ctx context.Context, o Options) (*Server, error) {
	s := &Server{o: o}
	var err error
	if s.bin, err = programs(); err != nil {
		return nil, err
	}
	if s.owner, err = credential(); err != nil {
		return nil, err
	}
	if o.Dir == "" {
		sweep()
		s.temp = true
		if s.o.Dir, err = os.MkdirTemp("", prefix+strconv.Itoa(os.Getpid())+"-"); err != nil {
			return nil, fmt.Errorf("make a folder for PostgreSQL: %w", err)
		}
	}
	if s.o.Dir, err = filepath.Abs(s.o.Dir); err != nil {
		return nil, err
	}
	if err := s.init(ctx); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	return s, nil
}

// Run is New and Start.
func Run(ctx context.Context, o Options) (*Server, error) {
	s, err := New(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := s.Start(ctx); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	return s, nil
}

func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		p, err := exec.LookPath("postgres")
		if err != nil {
			return "", ErrMissing
		}
		found = []string{p}
	}
	version := func(p string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(p)))) // 0 when the folder has another form
		return n
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

// credential is that of the user postgres when we are root: PostgreSQL refuses to run as root.
func credential() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no user postgres: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// sweep removes what processes left that died before they could.
func sweep() {
	old, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range old {
		name, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), prefix), "-")
		pid, err := strconv.Atoi(name)
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			os.RemoveAll(dir) //nolint:errcheck // somebody else's; what cannot go stays
		}
	}
}

func (s *Server) init(ctx context.Context) error {
	if err := os.MkdirAll(s.o.Dir, 0o755); err != nil {
		return fmt.Errorf("make the folder of PostgreSQL: %w", err)
	}
	data := filepath.Join(s.o.Dir, "data")
	// The path of a Unix socket has at most 107 bytes.
	s.socket = filepath.Join(s.o.Dir, "s")
	if len(s.socket) > 80 {
		return fmt.Errorf("the folder of PostgreSQL has too long a path for a Unix socket: %s", s.o.Dir)
	}
	for _, dir := range []string{data, s.socket} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the folder of PostgreSQL: %w", err)
		}
	}
	if s.owner != nil {
		for _, dir := range []string{s.o.Dir, data, s.socket} {
			if err := os.Chown(dir, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
				return fmt.Errorf("give the folder to the user postgres: %w", err)
			}
		}
	}
	if err := os.Chmod(s.o.Dir, 0o755); err != nil { //nolint:gosec // the folders in it are closed
		return err
	}
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err == nil {
		return nil
	}
	args := []string{"-D", data, "-U", "postgres", "-E", "UTF8", "--locale=C", "--auth=trust"}
	if !s.o.Fsync {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), args...) //nolint:gosec // our own arguments
	cmd.Dir = s.o.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make a PostgreSQL data folder in %s: %w: %s", data, err, bytes.TrimSpace(out))
	}
	return s.admit(filepath.Join(data, "pg_hba.conf"))
}

// admit lets those in who come over the network.
func (s *Server) admit(file string) error {
	if !s.o.Network.IsValid() {
		return nil
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("let %s into PostgreSQL: %w", s.o.Network, err)
	}
	_, err = fmt.Fprintf(f, "host all all %s trust\n", s.o.Network.Masked())
	return errors.Join(err, f.Close())
}

// Start starts the server and returns when it takes connections. The server dies with this process.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pid != 0 {
		return errors.New("start PostgreSQL: it runs already")
	}
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), s.arguments()...) //nolint:gosec,noctx // ends by Stop or Kill, not with ctx
	cmd.Dir = s.o.Dir
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	cmd.WaitDelay = 5 * time.Second // a process that was left behind keeps the log's pipe open
	// SIGQUIT: immediate shutdown.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner, Pdeathsig: syscall.SIGQUIT}
	started, exited := make(chan error), make(chan struct{})
	go func() {
		// The kernel sends Pdeathsig when the thread that started the child ends: this one waits for the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			s.exitErr = cmd.Wait()
		}
		close(exited)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	s.pid, s.exited = cmd.Process.Pid, exited
	if err := s.ready(ctx); err != nil {
		s.kill()
		return err
	}
	return nil
}

func (s *Server) arguments() []string {
	settings := map[string]string{
		"listen_addresses":        "",
		"unix_socket_directories": s.socket,
		"port":                    "5432", // names the socket
		"max_connections":         "200",
		"shared_buffers":          "64MB",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
	}
	if !s.o.Fsync {
		settings["fsync"], settings["synchronous_commit"], settings["full_page_writes"] = "off", "off", "off"
	}
	if s.o.Network.IsValid() {
		settings["listen_addresses"] = s.o.Network.Addr().String()
	}
	for k, v := range s.o.Settings {
		settings[k] = v
	}
	args := []string{"-D", filepath.Join(s.o.Dir, "data")}
	for k, v := range settings {
		args = append(args, "-c", k+"="+v)
	}
	return args
}

func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := pgx.Connect(ctx, s.DSN("postgres"))
		if err == nil {
			return c.Close(ctx)
		}
		select {
		case <-s.exited:
			return fmt.Errorf("start PostgreSQL: it ended: %w: %s", s.exitErr, s.log.String())
		case <-ctx.Done():
			return fmt.Errorf("start PostgreSQL: it takes no connections: %w: %s", err, s.log.String())
		case <-tick.C:
		}
	}
}

// DSN is the address of a database of this server, as a URL.
func (s *Server) DSN(database string) string {
	host := s.socket
	if s.o.Network.IsValid() {
		host = s.o.Network.Addr().String()
	}
	q := url.Values{"host": {host}, "port": {"5432"}, "user": {"postgres"}, "sslmode": {"disable"}}
	return "postgres:///" + database + "?" + q.Encode()
}

// Create makes a fresh database and gives its address.
func (s *Server) Create(ctx context.Context) (string, error) { return s.create(ctx, "template1") }

// CreateSorted makes a fresh database that sorts texts as a language does (an ICU locale, "en-US"), not by their bytes.
func (s *Server) CreateSorted(ctx context.Context, locale string) (string, error) {
	return s.create(ctx, "template0 LOCALE_PROVIDER icu ICU_LOCALE '"+locale+"'")
}

// Clone makes a database with the tables and rows of another one of this server, to which nobody is connected.
func (s *Server) Clone(ctx context.Context, dsn string) (string, error) {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return "", fmt.Errorf("clone a database: %w", err)
	}
	return s.create(ctx, c.Database)
}

func (s *Server) create(ctx context.Context, from string) (string, error) {
	name := "t" + strings.ToLower(rand.Text())
	c, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return "", fmt.Errorf("make a database: %w", err)
	}
	defer c.Close(ctx) //nolint:errcheck // only asked
	if _, err := c.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+from); err != nil {
		return "", fmt.Errorf("make a database: %w", err)
	}
	return s.DSN(name), nil
}

// Cut ends every other connection to the server, as a failing network does.
func (s *Server) Cut(ctx context.Context) error {
	c, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("cut PostgreSQL's connections: %w", err)
	}
	defer c.Close(ctx) //nolint:errcheck // only asked
	_, err = c.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'`)
	if err != nil {
		return fmt.Errorf("cut PostgreSQL's connections: %w", err)
	}
	return nil
}

// Stop shuts the server down: connections are cut, transactions rolled back, the rest is written. Start starts it again.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pid == 0 {
		return nil
	}
	if err := syscall.Kill(s.pid, syscall.SIGINT); err != nil { // fast shutdown
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	select {
	case <-s.exited:
		s.pid = 0
	case <-time.After(30 * time.Second):
		s.kill()
		return errors.New("stop PostgreSQL: it did not end within 30 s and was killed")
	}
	return nil
}

// Kill ends the server and its processes at once, as a power cut does. Start starts it again; it recovers by itself.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kill()
}

func (s *Server) kill() {
	if s.pid == 0 {
		return
	}
	// Its own children by their ids: each leads a process group of its own. They would end by themselves, but a new server does not start
	// before they are gone. The postmaster is stopped first, so that it makes no more of them meanwhile: one that was missed can hang
	// for ever on a lock of a dead one.
	_ = syscall.Kill(s.pid, syscall.SIGSTOP)
	children := childrenOf(s.pid)
	for _, pid := range append(children, s.pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone is what we want
	}
	<-s.exited
	for _, pid := range children {
		for range 500 {
			if alive(pid) {
				time.Sleep(2 * time.Millisecond) // not our child: there is nothing to wait on
			}
		}
	}
	s.pid = 0
}

// Freeze stops the server's processes where they are, as a hanging disk does, until the returned function is called.
func (s *Server) Freeze() (thaw func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pid == 0 {
		return func() {}
	}
	all := append([]int{s.pid}, childrenOf(s.pid)...)
	for _, pid := range all {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	return func() {
		for _, pid := range all {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}
}

// Remove kills the server and removes its folder, if that is a temporary one.
func (s *Server) Remove() error {
	s.Kill()
	if !s.temp {
		return nil
	}
	if err := os.RemoveAll(s.o.Dir); err != nil {
		return fmt.Errorf("remove PostgreSQL's folder: %w", err)
	}
	return nil
}

// Log gives the last lines that the server wrote.
func (s *Server) Log() string { return s.log.String() }

func childrenOf(parent int) []int {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	var pids []int
	for _, path := range stats {
		pid, ppid, _ := stat(path)
		if ppid == parent {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stat reads pid, parent and state of a process; zeros when it is gone.
func stat(path string) (pid, ppid int, state string) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, ""
	}
	pid, err = strconv.Atoi(filepath.Base(filepath.Dir(path)))
	end := bytes.LastIndexByte(text, ')') // the name before it may hold anything
	fields := strings.Fields(string(text[end+1:]))
	if err != nil || len(fields) < 2 {
		return 0, 0, ""
	}
	ppid, err = strconv.Atoi(fields[1])
	if err != nil {
		return 0, 0, ""
	}
	return pid, ppid, fields[0]
}

func alive(pid int) bool {
	found, _, state := stat(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return found != 0 && state != "Z"
}

// tail keeps the last lines of a log.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - 16<<10; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

// String gives them.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
