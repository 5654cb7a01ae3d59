package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// withSpots gives the plans of a stream without and with spots.
func withSpots(list []packet, count int) (without, with plan) {
	req := planRequest()
	without = makePlan(newTimeline(list), req, 1)
	req.Spots = count
	return without, makePlan(newTimeline(list), req, 1)
}

func TestEveryPictureWhereAPacketSurprises(t *testing.T) {
	list := stream(450, 150, 2)
	at := 0
	for i, p := range list {
		if !p.droppable && !p.key && p.ptsUS > 6_000_000 && at == 0 {
			at = i
		}
	}
	list[at].bytes = 300
	without, with := withSpots(list, 1)
	require.Empty(t, without.spots)
	require.Empty(t, without.between)
	require.Len(t, with.spots, 1)
	require.Equal(t, list[at].ptsUS, with.spots[0][1])
	require.InDelta(t, 100_000, with.spots[0][1]-with.spots[0][0], 2, "from the picture that it builds on")

	require.Equal(t, without.motion, with.motion, "the track stays what it is")
	require.Equal(t, without.stills, with.stills)
	have := map[int64]bool{}
	for _, us := range append(with.motion, with.between...) {
		require.False(t, have[us], "no picture twice")
		have[us] = true
	}
	pictures := 0
	for _, p := range list {
		if p.ptsUS >= with.spots[0][0]-3*33_400 && p.ptsUS <= with.spots[0][1]+3*33_400 {
			require.True(t, have[p.ptsUS], "the picture at %d us", p.ptsUS)
			pictures++
		}
	}
	require.Equal(t, 10, pictures, "three before it, its own four, three behind it")
	require.Equal(t, count(without, skip)-len(with.between), count(with, skip), "nothing else is decoded")
}

func TestSpotsInTheOrderOfSurprise(t *testing.T) {
	list := stream(240, 240, 0) // as phones code
	for at, bytes := range map[int]int{50: 200, 120: 400, 200: 300} {
		list[at].bytes = bytes
	}
	without, with := withSpots(list, 2)
	require.Equal(t, [][2]int64{{list[119].ptsUS, list[120].ptsUS}, {list[199].ptsUS, list[200].ptsUS}}, with.spots)
	require.Equal(t, without.action, with.action, "every picture is decoded anyway")
}

func TestALongClipHasHalfTheSpots(t *testing.T) {
	for frames, want := range map[int]int{239: 4, 240: 4, 241: 2, 450: 2} { // 30 a second
		list := stream(frames, frames, 0)
		for _, at := range []int{30, 60, 90, 120, 150, 180} {
			list[at].bytes = 300
		}
		_, p := withSpots(list, 4)
		require.Len(t, p.spots, want, "%d pictures", frames)
	}
}

func TestNoSpots(t *testing.T) {
	few := stream(4, 30, 0)
	fast := stream(300, 60, 0)
	for i := range fast {
		fast[i].ptsUS /= 2
	}
	for name, list := range map[string][]packet{"no pictures": nil, "too few to compare": few, "60 pictures a second": fast, "complete pictures only": stream(300, 1, 0)} {
		_, p := withSpots(list, 4)
		require.Empty(t, p.spots, name)
		require.Empty(t, p.between, name)
	}
}

func TestAPacketBehindACompletePictureIsNoSurprise(t *testing.T) {
	list := stream(300, 60, 0)
	list[61].bytes, list[100].bytes = 900, 150
	_, p := withSpots(list, 1)
	require.Equal(t, list[100].ptsUS, p.spots[0][1])
}

func TestSpotsWithinTheWindowsOnly(t *testing.T) {
	req := planRequest()
	req.Spots, req.Limits.BudgetPixels = 3, 90
	list := stream(900, 60, 0)
	list[200].bytes = 900 // between the first window and the second
	p := makePlan(newTimeline(list), req, 1)
	require.NotEmpty(t, p.spots)
	for _, s := range p.spots {
		require.True(t, p.covered(s[0], s[1]))
		require.NotEqual(t, list[200].ptsUS, s[1])
	}
}
