package reuse

import "gonum.org/v1/gonum/blas/blas32"

// taps is one output sample of a linear resampling: weights over neighbouring inputs from start on.
type taps struct {
	start int
	w     []float32
}

// blocked turns taps over n pixels into taps over blocks of k pixels: each block gets the sum of its pixels' weights.
func blocked(full []taps, k, n int) []taps {
	if k == 1 {
		return full
	}
	last := n/k - 1
	out := make([]taps, len(full))
	for i, t := range full {
		from := min(t.start/k, last)
		w := make([]float32, min((t.start+len(t.w)-1)/k, last)-from+1)
		for j, v := range t.w {
			w[min((t.start+j)/k, last)-from] += v
		}
		out[i] = taps{from, w}
	}
	return out
}

// kernel is a way to resample a side of the picture.
type kernel struct {
	name string
	make func(n int) []taps // for a side of n pixels
}

var (
	tent        = kernel{"tent", jarosz}
	triangle64  = kernel{"triangle64", func(n int) []taps { return triangle(n, 64) }}
	triangle256 = kernel{"triangle256", func(n int) []taps { return triangle(n, 256) }}
)

// kernels are those that were made already. The stills of a clip are of one size, and making them costs as much as using them.
type kernels map[kernelOf][]taps

type kernelOf struct {
	name    string
	full, k int
}

// taps gives a kernel for a side of the picture that has full pixels.
func (l luma) taps(c kernel, full int) []taps {
	key := kernelOf{c.name, full, l.k}
	if t, ok := l.known[key]; ok {
		return t
	}
	t := blocked(c.make(full), l.k, full)
	if l.known != nil {
		l.known[key] = t
	}
	return t
}

// sample resamples the picture with a kernel.
func (l luma) sample(c kernel) []float32 {
	return resample(l, l.w, l.taps(c, l.fullW), l.taps(c, l.fullH))
}

// resample applies separable resampling: kx gives the output columns, ky the output rows. The result is len(ky) x len(kx), row-major. Each
// output is the sum of its taps in their order, so that the result does not depend on how many are computed at once. stride is from one row of the
// picture to the next.
func resample(in luma, stride int, kx, ky []taps) []float32 {
	mid := spare(in.h * len(kx))
	defer mid.free()
	for y := 0; y < in.h; y += 4 {
		columns(mid.v, in.p, y, in.w, stride, in.h, kx)
	}
	out := make([]float32, len(ky)*len(kx))
	for y, k := range ky {
		for i, w := range k.w {
			axpy(w, mid.v[(k.start+i)*len(kx):(k.start+i+1)*len(kx)], out[y*len(kx):(y+1)*len(kx)])
		}
	}
	return out
}

// columns resamples four rows from y on: the sums of one row alone would wait for each other. Where fewer are left, the last is made again.
func columns(out, in []float32, y, w, stride, h int, kernel []taps) {
	var src, dst [4][]float32
	for j := range src {
		at := min(y+j, h-1)
		src[j], dst[j] = in[at*stride:at*stride+w], out[at*len(kernel):(at+1)*len(kernel)]
	}
	for x, k := range kernel {
		n := len(k.w)
		a, b, c, d := src[0][k.start:][:n], src[1][k.start:][:n], src[2][k.start:][:n], src[3][k.start:][:n]
		var s0, s1, s2, s3 float32
		for i, w := range k.w {
			s0 += w * a[i]
			s1 += w * b[i]
			s2 += w * c[i]
			s3 += w * d[i]
		}
		dst[0][x], dst[1][x], dst[2][x], dst[3][x] = s0, s1, s2, s3
	}
}

// axpy adds a multiple of src to dst.
func axpy(w float32, src, dst []float32) {
	blas32.Axpy(w, blas32.Vector{N: len(src), Data: src, Inc: 1}, blas32.Vector{N: len(dst), Data: dst, Inc: 1})
}

// lowDCT gives the block of DCT-II coefficients with frequencies first..first+out-1 in both directions of the n x n input, row-major
// out x out: sum of x cos(pi/n (i+1/2) f), without normalisation (neither hash needs one: both compare with a median).
func lowDCT(in []float32, n, first, out int, cosines []float32) []float32 {
	mid := spare(out * n)
	defer mid.free()
	clear(mid.v)
	for f := range out {
		for y, w := range cosines[(first+f)*n : (first+f+1)*n] {
			axpy(w, in[y*n:(y+1)*n], mid.v[f*n:(f+1)*n])
		}
	}
	res := make([]float32, out*out)
	for fy := range out {
		row := mid.v[fy*n : (fy+1)*n]
		for fx := range out {
			var s float32
			for x, w := range cosines[(first+fx)*n : (first+fx+1)*n] {
				s += w * row[x]
			}
			res[fy*out+fx] = s
		}
	}
	return res
}
