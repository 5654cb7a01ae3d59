package reuse

import (
	"cmp"
	"fmt"
	"slices"
)

// Limits of the areas of a fingerprint.
const (
	areaStills    = 8  // stills whose areas are hashed, evenly spread
	areasPerStill = 10 // of one still at most
)

// areaUnit is the number of parts that a side of the picture has in an Area.
const areaUnit = 255

// Area is a part of a still's picture with its hash: the content without its borders, or one of a few overlapping crops. A copy that was
// cropped, padded or shown inside something else agrees with the earlier picture in some pair of such parts, where the whole pictures do
// not.
type Area struct {
	Still                    int   // which of Fingerprint.Stills
	Left, Top, Right, Bottom uint8 // of the picture as it stands, in 255ths of its sides; Right and Bottom lie outside of the area
	PDQ                      Bits256
	Quality                  int // 0..100, PDQ's
}

// rank orders areas, so that a fingerprint has one encoding.
func (a *Area) rank(b *Area) int {
	return cmp.Or(cmp.Compare(a.Still, b.Still), cmp.Compare(a.Left, b.Left), cmp.Compare(a.Top, b.Top), cmp.Compare(a.Right, b.Right), cmp.Compare(a.Bottom, b.Bottom))
}

// checkAreas says what areas cannot be stored: more than the limits, of stills that are not there, empty or doubled rectangles, out of
// order.
func (f *Fingerprint) checkAreas() error {
	stills, inStill := 0, 0
	for i := range f.Areas {
		a := &f.Areas[i]
		if i == 0 || f.Areas[i-1].Still != a.Still {
			stills, inStill = stills+1, 0
		}
		inStill++
		switch {
		case a.Still < 0 || a.Still >= len(f.Stills):
			return fmt.Errorf("area %d is of still %d of %d", i, a.Still, len(f.Stills))
		case a.Left >= a.Right || a.Top >= a.Bottom:
			return fmt.Errorf("area %d is empty: %d..%d x %d..%d", i, a.Left, a.Right, a.Top, a.Bottom)
		case a.Quality < 0 || a.Quality > 100:
			return fmt.Errorf("area %d has quality %d, want 0 to 100", i, a.Quality)
		case i > 0 && f.Areas[i-1].rank(a) >= 0:
			return fmt.Errorf("area %d is doubled or out of order", i)
		case stills > areaStills || inStill > areasPerStill:
			return fmt.Errorf("areas of %d stills, %d of one; at most %d stills with %d each are allowed", stills, inStill, areaStills, areasPerStill)
		}
	}
	return nil
}

func sortAreas(areas []Area) {
	slices.SortFunc(areas, func(a, b Area) int { return a.rank(&b) })
}

func encodeAreas(areas []Area) []byte {
	b := order.AppendUint16(nil, uint16(len(areas)))
	for i := range areas {
		a := &areas[i]
		b = append(b, uint8(a.Still), a.Left, a.Top, a.Right, a.Bottom)
		b = append(appendBits(b, a.PDQ), uint8(a.Quality))
	}
	return b
}

func readAreas(outer *reader, b []byte) []Area {
	r := reader{b: b, err: outer.err}
	n := r.count(areaStills * areasPerStill)
	var out []Area
	for range n {
		out = append(out, Area{Still: int(r.u8()), Left: r.u8(), Top: r.u8(), Right: r.u8(), Bottom: r.u8(), PDQ: r.bits(), Quality: int(r.u8())})
	}
	r.end()
	outer.err = r.err
	return out
}
