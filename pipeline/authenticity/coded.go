package authenticity

import (
	"cmp"
	"math"
	"slices"
	"time"

	"onsite/pipeline/media"
)

// In a stream with pictures between two others (B-frames) the encoder says itself where footage was joined: it searched both neighbours for every
// block, and finds those of a picture before the joint only in the earlier one, those of a picture behind it only in the later one, and much of the
// picture that it codes across the joint nowhere. A person who moves fast leaves most blocks on both sides.
//
// What is asked of a group, in ratios to the groups around it: one picture between is taken from one side (codedSide, codedSides), the share that is
// taken from nowhere is not much less than theirs (codedFresh), and both ratios times that of the movement reach codedLimit. Whatever else makes an
// encoder choose so, such as the rhythm of an earlier encoding, moves nothing: the picture has to move about as much as its surroundings, or more (codedMoves).
const (
	// codedAround is the time, in seconds, on both sides of which other groups are compared, codedOthers how many of them there must be on each side.
	codedAround, codedOthers = 0.8, 2
	// codedSide is the least share of the picture that is taken from one side only, codedSides how many times the largest such share around it is, and
	// codedFresh the same for the share that is taken from nowhere; both are softened by codedSoft and codedFreshSoft.
	codedSide, codedSides, codedSoft = 0.25, 1.15, 0.10
	codedFresh, codedFreshSoft       = 0.8, 0.05
	// codedMoves is how many times larger than the steps around it the step must be, by both measures together; codedLimit is the product of all four that
	// is a jump. Of 150 honest clips none but one reaches 1 (1.41, a man who waves, shaken by hand); of the eleven cuts within one take that it was chosen
	// with, eight reach 2.2 and more, of 22 with other seeds ten.
	codedMoves, codedLimit = 0.95, 1.8
	// codedGoesOn is how many times the step one from a picture earlier to a picture later may be: at a joint it is nearly the same (1.0 to 1.25), in a
	// movement that goes on it is two and three times as much.
	codedGoesOn = 1.5
	// codedMost is how many steps are looked at closely.
	codedMost = 4
)

// Where a person moves as wildly behind the joint as before it, the step is no larger than those around it, and the neighbours of the group that the joint
// is in have pictures taken from one side, too, above all those that only repeat another one. What remains is that the joint leaves a picture between of
// which hardly anything is found on one of the two sides, while all around more of it is (weak); that more of the last picture than of any around it is
// taken from nowhere; and that its packet is the largest. The product of the three ratios must reach weakLimit, and the movement be as much as usual.
const (
	// weakRatio is the least of the first, softened by weakSoft; weakFresh and weakPacket are those of the others, weakMoves that of the movement as in
	// codedMoves, weakLeast the least step in grey levels. Of 178 honest clips the largest product at such a step is 1.54, the largest ratio 1.41; of
	// eleven cuts of a man who swings his head six reach 2.2 and more.
	weakRatio, weakSoft, weakFresh, weakPacket = 1.6, 0.05, 1.05, 1.03
	weakMoves, weakLeast, weakLimit            = 0.55, 1.0, 2.0
)

// group is the pictures of a stream between two of which nothing later is needed to show them, and the second of these.
//
// What the decoder calls earlier and later are the encoder's two lists of pictures: libav says no more of a block. The standard fills them by time, the
// first with earlier and the second with later pictures at its head, but an encoder may order them otherwise. So side does not ask which of the two it
// was, and fresh is of a picture that is shown after all that were decoded before it.
type group struct {
	from, to float64 // seconds: its pictures are shown after from, the last at to
	fresh    float64 // the share of the last one that was taken from no other picture
	side     float64 // the share of the first decoded one between that was taken from one side more than from the other
	weak     float64 // of those between, the least share that was taken from the side from which less was taken
	between  bool    // there is one between, and it was decoded
	bytes    int     // of the last one's packet
}

// groupsOf reads them off the packets' order and the motion track; empty for streams of which the decoder does not say it.
func groupsOf(m *media.Motion, p []media.Packet) []group {
	frames := make(map[time.Duration]*media.MotionFrame, len(m.Frames))
	known := false
	for i := range m.Frames {
		frames[m.Frames[i].PTS] = &m.Frames[i]
		known = known || m.Frames[i].Later > 0
	}
	if !known {
		return nil
	}
	var out []group
	latest := time.Duration(math.MinInt64)
	open, first := false, false // first: the next picture between is the group's first in the order of decoding
	for _, k := range p {
		f := frames[k.PTS]
		if k.PTS <= latest {
			if f != nil && open && f.Earlier|f.Later > 0 {
				g := &out[len(out)-1]
				if first {
					g.side, g.between = math.Abs(float64(f.Earlier)-float64(f.Later))/255, true
				}
				g.weak = min(g.weak, float64(min(f.Earlier, f.Later))/255)
			}
			first = false
			continue
		}
		if f != nil && !k.Key && latest >= 0 {
			out = append(out, group{from: latest.Seconds(), to: k.PTS.Seconds(), fresh: 1 - float64(f.Earlier)/255, weak: 1, bytes: k.Bytes})
			open, first = true, true
		} else {
			open, first = false, false
		}
		latest = k.PTS
	}
	return out
}

// surprise is how many times more of group i than of those around it was taken from one side, and from nowhere; 0: no sign of a joint.
func surpriseOf(g []group, i int) float64 {
	if !g[i].between || g[i].side < codedSide {
		return 0
	}
	side, fresh, before, after := 0.0, 0.0, 0, 0
	for k := range g {
		if d := g[k].to - g[i].to; k != i && math.Abs(d) <= codedAround {
			fresh = math.Max(fresh, g[k].fresh)
			if g[k].between {
				side = math.Max(side, g[k].side)
				if d < 0 {
					before++
				} else {
					after++
				}
			}
		}
	}
	if before < codedOthers || after < codedOthers {
		return 0
	}
	sides, freshes := g[i].side/(side+codedSoft), g[i].fresh/(fresh+codedFreshSoft)
	if sides < codedSides || freshes < codedFresh {
		return 0
	}
	return sides * freshes
}

// weaknessOf is the product of the three ratios of weakLimit for group i; 0: no sign of a joint.
func weaknessOf(g []group, i int) float64 {
	if g[i].weak == 1 {
		return 0
	}
	weak, fresh, bytes, before, after := 1.0, 0.0, 1, 0, 0
	for k := range g {
		if d := g[k].to - g[i].to; k != i && math.Abs(d) <= codedAround {
			weak, fresh, bytes = min(weak, g[k].weak), max(fresh, g[k].fresh), max(bytes, g[k].bytes)
			if d < 0 {
				before++
			} else {
				after++
			}
		}
	}
	weaks, freshes, packets := (weak+weakSoft)/(g[i].weak+weakSoft), g[i].fresh/(fresh+codedFreshSoft), float64(g[i].bytes)/float64(bytes)
	if before < codedOthers || after < codedOthers || weaks < weakRatio || freshes < weakFresh || packets < weakPacket {
		return 0
	}
	return weaks * freshes * min(packets, 1.5)
}

// codedJump gives the clearest joint that the encoder and the picture both tell.
func (s *series) codedJump(b *blockTrack, p []media.Packet) jump {
	type candidate struct {
		i                 int // the step from picture i to the next
		sure, weak, moves float64
	}
	var list []candidate
	groups := groupsOf(b.m, p)
	for k := range groups {
		sure, weak := surpriseOf(groups, k), weaknessOf(groups, k)
		if sure == 0 && weak == 0 {
			continue
		}
		for i := 2; i < s.n()-3; i++ {
			if s.t[i+1] <= groups[k].from+1e-3 || s.t[i] >= groups[k].to-1e-3 || s.gap(i) || s.gap(i-1) {
				continue
			}
			step := s.levelled(i, i+1)
			if wide := s.levelled(i-1, i+2); step < hintLeast || wide < hintStays*step || wide > codedGoesOn*step {
				continue
			}
			around := 0.0
			for o := max(i-jumpAround, 0); o <= min(i+jumpAround, s.n()-2); o++ {
				if o != i {
					around = math.Max(around, s.levelled(o, o+1))
				}
			}
			if step < weakLeast {
				weak = 0
			}
			list = append(list, candidate{i, sure, weak, step / (around + jumpSoft)})
		}
	}
	slices.SortStableFunc(list, func(a, b candidate) int { return cmp.Compare(max(b.sure, b.weak)*b.moves, max(a.sure, a.weak)*a.moves) })
	var best jump
	for _, c := range list[:min(len(list), codedMost)] {
		moves := c.moves * b.ratio(c.i, s.n()-1)
		score := 0.0
		if moves >= codedMoves {
			score = c.sure * moves / codedLimit
		}
		if moves >= weakMoves {
			score = math.Max(score, c.weak/weakLimit)
		}
		if score > best.score {
			best = jump{last: s.t[c.i], at: s.t[c.i+1], score: score}
		}
	}
	return best
}
