package main

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline/media/wire"
)

func planRequest() wire.Request {
	return wire.Request{Motion: true, StillEveryMS: 1000, MaxStills: 60, Limits: wire.Limits{BudgetPixels: 1 << 40}}
}

// stream makes n packets, 30 pictures a second, a key packet every gop, and between references the given number of droppable ones that come
// after the reference in the stream and before it on the screen.
func stream(n, gop, between int) []packet {
	var out []packet
	at := func(i int) int64 { return int64(i) * 1_000_000 / 30 }
	for i := 0; i < n; i++ {
		if i%gop == 0 || between == 0 {
			out = append(out, packet{ptsUS: at(i), bytes: 100, key: i%gop == 0})
			continue
		}
		last := min(i+between, n-1, i-i%gop+gop-1)
		out = append(out, packet{ptsUS: at(last), bytes: 100})
		for ; i < last; i++ {
			out = append(out, packet{ptsUS: at(i), bytes: 50, droppable: true})
		}
	}
	return out
}

func count(p plan, action byte) (n int) {
	for _, a := range p.action {
		if a == action {
			n++
		}
	}
	return n
}

func TestPlanLeavesOutWhatNobodyNeeds(t *testing.T) {
	list := stream(300, 60, 2)
	p := makePlan(newTimeline(list), planRequest(), 1)
	for i, a := range p.action {
		if !list[i].droppable {
			require.NotEqual(t, byte(skip), a, "packet %d is needed by others", i)
		}
	}
	require.Greater(t, count(p, skip), 150, "two of three pictures are droppable, and a third of 30 a second is enough")
	require.Len(t, p.stills, 10)
	require.Len(t, p.windows, 1)
	require.Equal(t, int64(0), p.windows[0][0])
	require.InDelta(t, 10_000_000, p.windows[0][1], 1)
	for i := 1; i < len(p.motion); i++ {
		require.LessOrEqual(t, p.motion[i]-p.motion[i-1], int64(maxGapUS))
	}
}

func TestPlanOfALongClip(t *testing.T) {
	req := planRequest()
	req.Limits.BudgetPixels = 900
	list := stream(9000, 60, 0)
	p := makePlan(newTimeline(list), req, 1)
	require.Len(t, p.windows, 3)
	require.Len(t, p.stills, 60)
	require.LessOrEqual(t, len(list)-count(p, skip), 2*900)
	for i, a := range p.action {
		if a == restart {
			require.True(t, list[i].key, "decoding goes on at packet %d, no key packet", i)
		}
	}
	for i := 1; i < len(p.stills); i++ {
		require.InDelta(t, 5_000_000, p.stills[i]-p.stills[i-1], 4_100_000)
	}
}

func TestPlansOfAnything(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		list := make([]packet, r.IntN(200))
		for i := range list {
			list[i] = packet{ptsUS: r.Int64N(20_000_000) - 5_000_000, key: r.IntN(10) == 0, fresh: r.IntN(2) == 0, droppable: r.IntN(3) == 0, hidden: r.IntN(8) == 0}
		}
		req := planRequest()
		req.MaxStills, req.Motion, req.Limits.BudgetPixels = 1+r.IntN(30), r.IntN(2) == 0, 1+r.Int64N(300)
		req.Bursts, req.BurstMS, req.Spots = r.IntN(5), r.Int64N(9000), r.IntN(6)
		line := newTimeline(list)
		p := makePlan(line, req, 1)
		require.Len(t, p.action, len(list))
		require.LessOrEqual(t, len(p.stills), req.MaxStills)
		require.LessOrEqual(t, line.reorder, 16)
		require.IsIncreasing(t, append([]int64{-1}, p.stills...))
		require.IsIncreasing(t, append([]int64{-1}, p.motion...))
		require.IsIncreasing(t, append([]int64{-1}, p.burst...))
		require.LessOrEqual(t, int64(len(p.burst)), int64(req.Bursts)*(req.BurstMS*14/1000+2), "the parent takes no more: burstRate and burstMargin in pipeline/media")
		require.LessOrEqual(t, int64(len(p.motion)), 20*line.endUS/1_000_000+64, "the parent takes no more: motionRate and motionMargin in pipeline/media")
		require.IsIncreasing(t, append([]int64{-1}, p.between...))
		require.LessOrEqual(t, len(p.between), req.Spots*24, "the parent takes no more: spotFrames in pipeline/media")
		require.LessOrEqual(t, len(p.spots), req.Spots)
		if len(line.shown) > 0 {
			require.NotEmpty(t, p.stills)
		}
	}
}

func TestBursts(t *testing.T) {
	req := planRequest()
	req.Bursts, req.BurstMS = 3, 1000
	bursts := func(n, gop, between int) [][]int64 {
		p := makePlan(newTimeline(stream(n, gop, between)), req, 1)
		require.Subset(t, p.motion, p.burst, "bursts cost no decoding")
		var out [][]int64
		for i, at := range p.burst {
			if i == 0 || at-p.burst[i-1] > 400_000 {
				out = append(out, nil)
			} else {
				require.GreaterOrEqual(t, at-p.burst[i-1], int64(minBurstGapUS))
			}
			out[len(out)-1] = append(out[len(out)-1], at)
		}
		return out
	}
	for _, between := range []int{0, 2, 3} {
		got := bursts(450, 60, between) // 15 s
		require.Len(t, got, 3)
		for k, b := range got {
			require.InDelta(t, 10, len(b), 2.5)
			require.InDelta(t, 2_500_000+5_000_000*int64(k), (b[0]+b[len(b)-1])/2, 120_000, "in the middle of each third")
		}
	}
	require.Len(t, bursts(60, 30, 0), 1, "a clip of 2 s is one burst")
	require.Empty(t, bursts(0, 30, 0))
	req.Limits.BudgetPixels = 900
	got := bursts(9000, 60, 0) // 5 minutes in three windows
	require.Len(t, got, 3)
	require.Less(t, got[0][0], int64(10_000_000))
	require.Greater(t, got[2][0], int64(290_000_000))
	req.Bursts, req.BurstMS, req.Limits.BudgetPixels = 1, 60_000, 1<<40
	require.InDelta(t, 150, len(bursts(450, 60, 0)[0]), 1, "one burst as long as the clip covers it")
	req.Bursts = 0
	require.Empty(t, bursts(450, 60, 0))
}

func TestMotionFramesPerSecond(t *testing.T) {
	for rate := int64(1); rate <= 240; rate++ {
		list := make([]packet, 10*rate)
		for i := range list {
			list[i] = packet{ptsUS: int64(i) * 1_000_000 / rate, key: i%30 == 0}
		}
		require.LessOrEqual(t, len(makePlan(newTimeline(list), planRequest(), 1).motion), 10*20+2, "%d pictures a second", rate)
	}
}

func TestCheckPackets(t *testing.T) {
	bad := func(n, corrupt int) []packet {
		list := make([]packet, n)
		for i := range corrupt {
			list[i*n/corrupt].corrupt = true
		}
		return list
	}
	require.NoError(t, checkPackets(nil))
	require.NoError(t, checkPackets(bad(10, 2)), "single lost packets do no harm")
	require.NoError(t, checkPackets(bad(100, 5)))
	err := checkPackets(bad(100, 6))
	require.Equal(t, refusal{Rule: "media_truncated", Value: "6/100"}, err)
}

func TestReorder(t *testing.T) {
	require.Zero(t, newTimeline(stream(60, 30, 0)).reorder)
	require.Equal(t, 1, newTimeline(stream(60, 30, 3)).reorder)
}

// fresh makes the keys of a stream what a decoder may begin with.
func fresh(list []packet) []packet {
	for i := range list {
		list[i].fresh = list[i].key
	}
	return list
}

func TestPlanLeavesOutTheEndOfAGroup(t *testing.T) {
	list := fresh(stream(450, 30, 0)) // a phone: a key a second, every picture refers to the one before
	p := makePlan(newTimeline(list), planRequest(), 1)
	plain := makePlan(newTimeline(stream(450, 30, 0)), planRequest(), 1)
	require.Equal(t, plain.motion, p.motion, "no motion frame is lost")
	require.Equal(t, 14*2, count(p, skip), "of every group but the last, the two after its last motion frame")
	require.Equal(t, 15, count(p, restart))
	require.Zero(t, count(plain, skip), "where keys do not say that decoding may begin there, everything is decoded")
}

func TestPlanKeepsWhatAnOpenGroupRefersTo(t *testing.T) {
	list := fresh(stream(90, 30, 0))
	list[31].ptsUS, list[30].ptsUS = list[30].ptsUS, list[31].ptsUS // shown before the key, so it may need the group before
	p := makePlan(newTimeline(list), planRequest(), 1)
	require.Equal(t, byte(decode), p.action[29])
	require.Equal(t, byte(skip), p.action[59])
}

func TestPlanFiltersOnlyWhatIsSeenInColour(t *testing.T) {
	list := stream(300, 30, 0) // a phone's clip: every picture refers to the one before
	for i := range list {
		list[i].fresh = list[i].key
	}
	req := planRequest()
	req.Bursts, req.BurstMS = 1, 500
	tl := newTimeline(list)
	p := makePlan(tl, req, 1)
	require.NotEmpty(t, p.burst)
	colour := map[int64]bool{}
	for _, at := range append(append([]int64{}, p.stills...), p.burst...) {
		colour[at] = true
	}
	for part := 0; part < len(list); part += 30 {
		last := part
		for i := part; i < part+30; i++ {
			if colour[tl.at[i]] {
				last = i
			}
		}
		for i := part; i < part+30; i++ {
			if i <= last {
				require.NotEqual(t, byte(rough), p.action[i], "packet %d is seen in colour, or what is refers to it", i)
			} else {
				require.Contains(t, []byte{rough, skip}, p.action[i], "packet %d", i)
			}
		}
	}
	require.Greater(t, count(p, rough), 200)

	list = stream(300, 60, 2) // decoding never begins anew: what comes after the last colour picture may do without, and droppable pictures
	p = makePlan(newTimeline(list), req, 1)
	for i, a := range p.action {
		if a == rough && !list[i].droppable {
			require.Greater(t, list[i].ptsUS, p.stills[len(p.stills)-1])
		}
	}
	require.Positive(t, count(p, rough))
}
