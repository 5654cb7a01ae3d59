package manifest

import "math"

// ssdLayers is the number of feature maps of the SSD detectors that are known here, of strides 16, 32 ... 512.
const ssdLayers = 6

// Anchor is one default box of an SSD detector, in fractions of the picture: centre and size.
type Anchor struct{ X, Y, W, H float64 }

// Anchors lists the default boxes of an SSD detector (Liu et al. 2016) for a picture of w x h pixels, in the order of its outputs: layer,
// row, column, box. The scales run evenly from low to high over the layers; each place has boxes of the aspects 1, 2, 1/2, 3, 1/3 and a
// square one between two scales, the first layer only three. These are the options of TensorFlow's ssd_anchor_generator with its
// defaults and reduce_boxes_in_lowest_layer.
func Anchors(w, h int, low, high float64) []Anchor {
	scale := func(l int) float64 { return low + (high-low)*float64(l)/(ssdLayers-1) }
	var out []Anchor
	for l := range ssdLayers {
		aspects := []float64{1, 2, 1.0 / 2, 3, 1.0 / 3, 1}
		s, next := scale(l), 1.0
		if l < ssdLayers-1 {
			next = scale(l + 1)
		}
		scales := []float64{s, s, s, s, s, math.Sqrt(s * next)}
		if l == 0 {
			aspects, scales = aspects[:3], []float64{0.1, s, s}
		}
		rows, columns := ceil(h, 16<<l), ceil(w, 16<<l)
		for y := range rows {
			for x := range columns {
				for k, a := range aspects {
					r := math.Sqrt(a)
					out = append(out, Anchor{X: (float64(x) + .5) / float64(columns), Y: (float64(y) + .5) / float64(rows), W: scales[k] * r, H: scales[k] / r})
				}
			}
		}
	}
	return out
}

func ceil(a, b int) int { return (a + b - 1) / b }
