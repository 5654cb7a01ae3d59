package authenticity

import (
	"fmt"
	"math"
	"slices"

	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/media/origin"
)

// streamSigns collects the signs of a clip's edit lists, sizes, packets and pictures.
func (c *checker) streamSigns() []sign {
	i := &c.clip.Info
	out := editSigns(i.Origin)
	if s, ok := sizeSign(i.Width, i.Height); ok {
		out = append(out, s)
	}
	if i.Mirrored {
		out = append(out, sign{code: "mirrored", proof: said("%d degrees and mirrored", "旋转 %d 度并镜像", i.Rotation), at: -1,
			text: pipeline.Text{EN: "the file shows the picture mirrored, which phones' cameras do not ask for", ZH: "文件要求镜像显示画面，手机相机不会这样写"}})
	}
	out = append(out, timeSigns(c.clip.Packets)...)
	if s, ok := repeatSign(c.clip.Packets); ok {
		out = append(out, s)
	}
	if s, ok := codingSign(c.clip.Packets); ok {
		out = append(out, s)
	}
	return append(out, cutSigns(&c.clip.Motion, c.clip.Packets)...)
}

// editSigns reads the edit lists of the picture track, and times of change.
func editSigns(f origin.Facts) []sign {
	var out []sign
	for _, t := range f.Tracks {
		if t.Kind != "vide" {
			continue
		}
		var shown []origin.Edit
		for _, e := range t.Edits {
			if e.FromMS >= 0 && e.LengthMS > 0 {
				shown = append(shown, e)
			}
		}
		rate := slices.ContainsFunc(shown, func(e origin.Edit) bool { return e.Rate })
		switch {
		case len(shown) > 1:
			out = append(out, sign{code: "cut_list", proof: said("%d parts", "%d 段", len(shown)), at: -1,
				text: said("an edit list joins %d parts", "编辑列表拼接了 %d 段", len(shown))})
		case len(shown) == 1 && shown[0].FromMS >= 1000: // a second: encoders' delays are shorter
			out = append(out, sign{code: "trimmed", proof: said("from %d ms", "从第 %d 毫秒开始", shown[0].FromMS), at: -1,
				text: pipeline.Text{EN: "its beginning was cut off", ZH: "开头被剪去"}})
		}
		if rate {
			out = append(out, sign{code: "speed", proof: said("edit rate", "编辑速率"), at: -1, text: pipeline.Text{EN: "it is played faster or slower than recorded", ZH: "播放速度与录制速度不同"}})
		}
		if t.Created > 0 && t.Modified-t.Created > 3600 {
			out = append(out, sign{code: "rewritten", proof: said("%d s later", "%d 秒之后", t.Modified-t.Created), at: -1,
				text: pipeline.Text{EN: "the file was changed long after it was made", ZH: "文件在生成很久之后被修改"}})
		}
		break // the first picture track
	}
	return out
}

// shapes are the proportions of phones' cameras and of what apps crop of them: long by short side.
var shapes = []float64{1, 11.0 / 9, 5.0 / 4, 4.0 / 3, 3.0 / 2, 16.0 / 9, 2, 13.0 / 6, 20.0 / 9, 21.0 / 9}

// screens are sizes of phones' and computers' screens that no camera gives, long by short side; iPhones record theirs at 886 x 1920.
var screens = [][2]int{
	{1366, 768}, {1440, 900}, {1680, 1050}, {2560, 1600}, {2880, 1800}, {3024, 1964}, {1334, 750}, {1792, 828}, {2436, 1125}, {2532, 1170}, {2556, 1179},
	{2622, 1206}, {2688, 1242}, {2778, 1284}, {2796, 1290}, {2868, 1320}, {1920, 886}, {1920, 884}, {2340, 1080}, {2400, 1080}, {2408, 1080}, {2220, 1080}, {2280, 1080}, {1600, 720}, {1520, 720}, {3200, 1440}, {3088, 1440},
}

// sizeSign judges the size of the picture.
func sizeSign(w, h int) (sign, bool) {
	long, short := max(w, h), min(w, h)
	if short < 1 {
		return sign{}, false
	}
	proof := said("%d x %d", "%d x %d", w, h)
	for _, s := range screens {
		if long == s[0] && short == s[1] {
			return sign{code: "screen_size", proof: proof, at: -1, text: pipeline.Text{EN: "the picture has the size of a screen", ZH: "画面尺寸与屏幕尺寸相同"}}, true
		}
	}
	for _, s := range shapes {
		if math.Abs(float64(long)/float64(short)-s) < 0.02*s {
			return sign{}, false
		}
	}
	return sign{code: "odd_size", proof: proof, at: -1, text: pipeline.Text{EN: "the picture has a shape that phones' cameras do not give", ZH: "画面比例不是手机相机的常见比例"}}, true
}

// shown gives the packets' times in seconds and sizes in the order in which they are seen.
func shown(p []media.Packet) []media.Packet {
	s := slices.Clone(p)
	slices.SortStableFunc(s, func(a, b media.Packet) int { return int(a.PTS - b.PTS) })
	return s
}

// leastPackets is how many packets patterns are looked for in.
const leastPackets = 60

// timeSigns judges the times of the pictures. Cameras' clocks tremble; what was encoded from a file does not.
func timeSigns(p []media.Packet) []sign {
	if len(p) < leastPackets {
		return nil
	}
	s := shown(p)
	steps := make([]float64, len(s)-1)
	for i := range steps {
		steps[i] = (s[i+1].PTS - s[i].PTS).Seconds()
	}
	usual := quantile(steps, 0.5)
	if usual <= 0 {
		return []sign{{code: "times_missing", proof: missingText, at: -1, text: missingText}}
	}
	odd, same := 0, 0
	for _, d := range steps {
		if math.Abs(d-usual) > 0.0015 { // containers count in milliseconds, or finer
			odd++
		}
		if d <= 0 {
			same++
		}
	}
	var out []sign
	if odd == 0 {
		out = append(out, sign{code: "uniform_times", proof: said("%d steps of %.2f ms", "%d 个间隔均为 %.2f 毫秒", len(steps), 1000*usual), at: -1,
			text: pipeline.Text{EN: "all pictures have exactly the same distance in time", ZH: "所有画面的时间间隔完全相同"}})
	}
	if same > len(steps)/50 {
		out = append(out, sign{code: "times_missing", proof: said("%d pictures without a time of their own", "%d 幅画面没有自己的时间", same), at: -1, text: missingText})
	}
	return out
}

var missingText = pipeline.Text{EN: "pictures without a time of their own", ZH: "部分画面没有自己的时间"}

// repeatSign looks for pictures that are repeated in a fixed pattern (every 2nd to 10th, as 24 pictures a second make 30): their packets say
// next to nothing.
func repeatSign(p []media.Packet) (sign, bool) {
	if len(p) < leastPackets {
		return sign{}, false
	}
	s := shown(p)
	sizes := make([]float64, len(s))
	for i := range s {
		sizes[i] = float64(s[i].Bytes)
	}
	usual := quantile(sizes, 0.75) // half of them may be repeats
	empty, n := make([]bool, len(s)), 0
	for i := range s {
		empty[i] = !s[i].Key && sizes[i] < 0.08*usual
		if empty[i] {
			n++
		}
	}
	for period := 2; period <= 10; period++ {
		for phase := range period {
			hit, all := 0, 0
			for i := phase; i < len(s); i += period {
				all++
				if empty[i] || s[i].Key {
					hit++
				}
			}
			// Nearly every one in phase, and nearly none elsewhere.
			if all >= 8 && hit*10 >= all*9 && (n-hit)*10 <= len(s)-all && n*4 >= all*3 {
				return sign{code: "repeats", proof: said("every %d. picture, %d of %d", "每 %d 幅画面一次，符合 %d 次，共 %d 次", period, hit, all), at: -1,
					text: pipeline.Text{EN: fmt.Sprintf("every %s picture repeats the one before", ordinal(period)), ZH: fmt.Sprintf("每 %d 幅画面中有一幅与前一幅相同", period)}}, true
			}
		}
	}
	return sign{}, false
}

func ordinal(n int) string {
	return fmt.Sprint(n) + map[int]string{2: "nd", 3: "rd"}[n] + map[bool]string{true: "th"}[n > 3]
}

// codingSign looks for the rhythm of an earlier encoding: where that had its complete pictures, packets of a later one are larger, again
// and again at the same distance. It needs pictures that are coded in order; with others the rhythm of reordering covers it.
func codingSign(p []media.Packet) (sign, bool) {
	if len(p) < 2*leastPackets {
		return sign{}, false
	}
	for i := 1; i < len(p); i++ {
		if p[i].PTS < p[i-1].PTS {
			return sign{}, false
		}
	}
	const reach = 5
	excess := make([]float64, len(p)) // log of a size over that of its neighbours; NaN for complete pictures
	var all []float64
	for i := range p {
		excess[i] = math.NaN()
		if p[i].Key || i > 0 && p[i-1].Key {
			continue
		}
		var near []float64
		for j := max(0, i-reach); j <= min(len(p)-1, i+reach); j++ {
			if j != i && !p[j].Key {
				near = append(near, float64(p[j].Bytes))
			}
		}
		if len(near) >= reach && quantile(near, 0.5) > 0 {
			excess[i] = math.Log(math.Max(1, float64(p[i].Bytes)) / quantile(near, 0.5))
			all = append(all, excess[i])
		}
	}
	if len(all) < leastPackets {
		return sign{}, false
	}
	middle := quantile(all, 0.5)
	spread := 1.48*quantile(deviations(all, middle), 0.5) + 0.03
	best, period := 0.0, 0
	for t := 8; t <= min(300, len(p)/4); t++ {
		for phase := range t {
			sum, n, large := 0.0, 0, 0
			for i := phase; i < len(p); i += t {
				if v := excess[i]; !math.IsNaN(v) {
					n++
					sum += v - middle
					if v > middle+spread {
						large++
					}
				}
			}
			// Nearly all of them are larger, and together more than chance makes them.
			if n < 4 || large*4 < n*3 {
				continue
			}
			if score := sum / math.Sqrt(float64(n)) / spread; score > best {
				best, period = score, t
			}
		}
	}
	// Of some ten thousand combinations chance brings one to 4.3 if sizes are normal; they have long tails.
	if best < 6 {
		return sign{}, false
	}
	return sign{code: "second_coding", proof: said("every %d pictures, score %.1f", "每 %d 幅画面一次，得分 %.1f", period, best), at: -1,
		text: said("traces of an earlier encoding every %d pictures", "每 %d 幅画面有一次先前编码的痕迹", period)}, true
}

func deviations(v []float64, middle float64) []float64 {
	out := make([]float64, len(v))
	for i := range v {
		out[i] = math.Abs(v[i] - middle)
	}
	return out
}
