package main

import (
	"cmp"
	"slices"
)

// A spot is the step from one picture that others build on to the next whose packet is large beside those around it: where footage was joined, the
// encoder needs more bytes than it needs for what moves on. Which spots there are is decided from the packets alone, so that it costs nothing but
// the pictures of the spots, which the motion track leaves out.
const (
	// spotAroundUS is the time on both sides within which packets are compared, microseconds, spotOthers how many there must be, spotSoft is added to their
	// size in bytes. Of 80 cuts within one take the packet of 58 is among the four most surprising ones of its clip, of 63 among the six.
	spotAroundUS, spotOthers, spotSoft = 800_000, 4, 20
	// spotNear is how many packets on either side are compared at most: of a file whose times are close together only here and there, too.
	spotNear = 64
	// spotBeside is how many pictures before and behind a spot belong to it, spotMost how many steps it may have itself: encoders put three pictures
	// between two that others build on, seldom up to 15.
	spotBeside, spotMost = 3, 16
	// spotStepUS is the least mean time between two pictures: nobody has measured what a step of a clip of 60 pictures a second is worth.
	spotStepUS = 28_000
	// spotLongUS is the length above which a clip has half as many spots: its pictures beside the track cost the most where there are many others.
	spotLongUS = 8_000_000
)

// step is the pictures that are shown after one that others build on, up to the next of these.
type step struct {
	from, to int     // display numbers of both
	bytes    float64 // of the second one's packet
	key      bool
	behind   bool // the first is a complete picture
	ratio    float64
}

// addSpots chooses the count most surprising steps, of a long clip half as many, marks the packets of their pictures and of those beside them, and
// lists the pictures that the motion track does not have.
func (p *plan) addSpots(t timeline, count int, keep []bool) {
	if count < 1 || t.meanGap() < spotStepUS {
		return
	}
	if t.endUS > spotLongUS {
		count = (count + 1) / 2
	}
	steps := t.steps()
	for i := range steps {
		steps[i].ratio = t.surprise(steps, i)
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Compare(b.ratio, a.ratio) })
	track := make(map[int64]bool, len(p.motion))
	for _, at := range p.motion {
		track[at] = true
	}
	wanted := make(map[int]bool)
	for _, s := range steps {
		if s.ratio == 0 || len(p.spots) == count {
			break
		}
		from, to := max(s.from-spotBeside, 0), min(s.to+spotBeside, len(t.at)-1)
		if s.to-s.from > spotMost || !p.covered(t.at[from], t.at[to]) {
			continue
		}
		p.spots = append(p.spots, [2]int64{t.at[s.from], t.at[s.to]})
		for n := from; n <= to; n++ {
			wanted[n] = wanted[n] || !track[t.at[n]]
		}
	}
	var list []int
	for n, at := range t.at {
		if wanted[n] && (n == 0 || at > t.at[n-1]) {
			list = append(list, n)
			p.between = append(p.between, at)
		}
	}
	if len(list) > 0 {
		markNeeded(t, list, keep)
	}
}

// steps lists those of the whole stream, in the order of decoding.
func (t timeline) steps() []step {
	number := make(map[int]int, len(t.shown)) // display number of a packet
	for n, i := range t.shown {
		number[i] = n
	}
	var out []step
	latest, key := -1, false
	for i, packet := range t.packets {
		n, shown := number[i]
		if !shown || n <= latest {
			continue
		}
		if latest >= 0 {
			out = append(out, step{from: latest, to: n, bytes: float64(packet.bytes), key: packet.key, behind: key})
		}
		latest, key = n, packet.key
	}
	return out
}

// surprise is how many times larger than the usual packet around it that of a step is. A complete picture says nothing, and the packet behind one is
// larger in any recording: it is no more than usual.
func (t timeline) surprise(steps []step, i int) float64 {
	if steps[i].key {
		return 0
	}
	var around []float64
	for _, way := range []int{-1, 1} {
		for k := i + way; k >= 0 && k < len(steps) && way*(k-i) <= spotNear && way*int(t.at[steps[k].to]-t.at[steps[i].to]) <= spotAroundUS; k += way {
			if o := steps[k]; !o.key && !o.behind {
				around = append(around, o.bytes)
			}
		}
	}
	if len(around) < spotOthers {
		return 0
	}
	slices.Sort(around)
	ratio := steps[i].bytes / (around[len(around)/2] + spotSoft)
	if steps[i].behind {
		ratio = min(ratio, 1)
	}
	return ratio
}

// covered says that one window of the motion track has all that is shown between two times.
func (p *plan) covered(from, to int64) bool {
	return slices.ContainsFunc(p.windows, func(w [2]int64) bool { return from >= w[0] && to <= w[1] })
}
