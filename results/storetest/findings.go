package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/results"
	"onsite/results/audit"
)

var findingsCases = []Case{
	{Name: "revisions of a verdict", Run: revisions},
	{Name: "lists of verdicts", Run: verdictLists},
	{Name: "verdicts that were made again", Run: reverifications},
	{Name: "positions without gaps, in batches", Run: positions},
	{Name: "a reader of changes misses nothing", Run: changesRace},
	{Name: "fingerprints in scope", Run: prints},
	{Name: "the same bytes", Run: sameBytes},
}

// finished makes a finished job.
func finished(t testing.TB, s results.Store, tenant, subject string, change ...func(*results.Finish)) string {
	t.Helper()
	id := Accept(t, s, tenant, subject).ID
	Finish(t, s, Claim(t, s, id), change...)
	return id
}

// live runs a job that sees all that has a position when it begins, and gives its verdict a position.
func live(t testing.TB, s results.Store, job string, change ...func(*results.Finish)) {
	t.Helper()
	l := Claim(t, s, job)
	asOf, err := s.Position(t.Context(), l.Job.Tenant)
	require.NoError(t, err)
	Finish(t, s, l, append([]func(*results.Finish){func(f *results.Finish) { f.Print.AsOf = asOf }}, change...)...)
	Sequenced(t, s)
}

func revisions(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	NewEndpoint(t, s, tenant, results.EventVerdictRevised)
	id := finished(t, s, tenant, "e1")
	_, err := s.Verdict(ctx, tenant, id, 2)
	require.ErrorIs(t, err, results.ErrNotFound)
	_, err = s.Verdict(ctx, NewTenant(t, s), id, 0)
	require.ErrorIs(t, err, results.ErrNotFound)
	v := results.Verdict{Job: id, Tenant: tenant, Subject: "e1", Site: "store-17", Revision: 2, Decision: pipeline.DecisionReview,
		Codes: []pipeline.Code{"footage_reused"}, Policy: "video15", Body: []byte(`{"revision":2}`), SubmittedAt: s.Now(), CreatedAt: s.Now()}
	revise := func(v results.Verdict) error {
		return s.Revise(ctx, v, Audit(s, tenant, "verdict.revised"), results.EventVerdictRevised, NewID(), []byte(`{}`))
	}
	require.NoError(t, revise(v))
	require.ErrorIs(t, revise(v), results.ErrConflict, "taken")
	far := v
	far.Revision = 4
	require.ErrorIs(t, revise(far), results.ErrConflict, "3 comes first")
	nowhere := v
	nowhere.Job = NewID()
	require.ErrorIs(t, revise(nowhere), results.ErrNotFound)
	other := v
	other.Tenant = NewTenant(t, s)
	require.ErrorIs(t, revise(other), results.ErrNotFound)
	all, err := s.VerdictRevisions(ctx, tenant, id)
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, []int{1, 2}, []int{all[0].Revision, all[1].Revision})
	require.Equal(t, v, all[1])
	newest, err := s.Verdict(ctx, tenant, id, 0)
	require.NoError(t, err)
	require.Equal(t, v, newest)
	first, err := s.Verdict(ctx, tenant, id, 1)
	require.NoError(t, err)
	require.Equal(t, all[0], first, "a revision is written beside the earlier one, never over it")
	require.Equal(t, 2, Read(t, s, id).Revision)
	d, err := s.Deliveries(ctx, tenant, "", results.Page{})
	require.NoError(t, err)
	require.Len(t, d, 1)
	require.Contains(t, actions(t, s, tenant), "verdict.revised")

	var won sync.Map
	together(6, func(i int) {
		third := v
		third.Revision = 3
		if err := revise(third); err == nil {
			won.Store(i, true)
		} else {
			require.ErrorIs(t, err, results.ErrConflict)
		}
	})
	n := 0
	won.Range(func(any, any) bool { n++; return true })
	require.Equal(t, 1, n)
}

func verdictLists(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	var all []string // newest first, as places
	for i := range 6 {
		id := Accept(t, s, tenant, fmt.Sprintf("e%d", i%2), func(n *results.NewSubmission) { n.Sub.Site = fmt.Sprintf("s%d", i%3) }).ID
		Finish(t, s, Claim(t, s, id), func(f *results.Finish) {
			if i%2 == 0 {
				f.Verdict.Decision, f.Verdict.Codes = pipeline.DecisionPass, nil
				f.Verdict.Body = []byte(`{"media":{"sha256":"abcdef0123"},"models":[{"task":"face_embed","version":"1","sha256":"0123456789abcdef"}],"recipe":"sha256:77"}`)
			}
		})
		all = append([]string{id + ".1"}, all...)
	}
	finished(t, s, NewTenant(t, s), "e1")
	first := all[5][:26]
	require.NoError(t, s.Revise(ctx, results.Verdict{Job: first, Tenant: tenant, Revision: 2, Decision: pipeline.DecisionReview,
		Codes: []pipeline.Code{"footage_reused"}, Body: []byte(`{}`), SubmittedAt: s.Now(), CreatedAt: s.Now()},
		Audit(s, tenant, "verdict.revised"), "", "", nil))
	newest := append(append([]string{}, all[:5]...), first+".2")
	now := s.Now()
	for _, c := range []struct {
		name string
		f    results.VerdictFilter
		want []string
	}{
		{"newest of each", results.VerdictFilter{}, newest},
		{"all revisions", results.VerdictFilter{AllRevisions: true}, append(append([]string{}, newest...), first+".1")},
		{"of a subject", results.VerdictFilter{Subject: "e1"}, []string{all[0], all[2], all[4]}},
		{"of a site", results.VerdictFilter{Site: "s2"}, []string{all[0], all[3]}},
		{"passed", results.VerdictFilter{Decision: pipeline.DecisionPass}, []string{all[1], all[3]}},
		{"passed, at any time", results.VerdictFilter{Decision: pipeline.DecisionPass, AllRevisions: true}, []string{all[1], all[3], all[5]}},
		{"made with a model", results.VerdictFilter{Model: "01234567", AllRevisions: true}, []string{all[1], all[3], all[5]}},
		{"made by a recipe", results.VerdictFilter{Recipe: "sha256:77", AllRevisions: true}, []string{all[1], all[3], all[5]}},
		{"made by no such recipe", results.VerdictFilter{Recipe: "sha256:7", AllRevisions: true}, []string{}},
		{"made with no such model", results.VerdictFilter{Model: "abcdef01"}, []string{}},
		{"for review", results.VerdictFilter{Decision: pipeline.DecisionReview}, []string{first + ".2"}},
		{"by reason", results.VerdictFilter{Code: "logo_missing"}, []string{all[0], all[2], all[4]}},
		{"by reason and site", results.VerdictFilter{Code: "logo_missing", Site: "s2"}, all[:1]},
		{"by a revision's reason", results.VerdictFilter{Code: "footage_reused"}, []string{first + ".2"}},
		{"since", results.VerdictFilter{From: now.Add(-time.Minute)}, newest},
		{"later", results.VerdictFilter{From: now.Add(time.Minute)}, []string{}},
		{"until", results.VerdictFilter{To: now.Add(time.Minute)}, newest},
		{"earlier", results.VerdictFilter{To: now.Add(-time.Minute)}, []string{}},
	} {
		for _, size := range []int{100, 2, 1} { // page by page is the same
			got := []string{}
			for after := ""; ; {
				page, err := s.Verdicts(ctx, tenant, c.f, results.Page{After: after, Limit: size})
				require.NoError(t, err, c.name)
				for _, v := range page {
					after = fmt.Sprintf("%s.%d", v.Job, v.Revision)
					got = append(got, after)
				}
				if len(page) < size {
					break
				}
			}
			require.Equal(t, c.want, got, "%s, %d to a page", c.name, size)
		}
	}
	for _, place := range []string{"x", "x.y", "."} {
		_, err := s.Verdicts(ctx, tenant, results.VerdictFilter{}, results.Page{After: place})
		require.Error(t, err, place)
	}
}

func positions(t *testing.T, s results.Store) {
	ctx := t.Context()
	one, two := NewTenant(t, s), NewTenant(t, s)
	p, err := s.Position(ctx, one)
	require.NoError(t, err)
	require.Zero(t, p)
	Sequenced(t, s) // of other cases
	var jobs []string
	for range 5 {
		jobs = append(jobs, finished(t, s, one, "e1"))
	}
	finished(t, s, two, "e1")
	require.NoError(t, s.Revise(ctx, results.Verdict{Job: jobs[4], Tenant: one, Revision: 2, Decision: pipeline.DecisionReview, Body: []byte(`{}`)},
		Audit(s, one, "verdict.revised"), "", "", nil))
	none, err := s.Changes(ctx, one, 0, 10)
	require.NoError(t, err)
	require.Empty(t, none, "not before they have their positions")
	_, err = s.Print(ctx, one, jobs[0])
	require.NoError(t, err)
	got := map[string]int64{}
	for range 10 {
		some, err := s.Sequence(ctx, 3)
		require.NoError(t, err)
		for tenant, p := range some {
			require.Greater(t, p, got[tenant])
			got[tenant] = p
		}
		if len(some) == 0 {
			break
		}
	}
	require.Equal(t, map[string]int64{one: 6, two: 1}, got)
	p, err = s.Position(ctx, one)
	require.NoError(t, err)
	require.EqualValues(t, 6, p)
	all, err := s.Changes(ctx, one, 0, 10)
	require.NoError(t, err)
	require.Len(t, all, 6)
	for i, v := range all {
		require.EqualValues(t, i+1, v.Seq)
	}
	require.Equal(t, 2, all[5].Revision, "after its first revision")
	part, err := s.Changes(ctx, one, 2, 3)
	require.NoError(t, err)
	require.Equal(t, all[2:5], part)
	for i, job := range jobs {
		print, err := s.Print(ctx, one, job)
		require.NoError(t, err)
		require.EqualValues(t, i+1, print.Seq, "that of the first revision")
	}
}

// changesRace: many commit, one sequencer (and for a while a second one: an election that went wrong) and one reader that goes on from where
// it was.
func changesRace(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	const workers, each = 4, 20
	var ends [workers][]results.Finish
	for w := range ends {
		for i := range each {
			f := Ending(s, Claim(t, s, Accept(t, s, tenant, fmt.Sprintf("e%d", i%5)).ID))
			f.Print = nil // each would have come late for many others
			ends[w] = append(ends[w], f)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var all sync.WaitGroup
	for w := range ends {
		all.Go(func() {
			for i := 0; i < each; i += w + 1 {
				for _, err := range s.FinishMany(ctx, ends[w][i:min(each, i+w+1)]) {
					require.NoError(t, err)
				}
			}
		})
	}
	finished := make(chan struct{})
	for range 2 {
		all.Go(func() {
			for {
				got, err := s.Sequence(ctx, 7)
				require.NoError(t, err)
				select {
				case <-finished:
					return
				default:
				}
				if len(got) == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	seen := map[string]bool{}
	var at int64
	for len(seen) < workers*each && ctx.Err() == nil {
		some, err := s.Changes(ctx, tenant, at, 50)
		require.NoError(t, err)
		if len(some) == 0 {
			time.Sleep(time.Millisecond)
		}
		for _, v := range some {
			require.Equal(t, at+1, v.Seq, "without a gap")
			require.False(t, seen[v.Job])
			at, seen[v.Job] = v.Seq, true
		}
	}
	close(finished)
	all.Wait()
	require.Len(t, seen, workers*each)
}

func prints(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	place := func(site string) func(*results.NewSubmission) {
		return func(n *results.NewSubmission) { n.Sub.Site = site }
	}
	var jobs []string
	for _, w := range [][2]string{{"e1", "s1"}, {"e1", "s2"}, {"e2", "s1"}, {"e2", "s2"}, {"e1", "s1"}, {"e1", ""}} {
		id := Accept(t, s, tenant, w[0], place(w[1])).ID
		Finish(t, s, Claim(t, s, id))
		Sequenced(t, s)
		jobs = append(jobs, id)
	}
	finished(t, s, NewTenant(t, s), "e1")
	unseen := finished(t, s, tenant, "e1")
	next := NewID()
	is := func(scope results.Scope, before string, asOf int64, want ...int) {
		t.Helper()
		scope.Tenant = tenant
		got, err := s.Prints(ctx, scope, before, asOf)
		require.NoError(t, err)
		all := []string{}
		for _, p := range got {
			all = append(all, p.Job)
		}
		expected := []string{}
		for _, i := range want {
			expected = append(expected, jobs[i])
		}
		require.Equal(t, expected, all, "newest first")
	}
	is(results.Scope{Kind: "subject", Subject: "e1"}, next, 100, 5, 4, 1, 0)
	is(results.Scope{Kind: "subject", Subject: "e1", Newest: 2}, next, 100, 5, 4)
	is(results.Scope{Kind: "subject", Subject: "e1"}, jobs[4], 100, 1, 0)
	is(results.Scope{Kind: "subject", Subject: "e1"}, next, 2, 1, 0)
	is(results.Scope{Kind: "subject", Subject: "e1", Since: s.Now().Add(time.Minute)}, next, 100)
	is(results.Scope{Kind: "subject", Subject: "e1", Since: s.Now().Add(-time.Minute)}, next, 100, 5, 4, 1, 0)
	is(results.Scope{Kind: "site", Subject: "e2", Site: "s1"}, next, 100, 4, 3, 2, 0)
	is(results.Scope{Kind: "site", Subject: "e2", Site: "s1", Newest: 2}, next, 100, 4, 3)
	is(results.Scope{Kind: "site", Subject: "e2", Site: "s1"}, next, 3, 2, 0)
	is(results.Scope{Kind: "site", Subject: "e2", Site: ""}, next, 100, 3, 2)
	is(results.Scope{Kind: "tenant"}, next, 100, 5, 4, 3, 2, 1, 0)
	is(results.Scope{Kind: "tenant", Newest: 1}, next, 100, 5)
	is(results.Scope{Kind: "tenant"}, jobs[0], 100)
	is(results.Scope{Kind: "tenant"}, next, 0)
	_, err := s.Prints(ctx, results.Scope{Kind: "planet", Tenant: tenant}, next, 100)
	require.Error(t, err)
	_, err = s.Print(ctx, NewTenant(t, s), unseen)
	require.ErrorIs(t, err, results.ErrNotFound)
}

func sameBytes(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	var jobs []string
	for i := range 4 {
		jobs = append(jobs, finished(t, s, tenant, fmt.Sprintf("e%d", i), func(f *results.Finish) {
			f.Print.SHA256, f.Print.Packets = Sum(tenant+fmt.Sprint(i/2)), Sum(tenant+"packets"+fmt.Sprint(i%2))
			if i == 0 {
				f.Print.Packets = ""
			}
		}))
		Sequenced(t, s)
	}
	next := NewID()
	is := func(want, tenant, before string, asOf int64, file, packets string) {
		t.Helper()
		p, err := s.SameBytes(ctx, tenant, before, asOf, file, packets, nil)
		if want == "" {
			require.ErrorIs(t, err, results.ErrNotFound)
			return
		}
		require.NoError(t, err)
		require.Equal(t, want, p.Job)
	}
	file0, file1, packets1 := Sum(tenant+"0"), Sum(tenant+"1"), Sum(tenant+"packets1")
	is(jobs[0], tenant, next, 100, file0, "")
	is(jobs[2], tenant, next, 100, file1, "")
	is(jobs[1], tenant, next, 100, "", packets1)
	is(jobs[1], tenant, next, 100, file1, packets1) // the first of both ways
	is(jobs[0], tenant, next, 100, file0, packets1)
	is("", tenant, next, 100, Sum("other"), "")
	is("", tenant, next, 100, "", "")
	is("", tenant, jobs[2], 100, file1, "")
	is("", tenant, next, 2, file1, "")
	is("", NewTenant(t, s), next, 100, file0, packets1)

	p, err := s.SameBytes(ctx, tenant, next, 100, file0, "", []string{jobs[0], NewID()})
	require.NoError(t, err)
	require.Equal(t, jobs[1], p.Job, "the next one, where the first is not meant")
	_, err = s.SameBytes(ctx, tenant, next, 100, file0, "", jobs)
	require.ErrorIs(t, err, results.ErrNotFound)
}

func reverifications(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	NewSubject(t, s, tenant, "e1")
	job, other := finished(t, s, tenant, "e1"), finished(t, s, tenant, "e2")
	keep := func(job string) results.Reverification {
		t.Helper()
		r := results.Reverification{ID: NewID(), Tenant: tenant, Job: job, Body: []byte(`{"job":"` + job + `"}`), CreatedAt: s.Now()}
		require.NoError(t, s.Reverified(ctx, r, Audit(s, tenant, results.ActionReverified)))
		e, err := s.LogEntry(ctx, tenant, r.ID)
		require.NoError(t, err)
		require.Equal(t, results.Sum(r.Body), e.Digest)
		return r
	}
	one, two, three := keep(job), keep(job), keep(other)
	one.Subject, two.Subject, three.Subject = "e1", "e1", "e2"
	got, err := s.Reverifications(ctx, tenant, job, results.Page{Limit: 10})
	require.NoError(t, err)
	require.Equal(t, []results.Reverification{two, one}, got)
	got, err = s.Reverifications(ctx, tenant, "", results.Page{Limit: 2, After: three.ID})
	require.NoError(t, err)
	require.Equal(t, []results.Reverification{two, one}, got)
	v, err := s.Verdict(ctx, tenant, job, 0)
	require.NoError(t, err)
	require.Equal(t, 1, v.Revision, "they are no revisions")
	again := results.Reverification{ID: NewID(), Tenant: tenant, Job: job, Body: []byte(`{}`)}
	a := Audit(s, tenant, audit.ActionErased)
	a.Subject = "e1"
	_, err = s.EraseSubject(ctx, tenant, "e1", s.Now(), a)
	require.NoError(t, err)
	require.ErrorIs(t, s.Reverified(ctx, again, Audit(s, tenant, results.ActionReverified)), results.ErrErased)
	again.Job = NewID()
	require.ErrorIs(t, s.Reverified(ctx, again, Audit(s, tenant, results.ActionReverified)), results.ErrNotFound)
	got, err = s.Reverifications(ctx, tenant, "", results.Page{Limit: 10})
	require.NoError(t, err)
	require.Equal(t, []results.Reverification{three}, got, "what shows an erased person is gone")
}
