package authenticity

import (
	"math"

	"onsite/pipeline/media"
)

// At a joint everything that is seen of a person is elsewhere at once, by little where somebody sits calmly, and stays there. So each block of the picture
// is asked for the part of its change that lasts: what changes from one picture to the next, multiplied point by point with what changes from the two
// pictures before to the two behind. Noise has no part in it, since it is another one in every picture, and what moves on or swings back little.
// Of a movement some blocks lie above what they show at the steps around; at a joint most of those that change at all do, and do so together.
const (
	// keptLeast is the change in grey levels from which on a block counts, here or at one of the steps around; keptSoft is added to both when they are
	// compared. keptTimes and keptOver say how far above the steps around it a block must be to have jumped.
	keptLeast, keptSoft = 0.7, 0.4
	keptTimes, keptOver = 1.4, 0.3
	// keptOthers is added to the number of blocks: few that change say little.
	keptOthers = 3
	// keptStep is the least step, keptSteps the least that a step times its ratio to those around it may be, grey levels. The step from a picture earlier to
	// a picture later must be between keptBack and keptGoesOn times as large: at a joint it is nearly the same. keptRatio is the least ratio to the steps
	// around it, of the picture and of what no movement explains; keptLate how many usual steps it may last: where a picture is missing, more has moved.
	keptStep, keptSteps, keptBack, keptGoesOn, keptRatio, keptLate = 0.6, 0.9, 0.8, 1.3, 0.5, 1.6
	// keptBelow is added to the mean logarithm of the blocks' ratios, keptMost is the largest ratio that counts. keptLimit is the share of the blocks that
	// jumped, times that mean, times the geometric mean of both ratios of the step, that is a jump. Of 220 honest clips the largest is
	// 0.07; of 30 cuts that no other sign found ten reach 0.3 to 1.
	keptBelow, keptMost, keptLimit = 0.2, 4.0, 0.2
)

// keptJump gives the clearest step after which most of what changed stays as it is. A step within which there is a complete picture says nothing: all
// blocks are coded anew there, and stay so.
func (s *series) keptJump(b *blockTrack, p []media.Packet) jump {
	var best jump
	steps := make([]float64, max(s.n()-1, 0))
	for i := range steps {
		steps[i] = s.levelled(i, i+1)
	}
	for i := 2; i < len(steps)-2; i++ {
		if steps[i] < keptStep || s.t[i+1]-s.t[i] > keptLate*s.step || s.gap(i-1) {
			continue
		}
		if wide := s.levelled(i-1, i+2); wide < keptBack*steps[i] || wide > keptGoesOn*steps[i] {
			continue
		}
		ratio := steps[i] / (largestAround(steps, i) + jumpSoft)
		if ratio < keptRatio || steps[i]*ratio < keptSteps || completeWithin(p, s.t[i], s.t[i+1]) {
			continue
		}
		share, more := b.kept(i, len(steps))
		if most := share * (more + keptBelow) * keptMost; most <= best.score*keptLimit {
			continue // however large the ratios
		}
		blocks := b.ratio(i, len(steps))
		if blocks < keptRatio {
			continue
		}
		score := share * (more + keptBelow) * math.Sqrt(min(ratio, keptMost)*min(blocks, keptMost)) / keptLimit
		if score > best.score {
			best = jump{last: s.t[i], at: s.t[i+1], score: score}
		}
	}
	return best
}

// completeWithin says that a complete picture is shown after from and not after to, in seconds.
func completeWithin(p []media.Packet, from, to float64) bool {
	const tick = 1e-4 // times are rounded
	for _, k := range p {
		if at := k.PTS.Seconds(); k.Key && at > from+tick && at <= to+tick {
			return true
		}
	}
	return false
}

// kept gives, of the blocks that change for good at step i or at one around it, the share that does so far more at i, and the mean logarithm of how many
// times more. n is the number of steps.
func (b *blockTrack) kept(i, n int) (share, more float64) {
	here := b.lasting(i, n)
	around := make([]float64, len(here))
	for k := max(i-jumpAround, 0); k <= min(i+jumpAround, n-1); k++ {
		if k == i {
			continue
		}
		for c, v := range b.lasting(k, n) {
			around[c] = math.Max(around[c], v)
		}
	}
	jumped, changed := 0, 0
	for c, v := range here {
		if v <= keptLeast && around[c] <= keptLeast {
			continue
		}
		changed++
		more += math.Log((v + keptSoft) / (around[c] + keptSoft))
		if v > keptTimes*(around[c]+keptOver) {
			jumped++
		}
	}
	all := float64(changed + keptOthers)
	return float64(jumped) / all, more / all
}

// lasting is how much each block changes for good from picture i to the next, grey levels.
func (b *blockTrack) lasting(i, n int) []float64 {
	if v := b.keeps[i]; v != nil {
		return v
	}
	const points = blockSide * blockSide
	before, earlier, last := b.picture(max(i-1, 0)), b.picture(max(i-2, 0)), b.picture(i)
	next, after, later := b.picture(i+1), b.picture(min(i+2, n)), b.picture(min(i+3, n))
	w, h := b.m.W/2, b.m.H/2
	out := []float64{}
	for y := 0; y+blockSide <= h; y += blockSide {
		for x := 0; x+blockSide <= w; x += blockSide {
			product, step, wide := 0, 0, 0
			for r := range blockSide {
				o := (y+r)*w + x
				p, q := last[o:][:blockSide], next[o:][:blockSide]
				a0, a1, c0, c1 := before[o:][:blockSide], earlier[o:][:blockSide], after[o:][:blockSide], later[o:][:blockSide]
				for k := range p {
					d := int(q[k]) - int(p[k])
					e := int(c0[k]) + int(c1[k]) - int(a0[k]) - int(a1[k])
					product += d * e
					step += d
					wide += e
				}
			}
			v := (float64(product) - float64(step)*float64(wide)/points) / (2 * points) // without what the light changed
			out = append(out, math.Sqrt(math.Max(v, 0)))
		}
	}
	b.keeps[i] = out
	return out
}
