package reuse

import (
	"math"

	"onsite/models"
)

// PHash64 is the DCT perceptual hash of 64 bits, the same algorithm and written form as goimagehash's PerceptionHash
// (github.com/corona10/goimagehash, after Hacker Factor's "Looks Like It", 2011): 64 x 64 bilinear, DCT-II, the lowest 8 x 8
// coefficients, one bit each for "greater than the median", row by row from the most significant bit on.
type PHash64 struct{}

// Name is phash64.
func (PHash64) Name() string { return "phash64" }

// Hash hashes one picture.
func (PHash64) Hash(v models.Image) (Hash, error) {
	l, err := toLuma(nil, v, hashKeepSide)
	if err != nil {
		return Hash{}, err
	}
	return Hash{Kind: "phash64", Bits: 64, Words: Bits256{phash(l, 8)[0]}, Quality: 100}, nil
}

// PHash256 is the same with 256 x 256 pixels and 16 x 16 coefficients, as goimagehash's ExtPerceptionHash with size 16.
type PHash256 struct{}

// Name is phash256.
func (PHash256) Name() string { return "phash256" }

// Hash hashes one picture.
func (PHash256) Hash(v models.Image) (Hash, error) {
	l, err := toLuma(nil, v, hashKeepSide)
	if err != nil {
		return Hash{}, err
	}
	return Hash{Kind: "phash256", Bits: 256, Words: phash(l, 16), Quality: 100}, nil
}

// hashKeepSide is how many pixels the shorter side keeps before hashing: no less than the largest hash input (256).
const hashKeepSide = 256

var (
	cosines64  = cosineTable(64, 17)
	cosines256 = cosineTable(256, 16)
)

// cosineTable holds cos(pi/n (i+1/2) f) for f in 0..freqs-1, i in 0..n-1, row-major by f.
func cosineTable(n, freqs int) []float32 {
	t := make([]float32, n*freqs)
	for f := range freqs {
		for i := range n {
			t[f*n+i] = float32(math.Cos(math.Pi / float64(n) * (float64(i) + 0.5) * float64(f)))
		}
	}
	return t
}

// phash hashes with side x side coefficients, side 8 or 16.
func phash(l luma, side int) Bits256 {
	n, table, kernel := 64, cosines64, triangle64
	if side == 16 {
		n, table, kernel = 256, cosines256, triangle256
	}
	c := lowDCT(l.sample(kernel), n, 0, side, table)
	median := median(c)
	var b Bits256
	for i, v := range c {
		if v > median {
			b[i/64] |= 1 << (63 - i%64)
		}
	}
	return b
}

// triangle is bilinear resampling of n samples to m with a triangle that widens when shrinking, as github.com/nfnt/resize (which
// goimagehash uses) does; weights beyond the edge go to the edge sample.
func triangle(n, m int) []taps {
	scale := float64(n) / float64(m)
	wide := max(scale, 1)
	out := make([]taps, m)
	for i := range out {
		centre := (float64(i)+0.5)*scale - 0.5
		lo, hi := int(math.Ceil(centre-wide)), int(math.Floor(centre+wide))
		from, to := max(lo, 0), min(hi, n-1)
		w := make([]float32, to-from+1)
		var sum float64
		for j := lo; j <= hi; j++ {
			v := max(0, 1-math.Abs(float64(j)-centre)/wide)
			w[min(max(j, from), to)-from] += float32(v)
			sum += v
		}
		for j := range w {
			w[j] /= float32(sum)
		}
		out[i] = taps{from, w}
	}
	return out
}
