package report

import (
	"math"
	"strconv"

	"onsite/pipeline"
)

// bar is a score on its scale, with the threshold as a tick and the passing side marked.
type bar struct {
	Score, Threshold string
	Low              bool   // passes below the threshold
	At, Tick         string // positions, percent
	GoodX, GoodW     string // the passing side, percent
	Rule             pipeline.Text
	Elsewhere        bool // the check's outcome does not come from this score
	Alt              says
}

// lowerIsBetter names the checks whose score measures what speaks against the upload.
var lowerIsBetter = map[pipeline.CheckName]bool{pipeline.CheckReuse: true, pipeline.CheckAuthenticity: true, pipeline.CheckPlace: true}

// scoreBar gives the bar of a check, nil without a score or a threshold. Which side passes is read off the outcome where it is clear, so
// that a check is never drawn against its own answer; else from the check's name.
func scoreBar(name pipeline.CheckName, c pipeline.Check) *bar {
	if c.Score == nil || c.Threshold == nil || c.Outcome == pipeline.NotChecked || c.Outcome == pipeline.Error {
		return nil
	}
	score, threshold := *c.Score, *c.Threshold
	if math.IsNaN(score) || math.IsInf(score, 0) || math.IsNaN(threshold) || math.IsInf(threshold, 0) {
		return nil
	}
	if name == pipeline.CheckScene && threshold == 1 {
		return shareBar(score)
	}
	low := lowerIsBetter[name]
	if c.Outcome == pipeline.Pass && score != threshold {
		low = score < threshold
	}
	lo, hi := scale(score, threshold)
	pos := func(v float64) string { return percent(v-lo, hi-lo) }
	b := &bar{Low: low, At: pos(score), Tick: pos(threshold), GoodX: pos(threshold), GoodW: percent(hi-threshold, hi-lo)}
	b.Score, b.Threshold = numbers(score, threshold)
	if name == pipeline.CheckPlace {
		b.Score, b.Threshold = b.Score+" m", b.Threshold+" m"
	}
	b.Rule = pipeline.Text{EN: "at least " + b.Threshold + " needed", ZH: "须达到 " + b.Threshold}
	if low {
		b.GoodX, b.GoodW = "0%", pos(threshold)
		b.Rule = pipeline.Text{EN: "must stay below " + b.Threshold, ZH: "须低于 " + b.Threshold}
	}
	if b.Elsewhere = decidedElsewhere(name, c, low); b.Elsewhere {
		other := word("elsewhere")
		b.Rule = pipeline.Text{EN: b.Rule.EN + "; " + other.EN, ZH: b.Rule.ZH + "；" + other.ZH}
	}
	return b
}

// shareBar shows the scene check's score: the share of what the site should show that was found.
func shareBar(score float64) *bar {
	found := strconv.FormatFloat(math.Round(100*score), 'f', 0, 64) + "%"
	return &bar{
		Score: found, Threshold: "100%", At: percent(score, 1), Tick: "100%", GoodX: "100%", GoodW: "0%",
		Rule: pipeline.Text{EN: "of it found, all needed", ZH: "已找到，须全部找到"},
	}
}

// scale is the range of a bar: 0 to 1 for what lies in it, as similarities do; otherwise it leaves room on both sides of the threshold.
func scale(score, threshold float64) (lo, hi float64) {
	lo, hi = math.Min(0, math.Min(score, threshold)), 1
	if m := math.Max(score, threshold); m > hi || (threshold == 1 && m == 1) {
		hi = math.Max(1.25*score, 2*threshold)
		if hi > 4*threshold && threshold > 0 { // a score far beyond: keep the threshold readable, the dot stands at the end
			hi = 4 * threshold
		}
	}
	if threshold >= 0.9 && hi == 1 {
		hi = 2 * threshold
	}
	return lo, hi
}
