package media

import (
	"bytes"
	"errors"
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
	out, err := Stretched(m, w, h)
	if err != nil {
		return models.Image{}, err
	}
	defer out.Close()
	return View(out)
}

// Stretched gives the picture stretched to w x h pixels: linear where a side grows, else area sampling. OpenCV averages 2 x 2 pixels several times
// faster than it shrinks by any other factor, so what gets at most half as large is halved first, as long as its sides are even. The caller
// closes the result.
func Stretched(m gocv.Mat, w, h int) (gocv.Mat, error) {
	out, made := m, false
	resize := func(w, h int, mode gocv.InterpolationFlags) error {
		next := gocv.NewMat()
		err := gocv.Resize(out, &next, image.Pt(w, h), 0, 0, mode)
		if made {
			_ = out.Close()
		}
		if out, made = next, true; err != nil {
			_ = next.Close()
			return fmt.Errorf("resize a %d x %d picture to %d x %d: %w", m.Cols(), m.Rows(), w, h, err)
		}
		return nil
	}
	for w > 0 && h > 0 && out.Cols() >= 2*w && out.Rows() >= 2*h && out.Cols()%2 == 0 && out.Rows()%2 == 0 {
		if err := resize(out.Cols()/2, out.Rows()/2, gocv.InterpolationArea); err != nil {
			return gocv.Mat{}, err
		}
	}
	mode := gocv.InterpolationArea
	if w > out.Cols() || h > out.Rows() {
		mode = gocv.InterpolationLinear
	}
	if !made || out.Cols() != w || out.Rows() != h {
		if err := resize(w, h, mode); err != nil {
			return gocv.Mat{}, err
		}
	}
	return out, nil
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

// Gray gives the picture (BGR or grey, uint8) as a grey one, H x W x 1, uint8, weights of BT.601. The caller closes it.
func Gray(m gocv.Mat) (gocv.Mat, error) {
	switch {
	case m.Empty():
		return gocv.Mat{}, errors.New("grey picture: the picture is empty")
	case m.Type() == gocv.MatTypeCV8UC1:
		return m.Clone(), nil
	case m.Type() != gocv.MatTypeCV8UC3:
		return gocv.Mat{}, fmt.Errorf("grey picture: want uint8 with 1 or 3 channels, got type %v", m.Type())
	}
	out := gocv.NewMat()
	if err := gocv.CvtColor(m, &out, gocv.ColorBGRToGray); err != nil {
		return gocv.Mat{}, errors.Join(fmt.Errorf("grey picture of %d x %d pixels: %w", m.Cols(), m.Rows(), err), out.Close())
	}
	return out, nil
}

// EncodeJPEG gives the picture (BGR or grey, uint8) as a JPEG file; quality 1..100.
func EncodeJPEG(m gocv.Mat, quality int) ([]byte, error) {
	if m.Empty() || quality < 1 || quality > 100 {
		return nil, fmt.Errorf("encode a JPEG of %d x %d pixels with quality %d: want a picture and 1..100", m.Cols(), m.Rows(), quality)
	}
	buf, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, m, []int{gocv.IMWriteJpegQuality, quality})
	if err != nil {
		return nil, fmt.Errorf("encode a JPEG of %d x %d pixels: %w", m.Cols(), m.Rows(), err)
	}
	defer buf.Close()
	return bytes.Clone(buf.GetBytes()), nil
}

// blurCells is how many cells a blurred rectangle keeps on its longer side. A face in 6 x 6 cells is below what people (about 12 x 14,
// Harmon and Julesz 1973) and detectors can use, and smoothing the cells takes the edges that would help them.
const blurCells = 6

// Blur makes the part of the picture inside r unrecognisable, in place: it is averaged into few cells, which are smoothed into each
// other. Parts of r outside the picture are left out; nothing happens when all of it is.
func Blur(m *gocv.Mat, r image.Rectangle) error {
	in := r.Intersect(image.Rect(0, 0, m.Cols(), m.Rows()))
	if in.Empty() {
		return nil
	}
	part := m.Region(in)
	defer part.Close()
	long := max(in.Dx(), in.Dy())
	small := image.Pt(max(1, in.Dx()*blurCells/long), max(1, in.Dy()*blurCells/long))
	cells, full := gocv.NewMat(), gocv.NewMat()
	defer cells.Close()
	defer full.Close()
	if err := gocv.Resize(part, &cells, small, 0, 0, gocv.InterpolationArea); err != nil {
		return fmt.Errorf("blur %v: %w", in, err)
	}
	if err := gocv.Resize(cells, &full, in.Size(), 0, 0, gocv.InterpolationNearestNeighbor); err != nil {
		return fmt.Errorf("blur %v: %w", in, err)
	}
	kernel := long/blurCells | 1
	if err := gocv.GaussianBlur(full, &full, image.Pt(kernel, kernel), 0, 0, gocv.BorderReplicate); err != nil {
		return fmt.Errorf("blur %v: %w", in, err)
	}
	if err := full.CopyTo(&part); err != nil {
		return fmt.Errorf("blur %v: %w", in, err)
	}
	return nil
}
