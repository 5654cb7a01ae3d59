// Package queuetest starts real redis-servers for tests.
package queuetest

import (
	"context"
	"os"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"onsite/workers/queue"
)

// Server is a redis-server that a test may take down, freeze and flush. It dies with the test's process.
type Server struct {
	tb      testing.TB
	folder  string
	private *queue.Private // nil: down
	opts    queue.Options
	client  *redis.Client
}

// Start starts one for the length of a test.
func Start(tb testing.TB) *Server {
	tb.Helper()
	folder, err := os.MkdirTemp("", "onsite-redis-") //nolint:usetesting // a test's own folder may be too long for a socket's address
	require.NoError(tb, err)
	s := &Server{tb: tb, folder: folder}
	tb.Cleanup(func() {
		s.Resume()
		s.Down()
		_ = s.client.Close()
		_ = os.RemoveAll(folder)
	})
	s.Up()
	parsed, err := redis.ParseURL(s.opts.URL)
	require.NoError(tb, err)
	s.client = redis.NewClient(parsed)
	return s
}

// Options say how to reach it. They hold over Down and Up.
func (s *Server) Options() queue.Options { return s.opts }

// Queue opens a queue for the length of the test.
func (s *Server) Queue() *queue.Queue {
	s.tb.Helper()
	q, err := queue.Open(s.opts, nil)
	require.NoError(s.tb, err)
	s.tb.Cleanup(func() { _ = q.Close() })
	return q
}

// Client gives a client of its own, for a test that looks at keys.
func (s *Server) Client() *redis.Client { return s.client }

// Down ends the server, as an operator would, and leaves it down.
func (s *Server) Down() {
	s.tb.Helper()
	if s.private != nil {
		require.NoError(s.tb, s.private.Close())
		s.private = nil
	}
}

// Up starts it again with what its file holds.
func (s *Server) Up() {
	s.tb.Helper()
	p, err := queue.StartPrivate(context.Background(), s.folder, nil)
	require.NoError(s.tb, err)
	s.private, s.opts = p, p.Options()
}

// Kill ends the process at once; its supervisor starts it again.
func (s *Server) Kill() { s.signal(syscall.SIGKILL) }

// Pause freezes the process: it takes connections and answers nothing.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	if s.private == nil {
		return
	}
	if pid := s.private.PID(); pid != 0 {
		_ = syscall.Kill(pid, sig)
	}
}

// Flush empties it.
func (s *Server) Flush() {
	s.tb.Helper()
	require.NoError(s.tb, s.client.FlushAll(context.Background()).Err())
}
