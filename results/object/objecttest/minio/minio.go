// Package minio runs a real MinIO process for tests and for development. It imports nothing of MinIO's server, which is AGPL, and nothing
// of package testing.
package minio

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	client "github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Options of a server. The zero value, with Dir, is a private server on a free port.
type Options struct {
	Dir       string    // where it keeps its data; made if need be
	Address   string    // host:port; a free port of 127.0.0.1 if empty
	AccessKey string    // made up if empty, as the secret key
	SecretKey string    //
	Env       []string  // more environment: notification targets and the like
	Log       io.Writer // nil: only kept for the error when it does not start
}

// Server is a running MinIO.
type Server struct {
	Endpoint  string // http://127.0.0.1:port
	Address   string // 127.0.0.1:port
	AccessKey string
	SecretKey string

	opts Options
	cmd  *exec.Cmd
	tail *tail
	gone chan struct{} // closed when the process has ended
	err  error         // how it ended
}

// readyTimeout bounds the start: a cold disk takes a few seconds.
const readyTimeout = 60 * time.Second

// Binary gives the path of the MinIO program. The first call on a machine builds it, which takes minutes.
func Binary(ctx context.Context) (string, error) {
	if cache := os.Getenv("ONSITE_CACHE"); cache != "" {
		if at := filepath.Join(cache, "bin", "minio"); runnable(at) {
			return at, nil
		}
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(root, "deploy", "dev", "minio.sh")) //nolint:gosec // a script of this module
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build MinIO with deploy/dev/minio.sh: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func runnable(path string) bool {
	st, err := os.Stat(path) //nolint:gosec // a path in the cache folder that the user names
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("find MinIO: neither ONSITE_CACHE is set nor is this the tree of Onsite's sources")
		}
		dir = up
	}
}

// Start runs a server and returns when it takes requests. The caller stops it; it also ends with this process.
func Start(ctx context.Context, o Options) (*Server, error) {
	bin, err := Binary(ctx)
	if err != nil {
		return nil, err
	}
	if o.AccessKey == "" {
		o.AccessKey, o.SecretKey = "test", rand.Text()
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("start MinIO: %w", err)
	}
	for try := 0; ; try++ {
		s, err := start(ctx, bin, o)
		if err == nil || o.Address != "" || try == 3 || ctx.Err() != nil {
			return s, err
		}
		// Somebody took the free port meanwhile: another one.
	}
}

func start(ctx context.Context, bin string, o Options) (*Server, error) {
	address := o.Address
	if address == "" {
		var err error
		if address, err = freeAddress(ctx); err != nil {
			return nil, fmt.Errorf("start MinIO: find a free port: %w", err)
		}
	}
	s := &Server{Endpoint: "http://" + address, Address: address, AccessKey: o.AccessKey, SecretKey: o.SecretKey, opts: o,
		tail: &tail{also: o.Log}, gone: make(chan struct{})}
	// Not CommandContext: the server outlives ctx, which bounds the start only.
	s.cmd = exec.Command(bin, "server", "--quiet", "--address", address, "--console-address", "127.0.0.1:0", o.Dir) //nolint:gosec,noctx // see above
	s.cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+o.AccessKey, "MINIO_ROOT_PASSWORD="+o.SecretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off",
		"MINIO_CALLHOME_ENABLE=off", "HOME="+o.Dir)
	s.cmd.Env = append(s.cmd.Env, o.Env...)
	s.cmd.Stdout, s.cmd.Stderr = s.tail, s.tail
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() { // ends with the process, which Stop and Kill wait for
		runtime.LockOSThread() // Pdeathsig goes by the thread that started the child
		defer runtime.UnlockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			s.err = s.cmd.Wait()
			close(s.gone)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start MinIO: %w", err)
	}
	if err := s.ready(ctx); err != nil {
		s.Kill()
		return nil, fmt.Errorf("start MinIO: %w; it said:\n%s", err, s.tail)
	}
	return s, nil
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// ready waits until the server says of itself that it can write.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint+"/minio/health/cluster", nil)
		if err != nil {
			return err
		}
		if resp, err := transport.RoundTrip(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-s.gone:
			return fmt.Errorf("it ended: %w", s.err)
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop ends the server in good order.
func (s *Server) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may be gone already
	select {
	case <-s.gone:
	case <-time.After(10 * time.Second):
		s.Kill()
	}
}

// Kill ends the server at once.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may be gone already
	<-s.gone
}

// Pause stops the server's process, so that connections hang. It returns when every thread has stopped.
func (s *Server) Pause() error {
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.cmd.Process.Pid))
		if err != nil {
			return err
		}
		stopped := 0
		for _, t := range threads {
			stat, err := os.ReadFile(t) // "pid (name) T ..."
			if _, state, ok := strings.Cut(string(stat), ") "); err != nil || ok && strings.HasPrefix(state, "T") {
				stopped++ // or it has ended
			}
		}
		if stopped == len(threads) {
			return nil
		}
		time.Sleep(time.Millisecond) // there is no other signal
	}
}

// Resume lets a paused server go on.
func (s *Server) Resume() error { return s.cmd.Process.Signal(syscall.SIGCONT) }

// Again starts a stopped server at the same address over the same data.
func (s *Server) Again(ctx context.Context) (*Server, error) {
	o := s.opts
	o.Address = s.Address
	return Start(ctx, o)
}

// Client is a client with the server's own credentials.
func (s *Server) Client() (*client.Client, error) {
	return client.New(s.Address, &client.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: "us-east-1"})
}
