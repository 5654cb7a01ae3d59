package manifest

import (
	"cmp"
	"slices"
)

// Names of the thresholds of an embedder of faces: cosines of a person's track with the mean of the enrolled photos. From Accept on it is the
// enrolled person, below Reject somebody else; between them nothing is claimed.
const (
	Accept = "accept"
	Reject = "reject"
)

// Certain is the threshold of a detector of faces from which a face is certain: without one, a photo is looked at again from farther away.
const Certain = "certain"

// Calibrated says whether an embedder of faces has the two thresholds without which its vectors can be compared but say nothing; models of
// other tasks always are.
func (m Manifest) Calibrated() bool {
	if m.Task != "face_embed" {
		return true
	}
	accept, ok := m.Threshold(Accept)
	reject, there := m.Threshold(Reject)
	return ok && there && accept > -1 && accept < 1 && reject > -1 && reject <= accept
}

// Picture says whether the input is a picture.
func (in Input) Picture() bool { return in.Layout == NCHW || in.Layout == NHWC }

// arcFace is where ArcFace wants left eye, right eye, nose tip and mouth corners in a 112 x 112 picture (insightface, arcface_torch: the five
// points of the 112 x 96 alignment moved 8 pixels to the right).
var arcFace = [5][2]float64{{38.2946, 51.6963}, {73.5318, 51.5014}, {56.0252, 71.7366}, {41.5493, 92.3655}, {70.7299, 92.2041}}

// Alignment is where an embedder of faces wants the five points, in pixels of its input.
func (in Input) Alignment() [5][2]float64 {
	var out [5][2]float64
	for i := range out {
		if len(in.Align) == len(out) {
			out[i] = [2]float64{in.Align[i][0], in.Align[i][1]}
			continue
		}
		out[i] = [2]float64{arcFace[i][0] * float64(in.Width) / 112, arcFace[i][1] * float64(in.Height) / 112}
	}
	return out
}

func (m Manifest) validateAlign(p *problems) {
	if m.Input.Align == nil {
		return
	}
	p.want(m.Task == "face_embed", "input.align", "belongs to task face_embed and only to it")
	p.want(len(m.Input.Align) == 5, "input.align", "has %d points, want 5: left eye, right eye, tip of the nose, corners of the mouth", len(m.Input.Align))
	sides := []float64{float64(m.Input.Width), float64(m.Input.Height)}
	for i, point := range m.Input.Align {
		ok := len(point) == 2
		for axis := 0; ok && axis < 2; axis++ { // a model of tight crops may have a corner of the mouth outside
			side := cmp.Or(sides[axis], maxSide)
			ok = finite(point[axis]) && point[axis] >= -side/2 && point[axis] <= 1.5*side
		}
		p.want(ok, "input.align", "point %d is %v, want x and y in pixels of the input, which has %d x %d; at most half a side outside of it", i+1, point, m.Input.Width, m.Input.Height)
		p.want(i == 0 || !slices.Equal(point, m.Input.Align[0]), "input.align", "point %d is the first again", i+1)
	}
}

// validateFaces checks what belongs to detectors of faces.
func (m Manifest) validateFaces(p *problems) {
	switch m.Decoder.Name {
	case "ultraface":
		p.want(m.Outputs[0].Shape[1] == m.Outputs[1].Shape[1] && m.Outputs[0].Shape[1] > 0, "outputs", "scores and boxes must have the same, fixed number of anchors")
	case "blazeface":
		p.want(m.Input.Width == m.Input.Height && m.Input.Width > 0, "input.width", "decoder blazeface needs a square")
	case "yunet":
		for i, stride := range []int{8, 16, 32} {
			n := (m.Input.Width / stride) * (m.Input.Height / stride)
			for _, o := range []int{i, 3 + i, 6 + i} {
				p.want(m.Input.Width%32 == 0 && m.Input.Height%32 == 0 && m.Outputs[o].Shape[1] == n, "outputs", "%s must have %d places: one for each %d x %d pixels of the input, whose sides are multiples of 32", m.Outputs[o].Name, n, stride, stride)
			}
		}
	}
	if m.Decoder.Name == "blazeface" || m.Decoder.Name == "yunet" {
		for _, name := range []string{"tall", "wide"} {
			v := m.Decoder.Params[name]
			p.want(v > 0.1 && v < 10, "decoder.params."+name, "%v is not in 0.1..10", v)
		}
		p.want(m.Decoder.Params["down"] > -1 && m.Decoder.Params["down"] < 1, "decoder.params.down", "%v is not in -1..1", m.Decoder.Params["down"])
	}
}
