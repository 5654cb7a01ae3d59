package storetest

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

func ends(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	wants, all := NewEndpoint(t, s, tenant, results.EventVerdictCreated, results.EventJobDead), NewEndpoint(t, s, tenant)
	NewEndpoint(t, s, tenant, results.EventJobDead)
	off := NewEndpoint(t, s, tenant)
	require.NoError(t, s.DisableEndpoint(ctx, tenant, off.ID, "admin", s.Now()))
	NewEndpoint(t, s, NewTenant(t, s))
	id := Accept(t, s, tenant, "e1").ID
	l := Claim(t, s, id)
	f := Ending(s, l)
	f.Media = &results.Media{Key: tenant + "/e1/" + NewID(), SHA256: Sum("copied"), Bytes: 4711}
	f.Keep = append(f.Keep, f.Media.Key)
	f.Verdict.Subject, f.Verdict.Tenant = "somebody else", "elsewhere" // whose it is says the job
	require.NoError(t, s.Pend(ctx, f.Keep))

	stale := f
	stale.Token--
	nothing := func() {
		t.Helper()
		for _, read := range []func() error{
			func() error { _, err := s.Verdict(ctx, tenant, id, 0); return err },
			func() error { _, err := s.Print(ctx, tenant, id); return err },
		} {
			require.ErrorIs(t, read(), results.ErrNotFound)
		}
		e, err := s.Evidence(ctx, tenant, id)
		require.NoError(t, err)
		require.Empty(t, e)
		d, err := s.Deliveries(ctx, tenant, "", results.Page{})
		require.NoError(t, err)
		require.Empty(t, d)
		require.NotContains(t, actions(t, s, tenant), "verdict.created")
		left, err := s.Orphans(ctx, s.Now().Add(time.Hour), 500)
		require.NoError(t, err)
		require.Subset(t, left, f.Keep)
	}
	require.ErrorIs(t, s.Finish(ctx, stale), results.ErrStale)
	nothing()

	require.NoError(t, s.Finish(ctx, f))
	v, err := s.Verdict(ctx, tenant, id, 0)
	require.NoError(t, err)
	want := *f.Verdict
	want.Subject, want.Tenant = "e1", tenant
	require.Equal(t, want, v)
	e, err := s.Evidence(ctx, tenant, id)
	require.NoError(t, err)
	require.Equal(t, f.Evidence, e)
	p, err := s.Print(ctx, tenant, id)
	require.NoError(t, err)
	require.Equal(t, *f.Print, p)
	sub, err := s.Submission(ctx, id)
	require.NoError(t, err)
	f.Media.Name = l.Sub.Media.Name
	require.Equal(t, *f.Media, sub.Media)
	d, err := s.Deliveries(ctx, tenant, "", results.Page{})
	require.NoError(t, err)
	require.Len(t, d, 2, "for the endpoints that are on and want it")
	to := []string{d[0].Endpoint, d[1].Endpoint}
	require.ElementsMatch(t, []string{wants.ID, all.ID}, to)
	for _, one := range d {
		require.Equal(t, f.Message, one.Message)
		require.Equal(t, f.Payload, one.Payload)
		require.Equal(t, f.Event, one.Type)
		require.Equal(t, id, one.Job)
		require.Equal(t, results.Pending, one.State)
	}
	require.Contains(t, actions(t, s, tenant), "verdict.created")
	left, err := s.Orphans(ctx, s.Now().Add(time.Hour), 500)
	require.NoError(t, err)
	for _, key := range f.Keep {
		require.NotContains(t, left, key)
	}
	gone, err := s.Expire(ctx, s.Now().Add(91*24*time.Hour), 500)
	require.NoError(t, err)
	require.Contains(t, gone, f.Media.Key, "deadlines were written")
	require.ErrorIs(t, s.Finish(ctx, f), results.ErrStale, "once")
}

func endMany(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	NewEndpoint(t, s, tenant)
	var list []results.Finish
	for range 6 {
		list = append(list, Ending(s, Claim(t, s, Accept(t, s, tenant, "e1").ID)))
	}
	list[1].Token--
	list[2].State, list[2].Verdict, list[2].Print, list[2].Evidence, list[2].Error = results.Refused, nil, nil, nil, &modelMissing
	list[2].Event = results.EventJobRefused
	list[4] = results.Finish{Job: NewID(), Token: 1, State: results.Refused}
	errs := s.FinishMany(ctx, list)
	for i, err := range errs {
		if i == 1 || i == 4 {
			require.ErrorIs(t, err, results.ErrStale)
		} else {
			require.NoError(t, err)
		}
	}
	for i, state := range []results.JobState{results.Done, results.Running, results.Refused, results.Done} {
		require.Equal(t, state, Read(t, s, list[i].Job).State)
	}
	require.Equal(t, &modelMissing, Read(t, s, list[2].Job).Error)
	d, err := s.Deliveries(ctx, tenant, "", results.Page{})
	require.NoError(t, err)
	require.Len(t, d, 4)

	// One that the database refuses (a keyframe twice) must not spoil the others, and leaves nothing behind.
	list = nil
	for range 4 {
		list = append(list, Ending(s, Claim(t, s, Accept(t, s, tenant, "e1").ID)))
	}
	list[1].Evidence = append(list[1].Evidence, list[1].Evidence[0])
	list[3].Token--
	errs = s.FinishMany(ctx, list)
	require.NoError(t, errs[0])
	require.Error(t, errs[1])
	require.NotErrorIs(t, errs[1], results.ErrStale)
	require.NoError(t, errs[2])
	require.ErrorIs(t, errs[3], results.ErrStale)
	require.Equal(t, results.Running, Read(t, s, list[1].Job).State)
	_, err = s.Verdict(ctx, tenant, list[1].Job, 0)
	require.ErrorIs(t, err, results.ErrNotFound)
	list[1].Evidence = list[1].Evidence[:1]
	require.NoError(t, s.Finish(ctx, list[1]))

	// The same end twice in one group is one end.
	f := Ending(s, Claim(t, s, Accept(t, s, tenant, "e1").ID))
	errs = s.FinishMany(ctx, []results.Finish{f, f})
	ok := slices.IndexFunc(errs, func(err error) bool { return err == nil })
	require.NotEqual(t, -1, ok)
	require.ErrorIs(t, errs[1-ok], results.ErrStale)
	require.Empty(t, s.FinishMany(ctx, nil))
}

func endsWrong(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	l := Claim(t, s, Accept(t, s, tenant, "e1").ID)
	for name, wrong := range map[string]func(*results.Finish){
		"not an end":                      func(f *results.Finish) { f.State = results.Accepted },
		"done without a verdict":          func(f *results.Finish) { f.Verdict = nil },
		"refused with a verdict":          func(f *results.Finish) { f.State = results.Refused },
		"dead with a fingerprint":         func(f *results.Finish) { f.State, f.Verdict, f.Evidence = results.Dead, nil, nil },
		"an event without its message id": func(f *results.Finish) { f.Message = "" },
	} {
		f := Ending(s, l)
		wrong(&f)
		require.Error(t, s.Finish(t.Context(), f), name)
		require.Equal(t, l.Job, Read(t, s, l.Job.ID), name)
	}
}

// endsRace: a worker that was thought dead comes back while another runs the job, both with others in their groups.
func endsRace(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	const n = 12
	var old, fresh []results.Finish
	for range n {
		j := Queue(t, s, Accept(t, s, tenant, "e1").ID)
		l, err := s.Claim(ctx, j.ID, j.Attempt, "slow", time.Millisecond, time.Minute)
		require.NoError(t, err)
		old = append(old, Ending(s, l))
	}
	require.Eventually(t, func() bool {
		_, err := s.Reclaim(ctx, time.Hour, 5)
		require.NoError(t, err)
		return Read(t, s, old[n-1].Job).State == results.Accepted
	}, 5*time.Second, time.Millisecond)
	for _, f := range old {
		fresh = append(fresh, Ending(s, Claim(t, s, f.Job)))
	}
	slices.Reverse(fresh)
	var won atomic.Int32
	together(4, func(i int) {
		list := fresh
		if i%2 == 1 {
			list = old
		}
		for _, err := range s.FinishMany(ctx, list) {
			if err == nil {
				won.Add(1)
			} else {
				require.ErrorIs(t, err, results.ErrStale)
			}
		}
	})
	require.EqualValues(t, n, won.Load())
	for _, f := range fresh {
		require.Equal(t, results.Done, Read(t, s, f.Job).State)
		all, err := s.VerdictRevisions(ctx, tenant, f.Job)
		require.NoError(t, err)
		require.Len(t, all, 1)
	}
}

// endsErased: whoever of the two comes first, nothing biometric is left.
func endsErased(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	for range 10 {
		subject := NewID()
		NewSubject(t, s, tenant, subject)
		f := Ending(s, Claim(t, s, Accept(t, s, tenant, subject).ID))
		together(2, func(i int) {
			if i == 0 {
				_, err := s.EraseSubject(ctx, tenant, subject, s.Now(), Audit(s, tenant, "subject.erased"))
				require.NoError(t, err)
			} else if err := s.Finish(ctx, f); err != nil {
				require.ErrorIs(t, err, results.ErrStale)
			}
		})
		_, err := s.Print(ctx, tenant, f.Job)
		require.ErrorIs(t, err, results.ErrNotFound)
		e, err := s.Evidence(ctx, tenant, f.Job)
		require.NoError(t, err)
		require.Empty(t, e)
		require.Contains(t, []results.JobState{results.Done, results.Refused}, Read(t, s, f.Job).State)
	}
}
