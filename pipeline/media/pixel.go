package media

import (
	"fmt"
	"image"
	"image/color"

	"gocv.io/x/gocv"

	"onsite/models"
)

var colorBlack = color.RGBA{}

// View gives a byte view of a picture for the models: H x W x 3 BGR or H x W x 1 grey, uint8. The view is a copy and outlives the picture.
func View(m gocv.Mat) (models.Image, error) {
	if m.Empty() || (m.Type() != gocv.MatTypeCV8UC3 && m.Type() != gocv.MatTypeCV8UC1) {
		return models.Image{}, fmt.Errorf("byte view of a picture: want uint8 with 1 or 3 channels, got type %v, %d x %d", m.Type(), m.Cols(), m.Rows())
	}
	return models.Image{Pix: m.ToBytes(), W: m.Cols(), H: m.Rows(), C: m.Channels()}, nil
}

// Resized gives a byte view of the whole picture stretched to w x h pixels (area sampling when it gets smaller).
func Resized(m gocv.Mat, w, h int) (models.Image, error) {
	out := gocv.NewMat()
	defer out.Close()
	mode := gocv.InterpolationArea
	if w > m.Cols() || h > m.Rows() {
		mode = gocv.InterpolationLinear
	}
	if err := gocv.Resize(m, &out, image.Pt(w, h), 0, 0, mode); err != nil {
		return models.Image{}, fmt.Errorf("resize a %d x %d picture to %d x %d: %w", m.Cols(), m.Rows(), w, h, err)
	}
	return View(out)
}

// Crop gives a byte view of the rectangle r of the picture, stretched to w x h pixels. Parts of r outside the picture are black.
func Crop(m gocv.Mat, r image.Rectangle, w, h int) (models.Image, error) {
	if r.Dx() < 1 || r.Dy() < 1 {
		return models.Image{}, fmt.Errorf("crop %v of a %d x %d picture: the rectangle is empty", r, m.Cols(), m.Rows())
	}
	in := r.Intersect(image.Rect(0, 0, m.Cols(), m.Rows()))
	if in.Empty() {
		return models.Image{}, fmt.Errorf("crop %v of a %d x %d picture: the rectangle lies outside", r, m.Cols(), m.Rows())
	}
	part := m.Region(in)
	defer part.Close()
	if in == r {
		return Resized(part, w, h)
	}
	full := gocv.NewMat()
	defer full.Close()
	if err := gocv.CopyMakeBorder(part, &full, in.Min.Y-r.Min.Y, r.Max.Y-in.Max.Y, in.Min.X-r.Min.X, r.Max.X-in.Max.X, gocv.BorderConstant, colorBlack); err != nil {
		return models.Image{}, fmt.Errorf("pad crop %v: %w", r, err)
	}
	return Resized(full, w, h)
}
