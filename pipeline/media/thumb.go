package media

import (
	"fmt"
	"image"

	"gocv.io/x/gocv"
)

// Thumbnail encodes a picture as JPEG with its long side at most side pixels (area sampling); a smaller picture keeps its size. Quality
// is 1..100.
func Thumbnail(m gocv.Mat, side, quality int) ([]byte, error) {
	scale := float64(side) / float64(max(m.Cols(), m.Rows(), 1))
	if scale >= 1 {
		return EncodeJPEG(m, quality)
	}
	out := gocv.NewMat()
	defer out.Close()
	size := image.Pt(max(1, int(float64(m.Cols())*scale+0.5)), max(1, int(float64(m.Rows())*scale+0.5)))
	if err := gocv.Resize(m, &out, size, 0, 0, gocv.InterpolationArea); err != nil {
		return nil, fmt.Errorf("make a %d x %d picture smaller: %w", m.Cols(), m.Rows(), err)
	}
	return EncodeJPEG(out, quality)
}
