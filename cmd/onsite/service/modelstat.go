package service

import (
	"github.com/prometheus/client_golang/prometheus"

	"onsite/models"
	"onsite/models/batch"
)

// modelNumbers tells Prometheus what the models of this process cost. The models count by themselves, each for all sets that run it; one that is
// freed and loaded again begins at zero, which Prometheus takes for a restart.
type modelNumbers struct {
	read func() map[modelLabel]modelCost

	calls, seconds, batches, items, waited, failed *prometheus.Desc
}

// modelLabel tells the models of a process apart.
type modelLabel struct{ task, model string }

// modelCost is what one of them cost.
type modelCost struct {
	stat  models.Stat
	batch *batch.Stats // nil: its calls run by themselves
}

func newModelNumbers(read func() map[modelLabel]modelCost) *modelNumbers {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, append([]string{"task", "model"}, labels...), nil)
	}
	return &modelNumbers{
		read:    read,
		calls:   desc("onsite_model_calls_total", "Calls of a model."),
		seconds: desc("onsite_model_seconds_total", "Time in calls of a model, by part: pre, run, decode.", "part"),
		batches: desc("onsite_model_batches_total", "Batches that a model ran; none where calls run by themselves."),
		items:   desc("onsite_model_batch_items_total", "Pictures in those batches."),
		waited:  desc("onsite_model_batch_wait_seconds_total", "Time that those pictures waited for their batch."),
		failed:  desc("onsite_model_batch_failed_total", "Pictures of those batches that gave an error."),
	}
}

// Describe is prometheus.Collector.
func (n *modelNumbers) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{n.calls, n.seconds, n.batches, n.items, n.waited, n.failed} {
		to <- d
	}
}

// Collect is prometheus.Collector.
func (n *modelNumbers) Collect(to chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	for l, c := range n.read() {
		if s := c.stat; s.Calls > 0 {
			count(n.calls, float64(s.Calls), l.task, l.model)
			count(n.seconds, float64(s.PreNS)/1e9, l.task, l.model, "pre")
			count(n.seconds, float64(s.RunNS)/1e9, l.task, l.model, "run")
			count(n.seconds, float64(s.DecodeNS)/1e9, l.task, l.model, "decode")
		}
		if s := c.batch; s != nil {
			count(n.batches, float64(s.Batches), l.task, l.model)
			count(n.items, float64(s.Items), l.task, l.model)
			count(n.waited, float64(s.WaitNS)/1e9, l.task, l.model)
			count(n.failed, float64(s.Failed), l.task, l.model)
		}
	}
}

// modelStats reads the numbers of all models that are loaded, whichever jobs they run for.
func (e *engine) modelStats() map[modelLabel]modelCost {
	e.mu.Lock()
	host := e.host
	e.mu.Unlock()
	if host == nil {
		return nil
	}
	return costs(host.Sets())
}

// costs sums up what models cost. A model of two tenants that has one file is one.
func costs(sets []*models.Set) map[modelLabel]modelCost {
	out := map[modelLabel]modelCost{}
	for _, set := range sets {
		stats, batches := set.Stats(), set.Batches()
		for _, t := range set.Tasks() {
			ref := set.Ref(t)
			l := modelLabel{string(t), ref.Name + "@" + ref.Version + " " + ref.SHA256[:min(8, len(ref.SHA256))]}
			c, s := out[l], stats[t]
			c.stat = models.Stat{Calls: c.stat.Calls + s.Calls, PreNS: c.stat.PreNS + s.PreNS, RunNS: c.stat.RunNS + s.RunNS, DecodeNS: c.stat.DecodeNS + s.DecodeNS}
			if b, ok := batches[t]; ok {
				if c.batch != nil {
					b.Batches, b.Items, b.WaitNS, b.Failed = b.Batches+c.batch.Batches, b.Items+c.batch.Items, b.WaitNS+c.batch.WaitNS, b.Failed+c.batch.Failed
				}
				c.batch = &b
			}
			out[l] = c
		}
	}
	return out
}
