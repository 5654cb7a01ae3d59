package queue_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/workers/queue"
)

// node starts one redis-server on a free port and gives its address.
func node(t *testing.T, args ...string) (addr string, kill func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	require.NoError(t, l.Close())
	addr = fmt.Sprintf("127.0.0.1:%d", port)
	cmd := exec.Command("redis-server", append(args, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "")...)
	cmd.Dir = t.TempDir()
	require.NoError(t, cmd.Start())
	done := false
	kill = func() {
		if !done {
			done = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(kill)
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer c.Close()
	require.Eventually(t, func() bool { return c.Ping(t.Context()).Err() == nil }, soon, 20*time.Millisecond)
	return addr, kill
}

// through sends jobs through a queue and its bells, whatever Redis is behind it.
func through(t *testing.T, o queue.Options) (q *queue.Queue, send func()) {
	t.Helper()
	q, err := queue.Open(o, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = q.Close() })
	got := make(chan string, 1000)
	s, err := q.Serve(2, func(_ context.Context, task queue.Task) { got <- task.Job })
	require.NoError(t, err)
	t.Cleanup(s.Close)
	ringer, listener := q.NewBell(), q.NewBell()
	t.Cleanup(ringer.Close)
	t.Cleanup(listener.Close)
	return q, func() {
		t.Helper()
		want := map[string]bool{}
		var left []results.Job
		for _, p := range []results.Priority{results.PriorityClockIn, results.PriorityReverify, results.PriorityBulk} {
			left = append(left, jobs(5, p)...)
		}
		for _, j := range left {
			want[j.ID] = true
		}
		require.Eventually(t, func() bool {
			left, err = q.Enqueue(t.Context(), left)
			return err == nil
		}, soon, 100*time.Millisecond)
		for len(want) > 0 {
			delete(want, receive(t, got))
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ear := listener.Listen(ctx, results.BellWork)
		receive(t, ear)
		ringer.Ring(ctx, results.BellWork)
		receive(t, ear)
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	var addrs []string
	for range 3 {
		addr, _ := node(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
		addrs = append(addrs, addr)
	}
	out, err := exec.Command("redis-cli", append([]string{"--cluster", "create", "--cluster-yes"}, addrs...)...).CombinedOutput()
	require.NoError(t, err, string(out))
	q, send := through(t, queue.Options{Cluster: addrs})
	require.Eventually(t, func() bool { return q.Check(t.Context()) == nil }, soon, 50*time.Millisecond)
	send()
	c := redis.NewClient(&redis.Options{Addr: addrs[1]})
	defer c.Close()
	require.NoError(t, c.ConfigSet(t.Context(), "maxmemory-policy", "volatile-ttl").Err())
	var p *queue.Problem
	require.ErrorAs(t, q.Check(t.Context()), &p, "every node is asked")
}

func TestSentinelFailsOver(t *testing.T) {
	t.Parallel()
	master, kill := node(t)
	host, port, err := net.SplitHostPort(master)
	require.NoError(t, err)
	replica, _ := node(t, "--replicaof", host+" "+port)
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, "sentinel monitor ours %s %s 1\nsentinel down-after-milliseconds ours 500\nsentinel failover-timeout ours 2000\n", host, port), 0o600))
	sentinel, _ := node(t, conf, "--sentinel")
	c := redis.NewClient(&redis.Options{Addr: sentinel})
	defer c.Close()
	require.Eventually(t, func() bool { // it has to know the replica before it can make it the master
		r, err := c.Do(t.Context(), "sentinel", "replicas", "ours").Slice()
		return err == nil && len(r) == 1
	}, soon, 50*time.Millisecond)
	q, send := through(t, queue.Options{Sentinel: queue.Sentinel{Master: "ours", Addrs: []string{sentinel}}})
	require.NoError(t, q.Check(t.Context()))
	send()
	kill()
	send() // with the former replica, once the sentinel has made it the master
	r := redis.NewClient(&redis.Options{Addr: replica})
	defer r.Close()
	role, err := r.Do(t.Context(), "role").Slice()
	require.NoError(t, err)
	require.Equal(t, "master", role[0])
}
