package scene

import (
	"fmt"

	"gocv.io/x/gocv"

	"onsite/pipeline"
)

const (
	// sameDesign is how many places of two references must agree for one to be looked for in the other.
	sameDesign = 12
	// nearlySame is the share of differing parts up to which two references show the same thing: print and paper differ more.
	nearlySame = 0.02
	// rivalLead is by how much a reference must correlate better than its rival, where the two differ, to be the one in view.
	rivalLead = 0.1
)

// rival is another reference of the same design. differ are the tiles of the owner's patch in which the two differ.
type rival struct {
	index  int // in Site.refs
	differ map[[2]int]bool
}

// compare looks for references of one design, and says which cannot be told apart. at gives each reference's place in the site file.
func (s *Site) compare(at []int) ([]Problem, error) {
	var problems []Problem
	for i := range s.refs {
		for j := range s.refs {
			a, b := &s.refs[i], &s.refs[j]
			if i == j || !comparable(a, b) {
				continue
			}
			m := matchPlane(&a.plain, &b.plain, a.w, a.h, reprojectionPixels*max(1, max(b.w, b.h)/referenceSide))
			if m.Inliers < sameDesign {
				continue
			}
			c, err := contentIn(a, b, m.hom)
			if err != nil {
				return nil, err
			}
			if !c.enough() {
				continue
			}
			if c.share() <= nearlySame && c.Mean >= confirmMean {
				if j < i && opposed(a, b) {
					problems = append(problems, nearly(a, b, at[i]))
				}
				continue
			}
			r := rival{index: j, differ: map[[2]int]bool{}}
			for _, t := range c.tiles {
				if t.state == tileOther {
					r.differ[[2]int{t.x, t.y}] = true
				}
			}
			if len(r.differ) > 0 {
				a.rivals = append(a.rivals, r)
			}
		}
	}
	return problems, nil
}

// comparable: posters among each other, and what shows another place with everything else.
func comparable(a, b *reference) bool {
	return (a.element == Poster && b.element == Poster) || a.neg != b.neg
}

// opposed tells whether it matters which of the two is in view: one speaks for the place and one against it, or they hang at other times.
func opposed(a, b *reference) bool {
	return a.neg != b.neg || a.here != b.here || !a.from.Equal(b.from) || !a.to.Equal(b.to)
}

func nearly(a, b *reference, at int) Problem {
	return Problem{Trouble: Alike, Field: fmt.Sprintf("references[%d].photo", at), Value: clip(a.name), Text: pipeline.Text{
		EN: fmt.Sprintf("this %s is nearly the same as %q: nobody could tell which of the two is in view; leave one out, or crop both to where they differ", a.element, b.name),
		ZH: fmt.Sprintf("该%s与“%s”几乎相同，无法区分画面中是哪一张；请删除其中一张，或将两张都裁剪到不同之处", namesZH[a.element], b.name)}}
}

// contentIn compares a reference with another one's picture; hom maps a into b.
func contentIn(a, b *reference, hom [9]float64) (content, error) {
	raw := make([]byte, len(b.patch.pix))
	for i, v := range b.patch.pix {
		raw[i] = byte(v + .5)
	}
	m, err := gocv.NewMatFromBytes(b.patch.h, b.patch.w, gocv.MatTypeCV8UC1, raw)
	if err != nil {
		return content{}, fmt.Errorf("look at reference %q: %w", b.name, err)
	}
	defer m.Close()
	for i := range 6 { // into pixels of b's patch
		hom[i] /= b.patch.scale
	}
	return contentOf(a.patch, m, hom)
}

// place is where a tile lies in the reference as it was enrolled.
func (s sight) place(t tile) [2]int {
	if !s.Mirrored {
		return [2]int{t.x, t.y}
	}
	x := s.ref.patch.w - tileSide - t.x
	return [2]int{(x + tileSide/2) / tileSide * tileSide, t.y}
}

// rivals decides between a poster that hangs now and one of the same design that does not, by the tiles in which the two differ.
func (s *search) rivals() {
	b, o := s.best[Poster], s.outdated
	if !b.found || !o.found {
		return
	}
	rivals, ours, n := b.apart(o, s.site.refs)
	against, theirs, m := o.apart(b, s.site.refs)
	if !rivals && !against {
		return
	}
	lead := 0.0 // where somebody stands before all that differs, nothing leads
	if n > 0 && m > 0 {
		lead = ours/float64(n) - theirs/float64(m)
	}
	switch {
	case lead < -rivalLead: // it is the other one
		delete(s.best, Poster)
	case lead < rivalLead: // it could be either
		b.found, b.differs = false, true
		s.differs[Poster] = b
		delete(s.best, Poster)
		s.outdated = sight{}
	default:
		s.outdated = sight{}
	}
}

// apart sums the correlations of the n tiles in view in which a sight's reference differs from that of another one; rival is false where the
// two have no design in common.
func (s sight) apart(other sight, refs []reference) (rival bool, sum float64, n int) {
	for _, r := range s.ref.rivals {
		if &refs[r.index] != other.ref {
			continue
		}
		rival = true
		for _, t := range s.content.tiles {
			if r.differ[s.place(t)] && t.state != tileHidden {
				sum += t.r
				n++
			}
		}
	}
	return rival, sum, n
}
