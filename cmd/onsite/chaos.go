package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"onsite/api"
	"onsite/pipeline"
	"onsite/workers/chaos"
)

// harness is the folder of a harness and the program that it runs: this one.
type harness struct {
	Dir  string `help:"Empty folder for logs and data; kept. Default: a temporary one, removed when everything held." placeholder:"DIR"`
	Logs bool   `help:"Print what the harness does, fault by fault."`
}

func (h harness) open(e *env) (dir, binary string, log *slog.Logger, done func(keep bool), err error) {
	if binary, err = os.Executable(); err != nil {
		return "", "", nil, nil, fmt.Errorf("find this program's file: %w", err)
	}
	dir, done = h.Dir, func(bool) {}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "onsite-harness-"); err != nil {
			return "", "", nil, nil, fmt.Errorf("make a folder: %w", err)
		}
		done = func(keep bool) {
			if os.Remove(dir) == nil { // nothing was written into it
				return
			}
			if keep {
				fmt.Fprintln(e.err, "onsite:", e.say(pipeline.Text{EN: "logs and data are kept in " + dir, ZH: "日志和数据保留在 " + dir}))
				return
			}
			_ = os.RemoveAll(dir) // a temporary folder
		}
	} else if dir, err = filepath.Abs(dir); err != nil {
		return "", "", nil, nil, err
	} else if entries, err := os.ReadDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", nil, nil, pathError("--dir", h.Dir, err, "name a new or an empty folder", "请指定新的或空的文件夹")
	} else if len(entries) > 0 {
		return "", "", nil, nil, pathError("--dir", h.Dir, errors.New("not empty"), "name a new or an empty folder", "请指定新的或空的文件夹")
	} else if err = os.MkdirAll(dir, 0o700); err != nil {
		return "", "", nil, nil, err
	}
	to := io.Discard
	if h.Logs {
		to = e.err
	}
	return dir, binary, slog.New(slog.NewTextHandler(to, nil)), done, nil
}

type chaosCmd struct {
	benchCommon
	harness
	Jobs     int           `help:"Submissions." default:"2000"`
	Store    string        `help:"Results store." enum:"sqlite,postgres" default:"postgres"`
	Objects  string        `help:"Where objects lie: a folder, or a real MinIO (built at the first use: minutes)." enum:"folder,s3" default:"folder"`
	Every    time.Duration `help:"Time between two faults." default:"1s"`
	Over     time.Duration `help:"The submissions are spread over this time. Default: 100 ms for each."`
	Patience time.Duration `help:"How long no job may end, after the last submission, before the rest counts as lost." default:"5m"`
	Kill     float64       `help:"Chance that a process kills itself at each step of a job." default:"0.002"`
	Seed     uint64        `help:"Seed of the choice of faults." default:"1"`
}

func (c *chaosCmd) Run(ctx context.Context, e *env) error {
	if c.Jobs < 1 {
		return usagef(pipeline.Text{EN: "--jobs: ask for at least one job", ZH: "--jobs：至少需要 1 个任务"})
	}
	dir, binary, log, done, err := c.open(e)
	if err != nil {
		return err
	}
	if c.Kill == 0 {
		c.Kill = -1
	}
	bar := newProgress(e)
	r, err := chaos.Run(ctx, chaos.Options{
		Binary: binary, Dir: dir, Store: c.Store, S3: c.Objects == "s3", Jobs: c.Jobs, Every: c.Every, Over: c.Over, Patience: c.Patience, Kill: c.Kill, Seed: c.Seed,
		Logger: log, Progress: bar.count("jobs", "任务"), NewKey: api.NewKey,
	})
	bar.close()
	done(err != nil || !r.Holds())
	if err != nil {
		return err
	}
	if err := c.show(e, r, func(t sheet) { chaosTable(t, r) }); err != nil {
		return err
	}
	if !r.Holds() {
		return shortfall("broken", "a promise did not hold; the report says which", "有承诺未兑现；详见上方报告")
	}
	return nil
}

func chaosTable(t sheet, r chaos.Report) {
	t.line("store\t%s", "存储\t%s", r.Store)
	t.line("accepted\t%d of %d", "受理\t%d / %d", r.Accepted, r.Jobs)
	t.line("verdicts, refused, dead\t%d, %d, %d", "有结论、被拒收、已放弃\t%d、%d、%d", r.Verdicts, r.Refused, r.Dead)
	t.line("lost\t%d", "丢失\t%d", r.Lost)
	t.line("duplicates\t%d", "重复\t%d", r.Duplicates)
	t.line("objects that cannot be opened\t%d", "无法打开的对象\t%d", r.Broken)
	t.line("objects of nobody\t%d (%d wait for the sweeper)", "无主对象\t%d（%d 个等待清理）", r.Orphans, r.Sweepable)
	t.line("faults\t%d", "故障\t%d", r.Faults)
	for _, name := range slices.Sorted(maps.Keys(r.FaultsByName)) {
		t.data("  %s\t%d", name, r.FaultsByName[name])
	}
	if len(r.LeftOut) > 0 {
		t.line("faults left out\t%s", "未注入的故障\t%s", strings.Join(r.LeftOut, ", "))
	}
	t.line("restarts of our processes\t%d", "本系统进程重启次数\t%d", r.Restarts)
	t.line("recovery after a killed worker, p50, p99, max\t%.1f, %.1f, %.1f s (%d jobs)", "工作进程被杀后恢复用时 p50、p99、最大\t%.1f、%.1f、%.1f 秒（%d 个任务）", r.RecoveryP50S, r.RecoveryP99S, r.RecoveryMaxS, r.Recoveries)
	t.line("took\t%.0f s", "用时\t%.0f 秒", r.TookS)
	for _, p := range r.Problems {
		t.line("PROBLEM\t%s", "问题\t%s", p)
	}
}

type benchAPICmd struct {
	benchCommon
	harness
	Store   string        `help:"Results store." enum:"sqlite,postgres" default:"postgres"`
	Phase   time.Duration `help:"Length of the two accept phases." default:"10s"`
	Offered int           `help:"Submissions per second in the open loop." default:"500"`
	Jobs    int           `help:"Jobs of the end-to-end phase." default:"6000"`
}

func (c *benchAPICmd) Run(ctx context.Context, e *env) error {
	dir, binary, log, done, err := c.open(e)
	if err != nil {
		return err
	}
	bar := newProgress(e)
	r, err := chaos.Rate(ctx, chaos.RateOptions{
		Options: chaos.Options{Binary: binary, Dir: dir, Store: c.Store, Logger: log, NewKey: api.NewKey},
		Phase:   c.Phase, Offered: c.Offered, Jobs: c.Jobs, Doing: func(what string) { bar.show(-1, 0, what) },
	})
	bar.close()
	done(err != nil)
	if err != nil {
		return err
	}
	return c.show(e, r, func(t sheet) {
		t.line("store, fsync, cores\t%s, %t, %d", "存储、fsync、核数\t%s、%t、%d", r.Store, r.Fsync, r.Cores)
		t.line("accepted/s (%d clients, by object key)\t%.0f", "受理/秒（%d 个客户端，按对象键）\t%.0f", r.AcceptClients, r.AcceptedPerS)
		t.line("at %d/s offered: accepted/s\t%.0f", "每秒提交 %d 个时：受理/秒\t%.0f", c.Offered, r.OfferedPerS)
		t.line("  latency p50, p99, max\t%.1f, %.1f, %.1f ms", "  延迟 p50、p99、最大\t%.1f、%.1f、%.1f 毫秒", r.OfferedP50MS, r.OfferedP99MS, r.OfferedMaxMS)
		t.line("other answers than 202\t%d", "202 以外的回答\t%d", r.Refused)
		t.line("finishing a backlog of %d, jobs/s\t%.0f", "清空 %d 个积压任务，任务/秒\t%.0f", r.Backlog, r.BacklogPerS)
		t.line("end to end, %d jobs, jobs/s\t%.0f", "端到端 %d 个任务，任务/秒\t%.0f", r.EndToEndJobs, r.EndToEndPerS)
		t.line("bare asynq and Redis, tasks/s\t%.0f (no store, no promise; for information)", "单独 asynq 与 Redis，任务/秒\t%.0f（无存储、无承诺；仅供参考）", r.BareAsynqPerS)
	})
}
