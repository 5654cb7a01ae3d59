package liveness

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/models"
)

// addPlainly is what the kernels do, a pixel at a time.
func addPlainly(t *testing.T, s *spectrum, p *powers, patch *models.Image) {
	t.Helper()
	n, y, c := s.n, make([]float64, s.n*s.n), make([]float64, s.n*s.n)
	for i := range y {
		b, g, r := float64(patch.Pix[3*i]), float64(patch.Pix[3*i+1]), float64(patch.Pix[3*i+2])
		y[i], c[i] = (29*b+150*g+77*r)/256, g-(b+r)/2
	}
	for v := range n {
		up, down := max(v-1, 0)*n, min(v+1, n-1)*n
		for x := range n {
			at, left, right := v*n+x, v*n+max(x-1, 0), v*n+min(x+1, n-1)
			k := s.hann[x] * s.hann[v]
			s.data[2*at] = float32((4*y[at] - y[up+x] - y[down+x] - y[left] - y[right]) * k)
			s.data[2*at+1] = float32((4*c[at] - c[up+x] - c[down+x] - c[left] - c[right]) * k)
		}
	}
	require.NoError(t, gocv.DFT(s.work, &s.work, gocv.DftForward))
	for v := range n {
		if v >= n/2+powerMargin && v < n-powerMargin {
			continue
		}
		for x := range n {
			z, w := 2*(v*n+x), 2*((n-v)%n*n+(n-x)%n)
			zr, zi, wr, wi := float64(s.data[z]), float64(s.data[z+1]), float64(s.data[w]), float64(s.data[w+1])
			re, im := zr+wr, zi-wi
			p.light[v*n+x] += re*re + im*im
			re, im = zi+wi, wr-zr
			p.colour[v*n+x] += re*re + im*im
		}
	}
}

func TestSpectrumKernels(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	for _, n := range []int{2, 3, 16, 33, 64, 128} {
		s, err := newSpectrum(n)
		require.NoError(t, err)
		got, want := powers{}, powers{light: make([]float64, n*n), colour: make([]float64, n*n)}
		for range 2 {
			patch := models.Image{W: n, H: n, C: 3, Pix: make([]uint8, 3*n*n)}
			for i := range patch.Pix {
				patch.Pix[i] = uint8(r.Uint32())
			}
			require.NoError(t, s.add(&got, &patch))
			addPlainly(t, s, &want, &patch)
		}
		require.Equal(t, want.light, got.light, "%d: to the bit", n)
		require.Equal(t, want.colour, got.colour)
		require.Error(t, s.add(&got, &models.Image{W: n, H: n, C: 3, Pix: make([]uint8, 3*n*n-1)}), "C code reads what is said to be there")
		s.close()
	}
}
