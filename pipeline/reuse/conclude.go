package reuse

import (
	"math"
	"strconv"

	"onsite/pipeline"
)

// incomplete says that some of the history was not compared: that leaves no pass. missing is how much could not be read, flooded how many
// pictures were asked about where each is like so much earlier footage that none of it was looked up (unexplained).
func incomplete(c *pipeline.Check, missing, flooded int) {
	args := map[string]string{}
	if missing > 0 {
		c.Detail["missing"] = missing
		args["missing"] = strconv.Itoa(missing)
	}
	if flooded > 0 {
		args["flooded"] = strconv.Itoa(flooded)
	}
	if len(args) > 0 && c.Outcome == pipeline.Pass {
		c.Outcome = pipeline.Uncertain
		c.Findings = append(c.Findings, pipeline.Finding{Code: pipeline.HistoryIncomplete, Outcome: pipeline.Uncertain, Args: args})
	}
}

// unexplained is the number of flooded stills where these are all that were asked about and not each of them shows a marked background:
// then nothing at all was looked up, and nobody has said that this is as it should be. Else 0.
func (c *Config) unexplained(f *Fingerprint) int {
	if c.Flooded == 0 || c.Flooded < len(f.Asked(false)) {
		return 0
	}
	for i := range f.Stills {
		if s := &f.Stills[i]; s.Quality >= minQuality && c.Background(s) == "" {
			return c.Flooded
		}
	}
	return 0
}

// maxEvidence is how much evidence of a finding is enough to look for more.
const maxEvidence = 8

// conclude turns matches into the check's outcome.
func conclude(fp *Fingerprint, res *Result) pipeline.Check {
	threshold := res.Threshold
	c := pipeline.Check{Outcome: pipeline.Pass, Threshold: &threshold, Frames: len(fp.Stills), Detail: map[string]any{"compared": res.Compared}}
	score := 0.0
	var cleared []map[string]any
	for i := range res.Matches {
		m := &res.Matches[i]
		if m.ClearedBy != "" { // somebody has looked: no finding, and its score is nobody's
			cleared = append(cleared, map[string]any{"job": m.Job, "cleared_by": m.ClearedBy, "verdict": string(m.Cleared), "score": round3(m.Score), "identical": m.Identical})
			continue
		}
		score = max(score, m.Score)
		c.Near = c.Near || m.Identical == "" && math.Abs(m.Score-threshold) < nearBand
		if m.Verdict == Different {
			res.SamePlace = res.SamePlace || m.Content >= sameContent
			continue
		}
		f := pipeline.Finding{Code: pipeline.SameContent, Outcome: pipeline.Uncertain, Args: map[string]string{"job": m.Job}, Evidence: m.evidence(threshold)}
		m.words(f.Args)
		if m.Verdict == Same {
			f.Code, f.Outcome, f.Certain = pipeline.FootageReused, pipeline.Fail, m.Identical != ""
			c.Outcome = pipeline.Fail
		} else if c.Outcome == pipeline.Pass {
			c.Outcome = pipeline.Uncertain
		}
		// One finding of each code is enough: the most telling one.
		if len(c.Findings) == 0 || c.Findings[len(c.Findings)-1].Code != f.Code {
			c.Findings = append(c.Findings, f)
		} else if last := &c.Findings[len(c.Findings)-1]; m.Verdict == Same && len(last.Evidence) < maxEvidence {
			last.Evidence = append(last.Evidence, f.Evidence...) // pieces of several earlier clips
		}
	}
	c.Score = &score
	c.Detail["same_place"] = res.SamePlace
	if len(cleared) > 0 {
		c.Detail["cleared"] = cleared
	}
	if res.Flooded > 0 {
		c.Detail["flooded"] = res.Flooded
	}
	if len(res.Matches) > 0 {
		m := &res.Matches[0]
		c.Detail["closest"] = map[string]any{"job": m.Job, "verdict": string(m.Verdict), "s": round3(m.S), "n15": round3(m.Parts.N15), "t_top": round3(m.Parts.TTop), "g2": round3(m.Parts.G2), "z": round3(m.Parts.Z),
			"content": round3(m.Content), "identical": m.Identical, "transform": m.Transform, "speed": m.Speed, "reversed": m.Reversed, "motion": round3(m.Level), "pairs": m.Pairs, "backdrop": round3(m.Backdrop), "other_subject": m.OtherSubject, "segments": m.Segments}
		if m.Sound != nil {
			c.Detail["closest"].(map[string]any)["sound"] = m.Sound
		}
		if a := m.again; a.enough() {
			c.Detail["closest"].(map[string]any)["points"] = map[string]any{"looked_for": a.points, "moved": round3(a.moved), "lost": round3(a.lost), "elsewhere": []float64{round3(a.elsewhere[0]), round3(a.elsewhere[1])}}
		}
		if a := m.changed; a.enough() {
			c.Detail["closest"].(map[string]any)["cells"] = map[string]any{"compared": a.cells, "changed": a.found}
		}
		if m.ClearedBy != "" {
			c.Detail["closest"].(map[string]any)["cleared_by"] = m.ClearedBy
		}
	}
	return c
}

func round3(x float64) float64 { return math.Round(x*1000) / 1000 }
