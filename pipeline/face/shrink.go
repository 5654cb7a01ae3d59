package face

import (
	"fmt"
	"image"

	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline/media"
)

// view gives a byte view of the rectangle r of a picture, stretched to w x h pixels; parts outside the picture are black. Large pictures are
// first shrunk by whole factors with area sampling, which OpenCV does several times faster than by broken ones, and then brought to
// size by bilinear sampling.
func (m *Matcher) view(picture gocv.Mat, r image.Rectangle, w, h int) (models.Image, error) {
	if w < 1 || h < 1 {
		return models.Image{}, fmt.Errorf("stretch %v to %d x %d: the model's input size is not known; was the model opened?", r, w, h)
	}
	kx, ky := r.Dx()/w, r.Dy()/h
	if m.plain || (kx < 2 && ky < 2) || !r.In(image.Rect(0, 0, picture.Cols(), picture.Rows())) {
		return media.Crop(picture, r, w, h)
	}
	small := gocv.NewMat()
	defer small.Close()
	if err := shrink(picture, r, max(kx, 1), max(ky, 1), &small); err != nil {
		return models.Image{}, err
	}
	if small.Cols() != w || small.Rows() != h {
		out := gocv.NewMat()
		defer out.Close()
		if err := gocv.Resize(small, &out, image.Pt(w, h), 0, 0, gocv.InterpolationLinear); err != nil {
			return models.Image{}, fmt.Errorf("resize %v to %d x %d: %w", r, w, h, err)
		}
		return media.View(out)
	}
	return media.View(small)
}

// shrink makes dst the rectangle r of a picture, smaller by the whole factors kx and ky. Up to k-1 pixels at the right and lower edge are
// left out: at most half a pixel of the result.
func shrink(picture gocv.Mat, r image.Rectangle, kx, ky int, dst *gocv.Mat) error {
	w, h := r.Dx()/kx, r.Dy()/ky
	part := picture.Region(image.Rect(r.Min.X, r.Min.Y, r.Min.X+w*kx, r.Min.Y+h*ky))
	defer part.Close()
	if err := gocv.Resize(part, dst, image.Pt(w, h), 0, 0, gocv.InterpolationArea); err != nil {
		return fmt.Errorf("shrink %v by %d x %d: %w", r, kx, ky, err)
	}
	return nil
}
