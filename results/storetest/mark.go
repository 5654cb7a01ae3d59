package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

var markCases = []Case{
	{Name: "marks and their positions", Run: marks},
	{Name: "what is marked once", Run: markedOnce},
	{Name: "lists of marks", Run: markLists},
	{Name: "marks as of a position", Run: marksAsOf},
	{Name: "several mark at once", Run: markRace},
	{Name: "marks of an erased subject", Run: markErased},
	{Name: "how many backgrounds", Run: markBound},
	{Name: "what is marked is due", Alone: true, Run: markDue},
}

// NewPair makes the mark of a pair.
func NewPair(s results.Store, tenant, job, other string) results.Mark {
	return results.Mark{ID: NewID(), Tenant: tenant, Kind: results.MarkPair, Job: job, Other: other, Note: "打卡 twice", Actor: "key-1", CreatedAt: s.Now()}
}

// NewBackground makes the mark of a background; site "": in all of the tenant.
func NewBackground(s results.Store, tenant, job string, atMS int64, site string) results.Mark {
	return results.Mark{ID: NewID(), Tenant: tenant, Kind: results.MarkBackground, Job: job, AtMS: atMS, Hash: Sum(job), Site: site, Note: "wall", Actor: "key-1", CreatedAt: s.Now()}
}

func create(t testing.TB, s results.Store, m results.Mark) results.Mark {
	t.Helper()
	got, err := s.CreateMark(t.Context(), m, Audit(s, m.Tenant, "mark.created"))
	require.NoError(t, err)
	m.Seq = got.Seq
	require.Equal(t, m, got)
	return got
}

func marks(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	n, err := s.MarksPosition(ctx, tenant)
	require.NoError(t, err)
	require.Zero(t, n)
	a, b := Accept(t, s, tenant, "e1").ID, Accept(t, s, tenant, "e2").ID
	pair, wall := create(t, s, NewPair(s, tenant, b, a)), create(t, s, NewBackground(s, tenant, a, 1500, "store-17"))
	require.Equal(t, []int64{1, 2}, []int64{pair.Seq, wall.Seq})
	require.Equal(t, []string{"mark.created", "mark.created"}, slices.DeleteFunc(actions(t, s, tenant), func(a string) bool { return a != "mark.created" }))
	for _, m := range []results.Mark{pair, wall} {
		got, err := s.Mark(ctx, tenant, m.ID)
		require.NoError(t, err)
		require.Equal(t, m, got)
	}
	at := s.Now()
	revoked, err := s.RevokeMark(ctx, tenant, pair.ID, "key-2", at, Audit(s, tenant, "mark.revoked"))
	require.NoError(t, err)
	want := pair
	want.RevokedSeq, want.RevokedAt, want.RevokedBy = 3, at, "key-2"
	require.Equal(t, want, revoked)
	got, err := s.Mark(ctx, tenant, pair.ID)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Contains(t, actions(t, s, tenant), "mark.revoked")
	_, err = s.RevokeMark(ctx, tenant, pair.ID, "key-3", s.Now(), Audit(s, tenant, "mark.revoked.twice"))
	require.ErrorIs(t, err, results.ErrStale)
	_, err = s.RevokeMark(ctx, tenant, NewID(), "key-3", s.Now(), Audit(s, tenant, "mark.revoked.twice"))
	require.ErrorIs(t, err, results.ErrNotFound)
	require.NotContains(t, actions(t, s, tenant), "mark.revoked.twice")
	n, err = s.MarksPosition(ctx, tenant)
	require.NoError(t, err)
	require.EqualValues(t, 3, n, "what failed took no position")
	elsewhere := NewTenant(t, s)
	require.EqualValues(t, 1, create(t, s, NewBackground(s, elsewhere, Accept(t, s, elsewhere, "e1").ID, 0, "")).Seq, "each tenant counts for itself")
}

func markedOnce(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant, other := NewTenant(t, s), NewTenant(t, s)
	a, b, foreign := Accept(t, s, tenant, "e1").ID, Accept(t, s, tenant, "e1").ID, Accept(t, s, other, "e1").ID
	pair := create(t, s, NewPair(s, tenant, b, a))
	create(t, s, NewBackground(s, tenant, a, 1500, ""))
	create(t, s, NewBackground(s, tenant, a, 1500, "store-17"))
	create(t, s, NewBackground(s, tenant, a, 3000, ""))
	refused := func(m results.Mark, want error) {
		t.Helper()
		_, err := s.CreateMark(ctx, m, Audit(s, tenant, "mark.refused"))
		require.ErrorIs(t, err, want)
	}
	refused(NewPair(s, tenant, b, a), results.ErrExists)
	refused(NewBackground(s, tenant, a, 1500, ""), results.ErrExists)
	refused(NewPair(s, tenant, b, foreign), results.ErrNotFound)
	refused(NewPair(s, tenant, foreign, a), results.ErrNotFound)
	refused(NewBackground(s, tenant, foreign, 0, ""), results.ErrNotFound)
	refused(NewPair(s, tenant, b, NewID()), results.ErrNotFound)
	require.NotContains(t, actions(t, s, tenant), "mark.refused")
	_, err := s.RevokeMark(ctx, tenant, pair.ID, "k", s.Now(), results.AuditEntry{})
	require.NoError(t, err)
	require.EqualValues(t, 6, create(t, s, NewPair(s, tenant, b, a)).Seq, "again, once the first is revoked")
}

func markLists(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	var jobs, ids []string
	for range 4 {
		jobs = append(jobs, Accept(t, s, tenant, "e1").ID)
	}
	for _, m := range []results.Mark{NewPair(s, tenant, jobs[1], jobs[0]), NewBackground(s, tenant, jobs[0], 0, ""), NewPair(s, tenant, jobs[2], jobs[1]), NewBackground(s, tenant, jobs[3], 0, "s")} {
		ids = append([]string{create(t, s, m).ID}, ids...)
	}
	_, err := s.RevokeMark(ctx, tenant, ids[1], "k", s.Now(), results.AuditEntry{})
	require.NoError(t, err)
	elsewhere := NewTenant(t, s)
	create(t, s, NewBackground(s, elsewhere, Accept(t, s, elsewhere, "e1").ID, 0, ""))
	for name, c := range map[string]struct {
		f    results.MarkFilter
		want []string
	}{
		"all":            {results.MarkFilter{}, ids},
		"pairs":          {results.MarkFilter{Kind: results.MarkPair}, []string{ids[1], ids[3]}},
		"backgrounds":    {results.MarkFilter{Kind: results.MarkBackground}, []string{ids[0], ids[2]}},
		"of a job":       {results.MarkFilter{Job: jobs[1]}, []string{ids[1], ids[3]}},
		"in force":       {results.MarkFilter{InForce: true}, []string{ids[0], ids[2], ids[3]}},
		"all of it":      {results.MarkFilter{Job: jobs[1], Kind: results.MarkPair, InForce: true}, []string{ids[3]}},
		"of another job": {results.MarkFilter{Job: NewID()}, nil},
	} {
		for _, size := range []int{1, 2, 10} {
			var got []string
			for p := (results.Page{Limit: size}); ; {
				some, err := s.Marks(ctx, tenant, c.f, p)
				require.NoError(t, err)
				for _, m := range some {
					got = append(got, m.ID)
				}
				if len(some) < size {
					break
				}
				p.After = some[len(some)-1].ID
			}
			require.Equal(t, c.want, got, "%s, %d at a time", name, size)
		}
	}
}

// marksAsOf: what was in force at a position stays so, whatever happens later.
func marksAsOf(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	a, b, c := Accept(t, s, tenant, "e1").ID, Accept(t, s, tenant, "e1").ID, Accept(t, s, tenant, "e2").ID
	ab := create(t, s, NewPair(s, tenant, b, a))
	everywhere := create(t, s, NewBackground(s, tenant, a, 0, ""))
	here := create(t, s, NewBackground(s, tenant, a, 0, "store-17"))
	there := create(t, s, NewBackground(s, tenant, a, 0, "store-18"))
	bc := create(t, s, NewPair(s, tenant, c, b))
	_, err := s.RevokeMark(ctx, tenant, ab.ID, "k", s.Now(), results.AuditEntry{})
	require.NoError(t, err)
	_, err = s.RevokeMark(ctx, tenant, everywhere.ID, "k", s.Now(), results.AuditEntry{})
	require.NoError(t, err)
	is := func(job, site string, asOf int64, want ...results.Mark) {
		t.Helper()
		got, err := s.MarksFor(ctx, tenant, job, site, asOf)
		require.NoError(t, err)
		ids := []string{}
		for _, m := range got {
			ids = append(ids, m.ID)
		}
		wanted := []string{}
		for _, m := range want {
			wanted = append(wanted, m.ID)
		}
		require.Equal(t, wanted, ids)
	}
	is(b, "store-17", 0)
	is(b, "store-17", 1, ab)
	is(a, "store-17", 1, ab) // either way round
	is(c, "store-17", 1)
	is(b, "store-17", 5, ab, everywhere, here, bc)
	is(b, "store-18", 5, ab, everywhere, there, bc)
	is(b, "", 5, ab, everywhere, bc)
	is(b, "store-17", 6, everywhere, here, bc)
	is(b, "store-17", 7, here, bc)
	is(c, "", 7, bc)
	is(NewID(), "", 100)
}

// markRace: positions have no gaps and follow the commits, and one of those who say the same wins.
func markRace(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	a, b := Accept(t, s, tenant, "e1").ID, Accept(t, s, tenant, "e2").ID
	const n = 12
	got, errs := make([]results.Mark, n), make([]error, n)
	together(n, func(i int) {
		m := NewBackground(s, tenant, a, int64(i), "")
		if i%2 == 0 {
			m = NewPair(s, tenant, b, a)
		}
		got[i], errs[i] = s.CreateMark(ctx, m, Audit(s, tenant, "mark.created"))
	})
	var seqs []int64
	pairs := 0
	for i, err := range errs {
		if err != nil {
			require.Zero(t, i%2)
			require.ErrorIs(t, err, results.ErrExists)
			continue
		}
		if i%2 == 0 {
			pairs++
		}
		seqs = append(seqs, got[i].Seq)
	}
	require.Equal(t, 1, pairs)
	slices.Sort(seqs)
	require.Equal(t, []int64{1, 2, 3, 4, 5, 6, 7}, seqs)
	position, err := s.MarksPosition(ctx, tenant)
	require.NoError(t, err)
	require.EqualValues(t, 7, position)
}

// markErased: marks go with either one's erasure, and none is made of an erased subject's footage, whoever comes first.
func markErased(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	for i := range 4 {
		gone, stays := fmt.Sprintf("gone-%d", i), fmt.Sprintf("stays-%d", i)
		NewSubject(t, s, tenant, gone)
		NewSubject(t, s, tenant, stays)
		theirs, own := Accept(t, s, tenant, gone).ID, Accept(t, s, tenant, stays).ID
		as := create(t, s, NewPair(s, tenant, own, theirs))
		wall, kept := create(t, s, NewBackground(s, tenant, theirs, 0, "")), create(t, s, NewBackground(s, tenant, own, 0, ""))
		var err error
		together(2, func(n int) {
			if n == 0 {
				if _, err := s.EraseSubject(ctx, tenant, gone, s.Now(), Audit(s, tenant, "subject.erased")); err != nil {
					t.Error(err)
				}
			} else {
				_, err = s.CreateMark(ctx, NewBackground(s, tenant, theirs, 99, ""), Audit(s, tenant, "mark.created"))
			}
		})
		if err != nil {
			require.ErrorIs(t, err, results.ErrErased)
		}
		for _, m := range []results.Mark{as, wall} {
			_, err := s.Mark(ctx, tenant, m.ID)
			require.ErrorIs(t, err, results.ErrNotFound)
		}
		left, err := s.Marks(ctx, tenant, results.MarkFilter{Job: theirs}, results.Page{})
		require.NoError(t, err)
		require.Empty(t, left)
		_, err = s.Mark(ctx, tenant, kept.ID)
		require.NoError(t, err)
		for _, m := range []results.Mark{NewPair(s, tenant, own, theirs), NewBackground(s, tenant, theirs, 0, "")} {
			_, err = s.CreateMark(ctx, m, Audit(s, tenant, "mark.created"))
			require.ErrorIs(t, err, results.ErrErased)
		}
	}
	before, err := s.MarksPosition(ctx, tenant)
	require.NoError(t, err)
	job := Accept(t, s, tenant, "stays-0").ID
	require.Equal(t, before+1, create(t, s, NewBackground(s, tenant, job, 0, "")).Seq, "what was erased gives no position free")
}

func markBound(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	a, b := Accept(t, s, tenant, "e1").ID, Accept(t, s, tenant, "e1").ID
	var last results.Mark
	for i := range results.MaxBackgrounds {
		var err error
		last, err = s.CreateMark(ctx, NewBackground(s, tenant, a, int64(i), ""), results.AuditEntry{})
		require.NoError(t, err)
	}
	more := NewBackground(s, tenant, b, 0, "")
	_, err := s.CreateMark(ctx, more, results.AuditEntry{})
	require.ErrorIs(t, err, results.ErrFull)
	create(t, s, NewPair(s, tenant, b, a))
	create(t, s, NewBackground(s, tenant, b, 0, "store-17"))
	_, err = s.RevokeMark(ctx, tenant, last.ID, "k", s.Now(), results.AuditEntry{})
	require.NoError(t, err)
	create(t, s, more)
	all, err := s.MarksFor(ctx, tenant, b, "", 1<<40)
	require.NoError(t, err)
	require.Len(t, all, results.MaxBackgrounds+1)
}

// markDue: a marked job that is done is due for a comparison after a while, one that was marked before it was done when it has its position.
func markDue(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	a := finished(t, s, tenant, "e1")
	b := finished(t, s, tenant, "e2")
	running := Accept(t, s, tenant, "e3").ID
	Sequenced(t, s)
	rechecks(t, s, tenant) // they did not see each other
	done := create(t, s, NewPair(s, tenant, b, a))
	create(t, s, NewPair(s, tenant, running, b))
	require.Empty(t, rechecks(t, s, tenant), "whoever marked it has time to compare it; the other one is not done")
	itself := func(job string) results.Late {
		return results.Late{Print: results.Print{Job: job}, Jobs: []string{job}}
	}
	require.NoError(t, s.Rechecked(ctx, itself(b)))
	live(t, s, running)
	Sequenced(t, s)
	require.Contains(t, rechecks(t, s, tenant)[running], running)
	_, err := s.RevokeMark(ctx, tenant, done.ID, "k", s.Now(), Audit(s, tenant, "mark.revoked"), Audit(s, tenant, "mark.revoked"))
	require.NoError(t, err)
	require.Empty(t, rechecks(t, s, tenant))
	revoked := slices.DeleteFunc(actions(t, s, tenant), func(a string) bool { return a != "mark.revoked" })
	require.Len(t, revoked, 2, "one for each subject")
}
