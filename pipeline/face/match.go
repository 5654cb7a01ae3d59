package face

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"slices"
	"strconv"
	"time"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

// Result is what Match found, for the report and the other checks.
type Result struct {
	Subject    int // track of the person in front, -1: none
	People     int // how many people stand in front, the subject included
	Score      float64
	Threshold  float64
	Reject     float64
	References []ReferenceScore // in the order of the templates
	Best       string           // name of the reference most like the subject
	Compared   []Compared       // by time
	// Agreement is how alike a stretch of the compared frames and the rest of them are at worst, -1..1; 1 with one frame.
	Agreement float64

	left int // chosen frames that were not embedded: early exit
}

// ReferenceScore is the cosine of the subject's track and one enrolled photo.
type ReferenceScore struct {
	Name  string  `json:"name"`
	Score float64 `json:"score"`
}

// Compared is one frame that went into the score.
type Compared struct {
	Index  int // of the frame
	PTS    time.Duration
	Box    image.Rectangle
	Weight float64
	Score  float64 // of this frame alone: shown, never decisive
	Spot   Spot

	vector models.Vector
}

// Match compares the person in front with the enrolled photos (one to five). Found is only read, so that other checks may use it at the same time.
//
// The frames to compare are the best of each part of the clip; their vectors, weighted by quality, make one vector of the track, and that is
// compared (similarityOf). Under Config.EarlyExit, where FirstFrames of them leave no doubt (sure), the others are not embedded; the detail says how many. Errors are technical: *OtherModelError for a template of another model, a failing model, no templates.
func (m *Matcher) Match(ctx context.Context, clip *media.Clip, found Found, templates []Template) (pipeline.Check, Result, error) {
	if len(templates) == 0 {
		return pipeline.Check{}, Result{}, errors.New("compare faces: no enrolled photo was given")
	}
	if len(found.Frames) != len(clip.Frames) {
		return pipeline.Check{}, Result{}, fmt.Errorf("compare faces: faces of %d frames for a clip of %d", len(found.Frames), len(clip.Frames))
	}
	r := Result{Subject: found.Subject(), Threshold: m.config.Threshold, Reject: m.config.Reject, Agreement: 1}
	threshold := r.Threshold
	check := pipeline.Check{Outcome: pipeline.Pass, Threshold: &threshold, Frames: len(found.Frames)}
	if r.Subject < 0 {
		check.Outcome = pipeline.Fail
		check.Findings = []pipeline.Finding{{Code: pipeline.NoFace, Outcome: pipeline.Fail, Args: map[string]string{"frames": strconv.Itoa(len(found.Frames))}, Evidence: firstFrame(&found)}}
		return check, r, nil
	}
	beside := m.beside(&found, r.Subject)
	r.People = 1 + len(beside)

	spots := m.choose(&found, r.Subject)
	if len(spots) < m.needed(&found) {
		m.tooPoor(&check, &found, &r, beside)
		check.Detail = m.detail(&found, &r)
		return check, r, nil
	}
	known := map[Spot]models.Vector{}
	if first := m.first(spots); m.config.EarlyExit && len(beside) == 0 && len(first) < len(spots) {
		if err := m.compare(ctx, clip, &found, templates, first, known, &r); err != nil {
			return pipeline.Check{}, Result{}, err
		}
	}
	if m.sure(&r) {
		r.left = len(spots) - len(r.Compared)
	} else {
		if err := m.compare(ctx, clip, &found, templates, spots, known, &r); err != nil {
			return pipeline.Check{}, Result{}, err
		}
	}
	score := r.Score
	check.Score = &score
	check.Near = math.Abs(score-m.config.Threshold) <= m.config.Near || math.Abs(score-m.config.Reject) <= m.config.Near

	elsewhere, err := m.besideMatches(ctx, clip, &found, templates, beside, &r)
	if err != nil {
		return pipeline.Check{}, Result{}, err
	}
	switch {
	case score >= m.config.Threshold || elsewhere:
	case score < m.config.Reject:
		m.add(&check, m.scored(pipeline.FaceMismatch, pipeline.Fail, &r))
	default:
		m.add(&check, m.scored(pipeline.FaceUncertain, pipeline.Uncertain, &r))
	}
	if len(beside) > 0 {
		m.severalPeople(&check, &found, beside)
	}
	if err := m.changed(ctx, clip, &found, &check, &r); err != nil {
		return pipeline.Check{}, Result{}, err
	}
	check.Detail = m.detail(&found, &r)
	return check, r, nil
}

// needed is how many usable frames a comparison must have: a single frame of a clip never decides.
func (m *Matcher) needed(found *Found) int { return min(m.config.MinFrames, len(found.Frames)) }

// first gives FirstFrames of the chosen spots, among them the earliest, the latest and one in the middle.
func (m *Matcher) first(spots []Spot) []Spot {
	n := m.config.FirstFrames
	if len(spots) <= n {
		return spots
	}
	out := make([]Spot, n)
	for i := range out {
		out[i] = spots[i*(len(spots)-1)/(n-1)]
	}
	return out
}

// sure tells whether the frames that were compared are so clearly of the enrolled person, and of one person from the first to the last, that the
// others would not change it. A mismatch is never concluded from a few frames.
func (m *Matcher) sure(r *Result) bool {
	least := m.config.Threshold + m.config.Sure
	return m.config.EarlyExit && len(r.Compared) > 0 && r.Score >= least && r.Agreement >= least
}

// compare fills the scores of a Result from the chosen spots of the subject. Vectors in known are not made again, new ones are put there.
func (m *Matcher) compare(ctx context.Context, clip *media.Clip, found *Found, templates []Template, spots []Spot, known map[Spot]models.Vector, r *Result) error {
	flip := len(spots) <= m.config.Flip
	r.References, r.Compared, r.Best = nil, nil, ""
	vectors, weights := make([]models.Vector, len(spots)), make([]float64, len(spots))
	for i, s := range spots {
		if _, ok := known[s]; !ok {
			v, err := m.embed(ctx, clip, found, s, flip)
			if err != nil {
				return err
			}
			known[s] = v
		}
		vectors[i], weights[i] = known[s], found.At(s).Quality.Weight
	}
	track, err := mean(vectors, weights)
	if err != nil {
		return err
	}
	references := make([]models.Vector, len(templates))
	for i, t := range templates {
		if t.Vector.Model != track.Model {
			return &OtherModelError{Name: t.Name, Have: t.Vector.Model, Want: track.Model}
		}
		references[i] = t.Vector
	}
	score, each, err := similarityOf(track, references)
	if err != nil {
		return err
	}
	r.Score = score
	best := math.Inf(-1)
	for i, c := range each {
		r.References = append(r.References, ReferenceScore{templates[i].Name, c})
		if c > best {
			best, r.Best = c, templates[i].Name
		}
	}
	for i, s := range spots {
		one, _, err := similarityOf(vectors[i], references)
		if err != nil {
			return err
		}
		face, frame := found.At(s), &found.Frames[s.Frame]
		r.Compared = append(r.Compared, Compared{
			Index: frame.Index, PTS: frame.PTS, Box: face.Box, Weight: weights[i], Score: one, Spot: s, vector: vectors[i],
		})
	}
	r.Agreement, _, _, err = agreement(r.Compared)
	return err
}

// besideMatches tells whether the subject does not match, but somebody beside it may: then the clip is one of several people, and calling it
// a mismatch would only mean that the wrong one was taken for the person in front.
func (m *Matcher) besideMatches(ctx context.Context, clip *media.Clip, found *Found, templates []Template, beside []int, r *Result) (bool, error) {
	if r.Score >= m.config.Threshold {
		return false, nil
	}
	for _, t := range beside {
		spots := m.choose(found, t)
		if len(spots) == 0 {
			continue
		}
		other := Result{}
		if err := m.compare(ctx, clip, found, templates, spots, map[Spot]models.Vector{}, &other); err != nil {
			return false, err
		}
		if other.Score >= m.config.Reject {
			return true, nil
		}
	}
	return false, nil
}

// choose picks the frames to compare: the track's time is cut into MaxFrames parts, and the best usable face of each is taken, so that
// they are sharp, frontal and spread.
func (m *Matcher) choose(found *Found, track int) []Spot {
	var usable []Spot
	for _, s := range found.Tracks[track].Spots {
		if found.At(s).Quality.Weight > 0 {
			usable = append(usable, s)
		}
	}
	n := m.config.MaxFrames
	if len(usable) <= n {
		return usable
	}
	out := make([]Spot, 0, n)
	for part := range n {
		from, to := part*len(usable)/n, (part+1)*len(usable)/n
		best := usable[from]
		for _, s := range usable[from+1 : to] {
			if found.At(s).Quality.Weight > found.At(best).Quality.Weight {
				best = s
			}
		}
		out = append(out, best)
	}
	return out
}

// agreement is the lowest cosine between the weighted means inside and outside any stretch [from, to) of the compared frames. A stretch that
// starts after the first and ends before the last frame catches somebody who comes for the middle of a clip; it and the rest have at least two
// frames each, so that one bad frame does not.
func agreement(compared []Compared) (lowest float64, from, to int, err error) {
	lowest = 1
	n := len(compared)
	for a := 1; a < n; a++ {
		for b := n; b > a; b-- {
			if b < n && (b-a < 2 || n-(b-a) < 2) {
				continue
			}
			inside, err := meanOf(compared[a:b])
			if err != nil {
				return 0, 0, 0, err
			}
			outside, err := meanOf(slices.Concat(compared[:a], compared[b:]))
			if err != nil {
				return 0, 0, 0, err
			}
			c, err := cosine(inside, outside)
			if err != nil {
				return 0, 0, 0, err
			}
			if c < lowest {
				lowest, from, to = c, a, b
			}
		}
	}
	return lowest, from, to, nil
}

func meanOf(compared []Compared) (models.Vector, error) {
	vectors, weights := make([]models.Vector, len(compared)), make([]float64, len(compared))
	for i := range compared {
		vectors[i], weights[i] = compared[i].vector, compared[i].Weight
	}
	return mean(vectors, weights)
}

// changed looks for another person in the subject's place: within the track (a stretch of it does not match the rest), or a second track in front
// that is never in view together with the subject (following already joined those of the same person).
func (m *Matcher) changed(ctx context.Context, clip *media.Clip, found *Found, check *pipeline.Check, r *Result) error {
	if lowest, from, to, err := agreement(r.Compared); err != nil {
		return err
	} else if len(r.Compared) > 1 && lowest < m.config.Threshold {
		outcome := pipeline.Uncertain
		// One frame alone against the rest may be a bad frame; it is only shown to a person.
		if inside := to - from; lowest < m.config.Reject && inside >= 2 && len(r.Compared)-inside >= 2 {
			outcome = pipeline.Fail
		}
		m.add(check, m.change(found, outcome, lowest, r.Compared[from-1].Spot, r.Compared[from].Spot))
		return nil
	}
	for t := range found.Tracks {
		if t == r.Subject || found.together(r.Subject, t) > 0 || !m.prominent(found, t) {
			continue
		}
		theirs := m.choose(found, t)
		if len(theirs) == 0 {
			continue
		}
		if len(theirs) > 2 {
			theirs = []Spot{theirs[0], theirs[len(theirs)-1]}
		}
		other := make([]Compared, len(theirs))
		for i, s := range theirs {
			v, err := m.embed(ctx, clip, found, s, false)
			if err != nil {
				return err
			}
			other[i] = Compared{vector: v, Weight: found.At(s).Quality.Weight, Spot: s}
		}
		a, err := meanOf(r.Compared)
		if err != nil {
			return err
		}
		b, err := meanOf(other)
		if err != nil {
			return err
		}
		score, err := cosine(a, b)
		if err != nil {
			return err
		}
		if score >= m.config.Threshold {
			continue
		}
		outcome := pipeline.Uncertain
		if score < m.config.Reject && len(theirs) >= 2 {
			outcome = pipeline.Fail
		}
		r.Agreement = math.Min(r.Agreement, score)
		m.add(check, m.change(found, outcome, score, r.Compared[0].Spot, theirs[0]))
		return nil
	}
	return nil
}
