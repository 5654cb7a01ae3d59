package scene

import (
	"context"
	"image"
	"math"
	"slices"

	"onsite/pipeline/media"
)

// readPoster reads the poster that was found, in its frame's full resolution, and notes its dates and prices.
func (s *search) readPoster(ctx context.Context) error {
	b := s.best[Poster]
	box := boundsOf(b.Outline, b.frame.Image.Cols(), b.frame.Image.Rows())
	if s.models == nil || box.W < smallestCrop || box.H < smallestCrop {
		return nil
	}
	part := b.frame.Image.Region(image.Rect(box.X, box.Y, box.X+box.W, box.Y+box.H))
	defer part.Close()
	r := &reader{models: s.models, limit: s.cfg.TextLines, mirrored: b.Mirrored, straight: !b.Mirrored}
	side := int(math.Min(float64(s.cfg.TextSide), enlarge*float64(max(box.W, box.H))))
	words, err := r.read(ctx, media.Frame{Index: b.frame.Index, PTS: b.frame.PTS, Image: part}, side)
	s.spent.Reads += r.reads
	if err != nil {
		return err
	}
	for i := range words {
		w := &words[i]
		w.Outline = slices.Clone(w.Outline)
		for j := range w.Outline {
			w.Outline[j].X += float64(box.X)
			w.Outline[j].Y += float64(box.Y)
		}
		w.Box.X += box.X
		w.Box.Y += box.Y
		w.line.cx += float64(box.X)
		w.line.cy += float64(box.Y)
	}
	s.words = append(s.words, words...)
	s.periods, s.prices = printOf(words)
	return nil
}

// over gives a period of the poster that has ended at the time, where all that have an end are over; one that says when it ends comes first.
func (s *search) over() (Period, bool) {
	var ended Period
	found := false
	for _, p := range s.periods {
		if p.To == (day1{}) { // since when it hangs says nothing about how long
			continue
		}
		if _, over := p.holds(s.at); !over {
			return Period{}, false
		}
		if !found || (p.Sure && !ended.Sure) {
			ended, found = p, true
		}
	}
	return ended, found && !s.at.IsZero()
}
