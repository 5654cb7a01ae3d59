package scene

import (
	"context"
	"slices"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

const (
	// A handful of points is confirmed where the picture itself agrees: so many tiles, with so high a mean correlation. Chance agrees on
	// points now and then, hardly ever on a picture.
	confirmTiles = 10
	confirmMean  = 0.75
	// otherThing is the share of differing parts from which a thing that is no poster is not the enrolled one either: real revisits of
	// letters that stand off a wall reach .34.
	otherThing = 0.5
)

// sight is a match with what it means.
type sight struct {
	match
	ref     *reference
	frame   media.Frame
	content content
	found   bool
	differs bool // it has the shape of the reference, and other content
}

// settle says what a match means.
func (s *sight) settle(cfg Config) {
	c, limit := s.content, otherThing
	if s.ref.element == Poster {
		limit = cfg.Differs
	}
	same := c.enough() && c.share() <= limit
	s.found = s.Inliers >= cfg.Inliers || (s.Inliers >= fewestMatches && same && c.Agree >= confirmTiles && c.Mean >= confirmMean)
	if s.found && c.enough() && !same {
		s.found, s.differs = false, true
	}
}

// better orders sights: found first, then the one with more points.
func (s sight) better(than sight) bool {
	if s.found != than.found {
		return s.found
	}
	return s.Inliers > than.Inliers
}

// references searches one frame after the other until every wanted element is seen.
func (s *search) references(ctx context.Context, picks []media.Frame, want []Element) error {
	var open []Element
	for _, e := range want {
		if s.site.pictures(e) {
			open = append(open, e)
		}
	}
	for _, f := range picks[:min(len(picks), s.cfg.Frames)] {
		if open = slices.DeleteFunc(open, s.found); len(open) == 0 {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.keyed(f); err != nil {
			return err
		}
		if err := s.each(len(s.keys)-1, func(r *reference) bool {
			return slices.Contains(open, r.element) && r.wantedAt(s.at) && !s.found(r.element)
		}); err != nil {
			return err
		}
	}
	if err := s.closer(ctx); err != nil {
		return err
	}
	// A poster that does not hang here now matters only when no valid one is seen, or when it is nearly the same as that one; so it is
	// looked for last, in all frames.
	if !slices.Contains(want, Poster) {
		return nil
	}
	if b := s.best[Poster]; b.found && len(b.ref.rivals) == 0 {
		return nil
	}
	for k := range s.keys {
		if err := s.each(k, func(r *reference) bool { return r.element == Poster && !r.neg && !r.wantedAt(s.at) }); err != nil {
			return err
		}
	}
	if err := s.closer(ctx); err != nil {
		return err
	}
	s.rivals()
	return nil
}

// keyed finds the keypoints of a frame.
func (s *search) keyed(f media.Frame) error {
	start := time.Now()
	defer func() { s.spent.Keypoints += time.Since(start) }()
	k, err := at(f.Image, s.cfg.FrameSide, s.cfg.FrameKeypoints)
	if err != nil {
		return err
	}
	s.keys = append(s.keys, frameKeys{f, k})
	s.see(f)
	return nil
}

// each looks for the references that are asked for in one frame.
func (s *search) each(frame int, asked func(*reference) bool) error {
	start := time.Now()
	defer func() { s.spent.Match += time.Since(start) }()
	for i := range s.site.refs {
		if r := &s.site.refs[i]; asked(r) {
			if err := s.try(r, frame); err != nil {
				return err
			}
		}
	}
	return nil
}

// found tells whether an element has been seen for sure.
func (s *search) found(e Element) bool {
	return s.best[e].found || (e == Sign && s.sign.found)
}

// settled tells whether looking for a reference again can change nothing. A poster that does not hang here matters beside one that does.
func (s *search) settled(r *reference) bool {
	switch {
	case r.neg: // a few points raise a doubt; more of them in another frame would prove it
		return s.foreign.found && s.foreign.Inliers >= s.cfg.Inliers
	case !r.wantedAt(s.at):
		return s.outdated.found
	}
	return s.found(r.element)
}

// anything tells whether something of the site was found.
func (s *search) anything() bool {
	for _, b := range s.best {
		if b.found {
			return true
		}
	}
	return s.sign.found || s.outdated.found || s.room.score >= sameRoom
}

// tolerance of RANSAC in pixels of a frame.
func (s *search) tolerance(f media.Frame) float64 {
	return reprojectionPixels * max(1, float64(max(f.Image.Cols(), f.Image.Rows()))/float64(s.cfg.FrameSide))
}

// try looks for one reference in one frame, mirrored too as long as nothing was found straight.
func (s *search) try(r *reference, frame int) error {
	f := &s.keys[frame]
	look := func(mirrored bool) (bool, error) {
		keys := r.keys(mirrored)
		pairs := pairsOf(keys, &f.keys)
		st, err := s.weigh(r, f.frame, mirrored, matchPairs(keys, &f.keys, pairs, r.w, r.h, s.tolerance(f.frame)))
		if err != nil || st.found || st.differs {
			return st.found, err
		}
		if box, votes := hintOf(keys, &f.keys, pairs, r.w, r.h); votes >= hintVotes {
			s.hints = append(s.hints, hint{ref: r, frame: frame, mirrored: mirrored, box: box, votes: votes})
		}
		return false, nil
	}
	if !s.mirrored {
		if found, err := look(false); found || err != nil {
			s.straight = s.straight || found
			return err
		}
	}
	if s.straight {
		return nil
	}
	found, err := look(true)
	s.mirrored = s.mirrored || found
	return err
}

// closer looks again where a few points agree, in the frame's full resolution.
func (s *search) closer(ctx context.Context) error {
	start := time.Now()
	defer func() { s.spent.Match += time.Since(start) }()
	for _, h := range strongest(s.hints) {
		if s.settled(h.ref) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		f := s.keys[h.frame].frame
		m, err := closer(h.ref.keys(h.mirrored), h.ref.w, h.ref.h, f.Image, h.box, s.cfg.FrameSide)
		if err != nil {
			return err
		}
		if _, err := s.weigh(h.ref, f, h.mirrored, m); err != nil {
			return err
		}
	}
	s.hints = nil
	return nil
}

// keys are the reference's keypoints, plain or flipped.
func (r *reference) keys(mirrored bool) *keypoints {
	if mirrored {
		return &r.mirror
	}
	return &r.plain
}

// weigh compares what is inside a match with the reference, and notes it.
func (s *search) weigh(r *reference, f media.Frame, mirrored bool, m match) (sight, error) {
	st := sight{match: m, ref: r, frame: f}
	if m.Inliers >= fewestMatches {
		p := r.patch
		if mirrored {
			p = r.mpatch
		}
		var err error
		if st.content, err = contentOf(p, f.Image, m.hom); err != nil {
			return st, err
		}
		st.settle(s.cfg)
		if o, ok := plausible(st.content.hom, r.w, r.h); ok { // the plane as the content has it
			st.Outline = o
		}
	}
	if o := st.Outline; mirrored && len(o) == 4 {
		// The outline starts at the corner that shows the reference's upper left one, and goes on as the reference's corners do.
		st.Outline = []pipeline.Point{o[1], o[0], o[3], o[2]}
	}
	st.Mirrored = mirrored
	s.note(st)
	return st, nil
}

// note keeps the best match per element; of equal ones the first.
func (s *search) note(st sight) {
	keep := st.better
	switch e := st.ref.element; {
	case st.ref.neg:
		if keep(s.foreign) {
			s.foreign = st
		}
	case !st.ref.wantedAt(s.at):
		if keep(s.outdated) {
			s.outdated = st
		}
	case st.differs:
		if st.Inliers > s.differs[e].Inliers {
			s.differs[e] = st
		}
	case keep(s.best[e]):
		s.best[e] = st
	}
}
