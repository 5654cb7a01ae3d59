package authenticity

import (
	"fmt"
	"math"
	"slices"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

// minSeconds is the shortest clip that is looked at: below it a living person may well not move.
const minSeconds = 1.5

// Kinds of still pictures, in the check's detail.
const (
	stillPlain  = "unmoved"      // nothing moves
	stillMoved  = "moved_still"  // the picture moves as a whole (zoom, pan, shake) and nothing moves within it
	stillNone   = "moving_scene" // something moves within the picture
	stillSlides = "slides"       // one still after another
)

// Check looks for a still picture, a frozen stretch and a repeated stretch, for programs that the file names, and for traces of cutting and
// of a second encoding. Of a photo it looks at what the file says of itself. Its score is the strongest suspicion found: 1 and more is a
// fail, whatever the kind.
func Check(clip *media.Clip, cfg Config) pipeline.Check {
	if err := cfg.Validate(); err != nil {
		return pipeline.Check{Outcome: pipeline.Error, Why: err.Error()}
	}
	out := pipeline.Check{Outcome: pipeline.Pass, Detail: facts(clip)}
	m := &clip.Motion
	out.Frames = len(m.Frames)
	switch n := len(m.Frames); {
	case clip.Info.Kind == media.Photo: // a photo has no motion: what its file says of itself is all there is
		c := checker{cfg: &cfg, clip: clip, out: &out}
		c.origin()
		return c.scored()
	case n < 8 || (m.Frames[n-1].PTS-m.Frames[0].PTS).Seconds() < minSeconds:
		return notChecked(out, "too_short")
	}
	c := checker{cfg: &cfg, clip: clip, out: &out}
	if c.still() {
		c.origin()
		return c.scored()
	}
	s := newSeries(m)
	c.frozen(s)
	c.repeat(s)
	repeats := len(out.Findings) > 0
	c.origin()
	// Where a loop begins again the picture jumps, too; and what the file's signs say already is not said twice.
	altered := slices.ContainsFunc(out.Findings, func(f pipeline.Finding) bool { return f.Code == pipeline.StreamAltered })
	if !repeats && !altered {
		c.joined(s)
	}
	return c.scored()
}

// scored gives the check with its score.
func (c *checker) scored() pipeline.Check {
	threshold := 1.0
	c.out.Score, c.out.Threshold = &c.score, &threshold
	c.out.Near = math.Abs(c.score-threshold) < 0.05 // a few times what another decoder or processor changes in the residuals
	return *c.out
}

func notChecked(c pipeline.Check, why string) pipeline.Check {
	c.Outcome, c.Why = pipeline.NotChecked, why
	return c
}

type checker struct {
	cfg   *Config
	clip  *media.Clip
	out   *pipeline.Check
	score float64
}

// add records a finding and makes the outcome at least as bad as it.
func (c *checker) add(f pipeline.Finding) {
	c.out.Findings = append(c.out.Findings, f)
	if f.Outcome == pipeline.Fail || c.out.Outcome == pipeline.Pass {
		c.out.Outcome = f.Outcome
	}
}

// suspect raises the check's score. 10 is as sure as it gets.
func (c *checker) suspect(v float64) { c.score = math.Max(c.score, math.Min(v, 10)) }

// plainClear is by how many times a still must stay below its limit, as it is or registered, to be one beyond doubt: 11 stills coded as videos reach 3.3
// to 7, a photo with grain 1.8, a calm person before a dim webcam, whose noise hides what moves, 1.5.
const plainClear = 1.7

// still reports whether the whole clip shows one still picture.
func (c *checker) still() bool {
	s, ok := findStill(&c.clip.Motion, c.cfg.StillLimit, c.cfg.StillShare)
	if !ok {
		return false
	}
	kind, certain := stillNone, false
	plain := c.cfg.StillLimit / math.Max(s.raw, 1e-3)
	moved := math.Min(c.cfg.MovedLimit/math.Max(s.moved, 1e-3), s.spread/c.cfg.StillSpread)
	switch {
	case plain >= 1:
		kind, certain = stillPlain, plain >= plainClear
	case moved >= 1:
		kind = stillMoved
	}
	// A still that is panned or zoomed leaves little, or moves nearly everywhere; a very calm person before a camera that shakes reached 0.57 of the
	// limit with a fifth of the picture.
	clear := s.moved <= c.cfg.MovedLimit/2 || s.spread >= 3*c.cfg.StillSpread
	if kind == stillPlain {
		clear = math.Min(s.raw, s.moved) <= c.cfg.StillLimit/plainClear
	}
	sus := math.Max(plain, moved)
	if !c.cfg.ExpectPerson || !clear {
		sus = math.Min(sus, 0.99)
	}
	c.suspect(sus)
	c.out.Detail["still"] = map[string]any{
		"kind": kind, "residual": round(math.Min(s.raw, 999)), "residual_registered": round(math.Min(s.moved, 999)), "moved_share": round(s.spread),
		"limit": c.cfg.StillLimit, "limit_registered": c.cfg.MovedLimit, "pairs": len(s.pairs),
	}
	if kind == stillNone {
		return false
	}
	outcome := pipeline.Fail
	if !c.cfg.ExpectPerson || !clear {
		outcome, certain = pipeline.Uncertain, false
	}
	residual, limit := s.raw, c.cfg.StillLimit
	if kind == stillMoved {
		residual, limit = s.moved, c.cfg.MovedLimit
	}
	ev := span("segment", s.from, s.to)
	ev.Score, ev.Threshold = &residual, &limit
	c.add(pipeline.Finding{
		Code: pipeline.StaticImage, Outcome: outcome, Certain: certain,
		Args:     map[string]string{"seconds": fmt.Sprintf("%.0f", s.to-s.from), "kind": kind},
		Evidence: append([]pipeline.Evidence{ev}, c.stands(0, math.Inf(1))...),
	})
	return true
}

// frozen reports a stretch that stands still while the rest moves, or a clip that stands still nearly all the time: a show of stills.
func (c *checker) frozen(s *series) {
	st := s.findFrozen()
	f := st.longest
	if st.share >= c.cfg.SlidesShare {
		c.slides(s, st.share)
		return
	}
	if f.seconds() == 0 {
		return
	}
	c.suspect(math.Min(f.seconds()/c.cfg.FrozenFail, 2))
	c.out.Detail["frozen_ms"] = ms(f.seconds())
	if f.seconds() < c.cfg.FrozenUncertain {
		return
	}
	outcome := pipeline.Uncertain
	if f.seconds() >= c.cfg.FrozenFail {
		outcome = pipeline.Fail
	}
	length, limit := f.seconds(), c.cfg.FrozenFail
	ev := span("segment", f.from, f.to)
	ev.Score, ev.Threshold = &length, &limit
	c.add(pipeline.Finding{
		Code: pipeline.FrozenPart, Outcome: outcome, Certain: outcome == pipeline.Fail,
		Args:     map[string]string{"from": seconds(f.from), "to": seconds(f.to)},
		Evidence: append([]pipeline.Evidence{ev}, c.stands(f.from, f.to)...),
	})
}

// slides reports a show of several stills.
func (c *checker) slides(s *series, share float64) {
	outcome := pipeline.Fail
	if !c.cfg.ExpectPerson {
		outcome = pipeline.Uncertain
		c.suspect(0.99)
	} else {
		c.suspect(share / c.cfg.SlidesShare)
	}
	limit := c.cfg.SlidesShare
	c.out.Detail["standing_share"] = round(share)
	ev := span("segment", s.t[0], s.t[s.n()-1])
	ev.Score, ev.Threshold = &share, &limit
	c.add(pipeline.Finding{
		Code: pipeline.StaticImage, Outcome: outcome, Certain: outcome == pipeline.Fail, Args: map[string]string{"kind": stillSlides}, Evidence: []pipeline.Evidence{ev},
	})
}

// repeat reports a stretch that is shown again.
func (c *checker) repeat(s *series) {
	p, sus := s.findRepeat()
	if sus >= c.cfg.RepeatUncertain {
		// The exposure of a webcam swings and comes back every few seconds: of somebody who hardly moves that alone would be a loop. What is played
		// again repeats with it and without.
		if q, without := s.evened().findRepeat(); without < sus {
			p, sus = q, without
		}
	}
	if sus == 0 {
		return
	}
	c.suspect(sus)
	c.out.Detail["repeat"] = map[string]any{
		"suspicion": round(sus), "lag_ms": ms(p.lag), "backwards": p.backwards, "residual": round(p.residual), "contrast": round(math.Min(p.contrast, 99)),
	}
	if sus < c.cfg.RepeatUncertain {
		return
	}
	outcome := pipeline.Uncertain
	if sus >= c.cfg.RepeatFail {
		outcome = pipeline.Fail
	}
	from, to := p.from, p.to
	if !p.backwards { // a loop played many times matches itself over and over: one turn is enough to show
		to = math.Min(to, from+p.lag)
	}
	ev := span("loop", from, to)
	a, b := p.their(from), p.their(to)
	their := span("loop", math.Min(a, b), math.Max(a, b))
	ev.TheirFromMS, ev.TheirToMS = their.FromMS, their.ToMS
	if p.backwards {
		ev.Transform = "reversed"
	}
	threshold := c.cfg.RepeatFail
	ev.Score, ev.Threshold = &sus, &threshold
	c.add(pipeline.Finding{
		Code: pipeline.ReplayedWithinClip, Outcome: outcome, Certain: sus >= c.cfg.RepeatCertain,
		Args:     map[string]string{"from": seconds(from), "to": seconds(to)},
		Evidence: append([]pipeline.Evidence{ev}, c.again(&p, from, to)...),
	})
}

// span is evidence of a part of the clip.
func span(kind string, from, to float64) pipeline.Evidence {
	a, b := ms(from), ms(to)
	return pipeline.Evidence{Kind: kind, FromMS: &a, ToMS: &b}
}

func ms(s float64) int64 { return int64(math.Round(s * 1000)) }

// seconds is a time without its unit, which each language writes itself.
func seconds(s float64) string { return fmt.Sprintf("%.1f", s) }

func round(v float64) float64 { return math.Round(v*1000) / 1000 }
