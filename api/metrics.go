package api

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what this room measures. A nil one measures nothing. No label names a tenant or a person.
type Metrics struct {
	accepted *prometheus.CounterVec
	http     *prometheus.HistogramVec
}

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		accepted: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "onsite_accepted_total", Help: "Submissions accepted, by where their media came from."}, []string{"source"}),
		http: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "onsite_http_seconds", Help: "Time to answer a request, by route and status.",
			Buckets: []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}}, []string{"route", "status"}),
	}
	r.MustRegister(m.accepted, m.http)
	return m
}

func (m *Metrics) observe(route string, status int, took time.Duration) {
	if m != nil {
		m.http.WithLabelValues(route, strconv.Itoa(status)).Observe(took.Seconds())
	}
}

// Accepted counts a submission that another room accepted: an upload's arrival in a bucket.
func (m *Metrics) Accepted(source string) { m.accept(source) }

func (m *Metrics) accept(source string) {
	if m != nil {
		m.accepted.WithLabelValues(source).Inc()
	}
}
