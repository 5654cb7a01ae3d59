package scene

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

// measured is what the passes found on one frame so far.
type measured struct {
	frame media.Frame
	done  Want
	Features
}

// measures keeps what was measured on the frames of one check, so that no pass runs twice on a frame: objects, rooms and heads ask for
// overlapping things.
type measures []measured

// measure gives the features of a frame, running only the passes that did not run on it yet.
func (s *search) measure(ctx context.Context, f media.Frame, want Want) (Features, error) {
	if err := ctx.Err(); err != nil {
		return Features{}, err
	}
	m, ok := s.models.(FeatureModels)
	if !ok {
		return Features{}, errors.New("measure a frame: no models were given")
	}
	start := time.Now()
	defer func() { s.spent.Objects += time.Since(start) }()
	i := slices.IndexFunc(s.measures, func(d measured) bool { return d.frame.Index == f.Index })
	if i < 0 {
		i, s.measures = len(s.measures), append(s.measures, measured{frame: f})
	}
	d := &s.measures[i]
	left := Want{Office: want.Office && !d.done.Office, Scene: want.Scene && !d.done.Scene, Text: want.Text && !d.done.Text}
	got, err := NewExtractor(m).Features(ctx, f.Image, left)
	if err != nil {
		return Features{}, fmt.Errorf("frame %d: %w", f.Index, err)
	}
	if left.Office {
		d.done.Office, d.Office, d.OfficeMean = true, got.Office, got.OfficeMean
	}
	if left.Scene {
		d.done.Scene, d.COCO, d.COCOPool, d.Embedding, d.Model = true, got.COCO, got.COCOPool, got.Embedding, got.Model
	}
	if left.Text {
		d.done.Text, d.Text, d.TextPool = true, got.Text, got.TextPool
	}
	d.Objects = append(d.Objects, got.Objects...)
	if want.Office || want.Scene {
		s.see(f)
	}
	return d.Features, nil
}

// views gives the vectors of the frames that the scene embedder saw.
func (m measures) views() []View {
	var out []View
	for _, d := range m {
		if d.done.Scene {
			out = append(out, View{At: d.frame.PTS, Vector: models.Vector{V: d.Embedding, Model: d.Model}})
		}
	}
	return out
}

// Sighting is one class of objects in the frames that were measured.
type Sighting struct {
	Object   string       `json:"object"`
	Count    int          `json:"count"` // the most that one detector saw in one frame
	Score    float64      `json:"score"` // of the best one, 0..1
	Box      pipeline.Box `json:"box"`   // of the best one, pixels of the keyframe
	Keyframe *int         `json:"keyframe,omitempty"`
	AtMS     *int64       `json:"at_ms,omitempty"`
}

// sightings lists the objects of ObjectClasses that were seen, in that order. The two detectors' boxes are not added up: one chair that
// both see is one chair.
func (m measures) sightings() []Sighting {
	var out []Sighting
	for _, class := range ObjectClasses {
		s := Sighting{Object: class}
		for _, d := range m {
			count := map[models.Task]int{}
			for _, o := range d.Objects {
				if o.Class != class || o.Score < doubtObject {
					continue
				}
				count[o.By]++
				s.Count = max(s.Count, count[o.By])
				if o.Score > s.Score {
					s.Score, s.Box = o.Score, o.Box
					s.Keyframe, s.AtMS = when(d.frame)
				}
			}
		}
		if s.Count > 0 {
			out = append(out, s)
		}
	}
	return out
}
