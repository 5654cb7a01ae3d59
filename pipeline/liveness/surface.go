package liveness

/*
#cgo CFLAGS: -O3
#include "surface.h"
*/
import "C"

import (
	"fmt"
	"image"
	"math"
	"slices"

	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

// surface is what the skin and what is around it look like, where a screen or a print differs from a room.
type surface struct {
	peak   float64 // moire and pixel grid: how far the strongest fine line pattern stands out of the face's spectrum, natural logarithm
	fringe float64 // the same for coloured stripes
	black  float64 // grey level (0..255) that the darkest hundredth of face and surroundings stays below: screens glow, paper is grey
	white  float64 // the same for the brightest hundredth: prints and dim screens have little
	glare  float64 // share of face and surroundings that is burnt out to white
	focus  float64 // sharpness of the face over that of its surroundings, natural logarithm: a flat thing is sharp all over
}

// surfaceFrames is how many sampled frames are searched for patterns, toneFrames in how many of them light and focus are measured: both spread over
// the time that the face is in view.
const surfaceFrames, toneFrames = 5, 3

// surfaceOf measures a track's faces in the sampled frames: the medians. ok is false without a face that is large enough.
func surfaceOf(clip *media.Clip, found *face.Found, track int, c *Config) (surface, bool, error) {
	var fit []face.Spot
	for _, s := range found.Tracks[track].Spots {
		if found.At(s).Box.Dy() >= c.MinFace {
			fit = append(fit, s)
		}
	}
	var black, white, glare, focus []float64
	var pictures []gocv.Mat
	var boxes []image.Rectangle
	places := spread(len(fit), surfaceFrames)
	tones := spread(len(places), toneFrames)
	for i, k := range places {
		f := found.At(fit[k])
		picture := clip.Frames[fit[k].Frame].Image
		pictures, boxes = append(pictures, picture), append(boxes, f.Box)
		if !slices.Contains(tones, i) {
			continue
		}
		lo, hi, burnt, sharp, err := lookOf(picture, f.Box, c)
		if err != nil {
			return surface{}, false, fmt.Errorf("surface of the face at %v: %w", f.Box, err)
		}
		black, white, glare, focus = append(black, lo), append(white, hi), append(glare, burnt), append(focus, sharp)
	}
	if len(black) == 0 {
		return surface{}, false, nil
	}
	peak, fringe, ok, err := finePattern(pictures, boxes)
	return surface{peak, fringe, quantile(black, 0.5), quantile(white, 0.5), quantile(glare, 0.5), quantile(focus, 0.5)}, ok, err
}

// lookOf measures light and focus of a face and what is around it, on that part of the picture alone.
func lookOf(picture gocv.Mat, box image.Rectangle, c *Config) (lo, hi, burnt, sharp float64, err error) {
	all := image.Rect(0, 0, picture.Cols(), picture.Rows())
	view := square(box, c.Crop, all.Dx(), all.Dy())
	part := box.Inset(-box.Dy()/2 - 1).Union(view).Intersect(all)
	cut := picture.Region(part)
	defer cut.Close()
	grey, err := media.Gray(cut)
	if err != nil {
		return 0, 0, 0, 0, err
	}
	defer grey.Close()
	g := grey.ToBytes()
	lo, hi, burnt = tones(g, part.Dx(), view.Sub(part.Min))
	return lo, hi, burnt, relativeFocus(g, part.Dx(), part.Dy(), box.Sub(part.Min)), nil
}

// patches are the places of a frame that are searched for patterns, the face and what is beside it on both sides, squares of n pixels; none when the
// face has fewer than 48 pixels.
func patches(w, h int, box image.Rectangle) (at []image.Rectangle, n int) {
	n = 128
	if box.Dy() < n*3/4 || w < n || h < n {
		n = 64
	}
	if box.Dy() < n*3/4 || w < n || h < n {
		return nil, 0
	}
	c := box.Min.Add(box.Max).Div(2)
	for _, dx := range []int{0, -1, 1} {
		x0, y0 := c.X-n/2+dx*(box.Dy()/2+n/2), c.Y-n/2
		if dx != 0 {
			y0 -= box.Dy() / 3
		}
		x0, y0 = min(max(x0, 0), w-n), min(max(y0, 0), h-n)
		at = append(at, image.Rect(x0, y0, x0+n, y0+n))
	}
	return at, n
}

// powers are the power spectra of one place over the frames, n x n values each; of the rows far from the first, which say what others say, nothing.
type powers struct{ light, colour []float64 }

// spectrum makes the spectra of patches of n x n pixels, one after the other in the same memory. It is not safe for concurrent use.
type spectrum struct {
	n           int
	hann        []float64
	light, tint []float64 // of a patch
	work        gocv.Mat
	data        []float32 // of work: real and imaginary parts
}

// newSpectrum must be closed.
func newSpectrum(n int) (*spectrum, error) {
	s := &spectrum{n: n, hann: hannOf(n), light: make([]float64, n*n), tint: make([]float64, n*n), work: gocv.NewMatWithSize(n, n, gocv.MatTypeCV32FC2)}
	var err error
	if s.data, err = s.work.DataPtrFloat32(); err != nil {
		s.close()
		return nil, fmt.Errorf("make room for a spectrum of %d pixels: %w", n, err)
	}
	return s, nil
}

func (s *spectrum) close() { _ = s.work.Close() }

// add takes one more frame. Both spectra come from one transform: the light is its real part, the colour, green against red and blue, its imaginary
// one. The second difference takes away what is coarse, a Hann window the edges.
func (s *spectrum) add(p *powers, patch *models.Image) error {
	n := s.n
	if len(patch.Pix) < 3*n*n {
		return fmt.Errorf("transform a patch of %d pixels: it has %d bytes", n, len(patch.Pix)) // C code reads it
	}
	C.liveness_fill((*C.uint8_t)(&patch.Pix[0]), C.int(n), (*C.double)(&s.hann[0]), (*C.double)(&s.light[0]), (*C.double)(&s.tint[0]), (*C.float)(&s.data[0]))
	if err := gocv.DFT(s.work, &s.work, gocv.DftForward); err != nil { // in place
		return fmt.Errorf("transform a patch of %d pixels: %w", n, err)
	}
	if p.light == nil {
		p.light, p.colour = make([]float64, n*n), make([]float64, n*n)
	}
	C.liveness_power((*C.float)(&s.data[0]), C.int(n), powerMargin, (*C.double)(&p.light[0]), (*C.double)(&p.colour[0]))
	return nil
}

// hannOf is a Hann window of n places.
func hannOf(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = 0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/float64(n))
	}
	return out
}

// finePattern looks for a pattern of fine lines in a face and beside it, at the full size of the frames: moire or the grid of a screen is a peak in
// the spectrum of the light, and coarser coloured stripes one in that of the colours, where a face and a room have next to nothing. The
// power is summed over the frames, in which a screen's pattern stays and noise does not. Of the three places the second strongest counts, and not
// much more than the face itself shows: a screen covers them all, a blind or a brick wall one side or both.
func finePattern(frames []gocv.Mat, boxes []image.Rectangle) (light, colour float64, ok bool, err error) {
	var places [3]powers
	n, added := patchSize(frames, boxes), 0
	if n == 0 {
		return 0, 0, false, nil
	}
	spectra, err := newSpectrum(n)
	if err != nil {
		return 0, 0, false, err
	}
	defer spectra.close()
	for i, picture := range frames {
		at, size := patches(picture.Cols(), picture.Rows(), boxes[i])
		if len(at) == 0 || size != n {
			continue
		}
		added++
		for k, r := range at {
			patch, err := media.Crop(picture, r, n, n)
			if err != nil {
				return 0, 0, false, fmt.Errorf("spectrum of a face at %v: %w", r, err)
			}
			if err := spectra.add(&places[k], &patch); err != nil {
				return 0, 0, false, err
			}
		}
	}
	if added == 0 {
		return 0, 0, false, nil
	}
	var lights, colours []float64
	for k := range places {
		lights = append(lights, spectralPeak(places[k].light, n, 0.12, 0.48))
		colours = append(colours, spectralPeak(places[k].colour, n, 0.05, 0.25))
	}
	light, colour = math.Min(quantile(lights, 0.5), lights[0]+besideMore), math.Min(quantile(colours, 0.5), colours[0]+besideMore)
	if added == 1 { // noise stands out more where it is not summed over frames
		light, colour = light-alonePattern, colour-aloneFringe
	}
	return light, colour, true, nil
}

// besideMore is by how much the pattern beside the face may stand out more than in it: a face has no plain parts, and hides a weak one.
const besideMore = 0.5

// patchSize is the side of the patches that most of the frames have, the larger one among equals: only spectra of one size can be summed. A
// person who comes nearer has both. 0: none has any.
func patchSize(frames []gocv.Mat, boxes []image.Rectangle) int {
	count := map[int]int{}
	best := 0
	for i, picture := range frames {
		if at, n := patches(picture.Cols(), picture.Rows(), boxes[i]); len(at) > 0 {
			count[n]++
		}
	}
	for n, k := range count {
		if k > count[best] || k == count[best] && n > best {
			best = n
		}
	}
	return best
}

// alonePattern and aloneFringe are what single frames of honest clips have more than five of them: 13 photos reach 1.94 and 2.30, 15 clips 1.57
// and 1.28.
const alonePattern, aloneFringe = 0.4, 1.0

// spectralPeak is the logarithm of the strongest peak's power over that of its surroundings, among frequencies from lo to hi cycles per pixel. On
// the axes the coder's blocks are left out.
func spectralPeak(power []float64, n int, lo, hi float64) float64 {
	sums := integral(power, n)
	best, size := 0.0, float64(n*n)
	for v := range n/2 - 2 {
		for x := 3; x < n-3; x++ {
			u := x - n/2
			if r := float64(u*u + v*v); r < lo*lo*size || r > hi*hi*size || v < 3 && block(u, n) || u > -3 && u < 3 && block(v, n) {
				continue
			}
			best = math.Max(best, sums.ratio(x, v))
		}
	}
	return math.Log(math.Max(best, 1e-3))
}

// powerSums are sums over rectangles of the half plane of a spectrum that says everything, with a margin to look around in.
type powerSums struct {
	v    []float64
	wide int
}

const powerMargin = 5

// integral adds the power up, n x n values.
func integral(power []float64, n int) powerSums {
	const m = powerMargin
	s := powerSums{make([]float64, (n+2*m+1)*(n/2+2*m+1)), n + 2*m + 1}
	for y := range n/2 + 2*m {
		line := 0.0
		row, at := power[(y-m+n)%n*n:][:n], (n/2-m+n)%n
		for x := range n + 2*m {
			line += row[at]
			if at++; at == n {
				at = 0
			}
			s.v[(y+1)*s.wide+x+1] = s.v[y*s.wide+x+1] + line
		}
	}
	return s
}

// around is the power of a square of side 2r+1.
func (s *powerSums) around(x, y, r int) float64 {
	x, y = x+powerMargin, y+powerMargin
	return s.v[(y+r+1)*s.wide+x+r+1] - s.v[(y-r)*s.wide+x+r+1] - s.v[(y+r+1)*s.wide+x-r] + s.v[(y-r)*s.wide+x-r]
}

// ratio is the mean power of a place over that of its surroundings.
func (s *powerSums) ratio(x, y int) float64 {
	inner := s.around(x, y, 1) / 9
	outer := (s.around(x, y, 4) - s.around(x, y, 2)) / 56
	return inner / (outer + 1e-6)
}

// block tells whether a place on an axis of the spectrum belongs to the coder's blocks of 8 and 4 pixels.
func block(u, n int) bool {
	r := (u + n) % (n / 8)
	return r < 3 || r > n/8-3
}

// tones gives the grey levels of the darkest and the brightest hundredth of a part of a picture, and the share of it that is burnt out.
func tones(g []byte, w int, part image.Rectangle) (lo, hi, burnt float64) {
	var hist [256]int
	n := 0
	for y := part.Min.Y; y < part.Max.Y; y += 2 {
		for x := part.Min.X; x < part.Max.X; x += 2 {
			hist[g[y*w+x]]++
			n++
		}
	}
	sum := 0
	lo, hi = -1, 255
	for v, k := range hist {
		sum += k
		if lo < 0 && sum*100 > n {
			lo = float64(v)
		}
		if sum*100 <= n*99 {
			hi = float64(v)
		}
	}
	for _, k := range hist[250:] {
		burnt += float64(k)
	}
	return math.Max(lo, 0), hi, burnt / float64(max(n, 1))
}

// relativeFocus is the logarithm of the face's sharpness (mean size of the second difference over that of the first) over that of what is around it.
func relativeFocus(g []byte, w, h int, box image.Rectangle) float64 {
	inner := box.Inset(box.Dy() / 8)
	outer := box.Inset(-box.Dy() / 2).Intersect(image.Rect(0, 0, w, h))
	var in, out [2]float64
	for y := max(outer.Min.Y, 1); y < min(outer.Max.Y, h-1); y += 2 {
		for x := max(outer.Min.X, 1); x < min(outer.Max.X, w-1); x += 2 {
			at := y*w + x
			first := math.Abs(float64(g[at+1]) - float64(g[at-1]))
			second := math.Abs(float64(g[at+1]) + float64(g[at-1]) - 2*float64(g[at]))
			if p := image.Pt(x, y); p.In(inner) {
				in[0], in[1] = in[0]+first, in[1]+second
			} else if !p.In(box) {
				out[0], out[1] = out[0]+first, out[1]+second
			}
		}
	}
	return math.Log((in[1] + 1) / (in[0] + 10) / ((out[1] + 1) / (out[0] + 10)))
}

// reducedSide is the longer side, pixels, of the pictures in which outlines are searched and patches are followed.
const reducedSide = 320

// reduced is a picture in grey with its longer side at most reducedSide pixels, and by what its coordinates were multiplied.
func reduced(m gocv.Mat) (g []byte, w, h int, k float64, err error) {
	k = math.Min(reducedSide/float64(max(m.Cols(), m.Rows())), 1)
	w, h = max(int(math.Round(float64(m.Cols())*k)), 1), max(int(math.Round(float64(m.Rows())*k)), 1)
	small, err := media.Resized(m, w, h)
	if err != nil {
		return nil, 0, 0, 0, err
	}
	g = make([]byte, w*h)
	for i := range g {
		if small.C == 1 {
			g[i] = small.Pix[i]
			continue
		}
		g[i] = byte((29*int(small.Pix[3*i]) + 150*int(small.Pix[3*i+1]) + 77*int(small.Pix[3*i+2])) >> 8)
	}
	return g, w, h, k, nil
}
