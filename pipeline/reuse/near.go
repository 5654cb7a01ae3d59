package reuse

import "image"

// hashed is a hash of a whole picture or a part of it.
type hashed struct {
	bits Bits256
	form int
	part image.Rectangle // of the picture as it stands, in 255ths
}

// hashes are a clip's, apart by what they are compared with: every part with whole pictures only, because two parts that lie alike say no
// more than the whole pictures do, and each further comparison is one more chance to be alike by chance.
type hashes struct {
	full  []hashed // whole stills
	inner []hashed // what lies inside of borders and frames
	crops []hashed
}

// newHashes takes the hashes of a clip that say anything; in all eight forms for a query, as they stand otherwise.
func newHashes(f *Fingerprint, query bool) hashes {
	var h hashes
	last := 1
	if query {
		last = Forms
	}
	for i := range f.Stills {
		if s := &f.Stills[i]; s.Quality >= minQuality {
			for form := range last {
				h.full = append(h.full, hashed{s.PDQ[form], form, wholePicture})
			}
		}
	}
	for i := 0; i < len(f.Areas); {
		end, around := i, image.Rectangle{}
		for end < len(f.Areas) && f.Areas[end].Still == f.Areas[i].Still {
			around = around.Union(f.Areas[end].rect())
			end++
		}
		for ; i < end; i++ {
			a := &f.Areas[i]
			if a.Quality < minQuality {
				continue
			}
			to := &h.inner
			if isCrop(a.rect(), around) {
				to = &h.crops
			}
			for form := range last {
				*to = append(*to, hashed{a.PDQ.form(form), form, a.rect()})
			}
		}
	}
	return h
}

func (a *Area) rect() image.Rectangle {
	return image.Rect(int(a.Left), int(a.Top), int(a.Right), int(a.Bottom))
}

// isCrop says whether an area is one of the crops of the content.
func isCrop(r, content image.Rectangle) bool {
	for _, c := range areaCrops {
		if r == cropOf(content, c) {
			return true
		}
	}
	return false
}

// What a match of parts must be better by, in bits, than one of whole pictures: among so many more comparisons the best of unlike pictures
// comes nearer by chance (docs/fingerprint.md, "How they are compared", has the measurement).
const (
	innerPenalty = 6
	cropPenalty  = 12
)

// sight is what the hashes of two clips say.
type sight struct {
	distance int       // of the nearest pair in bits, the penalty of parts included; 257: nothing to compare
	whole    int       // of the nearest pair of whole pictures
	form     int       // of that pair
	over     Transform // the query's picture onto the earlier one's, if the nearest pair is right
}

// inPart says that parts of the pictures are so near that they show how the pictures lie over each other, and the whole ones are not.
func (s *sight) inPart() bool { return s.distance < s.whole && s.distance <= halfDistance }

// turns are the transforms that the hashes suggest, the most likely first; none where they say nothing.
func (s *sight) turns() []Transform {
	var out []Transform
	if s.inPart() {
		out = append(out, s.over)
	}
	if s.whole <= likelyHash {
		out = append(out, forms[s.form])
	}
	return out
}

// nearest finds the nearest pair of the query's hashes, in all forms, and an earlier clip's.
func (q *hashes) nearest(o hashes) sight {
	best := 257
	var at [2]*hashed
	try := func(a, b []hashed, penalty int) {
		if i, j, d := nearestPair(a, b, best-penalty); i >= 0 {
			best, at = d+penalty, [2]*hashed{&a[i], &b[j]}
		}
	}
	try(q.full, o.full, 0)
	s := sight{whole: best, over: identity}
	if at[0] != nil {
		s.form = at[0].form
	}
	try(q.inner, o.full, innerPenalty)
	try(q.full, o.inner, innerPenalty)
	try(q.inner, o.inner, innerPenalty)
	try(q.full, o.crops, cropPenalty)
	try(q.inner, o.crops, cropPenalty)
	try(q.crops, o.full, cropPenalty)
	try(q.crops, o.inner, cropPenalty)
	if s.distance = best; at[0] != nil {
		s.over = within(at[1].part).times(forms[at[0].form]).times(outOf(at[0].part))
	}
	return s
}

// within takes fractions of a part to fractions of the whole picture.
func within(part image.Rectangle) Transform {
	return Transform{float64(part.Dx()) / areaUnit, 0, float64(part.Min.X) / areaUnit, 0, float64(part.Dy()) / areaUnit, float64(part.Min.Y) / areaUnit, 0, 0, 1}
}

// outOf is the way back.
func outOf(part image.Rectangle) Transform {
	w, h := float64(part.Dx()), float64(part.Dy())
	return Transform{areaUnit / w, 0, -float64(part.Min.X) / w, 0, areaUnit / h, -float64(part.Min.Y) / h, 0, 0, 1}
}
