package authenticity

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

// A place where footage was joined: the picture is elsewhere from one picture to the next, and moves neither before nor after as it moved there.
// Two measures must agree, or one be very clear.
const (
	// jumpStep is how many times larger than the largest of the steps around it a step is that is a jump by itself; jumpHint where the cells must
	// say so too. Honest clips: 19 of people at most 2.6 (200 s of one man; the others 1.9), of things 2.5.
	jumpStep, jumpHint = 3.0, 1.4
	// jumpLeast is the least such step, root mean square of the cells in grey levels, light and contrast made equal first.
	jumpLeast = 1.0
	// jumpAround is how many steps before and after are looked at: what moves fast moves for longer than a tenth of a second.
	jumpAround = 4
	// jumpSoft (grey levels) is added to the steps around it: nearly nothing moves, and a first movement is no jump.
	jumpSoft = 0.35
	// jumpStays is the part of the jump that must be left one picture later: a flash or a broken picture goes away again.
	jumpStays = 0.6
	// cellStep and cellLeast are the same for one cell, cellSoft and cellStays too; cellShare is the part of the cells that change at all, and
	// cellAll the part of all cells, that must have jumped.
	cellStep, cellLeast, cellSoft = 2.2, 2.5, 0.5
	cellShare, cellAll            = 0.6, 0.04
)

// Stalls: the picture stands still for a while, and goes on; what a program does that feeds a stream and cannot keep up.
const (
	// stallLeast is the shortest time, in seconds, that counts: a camera that drops two or three pictures is none. stallStep is the largest change
	// of any cell while it stands still, stallGoes how much must change at its end.
	stallLeast, stallStep, stallGoes = 0.38, 0.6, 2.5
	// stallEvery is the time, in seconds, in which an honest recording may have one stall: of 45 honest clips of 5 to 15 s none has one, two recordings
	// of a minute have one each. So many that honest recordings of this length have them in less than one of 20 (stallChance) make a pattern:
	// one in a clip of up to 6 s, two in one of up to 42 s.
	stallEvery, stallChance = 120.0, 0.05
)

// tooMany says that an honest recording of so many seconds hardly ever has so many stalls, as events that do not know of each other (Poisson).
func tooMany(count int, seconds float64) bool {
	rate := seconds / stallEvery
	fewer, term := 0.0, math.Exp(-rate)
	for k := range count {
		fewer += term
		term *= rate / float64(k+1)
	}
	return 1-fewer < stallChance
}

// jump is a place where the picture goes on elsewhere than it was.
type jump struct {
	last  float64 // seconds, of the last picture before it
	at    float64 // seconds, of the first picture behind it
	score float64 // 1 and more: a jump
	spike float64 // how many times larger than the largest around it the packet is that was coded there; 0: not known
}

const (
	// jumpFaint is the score of a jump that counts with a packet spikeLeast times as large as the largest others within spikeAround seconds. Of 60 honest
	// clips none has both: the nearest have 0.81 with 1.2, and 0.94 with 0.95.
	jumpFaint, spikeLeast, spikeAround = 0.85, 1.3, 0.8
	// spikeOthers is how many packets there must be on both sides.
	spikeOthers = 3
)

// spikeAt compares the packet that the first picture after a moment needed with those before and after it. Only pictures that others build on
// count, which are packets in rising order of time: one between two others (a B-frame) is small or large by its place. Complete pictures are
// left out. The packet behind one is larger in any recording, so a step within which there is one says nothing, nor does one whose packet would be
// that behind it: with B-frames the next picture that others build on is often shown later than the step. Encoders whose other packets are not
// alike say nothing either: VP8, VP9 and AV1 put in hidden pictures whenever they like.
func spikeAt(i *media.Info, p []media.Packet, from, to float64) float64 {
	if i.Codec != "h264" && i.Codec != "hevc" {
		return 0
	}
	const tick = 1e-4 // times are rounded
	here, most, before, after := 0, 0, 0, 0
	latest, complete := math.Inf(-1), false // of the last picture that others build on
	for _, k := range p {                   // in the order of decoding
		at := k.PTS.Seconds()
		between, behind := at < latest, complete
		if latest = math.Max(latest, at); !between {
			complete = k.Key
		}
		switch {
		case k.Key && at > from+tick && (here == 0 || at <= to+tick):
			return 0
		case k.Key || between:
		case at <= from+tick:
			if from-at <= spikeAround {
				before++
				most = max(most, k.Bytes)
			}
		case here == 0 || at <= to+tick: // with B-frames the next one that others build on may be shown later
			if behind {
				return 0
			}
			here = max(here, k.Bytes)
		case at-to <= spikeAround:
			after++
			most = max(most, k.Bytes)
		}
	}
	if before < spikeOthers || after < spikeOthers || most == 0 {
		return 0
	}
	return float64(here) / float64(most)
}

const (
	// Where the encoder codes pictures in the order in which they are shown, as phones do, every packet says how far its picture is from the one before,
	// at every single picture. A packet surpriseSpike times as large as the largest around it is a jump where the picture, too, changes by
	// surpriseLeast grey levels, surpriseMore times more than on the calmer side, and surpriseStep times what it changes on the other: somebody who
	// hardly moved is elsewhere and moves. 14 honest recordings coded so reach 1.48, two such cuts of two 1.5 and 1.8.
	surpriseSpike, surpriseLeast, surpriseMore, surpriseStep = 1.7, 2.0, 1.5, 0.5
)

// surprise gives the place of the most surprising packet, score 1, in a stream that is coded in order; score 0: none, or another stream.
func (s *series) surprise(i *media.Info, p []media.Packet) (best jump) {
	if slices.IsSortedFunc(p, func(a, b media.Packet) int { return cmp.Compare(a.PTS, b.PTS) }) {
		for k := 2; k < s.n()-3; k++ {
			step := s.levelled(k, k+1)
			if step < surpriseLeast || s.gap(k) || s.levelled(k-1, k+2) < hintStays*step {
				continue
			}
			before, after := 0.0, 0.0
			for o := 1; o <= jumpAround; o++ {
				before = math.Max(before, s.levelled(max(k-o, 0), max(k-o, 0)+1))
				after = math.Max(after, s.levelled(min(k+o, s.n()-2), min(k+o, s.n()-2)+1))
			}
			if step < surpriseMore*(math.Min(before, after)+jumpSoft) || step < surpriseStep*(math.Max(before, after)+jumpSoft) {
				continue
			}
			if spike := spikeAt(i, p, s.t[k], s.t[k+1]); spike >= surpriseSpike && spike > best.spike {
				best = jump{last: s.t[k], at: s.t[k+1], score: 1, spike: spike}
			}
		}
	}
	return best
}

// largestAround is the largest of the steps around step i, without itself.
func largestAround(steps []float64, i int) float64 {
	around := 0.0
	for k := max(i-jumpAround, 0); k <= min(i+jumpAround, len(steps)-1); k++ {
		if k != i {
			around = math.Max(around, steps[k])
		}
	}
	return around
}

// findJump gives the clearest place where the footage may have been joined; score 0: none. A change of the light alone is none, nor is a gap in
// the pictures' times.
func (s *series) findJump(b *blockTrack) jump {
	n := s.n()
	steps := make([]float64, max(n-1, 0))
	for i := range steps {
		steps[i] = s.levelled(i, i+1)
	}
	var best jump
	var hints []hint
	for i := 2; i < len(steps)-2; i++ {
		if steps[i] < hintLeast || s.gap(i) || s.gap(i-1) {
			continue
		}
		ratio := steps[i] / (largestAround(steps, i) + jumpSoft)
		if ratio >= hintRatio && s.levelled(i-1, i+2) >= hintStays*steps[i] {
			hints = append(hints, hint{i, ratio})
		}
		if steps[i] < jumpLeast || ratio < jumpHint*0.7 || s.levelled(i-1, i+2) < jumpStays*steps[i] {
			continue
		}
		score := ratio / jumpStep
		if share, all := s.cellsJump(i); all > 0 {
			score = math.Max(score, math.Min(ratio/jumpHint, math.Min(share/cellShare, all/cellAll)))
		}
		if score > best.score {
			best = jump{last: s.t[i], at: s.t[i+1], score: score}
		}
	}
	if j := s.blocksJump(b, hints); j.score > best.score {
		best = j
	}
	return best
}

// cellsJump gives the share of the cells that change from picture i to the next, and of all cells, that change far more than at any step around.
func (s *series) cellsJump(i int) (share, all float64) {
	jumped, changed := 0, 0
	last := s.n() - 2
	for c := range s.cells {
		d := s.cell(i, i+1, c)
		if d < cellLeast {
			continue
		}
		changed++
		around := 0.0
		for k := max(i-jumpAround, 0); k <= min(i+jumpAround, last); k++ {
			if k != i {
				around = math.Max(around, s.cell(k, k+1, c))
			}
		}
		if d > cellStep*(around+cellSoft) && s.cell(i-1, i+2, c) > jumpStays*d {
			jumped++
		}
	}
	return float64(jumped) / float64(changed+8), float64(jumped) / float64(max(s.cells, 1))
}

func (s *series) cell(i, j, c int) float64 {
	return math.Abs(float64(s.pix[i*s.cells+c] - s.pix[j*s.cells+c]))
}

// levelled is the root mean square difference of two pictures after the second was given the mean and the contrast of the first.
func (s *series) levelled(i, j int) float64 {
	a, b := s.picture(i), s.picture(j)
	ma, sa := moments(a)
	mb, sb := moments(b)
	k := float32(1)
	if sb > 1e-3 {
		k = sa / sb
	}
	var sum float32
	for c := range a {
		d := a[c] - ma - (b[c]-mb)*k
		sum += d * d
	}
	return math.Sqrt(float64(sum) / float64(len(a)))
}

// moments are mean and standard deviation.
func moments(v []float32) (mean, dev float32) {
	var sum, sq float32
	for _, x := range v {
		sum += x
		sq += x * x
	}
	n := float32(len(v))
	mean = sum / n
	return mean, float32(math.Sqrt(math.Max(float64(sq/n-mean*mean), 0)))
}

// findStalls counts the stalls and gives their time together, in seconds, and the first of them.
func (s *series) findStalls() (count int, time float64, first frozen) {
	steps := make([]float64, max(s.n()-1, 0))
	for i := range steps {
		steps[i] = s.change(i, i+1)
	}
	for i := 0; i < len(steps); {
		j := i
		for j < len(steps) && steps[j] <= stallStep && !s.gap(j) {
			j++
		}
		if held := s.t[j] - s.t[i]; held >= stallLeast && j < len(steps) && steps[j] > stallGoes {
			if count == 0 {
				first = frozen{s.t[i], s.t[j]}
			}
			count++
			time += held
		}
		i = j + 1
	}
	return count, time, first
}

// joined reports a jump and a pattern of stalls. Both are for a person to look at: a phone that is short of breath stalls too.
func (c *checker) joined(s *series) {
	one := 1.0
	b := newBlockTrack(&c.clip.Motion, s.every)
	j := s.findJump(b)
	if o := s.surprise(&c.clip.Info, c.clip.Packets); o.score > j.score {
		j = o
	}
	if o := s.codedJump(b, c.clip.Packets); o.score > j.score {
		j = o
	}
	if o := s.keptJump(b, c.clip.Packets); o.score > j.score {
		j = o
	}
	j.spike = spikeAt(&c.clip.Info, c.clip.Packets, j.last, j.at)
	if j.score >= jumpFaint && j.spike >= spikeLeast { // two witnesses that do not know of each other
		j.score = math.Max(j.score, 1)
	}
	if o := spotJump(&c.clip.Motion, c.clip.Packets); o.score > j.score {
		j = o
	}
	if j.score >= 0.5 {
		c.out.Detail["jump"] = map[string]any{"at_ms": ms(j.at), "score": round(math.Min(j.score, 99)), "packet": round(j.spike)}
		c.suspect(math.Min(j.score, 1.3) * 0.75)
		if j.score >= 1 {
			ev := span("segment", math.Max(j.at-0.5, s.t[0]), math.Min(j.at+0.5, s.t[s.n()-1]))
			score := math.Min(j.score, 99)
			ev.Score, ev.Threshold = &score, &one
			c.add(pipeline.Finding{
				Code: pipeline.StreamAltered, Outcome: pipeline.Uncertain, Evidence: append([]pipeline.Evidence{ev}, c.beside(j.last, j.at)...),
				Args: map[string]string{
					"signs_en": fmt.Sprintf("the picture jumps at %s s, as where two parts are joined", seconds(j.at)),
					"signs_zh": fmt.Sprintf("画面在 %s 秒处跳变，像是拼接", seconds(j.at)),
				},
			})
		}
	}
	count, time, first := s.findStalls()
	if count == 0 {
		return
	}
	c.out.Detail["stalls"] = map[string]any{"count": count, "ms": ms(time)}
	if !tooMany(count, s.dur()) {
		return
	}
	ev := span("segment", first.from, first.to)
	c.suspect(0.75)
	c.add(pipeline.Finding{
		Code: pipeline.StreamAltered, Outcome: pipeline.Uncertain, Evidence: append([]pipeline.Evidence{ev}, c.beside(first.from, first.to)...),
		Args: map[string]string{
			"signs_en": fmt.Sprintf("the picture stops and goes on (times: %d, first at %s s)", count, seconds(first.from)),
			"signs_zh": fmt.Sprintf("画面停顿后继续，共 %d 次，首次在 %s 秒", count, seconds(first.from)),
		},
	})
}
