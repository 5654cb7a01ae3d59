package head

import (
	"context"
	"fmt"
	"math"
	"slices"

	"onsite/models/manifest"
)

// The questions that have a head. There is none for a logo.
const (
	Storefront = "storefront"
	Desk       = "desk"
	Poster     = "poster"
	Text       = "text"
	Cafe       = "cafe"   // speaks against a claimed office
	Home       = "home"   // speaks against a claimed office or shop
	Street     = "street" // outdoors without a shop's front in view
)

// Names lists the heads, sorted.
func Names() []string { return []string{Cafe, Desk, Home, Poster, Storefront, Street, Text} }

// The groups of features, in the order in which they lie in the model's input.
const (
	GroupOffice    = "office"      // highest score per class of the office object detector, 0..1
	GroupMean      = "office_mean" // mean feature of the office object detector
	GroupCOCO      = "coco"        // highest score per COCO class, 0..1
	GroupCOCOPool  = "coco_pool"   // what the COCO object detector saw: means and spreads of its last map before the objects
	GroupEmbedding = "embedding"   // scene embedding, L2-normalised
	GroupText      = "text"        // geometry of the text boxes, in the order of TextShape.Values
	GroupTextPool  = "text_pool"   // what the text detector saw: means and spreads of a map in its middle
)

// Groups lists all groups in order.
func Groups() []string {
	return []string{GroupOffice, GroupMean, GroupCOCO, GroupCOCOPool, GroupEmbedding, GroupText, GroupTextPool}
}

// Input is what was measured on one picture. A nil slice was not measured: heads that need it give no vote.
type Input struct {
	Office     []float32
	OfficeMean []float32
	COCO       []float32
	COCOPool   []float32
	Embedding  []float32
	Text       []float32
	TextPool   []float32
}

// group gives the values of a group by name.
func (in Input) group(name string) []float32 {
	switch name {
	case GroupOffice:
		return in.Office
	case GroupMean:
		return in.OfficeMean
	case GroupCOCO:
		return in.COCO
	case GroupCOCOPool:
		return in.COCOPool
	case GroupEmbedding:
		return in.Embedding
	case GroupText:
		return in.Text
	case GroupTextPool:
		return in.TextPool
	}
	return nil
}

// Len is the number of values of a group.
func (in Input) Len(group string) int { return len(in.group(group)) }

// Vote is the answer of one head to one picture.
type Vote struct {
	Head      string
	P         float64 // calibrated probability that the answer is yes, 0..1, on a data set with as many yes as no
	Threshold float64 // P from which on Says is +1
	Says      int     // +1 yes with a margin, 0 cannot tell, -1 no with a margin
}

// Model runs the weights of all heads: the concatenated features in, one probability per head out, in the order of the manifest's
// outputs. models.Set is one.
type Model interface {
	SceneHeads(ctx context.Context, features []float32) ([]float32, error)
}

// Set is the heads of one model file. It is safe for concurrent use if its Model is.
type Set struct {
	model Model
	parts []manifest.Part
	size  int
	heads []one
}

// one is a head of a Set. Says is +1 from yes on, -1 up to no.
type one struct {
	name    string
	uses    []string
	yes, no float64
}

// New makes the Set of a model of task scene_head.
func New(m Model, man manifest.Manifest) (*Set, error) {
	s := &Set{model: m, parts: man.Input.Parts}
	for _, p := range s.parts {
		s.size += p.Size
	}
	for _, o := range man.Outputs {
		h := one{name: o.Name, uses: o.Uses}
		var ok [2]bool
		h.yes, ok[0] = man.Threshold(o.Name + "_yes")
		h.no, ok[1] = man.Threshold(o.Name + "_no")
		if !ok[0] || !ok[1] || h.no > h.yes {
			return nil, fmt.Errorf("open scene heads %s %s: thresholds: %s_yes and %s_no must be there, and no must not be above yes", man.Name, man.Version, o.Name, o.Name)
		}
		s.heads = append(s.heads, h)
	}
	return s, nil
}

// Names lists the heads of the Set in the order of its manifest.
func (s *Set) Names() []string {
	out := make([]string, len(s.heads))
	for i, h := range s.heads {
		out[i] = h.name
	}
	return out
}

// Uses lists the groups of features that the named heads need (nil: all heads), in the order of Groups.
func (s *Set) Uses(names ...string) []string {
	var out []string
	for _, g := range Groups() {
		if slices.ContainsFunc(s.heads, func(h one) bool {
			return (len(names) == 0 || slices.Contains(names, h.name)) && slices.Contains(h.uses, g)
		}) {
			out = append(out, g)
		}
	}
	return out
}

// Score asks every head whose features were measured. A group of the wrong length is an error: it was made by another model.
func (s *Set) Score(ctx context.Context, in Input) (map[string]Vote, error) {
	x := make([]float32, 0, s.size)
	have := map[string]bool{}
	for _, p := range s.parts {
		v := in.group(p.Name)
		if v == nil {
			x = append(x, make([]float32, p.Size)...)
			continue
		}
		if len(v) != p.Size {
			return nil, fmt.Errorf("ask the scene heads: %s has %d values, the heads were trained on %d; the model that makes them was swapped: train the heads again (onsite scene train)", p.Name, len(v), p.Size)
		}
		have[p.Name] = true
		x = append(x, v...)
	}
	p, err := s.model.SceneHeads(ctx, x)
	if err != nil {
		return nil, fmt.Errorf("ask the scene heads: %w", err)
	}
	if len(p) != len(s.heads) {
		return nil, fmt.Errorf("ask the scene heads: the model gave %d values for %d heads", len(p), len(s.heads))
	}
	votes := map[string]Vote{}
	for i, h := range s.heads {
		if slices.ContainsFunc(h.uses, func(g string) bool { return !have[g] }) {
			continue
		}
		votes[h.name] = h.vote(float64(p[i]))
	}
	return votes, nil
}

func (h one) vote(p float64) Vote {
	v := Vote{Head: h.name, P: p, Threshold: h.yes}
	switch {
	case math.IsNaN(p): // says nothing
	case p >= h.yes:
		v.Says = 1
	case p <= h.no:
		v.Says = -1
	}
	return v
}
