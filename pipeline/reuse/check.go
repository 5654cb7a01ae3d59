package reuse

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

// nearBand is how near to its threshold a score counts as near: registrations differ a little between machines.
const nearBand = 0.02

// Check compares a fingerprint with earlier ones. Identical bytes are certain reuse. Otherwise every earlier clip gets a first look, the
// most promising cfg.Full of them the full score, unless they have nothing in common at first sight. The outcome is fail (footage_reused) only for the same recording, uncertain
// (same_content) where near-identical content is in view and time could not tell, and pass otherwise, also for the same person in the
// same place. missing is how much earlier footage could not be read (pipeline.History.Missing): what was not compared is no pass, so an
// outcome that would pass is then uncertain (history_incomplete); likewise where every still is like so much earlier footage that nothing was
// looked up (cfg.Flooded) and no marked background explains that. An error says that ctx ended or an earlier fingerprint is damaged.
//
// What an investigator marked (file mark.go) leads to no finding: a marked pair not even where its bytes are the same, since somebody has
// looked at exactly these two; a marked background not where pictures alone made it a question. The detail says what was cleared by which mark.
func Check(ctx context.Context, fp Fingerprint, history []Candidate, missing int, cfg Config) (pipeline.Check, Result, error) {
	if err := cfg.Validate(); err != nil {
		return pipeline.Check{}, Result{}, err
	}
	res := Result{Compared: len(history), Threshold: cfg.Threshold, Flooded: cfg.Flooded}
	compared := history
	history, marked := unmarked(history)
	for i := range history {
		if m, ok := identical(&fp, &history[i]); ok {
			res.Matches = append(res.Matches, m)
		}
	}
	stopped := 0 // how many were not compared
	if len(res.Matches) == 0 && len(history) > 0 {
		q, err := newQuery(&fp)
		if err != nil {
			return pipeline.Check{}, Result{}, err
		}
		defer q.close()
		chosen, err := q.choose(ctx, history, cfg.Full)
		if err != nil {
			return pipeline.Check{}, Result{}, err
		}
		var same *glance // of the strongest clip so far that is the same recording
		for n, g := range chosen {
			if cfg.EarlyExit && same != nil && g.weaker(same) {
				stopped++
				continue
			}
			if err := ctx.Err(); err != nil {
				return pipeline.Check{}, Result{}, fmt.Errorf("compare with earlier footage %s: %w", history[g.at].Job, err)
			}
			m, err := q.full(ctx, &history[g.at], g, cfg)
			if err == nil {
				m, err = q.plain(ctx, m, &history[g.at], cfg)
			}
			if err != nil {
				return pipeline.Check{}, Result{}, fmt.Errorf("compare with earlier footage %s: %w", history[g.at].Job, err)
			}
			res.Matches = append(res.Matches, m)
			if cfg.EarlyExit && m.Verdict == Same && len(cfg.Backgrounds) == 0 && len(marked) == 0 {
				if same == nil || same.weaker(&g) {
					same = &chosen[n]
				}
			}
		}
		sort.SliceStable(res.Matches, func(a, b int) bool { return before(&res.Matches[a], &res.Matches[b]) })
	}
	if err := res.clear(ctx, &fp, marked, cfg); err != nil {
		return pipeline.Check{}, Result{}, err
	}
	check := conclude(&fp, &res)
	NoteViews(&check, &fp, compared)
	if stopped > 0 {
		check.Detail["stopped_early"] = map[string]any{"clips_not_compared": stopped}
	}
	incomplete(&check, missing, cfg.unexplained(&fp))
	return check, res, nil
}

// before orders matches: the same recording first, then what could not be told, each by score, then by content.
func before(a, b *Match) bool {
	rank := map[Verdict]int{Same: 0, CannotTell: 1, Different: 2}
	switch {
	case a.Verdict != b.Verdict:
		return rank[a.Verdict] < rank[b.Verdict]
	case a.Score != b.Score:
		return a.Score > b.Score
	default:
		return a.Content > b.Content
	}
}

// identical says whether the file or its coded packets are the same bytes.
func identical(fp *Fingerprint, c *Candidate) (Match, bool) {
	o := &c.Fingerprint
	sha := c.SHA256
	if sha == "" {
		sha = o.SHA256
	}
	m := Match{Job: c.Job, SHA256: sha, Verdict: Same, Score: 1, Content: 1, Near: true, Transform: "none", Speed: 1, TheirDurationMS: o.Duration.Milliseconds(), OtherSubject: c.OtherSubject}
	switch {
	case hasSHA(fp.SHA256) && fp.SHA256 == sha:
		m.Identical = "file"
	case hasSHA(fp.PacketsSHA256) && fp.PacketsSHA256 == o.PacketsSHA256:
		m.Identical = "packets"
	default:
		return Match{}, false
	}
	if fp.Kind == media.Video {
		m.ToMS = fp.Duration.Milliseconds()
		m.TheirToMS = m.ToMS
		for _, i := range evenly(len(fp.Stills), shownPairs) {
			at := fp.Stills[i].PTS.Milliseconds()
			m.Pairs = append(m.Pairs, Pair{at, at})
		}
	}
	return m, true
}

// query is the submission prepared for comparisons.
type query struct {
	f      *Fingerprint
	w, h   float64 // of its picture at pictureSide
	stills []pointStill
	index  queryIndex
	sides  []side
	mem    memory
	track  layered                 // as large as there is
	grid   track                   // 32 x 32
	small  map[corners]coarseTrack // by where the query's corners lie
}

// newQuery must be closed.
func newQuery(f *Fingerprint) (*query, error) {
	q := &query{f: f}
	var err error
	if q.stills, err = decodePoints(f.points); err != nil {
		return nil, fmt.Errorf("read the points of fingerprint %s: %w", short(f.SHA256), err)
	}
	if q.grid = f.grid; q.grid.n == 0 { // a stored one
		if q.grid, err = decodeMotion(&q.mem, f.motion); err != nil {
			q.close()
			return nil, fmt.Errorf("read the motion of fingerprint %s: %w", short(f.SHA256), err)
		}
	}
	q.track.full = q.grid
	if f.full.n > 0 {
		full := f.full
		full.mem = &q.mem
		q.track = newLayered(full)
	}
	w, h := pictureSize(max(1, f.Width), max(1, f.Height))
	q.w, q.h = float64(w), float64(h)
	q.index = newQueryIndex(f, q.stills)
	q.sides = querySides(q.stills, float32(w))
	return q, nil
}

// close gives back what the query's comparisons were made in.
func (q *query) close() { q.mem.free() }

// choose looks at all earlier clips and gives at most n for the full score: most by coarse motion, then by agreeing points and by hash. Of more
// than n those that have nothing in common with the query are left out.
func (q *query) choose(ctx context.Context, history []Candidate, n int) ([]glance, error) {
	all := make([]glance, len(history))
	for i := range history {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("look through earlier footage: %w", err)
		}
		all[i] = glanceAt(&q.index, &history[i].Fingerprint, i)
	}
	if len(all) <= n {
		return all, nil
	}
	for i := range all {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("look through earlier footage: %w", err)
		}
		all[i].temporal = q.coarse(&history[i].Fingerprint, &all[i])
	}
	if q.grid.n >= 2*minOnLine {
		all = slices.DeleteFunc(all, func(g glance) bool { return history[g.at].Fingerprint.coarse.n >= minOnLine && g.nothing() })
	}
	taken := make([]bool, len(all))
	var out []glance
	take := func(k int, better func(a, b *glance) bool) {
		order := make([]int, len(all))
		for i := range order {
			order[i] = i
		}
		sort.SliceStable(order, func(a, b int) bool { return better(&all[order[a]], &all[order[b]]) })
		for _, i := range order {
			if k == 0 || len(out) == n {
				return
			}
			if !taken[i] {
				taken[i] = true
				out = append(out, all[i])
				k--
			}
		}
	}
	byTime := (n + 1) / 2
	if q.grid.n < minOnLine {
		byTime = 0
	}
	take(byTime, func(a, b *glance) bool { return a.temporal > b.temporal })
	take((n-byTime+1)/2, func(a, b *glance) bool { return a.votes > b.votes })
	take(n, func(a, b *glance) bool { return a.distance < b.distance })
	return out, nil
}

// shownPairs is how many moments a match names for looking at side by side.
const shownPairs = 4

// full compares with one earlier clip: registration by points, then time, then the verdict.
func (q *query) full(ctx context.Context, c *Candidate, g glance, cfg Config) (Match, error) {
	o := &c.Fingerprint
	m := Match{Job: c.Job, SHA256: c.SHA256, Verdict: Different, Distance: g.distance, Transform: "none", Speed: 1, TheirDurationMS: o.Duration.Milliseconds(), OtherSubject: c.OtherSubject}
	if m.SHA256 == "" {
		m.SHA256 = o.SHA256
	}
	stills, err := decodePoints(o.points)
	if err != nil {
		return Match{}, err
	}
	w, h := pictureSize(max(1, o.Width), max(1, o.Height))
	sides := make([]side, len(stills))
	for i := range stills {
		sides[i] = newSide(stills[i].points, false)
	}
	ways := register(q.sides, sides, g.skip, q.w, q.h, float64(w), float64(h))
	turns := make([]Transform, 0, len(ways)+Forms)
	for _, r := range ways {
		turns = append(turns, r.t)
	}
	if len(ways) > 0 {
		m.Inliers, m.matches, m.residual, m.smaller = ways[0].inliers, ways[0].matches, ways[0].residual, ways[0].smaller
	}
	if m.Inliers < strongTurns {
		if t := g.turns(); len(t) > 0 {
			turns = append(turns, t...)
		} else {
			turns = append(turns, forms[:]...)
		}
	}
	m.Content = contentScore(m.Distance, m.Inliers)
	if len(ways) > 0 {
		m.Transform = ways[0].t.name(q.w, q.h, float64(w), float64(h))
	} else if t := g.turns(); len(t) > 0 {
		m.Transform = t[0].name(q.w, q.h, float64(w), float64(h))
	}
	m.Near = nearDuplicate(&m)
	var mem memory
	defer mem.free()
	q.track.mem = &mem
	var motion track
	if q.track.full.n >= minOnLine { // a photo has no use for it
		if motion, err = decodeMotion(&mem, o.motion); err != nil {
			return Match{}, err
		}
	}
	if q.track.full.n >= minOnLine && motion.n >= minOnLine {
		e := prepareEarlier(&motion, 1)
		m.Level = e.level
		a, ok, err := compare(ctx, &q.track, &e, turns)
		if err == nil && ok {
			err = q.fill(ctx, cfg, &m, o, &a, &motion, float64(w), float64(h))
		}
		if err != nil {
			return Match{}, err
		}
	} else {
		m.QueryLevel = motionLevel(&q.grid)
		var p photoMatch
		if len(ways) > 0 {
			p = ways[0].photoMatch()
			if p.enough() && p.score() >= perhapsPhoto {
				if p.again, err = refind(&q.f.picture, ways[0].o.points, ways[0].t, w, h); err != nil {
					return Match{}, err
				}
			}
		}
		if p.open() && q.f.Kind == media.Photo && o.Kind == media.Photo {
			if motion, err = decodeMotion(&mem, o.motion); err == nil {
				p.changed, err = q.f.picture.changes(&motion, ways[0].t)
			}
			if err != nil {
				return Match{}, err
			}
		}
		m.again, m.changed = p.again, p.changed
		cleared := cfg.Known != nil && !cfg.Known[m.Job] && p.enough() && !p.again.enough()
		if m.Near = p.same(m.Distance) && !cleared; m.Near && p.enough() {
			m.Photo = p.inPlace()
		}
		m.Score = cfg.still(&m, p)
	}
	m.Verdict = cfg.judge(&m)
	return m, nil
}

// motionLevel is the motion level of a 32 x 32 track by itself; 0 without motion.
func motionLevel(t *track) float64 {
	if t.n < 2 {
		return 0
	}
	half := t.halve()
	d, valid := differences(&half, 1)
	return percentile(cellMotion(d, valid, gradientSize), 0.95)
}

// fill writes stage B's findings. The error says that ctx ended.
func (q *query) fill(ctx context.Context, cfg Config, m *Match, o *Fingerprint, a *aligned, motion *track, w, h float64) error {
	e := a.all[0].e
	score := func(s *stretch) float64 {
		nq, no := q.track.full.n, (e.up.n+1)/2
		return cfg.forBrief(m.forRegistration(forLine(forLength(s.parts.S(), nq, no), s.line, s.share)), m, s, nq, no)
	}
	m.QueryLevel, m.Backdrop = a.queryLevel, a.backdrop
	first := score(&a.stretch)
	slow := min(m.Level, m.QueryLevel) < cfg.LowMotion // where little moves, a hand that films a screen can hide nearly all of it
	if m.Inliers >= minInliers && a.parts.S() >= secondFrom && Score(first) < cfg.Threshold && (first >= secondFrom || slow) {
		b, ok, err := a.steady(ctx, motion)
		if err != nil {
			return err
		}
		again := *a
		if ok && score(&b.stretch) > first {
			again = b
		}
		if third := *a; ok && slow && Score(score(&again.stretch)) < cfg.Threshold {
			third.average(&b, motion, score)
			if score(&third.stretch) > score(&again.stretch) {
				again = third
			}
		}
		*a = again
	}
	m.Parts = a.parts
	m.Sound = listen(q.f, o, &a.stretch, e.up.start-q.track.full.start)
	m.silent = score(&a.stretch)
	m.S = cfg.forSound(m.silent, m.Sound)
	m.Score = Score(m.S)
	if m.Score < cfg.Weak {
		return nil // the alignment means nothing
	}
	m.Transform = a.turn.name(q.w, q.h, w, h)
	m.Speed, m.Reversed = a.line.speed, a.line.dir < 0
	if a.to <= a.from {
		return nil
	}
	found := []stretch{a.stretch}
	if m.Score >= cfg.Threshold {
		var err error
		if found, err = others(ctx, a.all, a.stretch, func(s *stretch) bool { return Score(score(s)) >= cfg.CannotTell }); err != nil {
			return err
		}
	}
	for i := range found {
		s := m.S // of the first the verdict's own, so that none is shown with a score on the other side of the threshold
		if i > 0 {
			s = score(&found[i])
		}
		g := q.segment(&found[i], s, e, m.TheirDurationMS, w, h)
		if i == 0 {
			m.FromMS, m.ToMS, m.TheirFromMS, m.TheirToMS, m.Pairs = g.FromMS, g.ToMS, g.TheirFromMS, g.TheirToMS, g.Pairs
		}
		m.Segments = append(m.Segments, g)
	}
	slices.SortStableFunc(m.Segments, bySegmentTime)
	return nil
}

// frozenLevel is the motion below which a clip is a picture: a still encoded as video has 0.05, a person who sits still 0.3 and more.
const frozenLevel = 0.2

// judge gives the verdict of a full comparison. Only time proves the same recording. Near-identical pictures without enough motion to
// tell, photos among them, are left to a person; likeness of person and place alone is nothing.
func (c Config) judge(m *Match) Verdict {
	switch {
	case m.Score >= c.Threshold:
		return Same
	case m.Score >= c.CannotTell:
		return CannotTell
	case m.Score >= c.Weak && (m.Near || min(m.Level, m.QueryLevel) < c.LowMotion):
		return CannotTell
	case m.Sound != nil && m.Sound.Agrees && m.silent >= soundLow && min(m.Level, m.QueryLevel) < c.LowMotion:
		return CannotTell
	case m.Near && (m.QueryLevel < frozenLevel || max(m.Level, m.QueryLevel) < c.LowMotion):
		return CannotTell
	default:
		return Different
	}
}
