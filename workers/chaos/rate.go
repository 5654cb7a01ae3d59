package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hibiken/asynq"
	"github.com/oklog/ulid/v2"

	"onsite/results"
	"onsite/workers/queue"
)

// RateReport is what the service does per second around a core that does nothing, on this machine, all in one run. Load, database, Redis,
// API and worker share its cores.
type RateReport struct {
	Store string `json:"store"`
	Fsync bool   `json:"fsync"`
	Cores int    `json:"cores"`

	AcceptedPerS   float64 `json:"accepted_per_s"` // closed loop, workers frozen
	AcceptClients  int     `json:"accept_clients"`
	OfferedPerS    float64 `json:"offered_per_s"` // open loop, workers frozen; latency counts from when a request was due
	OfferedP50MS   float64 `json:"offered_p50_ms"`
	OfferedP99MS   float64 `json:"offered_p99_ms"`
	OfferedMaxMS   float64 `json:"offered_max_ms"`
	Refused        int64   `json:"refused"`       // other answers than 202, all phases
	BacklogPerS    float64 `json:"backlog_per_s"` // finishing what the first phases left, nothing coming in
	Backlog        int64   `json:"backlog"`
	EndToEndPerS   float64 `json:"end_to_end_per_s"` // submitting and finishing at once, from the first request to the last verdict
	EndToEndJobs   int     `json:"end_to_end_jobs"`
	BareAsynqPerS  float64 `json:"bare_asynq_per_s"` // asynq and Redis alone: enqueue and process tasks that do nothing; loses what Redis loses
	BareAsynqTasks int     `json:"bare_asynq_tasks"`
}

// RateOptions of a measurement; zero values mean what is written beside them.
type RateOptions struct {
	Options
	Phase   time.Duration // of the accept phases; 10 s
	Offered int           // per second in the open loop; 500
	Jobs    int           // of the end-to-end phase; 6,000
	Doing   func(what string)
}

// atOnce is how many jobs the worker has in hand: they only wait for the store, which syncs its disk once for all that wait.
const atOnce = 32

// Rate measures. The processes run with the no-op core: their verdicts say so.
func Rate(ctx context.Context, o RateOptions) (r RateReport, err error) {
	if o.Phase == 0 {
		o.Phase = 10 * time.Second
	}
	if o.Offered == 0 {
		o.Offered = 500
	}
	if o.Jobs == 0 {
		o.Jobs = 6000
	}
	if o.Doing == nil {
		o.Doing = func(string) {}
	}
	o.Core, o.Kill, o.APIs, o.Workers, o.AtOnce = "noop", -1, 1, 1, atOnce
	o.Options = o.filled()
	r.Store, r.Fsync, r.Cores = o.Store, true, runtime.NumCPU()
	o.Doing("start")
	s, err := newStand(ctx, o.Options)
	if err != nil {
		return r, fmt.Errorf("start the stand: %w", err)
	}
	defer func() { err = errors.Join(err, s.close()) }()
	l := &rate{stand: s, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 512, MaxConnsPerHost: 512}}}

	// On SQLite API and worker are one process: its worker cannot be frozen alone, so accepting is measured beside finishing.
	freeze := func(sig syscall.Signal) {
		if o.Store == Postgres {
			s.workers[0].signal(sig)
		}
	}
	l.closed(ctx, 32, time.Second) // warm-up
	freeze(syscall.SIGSTOP)
	o.Doing("accept")
	r.AcceptClients = 64
	r.AcceptedPerS = l.closed(ctx, r.AcceptClients, o.Phase)
	o.Doing("offer")
	took := l.open(ctx, o.Offered, o.Phase)
	freeze(syscall.SIGCONT)
	r.OfferedPerS = float64(len(took)) / o.Phase.Seconds()
	r.OfferedP50MS, r.OfferedP99MS, r.OfferedMaxMS = quantileMS(took, 0.5), quantileMS(took, 0.99), quantileMS(took, 1)

	o.Doing("backlog")
	counts, err := s.store.Counts(ctx, tenant)
	if err != nil {
		return r, err
	}
	r.Backlog = unfinished(counts)
	began := time.Now()
	if err := l.drained(ctx); err != nil {
		return r, err
	}
	r.BacklogPerS = float64(r.Backlog) / time.Since(began).Seconds()

	o.Doing("end to end")
	r.EndToEndJobs = o.Jobs
	began = time.Now()
	l.some(ctx, 32, o.Jobs)
	if err := l.drained(ctx); err != nil {
		return r, err
	}
	r.EndToEndPerS = float64(o.Jobs) / time.Since(began).Seconds()
	r.Refused = l.refused.Load()

	o.Doing("bare asynq")
	r.BareAsynqTasks = o.Jobs
	r.BareAsynqPerS, err = bareAsynq(ctx, filepath.Join(o.Dir, "bare"), o.Jobs, o.Logger)
	return r, err
}

// rate submits by object key: small requests, so that the service is measured and not the copying of media.
type rate struct {
	*stand
	client  *http.Client
	next    atomic.Int64
	refused atomic.Int64
}

func (l *rate) one(ctx context.Context) bool {
	n := l.next.Add(1)
	body := fmt.Sprintf(`{"subject":%q,"site":%q,"taken_at":%q,"object":{"bucket":%q,"key":"clips/%s.mp4","etag":"%032x"}}`,
		subject(int(n)), site, time.Now().UTC().Format(time.RFC3339), bucket, ulid.Make(), n)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.bases[0]+"/v1/submissions", bytes.NewReader([]byte(body)))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+l.key)
	resp, err := l.client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode != http.StatusAccepted {
		if l.refused.Add(1) == 1 {
			l.opts.Logger.Info("not accepted", "status", resp.StatusCode, "body", string(said))
		}
		return false
	}
	return true
}

// closed keeps some clients busy for a while and gives the accepted submissions per second.
func (l *rate) closed(ctx context.Context, clients int, d time.Duration) float64 {
	began := time.Now()
	var accepted atomic.Int64
	var wait sync.WaitGroup
	for range clients {
		wait.Go(func() {
			for time.Since(began) < d && ctx.Err() == nil {
				if l.one(ctx) {
					accepted.Add(1)
				}
			}
		})
	}
	wait.Wait()
	return float64(accepted.Load()) / time.Since(began).Seconds()
}

// some submits n, by some clients.
func (l *rate) some(ctx context.Context, clients, n int) {
	var left atomic.Int64
	left.Store(int64(n))
	var wait sync.WaitGroup
	for range clients {
		wait.Go(func() {
			for ctx.Err() == nil && left.Add(-1) >= 0 {
				for !l.one(ctx) && ctx.Err() == nil {
					_ = pause(ctx, 50*time.Millisecond)
				}
			}
		})
	}
	wait.Wait()
}

// open offers requests at fixed times whether or not earlier ones were answered. The time of each counts from when it was due, so that a
// stall is not hidden by the requests that it kept from being sent (coordinated omission).
func (l *rate) open(ctx context.Context, perS int, d time.Duration) []time.Duration {
	began := time.Now()
	var mu sync.Mutex
	var took []time.Duration
	var wait sync.WaitGroup
	for n := range int(float64(perS) * d.Seconds()) {
		due := began.Add(time.Duration(n) * time.Second / time.Duration(perS))
		if wait := time.Until(due); wait > 0 {
			if pause(ctx, wait) != nil {
				break
			}
		}
		wait.Go(func() {
			if l.one(ctx) {
				mu.Lock()
				took = append(took, time.Since(due))
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return took
}

// drained waits until nothing is unfinished.
func (l *rate) drained(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Minute, errors.New("jobs are left over"))
	defer cancel()
	return until(ctx, "all jobs are over", func() bool {
		c, err := l.store.Counts(ctx, tenant)
		return err == nil && unfinished(c) == 0
	})
}

func unfinished(c results.Counts) int64 {
	return c.ByState[results.Accepted] + c.ByState[results.Queued] + c.ByState[results.Running]
}

func quantileMS(took []time.Duration, q float64) float64 {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return float64(took[min(len(took)-1, int(q*float64(len(took))))].Microseconds()) / 1000
}

// bareAsynq is asynq as one would use it without a store: tasks that do nothing, on a Redis of the same settings.
func bareAsynq(ctx context.Context, dir string, n int, log *slog.Logger) (float64, error) {
	server, err := queue.StartPrivate(ctx, dir, log)
	if err != nil {
		return 0, err
	}
	defer server.Close()
	client := asynq.NewClient(server.Options())
	defer client.Close()
	done := make(chan struct{})
	var count atomic.Int64
	runner := asynq.NewServer(server.Options(), asynq.Config{Concurrency: 16, TaskCheckInterval: 100 * time.Millisecond, LogLevel: asynq.ErrorLevel})
	began := time.Now()
	err = runner.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		if count.Add(1) == int64(n) {
			close(done)
		}
		return nil
	}))
	if err != nil {
		return 0, fmt.Errorf("start asynq: %w", err)
	}
	defer runner.Shutdown()
	var wait sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(n))
	errs := make(chan error, 8)
	for range 8 {
		wait.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := client.EnqueueContext(ctx, asynq.NewTask("noop", nil), asynq.MaxRetry(0)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wait.Wait()
	select {
	case err := <-errs:
		return 0, fmt.Errorf("enqueue with asynq: %w", err)
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-done:
		return float64(n) / time.Since(began).Seconds(), nil
	}
}
