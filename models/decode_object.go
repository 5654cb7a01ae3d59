package models

import (
	"context"
	"math"
	"sort"
)

// Detection is one object that a detector found.
type Detection struct {
	Box
	Class int // index into Labels
}

// Objects is what a detector of objects says about a picture.
type Objects struct {
	// Found has the objects above the manifest's score, best first.
	Found []Detection
	// Scores is the best score (0..1) of each class anywhere in the picture, in the order of Labels, found or not.
	Scores []float32
	// Mean is the detector's own description of the whole picture: the mean over one of its feature maps. Nil where a model has none.
	Mean []float32
	// Pool is the same of a model whose manifest names a map (pool_of): means, then standard deviations. Nil otherwise.
	Pool []float32
}

// Labels names the classes of a task that finds objects, in the order of Objects.Scores; nil for other tasks.
func (s *Set) Labels(task Task) []string {
	m, ok := s.models[task]
	if !ok {
		return nil
	}
	return m.man.Labels
}

// DetectObjects finds objects in a picture that was stretched to InputSize(ObjectDetect).
func (s *Set) DetectObjects(ctx context.Context, img Image) (Objects, error) {
	m, err := s.model(ObjectDetect)
	if err != nil {
		return Objects{}, err
	}
	var o Objects
	err = m.picture(ctx, img, func(out [][]float32, _, _ int) error {
		p := m.man.Decoder.Params
		o.Found, o.Scores = m.ssd(out[0], out[1], p["score"], float32(p["iou"]))
		o.Mean = append([]float32(nil), out[2]...)
		return finite(ObjectDetect, append(o.Scores, o.Mean...)...)
	})
	if err != nil {
		return Objects{}, err
	}
	return o, nil
}

// EmbedScene turns a picture that was stretched to InputSize(SceneEmbed) into a vector of length 1 that describes the place, and says
// which objects are in view if the model finds any in the same pass (decoder centernet).
func (s *Set) EmbedScene(ctx context.Context, img Image) (Vector, Objects, error) {
	m, err := s.model(SceneEmbed)
	if err != nil {
		return Vector{}, Objects{}, err
	}
	v, o := Vector{Model: m.man.File.SHA256}, Objects{}
	err = m.picture(ctx, img, func(out [][]float32, _, _ int) error {
		var ok bool
		if v.V, ok = normalise(out[0]); !ok {
			return &OutputError{Task: SceneEmbed}
		}
		if m.man.Decoder.Name != "centernet" {
			return nil
		}
		shape := m.man.Outputs[1].Shape
		o.Found, o.Scores = centernet(out[1], out[2], shape[3], shape[2], float32(m.man.Input.Width), float32(m.man.Input.Height), float32(m.man.Decoder.Params["score"]))
		if len(out) > 3 {
			o.Pool = append([]float32(nil), out[3]...)
		}
		return finite(SceneEmbed, append(o.Scores[:len(o.Scores):len(o.Scores)], o.Pool...)...)
	})
	if err != nil {
		return Vector{}, Objects{}, err
	}
	return v, o, nil
}

// Scales of the box encoding of TensorFlow's SSD models (faster_rcnn_box_coder: 10, 10, 5, 5).
const (
	ssdCentre = 10.0
	ssdSize   = 5.0
)

// ssd reads logits [anchors, classes], class 0 being the background, and box encodings [anchors, 4] (y, x, h, w relative to the anchor).
// Of overlapping boxes of one class the best is kept.
func (m *model) ssd(logits, boxes []float32, score float64, iou float32) ([]Detection, []float32) {
	classes := len(m.man.Labels)
	least := float32(math.Log(score / (1 - score)))
	best := make([]float32, classes)
	for c := range best {
		best[c] = float32(math.Inf(-1))
	}
	var found []Detection
	for i, a := range m.anchors {
		for c := 1; c < classes; c++ {
			v := logits[i*classes+c]
			if v > best[c] || v != v {
				best[c] = v
			}
			if !(v >= least) {
				continue
			}
			e := boxes[4*i : 4*i+4]
			y, x := float64(e[0])/ssdCentre*a.H+a.Y, float64(e[1])/ssdCentre*a.W+a.X
			h, w := math.Exp(float64(e[2])/ssdSize)*a.H, math.Exp(float64(e[3])/ssdSize)*a.W
			found = append(found, Detection{Class: c, Box: Box{X1: unit(float32(x - w/2)), Y1: unit(float32(y - h/2)), X2: unit(float32(x + w/2)), Y2: unit(float32(y + h/2)), Score: sigmoid(v)}})
		}
	}
	best[0] = 0 // the background is no object
	for c := 1; c < classes; c++ {
		best[c] = sigmoid(best[c])
	}
	return alone(found, iou), best
}

func sigmoid(v float32) float32 { return float32(1 / (1 + math.Exp(-float64(v)))) }

// alone sorts detections, best first, and drops those that overlap a better one of their class by iou or more, and empty ones.
func alone(found []Detection, iou float32) []Detection {
	sort.SliceStable(found, func(i, j int) bool { return found[i].Score > found[j].Score })
	kept := found[:0]
next:
	for _, d := range found {
		if !(d.X2 > d.X1 && d.Y2 > d.Y1 && d.finite()) {
			continue
		}
		for _, k := range kept {
			if k.Class == d.Class && overlap(k.Box, d.Box) >= iou {
				continue next
			}
		}
		kept = append(kept, d)
	}
	return kept
}

// centernet reads heat [classes, h, w] and sizes [4, h, w] (left, top, right, bottom of each place in pixels of the input) and keeps the
// places that are the highest of their 3 x 3 neighbourhood (Zhou et al. 2019, "Objects as Points").
func centernet(heat, sizes []float32, w, h int, inputW, inputH, score float32) ([]Detection, []float32) {
	area := w * h
	best := make([]float32, len(heat)/area)
	var found []Detection
	for c := range best {
		one := heat[c*area : (c+1)*area]
		for i, v := range one {
			if v > best[c] || v != v {
				best[c] = v
			}
			if !(v >= score) || !peak(one, i, w, h) {
				continue
			}
			x, y := float32(i%w)*inputW/float32(w), float32(i/w)*inputH/float32(h)
			b := Box{X1: unit((x - sizes[i]) / inputW), Y1: unit((y - sizes[area+i]) / inputH), X2: unit((x + sizes[2*area+i]) / inputW), Y2: unit((y + sizes[3*area+i]) / inputH), Score: v}
			if b.X2 > b.X1 && b.Y2 > b.Y1 {
				found = append(found, Detection{Class: c, Box: b})
			}
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].Score > found[j].Score })
	return found, best
}

// peak tells whether no neighbour of a place is higher.
func peak(m []float32, i, w, h int) bool {
	x, y := i%w, i/w
	for ny := max(0, y-1); ny <= min(h-1, y+1); ny++ {
		for nx := max(0, x-1); nx <= min(w-1, x+1); nx++ {
			if m[ny*w+nx] > m[i] {
				return false
			}
		}
	}
	return true
}
