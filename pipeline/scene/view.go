package scene

import (
	"context"
	"fmt"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

const (
	// objectFrames bounds how many frames objects are looked for in; the search stops at the first that has all of them.
	objectFrames = 4
	// sureObject is the score from which an object counts as seen, doubtObject that from which it may be. The detectors were not trained on
	// offices of ours: a chessboard scored .79 as a laptop.
	sureObject, doubtObject = 0.5, 0.3
	surePerson              = 0.4 // people are what both detectors know best
)

// sureAt is the score from which an element counts as seen.
func sureAt(e Element) float64 {
	if e == Person {
		return surePerson
	}
	return sureObject
}

// objectsOf lists what shows an element without any reference.
var objectsOf = map[Element][]string{
	Screen: {ObjectScreen, ObjectLaptop}, // a laptop has one
	Person: {ObjectPerson},
}

// object is the best sight of an element by an object detector.
type object struct {
	Object
	frame media.Frame
}

// objects looks for what no reference shows: cheap detector first, frame by frame, until every wanted element is seen.
func (s *search) objects(ctx context.Context, picks []media.Frame, want []Element) error {
	var open []Element
	for _, e := range want {
		if known := e == Person && s.cfg.People > 0; objectsOf[e] != nil && !known {
			open = append(open, e)
		}
	}
	if len(open) == 0 {
		return nil
	}
	for _, pass := range []Want{{Office: true}, {Scene: true}} {
		for _, f := range picks[:min(len(picks), objectFrames)] {
			missing := false
			for _, e := range open {
				missing = missing || s.object[e].Score < sureAt(e)
			}
			if !missing {
				return nil
			}
			m, err := s.measure(ctx, f, pass)
			if err != nil {
				return fmt.Errorf("look for objects: %w", err)
			}
			for _, o := range m.Objects {
				for _, e := range open {
					for _, class := range objectsOf[e] {
						if o.Class == class && o.Score > s.object[e].Score {
							s.object[e] = object{o, f}
						}
					}
				}
			}
			if pass.Scene { // the dear one: the sharpest frame alone
				break
			}
		}
	}
	return nil
}

// see notes that a frame was looked at.
func (s *search) see(f media.Frame) {
	for _, l := range s.looked {
		if l.Index == f.Index {
			return
		}
	}
	s.looked = append(s.looked, f)
}

// objectSeen is the outcome of an element that objects show. Not finding one is no finding: detectors miss much.
func (s *search) objectSeen(e Element) Seen {
	if e == Person && s.cfg.People > 0 {
		return Seen{Element: e, Means: ByFace, Outcome: pipeline.Pass, Score: float64(s.cfg.People), Threshold: 1, Sure: High}
	}
	out := Seen{Element: e, Means: ByObject, Threshold: sureAt(e), Outcome: pipeline.Uncertain, Why: WhyAngle}
	o := s.object[e]
	switch {
	case len(s.measures) == 0:
		return Seen{Element: e, Outcome: pipeline.NotChecked, Why: WhyNoFrames}
	case o.Score >= sureAt(e):
		out.Outcome, out.Why, out.Sure = pipeline.Pass, "", Medium
	case o.Score >= doubtObject:
		out.Why, out.Sure = WhyNearly, Low
	}
	if out.Score = o.Score; o.Score >= doubtObject {
		out.Object = o.Class
		out.Keyframe, out.AtMS = when(o.frame)
		box := o.Box
		out.Box = &box
	}
	return out
}
