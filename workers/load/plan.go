package load

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Figures are what a plan is worked out from: measured costs, and prices of whoever asks. Money is in whatever unit the prices are.
type Figures struct {
	ClipCPUS    float64 `json:"clip_cpu_s"`        // CPU seconds of the core for one clip (onsite bench core)
	ServiceMS   float64 `json:"service_cpu_ms"`    // CPU milliseconds of worker and API around the core for one job (onsite load: cpu_ms_per_job)
	PicturesMS  float64 `json:"pictures_cpu_ms"`   // of the core for the keyframes that the service keeps, without other people in them; onsite bench core measures it apart
	StoreMS     float64 `json:"store_cpu_ms"`      // of PostgreSQL, the same
	IdleMS      float64 `json:"idle_store_cpu_ms"` // of PostgreSQL for one worker process in a second, whether there is work or not
	ClipMB      float64 `json:"clip_mb"`           // megabytes of one upload with what is kept of it
	Use         float64 `json:"use"`               // share of a core that may be busy at the peak: above it the tail of the latency grows
	Cores       int     `json:"cores"`             // of one worker machine
	MachineHour float64 `json:"machine_hour"`      // price of that machine for an hour
	GBMonth     float64 `json:"gb_month"`          // price of a gigabyte of objects for a month
	KeepDays    float64 `json:"keep_days"`         // how long media are kept
	Days        float64 `json:"days"`              // working days of a month
	PerDay      float64 `json:"per_day"`           // clips of one person on such a day
}

// Row is the plan for a number of people.
type Row struct {
	People   int
	PeakPerS float64 // submissions per second at the curve's peak
	AtOnce   int     // worker machines whose verdicts come at once
	Within   int     // worker machines whose verdicts come within the wait at the worst moment
	Hours    float64 // machine hours of workers in a month, where machines run only while there is work
	Store    float64 // busy cores of PostgreSQL at the peak
	Money    float64 // a month: those hours and the kept media; store, API, network and idle machines come on top
}

// Plan works out what a morning of so many people needs. wait is how long a verdict may take at the worst moment in the column Within.
func Plan(people int, c Curve, f Figures, wait time.Duration) Row {
	perJob := (f.ClipCPUS + (f.ServiceMS+f.PicturesMS)/1000) / f.Use // core seconds to be had for one clip
	machines := func(perS float64) int { return int(math.Ceil(perS * perJob / float64(f.Cores))) }
	r := Row{People: people, PeakPerS: c.Peak(people)}
	r.AtOnce, r.Within = machines(r.PeakPerS), machines(c.Capacity(people, wait))
	month := float64(people) * f.Days * f.PerDay
	r.Hours = month * perJob / float64(f.Cores) / 3600
	r.Store = r.PeakPerS*f.StoreMS/1000 + float64(r.AtOnce)*f.IdleMS/1000
	r.Money = r.Hours*f.MachineHour + month/30*f.KeepDays*f.ClipMB/1000*f.GBMonth
	return r
}

// Capacity is the least rate of work, per second, at which nobody of n waits longer than wait when they come as the curve says: the queue as a
// fluid, first come first served.
func (c Curve) Capacity(n int, wait time.Duration) float64 {
	low, high := 0.0, c.Peak(n)
	for range 60 {
		mid := (low + high) / 2
		if c.longest(n, mid) > wait.Seconds() {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// longest is the longest wait in seconds when so much can be done per second.
func (c Curve) longest(n int, perS float64) float64 {
	const steps = 2000
	step := c.Span().Seconds() / steps
	peak := c.Peak(n)
	top := 0.0
	for _, p := range c {
		top = max(top, p.Rate)
	}
	left, longest, i := 0.0, 0.0, 1
	for k := range steps {
		at := c[0].At.Seconds() + (float64(k)+0.5)*step
		for i < len(c)-1 && c[i].At.Seconds() < at {
			i++
		}
		a, b := c[i-1], c[i]
		rate := a.Rate + (b.Rate-a.Rate)*(at-a.At.Seconds())/(b.At-a.At).Seconds()
		left = max(0, left+(rate/top*peak-perS)*step)
		longest = max(longest, left/max(perS, 1e-12))
	}
	return longest
}

// Table is the plan for some numbers of people in Markdown, as in docs/scale.md.
func Table(c Curve, f Figures, wait time.Duration, people ...int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| people | clips/s at the peak | machines, verdicts at once | machines, verdicts within %.0f min | machine hours a month | PostgreSQL cores at the peak | money a month |\n", wait.Minutes())
	b.WriteString("|---|---|---|---|---|---|---|\n")
	for _, n := range people {
		r := Plan(n, c, f, wait)
		fmt.Fprintf(&b, "| %s | %.1f | %s | %s | %s | %.2f | %s |\n", thousands(float64(n)), r.PeakPerS, thousands(float64(r.AtOnce)), thousands(float64(r.Within)), thousands(r.Hours), r.Store, thousands(r.Money))
	}
	return b.String()
}

func thousands(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Today are the figures of docs/scale.md beside the core's own (core.json): measured on 2026-11-22 on a virtual machine of 2 shared Xeon cores,
// and prices that stand for a usual cloud machine. Who measures again changes them here and runs the test with -update.
var Today = Figures{
	ServiceMS: 45, PicturesMS: passMS + failing*(failMS-passMS), StoreMS: 10, IdleMS: 20, ClipMB: 4, Use: 0.7, Cores: 16, MachineHour: 0.6, GBMonth: 0.023, KeepDays: 30, Days: 21, PerDay: 2,
}

// Keyframes that are kept: 3 of a verdict that passes, 12 of another one, some 60 ms each (a clip with and without, the same busy machine); and the
// share of verdicts that do not pass, a choice.
const (
	passMS  = 3 * 60
	failMS  = 12 * 60
	failing = 0.1
)

// Stage is what one part of the core costs for one clip, in CPU milliseconds.
type Stage struct {
	Name string  `json:"name"`
	MS   float64 `json:"cpu_ms"`
}

// measured is what "onsite bench core --json" printed, as far as the plan needs it.
//
//go:embed core.json
var measured []byte

// coreCost is what the core costs for one clip: all of it, in CPU seconds, and its parts. All of it is the mean over the clips of each one's median,
// as the parts are, and no sum of them.
type coreCost struct {
	ClipCPUS float64 `json:"cpu_s_per_clip"`
	Stages   []Stage `json:"table"`
}

// readCore reads the output of "onsite bench core --json".
func readCore(raw []byte) (coreCost, error) {
	var c coreCost
	if err := json.Unmarshal(raw, &c); err != nil {
		return c, fmt.Errorf("core.json: %w; write there what \"onsite bench core --json\" prints", err)
	}
	if c.ClipCPUS <= 0 || len(c.Stages) == 0 {
		return c, errors.New("core.json: cpu_s_per_clip or table is missing; write there what \"onsite bench core --json\" prints")
	}
	return c, nil
}

// stageNames are the stages of the benchmark in the page's words, where those differ.
var stageNames = map[string]string{"reuse": "comparison with a candidate", "scene": "scene and text"}

// Documented is the plan of docs/scale.md: the usual morning, a verdict within five minutes, and the same with the core's wanted cost.
func Documented() (string, error) {
	const minute = time.Minute
	c, err := Bell(8*time.Hour+30*minute, 9*time.Hour+15*minute, 8*time.Hour+55*minute, 8*minute)
	if err != nil {
		return "", err
	}
	core, err := readCore(measured)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("\n| stage | CPU ms for a clip | machines for it, 1,000,000 people, verdicts at once |\n|---|---|---|\n")
	for _, s := range append(core.Stages, Stage{"keyframes that are kept", Today.PicturesMS}, Stage{"around the core", Today.ServiceMS}) {
		f := Today
		f.ClipCPUS, f.ServiceMS, f.PicturesMS = s.MS/1000, 0, 0
		fmt.Fprintf(&b, "| %s | %.0f | %d |\n", cmp.Or(stageNames[s.Name], s.Name), s.MS, Plan(1_000_000, c, f, 0).AtOnce)
	}
	for _, clip := range []float64{core.ClipCPUS, 2.0, 0.7} {
		f := Today
		f.ClipCPUS = clip
		fmt.Fprintf(&b, "\n**%.2f CPU seconds for a clip**\n\n%s", clip, Table(c, f, 5*minute, 10_000, 100_000, 1_000_000))
	}
	return b.String() + "\n", nil
}
