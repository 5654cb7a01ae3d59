package storetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

func modelComparisons(t *testing.T, s results.Store) {
	ctx := t.Context()
	w := populate(t, s)
	m := addModel(t, s, w.tenant)
	begin := func() (results.ModelComparison, error) {
		c := results.ModelComparison{ID: NewID(), Scope: w.tenant, Models: []string{m.ID}, Epoch: 3, Ask: []byte(`{"site": "s"}`), State: results.ComparisonRunning, Actor: "key-1", Created: s.Now(), Changed: s.Now()}
		err := s.BeginComparison(ctx, c, []results.ComparedJob{
			{Job: "1", Tenant: w.tenant, Subject: w.subject, Body: []byte(`{"groups": {"declared": "woman"}}`)}, {Job: "2", Tenant: w.tenant, Subject: "another"}, {Job: "3", Tenant: w.tenant, Subject: "another"},
		}, Audit(s, w.tenant, "model.comparison"))
		c.Total = 3
		return c, err
	}
	c, err := begin()
	require.NoError(t, err)
	got, err := s.Comparison(ctx, c.ID)
	require.NoError(t, err)
	require.Equal(t, c, got)
	_, err = begin()
	require.ErrorIs(t, err, results.ErrConflict)

	next := func() results.ComparedJob {
		j, err := s.NextCompared(ctx, c.ID)
		require.NoError(t, err)
		return j
	}
	j := next()
	require.Equal(t, results.ComparedJob{Comparison: c.ID, Job: "1", Tenant: w.tenant, Subject: w.subject, State: results.ComparedWaits, Body: []byte(`{"groups": {"declared": "woman"}}`)}, j)
	j.State, j.Body = results.ComparedDone, []byte(`{"a": 1}`)
	require.NoError(t, s.PutCompared(ctx, j))
	require.NoError(t, s.PutCompared(ctx, j), "counted once")
	j = next()
	require.Equal(t, "2", j.Job)
	j.State = results.ComparedGone
	require.NoError(t, s.PutCompared(ctx, j))
	got, err = s.Comparison(ctx, c.ID)
	require.NoError(t, err)
	require.Equal(t, [3]int64{3, 1, 1}, [3]int64{got.Total, got.Done, got.Gone})
	jobs, err := s.ComparedJobs(ctx, c.ID, "", 10)
	require.NoError(t, err)
	require.Len(t, jobs, 1)
	require.JSONEq(t, `{"a": 1}`, string(jobs[0].Body))
	n, err := s.CountCompared(ctx, c.ID, results.ComparedGone)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)

	running, err := s.RunningComparisons(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{c.ID}, running)
	c.State = results.ComparisonPaused
	require.NoError(t, s.ChangeComparison(ctx, c, results.ComparisonRunning, Audit(s, w.tenant, "model.comparison.paused")))
	require.ErrorIs(t, s.ChangeComparison(ctx, c, results.ComparisonRunning, Audit(s, w.tenant, "x")), results.ErrStale)
	running, err = s.RunningComparisons(ctx)
	require.NoError(t, err)
	require.Empty(t, running)
	require.ErrorIs(t, s.EndComparison(ctx, c, []byte("zip"), Audit(s, w.tenant, "x")), results.ErrStale)
	c.State = results.ComparisonRunning
	require.NoError(t, s.ChangeComparison(ctx, c, results.ComparisonPaused, Audit(s, w.tenant, "model.comparison.resumed")))

	_, err = s.EraseSubject(ctx, w.tenant, w.subject, s.Now(), Audit(s, w.tenant, "subject.erased"))
	require.NoError(t, err)
	jobs, err = s.ComparedJobs(ctx, c.ID, "", 10)
	require.NoError(t, err)
	require.Empty(t, jobs, "what was said of a person goes with the person")
	got, err = s.Comparison(ctx, c.ID)
	require.NoError(t, err)
	require.Equal(t, [3]int64{3, 0, 2}, [3]int64{got.Total, got.Done, got.Gone}, "and its job counts as gone")
	j.State, j.Job = results.ComparedDone, "1"
	require.NoError(t, s.PutCompared(ctx, j), "it ran just then")
	got, err = s.Comparison(ctx, c.ID)
	require.NoError(t, err)
	require.Zero(t, got.Done)

	c.Digest, c.Summary, c.Passed = Sum("report"), []byte(`{"passed": true}`), true
	require.NoError(t, s.EndComparison(ctx, c, []byte("zip"), Audit(s, w.tenant, "model.compared")))
	got, err = s.Comparison(ctx, c.ID)
	require.NoError(t, err)
	require.Equal(t, results.ComparisonDone, got.State)
	require.Equal(t, int64(3), got.Gone, "the one that never ran, too")
	pack, err := s.ComparisonPackage(ctx, c.ID)
	require.NoError(t, err)
	require.Equal(t, "zip", string(pack))
	row, err := s.Model(ctx, m.ID)
	require.NoError(t, err)
	require.True(t, row.Passed)
	require.JSONEq(t, `{"passed": true}`, string(row.Report))
	_, err = s.NextCompared(ctx, c.ID)
	require.ErrorIs(t, err, results.ErrNotFound)

	second, err := begin()
	require.NoError(t, err)
	all, err := s.ListComparisons(ctx, w.tenant, results.Page{Limit: 1})
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, second.ID, all[0].ID)
	second.State = results.ComparisonCancelled
	require.NoError(t, s.ChangeComparison(ctx, second, results.ComparisonRunning, Audit(s, w.tenant, "model.comparison.cancelled")))
	_, err = s.NextCompared(ctx, second.ID)
	require.ErrorIs(t, err, results.ErrNotFound)
}

// Two promotions of one scope may not change the same task, whichever of their models is named first.
func modelPromotionsOverlap(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	var all []results.RegisteredModel
	for _, task := range []string{"scene_embed", "scene_head", "scene_head"} {
		m := NewModel(t, s, tenant, task+NewID())
		m.Task = task
		require.NoError(t, s.AddModel(ctx, m, Audit(s, tenant, "model.added")))
		all = append(all, m)
	}
	begin := func(m results.RegisteredModel, with ...string) (results.Promotion, error) {
		p := results.Promotion{ID: NewID(), Model: m.ID, With: with, Scope: tenant, Task: m.Task, State: results.PromotionEmbedding, Created: s.Now()}
		return p, s.BeginPromotion(ctx, p, Audit(s, tenant, "model.promotion"))
	}
	p, err := begin(all[0], all[1].ID)
	require.NoError(t, err)
	_, err = begin(all[2])
	require.ErrorIs(t, err, results.ErrConflict)
	got, err := s.Promotion(ctx, p.ID)
	require.NoError(t, err)
	got.Changed = time.Time{}
	require.Equal(t, p, got)
	p.State = results.PromotionCancelled
	require.NoError(t, s.ChangePromotion(ctx, p, results.PromotionEmbedding))
	_, err = begin(all[2])
	require.NoError(t, err)
	_, err = begin(all[0], all[1].ID)
	require.ErrorIs(t, err, results.ErrConflict)

	open, err := s.OpenPromotions(ctx)
	require.NoError(t, err)
	for _, last := range open {
		if last.Scope == tenant {
			last.State = results.PromotionCancelled
			require.NoError(t, s.ChangePromotion(ctx, last, results.PromotionEmbedding))
		}
	}
	var errs [2]error // at once, and named by models of different tasks
	var wait sync.WaitGroup
	wait.Go(func() { _, errs[0] = begin(all[0], all[1].ID) })
	wait.Go(func() { _, errs[1] = begin(all[2]) })
	wait.Wait()
	require.ErrorIs(t, errors.Join(errs[:]...), results.ErrConflict)
	require.True(t, errs[0] == nil || errs[1] == nil, "one of them: %v", errs)
}
