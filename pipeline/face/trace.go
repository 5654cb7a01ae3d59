package face

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"

	"gocv.io/x/gocv"
)

// Boxes finds the faces of one picture (BGR, uint8) in a single pass over all of it, best score first.
func (m *Matcher) Boxes(ctx context.Context, picture gocv.Mat) ([]image.Rectangle, error) {
	p := newPyramid(picture)
	defer p.close()
	boxes, err := m.scan(ctx, p, image.Rect(0, 0, picture.Cols(), picture.Rows()))
	if err != nil {
		return nil, err
	}
	var out []image.Rectangle
	for _, b := range boxes {
		out = append(out, b.rect(picture.Cols(), picture.Rows()))
	}
	return out, nil
}

// Trace places the points of a face that is known to be near the box, which may come from the picture before: the box of the result, the
// square that the aligned face fills, is where to look in the next one. It has landmarks, pose and residual and nothing else; ok is false
// when the points form no face (Config.MaxResidual).
func (m *Matcher) Trace(ctx context.Context, picture gocv.Mat, around image.Rectangle) (f Face, ok bool, err error) {
	b := box{x1: float64(around.Min.X), y1: float64(around.Min.Y), x2: float64(around.Max.X), y2: float64(around.Max.Y)}
	if picture.Empty() || around.Dy() < 1 {
		return Face{}, false, fmt.Errorf("trace a face at %v: no picture, or an empty box", around)
	}
	p := newPyramid(picture)
	defer p.close()
	f.Track = -1
	if f.Landmarks, err = m.place(ctx, p, b); err == nil {
		f.Landmarks, err = m.placeAgain(ctx, p, f.Landmarks)
	}
	if err != nil {
		return Face{}, false, err
	}
	square, found := alignedSquare(&f.Landmarks, picture.Cols(), picture.Rows())
	_, residual := fit(five(&f.Landmarks), template)
	f.Quality.Residual = residual
	if !found || math.IsNaN(residual) || residual > m.config.MaxResidual {
		return Face{}, false, nil
	}
	f.Box = square.rect(picture.Cols(), picture.Rows())
	f.Quality.Size = f.Box.Dy()
	f.Pose = poseFromLandmarks(&f.Landmarks)
	return f, true, nil
}

// placeAgain places the landmarks on the square that the first ones say the aligned face fills, and gives the mean of both. Without a usable
// first result it is that.
func (m *Matcher) placeAgain(ctx context.Context, p *pyramid, first [68]Point) ([68]Point, error) {
	again, ok := alignedSquare(&first, p.picture.Cols(), p.picture.Rows())
	if !ok {
		return first, nil
	}
	second, err := m.place(ctx, p, again)
	if err != nil {
		return first, err
	}
	for i := range first {
		first[i] = Point{(first[i].X + second[i].X) / 2, (first[i].Y + second[i].Y) / 2}
	}
	return first, nil
}

// Align brings the face with the given landmarks in a BGR picture to the template of face comparison: dst becomes 112 x 112, BGR, uint8; ok is
// false when the landmarks form no face.
func Align(picture gocv.Mat, l *[68]Point, dst *gocv.Mat) (ok bool, err error) {
	p := newPyramid(picture)
	defer p.close()
	err = arcFace.align(p, l, dst)
	if errors.Is(err, errNotAFace) {
		return false, nil
	}
	return err == nil, err
}
