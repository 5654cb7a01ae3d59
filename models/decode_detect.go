package models

import (
	"math"
	"sort"
)

// Detectors of faces frame a face differently, and what comes after them (landmarks, liveness, quality) was calibrated on the frames of the
// built-in one. reframe makes each box tall times as high and wide times as wide around its middle, after moving it down by a part of its height.
// The manifest's values come from comparing boxes of the same faces.
func reframe(boxes []Box, params map[string]float64) []Box {
	tall, wide, down := float32(params["tall"]), float32(params["wide"]), float32(params["down"])
	for i, b := range boxes {
		w, h := (b.X2-b.X1)*wide/2, (b.Y2-b.Y1)*tall/2
		x, y := (b.X1+b.X2)/2, (b.Y1+b.Y2)/2+down*(b.Y2-b.Y1)
		boxes[i] = Box{X1: unit(x - w), Y1: unit(y - h), X2: unit(x + w), Y2: unit(y + h), Score: b.Score}
	}
	return boxes
}

// blazeface reads MediaPipe's BlazeFace (Bazarevsky et al. 2019): logits [1, 512, 1] and [1, 384, 1], boxes [1, 512, 16] and [1, 384, 16]
// (centre x, y, width, height in pixels of the input of side pixels, relative to the anchor; then six key points, which are not used), of 16 x 16
// places with two anchors and 8 x 8 places with six. Overlapping boxes become their mean, weighted by score, as MediaPipe blends them.
func blazeface(out [][]float32, side int, score, iou float32) []Box {
	least := float32(math.Log(float64(score) / (1 - float64(score))))
	var found []Box
	for layer, grid := range []struct{ cells, anchors int }{{16, 2}, {8, 6}} {
		logits, values := out[layer], out[2+layer] //nolint:gosec // G602: the manifest's decoder has four outputs
		for i, v := range logits {
			if !(v >= least) {
				continue
			}
			place := i / grid.anchors
			e := values[16*i : 16*i+4]
			x := (float32(place%grid.cells)+0.5)/float32(grid.cells) + e[0]/float32(side)
			y := (float32(place/grid.cells)+0.5)/float32(grid.cells) + e[1]/float32(side)
			w, h := e[2]/float32(side)/2, e[3]/float32(side)/2
			if b := (Box{X1: x - w, Y1: y - h, X2: x + w, Y2: y + h, Score: sigmoid(v)}); w > 0 && h > 0 && b.finite() {
				found = append(found, b)
			}
		}
	}
	return blend(found, iou)
}

// finite says whether a box has four corners: a model may answer with values that are no numbers, and they would spread to boxes that are.
func (b Box) finite() bool {
	for _, v := range []float32{b.X1, b.Y1, b.X2, b.Y2} {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return false
		}
	}
	return true
}

// blend joins the boxes that overlap the best one by iou or more into one, their mean weighted by score, then the best of the rest, and so on.
func blend(found []Box, iou float32) []Box {
	sort.SliceStable(found, func(i, j int) bool { return found[i].Score > found[j].Score })
	taken := make([]bool, len(found))
	var out []Box
	for i, best := range found {
		if taken[i] {
			continue
		}
		var sum Box
		var weight float32
		for j := i; j < len(found); j++ {
			b := found[j]
			if taken[j] || (j > i && overlap(best, b) < iou) {
				continue
			}
			taken[j] = true
			weight += b.Score
			sum.X1, sum.Y1, sum.X2, sum.Y2 = sum.X1+b.X1*b.Score, sum.Y1+b.Y1*b.Score, sum.X2+b.X2*b.Score, sum.Y2+b.Y2*b.Score
		}
		out = append(out, Box{X1: sum.X1 / weight, Y1: sum.Y1 / weight, X2: sum.X2 / weight, Y2: sum.Y2 / weight, Score: best.Score})
	}
	return out
}

// yunet reads YuNet of 2023 (Wu et al. 2023; OpenCV's FaceDetectorYN): for strides 8, 16 and 32 the class and object scores [1, n, 1] (class
// of the three strides first, then object) and the boxes [1, n, 4]: middle relative to the place in strides, logarithm of the size in strides.
func yunet(out [][]float32, w, h int, score, iou float32) []Box {
	var found []Box
	for layer, stride := range []int{8, 16, 32} {
		class, object, values := out[layer], out[3+layer], out[6+layer]
		columns := w / stride
		for i, c := range class {
			v := float32(math.Sqrt(float64(unit(c)) * float64(unit(object[i]))))
			if !(v >= score) {
				continue
			}
			e, s := values[4*i:4*i+4], float32(stride)
			x, y := (float32(i%columns)+e[0])*s, (float32(i/columns)+e[1])*s
			bw, bh := float32(math.Exp(float64(e[2])))*s/2, float32(math.Exp(float64(e[3])))*s/2
			if b := (Box{X1: (x - bw) / float32(w), Y1: (y - bh) / float32(h), X2: (x + bw) / float32(w), Y2: (y + bh) / float32(h), Score: v}); b.finite() {
				found = append(found, Box{X1: unit(b.X1), Y1: unit(b.Y1), X2: unit(b.X2), Y2: unit(b.Y2), Score: v})
			}
		}
	}
	return greedy(found, iou)
}
