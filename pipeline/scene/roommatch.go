package scene

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"onsite/models"
)

// roomMatcher compares pictures with the photos of one site's rooms. It is made once and only read.
//
// The cosine of two scene embeddings lies between .85 and .99 for nearly all pairs of pictures, and how high it is for strangers depends on
// both pictures: an empty wall is like many walls. So each cosine is taken between vectors from which the background's mean is
// subtracted, and then measured in deviations above what the same references reach with pictures of other places, and what the same
// picture reaches with photos of other places; the score is the mean of both (symmetric score normalisation, Shum et al. 2010, as in
// speaker verification).
type roomMatcher struct {
	model string
	mean  []float32   // of the background
	refs  [][]float32 // centred, length 1
	other [][]float32 // photos of other places that the site names, centred, length 1
	back  [][]float32 // the background, centred, length 1
	self  usual       // what the references reach with the background

	leftOut leftOut
}

// leftOut counts the rooms of the company's other sites that are not in the background.
type leftOut struct {
	OtherModel int `json:"other_model,omitempty"` // another scene model looked at them: the site is to be written again
	Twins      int `json:"twins,omitempty"`       // the site's own rooms, under another site (twinRoom)
}

// with gives a matcher with the rooms of other sites in the background, made from the same vectors. Twins of the references stay out: they
// would make the site's own look usual.
func (m *roomMatcher) with(around Background, refs, other []models.Vector, b Background) (*roomMatcher, error) {
	if len(around.Vectors) == 0 {
		return m, nil
	}
	if around.Model != m.model {
		m.leftOut.OtherModel = len(around.Vectors)
		return m, nil
	}
	more := Background{Model: around.Model}
	for _, v := range around.Vectors {
		if err := m.fits(models.Vector{Model: around.Model, V: v}); err != nil {
			return nil, fmt.Errorf("rooms of the other sites: %w", err)
		}
		c := m.centre(v)
		if c == nil {
			continue // like the mean of all places: says nothing
		}
		if near, _ := nearestOf(c, m.refs); near < twinRoom {
			more.Vectors = append(more.Vectors, v)
		}
	}
	b, err := b.With(more)
	if err != nil {
		return nil, fmt.Errorf("rooms of the other sites: %w", err)
	}
	out, err := newRoomMatcher(refs, other, b)
	if err != nil {
		return nil, err
	}
	out.leftOut.Twins = len(around.Vectors) - len(more.Vectors)
	return out, nil
}

// usual is what is usual among strangers.
type usual struct{ mean, deviation float64 }

func (l usual) above(s float64) float64 { return (s - l.mean) / l.deviation }

// newRoomMatcher prepares the vectors of a site's room photos.
func newRoomMatcher(refs, other []models.Vector, b Background) (*roomMatcher, error) {
	if len(refs) == 0 {
		return nil, errors.New("match rooms: there are no references")
	}
	if err := b.validate(); err != nil {
		return nil, fmt.Errorf("match rooms: %w", err)
	}
	m := &roomMatcher{model: b.Model, mean: make([]float32, len(b.Vectors[0]))}
	for _, v := range b.Vectors {
		for i, x := range v {
			m.mean[i] += x / float32(len(b.Vectors))
		}
	}
	for _, v := range b.Vectors {
		c := m.centre(v)
		if c == nil {
			return nil, errors.New("match rooms: all pictures of the background are the same")
		}
		m.back = append(m.back, c)
	}
	for i, v := range slices.Concat(refs, other) {
		if err := m.fits(v); err != nil {
			return nil, err
		}
		c := m.centre(v.V)
		if c == nil {
			return nil, errors.New("match rooms: a reference is like the mean of all places")
		}
		if i < len(refs) {
			m.refs = append(m.refs, c)
		} else {
			m.other = append(m.other, c)
		}
	}
	scores := make([]float64, len(m.back))
	for i, v := range m.back {
		scores[i], _ = nearestOf(v, m.refs)
	}
	var err error
	m.self, err = usualOf(scores)
	return m, err
}

// fits refuses vectors of another model.
func (m *roomMatcher) fits(v models.Vector) error {
	if v.Model != m.model {
		return &OtherModelError{Want: m.model, Got: v.Model}
	}
	if len(v.V) != len(m.mean) {
		return fmt.Errorf("match rooms: a vector has %d values, the background has %d", len(v.V), len(m.mean))
	}
	return nil
}

func (m *roomMatcher) centre(v []float32) []float32 {
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = x - m.mean[i]
	}
	return unitLength(out)
}

// nearestOf is the highest cosine with any of refs, and which one; -1 without any.
func nearestOf(v []float32, refs [][]float32) (best float64, which int) {
	best = -1
	for i, r := range refs {
		if s := dot(v, r); s > best {
			best, which = s, i
		}
	}
	return best, which
}

func dot(a, b []float32) float64 {
	var s float64
	for i, x := range a {
		s += float64(x) * float64(b[i])
	}
	return s
}

// leastDeviation keeps a background of nearly equal pictures from making every score enormous; ours has .12 to .16.
const leastDeviation = .05

func usualOf(scores []float64) (usual, error) {
	var l usual
	for _, s := range scores {
		l.mean += s / float64(len(scores))
	}
	for _, s := range scores {
		l.deviation += (s - l.mean) * (s - l.mean) / float64(len(scores))
	}
	l.deviation = max(leastDeviation, math.Sqrt(l.deviation))
	if math.IsNaN(l.deviation) {
		return l, errors.New("match rooms: a vector holds what is no number")
	}
	return l, nil
}

// score says how many deviations above strangers a picture is like the nearest reference, and which one that is; not more than 0 when a
// photo of another place is nearer.
func (m *roomMatcher) score(v models.Vector) (float64, int, error) {
	if err := m.fits(v); err != nil {
		return 0, 0, err
	}
	c := m.centre(v.V)
	if c == nil {
		return 0, 0, nil
	}
	best, which := nearestOf(c, m.refs)
	strangers := make([]float64, len(m.back))
	for i, b := range m.back {
		strangers[i] = dot(c, b)
	}
	other, err := usualOf(strangers)
	if err != nil {
		return 0, 0, err
	}
	s := (m.self.above(best) + other.above(best)) / 2
	if elsewhere, _ := nearestOf(c, m.other); elsewhere > best {
		s = min(s, 0)
	}
	return s, which, nil
}
