package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the sender's numbers. A nil *Metrics counts nothing.
type Metrics struct {
	lag      prometheus.Gauge
	pending  prometheus.Gauge
	attempts *prometheus.CounterVec
}

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		lag:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "onsite_webhook_lag_seconds", Help: "How long the oldest delivery whose time has come has been waiting."}),
		pending:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "onsite_webhook_pending", Help: "Deliveries that were not taken yet, those that wait for a retry included."}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "onsite_webhook_attempts_total", Help: "Attempts to deliver, by result: delivered, retried, failed, gone, refused."}, []string{"result"}),
	}
	r.MustRegister(m.lag, m.pending, m.attempts)
	return m
}

func (m *Metrics) tried(result string) {
	if m != nil {
		m.attempts.WithLabelValues(result).Inc()
	}
}

func (m *Metrics) waiting(lag time.Duration, pending int64) {
	if m != nil {
		m.lag.Set(lag.Seconds())
		m.pending.Set(float64(pending))
	}
}
