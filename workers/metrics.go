package workers

import (
	"encoding/json"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"onsite/results"
	"onsite/workers/queue"
)

// Metrics are the workers' numbers. A nil *Metrics counts nothing. They have no tenants or subjects in them.
type Metrics struct {
	verdicts, reasons, refused, attempts, actions, holds *prometheus.CounterVec
	jobs, tasks                                          *prometheus.GaugeVec
	age, held, running                                   prometheus.Gauge
	stages                                               *prometheus.HistogramVec
}

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	m := &Metrics{
		verdicts: counter("onsite_verdicts_total", "Verdicts written, by decision.", "decision"),
		reasons:  counter("onsite_reasons_total", "Reasons in those verdicts, by code.", "code"),
		refused:  counter("onsite_refused_total", "Jobs refused, by rule.", "rule"),
		attempts: counter("onsite_attempts_total", "Attempts ended, by what became of them: done, refuse, retry, hold, dead, return, drop.", "result"),
		actions:  counter("onsite_reconciler_total", "What the reconciler did: reclaimed, unqueued, rescued, died, unheld, returned.", "action"),
		holds:    counter("onsite_alarms_total", "Attempts that ended because the installation is ill, by rule. Any is worth a person's look.", "rule"),
		jobs:     prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "onsite_jobs", Help: "Jobs in the store, by state."}, []string{"state"}),
		tasks:    prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "onsite_tasks", Help: "Tasks that wait in Redis, by queue."}, []string{"queue"}),
		age:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "onsite_queue_age_seconds", Help: "How long the oldest job that may run has been waiting."}),
		held:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "onsite_jobs_held", Help: "Jobs that wait for an installation or a person."}),
		running:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "onsite_running", Help: "Attempts that run in this process."}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "onsite_stage_seconds", Help: "How long the stages of an attempt take: claim, run, finish, and those of the core.",
			Buckets: []float64{.001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 120},
		}, []string{"stage"}),
	}
	r.MustRegister(m.verdicts, m.reasons, m.refused, m.attempts, m.actions, m.holds, m.jobs, m.tasks, m.age, m.held, m.running, m.stages)
	return m
}

// Stage notes how long a stage took.
func (m *Metrics) Stage(name string, d time.Duration) {
	if m != nil {
		m.stages.WithLabelValues(name).Observe(d.Seconds())
	}
}

func (m *Metrics) ended(result string) {
	if m != nil {
		m.attempts.WithLabelValues(result).Inc()
	}
}

func (m *Metrics) alarm(rule string) {
	if m != nil {
		m.holds.WithLabelValues(rule).Inc()
	}
}

func (m *Metrics) action(name string, n int) {
	if m != nil && n > 0 {
		m.actions.WithLabelValues(name).Add(float64(n))
	}
}

func (m *Metrics) runs(delta float64) {
	if m != nil {
		m.running.Add(delta)
	}
}

// finished counts a job's end.
func (m *Metrics) finished(f results.Finish) {
	if m == nil {
		return
	}
	switch {
	case f.State == results.Refused && f.Error != nil:
		m.refused.WithLabelValues(f.Error.Rule).Inc()
	case f.Verdict != nil:
		m.verdicts.WithLabelValues(string(f.Verdict.Decision)).Inc()
		for _, code := range f.Verdict.Codes {
			m.reasons.WithLabelValues(string(code)).Inc()
		}
		var v struct {
			TimingsMS map[string]float64 `json:"timings_ms"`
		}
		if json.Unmarshal(f.Verdict.Body, &v) == nil {
			for stage, ms := range v.TimingsMS {
				m.Stage(stage, time.Duration(ms*float64(time.Millisecond)))
			}
		}
	}
}

// counted shows how many jobs are where.
func (m *Metrics) counted(c results.Counts, now time.Time) {
	if m == nil {
		return
	}
	for _, s := range []results.JobState{results.Accepted, results.Queued, results.Running, results.Done, results.Refused, results.Dead} {
		m.jobs.WithLabelValues(string(s)).Set(float64(c.ByState[s]))
	}
	m.held.Set(float64(c.Held))
	m.age.Set(0)
	if !c.Oldest.IsZero() {
		m.age.Set(max(0, now.Sub(c.Oldest)).Seconds())
	}
}

// waits shows how many tasks wait in Redis.
func (m *Metrics) waits(depth queue.Depth) {
	if m == nil {
		return
	}
	for name, n := range depth {
		m.tasks.WithLabelValues(name).Set(float64(n))
	}
}
