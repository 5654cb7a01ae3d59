package storetest

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

var frameCases = []Case{
	{Name: "by job and by position", Run: frameLists},
	{Name: "in scope", Run: frameScopes},
	{Name: "in a group", Run: frameGroup},
	{Name: "gone with the print", Alone: true, Run: framesGone},
	{Name: "only with a print", Run: framesAlone},
}

// hashes are made-up frame hashes, with every bit of a word in use.
func hashes(n uint64) []results.FrameHash {
	return []results.FrameHash{{AtMS: 0, Hash: [4]uint64{n, 1 << 63, 3, ^n}}, {AtMS: math.MaxUint32, Hash: [4]uint64{n + 1, 0, math.MaxUint64, 7}}}
}

func withFrames(n uint64) func(*results.Finish) {
	return func(f *results.Finish) { f.Frames = hashes(n) }
}

func jobsOf(all []results.JobFrames) (jobs []string) {
	for _, f := range all {
		jobs = append(jobs, f.Job)
	}
	return jobs
}

func frameLists(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	early := Accept(t, s, tenant, "e1").ID
	second := finished(t, s, tenant, "e1", withFrames(2))
	without := finished(t, s, tenant, "e1")
	third := finished(t, s, tenant, "e2", withFrames(3))
	none, err := s.Frames(ctx, tenant, results.FrameFilter{UpTo: math.MaxInt64}, 10)
	require.NoError(t, err)
	require.Empty(t, none, "they have no position yet")
	Sequenced(t, s)
	live(t, s, early, withFrames(1)) // accepted first, finished last

	all, err := s.Frames(ctx, tenant, results.FrameFilter{UpTo: math.MaxInt64}, 10)
	require.NoError(t, err)
	require.Equal(t, []string{early, second, third}, jobsOf(all))
	require.NotContains(t, jobsOf(all), without)
	require.Equal(t, hashes(2), all[1].Frames)
	p, err := s.Print(ctx, tenant, second)
	require.NoError(t, err)
	require.Equal(t, results.JobFrames{Job: second, Subject: "e1", Site: p.Site, Seq: p.Seq, Frames: hashes(2)}, all[1])

	part, err := s.Frames(ctx, tenant, results.FrameFilter{UpTo: math.MaxInt64, After: early}, 1)
	require.NoError(t, err)
	require.Equal(t, []string{second}, jobsOf(part))
	part, err = s.Frames(ctx, tenant, results.FrameFilter{UpTo: math.MaxInt64, From: second, Before: third}, 10)
	require.NoError(t, err)
	require.Equal(t, []string{second}, jobsOf(part))
	part, err = s.Frames(ctx, tenant, results.FrameFilter{UpTo: all[0].Seq - 1}, 10)
	require.NoError(t, err)
	require.Equal(t, []string{second, third}, jobsOf(part), "the late one came at a later position")
	part, err = s.Frames(ctx, tenant, results.FrameFilter{Since: all[0].Seq - 1, UpTo: math.MaxInt64}, 10)
	require.NoError(t, err)
	require.Equal(t, []string{early}, jobsOf(part))

	feed, err := s.NewFrames(ctx, tenant, 0, 10)
	require.NoError(t, err)
	require.Equal(t, []string{second, third, early}, jobsOf(feed))
	feed, err = s.NewFrames(ctx, tenant, feed[0].Seq, 1)
	require.NoError(t, err)
	require.Equal(t, []string{third}, jobsOf(feed))

	position, err := s.Position(ctx, tenant)
	require.NoError(t, err)
	positions, err := s.Positions(ctx)
	require.NoError(t, err)
	require.Equal(t, position, positions[tenant])
}

func frameScopes(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	mine := finished(t, s, tenant, "e1", withFrames(1))
	theirs := finished(t, s, tenant, "e2", withFrames(2))
	Sequenced(t, s)
	p, err := s.Print(t.Context(), tenant, mine)
	require.NoError(t, err)
	for _, c := range []struct {
		subject, site string
		want          []string
	}{{"e1", "", []string{mine}}, {"nobody", "", nil}, {"", p.Site, []string{mine, theirs}}, {"e2", "elsewhere", []string{theirs}}, {"", "", []string{mine, theirs}}} {
		got, err := s.Frames(t.Context(), tenant, results.FrameFilter{UpTo: math.MaxInt64, Subject: c.subject, Site: c.site}, 10)
		require.NoError(t, err)
		require.Equal(t, c.want, jobsOf(got), "%q %q", c.subject, c.site)
	}
}

// frameGroup ends several jobs in one transaction; a stale one writes nothing.
func frameGroup(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	var group []results.Finish
	var want []string
	for i := range 3 {
		id := Accept(t, s, tenant, "e1").ID
		f := Ending(s, Claim(t, s, id))
		if i != 1 {
			f.Frames = hashes(uint64(i))
			want = append(want, id)
		}
		group = append(group, f)
	}
	stale := Ending(s, Claim(t, s, Accept(t, s, tenant, "e1").ID))
	stale.Frames = hashes(9)
	stale.Token++
	errs := s.FinishMany(t.Context(), append(group, stale))
	require.NoError(t, errs[0])
	require.NoError(t, errs[1])
	require.NoError(t, errs[2])
	require.ErrorIs(t, errs[3], results.ErrStale)
	Sequenced(t, s)
	got, err := s.Frames(t.Context(), tenant, results.FrameFilter{UpTo: math.MaxInt64}, 10)
	require.NoError(t, err)
	require.Equal(t, want, jobsOf(got))
	require.Equal(t, hashes(2), got[1].Frames)
}

func framesGone(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	NewSubject(t, s, tenant, "e1")
	NewSubject(t, s, tenant, "e2")
	due := func(f *results.Finish) {
		f.Deadline = []results.Deadline{{Tenant: tenant, Subject: "e2", Kind: results.DeadlinePrint, Job: f.Job, Due: s.Now().Add(24 * time.Hour)}}
	}
	erased := finished(t, s, tenant, "e1", withFrames(1))
	expired := finished(t, s, tenant, "e2", withFrames(2), due)
	stays := finished(t, s, tenant, "e2", withFrames(3))
	Sequenced(t, s)
	began := s.Now().Add(-time.Second)
	left := func() []string {
		t.Helper()
		all, err := s.Frames(ctx, tenant, results.FrameFilter{UpTo: math.MaxInt64}, 10)
		require.NoError(t, err)
		return jobsOf(all)
	}
	gone := func(after results.FramesGone) (jobs []string) {
		t.Helper()
		all, err := s.FramesGone(ctx, after, 10)
		require.NoError(t, err)
		for _, g := range all {
			require.Equal(t, tenant, g.Tenant)
			require.WithinDuration(t, s.Now(), g.At, time.Minute)
			jobs = append(jobs, g.Job)
		}
		return jobs
	}
	require.Equal(t, []string{erased, expired, stays}, left())
	require.Empty(t, gone(results.FramesGone{}))

	_, err := s.EraseSubject(ctx, tenant, "e1", s.Now(), Audit(s, tenant, "subject.erased"))
	require.NoError(t, err)
	require.Equal(t, []string{expired, stays}, left())
	require.Equal(t, []string{erased}, gone(results.FramesGone{At: began}))
	feed, err := s.NewFrames(ctx, tenant, 0, 10)
	require.NoError(t, err)
	require.Equal(t, []string{expired, stays}, jobsOf(feed))

	_, err = s.Expire(ctx, s.Now().Add(48*time.Hour), 10)
	require.NoError(t, err)
	require.Equal(t, []string{stays}, left())
	all := gone(results.FramesGone{At: began})
	require.ElementsMatch(t, []string{erased, expired}, all)
	first, err := s.FramesGone(ctx, results.FramesGone{}, 1)
	require.NoError(t, err)
	require.Equal(t, all[1:], gone(first[0]), "the next page")

	_, err = s.Expire(ctx, s.Now().Add(9*24*time.Hour), 10)
	require.NoError(t, err)
	require.Empty(t, gone(results.FramesGone{}), "after some days nobody asks any more")
}

func framesAlone(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	f := Ending(s, Claim(t, s, Accept(t, s, tenant, "e1").ID))
	f.Print, f.Frames = nil, hashes(1)
	require.ErrorContains(t, s.Finish(t.Context(), f), "fingerprint")
}
