package authenticity

import "math"

// Compare says how much two grey pictures of w x h pixels (row-major, 0..255) differ beyond noise: as they are, and after the second was registered to
// the first by gain, offset and an affine map or a homography, whichever explains more. The unit is that of Config.StillLimit: about 1 is
// noise alone. The pictures lie nearly on each other already, within a tenth of their size. It is the same measure that finds still
// pictures, for a part of the picture such as a face.
func Compare(a, b []byte, w, h int) (raw, registered float64) {
	const least = 32 // pixels a side: below it a quarter of the picture has no blocks left
	if w < least || h < least || len(a) < w*h || len(b) < w*h {
		return math.NaN(), math.NaN()
	}
	tmp := make([]float32, w*h)
	pa, pb := newPyramid(a, w, h, tmp), newPyramid(b, w, h, tmp)
	s := comparePair(&pa, &pb, identity(), DefaultConfig().StillLimit)
	return s.raw, s.moved
}
