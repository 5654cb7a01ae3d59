package archive

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"onsite/pipeline/reuse/index"
)

// Metrics are the numbers of an index that is cut into shards. A nil *Metrics counts nothing.
type Metrics struct {
	asks    *prometheus.CounterVec
	answers *prometheus.CounterVec
	took    prometheus.Histogram
}

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		asks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onsite_index_asks_total", Help: "Questions to other shards of the reuse index, by shard and by what became of them: answered, or store when its share was read from there.",
		}, []string{"shard", "result"}),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onsite_index_answers_total", Help: "Questions of other workers to this one's shard, by HTTP status.",
		}, []string{"status"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "onsite_index_ask_seconds", Help: "How long other shards took to answer.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
	}
	r.MustRegister(m.asks, m.answers, m.took)
	return m
}

func (m *Metrics) asked(s index.Shard, ok bool, d time.Duration) {
	if m == nil {
		return
	}
	result := "store"
	if ok {
		result = "answered"
		m.took.Observe(d.Seconds())
	}
	m.asks.WithLabelValues(strconv.Itoa(s.K), result).Inc()
}

func (m *Metrics) answered(status int) {
	if m != nil {
		m.answers.WithLabelValues(strconv.Itoa(status)).Inc()
	}
}
