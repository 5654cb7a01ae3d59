package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"onsite/api"
	"onsite/api/client"
	"onsite/cmd/onsite/config"
	"onsite/pipeline"
	"onsite/workers/chaos"
	"onsite/workers/load"
)

type loadCmd struct {
	remoteFlags
	harness

	Employees int           `help:"How many people come: one submission each." default:"1000"`
	From      string        `help:"When the morning begins." default:"08:30" placeholder:"HH:MM"`
	To        string        `help:"When it ends." default:"09:15" placeholder:"HH:MM"`
	Peak      string        `help:"When most come." default:"08:55" placeholder:"HH:MM"`
	Spread    time.Duration `help:"Standard deviation around that." default:"8m"`
	Curve     string        `help:"File with the arrival curve instead: lines \"HH:MM,rate\", straight between them." placeholder:"FILE" type:"existingfile"`
	Flat      bool          `help:"As many at the end as at the beginning, instead of a bell."`
	Over      time.Duration `help:"Real time in which the morning is played; shorter than the morning means a steeper one." default:"1m"`
	Seed      uint64        `help:"Seed of the arrivals." default:"1"`
	Flying    int           `help:"Submissions on their way at a time at most." default:"2000"`
	Old       time.Duration `help:"Age of the oldest waiting job from which the service counts as late." default:"5s"`
	Patience  time.Duration `help:"How long no verdict may come, after the last submission." default:"2m"`

	Clips   string   `help:"Folder of clips to submit, in turn. Default: four seconds of a test picture, with other bytes each time; with --core full the clips of onsite bench." placeholder:"DIR"`
	Subject []string `help:"Ids of employees to submit for, in turn (against a running service)." placeholder:"ID,..."`
	Site    string   `help:"Id of the place of work." placeholder:"ID"`
	Policy  string   `help:"Name of the policy." placeholder:"NAME"`

	Workers []int         `help:"Start a service of its own (PostgreSQL, Redis, MinIO, one API) with so many worker processes; several numbers are run one after the other." placeholder:"1,2,4"`
	Core    string        `help:"With --workers: what the workers run. noop looks at nothing and takes --each for a job; decoding decodes and fingerprints without models; full is the real core on real clips, whose people are enrolled first." enum:"noop,decoding,full" default:"noop"`
	Sites   int           `help:"With --core full: how many sites the employees are spread over. 1: all at one, where each clip but the first of its kind is a copy of an earlier one. Default: as many as it takes that no earlier clip of a site is; policies that look for near-identical frames in the whole tenant, as the built-in ones do, find most of them all the same." placeholder:"N"`
	Each    time.Duration `help:"With --core noop: how long a job takes, without work, so that each worker stands for a machine." default:"1s"`
	AtOnce  int           `help:"With --workers: jobs at a time in each. Default: one per core." `
	Threads int           `help:"With --workers: processor cores that each worker may use (GOMAXPROCS)."`
	Objects string        `help:"With --workers: a real MinIO, or a folder." enum:"s3,folder" default:"s3"`

	Hosts int           `help:"With --workers: run them on so many hosts: network namespaces of this machine, joined to it by cables. Takes root and iproute2." placeholder:"N"`
	Delay time.Duration `help:"With --hosts: delay of each cable, one way (needs the kernel's netem)." placeholder:"DURATION"`
	Rate  string        `help:"With --hosts: how fast each cable is, in each direction." placeholder:"100mbit"`

	Report string `help:"Write a page with plots here." placeholder:"FILE.html"`
}

func (c *loadCmd) Run(ctx context.Context, e *env) error {
	curve, err := c.curve()
	if err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	o := load.Options{Times: curve.Times(c.Employees, c.Over, c.Seed), Flying: c.Flying, Old: c.Old, Patience: c.Patience}
	var runs []load.Result
	if len(c.Workers) == 0 {
		runs, err = c.running(ctx, e, o)
	} else {
		runs, err = c.own(ctx, e, o)
	}
	if err != nil {
		return err
	}
	if err := c.tell(e, runs); err != nil {
		return err
	}
	for _, r := range runs {
		if r.Open > 0 {
			return shortfall("overloaded", "accepted submissions were not finished while the load waited; the table says how many", "等待期内有已受理的提交未完成；数量见表格")
		}
	}
	return nil
}

// check says what of the flags does not fit together, before anything is started.
func (c *loadCmd) check() error {
	if len(c.Workers) == 0 && (c.Core == config.CoreFull || c.Hosts != 0 || c.Sites != 0) {
		return usagef(pipeline.Text{EN: "--core full, --sites and --hosts are for a service that is started here; give --workers, too", ZH: "--core full、--sites 和 --hosts 只用于在此启动的服务；请同时给出 --workers"})
	}
	for _, n := range c.Workers {
		if n < 1 {
			return usagef(pipeline.Text{EN: "--workers: at least one process is needed", ZH: "--workers：至少需要 1 个进程"})
		}
	}
	if len(c.Workers) > 0 && len(c.Subject) > 0 {
		return usagef(pipeline.Text{
			EN: "--subject is for a running service; with --workers a service is started that has employees of its own: leave one of them out",
			ZH: "--subject 用于正在运行的服务；--workers 会启动自带员工的服务：两者只能给出一个",
		})
	}
	if c.Sites != 0 && c.Core != config.CoreFull || c.Sites < 0 {
		return usagef(pipeline.Text{EN: "--sites: a number from 1 on, together with --core full", ZH: "--sites：须为 1 以上的整数，并与 --core full 同时使用"})
	}
	return networkly(c.network().Check())
}

func (c *loadCmd) network() chaos.Network {
	return chaos.Network{Hosts: c.Hosts, Delay: c.Delay, Rate: c.Rate}
}

// curve is the morning that the flags describe.
func (c *loadCmd) curve() (load.Curve, error) {
	if c.Employees < 1 || c.Over <= 0 {
		return nil, usagef(pipeline.Text{EN: "--employees and --over: somebody must come, in some time", ZH: "--employees 和 --over：人数与时长都必须大于 0"})
	}
	bad := func(flag string, err error) error {
		return usagef(pipeline.Text{EN: flag + ": " + err.Error(), ZH: flag + "：" + err.Error()})
	}
	if c.Curve != "" {
		f, err := os.Open(c.Curve)
		if err != nil {
			return nil, pathError("--curve", c.Curve, err, "name a file with lines like 08:55,120", "请指定每行形如 08:55,120 的文件")
		}
		defer f.Close()
		curve, err := load.ReadCurve(f)
		if err != nil {
			return nil, bad("--curve "+c.Curve, err)
		}
		return curve, nil
	}
	var at [3]time.Duration
	for i, flag := range []struct{ name, value string }{{"--from", c.From}, {"--to", c.To}, {"--peak", c.Peak}} {
		d, err := load.Clock(flag.value)
		if err != nil {
			return nil, bad(flag.name, err)
		}
		at[i] = d
	}
	if c.Flat {
		return load.Flat(max(at[1]-at[0], time.Second)), nil
	}
	curve, err := load.Bell(at[0], at[1], at[2], c.Spread)
	if err != nil {
		return nil, bad("--from, --to, --peak, --spread", err)
	}
	return curve, nil
}

// media gives the file of each submission.
func (c *loadCmd) media() (func(n int) client.File, error) {
	if c.Clips == "" {
		return func(int) client.File { return client.File{Name: "clip.mp4", Bytes: chaos.Clip()} }, nil
	}
	if _, err := folder(c.Clips); err != nil { // says what is wrong with it
		return nil, err
	}
	entries, err := os.ReadDir(c.Clips)
	if err != nil {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(f os.DirEntry) bool { return !f.Type().IsRegular() || strings.HasPrefix(f.Name(), ".") })
	return func(n int) client.File {
		name := entries[n%len(entries)].Name()
		return client.File{Name: name, Path: filepath.Join(c.Clips, name)}
	}, nil
}

// running plays against a service that is there.
func (c *loadCmd) running(ctx context.Context, e *env, o load.Options) ([]load.Result, error) {
	media, err := c.media()
	if err != nil {
		return nil, err
	}
	if len(c.Subject) == 0 {
		return nil, usagef(pipeline.Text{
			EN: "name employees with --subject, or give --workers to start a service for the load alone", ZH: "请用 --subject 指定员工，或用 --workers 启动一套专用于压测的服务",
		})
	}
	api, err := c.remoteFlags.open(e)
	if err != nil {
		return nil, err
	}
	defer api.Close()
	s := &loaded{clients: []*client.Client{api}, media: media, subject: func(n int) string { return c.Subject[n%len(c.Subject)] }, site: func(int) string { return c.Site }, policy: c.Policy}
	bar := newProgress(e)
	defer bar.close()
	o.Progress = bar.count("verdicts", "结论")
	r, err := load.Run(ctx, s, o)
	return []load.Result{r}, remotely(err)
}

// own starts a service for each number of workers.
func (c *loadCmd) own(ctx context.Context, e *env, o load.Options) ([]load.Result, error) {
	dir, binary, log, done, err := c.harness.open(e)
	if err != nil {
		return nil, err
	}
	actors, err := c.actors(ctx, e, dir)
	if err != nil {
		done(false)
		return nil, err
	}
	var runs []load.Result
	for _, n := range c.Workers {
		var r load.Result
		if r, err = c.stand(ctx, e, o, actors, n, chaos.Options{
			Binary: binary, Dir: filepath.Join(dir, strconv.Itoa(n)), Store: chaos.Postgres, S3: c.Objects == "s3", Workers: n, APIs: 1, Core: c.Core, AtOnce: c.AtOnce,
			Wait: c.Each, Threads: c.Threads, Network: c.network(), Logger: log, NewKey: api.NewKey,
		}); err != nil {
			break
		}
		runs = append(runs, r)
	}
	done(err != nil)
	return runs, err
}

// actors are who submits what.
type actors struct {
	media func(n int) client.File
	crew  *crew // with the real core; nil: the stand's own subjects and site do
}

// actors gives who submits what to a service of its own.
func (c *loadCmd) actors(ctx context.Context, e *env, dir string) (actors, error) {
	if c.Core != config.CoreFull {
		media, err := c.media()
		return actors{media: media}, err
	}
	clips := filepath.Join(dir, "clips")
	if err := os.MkdirAll(clips, 0o700); err != nil {
		return actors{}, fmt.Errorf("load: make a folder: %w", err)
	}
	crew, err := c.newCrew(ctx, e, clips)
	if err != nil {
		return actors{}, err
	}
	return actors{media: crew.media, crew: crew}, nil
}

// networkly gives an error of the hosts the words for whoever asked for them.
func networkly(err error) error {
	var network *chaos.NetworkError
	if errors.As(err, &network) {
		return &usageError{text: network.Text, err: err}
	}
	return err
}

func (c *loadCmd) stand(ctx context.Context, e *env, o load.Options, a actors, n int, so chaos.Options) (r load.Result, err error) {
	if err := os.MkdirAll(so.Dir, 0o700); err != nil {
		return r, fmt.Errorf("load: make a folder: %w", err)
	}
	bar := newProgress(e)
	defer bar.close()
	bar.show(-1, 0, e.say(pipeline.Text{EN: "starting the service", ZH: "正在启动服务"}))
	stand, err := chaos.Open(ctx, so)
	if err != nil {
		return r, networkly(err)
	}
	defer func() { err = errors.Join(err, stand.Close()) }()
	site := stand.Site()
	s := &loaded{media: a.media, subject: stand.Subject, site: func(int) string { return site }, decisions: map[string]int{}, codes: map[string]int{}}
	for _, url := range stand.URLs() {
		api, err := client.New(client.Options{Server: url, Key: stand.Key(), Lang: e.lang})
		if err != nil {
			return r, err
		}
		defer api.Close()
		s.clients = append(s.clients, api)
	}
	if a.crew != nil {
		if err := a.crew.enter(ctx, s.clients[0], bar.count("employees enrolled", "已登记员工")); err != nil {
			return r, err
		}
		s.subject, s.site = a.crew.subject, a.crew.site
	}
	o.Progress = bar.count(strconv.Itoa(n)+" workers: verdicts", strconv.Itoa(n)+" 个工作进程：结论")
	before := stand.CPU()
	r, err = load.Run(ctx, s, o)
	if err != nil {
		return r, err
	}
	r.Workers, r.CPU = n, map[string]float64{}
	for kind, used := range stand.CPU() {
		r.CPU[kind] = (used - before[kind]).Seconds() * 1000 / float64(max(1, r.Finished))
	}
	r.Decisions, r.Codes = s.decisions, s.codes
	return r, nil
}

// loaded is a service as the load sees it.
type loaded struct {
	clients []*client.Client // of several APIs, in turn
	media   func(n int) client.File
	subject func(n int) string
	site    func(n int) string
	policy  string
	// What the verdicts said; nil: not counted. Only Finished touches them, which one goroutine calls.
	decisions, codes map[string]int
}

var _ load.Service = (*loaded)(nil)

// Submit is load.Service. It sends once: a client that tries again would hide a refusal.
func (s *loaded) Submit(ctx context.Context, n int) (string, error) {
	claim := client.Claim{Subject: s.subject(n), Site: s.site(n), Policy: s.policy, TakenAt: time.Now()}
	got, err := s.clients[n%len(s.clients)].Submit(ctx, claim, s.media(n), "", nil)
	var problem *client.Problem
	var away *client.Unreachable
	switch {
	case errors.As(err, &problem):
		return "", &load.Refusal{Code: strconv.Itoa(problem.Status), Err: err}
	case errors.As(err, &away):
		return "", &load.Refusal{Code: "unreachable", Err: err}
	}
	return got.Job, err
}

// Finished is load.Service.
func (s *loaded) Finished(ctx context.Context, after int64) ([]string, int64, error) {
	got, err := s.clients[0].Changes(ctx, after, 500, time.Second)
	if err != nil {
		return nil, after, err
	}
	var jobs []string
	for _, v := range got.Items {
		if v.Revision == 1 {
			jobs = append(jobs, v.Job)
			if s.decisions != nil {
				s.decisions[string(v.Decision)]++
				for _, code := range v.Codes {
					s.codes[string(code)]++
				}
			}
		}
	}
	return jobs, max(after, got.Position), nil
}

// Final is load.Service.
func (s *loaded) Final(ctx context.Context, job string) (string, error) {
	got, err := s.clients[0].Job(ctx, job, 0)
	if err != nil || !got.Final {
		return "", err
	}
	return got.State, nil
}

func (c *loadCmd) tell(e *env, runs []load.Result) error {
	if c.Report != "" {
		f, err := os.Create(c.Report)
		if err != nil {
			return pathError("--report", c.Report, err, "name a file that can be written", "请指定可写的文件")
		}
		if err := errors.Join(load.WritePage(f, e.lang, e.say(pipeline.Text{EN: fmt.Sprintf("A morning of %d people in %v", c.Employees, c.Over), ZH: fmt.Sprintf("%d 人的早高峰，用时 %g 分钟", c.Employees, c.Over.Minutes())}), runs), f.Close()); err != nil {
			return err
		}
	}
	common := benchCommon{JSON: c.JSON}
	return common.show(e, map[string]any{"cores": runtime.NumCPU(), "core": c.Core, "each_ms": c.Each.Milliseconds(), "runs": runs}, func(t sheet) {
		for i, r := range runs {
			if i > 0 {
				t.data("")
			}
			loadTable(t, r)
		}
	})
}

func loadTable(t sheet, r load.Result) {
	if r.Workers > 0 {
		t.line("worker processes\t%d", "工作进程\t%d", r.Workers)
	}
	t.line("offered, accepted, verdicts\t%d, %d, %d", "提交、受理、结论\t%d、%d、%d", r.Offered, r.Accepted, r.Finished)
	t.line("offered in, all over after\t%.1f s, %.1f s", "提交用时、全部完成用时\t%.1f 秒、%.1f 秒", r.OverS, r.TookS)
	t.line("offered/s, verdicts/s at the peak\t%.1f, %.1f", "峰值提交/秒、结论/秒\t%.1f、%.1f", r.PeakOffer, r.Peak)
	t.line("accepted after, p50, p95, p99, max\t%.0f, %.0f, %.0f, %.0f ms", "受理耗时 p50、p95、p99、最大\t%.0f、%.0f、%.0f、%.0f 毫秒", r.Accept.P50MS, r.Accept.P95MS, r.Accept.P99MS, r.Accept.MaxMS)
	t.line("verdict after, p50, p95, p99, max\t%.2f, %.2f, %.2f, %.2f s", "结论耗时 p50、p95、p99、最大\t%.2f、%.2f、%.2f、%.2f 秒", r.EndToEnd.P50MS/1000, r.EndToEnd.P95MS/1000, r.EndToEnd.P99MS/1000, r.EndToEnd.MaxMS/1000)
	t.line("most waiting, the oldest for\t%d, %.1f s", "最多等待数、最长等待\t%d、%.1f 秒", r.MaxWait, r.MaxAgeS)
	if r.BendS > 0 {
		t.line("late from, offered/s when the late one came\t%.1f s, %.1f", "开始延迟的时刻、该任务提交时的提交/秒\t%.1f 秒、%.1f", r.BendS, r.BendPerS)
	}
	t.line("the load itself was late by at most\t%.0f ms", "压测自身最多延迟\t%.0f 毫秒", r.LateMS)
	for _, code := range slices.Sorted(maps.Keys(r.Refused)) {
		t.line("not accepted: %s %s\t%d", "未受理：%s %s\t%d", code, statusText(code), r.Refused[code])
	}
	for _, state := range slices.Sorted(maps.Keys(r.Ended)) {
		t.line("ended without a verdict: %s\t%d", "结束但没有结论：%s\t%d", state, r.Ended[state])
	}
	if r.Open > 0 {
		t.line("NOT OVER\t%d", "未完成\t%d", r.Open)
	}
	for _, decision := range slices.Sorted(maps.Keys(r.Decisions)) {
		t.line("decided: %s\t%d", "结论：%s\t%d", t.e.say(decided(pipeline.Decision(decision))), r.Decisions[decision])
	}
	for _, code := range slices.Sorted(maps.Keys(r.Codes)) {
		t.line("  with the reason %s\t%d", "  原因：%s\t%d", code, r.Codes[code])
	}
	for _, kind := range slices.Sorted(maps.Keys(r.CPU)) {
		t.line("CPU ms per job: %s\t%.1f", "每个任务的 CPU 毫秒：%s\t%.1f", kind, r.CPU[kind])
	}
}

func statusText(code string) string {
	n, err := strconv.Atoi(code)
	if err != nil {
		return ""
	}
	return http.StatusText(n)
}
