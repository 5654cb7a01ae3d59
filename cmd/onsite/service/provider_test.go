package service

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"onsite/cmd/onsite/config"
	"onsite/models"
	"onsite/models/batch"
	"onsite/results"
	"onsite/workers"
)

// A worker whose provider cannot be used does not become ready, says why in both languages, and holds its jobs: it never goes on on the processor.
func TestProviderIsStrict(t *testing.T) {
	var said bytes.Buffer
	e := &engine{log: slog.New(slog.NewTextHandler(&said, nil)), again: 1, tried: make(chan struct{})}
	e.models = ModelOptions(config.Worker{Provider: "cuda", Runtime: filepath.Join(t.TempDir(), models.LibraryFile), Device: 1, Batch: 8})
	require.Equal(t, 8, e.models.Batch)
	require.Equal(t, 1, e.models.Device)
	err := e.load(t.Context())
	var provider *models.ProviderError
	require.ErrorAs(t, err, &provider)
	require.ErrorAs(t, e.ready(t.Context()), &provider, "/readyz says no")
	_, err = e.Run(t.Context(), results.Lease{})
	require.Equal(t, workers.Hold, workers.Judge(err).Action)

	e.sayWhy(t.Context(), err)
	require.Contains(t, said.String(), "the provider cuda is not used")
	require.Contains(t, said.String(), "未能使用推理后端")
}

func TestModelNumbers(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(newModelNumbers(func() map[modelLabel]modelCost {
		return map[modelLabel]modelCost{
			{"face_embed", "one"}: {models.Stat{Calls: 1, RunNS: 2e9}, &batch.Stats{Batches: 1, Items: 3}},
			{"face_embed", "two"}: {models.Stat{Calls: 2}, nil},
		}
	})))
	all, err := r.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			values[f.GetName()] += m.GetCounter().GetValue()
		}
	}
	require.Equal(t, map[string]float64{
		"onsite_model_calls_total": 3, "onsite_model_seconds_total": 2, "onsite_model_batches_total": 1, "onsite_model_batch_items_total": 3,
		"onsite_model_batch_wait_seconds_total": 0, "onsite_model_batch_failed_total": 0,
	}, values)
}
