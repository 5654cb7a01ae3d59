package authenticity

import "slices"

// frozen is a stretch in which the picture stands still while the rest of the clip moves.
type frozen struct{ from, to float64 } // seconds

func (f *frozen) seconds() float64 { return f.to - f.from }

const (
	// frozenStep is the largest change of any cell (4 x 4 pixels of 160, grey levels) between two pictures of a frozen stretch: re-encoded
	// copies of one picture stay below it, while honest clips pass it within 0.7 s (the longest of 42, a nearly empty room).
	frozenStep = 0.6
	// frozenPart is the part of the usual step of the rest of the clip that half of the steps of a frozen stretch must stay below, within the bounds
	// frozenLeast and frozenMost (grey levels): the coder sends nothing for an equal picture, or for a while a little to refine it.
	frozenPart, frozenLeast, frozenMost = 0.15, 0.1, 0.35
	// frozenDrift is the largest change of any cell between two parts of one frozen stretch: a key frame sets the coding noise anew.
	frozenDrift = 2.0
	// movingStep is what a quarter of the steps in the rest of the clip must exceed, so that a stretch of it can be called frozen.
	movingStep = 0.6
)

// standing is what stands still in a clip.
type standing struct {
	longest frozen  // zero when there is none, or when the rest of the clip hardly moves either
	share   float64 // of the clip's time that stands still, in stretches of at least slide
}

// slide is the shortest stretch, in seconds, that counts as one picture of a slide show.
const slide = 0.9

// findFrozen looks for stretches in which the picture stands still.
func (s *series) findFrozen() standing {
	n := s.n()
	if n < 3 {
		return standing{}
	}
	steps := make([]float64, n-1)
	for i := range steps {
		steps[i] = s.change(i, i+1)
	}
	var out standing
	bestFrom, bestTo := 0, 0
	for i := 0; i < n-1; {
		if steps[i] > frozenStep {
			i++
			continue
		}
		j := s.runFrom(steps, i)
		f := frozen{s.t[i], s.t[j]}
		if f.seconds() < slide || quantile(steps[i:j], 0.5) > frozenLimit(append(slices.Clone(steps[:i]), steps[j:]...)) {
			i += max(1, (j-i)/8) // a stretch that began too early fails on its median; a later start finds its frozen part
			continue
		}
		out.share += f.seconds() / s.dur()
		if f.seconds() > out.longest.seconds() {
			out.longest, bestFrom, bestTo = f, i, j
		}
		i = j + 1
	}
	rest := append(slices.Clone(steps[:bestFrom]), steps[bestTo:]...)
	if len(rest) < 3 || quantile(rest, 0.75) < movingStep {
		out.longest = frozen{}
	}
	return out
}

// frozenLimit is what half of the steps of a frozen stretch must stay below, by the steps of the rest of the clip, of which there may be none.
func frozenLimit(rest []float64) float64 {
	if len(rest) == 0 {
		return frozenLeast
	}
	return min(max(frozenPart*quantile(rest, 0.5), frozenLeast), frozenMost)
}

// runFrom gives the last picture of the stretch that starts with picture i: small steps, and single larger ones after which the picture
// stands still again and is still the same.
func (s *series) runFrom(steps []float64, i int) int {
	j := i
	for j < len(steps) {
		switch {
		case s.gap(j):
			return j
		case steps[j] <= frozenStep && s.change(i, j+1) <= frozenDrift:
			j++
		case j+1 < len(steps) && steps[j+1] <= frozenStep && s.change(i, j+2) <= frozenDrift:
			j += 2
		default:
			return j
		}
	}
	return j
}

// change is the largest change of any cell between two pictures, grey levels.
func (s *series) change(i, j int) float64 {
	a, b := s.picture(i), s.picture(j)
	var most float32
	for k := range a {
		d := a[k] - b[k]
		if d < 0 {
			d = -d
		}
		if d > most {
			most = d
		}
	}
	return float64(most)
}
