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
	"text/tabwriter"
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

var errBroken = errors.New("chaos: a promise did not hold; the report says which")

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
		Logger: log, Progress: bar.count("jobs"), NewKey: api.NewKey,
	})
	bar.close()
	done(err != nil || !r.Holds())
	if err != nil {
		return err
	}
	if err := c.show(e, r, func(w *tabwriter.Writer) { chaosTable(w, r) }); err != nil {
		return err
	}
	if !r.Holds() {
		return errBroken
	}
	return nil
}

func chaosTable(w *tabwriter.Writer, r chaos.Report) {
	fmt.Fprintf(w, "store\t%s\n", r.Store)
	fmt.Fprintf(w, "accepted\t%d of %d\n", r.Accepted, r.Jobs)
	fmt.Fprintf(w, "verdicts, refused, dead\t%d, %d, %d\n", r.Verdicts, r.Refused, r.Dead)
	fmt.Fprintf(w, "lost\t%d\n", r.Lost)
	fmt.Fprintf(w, "duplicates\t%d\n", r.Duplicates)
	fmt.Fprintf(w, "objects that cannot be opened\t%d\n", r.Broken)
	fmt.Fprintf(w, "objects of nobody\t%d (%d wait for the sweeper)\n", r.Orphans, r.Sweepable)
	fmt.Fprintf(w, "faults\t%d\n", r.Faults)
	for _, name := range slices.Sorted(maps.Keys(r.FaultsByName)) {
		fmt.Fprintf(w, "  %s\t%d\n", name, r.FaultsByName[name])
	}
	if len(r.LeftOut) > 0 {
		fmt.Fprintf(w, "faults left out\t%s\n", strings.Join(r.LeftOut, ", "))
	}
	fmt.Fprintf(w, "restarts of our processes\t%d\n", r.Restarts)
	fmt.Fprintf(w, "recovery after a killed worker, p50, p99, max\t%.1f, %.1f, %.1f s (%d jobs)\n", r.RecoveryP50S, r.RecoveryP99S, r.RecoveryMaxS, r.Recoveries)
	fmt.Fprintf(w, "took\t%.0f s\n", r.TookS)
	for _, p := range r.Problems {
		fmt.Fprintf(w, "PROBLEM\t%s\n", p)
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
	return c.show(e, r, func(w *tabwriter.Writer) {
		fmt.Fprintf(w, "store, fsync, cores\t%s, %t, %d\n", r.Store, r.Fsync, r.Cores)
		fmt.Fprintf(w, "accepted/s (%d clients, by object key)\t%.0f\n", r.AcceptClients, r.AcceptedPerS)
		fmt.Fprintf(w, "at %d/s offered: accepted/s\t%.0f\n", c.Offered, r.OfferedPerS)
		fmt.Fprintf(w, "  latency p50, p99, max\t%.1f, %.1f, %.1f ms\n", r.OfferedP50MS, r.OfferedP99MS, r.OfferedMaxMS)
		fmt.Fprintf(w, "other answers than 202\t%d\n", r.Refused)
		fmt.Fprintf(w, "finishing a backlog of %d, jobs/s\t%.0f\n", r.Backlog, r.BacklogPerS)
		fmt.Fprintf(w, "end to end, %d jobs, jobs/s\t%.0f\n", r.EndToEndJobs, r.EndToEndPerS)
		fmt.Fprintf(w, "bare asynq and Redis, tasks/s\t%.0f (no store, no promise; for information)\n", r.BareAsynqPerS)
	})
}
