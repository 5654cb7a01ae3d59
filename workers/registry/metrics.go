package registry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"onsite/results"
)

// Metrics are this room's numbers. A nil *Metrics counts nothing. They name no tenants and no people.
type Metrics struct {
	jobs, shadows, compared *prometheus.CounterVec
	shadowCPU               prometheus.Counter
	budget, staging         prometheus.Gauge
	epoch, hosts            *prometheus.GaugeVec
}

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &Metrics{
		jobs:      counter("onsite_model_jobs_total", "Attempts by the lane of their models: main, canary.", "lane"),
		shadows:   counter("onsite_shadow_runs_total", "Jobs run again with a candidate: same, changed (another decision), impossible, failed, left_out (beyond the budget).", "result"),
		compared:  counter("onsite_comparison_jobs_total", "Jobs of comparisons over stored jobs: done, gone (they cannot run again), failed (running them failed several times).", "result"),
		shadowCPU: prometheus.NewCounter(prometheus.CounterOpts{Name: "onsite_shadow_cpu_seconds_total", Help: "Processor time spent on candidates beside live jobs."}),
		budget:    gauge("onsite_shadow_budget_cores", "Processor cores that this process may spend on candidates."),
		staging:   gauge("onsite_model_staging_seconds", "How long the epoch of models that is staged waits already; 0: none is."),
		epoch:     prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "onsite_model_epoch", Help: "Epochs of models: active, and the newest that this process is ready for (-1: not the active one)."}, []string{"state"}),
		hosts:     prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "onsite_model_hosts", Help: "Live processes by whether they can run the newest epoch of models: ready, late, failed."}, []string{"state"}),
	}
	r.MustRegister(m.jobs, m.shadows, m.compared, m.shadowCPU, m.budget, m.staging, m.epoch, m.hosts)
	return m
}

// Took counts an attempt by its lane.
func (m *Metrics) Took(lane results.Lane) {
	if m == nil {
		return
	}
	if lane == results.LaneMain {
		lane = "main"
	}
	m.jobs.WithLabelValues(string(lane)).Inc()
}

func (m *Metrics) shadow(result string, cpu time.Duration) {
	if m != nil {
		m.shadows.WithLabelValues(result).Inc()
		m.shadowCPU.Add(cpu.Seconds())
	}
}

func (m *Metrics) comparedJob(state results.ComparedState) {
	if m != nil {
		m.compared.WithLabelValues(string(state)).Inc()
	}
}

// followed shows which epoch is active and staged, and who can run it.
func (m *Metrics) followed(active results.Epoch, staged *results.Epoch, ready int64, hosts []results.ModelHost, now time.Time) {
	if m == nil {
		return
	}
	m.epoch.WithLabelValues("active").Set(float64(active.Number))
	m.epoch.WithLabelValues("ready").Set(float64(ready))
	cores, newest := 0.0, active.Number
	for _, t := range active.Doc.Shadows {
		cores += t.Budget
	}
	m.budget.Set(cores)
	m.staging.Set(0)
	if staged != nil {
		newest = staged.Number
		m.staging.Set(max(0, now.Sub(staged.CreatedAt)).Seconds())
	}
	counts := map[string]int{}
	for _, h := range hosts {
		switch {
		case now.Sub(h.SeenAt) > Alive:
		case h.Ready >= newest:
			counts["ready"]++
		case h.Failed >= newest && h.Failed > 0:
			counts["failed"]++
		default:
			counts["late"]++
		}
	}
	for _, state := range []string{"ready", "late", "failed"} {
		m.hosts.WithLabelValues(state).Set(float64(counts[state]))
	}
}
