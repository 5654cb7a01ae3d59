package liveness

import (
	"image"
	"math"
	"sort"

	"gocv.io/x/gocv"

	"onsite/pipeline/authenticity"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

// flatPart is the part of the aligned face (112 x 112) that is compared: brows to chin, no background.
var flatPart = image.Rect(16, 22, 96, 110)

const (
	// flatMoments is how many moments are compared with the ones before; each costs about 3 ms.
	flatMoments = 7
	// flatAlive is the value from which no picture of a face was seen (the sign still_face is 0 from 5.0 on): with two pairs above it the third
	// quartile is, and no more pairs are looked at.
	flatAlive = 5.2
	// flatFace is the least height of a face, pixels of a burst frame, whose pixels say whether it is a picture.
	flatFace = 56
)

// flat compares the subject's face with itself at other times, each brought over the other by a homography with gain and offset: of a picture of a
// face, however it is held, little more than noise is left (about 1 to 3), of a live one a blink, a look aside or a word (5 and more). The
// value is the third quartile of the pairs; ok is false when there are too few good faces.
func (t *Track) flat(clip *media.Clip) (value float64, ok bool, err error) {
	var fit []int
	for i := range t.Moments {
		if t.Moments[i].Box.Dy() >= flatFace && math.Abs(t.Moments[i].Yaw) < 35 {
			fit = append(fit, i)
		}
	}
	var scores []float64
	var last []byte
	alive := 0
	for _, k := range spread(len(fit), flatMoments) {
		m := &t.Moments[fit[k]]
		patch, ok, err := alignedPatch(clip.Bursts[m.Burst].Frames[m.Frame].Image, &m.Landmarks)
		if err != nil {
			return 0, false, err
		}
		if !ok {
			continue
		}
		if last != nil {
			if _, v := authenticity.Compare(last, patch, flatPart.Dx(), flatPart.Dy()); !math.IsNaN(v) && !math.IsInf(v, 0) {
				scores = append(scores, v)
				if v >= flatAlive {
					alive++
				}
			}
		}
		if last = patch; alive == 2 {
			break
		}
	}
	if alive == 2 { // the third quartile of six values is the second largest, or above it
		sort.Float64s(scores)
		return scores[len(scores)-2], true, nil
	}
	if len(scores) < 3 {
		return 0, false, nil
	}
	return quantile(scores, 0.75), true, nil
}

// alignedPatch is flatPart of the aligned face, grey.
func alignedPatch(picture gocv.Mat, l *[68]face.Point) ([]byte, bool, error) {
	aligned := gocv.NewMat()
	defer aligned.Close()
	ok, err := face.Align(picture, l, &aligned)
	if err != nil || !ok {
		return nil, false, err
	}
	part := aligned.Region(flatPart)
	defer part.Close()
	grey, err := media.Gray(part)
	if err != nil {
		return nil, false, err
	}
	defer grey.Close()
	return grey.ToBytes(), true, nil
}
