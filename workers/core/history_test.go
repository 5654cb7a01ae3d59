package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/pipeline/reuse"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/object"
)

// copied is the same footage as another clip: mirrored, smaller, coded anew.
func copied(t testing.TB, path string) string {
	return ffmpeg(t, "copied.mp4", "-i", path, "-an", "-vf", "hflip,scale=320:-2", "-c:v", "libx264", "-preset", "veryfast", "-crf", "28")
}

// packed has the same packets in other bytes.
func packed(t testing.TB, path string) string {
	return ffmpeg(t, "packed.mkv", "-i", path, "-c", "copy")
}

// scoped writes a policy without faces that looks at a scope.
func (w *world) scoped(name, scope string) {
	w.Helper()
	w.policy(name, `
schema: onsite.policy/1
name: `+name+`
version: 1
description: {en: Reuse alone., zh: 仅查重。}
media: [video, photo]
checks: {reuse: {need: always}}
history: {scope: `+scope+`, newest: 50, days: 30}
`)
}

func reused(v pipeline.Verdict) pipeline.Check { return v.Checks[pipeline.CheckReuse] }

// What is compared is what the policy's scope says; the same bytes are found wherever they were handed in.
func TestReuseInScope(t *testing.T) {
	w := newWorld(t)
	w.scoped("site", "site")
	w.scoped("subject", "subject")
	w.person("ann")
	w.person("bob")
	w.site("shop")
	original := clip(t, "20", "5")
	first, v := w.run("ann", "shop", "site", original)
	require.Equal(t, pipeline.Pass, reused(v).Outcome)
	require.Zero(t, v.Inputs.HistoryAsOf)
	for scope, c := range map[policy.Scope]map[[2]string]bool{ // who is compared with ann's clip at the shop
		policy.ScopeSubject: {{"ann", ""}: true, {"bob", "shop"}: false, {"bob", ""}: false},
		policy.ScopeSite:    {{"ann", ""}: true, {"bob", "shop"}: true, {"bob", ""}: false},
		policy.ScopeTenant:  {{"ann", ""}: true, {"bob", "shop"}: true, {"bob", ""}: true},
	} {
		for who, want := range c {
			sub := results.Submission{Job: verify.NewJob(), Tenant: "t", Subject: who[0], Site: who[1], ReceivedAt: w.store.Now()}
			h := &history{Core: w.core, job: sub.Job, asOf: 1, scope: scopeOf(sub, policy.Policy{History: policy.History{Scope: scope}})}
			all, err := h.Candidates(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, len(all) == 1, "%s %v", scope, who)
			twin, ok, err := h.Twin(t.Context(), "", first.Print.Packets)
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, first.Job, twin.Job)
			_, ok, err = h.Twin(t.Context(), "", "")
			require.NoError(t, err)
			require.False(t, ok, "photos have no packets, and are not alike for that")
		}
	}
	for _, c := range []struct{ name, site, policy, path string }{ // in this order: bob's second clip is a copy of his first one as well
		{"colleague at the same place", "shop", "site", copied(t, original)},
		{"stranger elsewhere, the same packets", "", "subject", packed(t, original)},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, v := w.run("bob", c.site, c.policy, c.path)
			require.Equal(t, pipeline.Fail, reused(v).Outcome, "%+v", reused(v))
			require.Equal(t, first.Job, v.Reasons[0].Evidence[0].Job)
			require.Contains(t, v.Reasons[0].Text.EN, "handed in for another person")
			require.Contains(t, v.Reasons[0].Text.ZH, "另一人")
			require.Equal(t, []pipeline.Code{pipeline.FootageReused}, f.Verdict.Codes)
			require.Positive(t, v.Inputs.HistoryAsOf)
		})
	}
}

// Reading the history of a site is paid once, not per job.
func TestPrintsAreKept(t *testing.T) {
	w := newWorld(t)
	w.scoped("tenant", "tenant")
	w.person("ann")
	for _, from := range []string{"10", "60", "110"} {
		w.run("ann", "", "tenant", clip(t, from, "2"))
	}
	fresh := w.make(Options{Verifier: w.core.Verifier})
	list := func(c *Core) []reuse.Candidate {
		h := &history{Core: c, job: verify.NewJob(), asOf: 100, scope: results.Scope{Tenant: "t", Kind: "tenant", Newest: 10}}
		all, err := h.Candidates(t.Context())
		require.NoError(t, err)
		require.Zero(t, h.Missing())
		return all
	}
	before := w.objects.gets.Load()
	first := list(fresh)
	require.Len(t, first, 3)
	require.EqualValues(t, 3, w.objects.gets.Load()-before)
	second := list(fresh)
	require.Equal(t, first, second)
	require.EqualValues(t, 3, w.objects.gets.Load()-before, "nothing is read twice")

	fresh.Forget("t", "ann")
	require.Zero(t, fresh.prints.cost)
	list(fresh)
	require.EqualValues(t, 6, w.objects.gets.Load()-before)
	tiny := w.make(Options{Verifier: w.core.Verifier, PrintBytes: 1})
	require.Len(t, list(tiny), 3, "a history larger than the memory for it is read all the same")
	require.Zero(t, tiny.prints.cost)

	h := &history{Core: fresh, job: verify.NewJob(), asOf: 100, scope: results.Scope{Tenant: "t", Kind: "tenant", Newest: 10}}
	raw, err := h.Earlier(t.Context())
	require.NoError(t, err)
	require.Len(t, raw, 3)
	var back reuse.Fingerprint
	require.NoError(t, back.UnmarshalBinary(raw[0].Fingerprint))
}

// What cannot be read is counted and leads to review; what was erased is no history any more; a store that is away is no finding.
func TestHistoryThatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	w.scoped("tenant", "tenant")
	for _, id := range []string{"ann", "bob", "eve"} {
		w.person(id)
	}
	first, _ := w.run("ann", "", "tenant", clip(t, "10", "1"))
	second, _ := w.run("bob", "", "tenant", clip(t, "60", "1"))
	c := clip(t, "110", "1")

	w.core.Forget("t", "ann")
	w.core.Forget("t", "bob")
	sub := w.accept("eve", "", "tenant", c)
	l := w.claim(sub.Job)
	rows, err := w.store.Prints(t.Context(), results.Scope{Tenant: "t", Kind: "tenant", Newest: 10}, sub.Job, 100)
	require.NoError(t, err)
	require.Len(t, rows, 2)
	h := func() *history {
		return &history{Core: w.core, job: sub.Job, asOf: 100, scope: results.Scope{Tenant: "t", Kind: "tenant", Newest: 10}}
	}
	w.objects.away.Store(true)
	away := h()
	_, err = away.Candidates(t.Context())
	require.ErrorIs(t, err, object.ErrAway)
	require.ErrorIs(t, away.ended(), object.ErrAway, "the attempt ends, instead of a verdict that says review")
	w.objects.away.Store(false)

	require.NoError(t, w.objects.Delete(t.Context(), first.Print.Key))
	f, err := w.core.Run(t.Context(), l)
	require.NoError(t, err)
	v := verdict(t, f.Verdict.Body)
	require.Equal(t, pipeline.Uncertain, reused(v).Outcome)
	require.Equal(t, []pipeline.Code{pipeline.HistoryIncomplete}, f.Verdict.Codes)

	require.NoError(t, w.vault.Erase(t.Context(), "t", "ann", w.audit("subject.erased")))
	for _, row := range rows { // listed before the erasure, read after it
		_, ok, err := h().read(t.Context(), row)
		require.NoError(t, err)
		require.Equal(t, row.Subject == "bob", ok)
	}
	all := h()
	found, err := all.Candidates(t.Context())
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, second.Job, found[0].Job)
	require.Zero(t, all.Missing())

	row := rows[0]
	row.Job, row.Format = verify.NewJob(), 99
	_, err = w.core.fingerprint(t.Context(), row)
	require.ErrorIs(t, err, reuse.ErrFormat, "a form that this version does not read is never guessed at")

	require.False(t, passing(t.Context(), errors.Join(reuse.ErrFormat, object.ErrNotFound)))
	require.True(t, passing(t.Context(), fmt.Errorf("read: %w", errors.Join(reuse.ErrFormat, object.ErrAway))))
}

// A withdrawn consent to sound holds for the fingerprints that were made before it.
func TestSoundOfWhoWithdrew(t *testing.T) {
	w := newWorld(t)
	w.policy("sound", `
schema: onsite.policy/1
name: sound
version: 1
description: {en: Reuse with sound., zh: 含声音查重。}
media: [video]
checks: {reuse: {need: always}}
reuse: {audio: true}
history: {scope: tenant, newest: 50, days: 30}
`)
	loud := func(seed string) string {
		return ffmpeg(t, "loud.mp4", "-i", clip(t, "20", "5"), "-f", "lavfi", "-i", "anoisesrc=d=5:c=pink:a=0.5:seed="+seed, "-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", "-shortest")
	}
	for _, id := range []string{"ann", "bob"} {
		w.person(id)
		require.NoError(t, w.store.GiveConsent(t.Context(), results.Consent{ID: verify.NewJob(), Tenant: "t", Subject: id, Purpose: results.PurposeSound, Notice: "1", GivenAt: w.store.Now()}, w.audit("consent.given")))
	}
	w.run("ann", "", "sound", loud("1"))
	w.run("bob", "", "sound", loud("2"))
	heard := func() map[string]bool {
		h := &history{Core: w.core, job: verify.NewJob(), asOf: 100, scope: results.Scope{Tenant: "t", Kind: "tenant", Newest: 10}}
		found, err := h.Candidates(t.Context())
		require.NoError(t, err)
		out := map[string]bool{}
		for _, c := range found {
			sub, err := w.store.Submission(t.Context(), c.Job)
			require.NoError(t, err)
			out[sub.Subject] = len(c.Fingerprint.Audio.Subs) > 0
			require.NotEmpty(t, c.Fingerprint.Stills)
		}
		return out
	}
	require.Equal(t, map[string]bool{"ann": true, "bob": true}, heard())
	require.NoError(t, w.store.WithdrawConsent(t.Context(), "t", "ann", results.PurposeSound, w.store.Now(), w.audit("consent.withdrawn")))
	require.Equal(t, map[string]bool{"ann": false, "bob": true}, heard())
	require.NoError(t, w.store.GiveConsent(t.Context(), results.Consent{ID: verify.NewJob(), Tenant: "t", Subject: "ann", Purpose: results.PurposeSound, Notice: "2", GivenAt: w.store.Now()}, w.audit("consent.given")))
	require.Equal(t, map[string]bool{"ann": true, "bob": true}, heard(), "what is in memory was not changed")
}

// A store that is away in the middle of a run ends the attempt with its own error.
func TestHistoryAwayEndsTheAttempt(t *testing.T) {
	w := newWorld(t)
	w.scoped("tenant", "tenant")
	w.person("ann")
	w.run("ann", "", "tenant", clip(t, "10", "1"))
	l := w.claim(w.accept("ann", "", "tenant", clip(t, "60", "1")).Job)
	raw, err := w.vault.Read(t.Context(), l.Sub.Media.Key, 10<<20)
	require.NoError(t, err)
	w.core.Forget("t", "ann")
	w.core.Vault = &onlyMedia{Vault: w.vault, objects: w.objects}
	require.NotEmpty(t, raw)
	_, err = w.core.Run(t.Context(), l)
	require.ErrorIs(t, err, object.ErrAway)
	require.Empty(t, w.orphans())
}

func TestScope(t *testing.T) {
	at := time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)
	sub := results.Submission{Tenant: "t", Subject: "ann", Site: "shop", ReceivedAt: at}
	require.Equal(t, results.Scope{Tenant: "t", Subject: "ann", Site: "shop", Kind: "site", Newest: 200, Since: at.AddDate(0, 0, -90)}, scopeOf(sub, policy.Policy{}))
	own, late := results.Print{SHA256: "1", Packets: "a", Subject: "ann", Site: "shop"}, results.Print{SHA256: "2", Packets: "b", Subject: "bob", Site: "shop", AcceptedAt: at}
	in := func(scope policy.Scope) bool {
		return within(sub, own, late, policy.Policy{History: policy.History{Scope: scope}}, false)
	}
	require.True(t, in(policy.ScopeSite) && in(policy.ScopeTenant) && !in(policy.ScopeSubject))
	late.Site = "elsewhere"
	require.True(t, in(policy.ScopeTenant) && !in(policy.ScopeSite))
	late.Packets = "a"
	require.True(t, in(policy.ScopeSubject), "the same packets")
	late.Packets, own.Packets, late.Subject = "", "", "ann"
	require.True(t, in(policy.ScopeSubject) && in(policy.ScopeSite))
	late.AcceptedAt = at.AddDate(0, 0, -91)
	require.False(t, in(policy.ScopeSubject))
}

// Two uploads of one recording race: the one that was accepted later is compared before the earlier one is there. It gets a further
// revision, and the webhook of that.
func TestRecheck(t *testing.T) {
	w := newWorld(t)
	w.scoped("own", "subject")
	w.person("ann")
	w.person("bob")
	_, err := w.store.PutEndpoint(t.Context(), results.Endpoint{ID: "e", Tenant: "t", URL: "https://example.com"}, 0, w.audit("endpoint"))
	require.NoError(t, err)
	original := clip(t, "20", "5")
	earlier := w.accept("ann", "", "own", original)
	later := w.accept("ann", "", "own", copied(t, original))
	stranger := w.accept("bob", "", "own", packed(t, original)) // the same packets: whoever it is
	e, l, s := w.claim(earlier.Job), w.claim(later.Job), w.claim(stranger.Job)
	for _, lease := range []results.Lease{l, s} {
		f, err := w.core.Run(t.Context(), lease)
		require.NoError(t, err)
		require.Equal(t, pipeline.DecisionPass, f.Verdict.Decision)
		w.commit(f)
	}
	f, err := w.core.Run(t.Context(), e)
	require.NoError(t, err)
	require.Equal(t, pipeline.DecisionPass, f.Verdict.Decision, "the copy is always the later upload")
	w.commit(f)

	due, err := w.store.Recheck(t.Context(), "w", time.Minute, 10)
	require.NoError(t, err)
	require.Len(t, due, 1)
	require.Equal(t, earlier.Job, due[0].Print.Job)
	require.ElementsMatch(t, []string{later.Job, stranger.Job}, due[0].Jobs)
	require.NoError(t, w.core.Recheck(t.Context(), due[0]))
	again := w.make(Options{Verifier: w.core.Verifier}) // another process, after a crash before Rechecked: nothing more happens
	require.NoError(t, again.Recheck(t.Context(), due[0]))
	gets := w.objects.gets.Load()
	require.NoError(t, again.Recheck(t.Context(), due[0]))
	require.Equal(t, gets, w.objects.gets.Load())
	over, end := context.WithCancel(t.Context())
	end()
	require.ErrorIs(t, again.Recheck(over, due[0]), context.Canceled, "nobody may take it for done")
	require.NoError(t, w.store.Rechecked(t.Context(), due[0]))
	for _, job := range due[0].Jobs {
		all, err := w.store.VerdictRevisions(t.Context(), "t", job)
		require.NoError(t, err)
		require.Len(t, all, 2)
		v := verdict(t, all[1].Body)
		require.Equal(t, pipeline.DecisionAbnormal, v.Decision)
		require.Equal(t, job+".1", *v.Supersedes)
		require.Equal(t, []pipeline.Code{pipeline.FootageReused}, all[1].Codes)
		require.Equal(t, f.Print.Job, v.Reasons[0].Evidence[0].Job)
		require.Equal(t, "own", all[1].Policy)
	}
	deliveries, err := w.store.Deliveries(t.Context(), "t", "e", results.Page{Limit: 100})
	require.NoError(t, err)
	types := map[string]int{}
	for _, d := range deliveries {
		types[d.Type]++
		var event results.Event
		require.NoError(t, json.Unmarshal(d.Payload, &event))
		require.Equal(t, d.Type, event.Type)
		if d.Type == results.EventVerdictRevised {
			require.Equal(t, 2, event.Data.Revision)
			require.Equal(t, pipeline.DecisionAbnormal, event.Data.Decision)
		}
	}
	require.Equal(t, map[string]int{results.EventVerdictCreated: 3, results.EventVerdictRevised: 2}, types)

	// Whoever was erased meanwhile is not compared; what cannot be read is left, what is away is tried again.
	recheck := func() error { return w.make(Options{Verifier: w.core.Verifier}).Recheck(t.Context(), due[0]) }
	w.objects.away.Store(true)
	require.ErrorIs(t, recheck(), object.ErrAway)
	w.objects.away.Store(false)
	require.NoError(t, w.vault.Erase(t.Context(), "t", "bob", w.audit("subject.erased")))
	require.NoError(t, recheck())
	require.NoError(t, w.vault.Erase(t.Context(), "t", "ann", w.audit("subject.erased")))
	require.NoError(t, recheck())
	require.NoError(t, w.core.Recheck(t.Context(), results.Late{}))
}
