package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

var lateCases = []Case{
	{Name: "late footage", Run: late},
	{Name: "late footage that ends while others run", Run: lateRunning},
	{Name: "late footage, compared with the whole tenant", Run: lateTenant},
	{Name: "late footage, to be looked for by its frames", Run: lateAlike},
	{Name: "late footage is taken by one", Run: recheckLease},
	{Name: "no late footage", Run: noneLate},
}

// allLate goes through all late prints and gives a tenant's pairs, and in order those that are to be looked for.
func allLate(t *testing.T, s results.Store, tenant string) (pairs map[string][]string, looks []string) {
	t.Helper()
	pairs = map[string][]string{}
	for {
		some, err := s.Recheck(t.Context(), "worker-1", time.Minute, 50)
		require.NoError(t, err)
		if len(some) == 0 {
			slices.Sort(looks)
			return pairs, looks
		}
		for _, l := range some {
			require.True(t, l.Look || len(l.Jobs) > 0)
			require.NotContains(t, l.Jobs, "")
			if l.Print.Tenant == tenant && len(l.Jobs) > 0 {
				pairs[l.Print.Job] = append(pairs[l.Print.Job], l.Jobs...)
			}
			if l.Print.Tenant == tenant && l.Look {
				looks = append(looks, l.Print.Job)
			}
			require.NoError(t, s.Rechecked(t.Context(), l))
		}
	}
}

func rechecks(t *testing.T, s results.Store, tenant string) map[string][]string {
	t.Helper()
	pairs, _ := allLate(t, s, tenant)
	return pairs
}

func looks(t *testing.T, s results.Store, tenant string) []string {
	t.Helper()
	_, looks := allLate(t, s, tenant)
	return looks
}

// apart begins a job of somebody of its own at a site of its own.
func apart(t *testing.T, s results.Store, tenant string) results.Lease {
	t.Helper()
	subject := NewID()
	return Claim(t, s, Accept(t, s, tenant, subject, func(n *results.NewSubmission) { n.Sub.Site = "of-" + subject }).ID)
}

// late: the first-accepted job finishes last.
func late(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	at := func(site string) func(*results.NewSubmission) {
		return func(n *results.NewSubmission) { n.Sub.Site = site }
	}
	accept := func(subject, site string) string { return Accept(t, s, tenant, subject, at(site)).ID }
	earlier := accept("e1", "s1") // of the same subject and site, but accepted before the late one
	first := Claim(t, s, accept("e1", "s1"))
	subject, site, none, file, inside := accept("e1", "s2"), accept("e2", "s1"), accept("e2", "s2"), accept("e3", ""), accept("e4", "")
	live(t, s, earlier)
	live(t, s, subject)
	live(t, s, site)
	live(t, s, none)
	bytes := func(f *results.Finish) { f.Print.SHA256 = first.Sub.Media.SHA256 }
	live(t, s, file, bytes)
	live(t, s, inside, func(f *results.Finish) { f.Print.Packets = Sum("packets of " + first.Job.ID) })
	live(t, s, Accept(t, s, NewTenant(t, s), "e1", at("s1")).ID, bytes)
	require.Empty(t, rechecks(t, s, tenant))

	Finish(t, s, first)
	Sequenced(t, s)
	p, err := s.Position(ctx, tenant)
	require.NoError(t, err)
	live(t, s, accept("e1", "s1")) // begins now and sees it
	require.Equal(t, map[string][]string{first.Job.ID: {subject, site, file, inside}, earlier: {first.Job.ID}}, rechecks(t, s, tenant),
		"and the late one had begun before the earlier one ended")
	require.Empty(t, rechecks(t, s, tenant), "done")

	// A job that began before but finished after the late print had its position: found when its own comes.
	slow := Claim(t, s, accept("e1", "s9"))
	Finish(t, s, slow, func(f *results.Finish) { f.Print.AsOf = p - 1 })
	Sequenced(t, s)
	got := rechecks(t, s, tenant)
	require.Equal(t, []string{slow.Job.ID}, got[first.Job.ID])
	require.Len(t, got, 2, "and the one that ran at the same time")
}

// lateRunning: of two that run side by side the later-accepted is the one that is compared again, whoever finishes first.
func lateRunning(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	for _, firstEndsFirst := range []bool{true, false} {
		for _, together := range []bool{true, false} {
			subject := NewID()
			asOf, err := s.Position(ctx, tenant)
			require.NoError(t, err)
			began := func(f *results.Finish) { f.Print.AsOf = asOf }
			a, b := Accept(t, s, tenant, subject, func(n *results.NewSubmission) { n.Sub.Site = "" }).ID, ""
			b = Accept(t, s, tenant, subject, func(n *results.NewSubmission) { n.Sub.Site = "" }).ID
			la, lb := Claim(t, s, a), Claim(t, s, b)
			order := []results.Lease{la, lb}
			if !firstEndsFirst {
				order = []results.Lease{lb, la}
			}
			Finish(t, s, order[0], began)
			if !together {
				Sequenced(t, s)
			}
			Finish(t, s, order[1], began)
			Sequenced(t, s)
			require.Equal(t, map[string][]string{a: {b}}, rechecks(t, s, tenant), "first ends first: %v, positions in one batch: %v", firstEndsFirst, together)
		}
	}
}

// lateTenant: a policy that compares with the whole tenant finds the footage of anybody anywhere, also that of a job which ran at the same
// time. What counts is the scope of the later-accepted job.
func lateTenant(t *testing.T, s results.Store) {
	tenant, other := NewTenant(t, s), NewTenant(t, s)
	for _, firstEndsFirst := range []bool{true, false} {
		for _, together := range []bool{true, false} {
			for _, scope := range [][2]string{{"site", "tenant"}, {"tenant", "tenant"}, {"tenant", "site"}, {"tenant", "subject"}, {"tenant", ""}} {
				asOf, err := s.Position(t.Context(), tenant)
				require.NoError(t, err)
				ends := func(l results.Lease, scope string) {
					Finish(t, s, l, func(f *results.Finish) { f.Print.AsOf, f.Print.Scope = asOf, scope })
				}
				a, b, elsewhere := apart(t, s, tenant), apart(t, s, tenant), apart(t, s, other)
				order, scopes := []results.Lease{a, b}, []string{scope[0], scope[1]}
				if !firstEndsFirst {
					slices.Reverse(order)
					slices.Reverse(scopes)
				}
				ends(order[0], scopes[0])
				ends(elsewhere, "tenant")
				if !together {
					Sequenced(t, s)
				}
				ends(order[1], scopes[1])
				Sequenced(t, s)
				want := map[string][]string{}
				if scope[1] == "tenant" {
					want[a.Job.ID] = []string{b.Job.ID}
				}
				require.Equal(t, want, rechecks(t, s, tenant), "scopes %v, first ends first: %v, positions in one batch: %v", scope, firstEndsFirst, together)
			}
		}
	}
}

func recheckLease(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	first := Claim(t, s, Accept(t, s, tenant, "e1").ID)
	var want []string
	for range 3 {
		id := Accept(t, s, tenant, "e1").ID
		live(t, s, id)
		want = append(want, id)
	}
	Finish(t, s, first)
	Sequenced(t, s)
	take := func(lease time.Duration) []results.Late {
		t.Helper()
		some, err := s.Recheck(ctx, "worker-1", lease, 50)
		require.NoError(t, err)
		var own []results.Late
		for _, l := range some {
			if l.Print.Tenant == tenant {
				own = append(own, l)
			}
		}
		return own
	}
	got := take(time.Minute)
	require.Len(t, got, 1)
	require.Equal(t, want, got[0].Jobs)
	require.Equal(t, first.Job.ID, got[0].Print.Job)
	require.Positive(t, got[0].Print.Seq)
	require.Empty(t, take(time.Minute), "taken")
	// Who works with leases like this knows that one of a minute is from a clock that was wrong; and its own lease is over at once.
	const over = -time.Hour
	require.Len(t, take(over), 1)
	got = take(time.Minute)
	require.Len(t, got, 1, "whoever took it died")
	got[0].Jobs = want[:2]
	require.NoError(t, s.Rechecked(ctx, got[0]))
	require.Empty(t, take(time.Minute))
	got = take(over)
	require.Len(t, got, 1)
	require.Equal(t, want[2:], got[0].Jobs)
	require.NoError(t, s.Rechecked(ctx, got[0]))
	require.Empty(t, take(time.Minute))
}

func noneLate(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	first := Claim(t, s, Accept(t, s, tenant, "e1").ID)
	second := Claim(t, s, Accept(t, s, tenant, "e1").ID)
	// Neither a refused job nor one without a fingerprint is compared with.
	require.NoError(t, s.Finish(t.Context(), results.Finish{Job: first.Job.ID, Token: first.Token, State: results.Refused}))
	Finish(t, s, second)
	third := Claim(t, s, Accept(t, s, tenant, "e1").ID)
	Finish(t, s, third, func(f *results.Finish) { f.Print = nil })
	Sequenced(t, s)
	require.Empty(t, rechecks(t, s, tenant))
}

// lateAlike: of two that run side by side, where the later-accepted one's policy has more searched by its frames than its scope, the one that gets its
// position last is looked for. One that saw the other, or whose policy has no more searched, is not.
func lateAlike(t *testing.T, s results.Store) {
	tenant, other := NewTenant(t, s), NewTenant(t, s)
	for _, firstEndsFirst := range []bool{true, false} {
		for _, together := range []bool{true, false} {
			for _, alike := range [][2]string{{"", "tenant"}, {"tenant", "site"}, {"tenant", ""}, {"", ""}} {
				elsewhere := apart(t, s, other)
				asOf, err := s.Position(t.Context(), tenant)
				require.NoError(t, err)
				ends := func(l results.Lease, alike string) {
					Finish(t, s, l, func(f *results.Finish) { f.Print.AsOf, f.Print.Alike = asOf, alike })
				}
				a, b := apart(t, s, tenant), apart(t, s, tenant)
				order, searched := []results.Lease{a, b}, []string{alike[0], alike[1]}
				if !firstEndsFirst {
					slices.Reverse(order)
					slices.Reverse(searched)
				}
				ends(order[0], searched[0])
				ends(elsewhere, "tenant")
				if !together {
					Sequenced(t, s)
				}
				ends(order[1], searched[1])
				Sequenced(t, s)
				say := []any{"searched %v, first ends first: %v, positions in one batch: %v", alike, firstEndsFirst, together}
				first, err := s.Print(t.Context(), tenant, order[0].Job.ID)
				require.NoError(t, err)
				require.Equal(t, searched[0], first.Alike)
				second, err := s.Print(t.Context(), tenant, order[1].Job.ID)
				require.NoError(t, err)
				var want []string
				if alike[1] != "" {
					want = []string{order[1].Job.ID}
					if second.Seq < first.Seq { // positions of one batch are in the order of the jobs
						want = []string{order[0].Job.ID}
					}
				}
				require.Equal(t, want, looks(t, s, tenant), say...)
			}
		}
	}
	require.Empty(t, looks(t, s, other))

	// One after the other: the second one saw the first.
	for range 2 {
		l := apart(t, s, tenant)
		asOf, err := s.Position(t.Context(), tenant)
		require.NoError(t, err)
		Finish(t, s, l, func(f *results.Finish) { f.Print.AsOf, f.Print.Alike = asOf, "tenant" })
		Sequenced(t, s)
	}
	require.Empty(t, looks(t, s, tenant))

	// What is not said to be done comes again, with what is late for other reasons.
	a, b := apart(t, s, tenant), Claim(t, s, Accept(t, s, tenant, "e1").ID)
	c := Claim(t, s, Accept(t, s, tenant, "e1").ID)
	for _, l := range []results.Lease{a, c, b} {
		Finish(t, s, l, func(f *results.Finish) { f.Print.AsOf, f.Print.Alike = 0, "tenant" })
		Sequenced(t, s)
	}
	const over = -time.Hour
	for range 2 {
		got := map[string]results.Late{}
		some, err := s.Recheck(t.Context(), "worker-1", over, 50)
		require.NoError(t, err)
		for _, l := range some {
			if l.Print.Tenant == tenant {
				got[l.Print.Job] = l
			}
		}
		require.True(t, got[b.Job.ID].Look)
		require.Equal(t, []string{c.Job.ID}, got[b.Job.ID].Jobs)
	}
	require.NoError(t, s.Rechecked(t.Context(), results.Late{Print: results.Print{Job: b.Job.ID}, Look: true}))
	require.Equal(t, []string{c.Job.ID}, rechecks(t, s, tenant)[b.Job.ID])
}
