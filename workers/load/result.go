package load

import (
	"slices"
	"sort"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Sample is how things stood at one moment; the rates are those since the sample before.
type Sample struct {
	AtS          float64 `json:"at_s"`
	Offered      int     `json:"offered"`
	Accepted     int     `json:"accepted"`
	Finished     int     `json:"finished"`
	Waiting      int     `json:"waiting"` // accepted, no verdict yet
	AgeS         float64 `json:"age_s"`   // since the oldest of those was accepted
	OfferedPerS  float64 `json:"offered_per_s"`
	FinishedPerS float64 `json:"finished_per_s"`
}

// Latency is a distribution in milliseconds, with three digits.
type Latency struct {
	MeanMS float64 `json:"mean_ms"`
	P50MS  float64 `json:"p50_ms"`
	P95MS  float64 `json:"p95_ms"`
	P99MS  float64 `json:"p99_ms"`
	P999MS float64 `json:"p999_ms"`
	MaxMS  float64 `json:"max_ms"`
}

func latency(h *hdrhistogram.Histogram) Latency {
	at := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
	return Latency{MeanMS: h.Mean() / 1000, P50MS: at(50), P95MS: at(95), P99MS: at(99), P999MS: at(99.9), MaxMS: float64(h.Max()) / 1000}
}

// Result is what a morning showed. Latencies count from when a submission was due.
type Result struct {
	Workers   int            `json:"workers,omitempty"` // processes, where the run started them itself
	Offered   int            `json:"offered"`
	Accepted  int            `json:"accepted"`
	Refused   map[string]int `json:"refused,omitempty"` // other answers
	Finished  int            `json:"finished"`          // with a verdict
	Ended     map[string]int `json:"ended,omitempty"`   // without one, by state
	Open      int            `json:"open"`              // accepted and not over when patience ended
	Accept    Latency        `json:"accept"`            // until accepted
	EndToEnd  Latency        `json:"end_to_end"`        // until the verdict
	OverS     float64        `json:"over_s"`            // from the first to the last submission that was due
	TookS     float64        `json:"took_s"`            // until the last verdict
	PeakOffer float64        `json:"peak_offered_per_s"`
	Peak      float64        `json:"peak_finished_per_s"` // as PeakOffer in a tenth of the samples, 25 of them at least (5 s and more)
	Mean      float64        `json:"finished_per_s"`
	MaxAgeS   float64        `json:"max_age_s"`
	MaxWait   int            `json:"max_waiting"`
	LateMS    float64        `json:"load_late_ms"` // the most by which the load itself was late: not the service's fault
	// BendS is when the oldest waiting job was first older than Options.Old, and BendPerS what was offered when that job came; 0: never.
	BendS    float64 `json:"bend_s"`
	BendPerS float64 `json:"bend_offered_per_s"`
	// CPU is processor time per finished job in milliseconds, by kind of process, where the run started them itself.
	CPU map[string]float64 `json:"cpu_ms_per_job,omitempty"`
	// Decisions and Codes are what the verdicts said, where the run looked at them.
	Decisions map[string]int `json:"decisions,omitempty"`
	Codes     map[string]int `json:"reasons,omitempty"`
	Series    []Sample       `json:"series"`
}

func (m *morning) result(series []Sample, took time.Duration) Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := Result{
		Offered: m.offered, Accepted: m.accepted, Refused: m.refused, Finished: m.finished, Ended: m.ended, Open: len(m.due),
		Accept: latency(m.accept), EndToEnd: latency(m.whole), OverS: m.o.Times[len(m.o.Times)-1].Seconds(), TookS: took.Seconds(),
		LateMS: float64(m.late.Microseconds()) / 1000, Series: series,
	}
	if m.finished > 0 {
		r.TookS = m.last.Sub(m.began).Seconds()
		r.Mean = float64(m.finished) / r.TookS
	}
	rates := smooth(series)
	for i, s := range series {
		r.MaxAgeS, r.MaxWait = max(r.MaxAgeS, s.AgeS), max(r.MaxWait, s.Waiting)
		r.PeakOffer, r.Peak = max(r.PeakOffer, rates[i].OfferedPerS), max(r.Peak, rates[i].FinishedPerS)
		if r.BendS == 0 && s.AgeS > m.o.Old.Seconds() {
			came := sort.Search(i, func(k int) bool { return series[k].AtS >= s.AtS-s.AgeS })
			r.BendS, r.BendPerS = s.AtS, rates[came].OfferedPerS
		}
	}
	return r
}

// smooth gives the samples with the rates of the time before them that a peak is measured in: verdicts are heard of in bunches, up to a second apart, so that the
// rate between two samples may be several times what the service can do.
func smooth(series []Sample) []Sample {
	window := max(25, len(series)/10)
	out := slices.Clone(series)
	for i := range out {
		first, last := max(0, i-window), max(i, min(window, len(series)-1)) // the first of them share a window
		a, b := series[first], series[last]
		seconds := b.AtS - a.AtS
		if first == 0 { // from the beginning on
			a, seconds = Sample{}, b.AtS
		}
		if seconds > 0 {
			out[i].OfferedPerS, out[i].FinishedPerS = float64(b.Offered-a.Offered)/seconds, float64(b.Finished-a.Finished)/seconds
		}
	}
	return out
}
