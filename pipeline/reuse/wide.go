package reuse

import (
	"context"

	"onsite/pipeline/reuse/index"
)

// Wide is a Known that also looks beyond what Candidates gives: at everything in its scope, by the hashes of the stills.
type Wide interface {
	Known
	// Alike gives earlier footage with near-identical stills that is not among what is known already, the most alike first.
	Alike(ctx context.Context, f *Fingerprint, known []Candidate) ([]Candidate, error)
}

// Frames are the hashes by which a fingerprint is found among very many: those of stills that say something, each once.
func (f *Fingerprint) Frames() []index.Frame {
	var out []index.Frame
	seen := map[Bits256]bool{}
	for i := range f.Stills {
		s := &f.Stills[i]
		if h := s.PDQ[AsIs]; s.Quality >= minQuality && !seen[h] {
			seen[h] = true
			out = append(out, index.Frame{AtMS: uint32(s.PTS.Milliseconds()), Hash: index.Hash(h)})
		}
	}
	return out
}

// Asked are the same stills as questions: as they stand and mirrored left to right, or in all eight forms.
func (f *Fingerprint) Asked(every bool) []index.Asked {
	forms := []int{AsIs, FlipY}
	if every {
		forms = []int{AsIs, FlipY, Rotate90, Rotate180, Rotate270, FlipX, FlipPlus, FlipMinus}
	}
	var out []index.Asked
	for i := range f.Stills {
		s := &f.Stills[i]
		if s.Quality < minQuality {
			continue
		}
		a := index.Asked{AtMS: uint32(s.PTS.Milliseconds())}
		for _, form := range forms {
			a.Forms = append(a.Forms, index.Hash(s.PDQ[form]))
		}
		out = append(out, a)
	}
	return out
}
