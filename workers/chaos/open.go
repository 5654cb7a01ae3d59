package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Stand is a whole service on this machine for others than the fault harness: PostgreSQL, Redis, a folder or MinIO for objects, API and worker
// processes, with a tenant, a key with every role, subjects and a site.
type Stand struct{ s *stand }

// Open starts one, and waits until it is ready.
func Open(ctx context.Context, o Options) (*Stand, error) {
	o.Kill = -1
	s, err := newStand(ctx, o.filled())
	if err != nil {
		return nil, fmt.Errorf("start the stand: %w", err)
	}
	if err := s.working(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start the stand: %w", err), s.close())
	}
	return &Stand{s}, nil
}

// working waits until every worker takes jobs: one that still loads its models would be measured with them.
func (s *stand) working(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for _, p := range s.workers {
		if err := until(ctx, p.name+" takes jobs", func() bool {
			said, err := os.ReadFile(p.log)
			return err == nil && bytes.Contains(said, []byte(`"msg":"worker started"`))
		}); err != nil {
			return fmt.Errorf("%w; its log ends:\n%s", err, p.tail())
		}
	}
	return nil
}

// Close stops everything.
func (s *Stand) Close() error { return s.s.close() }

// URLs are those of the APIs.
func (s *Stand) URLs() []string { return s.s.bases }

// Key is an API key with every role.
func (s *Stand) Key() string { return s.s.key }

// Subject is the n-th subject; there are 20, and then they come again.
func (s *Stand) Subject(n int) string { return subject(n) }

// Site is the one site.
func (s *Stand) Site() string { return site }

// Clip is four seconds of a test picture in a file with bytes of its own: no two are the same upload.
func Clip() []byte { return distinct(tinyClip) }

// CPU is the processor time that each kind of process has used so far: api, worker (with the decoder children that ended), postgres, redis, minio.
func (s *Stand) CPU() map[string]time.Duration {
	out := map[string]time.Duration{}
	for _, p := range s.s.apis {
		out["api"] += cpuOf(p.pid())
	}
	for _, p := range s.s.workers {
		out["worker"] += cpuOf(p.pid())
	}
	for kind, program := range map[string]string{"postgres": "postgres", "redis": "redis-server", "minio": "minio", "worker": "onsite-decode"} {
		for _, pid := range children(os.Getpid(), program) {
			out[kind] += cpuOf(pid)
		}
	}
	return out
}

// clockTick is the unit of /proc/PID/stat on Linux, on every processor that Go knows.
const clockTick = 10 * time.Millisecond

// cpuOf is the user and system time of a process and of its children that ended; 0 of one that is gone.
func cpuOf(pid int) time.Duration {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	_, rest, ok := strings.Cut(string(raw), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 15 {
		return 0
	}
	sum := 0
	for _, f := range fields[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0
		}
		sum += n
	}
	return time.Duration(sum) * clockTick
}
