package registry

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/compare"
	"onsite/results"
	"onsite/results/object"
	"onsite/results/storetest"
)

// numbers reads what a registry of metrics shows: name or name{value of its label} -> value.
func numbers(t testing.TB, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	all, err := r.Gather()
	require.NoError(t, err)
	out := map[string]float64{}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += "{" + l.GetValue() + "}"
			}
			out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return out
}

func (w *world) comparer(name string) (*Comparer, *prometheus.Registry) {
	p, r := w.process(name), prometheus.NewRegistry()
	return &Comparer{Host: p.Host, Store: w.store, Name: name, Log: p.Log, Metrics: NewMetrics(r)}, r
}

func (w *world) comparison(m results.RegisteredModel, jobs ...string) results.ModelComparison {
	w.Helper()
	limits, err := json.Marshal(compare.DefaultLimits())
	require.NoError(w, err)
	ask, err := json.Marshal(results.ComparisonAsk{Words: pipeline.Text{EN: "some jobs", ZH: "一些任务"}, Budget: 1, Limits: limits})
	require.NoError(w, err)
	c := results.ModelComparison{ID: storetest.NewID(), Models: []string{m.ID}, Ask: ask, Created: w.store.Now()}
	var rows []results.ComparedJob
	for _, j := range jobs {
		rows = append(rows, results.ComparedJob{Job: j, Tenant: "t", Subject: "e1"})
	}
	require.NoError(w, w.store.BeginComparison(w.Context(), c, rows, results.AuditEntry{}))
	return c
}

func (w *world) compared(id string) results.ModelComparison {
	w.Helper()
	c, err := w.store.Comparison(w.Context(), id)
	require.NoError(w, err)
	return c
}

// What one process has done, another goes on from; only the elected one works, a paused comparison waits, and jobs that are not there any more are
// counted, not failed.
func TestComparisonGoesOnElsewhere(t *testing.T) {
	w := newWorld(t)
	m := w.add(false)
	one, _ := w.comparer("one")
	two, shown := w.comparer("two")
	c := w.comparison(m, "1", "2", "3")
	step := func(by *Comparer, works bool) {
		t.Helper()
		worked, err := by.Once(t.Context())
		require.NoError(t, err)
		require.Equal(t, works, worked)
	}
	step(one, true)
	require.EqualValues(t, 1, w.compared(c.ID).Gone)
	step(two, false)
	c.State = results.ComparisonPaused
	require.NoError(t, w.store.ChangeComparison(t.Context(), c, results.ComparisonRunning, results.AuditEntry{}))
	step(one, false)
	c.State = results.ComparisonRunning
	require.NoError(t, w.store.ChangeComparison(t.Context(), c, results.ComparisonPaused, results.AuditEntry{}))
	_, err := w.store.Elect(t.Context(), roleComparer, "one", 0) // it was killed
	require.NoError(t, err)
	step(two, true)
	step(two, true)
	step(two, true) // and makes the report
	got := w.compared(c.ID)
	require.Equal(t, results.ComparisonDone, got.State)
	require.EqualValues(t, 3, got.Gone)
	require.False(t, got.Passed, "too few jobs")
	require.InDelta(t, 2, numbers(t, shown)["onsite_comparison_jobs_total{gone}"], 0)
	var s ComparisonSummary
	require.NoError(t, json.Unmarshal(got.Summary, &s))
	require.Equal(t, map[string]string{m.Task: ""}, s.Replaced)
	require.Equal(t, got.Digest, s.SHA256)
	pack, err := w.store.ComparisonPackage(t.Context(), c.ID)
	require.NoError(t, err)
	z, err := zip.NewReader(bytes.NewReader(pack), int64(len(pack)))
	require.NoError(t, err)
	f, err := z.Open("report.json")
	require.NoError(t, err)
	var raw bytes.Buffer
	_, err = raw.ReadFrom(f)
	require.NoError(t, err)
	require.Equal(t, got.Digest, results.Sum(raw.Bytes()))
	row, err := w.store.Model(t.Context(), m.ID)
	require.NoError(t, err)
	require.JSONEq(t, string(got.Summary), string(row.Report))
	step(two, false)
}

// A candidate that cannot run ends its comparison, which says why.
func TestComparisonOfADamagedModel(t *testing.T) {
	w := newWorld(t)
	c := w.comparison(w.add(true), "1")
	by, _ := w.comparer("one")
	_, err := by.Once(t.Context())
	require.NoError(t, err)
	got := w.compared(c.ID)
	require.Equal(t, results.ComparisonFailed, got.State)
	require.Contains(t, got.Why.Text.EN, "sha256")
}

// The numbers of a process tell who lacks the newest epoch, and for how long one is staged.
func TestMetricsOfEpochs(t *testing.T) {
	w := newWorld(t)
	p := w.process("one")
	r := prometheus.NewRegistry()
	n := NewMetrics(r)
	p.follow.Metrics = n
	require.NoError(t, p.follow.Once(t.Context()))
	m := w.add(false)
	require.NoError(t, w.store.HostModels(t.Context(), results.ModelHost{Name: "late", Role: "worker"}))
	e := w.propose(results.Epoch{}.Shadowed(m, 1, 0.5), 0)
	require.NoError(t, p.follow.Once(t.Context()))
	p.follow.shown = p.follow.shown.Add(-beatEvery)
	require.NoError(t, p.follow.Once(t.Context()))
	require.InDelta(t, 1, numbers(t, r)["onsite_model_hosts{late}"], 0)
	require.InDelta(t, float64(e.Number), numbers(t, r)["onsite_model_epoch{ready}"], 0)
	require.InDelta(t, 0, numbers(t, r)["onsite_model_epoch{active}"], 0)
	require.NoError(t, w.store.LeaveModels(t.Context(), "late"))
	require.NoError(t, p.follow.Once(t.Context()))
	p.follow.shown = p.follow.shown.Add(-beatEvery)
	require.NoError(t, p.follow.Once(t.Context()))
	require.InDelta(t, 1, numbers(t, r)["onsite_model_hosts{ready}"], 0)
	require.InDelta(t, 0.5, numbers(t, r)["onsite_shadow_budget_cores"], 0)
	require.InDelta(t, 0, numbers(t, r)["onsite_model_staging_seconds"], 0)

	s := NewShadow(p.Host, w.store, p.Log)
	s.Metrics = n
	for range shadowBacklog + 2 {
		s.Offer("t", "job")
	}
	require.InDelta(t, 2, numbers(t, r)["onsite_shadow_runs_total{left_out}"], 0, "what does not fit is counted")
}

// away is an object store that cannot be reached for a while.
type away struct {
	object.Store
	down bool
}

func (a *away) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if a.down {
		return nil, fmt.Errorf("get %s: %w", key, object.ErrAway)
	}
	return a.Store.Get(ctx, key)
}

// While the object store is away no job is given up, however often it is tried; a job that fails for another reason is, and is not called gone.
func TestComparisonWaitsForTheObjectStore(t *testing.T) {
	w := newWorld(t)
	by, shown := w.comparer("one")
	objects := &away{Store: w.objects, down: true}
	by.Host.Files.Objects = objects
	c := w.comparison(w.add(false), "1")
	for range compareTries + 2 {
		m := w.compared(c.ID)
		by.count = 0 // the candidate comes first, whose files are needed
		require.ErrorIs(t, by.step(t.Context(), m), object.ErrAway)
		m = w.compared(c.ID)
		require.Zero(t, m.Gone)
		require.NotNil(t, m.Why)
	}
	objects.down, by.count = false, 0
	by.Host.Files.Dir = filepath.Join(w.dir, "a file, not a folder")
	require.NoError(t, os.WriteFile(by.Host.Files.Dir, nil, 0o600))
	require.NoError(t, by.step(t.Context(), w.compared(c.ID)), "it was tried often enough by now")
	require.InDelta(t, 1, numbers(t, shown)["onsite_comparison_jobs_total{failed}"], 0)
	n, err := w.store.CountCompared(t.Context(), c.ID, results.ComparedFailed)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
}

// Comparisons take turns: one that rests for its budget, and one that does not go on, keep no other waiting.
func TestComparisonsTakeTurns(t *testing.T) {
	w := newWorld(t)
	by, _ := w.comparer("one")
	m := w.add(false)
	broken := w.comparison(m, "1")
	by.Host.Files.Objects = &away{Store: w.objects, down: true}
	other := storetest.NewModel(t, w.store, "", "another")
	require.NoError(t, w.store.AddModel(t.Context(), other, results.AuditEntry{}))
	resting, free := w.comparison(other, "1"), w.comparison(results.RegisteredModel{ID: storetest.NewID()}, "1")
	by.budgetOf(resting.ID).spend(time.Minute, 0.5)
	worked, err := by.Once(t.Context())
	require.ErrorIs(t, err, object.ErrAway)
	require.ErrorIs(t, err, results.ErrNotFound, "the third had its turn, too: its model is not there")
	require.False(t, worked)
	require.Equal(t, free.ID, by.last)
	require.Positive(t, by.budgetOf(broken.ID).rests())
	require.Zero(t, w.compared(resting.ID).Gone)
}
