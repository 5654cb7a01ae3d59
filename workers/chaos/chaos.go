package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"onsite/results"
)

// Options of a run. The zero value of a field means what is written beside it.
type Options struct {
	Binary    string        // the onsite program
	Dir       string        // empty folder for everything that the run makes
	Store     string        // SQLite or Postgres; Postgres
	S3        bool          // objects in a real MinIO instead of a folder
	Jobs      int           // submissions; 2,000
	Every     time.Duration // between two faults; 1 s; negative: none
	Over      time.Duration // the submissions are spread over this; 100 ms for each
	Patience  time.Duration // how long no job may end, after the last submission, before the rest counts as lost; 5 min
	APIs      int           // processes, Postgres only; 2
	Workers   int           // processes, Postgres only; 2
	Clients   int           // submissions at a time; 8
	Core      string        // of the workers; decoding
	AtOnce    int           // jobs at a time in each worker; 0: one per core, as usual
	Wait      time.Duration // how long each job of the core noop takes
	Threads   int           // GOMAXPROCS of each worker; 0: as many as cores
	Network   Network       // hosts of their own for the workers; Postgres only
	Kill      float64       // chance that a process kills itself at each step of a job; 0.002; negative: none
	Seed      uint64        // of the choice of faults; 1
	DiskBytes int64         // size of the object folder's file system, where one can be mounted; 512 MiB
	Logger    *slog.Logger
	Progress  func(done, total int)
	NewKey    func(tenant, name string, roles []results.Role, now time.Time) (string, results.APIKey, error) // makes an API key
}

func (o Options) filled() Options {
	set := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	set(&o.Jobs, 2000)
	set(&o.APIs, 2)
	set(&o.Workers, 2)
	set(&o.Clients, 8)
	if o.Store == "" {
		o.Store = Postgres
	}
	if o.Every == 0 {
		o.Every = time.Second
	}
	if o.Over == 0 {
		o.Over = time.Duration(o.Jobs) * 100 * time.Millisecond
	}
	if o.Patience == 0 {
		o.Patience = 5 * time.Minute
	}
	if o.Core == "" {
		o.Core = "decoding"
	}
	if o.Kill == 0 {
		o.Kill = 0.002
	}
	o.Kill = max(0, o.Kill)
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.DiskBytes == 0 {
		o.DiskBytes = 512 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Report is what a run counted. Accepted = Verdicts + Refused + Dead + Lost; Lost, Duplicates, Broken and Orphans must be 0.
type Report struct {
	Store         string         `json:"store"`
	Jobs          int            `json:"jobs"`
	Accepted      int            `json:"accepted"`
	NeverAccepted int            `json:"never_accepted"` // the client gave up: no promise was made
	Verdicts      int            `json:"verdicts"`
	Refused       int            `json:"refused"`
	Dead          int            `json:"dead"`
	DeadRules     map[string]int `json:"dead_rules,omitempty"`
	Lost          int            `json:"lost"`
	Duplicates    int            `json:"duplicates"`
	Broken        int            `json:"broken"` // objects that a row names and that cannot be opened
	Orphans       int            `json:"orphans"`
	Objects       int            `json:"objects"`
	Sweepable     int            `json:"sweepable"` // left behind by crashes, noted, swept after three hours
	Faults        int            `json:"faults"`
	FaultsByName  map[string]int `json:"faults_by_name"`
	LeftOut       []string       `json:"faults_left_out,omitempty"`
	Restarts      int            `json:"restarts"` // of our processes
	Answers       map[int]int    `json:"other_answers,omitempty"`
	RecoveryP50S  float64        `json:"recovery_p50_s"` // after a worker was killed, until its job ran again
	RecoveryP99S  float64        `json:"recovery_p99_s"`
	RecoveryMaxS  float64        `json:"recovery_max_s"`
	Recoveries    int            `json:"recoveries"`
	TookS         float64        `json:"took_s"`
	Problems      []string       `json:"problems,omitempty"`
}

// Holds says whether every promise held.
func (r Report) Holds() bool {
	return r.Lost == 0 && r.Duplicates == 0 && r.Broken == 0 && r.Orphans == 0 && len(r.Problems) == 0 &&
		r.Accepted == r.Verdicts+r.Refused+r.Dead
}

// Run makes one run. An error means that the harness itself could not work; what was found is in the report.
func Run(ctx context.Context, o Options) (Report, error) {
	o = o.filled()
	began := time.Now()
	r := Report{Store: o.Store, Jobs: o.Jobs, FaultsByName: map[string]int{}, DeadRules: map[string]int{}}
	s, err := newStand(ctx, o)
	if err != nil {
		return r, fmt.Errorf("start the stand: %w", err)
	}
	err = s.run(ctx, &r)
	err = errors.Join(err, s.close())
	r.TookS = time.Since(began).Seconds()
	return r, err
}

func (s *stand) run(ctx context.Context, r *Report) error {
	rng := rand.New(rand.NewPCG(s.opts.Seed, s.opts.Seed)) //nolint:gosec // which fault comes next; repeatable on purpose
	list := uploads(s.opts.Jobs)
	faults, leftOut := s.faults(rng)
	r.LeftOut = leftOut

	breaking, whole := context.WithCancel(ctx)
	broken := make(chan struct{})
	go func() {
		defer close(broken)
		if s.opts.Every > 0 {
			s.breakThings(breaking, s.opts.Every, faults, rng, r.FaultsByName)
		}
	}()
	sending, stop := context.WithTimeout(ctx, s.opts.Over+s.opts.Patience)
	s.submitAll(sending, list, s.opts.Over)
	stop()
	// Faults go on until half of the jobs are over that were accepted, so that finishing meets them, too; then it must become quiet.
	_ = s.finish(ctx, len(list)/2, s.opts.Patience) // it must become quiet even when that takes too long
	whole()
	<-broken
	err := s.finish(ctx, len(list), s.opts.Patience)
	s.watching.Wait()
	if err != nil && ctx.Err() != nil {
		return err // else it is for the counting to say what is lost
	}
	for _, n := range r.FaultsByName {
		r.Faults += n
	}
	for _, p := range s.processes() {
		r.Restarts += p.starts - 1
	}
	s.recovered(r)
	r.Answers = s.answers
	return s.count(ctx, list, r)
}

// finish waits until at least n jobs are over, for as long as jobs end.
func (s *stand) finish(ctx context.Context, n int, patience time.Duration) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stuck := time.AfterFunc(patience, func() { cancel(errors.New("jobs are left over")) })
	defer stuck.Stop()
	var all, before int64
	return until(ctx, "jobs are over", func() bool {
		counts, err := s.store.Counts(ctx, tenant)
		if err != nil {
			return false // the store is away: that is one of the faults
		}
		over := counts.ByState[results.Done] + counts.ByState[results.Refused] + counts.ByState[results.Dead]
		all = over + counts.ByState[results.Accepted] + counts.ByState[results.Queued] + counts.ByState[results.Running]
		if over > before {
			before = over
			stuck.Reset(patience)
		}
		if s.opts.Progress != nil {
			s.opts.Progress(int(over), s.opts.Jobs)
		}
		return over >= int64(n) || (over == all && all > 0)
	})
}

func (s *stand) recovered(r *Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Recoveries = len(s.recovery); r.Recoveries == 0 {
		return
	}
	slices.Sort(s.recovery)
	at := func(q float64) float64 {
		return s.recovery[min(len(s.recovery)-1, int(q*float64(len(s.recovery))))].Seconds()
	}
	r.RecoveryP50S, r.RecoveryP99S, r.RecoveryMaxS = at(0.5), at(0.99), s.recovery[len(s.recovery)-1].Seconds()
}
