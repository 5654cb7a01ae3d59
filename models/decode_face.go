package models

import (
	"context"
	"math"
	"sort"
)

// DetectFaces finds faces in a picture that was stretched to InputSize(FaceDetect). The boxes are in fractions of the picture, clipped
// to it, best first. A face smaller than about 1/20 of the picture is lost at this size: look again at parts of it.
func (s *Set) DetectFaces(ctx context.Context, img Image) ([]Box, error) {
	m, err := s.model(FaceDetect)
	if err != nil {
		return nil, err
	}
	var boxes []Box
	err = m.picture(ctx, img, func(out [][]float32, w, h int) error {
		p := m.man.Decoder.Params
		score, iou := float32(p["score"]), float32(p["iou"])
		switch m.man.Decoder.Name {
		case "blazeface":
			boxes = reframe(blazeface(out, w, score, iou), p)
		case "yunet":
			boxes = reframe(yunet(out, w, h, score, iou), p)
		default:
			boxes = ultraface(out[0], out[1], score, iou)
		}
		return nil
	})
	return boxes, err
}

// ultraface reads scores [n, 2] (background, face) and boxes [n, 4] (x1, y1, x2, y2 in 0..1) and keeps those above score that do not
// overlap a better one by iou or more (greedy non-maximum suppression). Ties keep the order of the anchors.
func ultraface(scores, boxes []float32, score, iou float32) []Box {
	var found []Box
	for i := range len(scores) / 2 {
		if v := scores[2*i+1]; v > score {
			b := boxes[4*i : 4*i+4]
			found = append(found, Box{X1: unit(b[0]), Y1: unit(b[1]), X2: unit(b[2]), Y2: unit(b[3]), Score: v})
		}
	}
	return greedy(found, iou)
}

// greedy keeps the boxes that do not overlap a better one by iou or more, best first. Ties keep their order.
func greedy(found []Box, iou float32) []Box {
	sort.SliceStable(found, func(i, j int) bool { return found[i].Score > found[j].Score })
	kept := found[:0]
	for _, b := range found {
		if !(b.X2 > b.X1 && b.Y2 > b.Y1 && b.finite()) {
			continue
		}
		alone := true
		for _, k := range kept {
			if overlap(b, k) >= iou {
				alone = false
				break
			}
		}
		if alone {
			kept = append(kept, b)
		}
	}
	return kept
}

// overlap is intersection over union.
func overlap(a, b Box) float32 {
	w := min(a.X2, b.X2) - max(a.X1, b.X1)
	h := min(a.Y2, b.Y2) - max(a.Y1, b.Y1)
	if w <= 0 || h <= 0 {
		return 0
	}
	both := w * h
	return both / ((a.X2-a.X1)*(a.Y2-a.Y1) + (b.X2-b.X1)*(b.Y2-b.Y1) - both)
}

func unit(v float32) float32 { return max(0, min(1, v)) }

// Landmarks finds 68 points (iBUG order) in a square crop with the height of a face box, at InputSize(FaceLandmark), grey or BGR. The
// points are in fractions of the crop and may lie a little outside it.
func (s *Set) Landmarks(ctx context.Context, img Image) ([68]Point, error) {
	var points [68]Point
	m, err := s.model(FaceLandmark)
	if err != nil {
		return points, err
	}
	err = m.picture(ctx, img, func(out [][]float32, _, _ int) error {
		for i := range points {
			points[i] = Point{X: out[0][2*i], Y: out[0][2*i+1]}
		}
		return nil
	})
	return points, err
}

// Embed turns an aligned face at InputSize(FaceEmbed) into a vector of length 1.
func (s *Set) Embed(ctx context.Context, img Image) (Vector, error) {
	m, err := s.model(FaceEmbed)
	if err != nil {
		return Vector{}, err
	}
	v := Vector{Model: m.man.File.SHA256}
	err = m.picture(ctx, img, func(out [][]float32, _, _ int) error {
		var ok bool
		if v.V, ok = normalise(out[0]); !ok {
			return &OutputError{Task: FaceEmbed}
		}
		return nil
	})
	if err != nil {
		return Vector{}, err
	}
	return v, nil
}

// normalise gives a copy of Euclidean length 1; false if the vector has no direction.
func normalise(v []float32) ([]float32, bool) {
	norm := 0.0
	for _, x := range v {
		norm += float64(x) * float64(x)
	}
	norm = math.Sqrt(norm)
	if !(norm > 0) || math.IsInf(norm, 0) {
		return nil, false
	}
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(float64(x) / norm)
	}
	return out, true
}

// FaceAlignment is the size in pixels of the aligned face that Embed takes, and where in it, in pixels, left eye, right eye, nose tip and
// mouth corners lie.
func (s *Set) FaceAlignment() (w, h int, points [5]Point) {
	w, h = s.InputSize(FaceEmbed)
	if m, ok := s.models[FaceEmbed]; ok {
		for i, p := range m.man.Input.Alignment() {
			points[i] = Point{X: float32(p[0]), Y: float32(p[1])}
		}
	}
	return w, h, points
}
