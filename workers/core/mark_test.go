package core

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/verify"
	"onsite/results"
)

// pair marks two jobs as no copies.
func (w *world) pair(job, other string) results.Mark {
	w.Helper()
	m, err := w.store.CreateMark(w.Context(), results.Mark{ID: verify.NewJob(), Tenant: "t", Kind: results.MarkPair, Job: job, Other: other, CreatedAt: w.store.Now()}, w.audit("mark.created"))
	require.NoError(w, err)
	return m
}

// A copy that an investigator marks as none gets a further revision at once, and its fault back when the mark is revoked. A third upload of
// the same footage is a copy of both all the same, and so is what was uploaded with the marked one's very bytes.
func TestMarkedPair(t *testing.T) {
	w := newWorld(t)
	w.scoped("own", "subject")
	w.person("ann")
	_, err := w.store.PutEndpoint(t.Context(), results.Endpoint{ID: "e", Tenant: "t", URL: "https://example.com"}, 0, w.audit("endpoint"))
	require.NoError(t, err)
	original := clip(t, "20", "3")
	first, _ := w.run("ann", "", "own", original)
	second, v := w.run("ann", "", "own", packed(t, original))
	require.Equal(t, pipeline.DecisionAbnormal, v.Decision)
	require.Zero(t, v.Inputs.MarksAsOf)

	m := w.pair(second.Job, first.Job)
	row, changed, err := w.core.Reconsider(t.Context(), "t", second.Job)
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, 2, row.Revision)
	v = verdict(t, row.Body)
	require.Equal(t, pipeline.DecisionPass, v.Decision)
	require.Empty(t, v.Reasons)
	require.Equal(t, second.Job+".1", *v.Supersedes)
	require.EqualValues(t, 1, v.Inputs.MarksAsOf)
	require.Contains(t, string(row.Body), m.ID, "the verdict says which mark cleared it")
	stored, err := w.store.Verdict(t.Context(), "t", second.Job, 0)
	require.NoError(t, err)
	require.Equal(t, row.Body, stored.Body)
	_, changed, err = w.core.Reconsider(t.Context(), "t", second.Job)
	require.NoError(t, err)
	require.False(t, changed, "once")
	_, changed, err = w.core.Reconsider(t.Context(), "t", first.Job)
	require.NoError(t, err)
	require.False(t, changed, "the earlier one was no copy before")

	third, v := w.run("ann", "", "own", ffmpeg(t, "third.mkv", "-i", original, "-c", "copy", "-metadata", "title=third"))
	require.Equal(t, pipeline.DecisionAbnormal, v.Decision, "a mark is about one pair")
	require.EqualValues(t, 1, v.Inputs.MarksAsOf)
	w.pair(third.Job, first.Job)
	row, changed, err = w.core.Reconsider(t.Context(), "t", third.Job)
	require.NoError(t, err)
	require.True(t, changed)
	v = verdict(t, row.Body)
	require.Equal(t, pipeline.DecisionAbnormal, v.Decision)
	require.Equal(t, second.Job, v.Reasons[0].Evidence[0].Job, "the copy of another one is not hidden by it")

	_, err = w.store.RevokeMark(t.Context(), "t", m.ID, "k", w.store.Now(), w.audit("mark.revoked"))
	require.NoError(t, err)
	row, changed, err = w.core.Reconsider(t.Context(), "t", second.Job)
	require.NoError(t, err)
	require.True(t, changed)
	v = verdict(t, row.Body)
	require.Equal(t, pipeline.DecisionAbnormal, v.Decision)
	require.Equal(t, []pipeline.Code{pipeline.FootageReused}, row.Codes)
	require.EqualValues(t, 3, v.Inputs.MarksAsOf)
	deliveries, err := w.store.Deliveries(t.Context(), "t", "e", results.Page{Limit: 100})
	require.NoError(t, err)
	revised := 0
	for _, d := range deliveries {
		var event results.Event
		require.NoError(t, json.Unmarshal(d.Payload, &event))
		if event.Type == results.EventVerdictRevised {
			revised++
		}
	}
	require.Equal(t, 3, revised)

	_, _, err = w.core.Reconsider(t.Context(), "t", verify.NewJob())
	require.ErrorIs(t, err, results.ErrNotFound)
	_, _, err = w.core.Reconsider(t.Context(), "other", second.Job)
	require.ErrorIs(t, err, results.ErrNotFound)
	require.NoError(t, w.vault.Erase(t.Context(), "t", "ann", w.audit("subject.erased")))
	_, _, err = w.core.Reconsider(t.Context(), "t", second.Job)
	require.ErrorIs(t, err, ErrNoPrint)
}

// A later attempt goes by the marks of its beginning: a marked pair's footage outside of the scope, and backgrounds of its site.
func TestAttemptGoesByMarks(t *testing.T) {
	w := newWorld(t)
	w.person("ann")
	w.person("bob")
	original := clip(t, "20", "1")
	w.scoped("own", "subject")
	first, v := w.run("ann", "", "own", original)
	for _, site := range []string{"shop", ""} {
		_, err := w.store.CreateMark(t.Context(), results.Mark{ID: verify.NewJob(), Tenant: "t", Kind: results.MarkBackground, Job: first.Job, Hash: v.Media.Keyframes[0].PHash, Site: site, CreatedAt: w.store.Now()}, w.audit("mark.created"))
		require.NoError(t, err)
	}
	sub := w.accept("bob", "shop", "own", packed(t, original))
	m := w.pair(sub.Job, first.Job)
	f, err := w.core.Run(t.Context(), w.claim(sub.Job))
	require.NoError(t, err)
	v = verdict(t, f.Verdict.Body)
	require.Equal(t, pipeline.Pass, reused(v).Outcome, "%+v", reused(v))
	require.EqualValues(t, 3, v.Inputs.MarksAsOf)
	w.commit(f)

	got, err := w.core.marksFor(t.Context(), sub)
	require.NoError(t, err)
	require.EqualValues(t, 3, got.asOf)
	require.Equal(t, map[string]string{first.Job: m.ID}, got.pairs)
	require.Len(t, got.backgrounds, 2)
	sub.Site = ""
	got, err = w.core.marksFor(t.Context(), sub)
	require.NoError(t, err)
	require.Len(t, got.backgrounds, 1)
	sub.Job = first.Job // the other way round
	got, err = w.core.marksFor(t.Context(), sub)
	require.NoError(t, err)
	require.Equal(t, []string{f.Job}, got.others())
	sub.Tenant = "nobody"
	got, err = w.core.marksFor(t.Context(), sub)
	require.NoError(t, err)
	require.Zero(t, got.asOf)
	require.Empty(t, got.backgrounds)
}

// A pair that is marked while its later job runs is not forgotten: the job is compared once more after it is done.
func TestMarkedWhileItRuns(t *testing.T) {
	w := newWorld(t)
	w.scoped("own", "subject")
	w.person("ann")
	original := clip(t, "20", "3")
	first, _ := w.run("ann", "", "own", original)
	sub := w.accept("ann", "", "own", packed(t, original))
	f, err := w.core.Run(t.Context(), w.claim(sub.Job))
	require.NoError(t, err)
	require.Equal(t, pipeline.DecisionAbnormal, f.Verdict.Decision)
	w.pair(sub.Job, first.Job)
	_, _, err = w.core.Reconsider(t.Context(), "t", sub.Job)
	require.ErrorIs(t, err, results.ErrNotFound)
	w.commit(f)
	newest := func() pipeline.Decision {
		row, err := w.store.Verdict(t.Context(), "t", sub.Job, 0)
		require.NoError(t, err)
		return row.Decision
	}
	require.Equal(t, pipeline.DecisionAbnormal, newest(), "it began before the mark")
	due, err := w.store.Recheck(t.Context(), "w", time.Minute, 10)
	require.NoError(t, err)
	require.Len(t, due, 1)
	require.NoError(t, w.core.Recheck(t.Context(), due[0]))
	require.Equal(t, pipeline.DecisionPass, newest())
	require.NoError(t, w.core.Recheck(t.Context(), due[0]), "again, after a crash")
	require.NoError(t, w.vault.Erase(t.Context(), "t", "ann", w.audit("subject.erased")))
	require.NoError(t, w.core.Recheck(t.Context(), due[0]))
}

// Marks that come while a job is reconsidered are seen by the next look.
func TestMarkedMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.scoped("own", "subject")
	w.person("ann")
	original := clip(t, "20", "3")
	first, _ := w.run("ann", "", "own", original)
	second, _ := w.run("ann", "", "own", packed(t, original))
	store := &markedMeanwhile{Store: w.store, mark: func() { w.pair(second.Job, first.Job) }}
	c, err := New(Options{Store: store, Vault: w.vault, Verifier: w.core.Verifier})
	require.NoError(t, err)
	defer c.Close()
	row, changed, err := c.Reconsider(t.Context(), "t", second.Job)
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, pipeline.DecisionPass, row.Decision)
}

// The same for footage that came late: the revision that it leads to knows nothing of the mark.
func TestMarkedDuringRecheck(t *testing.T) {
	w := newWorld(t)
	w.scoped("own", "subject")
	w.person("ann")
	original := clip(t, "20", "3")
	earlier := w.accept("ann", "", "own", original)
	later := w.accept("ann", "", "own", packed(t, original))
	first := w.claim(earlier.Job)
	for _, l := range []results.Lease{w.claim(later.Job), first} {
		f, err := w.core.Run(t.Context(), l)
		require.NoError(t, err)
		w.commit(f)
	}
	due, err := w.store.Recheck(t.Context(), "w", time.Minute, 10)
	require.NoError(t, err)
	require.Len(t, due, 1)
	store := &markedMeanwhile{Store: w.store, mark: func() { w.pair(later.Job, earlier.Job) }}
	c, err := New(Options{Store: store, Vault: w.vault, Verifier: w.core.Verifier})
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Recheck(t.Context(), due[0]))
	all, err := w.store.VerdictRevisions(t.Context(), "t", later.Job)
	require.NoError(t, err)
	require.Len(t, all, 3)
	require.Equal(t, []pipeline.Decision{pipeline.DecisionPass, pipeline.DecisionAbnormal, pipeline.DecisionPass}, []pipeline.Decision{all[0].Decision, all[1].Decision, all[2].Decision})
}

// markedMeanwhile is a store in which somebody marks something right after the marks were read first.
type markedMeanwhile struct {
	Store
	once sync.Once
	mark func()
}

func (m *markedMeanwhile) MarksPosition(ctx context.Context, tenant string) (int64, error) {
	n, err := m.Store.MarksPosition(ctx, tenant)
	m.once.Do(m.mark)
	return n, err
}
