package authenticity

import (
	"cmp"
	"math"
	"slices"
	"time"

	"onsite/pipeline/media"
)

// Where the packets surprise, every picture is there, not only every second or third: from one to the next a person moves less, a joint is as large as
// ever. So much less is asked of the picture there, and all that is asked of it counts together.
//
// The score is the sum of spotSteps times the logarithm of how many times larger the step is than those around it, spotPackets times that of how many times
// larger the packet is, spotBlocks times the share of the blocks of which no movement explains what is left (block.go) and spotKept times that of those
// which changed for good (kept.go), by spotLimit. The weights are those of a logistic regression on 80 cuts and 157 honest clips of nine people and four
// scenes; those that are fitted without a person find his cuts as well. Of these honest clips and 44 of cameras that stall, with
// four spots each, the largest reaches 0.89; with eight in short clips, 5 of 300 more files reach 1, four of them one clip with strong noise.
const (
	spotSteps, spotPackets, spotBlocks, spotKept, spotLimit = 1.9, 0.75, 2.75, 1.85, 2.3
	// spotRatio, spotPacket and spotShare are the largest ratios and shares that count.
	spotRatio, spotPacket, spotShare = 5.0, 2.5, 0.8
	// spotPacketLeast is the least that a packet counts.
	spotPacketLeast = 0.6
	// spotLeast is the least step, grey levels. The step from a picture earlier to a picture later must be between spotBack and spotGoesOn times as large:
	// what moves on has moved further.
	spotLeast, spotBack, spotGoesOn = 0.4, 0.8, 1.2
	// spotTold is the score from which on anything is said of a spot.
	spotTold = 0.5
	// spotStill is the step, grey levels, up to which a picture only repeats the one before.
	spotStill = 0.15
	// spotBeside is how many pictures before and behind the spot are looked at: the decoder gives so many.
	spotBeside = 3
	// spotSoft is added to the packets around, bytes.
	spotSoft = 20
)

// spotJump gives the clearest joint within the spots.
func spotJump(m *media.Motion, p []media.Packet) (best jump) {
	if len(m.Spots) == 0 {
		return jump{}
	}
	all := append(slices.Clone(m.Frames), m.Between...)
	slices.SortFunc(all, func(a, b media.MotionFrame) int { return shownAt(a, b.PTS) })
	for _, spot := range m.Spots {
		from, _ := slices.BinarySearchFunc(all, spot.From, shownAt)
		to, _ := slices.BinarySearchFunc(all, spot.To, shownAt)
		if to >= len(all) || from >= to {
			continue
		}
		first := max(from-spotBeside, 0)
		near := media.Motion{W: m.W, H: m.H, Frames: all[first:min(to+spotBeside+1, len(all))]}
		j := withoutRepeats(&near).spotJump(&near, spot, packetOver(p, spot), max(best.score, spotTold))
		if j.score > best.score {
			best = j
		}
	}
	return best
}

func shownAt(f media.MotionFrame, at time.Duration) int { return cmp.Compare(f.PTS, at) }

// withoutRepeats leaves out of m the pictures that only repeat the one before, and gives the series of the others. A slow camera in a fast stream repeats
// every second picture, a busy phone one picture some times over, and what is next has moved for as long: the step to it lasts as long, too.
func withoutRepeats(m *media.Motion) *series {
	s := newSeries(m)
	kept, last := m.Frames[:1:1], 0
	for i := 1; i < s.n(); i++ {
		if s.levelled(last, i) > spotStill {
			kept, last = append(kept, m.Frames[i]), i
		}
	}
	if len(kept) == s.n() {
		return s
	}
	m.Frames = kept
	return newSeries(m)
}

// spotJump gives the clearest joint within a spot, in a series that has every picture of it. packet is how many times larger than those around it the
// packet is; what cannot exceed least is not looked at closely.
func (s *series) spotJump(m *media.Motion, spot media.Window, packet, least float64) (best jump) {
	if s.n() < 2 {
		return jump{}
	}
	b := newBlockTrack(m, s.every)
	steps := make([]float64, s.n()-1)
	for i := range steps {
		steps[i] = s.levelled(i, i+1)
	}
	for i := 2; i < len(steps)-2; i++ {
		if s.t[i+1] <= spot.From.Seconds() || s.t[i] >= spot.To.Seconds() {
			continue
		}
		wide := s.levelled(i-1, i+2) / (steps[i] + 0.1)
		if steps[i] < spotLeast || wide < spotBack || wide > spotGoesOn || s.t[i+1]-s.t[i] > keptLate*s.step {
			continue
		}
		sum := spotSteps*math.Log(min(steps[i]/(largestAround(steps, i)+jumpSoft), spotRatio)) + spotPackets*math.Log(min(packet, spotPacket))
		if sum+(spotBlocks+spotKept)*spotShare <= least*spotLimit {
			continue
		}
		kept, _ := b.kept(i, len(steps))
		sum += spotBlocks*min(b.share(i, len(steps)), spotShare) + spotKept*min(kept, spotShare)
		if score := sum / spotLimit; score > least {
			best, least = jump{last: s.t[i], at: s.t[i+1], score: score, spike: packet}, score
		}
	}
	return best
}

// packetOver is how many times larger than the largest around it the packet of a spot's last picture is, of those that others build on. As in the choice
// of spots, complete pictures are no measure, nor those behind them, which are larger in any recording.
func packetOver(p []media.Packet, spot media.Window) float64 {
	here, most, before := 0, 0, false
	latest, key := time.Duration(math.MinInt64), false // of the last picture that others build on
	for _, k := range p {
		if k.PTS <= latest {
			continue
		}
		behind := key
		latest, key = k.PTS, k.Key
		switch far := (k.PTS - spot.To).Seconds(); {
		case far == 0:
			here, before = k.Bytes, behind
		case !k.Key && !behind && math.Abs(far) <= spikeAround:
			most = max(most, k.Bytes)
		}
	}
	over := float64(here) / float64(most+spotSoft)
	if before {
		over = min(over, 1)
	}
	return max(over, spotPacketLeast)
}
