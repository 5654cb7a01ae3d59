package copies

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline/bench/attack"
	"onsite/pipeline/reuse"
)

// made is a suite of n families: each has two copies (crop found at 0.9, blur at 0.4), a look-alike at hard and a stranger at easy.
func made(n int, hard, easy float64) []Row {
	var rows []Row
	for i := range n {
		f := fmt.Sprintf("f%02d", i)
		next := fmt.Sprintf("f%02d", (i+1)%n)
		add := func(same bool, transform, other string, score float64) {
			r := Row{Same: same, Transform: transform, Family: f, Other: other, Verdict: reuse.Different}
			r.Scores[Recording] = score
			if score >= 0.5 {
				r.Verdict = reuse.Same
			} else if score >= 0.35 {
				r.Verdict = reuse.CannotTell
			}
			rows = append(rows, r)
		}
		add(true, "crop", f, 0.9)
		add(true, "blur", f, 0.4)
		add(false, attack.Later, f, hard)
		add(false, attack.OtherScene, next, easy)
	}
	return rows
}

func pointers(rows []Row) []*Row {
	out := make([]*Row, len(rows))
	for i := range rows {
		out[i] = &rows[i]
	}
	return out
}

func TestHeldOut(t *testing.T) {
	rows := made(8, 0.6, 0.1)
	all := func(*Row) bool { return true }
	strangers := func(r *Row) bool { return !r.hard() }
	h := heldOut(pointers(rows), rows, Recording, 1, 5, keepOut(Recording, all))
	require.Equal(t, 10, h.Runs)
	require.InDelta(t, 0.5, h.Recall, 1e-9) // crop alone is above the look-alikes
	require.Equal(t, map[string]float64{"crop": 1, "blur": 0}, h.ByTag)
	require.Zero(t, *h.Lookalikes.Rate)
	require.InDelta(t, 0.6, h.Threshold[1], 1e-9)

	h = heldOut(pointers(rows), rows, Recording, 1, 5, keepOut(Recording, strangers))
	require.InDelta(t, 1, h.Recall, 1e-9)
	require.InDelta(t, 1, *h.Lookalikes.Rate, 1e-9) // what keeps strangers out lets every look-alike in
	require.Zero(t, *h.Strangers.Rate)
	require.Positive(t, h.Strangers.N)
	require.Less(t, h.Strangers.N, 10*8) // pairs that cross the halves belong to neither

	// A look-alike in one family, higher than all others: false exactly where that family is not the one that chose.
	rows[2].Scores[Recording] = 0.95
	h = heldOut(pointers(rows), rows, Recording, 1, 5, keepOut(Recording, all))
	require.InDelta(t, 0.25, h.Recall, 1e-9) // crop is found in the runs that did not see it
	require.InDelta(t, 5.0/40, *h.Lookalikes.Rate, 1e-9)
	require.Equal(t, [2]int{5, 40}, [2]int{h.Lookalikes.Hits, h.Lookalikes.N})
	require.Zero(t, h.Lookalikes.CI95[0])                // eight families, and one of them makes all of it:
	require.InDelta(t, 3.0/8, h.Lookalikes.CI95[1], 0.2) // how many runs there were makes the interval no narrower
	require.InDelta(t, 0.25, *h.WorstHard, 1e-9)

	require.Nil(t, heldOut(nil, rows, PDQ, 1, 5, keepOut(PDQ, all)))
	same := made(3, 0, 0)[:1]
	require.Nil(t, heldOut(pointers(same), same, Recording, 1, 5, keepOut(Recording, all)), "no honest pair, no threshold")
}

func TestKeepIn(t *testing.T) {
	var rows []*Row
	for i := range 40 {
		r := &Row{}
		r.Same, r.Scores[Recording] = true, float64(i)
		rows = append(rows, r, &Row{})
	}
	at, ok := keepIn(Recording)(rows)
	require.True(t, ok)
	require.InDelta(t, 2, at, 1e-9, "two of forty are below it")
	_, ok = keepIn(Recording)([]*Row{{}})
	require.False(t, ok, "no copy, no threshold")
}

// Both halves have look-alikes when two families have; every family is in one half.
func TestHalves(t *testing.T) {
	rows := made(7, 0, 0)
	for i := range rows { // only two families keep theirs
		if rows[i].hard() && rows[i].Family > "f01" {
			rows[i].Transform = attack.OtherScene
		}
	}
	different := false
	first := halves(rows, 1, 0)
	for split := range 10 {
		h := halves(rows, 1, split)
		require.Len(t, h, 7)
		require.NotEqual(t, h["f00"], h["f01"])
		n := 0
		for _, in := range h {
			n += one(in)
		}
		require.Contains(t, []int{3, 4}, n)
		require.Equal(t, h, halves(rows, 1, split))
		for f := range h {
			different = different || h[f] != first[f]
		}
	}
	require.True(t, different)
}

// The interval is as wide as families differ, not as pairs do.
func TestCount(t *testing.T) {
	var rows []*Row
	for i := range 100 { // ten families of ten pairs; five families are found wholly, five not at all
		rows = append(rows, &Row{Family: fmt.Sprint(i / 10), Same: i < 50})
	}
	s := count(rows, 1, func(r *Row) bool { return r.Same })
	require.Equal(t, 50, s.Hits)
	require.InDelta(t, 0.5, *s.Rate, 1e-9)
	require.InDelta(t, 0.2, s.CI95[0], 0.05) // binomial over 10 families; over 100 pairs it would be 0.4
	require.InDelta(t, 0.8, s.CI95[1], 0.05)
	require.Equal(t, s, count(rows, 1, func(r *Row) bool { return r.Same }))
	none := count(rows, 1, func(*Row) bool { return false })
	require.InDelta(t, 0.259, none.CI95[1], 0.001, "ten families without a false call prove no more")
	require.Zero(t, none.CI95[0])
	require.InDelta(t, 0.741, count(rows, 1, func(*Row) bool { return true }).CI95[0], 0.001)
	require.Nil(t, count(rows[:10], 1, func(*Row) bool { return true }).CI95)
	require.Nil(t, count(nil, 1, nil).Rate)
}

func TestCurve(t *testing.T) {
	var rows []*Row
	for _, x := range []struct {
		same  bool
		score float64
	}{{true, 0.9}, {true, 0.5}, {false, 0.7}, {false, 0.2}} {
		r := &Row{Same: x.same}
		r.Scores[PDQ] = x.score
		rows = append(rows, r)
	}
	var got [][2]float64
	for _, p := range curve(rows, PDQ, func(*Row) bool { return true }) {
		got = append(got, [2]float64{p.False, p.Recall})
	}
	require.Equal(t, [][2]float64{{0, 0.5}, {0.5, 0.5}, {1, 1}}, got)
	require.Nil(t, curve(rows[:2], PDQ, func(*Row) bool { return true }))
}

func TestSummary(t *testing.T) {
	rows := made(4, 0.6, 0.1)
	p := summarise(rows, nil, Options{Seed: 1, Splits: 3, Config: reuse.DefaultConfig()}, false)
	require.Equal(t, []int{8, 4, 4}, []int{p.Same, p.Hard, p.Easy})
	require.InDelta(t, 0.5, *p.Recording.Recall.Rate, 1e-9)
	require.Equal(t, 4, p.Recording.Hard.Hits)
	require.Zero(t, p.Recording.Easy.Hits)
	require.InDelta(t, 0.5, *p.Asked.Rate, 1e-9)
	require.Len(t, p.Kinds, 2)
	require.Equal(t, "blur", p.Kinds[0].Transform)
	require.Equal(t, 4, p.Kinds[0].CannotTell.Hits)
	require.InDelta(t, 1, *p.Kinds[1].HeldOut, 1e-9)
	relations := func(p *Part) (names []string) {
		for _, h := range p.Honest {
			names = append(names, fmt.Sprint(h.Relation, " ", h.CannotTell.Hits+h.Reused.Hits, " of ", h.Reused.N))
		}
		return names
	}
	require.Equal(t, []string{"later 4 of 4", "other_scene 0 of 4", "all look-alikes 4 of 4"}, relations(p))
	require.Len(t, p.HonestFamilies, 4)
	for i := range rows {
		if rows[i].hard() && rows[i].Family == "f01" {
			rows[i].Transform, rows[i].Verdict = attack.Soon, reuse.CannotTell
		}
	}
	p = summarise(rows, nil, Options{Seed: 1, Splits: 3, Config: reuse.DefaultConfig()}, false)
	require.Equal(t, []string{"soon 1 of 1", "later 3 of 3", "other_scene 0 of 4", "all look-alikes 4 of 4", "... without soon 3 of 3"}, relations(p))
	require.Nil(t, summarise(rows, nil, Options{}, true))
}
