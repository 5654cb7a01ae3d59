package authenticity

import (
	"math"
	"slices"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

const (
	// cutRatio is how many times more than around it the picture must change at a cut, and cutLevel how much at least, grey levels (root mean
	// square after the brightness was evened out). The 15 honest clips that it was looked at with reach 2.1 times, at 2.9 levels.
	cutRatio, cutLevel = 3.0, 4.0
	// calmRatio is for a cut between a calm part and one that moves a lot: so many times more than on the calmer side, still loudRatio times
	// more than on the other (a camera that is swung goes on swinging), and at least calmLevel. Honest clips reach 2.5.
	calmRatio, loudRatio, calmLevel = 6.0, 1.3, 20.0
	// cutAround is the time on both sides within which the picture's usual change is taken, seconds, and cutBack that within which it must
	// not come back to what it was: a hand or a flash before the lens.
	cutAround, cutBack = 1.2, 1.0
	// mostCuts is how many cuts are told.
	mostCuts = 3
)

// cutSigns looks for moments at which the picture is another one at once, and stays so: two recordings joined, or a part taken out.
func cutSigns(m *media.Motion, p []media.Packet) []sign {
	n := len(m.Frames)
	if n < 12 {
		return nil
	}
	change := make([]float64, n) // from frame i-1 to i
	tones := tonesOf(m)
	for i := 1; i < n; i++ {
		if (m.Frames[i].PTS - m.Frames[i-1].PTS) <= 250*time.Millisecond {
			change[i] = difference(m.Frames[i-1].Gray, m.Frames[i].Gray, tones[i-1], tones[i])
		}
	}
	type cut struct {
		i     int
		ratio float64
	}
	const (
		strongRatio = 4.0  // below it a fast turn of the head may be one, too:
		faintCut    = 0.65 // such a jump and all that messengers leave together stay below the limit
	)
	var cuts []cut
	for i := 2; i < n-2; i++ {
		if change[i] < cutLevel {
			continue
		}
		var before, after []float64
		at := m.Frames[i].PTS.Seconds()
		for j := 1; j < n; j++ {
			switch d := m.Frames[j].PTS.Seconds() - at; {
			case j < i && -d <= cutAround:
				before = append(before, change[j])
			case j > i && d <= cutAround:
				after = append(after, change[j])
			}
		}
		if len(before) < 4 || len(after) < 4 {
			continue
		}
		one, other := quantile(before, 0.9), quantile(after, 0.9)
		ratio, calm := change[i]/math.Max(math.Max(one, other), 1), change[i]/math.Max(math.Min(one, other), 1)
		swung := calm < calmRatio || ratio < loudRatio || change[i] < calmLevel
		if ratio < cutRatio && swung || comesBack(m, tones, i, change[i]) {
			continue
		}
		cuts = append(cuts, cut{i, ratio})
	}
	slices.SortFunc(cuts, func(a, b cut) int { return int(1000 * (b.ratio - a.ratio)) })
	var out []sign
	for k, c := range cuts[:min(len(cuts), mostCuts)] {
		at := m.Frames[c.i].PTS.Seconds()
		weight := weights["cut"]
		if c.ratio < strongRatio {
			weight = faintCut
		}
		out = append(out, sign{code: "cut", weight: weight, at: at, proof: said("at %s s: %.1f levels, %.1f times the usual", "%s 秒处：变化 %.1f 级灰度，为平常的 %.1f 倍", seconds(at), change[c.i], c.ratio),
			text: said("the picture jumps at %s s", "画面在 %s 秒处跳变", seconds(at))})
		if k > 0 {
			continue
		}
		if keyAt(p, m.Frames[c.i-1].PTS, m.Frames[c.i].PTS) {
			out = append(out, sign{code: "cut_coded", proof: said("a complete picture at %s s", "%s 秒处为完整画面", seconds(at)), at: at, text: pipeline.Text{EN: "the encoder began anew there", ZH: "编码在该处重新开始"}})
		}
		if gapAt(p, m.Frames[c.i-1].PTS, m.Frames[c.i].PTS) {
			out = append(out, sign{code: "cut_timed", proof: said("a gap in time at %s s", "%s 秒处时间有间隔", seconds(at)), at: at, text: pipeline.Text{EN: "time jumps there, too", ZH: "时间在该处也有跳变"}})
		}
	}
	return out
}

// tone is what two pictures are evened out by: mean and variance of their grey levels.
type tone struct{ mean, variance float64 }

func toneOf(p []byte) tone {
	sum, sq := 0, 0
	for _, v := range p {
		sum, sq = sum+int(v), sq+int(v)*int(v)
	}
	n := float64(max(len(p), 1))
	mean := float64(sum) / n
	return tone{mean, float64(sq)/n - mean*mean}
}

// tonesOf are those of every picture of the motion track.
func tonesOf(m *media.Motion) []tone {
	out := make([]tone, len(m.Frames))
	for i := range out {
		out[i] = toneOf(m.Frames[i].Gray)
	}
	return out
}

// difference is the root mean square between two pictures after their brightness and contrast were evened out, in grey levels: a lamp that
// is switched on is no cut.
func difference(a, b []byte, ta, tb tone) float64 {
	if len(a) != len(b) || len(a) == 0 {
		return 0
	}
	if ta.variance < 1 || tb.variance < 1 { // a covered lens
		return 0
	}
	var s0, s1, s2, s3 uint32 // up to 66,000 products each; a picture of the track has at most 25,600 pixels
	i := 0
	for ; i+4 <= len(a); i += 4 {
		x, y := a[i:i+4:i+4], b[i:i+4:i+4]
		s0 += uint32(x[0]) * uint32(y[0])
		s1 += uint32(x[1]) * uint32(y[1])
		s2 += uint32(x[2]) * uint32(y[2])
		s3 += uint32(x[3]) * uint32(y[3])
	}
	for ; i < len(a); i++ {
		s0 += uint32(a[i]) * uint32(b[i])
	}
	cov := (float64(s0)+float64(s1)+float64(s2)+float64(s3))/float64(len(a)) - ta.mean*tb.mean
	r := math.Max(-1, math.Min(1, cov/math.Sqrt(ta.variance*tb.variance)))
	return math.Sqrt(2*(1-r)) * math.Sqrt(math.Min(ta.variance, tb.variance))
}

// comesBack says that the picture soon is again what it was before frame i, or that it is again what it was shortly before.
func comesBack(m *media.Motion, tones []tone, i int, change float64) bool {
	before, after := m.Frames[i-1].Gray, m.Frames[i].Gray
	for j := i + 1; j < len(m.Frames) && (m.Frames[j].PTS-m.Frames[i].PTS).Seconds() <= cutBack; j++ {
		if difference(before, m.Frames[j].Gray, tones[i-1], tones[j]) < change/2 {
			return true
		}
	}
	for j := i - 2; j >= 0 && (m.Frames[i].PTS-m.Frames[j].PTS).Seconds() <= cutBack; j-- {
		if difference(m.Frames[j].Gray, after, tones[j], tones[i]) < change/2 {
			return true
		}
	}
	return false
}

// keyAt says that a complete picture lies between two times where the rhythm of complete pictures has none.
func keyAt(p []media.Packet, from, to time.Duration) bool {
	var keys []float64
	at := -1.0
	for _, k := range p {
		if k.Key {
			if k.PTS > from && k.PTS <= to {
				at = k.PTS.Seconds()
			}
			keys = append(keys, k.PTS.Seconds())
		}
	}
	if at < 0 {
		return false
	}
	if len(keys) < 4 { // too few to have a rhythm: but for the first, one in a clip of this length is remarkable
		return true
	}
	slices.Sort(keys)
	var steps []float64
	for i := 1; i < len(keys); i++ {
		steps = append(steps, keys[i]-keys[i-1])
	}
	usual := quantile(steps, 0.5)
	for i := 1; i < len(keys); i++ {
		if keys[i] == at {
			return math.Abs(steps[i-1]-usual) > 0.1*usual
		}
	}
	return false
}

// gapAt says that a picture is missing between two times.
func gapAt(p []media.Packet, from, to time.Duration) bool {
	s := shown(p)
	var steps []float64
	for i := 1; i < len(s); i++ {
		steps = append(steps, (s[i].PTS - s[i-1].PTS).Seconds())
	}
	if len(steps) < 10 {
		return false
	}
	usual := quantile(steps, 0.5)
	for i := 1; i < len(s); i++ {
		if s[i].PTS > from && s[i].PTS <= to && steps[i-1] > 2.5*usual {
			return true
		}
	}
	return false
}
