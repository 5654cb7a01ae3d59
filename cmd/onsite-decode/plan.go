package main

import (
	"math"
	"slices"
	"sort"

	"onsite/pipeline/media/wire"
)

// What to do with a packet; the same numbers as in decode.h.
const (
	skip    = 0
	decode  = 1
	restart = 2
	rough   = 3
)

// motionSide is the longer side of motion frames in pixels.
const motionSide = 160

// maxGapUS is the largest gap between two motion frames that keeps 10 frames per second, with a rounding millisecond.
const maxGapUS = 101_000

// plan says which packets are decoded and which of the pictures are given out. It is computed from the packets' facts alone, before
// anything is decoded, so that equal packets give equal plans.
type plan struct {
	action  []byte
	stills  []int64 // microseconds from the clip's start, rising
	motion  []int64
	burst   []int64    // the motion frames that are given out in colour too
	between []int64    // motion frames beside the track: those of the spots
	spots   [][2]int64 // from one picture that others build on to the next
	windows [][2]int64
	startUS int64
	reorder int // how many pictures wait for one that comes later in the stream

	orientation                                      int
	stillW, stillH, motionW, motionH, burstW, burstH int // before orientation
	fullW, fullH                                     int // display orientation, square pixels, before scaling
	maxStills                                        int
}

// timeline is the packets in the order in which they are shown.
type timeline struct {
	packets []packet
	shown   []int   // indexes into packets, by time, hidden ones left out
	at      []int64 // their times from the clip's start, microseconds
	startUS int64
	endUS   int64 // end of the last picture, from the clip's start
	reorder int
	fresh   []bool // per packet: decoding may begin there, and nothing shown before it comes later in the stream
}

func newTimeline(list []packet) timeline {
	t := timeline{packets: list, fresh: make([]bool, len(list))}
	earliest := int64(math.MaxInt64) // of what comes later
	for i, p := range slices.Backward(list) {
		t.fresh[i] = p.fresh && earliest > p.ptsUS
		earliest = min(earliest, p.ptsUS)
	}
	for i, p := range list {
		if !p.hidden {
			t.shown = append(t.shown, i)
		}
	}
	sort.SliceStable(t.shown, func(a, b int) bool { return list[t.shown[a]].ptsUS < list[t.shown[b]].ptsUS })
	if len(t.shown) == 0 {
		return t
	}
	t.startUS = list[t.shown[0]].ptsUS
	t.at = make([]int64, len(t.shown))
	for n, i := range t.shown {
		t.at[n] = list[i].ptsUS - t.startUS
		// A picture is held back by all that come before it in the stream and after it on the screen.
		t.reorder = max(t.reorder, earlierButLater(list, t.shown, n))
	}
	t.endUS = t.at[len(t.at)-1] + t.meanGap()
	return t
}

// earlierButLater counts the pictures shown after number n that come before it in the stream; at most 16, as many as any codec holds.
func earlierButLater(list []packet, shown []int, n int) int {
	count := 0
	for m := n + 1; m < len(shown) && m <= n+16; m++ {
		if shown[m] < shown[n] && list[shown[m]].ptsUS > list[shown[n]].ptsUS {
			count++
		}
	}
	return count
}

// meanGap is the mean time between two pictures, microseconds; 0 for a single one.
func (t timeline) meanGap() int64 {
	if len(t.at) < 2 {
		return 0
	}
	return (t.at[len(t.at)-1] - t.at[0]) / int64(len(t.at)-1)
}

// makePlan chooses packets. pixels is the coded size of one picture.
func makePlan(t timeline, req wire.Request, pixels int64) plan {
	p := plan{action: make([]byte, len(t.packets)), startUS: t.startUS, reorder: t.reorder, maxStills: req.MaxStills}
	if len(t.shown) == 0 {
		return p
	}
	keep := make([]bool, len(t.packets)) // motion windows
	if req.Motion {
		for _, w := range motionWindows(t, req, pixels) {
			p.addWindow(t, w, keep)
		}
		p.addSpots(t, req.Spots, keep)
		p.burst = burstTimes(p.motion, p.windows, req.Bursts, req.BurstMS*1000)
	}
	count := req.MaxStills
	for {
		wanted := stillTimes(t, req.StillEveryMS*1000, count)
		need := stillPackets(t, wanted)
		if cost := extra(need, keep) * pixels; cost <= req.Limits.BudgetPixels || count <= 8 {
			p.stills = wanted
			for i := range keep {
				keep[i] = keep[i] || need[i]
			}
			break
		}
		count = count * 2 / 3
	}
	gap := true
	for i := range keep {
		switch {
		case !keep[i]:
			// Left-out packets that nothing refers to are no gap; others are, and decoding goes on at a key packet.
			gap = gap || !t.packets[i].droppable
		case gap && t.packets[i].key:
			p.action[i], gap = restart, false
		default:
			p.action[i], gap = decode, false
		}
	}
	p.spareFilter(t)
	return p
}

// spareFilter marks the packets whose pictures only the motion track wants, and none that is wanted in colour refers to: those behind the last
// packet of a colour picture in every part of the stream that is decodable by itself, and droppable ones. The filter that smooths the edges of
// blocks (8 or 16 pixels wide) takes a sixth of the time of decoding and is next to nothing to the means of cells as large as that: the
// track's cells move by less than a tenth of a grey level in the mean of a clip, in single frames by up to 0.7. Where the child finds a cut it adds
// a still that no plan knew of, which may be of a picture without the filter.
func (p *plan) spareFilter(t timeline) {
	colour := make([]bool, len(t.packets))
	for _, times := range [][]int64{p.stills, p.burst} {
		for _, at := range times {
			n, _ := slices.BinarySearch(t.at, at)
			colour[t.shown[n]] = true
		}
	}
	needed := false // the packet at hand, by one of its part
	for i, packet := range slices.Backward(t.packets) {
		needed = needed || colour[i]
		if p.action[i] == decode && !colour[i] && (!needed || packet.droppable) {
			p.action[i] = rough
		}
		if t.fresh[i] {
			needed = false
		}
	}
}

func extra(need, have []bool) int64 {
	var n int64
	for i := range need {
		if need[i] && !have[i] {
			n++
		}
	}
	return n
}

// motionWindows are ranges of display numbers: everything when it fits into the budget, else three windows of a third each.
func motionWindows(t timeline, req wire.Request, pixels int64) [][2]int {
	n := len(t.shown)
	fits := int(req.Limits.BudgetPixels / max(pixels, 1))
	if n <= fits {
		return [][2]int{{0, n}}
	}
	part := max(fits/3, 2)
	var out [][2]int
	for k := range 3 {
		from := (n - part) * k / 2
		from = keyBefore(t, from, part/3) // decoding starts at a key picture anyway
		to := min(from+part, n)
		if len(out) > 0 && from < out[len(out)-1][1] {
			out[len(out)-1][1] = max(to, out[len(out)-1][1])
			continue
		}
		out = append(out, [2]int{from, to})
	}
	return out
}

// minBurstGapUS is the least time between two frames of a burst: 10 a second, or what the motion track has up to 13.
const minBurstGapUS = 75_000

// burstTimes chooses, of the motion frames, those of count bursts of the given length: one in the middle of each of count equal parts of the
// time that the windows cover. They cost no decoding, only another conversion. Bursts that would touch are one.
func burstTimes(motion []int64, windows [][2]int64, count int, length int64) []int64 {
	covered := int64(0)
	for _, w := range windows {
		covered += w[1] - w[0]
	}
	if count < 1 || length < 1 {
		return nil
	}
	part := covered / int64(count)
	length = min(length, part)
	var out []int64
	before, w := int64(0), 0 // covered time before window w
	last := int64(-minBurstGapUS)
	for _, at := range motion {
		for w+1 < len(windows) && at >= windows[w+1][0] {
			before += windows[w][1] - windows[w][0]
			w++
		}
		in := before + at - windows[w][0]
		k := min(in/max(part, 1), int64(count-1))
		from := k*part + (part-length)/2
		if in >= from && in <= from+length && at-last >= minBurstGapUS {
			out = append(out, at)
			last = at
		}
	}
	return out
}

// keyBefore moves a display number back to the key picture before it, if that is at most far pictures away.
func keyBefore(t timeline, n, far int) int {
	for m := n; m >= 0 && m >= n-far; m-- {
		if t.packets[t.shown[m]].key {
			return m
		}
	}
	return n
}

// addWindow chooses the motion frames of a window, without droppable pictures as long as the gaps stay small, and marks the packets that
// they need.
func (p *plan) addWindow(t timeline, w [2]int, keep []bool) {
	var list []int // display numbers of what may be given out
	lastKept := int64(-1)
	for n := w[0]; n < w[1]; n++ {
		if t.packets[t.shown[n]].droppable && lastKept >= 0 && n+1 < w[1] && t.at[n+1]-lastKept <= maxGapUS {
			continue
		}
		lastKept = t.at[n]
		list = append(list, n)
	}
	if len(list) == 0 {
		return
	}
	wanted := list[:0]
	last := int64(-1)
	for i, n := range list {
		// A frame is given out when waiting for the next would make the gap too large.
		if at := t.at[n]; last < 0 || at > last && (i+1 == len(list) || t.at[list[i+1]]-last > maxGapUS) {
			p.motion = append(p.motion, at)
			last = at
			wanted = append(wanted, n)
		}
	}
	markNeeded(t, wanted, keep)
	to := last
	if w[1] == len(t.shown) {
		to = t.endUS
	}
	p.windows = append(p.windows, [2]int64{t.at[wanted[0]], to})
}

// markNeeded adds the packets of pictures, given by their display numbers, and what these may refer to: in every part of the stream that is
// decodable by itself, all but droppable packets up to the last wanted one. What comes after it in its part is left out: of 30 pictures
// between two keys of a phone's clip, the last two.
func markNeeded(t timeline, shown []int, keep []bool) {
	first := len(t.packets)
	wanted := make([]bool, len(t.packets))
	for _, n := range shown {
		i := t.shown[n]
		wanted[i], keep[i] = true, true
		first = min(first, i)
	}
	for first > 0 && !t.packets[first].key {
		first--
	}
	needed := false // the packet at hand, by a later one of its part
	for i := len(t.packets) - 1; i >= first; i-- {
		needed = needed || wanted[i]
		if needed && !t.packets[i].droppable {
			keep[i] = true
		}
		if t.fresh[i] {
			needed = false
		}
	}
}

// stillTimes spreads at most count stills over the clip: one per slot of every (or more) microseconds, the slot's first key picture if it
// has one, else its first picture.
func stillTimes(t timeline, every int64, count int) []int64 {
	every = max(every, 1)
	if count > 0 && t.endUS > every*int64(count) {
		every = (t.endUS + int64(count) - 1) / int64(count)
	}
	var out []int64
	slot, best, bestKey := int64(-1), int64(0), false
	flush := func() {
		if slot >= 0 && (len(out) == 0 || out[len(out)-1] < best) && len(out) < count {
			out = append(out, best)
		}
	}
	for n, i := range t.shown {
		s := t.at[n] / every
		if s != slot {
			flush()
			slot, best, bestKey = s, t.at[n], t.packets[i].key
		} else if !bestKey && t.packets[i].key {
			best, bestKey = t.at[n], true
		}
	}
	flush()
	return out
}

// stillPackets marks the packets to decode for the stills: from the key packet before each to the packet itself.
func stillPackets(t timeline, times []int64) []bool {
	need := make([]bool, len(t.packets))
	for _, at := range times {
		n, _ := slices.BinarySearch(t.at, at)
		i := t.shown[n]
		need[i] = true
		for j := i; j >= 0; j-- {
			if !t.packets[j].droppable {
				need[j] = true
			}
			if t.packets[j].key {
				break
			}
		}
	}
	return need
}
