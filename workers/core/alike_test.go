package core

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/reuse"
	"onsite/pipeline/reuse/index"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/workers/archive"
)

// crowded is a policy that compares with one earlier clip of the tenant only.
const crowded = `
schema: onsite.policy/1
name: crowded
version: 1
description: {en: Reuse alone., zh: 仅查重。}
media: [video, photo]
checks: {reuse: {need: always}}
history: {scope: tenant, newest: 1, days: 30}
`

// A copy of footage that is no longer among the newest is found by its frames, mirrored too; without the archive it is not.
func TestFootageBeyondTheNewestIsFound(t *testing.T) {
	w := newWorld(t)
	w.policy("crowded", crowded)
	w.person("ann")
	w.person("bob")
	original := clip(t, "20", "5")
	first, _ := w.run("ann", "", "crowded", original)
	require.NotEmpty(t, first.Frames)
	rows, err := w.store.Frames(t.Context(), "t", results.FrameFilter{UpTo: 1}, 10)
	require.NoError(t, err)
	require.Equal(t, first.Frames, rows[0].Frames)
	w.run("ann", "", "crowded", clip(t, "60", "1"))

	_, v := w.run("bob", "", "crowded", copied(t, original))
	require.NotEqual(t, pipeline.Fail, reused(v).Outcome, "it is not looked at")

	w.core = w.make(Options{Verifier: w.core.Verifier, Archive: archive.New(archive.Options{Store: w.store})})
	f, v := w.run("bob", "", "crowded", ffmpeg(t, "again.mp4", "-i", copied(t, original), "-an", "-c:v", "libx264", "-preset", "veryfast"))
	require.Equal(t, pipeline.Fail, reused(v).Outcome, "%+v", reused(v))
	require.Equal(t, []pipeline.Code{pipeline.FootageReused}, f.Verdict.Codes)

	// The store has the last word: who was erased is not found, whatever the archive says.
	print, err := w.core.fingerprint(t.Context(), *first.Print)
	require.NoError(t, err)
	h := func(before string, asOf int64) *history {
		return &history{Core: w.core, job: before, asOf: asOf, cut: true, scope: results.Scope{Tenant: "t", Kind: "tenant", Newest: 1}}
	}
	w.core.Archive = always{first.Job}
	for _, c := range []struct {
		before string
		asOf   int64
		want   int
	}{{verify.NewJob(), 9, 1}, {first.Job, 9, 0}, {verify.NewJob(), 0, 0}} {
		found, err := h(c.before, c.asOf).Alike(t.Context(), &print, nil)
		require.NoError(t, err)
		require.Len(t, found, c.want, "%+v", c)
	}
	none, err := h(verify.NewJob(), 9).Alike(t.Context(), &print, []reuse.Candidate{{Job: first.Job}})
	require.NoError(t, err)
	require.Empty(t, none, "it is known already")
	require.NoError(t, w.vault.Erase(t.Context(), "t", "ann", w.audit("subject.erased")))
	found, err := h(verify.NewJob(), 9).Alike(t.Context(), &print, nil)
	require.NoError(t, err)
	require.Empty(t, found)

	w.core.Archive = never{}
	away := h(verify.NewJob(), 9)
	_, err = away.Alike(t.Context(), &print, nil)
	require.ErrorIs(t, err, results.ErrAway)
	require.ErrorIs(t, away.ended(), results.ErrAway, "the attempt ends, instead of a verdict from less")
}

// A colleague's copy from another site, not the same bytes, is found where the policy has the whole tenant searched, however few the site's own are.
func TestFootageOfAnotherSiteIsFound(t *testing.T) {
	w := newWorld(t)
	w.core = w.make(Options{Verifier: w.core.Verifier, Archive: archive.New(archive.Options{Store: w.store})})
	w.scoped("near", "site")
	w.scoped("far", "site, alike: tenant")
	for _, id := range []string{"ann", "bob", "eve", "dan"} {
		w.person(id)
	}
	original := clip(t, "20", "5")
	w.run("ann", "shop", "near", original)
	again := func(name string) string {
		return ffmpeg(t, name, "-i", copied(t, original), "-an", "-c:v", "libx264", "-preset", "veryfast")
	}
	_, v := w.run("bob", "office", "near", again("near.mp4"))
	require.NotEqual(t, pipeline.Fail, reused(v).Outcome)
	f, v := w.run("eve", "depot", "far", again("far.mp4"))
	require.Equal(t, pipeline.Fail, reused(v).Outcome, "%+v", reused(v))
	require.Equal(t, []pipeline.Code{pipeline.FootageReused}, f.Verdict.Codes)
	require.Contains(t, v.Reasons[0].Text.EN, "handed in for another person")
	_, v = w.run("dan", "kiosk", "", again("none.mp4"))
	require.Equal(t, pipeline.Fail, reused(v).Outcome, "who names no policy has a built-in one: %+v", reused(v))
	_, v = w.run("eve", "depot", "far", clip(t, "60", "5"))
	require.NotEqual(t, pipeline.Fail, reused(v).Outcome, "another part of the film")
}

// Two colleagues hand in one recording at two sites at the same time, not as the same bytes. Whoever's job ends last, the later upload gets a further
// revision that says so; who hands in something else does not, and a policy that has no more searched than its site changes nothing.
func TestFootageOfAnotherSiteAtTheSameTimeIsFound(t *testing.T) {
	w := newWorld(t)
	w.core = w.make(Options{Verifier: w.core.Verifier, Archive: archive.New(archive.Options{Store: w.store})})
	w.scoped("near", "site")
	w.scoped("far", "site, alike: tenant")
	original, other := clip(t, "20", "5"), clip(t, "60", "5")
	again := ffmpeg(t, "again.mp4", "-i", copied(t, original), "-an", "-c:v", "libx264", "-preset", "veryfast")
	for _, c := range []struct {
		name, policy string
		laterFirst   bool
		want         int
	}{{"the earlier upload ends last", "far", true, 2}, {"the later upload ends last", "far", false, 2}, {"its own site only", "near", true, 1}} {
		t.Run(c.name, func(t *testing.T) {
			people := [3]string{}
			for i := range people {
				people[i] = verify.NewJob()
				w.person(people[i])
			}
			earlier := w.accept(people[0], "of-"+people[0], "near", original)
			later := w.accept(people[1], "of-"+people[1], c.policy, again)
			stranger := w.accept(people[2], "of-"+people[2], c.policy, other)
			e, l, s := w.claim(earlier.Job), w.claim(later.Job), w.claim(stranger.Job)
			leases := []results.Lease{e, l, s}
			if c.laterFirst {
				leases = []results.Lease{l, s, e}
			}
			var ended []results.Finish
			for _, lease := range leases {
				f, err := w.core.Run(t.Context(), lease)
				require.NoError(t, err)
				require.Equal(t, pipeline.DecisionPass, f.Verdict.Decision, "%s", f.Verdict.Body)
				ended = append(ended, f)
			}
			for _, f := range ended {
				w.commit(f)
			}
			due, err := w.store.Recheck(t.Context(), "w", time.Minute, 10)
			require.NoError(t, err)
			require.Equal(t, c.want == 1, len(due) == 0)
			for _, d := range due {
				require.True(t, d.Look)
				require.NoError(t, w.core.Recheck(t.Context(), d))
				require.NoError(t, w.core.Recheck(t.Context(), d), "again, after a crash")
				require.NoError(t, w.store.Rechecked(t.Context(), d))
			}
			all, err := w.store.VerdictRevisions(t.Context(), "t", later.Job)
			require.NoError(t, err)
			require.Len(t, all, c.want)
			for _, job := range []string{earlier.Job, stranger.Job} {
				one, err := w.store.VerdictRevisions(t.Context(), "t", job)
				require.NoError(t, err)
				require.Len(t, one, 1, "the copy is always the later upload")
			}
			if c.want > 1 {
				v := verdict(t, all[1].Body)
				require.Equal(t, pipeline.DecisionAbnormal, v.Decision)
				require.Equal(t, []pipeline.Code{pipeline.FootageReused}, all[1].Codes)
				require.Equal(t, earlier.Job, v.Reasons[0].Evidence[0].Job)
				require.Contains(t, v.Reasons[0].Text.EN, "handed in for another person")
			}
			for _, id := range people { // and out of the way of the next case
				require.NoError(t, w.vault.Erase(t.Context(), "t", id, w.audit("subject.erased")))
			}
		})
	}

	w.core.Archive = never{}
	w.person("zoe")
	f, err := w.core.Run(t.Context(), w.claim(w.accept("zoe", "shop", "near", original).Job))
	require.NoError(t, err)
	w.commit(f)
	own, err := w.store.Print(t.Context(), "t", f.Job)
	require.NoError(t, err)
	require.ErrorIs(t, w.core.Recheck(t.Context(), results.Late{Print: own, Look: true}), results.ErrAway, "it is tried again")
	w.core.Archive = nil
	require.NoError(t, w.core.Recheck(t.Context(), results.Late{Print: own, Look: true}))
}

// always is an archive that finds one job, whatever is asked.
type always struct{ job string }

func (a always) Find(context.Context, index.Query) (index.Result, error) {
	return index.Result{Matches: []index.Match{{Job: a.job}}}, nil
}

// never is an archive that cannot answer.
type never struct{}

func (never) Find(context.Context, index.Query) (index.Result, error) {
	return index.Result{}, results.ErrAway
}
