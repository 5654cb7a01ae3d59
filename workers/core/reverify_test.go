package core

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/verify"
	"onsite/results"
)

// A verdict that is made again sees what the first one saw, whatever came since.
func TestReverifySeesWhatWasThen(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.person("ann", footage(t, "franck_02159.jpg"), footage(t, "franck_03909.jpg"))
	w.site("shop", footage(t, "franck_02888.jpg"))
	first, _ := w.run("ann", "shop", "", clip(t, "20", "2"))
	copied, v := w.run("ann", "shop", "", clip(t, "20", "2"))
	require.Equal(t, pipeline.DecisionAbnormal, v.Decision)
	jobs := []string{first.Job, copied.Job}

	// A later upload, another photo, a changed site, and a mark that clears the match.
	w.run("ann", "shop", "", clip(t, "60", "2"))
	w.enroll("ann", footage(t, "franck_02683.jpg"))
	w.site("shop", footage(t, "franck_02683.jpg"))
	_, err := w.store.CreateMark(ctx, results.Mark{ID: verify.NewJob(), Tenant: "t", Kind: results.MarkPair, Job: copied.Job, Other: first.Job, CreatedAt: w.store.Now()}, w.audit("mark.created"))
	require.NoError(t, err)
	_, changed, err := w.core.Reconsider(ctx, "t", copied.Job)
	require.NoError(t, err)
	require.True(t, changed)
	for _, job := range jobs {
		r, err := w.core.Reverify(ctx, "t", job, false)
		require.NoError(t, err)
		diff, err := json.Marshal(r.Comparison)
		require.NoError(t, err)
		require.Equal(t, verify.Equal, r.Agreement, string(diff))
		require.True(t, r.SameRecipe, r.Recipe)
		require.Zero(t, r.Gone)
		row, err := w.store.Verdict(ctx, "t", job, 1)
		require.NoError(t, err)
		require.Equal(t, verdict(t, row.Body).Inputs, r.Verdict.Inputs)
	}

	state := func(job string) string {
		t.Helper()
		_, err := w.core.Reverify(ctx, "t", job, false)
		var c *CannotReverify
		require.ErrorAs(t, err, &c)
		require.NotEmpty(t, c.Text.ZH)
		return c.State
	}
	// Another recipe: the verdict names a model that is not here.
	row, err := w.store.Verdict(ctx, "t", first.Job, 1)
	require.NoError(t, err)
	other := verdict(t, row.Body)
	other.Models[0].SHA256 = "another"
	other.Recipe = "another"
	require.Contains(t, verify.Compare(other, verdict(t, row.Body)).Recipe[0], other.Models[0].Task)

	photos, err := w.store.Photos(ctx, "t", "ann", 0)
	require.NoError(t, err)
	_, err = w.store.Enrol(ctx, "t", "ann", -1, nil, nil, []string{photos[0].ID}, w.audit("photo.deleted"))
	require.NoError(t, err)
	require.Equal(t, "photos_gone", state(first.Job))
	require.NoError(t, w.store.WithdrawConsent(ctx, "t", "ann", results.PurposeFace, w.store.Now(), w.audit("consent.withdrawn")))
	require.Equal(t, "consent_withdrawn", state(first.Job))
	require.NoError(t, w.vault.Erase(ctx, "t", "ann", w.audit("subject.erased")))
	require.Equal(t, "media_gone", state(first.Job))
	_, err = w.core.Reverify(ctx, "t", verify.NewJob(), false)
	require.ErrorIs(t, err, results.ErrNotFound)
}
