package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/policy"
	"onsite/pipeline/reuse"
	"onsite/pipeline/verify"
)

// Budget is what each stage of a 15 s 720p H.264 clip may cost, in CPU milliseconds on one core (docs/benchmarks.md). Decoding is bounded
// by its ratio to bare libav instead, see MaxDecodeRatio.
var Budget = map[verify.Stage]float64{
	verify.StageDecode: 300, verify.StageFace: 160, verify.StageLiveness: 200, verify.StageFingerprint: 250, verify.StageReuse: 600,
	verify.StageScene: 350, verify.StageAuthenticity: 60,
}

// MaxDecodeRatio is how much the child may cost against bare libav on the same packets.
const MaxDecodeRatio = 1.3

// historySize is how many earlier fingerprints the workload has.
const historySize = 200

// Clip is a clip to measure, with photos of its person from outside of it (the first with one good face is enrolled). Without such photos
// the person is enrolled from a frame of the clip: that costs the same, and says nothing about decisions.
type Clip struct {
	Media  pipeline.Media
	Person []pipeline.Media
}

// Options says what to measure.
type Options struct {
	Clips   []Clip
	Runs    int   // how often each clip is verified; the median counts
	Workers int   // goroutines of the throughput part
	Curve   []int // further numbers of workers whose throughput is measured
	Naive   Naive // the obvious pipeline, verified beside each clip of the first run; nil: it is left out
	// EarlyExit also measures the second row: the clips again under a policy with early_exit.
	EarlyExit bool
	// Photos also measures a photo from each clip.
	Photos bool
	// Apart also measures the clips with a history of other scenes, and the pictures that a service keeps. Strangers are further clips, of other
	// people at other places than any that is measured, for that history.
	Apart     bool
	Strangers []pipeline.Media
	// Load is the share of the measured throughput at which Arrivals clips come, spaced as Spacing says, for the latency under load; 0: it is left out.
	Load     float64
	Arrivals int
	Spacing  Spacing
	// Progress is told how many runs of clips are done of how many, all parts together; nil: nobody is.
	Progress func(done, total int)

	ran *told
}

// Stage is one line of the table: of each clip the median over its runs, of these the mean over the clips, so that cheap and costly clips
// both count. Low and High are the cheapest and the dearest single run: on a shared machine they tell how far the figure can be trusted.
type Stage struct {
	Name     verify.Stage `json:"name"`
	CPUMS    float64      `json:"cpu_ms"`
	LowMS    float64      `json:"low_ms"`
	HighMS   float64      `json:"high_ms"`
	BudgetMS float64      `json:"budget_ms,omitempty"`
}

// Scale is the throughput of a number of workers.
type Scale struct {
	Workers   int     `json:"workers"`
	ClipsPerS float64 `json:"clips_per_s"`
}

// Result is the table. CPU counts the pipeline's threads and the child.
type Result struct {
	Clips        int                                   `json:"clips"`
	Files        []string                              `json:"files"`
	Runs         int                                   `json:"runs"`
	ClipsPerS    float64                               `json:"clips_per_s"`
	CPUSPerClip  float64                               `json:"cpu_s_per_clip"`
	Efficiency   *float64                              `json:"efficiency"` // see Detail; null where no samples could be taken
	Detail       *Efficiency                           `json:"efficiency_detail"`
	P50MS        float64                               `json:"p50_ms"`
	P95MS        float64                               `json:"p95_ms"`
	P99MS        float64                               `json:"p99_ms"`
	PeakRSSBytes int64                                 `json:"peak_rss_bytes"` // of this process, while nothing was recorded for Detail
	Stages       map[string]float64                    `json:"stages"`
	Table        []Stage                               `json:"table"`
	BareDecodeMS float64                               `json:"bare_decode_ms"`
	DecodeRatio  float64                               `json:"decode_ratio"` // child against bare libav on the same packets
	Checks       map[pipeline.CheckName]map[string]int `json:"checks"`       // outcomes over the clips
	Provider     string                                `json:"provider"`
	CPU          string                                `json:"cpu"`
	Cores        int                                   `json:"cores"`
	Machine      Machine                               `json:"machine"`
	Scaling      []Scale                               `json:"scaling,omitempty"`
	EarlyExit    *EarlyExit                            `json:"early_exit,omitempty"`
	Loaded       *Loaded                               `json:"under_load,omitempty"`
	Photo        *PhotoCost                            `json:"photo,omitempty"`
	Apart        *Apart                                `json:"without_candidate,omitempty"` // absent where all earlier footage shows the same scene
	Kept         *Kept                                 `json:"kept_pictures,omitempty"`
	Baseline     *Baseline                             `json:"baseline"` // null: not asked for
	Compared     *Compared                             `json:"compared,omitempty"`
}

// prepared is a clip with its person, place and history.
type prepared struct {
	job    verify.Job
	person pipeline.Media // whose photo was enrolled
	print  reuse.Fingerprint
}

// Core runs the workload: every check of video15 on every clip, with an enrolled person, a site and a history of 200 fingerprints.
//
// The site's reference is a frame of the clip (and a name that is on no sign, so that text is always looked for), the history is made of the
// other clips, repeated: what is measured is cost, not accuracy.
func Core(ctx context.Context, v *verify.Verifier, o Options) (Result, error) {
	p, err := policy.Default("video15")
	if err != nil {
		return Result{}, err
	}
	dir, err := os.MkdirTemp("", "onsite-bench")
	if err != nil {
		return Result{}, fmt.Errorf("bench: make a folder for frames: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a folder in the temporary one; the system clears it if we cannot
	jobs := make([]*prepared, 0, len(o.Clips))
	prints := make([]pipeline.Earlier, 0, len(o.Clips))
	for i, c := range o.Clips {
		job, print, err := prepare(ctx, v, c, filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			return Result{}, fmt.Errorf("bench: prepare %s: %w", c.Media.Name(), err)
		}
		defer job.job.Place.Close()
		job.job.Policy = p
		jobs, prints = append(jobs, job), append(prints, print)
	}
	var known *prepared // clips without a face are compared with somebody else
	for _, j := range jobs {
		if j.job.Subject != nil {
			known = j
		}
	}
	for i, j := range jobs {
		j.job.History = history(prints, i)
		if j.job.Subject == nil && known != nil {
			j.job.Subject, j.person = known.job.Subject, known.person
		}
	}
	more, err := strangers(ctx, v, o.Strangers)
	if err != nil {
		return Result{}, err
	}
	return measure(ctx, v, o, jobs, append(prints, more...))
}

// prepare decodes a clip once and makes a person, a place and a fingerprint of it.
func prepare(ctx context.Context, v *verify.Verifier, c Clip, dir string) (*prepared, pipeline.Earlier, error) {
	clip, err := v.Decode(ctx, c.Media)
	if err != nil {
		return nil, pipeline.Earlier{}, err
	}
	defer clip.Close()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, pipeline.Earlier{}, err
	}
	out := &prepared{job: verify.Job{Claim: pipeline.Claim{Job: verify.NewJob(), Tenant: "bench", TakenAt: time.Now()}, Media: c.Media, Consent: true}}
	for _, m := range c.Person {
		out.enroll(ctx, v, m)
	}
	var first string
	for i, f := range clip.Frames {
		picture, err := media.EncodeJPEG(f.Image, 92)
		if err != nil {
			return nil, pipeline.Earlier{}, err
		}
		path := filepath.Join(dir, fmt.Sprintf("%03d.jpg", i))
		if err := os.WriteFile(path, picture, 0o600); err != nil {
			return nil, pipeline.Earlier{}, err
		}
		if first == "" {
			first = path
		}
		if len(c.Person) > 0 {
			break
		}
		if out.enroll(ctx, v, pipeline.File(path)); out.job.Subject != nil {
			break
		}
	}
	site := &pipeline.Site{ID: "bench", SignNames: []string{"ONSITE BENCH"}, References: []pipeline.Reference{
		{Kind: pipeline.RefStorefront, Name: "first frame", Media: pipeline.File(first)},
	}}
	if out.job.Place, err = v.Prepare(ctx, site, false); err != nil {
		return nil, pipeline.Earlier{}, err
	}
	var earlier pipeline.Earlier
	out.print, earlier, err = fingerprint(clip)
	return out, earlier, err
}

// enroll takes a photo, unless there is one already. A photo without one good face is none; the next one may be.
func (p *prepared) enroll(ctx context.Context, v *verify.Verifier, m pipeline.Media) {
	if p.job.Subject != nil {
		return
	}
	if s, err := v.Enroll(ctx, []pipeline.Media{m}, false); err == nil {
		p.job.Subject, p.person = s, m
	}
}

// memory is a history that is held in memory.
type memory []pipeline.Earlier

func (m memory) Earlier(context.Context) ([]pipeline.Earlier, error) { return m, nil }
func (m memory) Missing() int                                        { return 0 }
func (m memory) AsOf() int64                                         { return int64(len(m)) }
func (m memory) Picture(context.Context, string, int64) ([]byte, error) {
	return nil, os.ErrNotExist
}

// history repeats the prints but one until they are as many as a history has; without is its place, or beyond the last: none is left out.
func history(prints []pipeline.Earlier, without int) memory {
	others := slices.Clone(prints)
	if without < len(others) {
		others = slices.Delete(others, without, without+1)
	}
	if len(others) == 0 {
		return memory{}
	}
	out := make(memory, historySize)
	for i := range out {
		out[i] = others[i%len(others)]
		out[i].Job = fmt.Sprintf("earlier-%03d", i)
	}
	return out
}

func measure(ctx context.Context, v *verify.Verifier, o Options, jobs []*prepared, prints []pipeline.Earlier) (Result, error) {
	r := Result{
		Clips: len(jobs), Files: names(o.Clips), Runs: o.Runs, Stages: map[string]float64{}, Checks: map[pipeline.CheckName]map[string]int{},
		Cores: runtime.GOMAXPROCS(0),
	}
	stages := map[verify.Stage]series{}
	sums, bare, ratios := newSeries(len(jobs)), newSeries(len(jobs)), newSeries(len(jobs))
	var naive comparison
	var verdicts []pipeline.Verdict // of each clip
	samples := newSampler(v.Models.Provider())
	steps := len(jobs) * o.Runs
	o.ran = newTold(o, len(jobs))
	for _, j := range jobs { // models and buffers are there when the first run is measured
		if err := j.alone(ctx, v); err != nil {
			return Result{}, err
		}
		o.ran.one()
	}
	peak, err := peakRSS()
	if err != nil {
		return Result{}, err
	}
	for n := range steps {
		j := jobs[n%len(jobs)]
		job := j.job
		job.InTurn = true // two threads on one physical core would each seem to cost more
		if err := samples.start(); err != nil {
			return Result{}, err
		}
		out, err := v.Run(ctx, job)
		if err := errors.Join(err, samples.stop()); err != nil {
			return Result{}, fmt.Errorf("bench: verify %s: %w", j.job.Media.Name(), err)
		}
		b, err := v.Decoder.Bare(ctx, j.job.Media, media.DefaultRequest())
		if err != nil {
			return Result{}, fmt.Errorf("bench: bare decoding of %s: %w", j.job.Media.Name(), err)
		}
		if err := samples.models(ctx, v, j); err != nil {
			return Result{}, err
		}
		runtime.GC() // with what was recorded as garbage, the next run would hardly have to collect its own
		samples.child, samples.convert, samples.bare = samples.child+out.Child.CPU, samples.convert+out.Child.Convert, samples.bare+b
		spent := addUp(out.Costs, stages, n%len(jobs), len(jobs))
		sums.add(n%len(jobs), spent)
		bare.add(n%len(jobs), ms(b))
		ratios.add(n%len(jobs), ms(out.Child.CPU)/ms(b))
		if n < len(jobs) {
			verdicts = append(verdicts, out.Verdict)
			count(r.Checks, out.Verdict)
			if err := naive.run(ctx, o.Naive, j, out.Verdict, spent); err != nil {
				return Result{}, err
			}
		}
		r.Provider, r.CPU, r.Machine = out.Verdict.Runtime.Provider, out.Verdict.Runtime.CPU, machine(out.Verdict)
		o.ran.one()
	}
	debug.FreeOSMemory() // the recordings'
	if err := forgetPeak(); err != nil {
		return Result{}, err
	}
	if o.EarlyExit {
		if r.EarlyExit, err = early(ctx, v, o, jobs, verdicts); err != nil {
			return Result{}, err
		}
	}
	if o.Photos {
		if r.Photo, err = photos(ctx, v, o, jobs); err != nil {
			return Result{}, err
		}
	}
	if o.Apart {
		if r.Apart, r.Kept, err = apart(ctx, v, o, jobs, prints); err != nil {
			return Result{}, err
		}
	}
	latency, wall, err := throughput(ctx, v, o, jobs, steps)
	if err != nil {
		return Result{}, err
	}
	r.ClipsPerS = float64(steps) / wall.Seconds()
	for _, w := range o.Curve {
		c := o
		c.Workers = w
		_, wall, err := throughput(ctx, v, c, jobs, steps)
		if err != nil {
			return Result{}, err
		}
		r.Scaling = append(r.Scaling, Scale{Workers: w, ClipsPerS: float64(steps) / wall.Seconds()})
	}
	if r.Loaded, err = underLoad(ctx, v, o, jobs, r.ClipsPerS); err != nil {
		return Result{}, err
	}
	r.P50MS, r.P95MS, r.P99MS = quantile(latency, .5), quantile(latency, .95), quantile(latency, .99)
	r.CPUSPerClip, r.BareDecodeMS, r.DecodeRatio = sums.typical()/1000, bare.typical(), ratios.typical()
	r.Baseline = naive.result()
	if r.Detail = samples.result(steps); r.Detail != nil {
		r.Efficiency = &r.Detail.Ratio
	}
	for _, s := range []verify.Stage{verify.StageDecode, verify.StageFace, verify.StageLiveness, verify.StageFingerprint, verify.StageReuse, verify.StageScene, verify.StageAuthenticity} {
		m := stages[s].typical()
		low, high := stages[s].ends()
		r.Stages[string(s)] = m
		r.Table = append(r.Table, Stage{Name: s, CPUMS: m, LowMS: low, HighMS: high, BudgetMS: Budget[s]})
	}
	after, err := peakRSS()
	if err != nil {
		return Result{}, err
	}
	r.PeakRSSBytes = max(peak, after)
	return r, nil
}

// alone runs a clip without measuring it.
func (p *prepared) alone(ctx context.Context, v *verify.Verifier) error {
	job := p.job
	job.InTurn = true
	if _, err := v.Run(ctx, job); err != nil {
		return fmt.Errorf("bench: verify %s: %w", job.Media.Name(), err)
	}
	return nil
}

// throughput verifies the clips from as many goroutines as workers and gives the latency of each, in ms.
func throughput(ctx context.Context, v *verify.Verifier, o Options, jobs []*prepared, steps int) ([]float64, time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan *prepared)
	latency := make([]float64, 0, steps)
	var mu sync.Mutex
	var wait sync.WaitGroup
	began := time.Now()
	for range max(1, o.Workers) {
		wait.Go(func() {
			for j := range next {
				t := time.Now()
				if _, err := v.Run(ctx, j.job); err != nil {
					cancel(fmt.Errorf("bench: verify %s: %w", j.job.Media.Name(), err))
					continue
				}
				mu.Lock()
				latency = append(latency, ms(time.Since(t)))
				mu.Unlock()
				o.ran.one()
			}
		})
	}
	for n := range steps {
		select {
		case next <- jobs[n%len(jobs)]:
		case <-ctx.Done():
		}
	}
	close(next)
	wait.Wait()
	return latency, time.Since(began), context.Cause(ctx)
}

func names(clips []Clip) []string {
	out := make([]string, len(clips))
	for i, c := range clips {
		out[i] = c.Media.Name()
	}
	return out
}

// NotRun lists the checks that the workload wants and that were not made on every clip.
func (r Result) NotRun() []pipeline.CheckName {
	var out []pipeline.CheckName
	for _, c := range []pipeline.CheckName{pipeline.CheckFace, pipeline.CheckLiveness, pipeline.CheckScene, pipeline.CheckReuse, pipeline.CheckAuthenticity} {
		if n := r.Checks[c][string(pipeline.NotChecked)] + r.Checks[c][string(pipeline.Error)]; n > 0 {
			out = append(out, c)
		}
	}
	return out
}

func count(into map[pipeline.CheckName]map[string]int, v pipeline.Verdict) {
	for name, c := range v.Checks {
		if into[name] == nil {
			into[name] = map[string]int{}
		}
		into[name][string(c.Outcome)]++
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// quantile gives the nearest-rank quantile of values; 0 for none.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(at, 0), len(sorted)-1)]
}
