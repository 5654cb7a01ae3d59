package queue_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"onsite/workers/queue"
)

func folder(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "redis")
}

func start(t *testing.T, dir string) *queue.Private {
	t.Helper()
	p, err := queue.StartPrivate(t.Context(), dir, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func client(t *testing.T, p *queue.Private) redis.UniversalClient {
	t.Helper()
	c := p.Options().MakeRedisClient().(redis.UniversalClient)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestPrivate(t *testing.T) {
	dir := folder(t)
	p := start(t, dir)
	for _, path := range []string{dir, filepath.Join(dir, "redis.sock")} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o700), info.Mode().Perm(), path)
	}
	c := client(t, p)
	for name, want := range map[string]string{"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "everysec", "port": "0"} {
		got, err := c.ConfigGet(t.Context(), name).Result()
		require.NoError(t, err)
		require.Equal(t, want, got[name])
	}
	require.NoError(t, c.Set(t.Context(), "k", "v", 0).Err())
	require.NoError(t, p.Close())
	require.Zero(t, p.PID())
	require.Error(t, c.Ping(t.Context()).Err())
	p = start(t, dir)
	v, err := client(t, p).Get(t.Context(), "k").Result()
	require.NoError(t, err)
	require.Equal(t, "v", v)
	environ, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID()) + "/environ")
	require.NoError(t, err)
	require.NotContains(t, string(environ), "PATH=", "ours may hold secrets")
}

func TestPrivateIsStartedAgain(t *testing.T) {
	t.Parallel()
	p := start(t, folder(t))
	c := client(t, p)
	for range 2 {
		pid := p.PID()
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		require.Eventually(t, func() bool { return c.Ping(t.Context()).Err() == nil && p.PID() != pid }, soon, 20*time.Millisecond)
	}
}

func TestPrivateStartsWithoutABrokenFile(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	p := start(t, dir)
	require.NoError(t, client(t, p).Set(t.Context(), "k", "v", 0).Err())
	require.NoError(t, p.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "appendonlydir", "appendonly.aof.manifest"), []byte("nonsense\n"), 0o600))
	p = start(t, dir)
	n, err := client(t, p).DBSize(t.Context()).Result()
	require.NoError(t, err)
	require.Zero(t, n)
	require.DirExists(t, filepath.Join(dir, "appendonlydir.broken"))
}

func TestPrivateNeedsRedis(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := queue.StartPrivate(t.Context(), folder(t), nil)
	var p *queue.Problem
	require.ErrorAs(t, err, &p)
	require.ErrorIs(t, err, exec.ErrNotFound)
	require.Contains(t, p.Text.EN, "apt-get install redis-server")
	require.Contains(t, p.Text.ZH, "redis-server")
}

func TestPrivateSaysWhatRedisSaid(t *testing.T) {
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "redis-server"), []byte("#!/bin/sh\necho no room at the inn\nexit 1\n"), 0o755))
	t.Setenv("PATH", bin+":/bin:/usr/bin")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // it is tried until then; a busy machine needs time to start it once
	defer cancel()
	_, err := queue.StartPrivate(ctx, folder(t), nil)
	require.ErrorIs(t, err, queue.ErrAway)
	require.ErrorContains(t, err, "no room at the inn")
}

func TestPrivateFolderIsTaken(t *testing.T) {
	dir := folder(t)
	start(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := queue.StartPrivate(ctx, dir, nil)
	var p *queue.Problem
	require.ErrorAs(t, err, &p)
	require.Contains(t, p.Text.EN, dir)
}

func TestPrivateInALongFolder(t *testing.T) {
	dir := filepath.Join(folder(t), strings.Repeat("long", 40), "with ? and % and #")
	p := start(t, dir)
	require.NoError(t, client(t, p).Ping(t.Context()).Err())
}

func TestPrivateInAnOddFolder(t *testing.T) {
	p := start(t, filepath.Join(folder(t), "a?b%41#c d"))
	require.NoError(t, client(t, p).Ping(t.Context()).Err())
}

// TestPrivateDiesWithItsOwner kills the owner, not Redis; the next owner waits for the former Redis to leave, and finds its data.
func TestPrivateDiesWithItsOwner(t *testing.T) {
	dir := folder(t)
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), "QUEUE_TEST_OWNER="+dir)
	out, err := owner.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, owner.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err, line)
	c := queue.Options{URL: "unix://" + filepath.Join(dir, "redis.sock")}.MakeRedisClient().(redis.UniversalClient)
	require.NoError(t, c.Set(t.Context(), "k", "v", 0).Err())
	require.NoError(t, c.Close())
	require.NoError(t, owner.Process.Kill())
	_ = owner.Wait()

	p := start(t, dir)
	require.NotEqual(t, pid, p.PID())
	v, err := client(t, p).Get(t.Context(), "k").Result()
	require.NoError(t, err)
	require.Equal(t, "v", v)
	require.Eventually(t, func() bool { return gone(pid) }, soon, 10*time.Millisecond)
}

// gone says that a process has ended, reaped or not.
func gone(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	_, rest, ok := strings.Cut(string(stat), ") ")
	return ok && strings.HasPrefix(rest, "Z")
}
