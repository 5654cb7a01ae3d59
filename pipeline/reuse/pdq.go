package reuse

import "onsite/models"

// PDQ is Facebook's 256-bit photo hash ("The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm", 2019; reference
// program github.com/facebook/ThreatExchange, pdq/cpp): brightness, Jarosz tent filter, 64 x 64 samples, DCT, the 16 x 16 coefficients
// of frequencies 1..16, one bit each for "greater than the median". Quality 0..100 counts steps of brightness in the 64 x 64 picture.
type PDQ struct{}

// Name is pdq.
func (PDQ) Name() string { return "pdq" }

// Hash hashes one picture as it stands.
func (PDQ) Hash(v models.Image) (Hash, error) {
	all, quality, err := PDQVariants(v)
	if err != nil {
		return Hash{}, err
	}
	return Hash{Kind: "pdq", Bits: 256, Words: all[0], Quality: quality}, nil
}

// The mirrored and rotated forms of a picture, in the order of PDQVariants. The comment says where the point (x, y) of the picture, as
// fractions 0..1, lies in the form.
const (
	AsIs      = iota // (x, y)
	Rotate90         // (y, 1-x): a quarter turn against the clock
	Rotate180        // (1-x, 1-y)
	Rotate270        // (1-y, x): a quarter turn with the clock
	FlipX            // (x, 1-y): upside down
	FlipY            // (1-x, y): mirrored left to right
	FlipPlus         // (y, x): along the falling diagonal
	FlipMinus        // (1-y, 1-x): along the rising diagonal
	Forms            // how many there are
)

// PDQVariants gives the hashes of the eight mirrored and rotated forms from one DCT, and the quality. A mirror image changes the sign of
// the odd frequencies of its axis, a transposition swaps the axes; frequencies here start at 1, so index 0 is odd.
func PDQVariants(v models.Image) ([Forms]Bits256, int, error) {
	l, err := toLuma(nil, v, hashKeepSide)
	if err != nil {
		return [Forms]Bits256{}, 0, err
	}
	all, quality := pdqVariants(l)
	return all, quality, nil
}

func pdqVariants(l luma) ([Forms]Bits256, int) {
	small := l.sample(tent)
	return pdqForms(lowDCT(small, 64, 1, 16, cosines64)), pdqQuality(small)
}

// The forms that differ by a transposition only: their coefficients are the same, so the median is.
var transposed = [4]struct {
	turnX, turnY bool // which axis is mirrored: the sign of its even indexes changes
	plain, swap  int
}{{false, false, AsIs, FlipPlus}, {true, false, FlipY, Rotate90}, {false, true, FlipX, Rotate270}, {true, true, Rotate180, FlipMinus}}

// pdqForms gives the hashes of the eight forms from the 16 x 16 coefficients.
func pdqForms(a []float32) (out [Forms]Bits256) {
	var b [256]float32
	for _, f := range transposed {
		for i, c := range a {
			if f.turnX && i%2 == 0 {
				c = -c
			}
			if f.turnY && i/16%2 == 0 {
				c = -c
			}
			b[i] = c
		}
		out[f.plain] = pdqBits(b[:])
		out[f.swap] = out[f.plain].transpose()
	}
	return out
}

// transpose exchanges rows and columns of the 16 x 16 bits.
func (b Bits256) transpose() (t Bits256) {
	for i := range 256 {
		t[3-i%16/4] |= b[3-i/64] >> (i % 64) & 1 << (i%16*16%64 + i/16)
	}
	return t
}

// Bits of the even columns, and of the even rows, of one word of a PDQ hash (4 rows of 16).
const (
	evenColumns = 0x5555555555555555
	evenRows    = 0x0000ffff0000ffff
)

// form gives the hash of a mirrored and rotated form from the hash of the picture as it stands. The median of coefficients is taken as
// zero, which is wrong for 5 bits on average (20 at most, of 212 photos); where the coefficients are at hand, pdqForms is exact.
func (b Bits256) form(form int) Bits256 {
	for _, f := range transposed {
		if form != f.plain && form != f.swap {
			continue
		}
		for i := range b {
			if f.turnX {
				b[i] ^= evenColumns
			}
			if f.turnY {
				b[i] ^= evenRows
			}
		}
		if form == f.swap {
			return b.transpose()
		}
	}
	return b
}

// pdqBits sets bit i where coefficient i is above the median (the lower middle one of the 256); bit 255 is printed first.
func pdqBits(c []float32) Bits256 {
	median := kthOf(c, 256/2-1)
	var b Bits256
	for i, v := range c {
		if v > median {
			b[3-i/64] |= 1 << (i % 64)
		}
	}
	return b
}

// pdqQuality sums the brightness steps between neighbours of the 64 x 64 picture, each cut to whole percent so that small ones do not
// count, divided by 90 and at most 100 (pdqImageDomainQualityMetric of the reference).
func pdqQuality(p []float32) int {
	sum := 0
	step := func(u, v float32) {
		d := int((u - v) * 100 / 255)
		sum += max(d, -d)
	}
	for y := range 64 {
		for x := range 64 {
			if y < 63 {
				step(p[y*64+x], p[(y+1)*64+x])
			}
			if x < 63 {
				step(p[y*64+x], p[y*64+x+1])
			}
		}
	}
	return min(100, sum/90)
}

// jarosz gives the 64 samples of n after two box filters of width ceil(n/128), each averaging over what lies inside the picture
// (Wojciech Jarosz, "Fast Image Convolutions", 2001). Only the sampled outputs are computed, which equals filtering everything.
func jarosz(n int) []taps {
	width := (n + 127) / 128
	ahead := (width + 2) / 2 // of the width samples, ahead-1 lie behind the centre
	box := func(i int) (from, to int) { return max(0, i+ahead-width), min(n, i+ahead) }
	out := make([]taps, 64)
	for i := range out {
		from, to := box((2*i + 1) * n / 128)
		start, _ := box(from)
		_, end := box(to - 1)
		w := make([]float32, end-start)
		for j := from; j < to; j++ {
			f, t := box(j)
			for k := f; k < t; k++ {
				w[k-start] += 1 / float32((to-from)*(t-f))
			}
		}
		out[i] = taps{start, w}
	}
	return out
}
