package liveness

import (
	"fmt"
	"image"
	"math"
	"sort"

	"onsite/pipeline/media"
)

const (
	wideFrames = 4  // sampled frames that are searched
	wideTiles  = 12 // tiles of each
	wideLeast  = 6  // tiles without which there is no middle one
	wideSeen   = 3  // frames without which noise stands out, too
)

// widePattern looks for a pattern of fine lines all over the picture: how far the strongest stands out of the spectrum in the middle one of many tiles,
// natural logarithm, in the light and in the colours. A screen that fills the picture has its grid or its moire everywhere; a blind, a brick wall or a
// shirt is in a few tiles. A tile's spectrum is flattened before, so that none of them decides, and what lies on the axes is left out: there are the
// coder's blocks, and their remains where a picture was scaled.
func widePattern(clip *media.Clip) (light, colour float64, ok bool, err error) {
	if len(clip.Frames) < wideSeen {
		return 0, 0, false, nil
	}
	w, h := clip.Frames[0].Image.Cols(), clip.Frames[0].Image.Rows()
	n := 128
	if (w/n)*(h/n) < wideLeast {
		n = 64
	}
	places := tiles(w, h, n)
	if len(places) < wideLeast {
		return 0, 0, false, nil
	}
	sums := make([]powers, len(places))
	spectra, err := newSpectrum(n)
	if err != nil {
		return 0, 0, false, err
	}
	defer spectra.close()
	for _, k := range spread(len(clip.Frames), wideFrames) {
		picture := clip.Frames[k].Image
		if picture.Cols() != w || picture.Rows() != h {
			continue
		}
		for i, r := range places {
			patch, err := media.Crop(picture, r, n, n)
			if err != nil {
				return 0, 0, false, fmt.Errorf("spectrum of the picture at %v: %w", r, err)
			}
			if err := spectra.add(&sums[i], &patch); err != nil {
				return 0, 0, false, err
			}
		}
	}
	var lights, colours []powerSums
	for i := range sums {
		lights, colours = append(lights, integral(sums[i].light, n)), append(colours, integral(sums[i].colour, n))
	}
	return commonPeak(lights, n, 0.12, 0.48), commonPeak(colours, n, 0.05, 0.45), true, nil
}

// tiles are up to wideTiles squares of n pixels, spread over a picture.
func tiles(w, h, n int) []image.Rectangle {
	cols, rows := w/n, h/n
	for cols*rows > wideTiles {
		if cols >= rows {
			cols--
		} else {
			rows--
		}
	}
	var out []image.Rectangle
	for y := range rows {
		for x := range cols {
			at := image.Pt((2*x+1)*w/(2*cols)-n/2, (2*y+1)*h/(2*rows)-n/2)
			out = append(out, image.Rectangle{at, at.Add(image.Pt(n, n))})
		}
	}
	return out
}

// commonPeak is how far the frequency that stands out most of its surroundings does so in the middle one of the tiles, natural logarithm; of the
// frequencies between lo and hi, cycles per pixel. Each tile is a half plane (n/2 rows of n, the constant in the middle of the first).
func commonPeak(tiles []powerSums, n int, lo, hi float64) float64 {
	best, size := math.Inf(-1), float64(n*n)
	values := make([]float64, len(tiles))
	for v := 3; v < n/2-2; v++ {
		for x := 3; x < n-3; x++ {
			u := x - n/2
			if r := float64(u*u + v*v); r < lo*lo*size || r > hi*hi*size || u > -3 && u < 3 {
				continue
			}
			more := 0
			for i := range tiles {
				if values[i] = math.Max(tiles[i].ratio(x, v), 1e-3); values[i] > best {
					more++
				}
			}
			if more >= len(values)-len(values)/2 { // else the middle one is no higher than the best so far
				sort.Float64s(values)
				best = math.Max(best, values[len(values)/2])
			}
		}
	}
	if math.IsInf(best, -1) {
		return best
	}
	return math.Log(best) // which of two numbers is higher does not need theirs
}
