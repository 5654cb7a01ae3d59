package service

import (
	"github.com/prometheus/client_golang/prometheus"

	"onsite/models"
	"onsite/models/batch"
)

// modelNumbers tells Prometheus what the models of this process cost. The models count by themselves; a set that is swapped begins at zero again,
// which Prometheus takes for a restart.
type modelNumbers struct {
	read func() (map[models.Task]models.Stat, map[models.Task]batch.Stats)

	calls, seconds, batches, items, waited, failed *prometheus.Desc
}

func newModelNumbers(read func() (map[models.Task]models.Stat, map[models.Task]batch.Stats)) *modelNumbers {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, append([]string{"task"}, labels...), nil)
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
	stats, batches := n.read()
	for task, s := range stats {
		count(n.calls, float64(s.Calls), string(task))
		count(n.seconds, float64(s.PreNS)/1e9, string(task), "pre")
		count(n.seconds, float64(s.RunNS)/1e9, string(task), "run")
		count(n.seconds, float64(s.DecodeNS)/1e9, string(task), "decode")
	}
	for task, s := range batches {
		count(n.batches, float64(s.Batches), string(task))
		count(n.items, float64(s.Items), string(task))
		count(n.waited, float64(s.WaitNS)/1e9, string(task))
		count(n.failed, float64(s.Failed), string(task))
	}
}

// modelStats reads the numbers of the models that run now.
func (e *engine) modelStats() (map[models.Task]models.Stat, map[models.Task]batch.Stats) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.full == nil {
		return nil, nil
	}
	set := e.full.Verifier.Models
	return set.Stats(), set.Batches()
}
