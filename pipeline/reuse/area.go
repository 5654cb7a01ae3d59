package reuse

import (
	"cmp"
	"fmt"
	"image"
	"math"
	"slices"
)

// Limits of the areas of a fingerprint.
const (
	areaStills    = 6  // stills whose areas are hashed, evenly spread
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

// areaCrops are the parts of the content that are hashed too: the middle 90 %, 80 % and 60 %, four corners of 80 %. PDQ itself bears crops
// of 3 % of a side.
var areaCrops = [][4]float64{{0.05, 0.05, 0.95, 0.95}, {0.1, 0.1, 0.9, 0.9}, {0, 0, 0.8, 0.8}, {0.2, 0, 1, 0.8}, {0, 0.2, 0.8, 1}, {0.2, 0.2, 1, 1}, {0.2, 0.2, 0.8, 0.8}}

// cropOf gives one of areaCrops of a rectangle in 255ths.
func cropOf(r image.Rectangle, c [4]float64) image.Rectangle {
	x := func(f float64) int { return r.Min.X + int(math.Round(f*float64(r.Dx()))) }
	y := func(f float64) int { return r.Min.Y + int(math.Round(f*float64(r.Dy()))) }
	return image.Rect(x(c[0]), y(c[1]), x(c[2]), y(c[3]))
}

var wholePicture = image.Rect(0, 0, areaUnit, areaUnit)

// hashAreas hashes the content and its crops in some stills of a clip; still says which of Fingerprint.Stills each plane is.
func hashAreas(planes []luma, still []int) []Area {
	if len(planes) == 0 {
		return nil
	}
	content, rects := contentAreas(planes)
	if content != wholePicture {
		rects = append(rects, content)
	}
	for _, c := range areaCrops {
		rects = append(rects, cropOf(content, c))
	}
	var out []Area
	for i, p := range planes {
		for k, r := range rects {
			if slices.Contains(rects[:k], r) {
				continue
			}
			part := image.Rect(r.Min.X*p.w/areaUnit, r.Min.Y*p.h/areaUnit, r.Max.X*p.w/areaUnit, r.Max.Y*p.h/areaUnit)
			if part.Dx() < minHashSide || part.Dy() < minHashSide {
				continue
			}
			small := p.sampled(part, tent)
			out = append(out, Area{Still: still[i], Left: uint8(r.Min.X), Top: uint8(r.Min.Y), Right: uint8(r.Max.X), Bottom: uint8(r.Max.Y), //nolint:gosec // G602: one for each plane
				PDQ: pdqBits(lowDCT(small, 64, 1, 16, cosines64)), Quality: pdqQuality(small)})
		}
	}
	sortAreas(out)
	return out
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
	out := slices.Grow([]Area(nil), n)
	for range n {
		out = append(out, Area{Still: int(r.u8()), Left: r.u8(), Top: r.u8(), Right: r.u8(), Bottom: r.u8(), PDQ: r.bits(), Quality: int(r.u8())})
	}
	r.end()
	outer.err = r.err
	return out
}
