package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"onsite/results"
)

// fault is one thing that breaks, and is whole again when do returns. It lasts at most about two seconds.
type fault struct {
	name string
	do   func(ctx context.Context) error
}

// shortly is how long a fault that is not over at once lasts.
const shortly = 1500 * time.Millisecond

// faults lists what can be broken on this stand. What cannot be done here (no root for a small file system) is left out and named.
func (s *stand) faults(rng *rand.Rand) (list []fault, leftOut []string) {
	pick := func(p []*process) *process { return p[rng.IntN(len(p))] }
	list = []fault{
		{"kill_worker", func(ctx context.Context) error { s.killWorker(ctx, pick(s.workers)); return nil }},
		{"kill_worker", func(ctx context.Context) error { s.killWorker(ctx, pick(s.workers)); return nil }}, // twice as likely: it is the one that we promise a time for
		{"kill_api", func(context.Context) error { pick(s.apis).signal(syscall.SIGKILL); return nil }},
		{"kill_decoder", s.killDecoder},
		{"freeze_worker", func(ctx context.Context) error { return s.freeze(ctx, pick(s.workers).pid()) }},
		{"kill_redis", func(context.Context) error { return s.redisSignal(syscall.SIGKILL) }},
		{"freeze_redis", func(ctx context.Context) error { return s.freeze(ctx, s.redisPID()) }},
		{"flush_redis", func(ctx context.Context) error { return s.rdb.FlushAll(ctx).Err() }},
		{"full_redis", s.fullRedis},
		{"old_redis", s.oldRedis},
		{"clock_jump", func(ctx context.Context) error { return s.jump(ctx, time.Duration(rng.IntN(7200)-3600)*time.Second) }},
		{"objects_away", s.objectsAway},
	}
	if s.minio != nil {
		list[len(list)-1] = fault{"freeze_s3", s.freezeS3}
		list = append(list, fault{"kill_s3", s.killS3})
	}
	if s.pg != nil {
		list = append(list,
			fault{"kill_postgres", func(ctx context.Context) error { s.pg.Kill(); return s.pg.Start(ctx) }},
			fault{"restart_postgres", func(ctx context.Context) error {
				if err := s.pg.Stop(); err != nil {
					return err
				}
				return s.pg.Start(ctx)
			}},
			fault{"cut_connections", s.pg.Cut},
			fault{"freeze_postgres", func(ctx context.Context) error { thaw := s.pg.Freeze(); defer thaw(); return pause(ctx, shortly) }},
		)
	}
	switch {
	case s.smallDisk:
		list = append(list, fault{"disk_full", s.fillDisk})
	case s.minio == nil:
		leftOut = append(leftOut, "disk_full (needs root, to mount a small file system)")
	default:
		leftOut = append(leftOut, "disk_full (objects lie in S3)")
	}
	return list, leftOut
}

// breakThings injects a fault at every tick until ctx ends, and waits for the last ones to be over.
func (s *stand) breakThings(ctx context.Context, every time.Duration, list []fault, rng *rand.Rand, count map[string]int) {
	var wait sync.WaitGroup
	var mu sync.Mutex
	defer wait.Wait()
	busy := map[string]bool{}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		f := list[rng.IntN(len(list))]
		mu.Lock()
		for busy[f.name] || (s.pg != nil && busy["postgres"] && isPostgres(f.name)) {
			f = list[rng.IntN(len(list))]
		}
		busy[f.name] = true
		if isPostgres(f.name) {
			busy["postgres"] = true
		}
		count[f.name]++
		mu.Unlock()
		s.opts.Logger.Info("fault", "name", f.name)
		wait.Go(func() {
			// A fault is undone even when the run ends meanwhile.
			if err := f.do(context.WithoutCancel(ctx)); err != nil {
				s.opts.Logger.Info("fault could not be done", "name", f.name, "error", err)
			}
			mu.Lock()
			delete(busy, f.name)
			if isPostgres(f.name) {
				delete(busy, "postgres")
			}
			mu.Unlock()
		})
	}
}

// isPostgres says that two faults of this kind must not overlap: each needs the server as the other found it.
func isPostgres(name string) bool {
	switch name {
	case "kill_postgres", "restart_postgres", "cut_connections", "freeze_postgres":
		return true
	}
	return false
}

// pause is how long a fault lasts: the fault itself, not a wait for something.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// killWorker kills a worker and watches what becomes of the jobs that it was running.
func (s *stand) killWorker(ctx context.Context, p *process) {
	var held []results.Job
	// A moment at which it works is the one that counts; when there is none soon, an idle worker dies.
	soon, cancel := context.WithTimeout(ctx, time.Second)
	_ = until(soon, "the worker works", func() bool { held = s.runningAt(ctx, p); return len(held) > 0 })
	cancel()
	at := time.Now()
	p.signal(syscall.SIGKILL)
	for _, j := range held {
		s.watching.Go(func() { s.watchRecovery(ctx, j, at) })
	}
}

// runningAt gives the jobs that a worker process runs now.
func (s *stand) runningAt(ctx context.Context, p *process) (held []results.Job) {
	jobs, err := s.store.Jobs(ctx, tenant, results.JobFilter{States: []results.JobState{results.Running}}, results.Page{Limit: 500})
	if err != nil {
		return nil
	}
	for _, j := range jobs {
		if s.kind == SQLite || strings.HasPrefix(j.Worker, p.name+"-") {
			held = append(held, j)
		}
	}
	return held
}

// watchRecovery measures how long it takes until a job that died with its worker runs again, or is over.
func (s *stand) watchRecovery(ctx context.Context, before results.Job, at time.Time) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	err := until(ctx, "the job runs again", func() bool {
		j, err := s.store.Job(ctx, tenant, before.ID)
		return err == nil && (j.Final() || j.Token > before.Token)
	})
	if err != nil {
		return // the end of the run says that it is lost
	}
	took := time.Since(at)
	s.opts.Logger.Info("recovered", "job", before.ID, "seconds", took.Seconds())
	s.mu.Lock()
	s.recovery = append(s.recovery, took)
	s.mu.Unlock()
}

func (s *stand) killDecoder(context.Context) error {
	for _, p := range s.workers {
		for _, pid := range children(p.pid(), "onsite-decode") {
			return syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return nil // none is running at this moment
}

func (s *stand) freeze(ctx context.Context, pid int) error {
	if pid <= 0 {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	return pause(ctx, shortly)
}

func (s *stand) redisPID() int {
	if s.redis != nil {
		return s.redis.PID()
	}
	for _, pid := range children(s.apis[0].pid(), "redis-server") {
		return pid
	}
	return 0
}

func (s *stand) redisSignal(sig syscall.Signal) error {
	pid := s.redisPID()
	if pid <= 0 {
		return nil
	}
	return syscall.Kill(pid, sig)
}

// fullRedis lets Redis run out of memory for a while: every write is refused.
func (s *stand) fullRedis(ctx context.Context) error {
	if err := s.rdb.ConfigSet(ctx, "maxmemory", "1mb").Err(); err != nil {
		return err
	}
	err := pause(ctx, shortly)
	return errors.Join(err, s.rdb.ConfigSet(ctx, "maxmemory", "0").Err())
}

// oldRedis takes a copy of what is in Redis and puts it back a little later, as a restored dump does: tasks of finished attempts come back.
func (s *stand) oldRedis(ctx context.Context) error {
	var keys []string
	dumps := map[string]string{}
	it := s.rdb.Scan(ctx, 0, "asynq:*", 1000).Iterator()
	for it.Next(ctx) {
		keys = append(keys, it.Val())
	}
	for _, k := range keys {
		if d, err := s.rdb.Dump(ctx, k).Result(); err == nil {
			dumps[k] = d
		}
	}
	if err := errors.Join(it.Err(), pause(ctx, shortly)); err != nil {
		return err
	}
	if err := s.rdb.FlushAll(ctx).Err(); err != nil {
		return err
	}
	for k, d := range dumps {
		if err := s.rdb.RestoreReplace(ctx, k, 0, d).Err(); err != nil {
			return err
		}
	}
	return nil
}

// jump moves the clocks of all processes, there and back.
func (s *stand) jump(ctx context.Context, by time.Duration) error {
	if err := os.WriteFile(s.clock, []byte(by.String()), 0o600); err != nil {
		return err
	}
	err := pause(ctx, shortly)
	return errors.Join(err, os.WriteFile(s.clock, []byte("0s"), 0o600))
}

// objectsAway takes the object folder away and puts a file in its place, so that nobody makes a new one.
func (s *stand) objectsAway(ctx context.Context) error {
	s.objectsBusy.Lock()
	defer s.objectsBusy.Unlock()
	dir := filepath.Join(s.objectsDir(), "objects", tenant)
	aside := filepath.Join(s.objectsDir(), ".aside")
	if err := os.Rename(dir, aside); err != nil {
		return err
	}
	err := os.WriteFile(dir, nil, 0o600)
	if err == nil {
		err = pause(ctx, shortly)
	}
	return errors.Join(err, os.Remove(dir), os.Rename(aside, dir))
}

// freezeS3 lets the object store hang.
func (s *stand) freezeS3(ctx context.Context) error {
	s.objectsBusy.Lock()
	defer s.objectsBusy.Unlock()
	if err := s.minio.Pause(); err != nil {
		return err
	}
	err := pause(ctx, shortly)
	return errors.Join(err, s.minio.Resume())
}

// killS3 takes the object store away and brings it back over the same data.
func (s *stand) killS3(ctx context.Context) error {
	s.objectsBusy.Lock()
	defer s.objectsBusy.Unlock()
	s.minio.Kill()
	perr := pause(ctx, shortly)
	again, err := s.minio.Again(ctx)
	if err == nil {
		s.minio = again
	}
	return errors.Join(perr, err)
}

// mountSmall puts a small file system under the object folder, so that a full disk can be had without filling the machine's.
func (s *stand) mountSmall() {
	s.smallDisk = os.Geteuid() == 0 && unix.Mount("tmpfs", s.objectsDir(), "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", s.opts.DiskBytes)) == nil
}

// fillDisk fills the small file system for a while.
func (s *stand) fillDisk(ctx context.Context) error {
	s.objectsBusy.Lock()
	defer s.objectsBusy.Unlock()
	path := filepath.Join(s.objectsDir(), ".filler")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	for err == nil {
		_, err = f.Write(block)
	}
	for err = nil; err == nil; {
		_, err = f.Write(block[:4096])
	}
	f.Close()
	perr := pause(ctx, shortly)
	return errors.Join(perr, os.Remove(path))
}
